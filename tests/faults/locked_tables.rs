//! Tables that another transaction keeps locked.

use std::time::Instant;

use serde_json::json;
use sqlx::{ConnectOptions, Connection};

use crate::contention::waits_for_a_lock;
use crate::database_trouble::{GIVES_UP_WITHIN, assert_retryable, created, heals};
use crate::support::gate::eventually;
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{db_counts, migrated_database, sso};

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_that_takes_all_connections_gives_503_in_time_and_recovers() {
    let database = migrated_database().await;
    let server = ServerProcess::start_on(&database);
    let owner = server.actor(&server.key.clone().unwrap());
    let user = created(&owner).await;
    let mut rival = database.connect().await.unwrap();
    let mut transaction = rival.begin().await.unwrap();
    sqlx::query("lock table users in access exclusive mode").execute(&mut *transaction).await.unwrap();

    let mut asking = tokio::task::JoinSet::new();
    for n in 0..40 {
        let (owner, user) = (owner.clone(), user.clone());
        asking.spawn(async move {
            let start = Instant::now();
            let answer = match n % 5 {
                4 => owner.get(&user).await,
                0 => owner.get("/api/v2/userinfo/").await,
                1 => owner.get("/api/v2/batches").await,
                2 => owner.post("/api/v2/organization_collaborators/search", &json!({"query": "a"})).await,
                _ => owner.get("/api/v2/organization_collaborators/").await,
            };
            (answer, start.elapsed())
        });
    }
    waits_for_a_lock(&database, 5).await;
    assert_eq!(owner.get("/livez").await.status, 200);
    let answers = asking.join_all().await;
    let refused = answers.iter().filter(|(answer, _)| answer.status == 503).count();
    assert!(refused >= 20, "every request that reads the table waits: {refused}");
    for (answer, time) in answers {
        // Requests with a cached key holder that do not read the table succeed.
        if answer.status != 200 {
            assert_retryable(&answer);
        }
        assert!(time < GIVES_UP_WITHIN, "{time:?}: {}", answer.text);
    }
    // A request that arrives while the table is locked.
    let start = Instant::now();
    let late = owner.create(&json!([sso("late@example.com")])).await;
    assert_retryable(&late);
    assert!(start.elapsed() < GIVES_UP_WITHIN, "{:?}", start.elapsed());

    transaction.rollback().await.unwrap();
    heals(async || {
        let list = owner.get("/api/v2/organization_collaborators/").await.status;
        list == 200 && owner.get("/readyz").await.status == 200
    })
    .await;
    assert_eq!(owner.create(&json!([sso("late@example.com")])).await.status, 200);
    assert_eq!(db_counts(&mut rival).await, [2, 2, 0, 2, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_does_not_wait_for_the_end_of_a_lock() {
    let database = migrated_database().await;
    let server = ServerProcess::start_on(&database);
    let owner = server.actor(&server.key.clone().unwrap());
    created(&owner).await;
    let mut rival = database.connect().await.unwrap();
    for table in ["batches", "users", "collaborators", "audit_events"] {
        let mut transaction = rival.begin().await.unwrap();
        let lock = format!("lock table {table} in access exclusive mode");
        sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut *transaction).await.unwrap();
        let mut asking = tokio::task::JoinSet::new();
        for n in 0..40 {
            let owner = owner.clone();
            asking.spawn(async move {
                let start = Instant::now();
                let answer = match n % 4 {
                    // A rejected list, which writes only the audit event of the denial.
                    0 => owner.create(&json!([{"name": "", "email": "x"}])).await,
                    1 => owner.post("/api/v2/user_groups/", &json!({"name": format!("{table}{n}")})).await,
                    _ => owner.create(&json!([sso(&format!("{table}{n}@example.com"))])).await,
                };
                (n % 4, answer, start.elapsed())
            });
        }
        for (kind, answer, time) in asking.join_all().await {
            // The time to wait for a connection, and then for the lock.
            assert!(time < GIVES_UP_WITHIN, "{table}, {kind}: {time:?}: {}", answer.text);
            // Requests that do not use the locked table get their usual response.
            let expected: &[u16] = match kind {
                0 => &[422, 503],
                1 => &[200, 503],
                _ => &[503],
            };
            assert!(expected.contains(&answer.status), "{table}, {kind}: {}", answer.text);
        }
        transaction.rollback().await.unwrap();
        heals(async || owner.create(&json!([sso(&format!("{table}@example.com"))])).await.status == 200).await;
    }
    // One user created before, and one after each of the locks.
    assert_eq!(db_counts(&mut rival).await[0], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_reads_of_the_audit_log_leave_others_alone_and_their_statements_end() {
    let database = migrated_database().await;
    let server = ServerProcess::start_on(&database);
    let owner = server.actor(&server.key.clone().unwrap());
    let made = owner.post("/api/v2/api_keys", &json!({"name": "ci"})).await.json();
    // A key whose holder is not cached.
    let other = owner.with_token(made["result"]["token"].as_str().unwrap());
    let mut rival = database.connect().await.unwrap();
    let mut transaction = rival.begin().await.unwrap();
    sqlx::query("lock table audit_events in access exclusive mode").execute(&mut *transaction).await.unwrap();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let owner = owner.clone();
        asking.spawn(async move { owner.get("/api/v2/audit/events?action=key.create").await });
    }
    // An organization's reads take turns, and use one connection.
    waits_for_a_lock(&database, 1).await;
    for _ in 0..100 {
        assert_eq!(owner.get("/api/v2/organization_collaborators/").await.status, 200);
    }
    assert_eq!(owner.get("/readyz").await.status, 200);
    assert_eq!(other.get("/api/v2/userinfo/").await.status, 200);
    for answer in asking.join_all().await {
        assert_retryable(&answer);
    }
    let left = "select count(*) from pg_stat_activity
        where datname = current_database() and application_name = 'muster' and wait_event_type = 'Lock'";
    // The turn of a client that leaves lasts until its statement ends.
    let leaving = tokio::spawn({
        let owner = owner.clone();
        async move { owner.get("/api/v2/audit/events").await }
    });
    waits_for_a_lock(&database, 1).await;
    leaving.abort();
    let next = tokio::spawn({
        let owner = owner.clone();
        async move { owner.get("/api/v2/audit/events").await }
    });
    while !next.is_finished() {
        let waiting = sqlx::query_scalar::<_, i64>(left).fetch_one(&mut *transaction).await.unwrap();
        assert!(waiting <= 1, "{waiting} statements at once");
    }
    assert_retryable(&next.await.unwrap());
    // The table is still locked, but the statements of the requests, which have ended, do not wait for it any more.
    eventually("the statements end", async || {
        sqlx::query_scalar::<_, i64>(left).fetch_one(&mut *transaction).await.unwrap() == 0
    })
    .await;
    let ran = muster().env("MUSTER_DATABASE__URL", url(&database)).args(["audit", "list", "--local"]).output().unwrap();
    let error = "error: reading the audit log took too long; a shorter range of time (`since` and `until`) is faster; retry in about ";
    let text = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.code() == Some(2) && text.starts_with(error), "{text}");
    transaction.rollback().await.unwrap();
    heals(async || owner.get("/api/v2/audit/events").await.status == 200).await;
}
