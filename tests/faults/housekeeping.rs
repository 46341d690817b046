//! Background work for one organization does not depend on another's.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::support::gate::eventually;
use crate::support::migrated_database;
use crate::support::server::ServerProcess;

/// Another organization, and in each one a batch whose lease has expired.
const LAPSING: &str = "with other as (
        insert into organizations (organization_id, name, public_identifier, created_at)
        values (gen_random_uuid(), 'Other', 'other', now())
        returning organization_id, name
    )
    insert into batches (organization_id, batch_id, requested_by_kind, source, user_count, created_at, state, owner,
        lease_until)
    select organization_id, gen_random_uuid(), 'operator', 'http', 0, now(), 'running', gen_random_uuid(),
        now()
    from (select organization_id from organizations union all select organization_id from other) organization";

async fn count(database: &PgConnectOptions, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&mut database.connect().await.unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lapsed_batch_fails_while_the_one_of_another_organization_is_locked() {
    let database = migrated_database().await;
    // Creates the organization, and has exited before a lease expires.
    drop(ServerProcess::start_on(&database));
    let mut rival = database.connect().await.unwrap();
    sqlx::query(LAPSING).execute(&mut rival).await.unwrap();
    let mut transaction = rival.begin().await.unwrap();
    let locked =
        "select from batches join organizations using (organization_id) where name <> 'Other' for update of batches";
    assert_eq!(sqlx::query(locked).execute(&mut *transaction).await.unwrap().rows_affected(), 1);
    let _server = ServerProcess::start_on(&database);
    let failed = "select count(*) from batches join organizations using (organization_id)
        where state = 'failed' and name = 'Other'";
    eventually("the other organization's batch has failed", async || count(&database, failed).await == 1).await;
    assert_eq!(count(&database, "select count(*) from batches where state = 'running'").await, 1);
    transaction.rollback().await.unwrap();
    let failed = "select count(*) from batches where state = 'failed'";
    eventually("both batches have failed", async || count(&database, failed).await == 2).await;
    let denied = "select count(*) from audit_events where reason = 'interrupted'";
    assert_eq!(count(&database, denied).await, 2);
}
