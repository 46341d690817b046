//! Concurrent transactions.

use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::support::gate::{Gate, eventually};
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Answer, db_counts, migrated_database, sso};

const RIVAL: &str = "insert into users (organization_id, user_id, email, email_key, email_key_version, name, is_sso_user,
        status, created_at, updated_at)
    select organization_id, gen_random_uuid(), 'x@example.com', 'x@example.com', 1, 'Rival', true, 'active', now(), now()
    from organizations";

/// Waits until so many of muster's connections to a database wait for a lock.
pub async fn waits_for_a_lock(database: &PgConnectOptions, connections: i64) {
    let mut observer = database.connect().await.unwrap();
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and application_name = 'muster' and wait_event_type = 'Lock'";
    eventually("muster waits for a lock", async || {
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut observer).await.unwrap() >= connections
    })
    .await;
}

/// A batch whose insert waits for a concurrent transaction that takes one of its addresses. `meanwhile` runs between the
/// insert, which finds the conflict, and the query for its report.
async fn conflict(meanwhile: Option<&'static str>) -> (Answer, [i64; 5]) {
    let (database, gate) = (migrated_database().await, Gate::closed("batch::conflict"));
    let server = ServerProcess::start(muster().env("MUSTER_DATABASE__URL", url(&database)).envs([gate.variable()]));
    let owner = server.actor(&server.key.clone().unwrap());
    let mut rival = database.connect().await.unwrap();
    let mut transaction = rival.begin().await.unwrap();
    sqlx::query(RIVAL).execute(&mut *transaction).await.unwrap();
    let batch = tokio::spawn(async move { owner.create(&json!([sso("a@example.com"), sso("X@example.com")])).await });
    waits_for_a_lock(&database, 1).await;
    assert!(!batch.is_finished());
    transaction.commit().await.unwrap();
    gate.reached().await;
    if let Some(statement) = meanwhile {
        sqlx::query(statement).execute(&mut rival).await.unwrap();
    }
    gate.release();
    let answer = batch.await.unwrap();
    (answer, db_counts(&mut rival).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_taken_between_the_check_and_the_insert_is_reported() {
    let (answer, counts) = conflict(None).await;
    assert_eq!(answer.status, 409, "{}", answer.text);
    assert_eq!(
        answer.error()["rows"],
        json!([{"index": 1, "field": "email", "code": "email_taken", "message": "already exists"}])
    );
    assert_eq!(counts, [0, 0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflicting_user_deleted_before_the_report_is_no_conflict() {
    let (answer, counts) = conflict(Some("delete from users where name = 'Rival'")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(counts, [2, 2, 0, 1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_never_seen_by_a_client() {
    let database = migrated_database().await;
    let server = ServerProcess::start_on(&database);
    let owner = server.actor(&server.key.clone().unwrap());
    let mut rival = database.connect().await.unwrap();
    sqlx::query("set deadlock_timeout = '600s'").execute(&mut rival).await.unwrap();
    let mut transaction = rival.begin().await.unwrap();
    sqlx::query(AssertSqlSafe(RIVAL.replace("x@", "z@"))).execute(&mut *transaction).await.unwrap();
    // The batch locks a@ and waits for z@, which the rival has locked; then the rival requests a@.
    let batch = tokio::spawn(async move { owner.create(&json!([sso("z@example.com"), sso("a@example.com")])).await });
    waits_for_a_lock(&database, 1).await;
    sqlx::query(AssertSqlSafe(RIVAL.replace("x@", "a@"))).execute(&mut *transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    let answer = batch.await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_wait_for_the_database_leave_connections_for_other_requests() {
    let database = migrated_database().await;
    let server = ServerProcess::start(
        muster().env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_DATABASE__BATCH_CONNECTIONS", "4"),
    );
    let owner = server.actor(&server.key.clone().unwrap());
    let mut rival = database.connect().await.unwrap();
    let mut transaction = rival.begin().await.unwrap();
    sqlx::query("lock table collaborators in exclusive mode").execute(&mut *transaction).await.unwrap();
    // More batches than the batch pool has connections; each connection waits in a transaction.
    let mut stuck = tokio::task::JoinSet::new();
    for n in 0..8 {
        let owner = owner.clone();
        stuck.spawn(async move { owner.create(&json!([sso(&format!("user{n}@example.com"))])).await });
    }
    waits_for_a_lock(&database, 4).await;
    for path in ["/readyz", "/api/v2/userinfo/", "/api/v2/organization_collaborators/"] {
        assert_eq!(owner.get(path).await.status, 200, "{path}");
    }
    transaction.rollback().await.unwrap();
    for answer in stuck.join_all().await {
        match answer.status {
            200 => {}
            // The batch got no connection in time.
            503 => assert_eq!(answer.error()["code"], "unavailable", "{}", answer.text),
            other => panic!("{other}: {}", answer.text),
        }
    }
}
