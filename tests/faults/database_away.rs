//! A database that stops and returns.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use muster::postgres::EmbeddedPostgres;
use serde_json::json;
use sqlx::ConnectOptions;

use crate::support::gate::{Gate, TIMEOUT, eventually};
use crate::support::server::{ServerProcess, muster};
use crate::support::{Actor, BATCH, db_counts, sso, with_password};

fn signal(cluster: &EmbeddedPostgres, signal: &str) -> PathBuf {
    let file = cluster.data_dir().join("postgres/postmaster.pid");
    let pid = std::fs::read_to_string(&file).unwrap().lines().next().unwrap().to_owned();
    std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
    file
}

/// Stops PostgreSQL immediately, which terminates all connections.
pub async fn stop(cluster: &EmbeddedPostgres) {
    let pid_file = signal(cluster, "-INT");
    eventually("PostgreSQL stops", async || !pid_file.exists()).await;
}

/// A PostgreSQL that the test can stop, and a server on it.
pub async fn with_its_own_database(gate: Option<&Gate>) -> (tempfile::TempDir, EmbeddedPostgres, ServerProcess) {
    let dir = tempfile::Builder::new().prefix("muster-away-").tempdir_in("/tmp").unwrap();
    let path = std::env::var("PATH").unwrap();
    let cluster = EmbeddedPostgres::open(dir.path(), &path, &[("fsync", "off")]).await.unwrap();
    let socket = dir.path().join("run");
    let url = format!("postgres://muster@{}:5432/muster", socket.to_str().unwrap().replace('/', "%2F"));
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url).envs(gate.map(Gate::variable));
    (dir, cluster, ServerProcess::start(&mut command))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stops_during_a_batch_gives_503_without_a_write_and_muster_recovers() {
    let gate = Gate::closed("batch::hashed");
    let (_dir, cluster, server) = with_its_own_database(Some(&gate)).await;
    let owner = server.actor(&server.key.clone().unwrap());

    // The database stops while the batch is between hashing and its transaction.
    let batch = tokio::spawn({
        let owner = owner.clone();
        async move { owner.create(&json!([with_password("a@example.com", "kT9$wqzPlr"), sso("b@example.com")])).await }
    });
    gate.reached().await;
    stop(&cluster).await;
    gate.release();
    let answer = batch.await.unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(answer.error()["code"], "unavailable");
    assert_eq!(answer.header("retry-after"), "2");
    assert_eq!(owner.get("/livez").await.status, 200);
    assert_eq!(owner.get("/readyz").await.status, 503);

    cluster.keep_running().await.unwrap();
    eventually("the server is ready again", async || owner.get("/readyz").await.status == 200).await;
    let mut connection = cluster.connect_options().connect().await.unwrap();
    let [users, members, passwords, _, events] = db_counts(&mut connection).await;
    assert_eq!([users, members, passwords, events], [0, 0, 0, 0]);
    assert_eq!(owner.create(&json!([sso("b@example.com")])).await.status, 200);
    drop((server, connection));
    cluster.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_connection_is_terminated_in_the_transaction_is_retried() {
    let database = crate::support::migrated_database().await;
    for step in ["batch::begun", "batch::inserted", "change::audited"] {
        let gate = Gate::open(step);
        let mut command = muster();
        command.env("MUSTER_DATABASE__URL", crate::support::server::url(&database)).envs([gate.variable()]);
        let server = ServerProcess::start(&mut command);
        let mut connection = database.connect().await.unwrap();
        let operator = muster_operator_key(&database).await;
        let owner = server.actor(&operator);
        let before = db_counts(&mut connection).await;
        gate.close();
        let batch = tokio::spawn({
            let owner = owner.clone();
            async move { owner.create(&json!([sso(&format!("cut-{}@example.com", step.replace("::", "-")))])).await }
        });
        gate.reached().await;
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
            .execute(&mut connection)
            .await
            .unwrap();
        gate.release();
        let answer = batch.await.unwrap();
        assert_eq!(answer.status, 200, "{step}: {}", answer.text);
        let counts = db_counts(&mut connection).await;
        assert_eq!([counts[0] - before[0], counts[3] - before[3], counts[4] - before[4]], [1, 1, 2], "{step}");
        let after = owner.create(&json!([sso(&format!("{}@example.com", step.replace("::", "-")))])).await;
        assert_eq!(after.status, 200, "{step}: {}", after.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_batch_waits_for_its_database_to_return() {
    let gate = Gate::closed("batch::hashed");
    let (_dir, cluster, server) = with_its_own_database(Some(&gate)).await;
    let owner = server.actor(&server.key.clone().unwrap());
    let request = owner.request("POST", BATCH).header("prefer", "respond-async");
    let accepted = Actor::send(request.body(json!([sso("a@example.com")]).to_string())).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    gate.reached().await;
    stop(&cluster).await;
    gate.release();
    // All passwords are hashed long before the database returns.
    tokio::time::sleep(Duration::from_secs(4)).await;
    cluster.keep_running().await.unwrap();
    let back = Instant::now();
    loop {
        let batch = owner.get(accepted.header("location")).await;
        if batch.status == 200 && batch.json()["result"]["state"] != "running" {
            assert_eq!(batch.json()["result"]["state"], "created", "{}", batch.text);
            break;
        }
        assert!(back.elapsed() < TIMEOUT, "{}", batch.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut connection = cluster.connect_options().connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await, [1, 1, 0, 1, 2]);
    drop((server, connection));
    cluster.close().await.unwrap();
}

async fn muster_operator_key(database: &sqlx::postgres::PgConnectOptions) -> String {
    let output = muster()
        .env("MUSTER_DATABASE__URL", crate::support::server::url(database))
        .args(["key", "create", "--name", "test", "--role", "owner"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// With a synchronous standby that never responds, PostgreSQL commits locally and waits before it confirms. Terminating
/// the connection then loses the confirmation of the commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_commit_is_unconfirmed_is_found_to_be_committed() {
    commit_without_an_answer(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_a_key_whose_commit_is_unconfirmed_is_not_repeated() {
    commit_without_an_answer(Some("one")).await;
}

/// Serializes the two tests, because both change a setting of the whole PostgreSQL.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Waits until the setting is in effect, which takes PostgreSQL a moment: until a commit of this function waits.
async fn commits_wait_for_the_standby(database: &sqlx::postgres::PgConnectOptions) {
    let mut observer = database.connect().await.unwrap();
    eventually("commits wait for the standby", async || {
        let mut probe = database.connect().await.unwrap();
        let commit = tokio::spawn(async move {
            // The wait is cancelled below; the commit itself is done.
            let _ = sqlx::raw_sql("create table probe (); drop table probe").execute(&mut probe).await;
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let waits = "select count(pg_cancel_backend(pid)) from pg_stat_activity
            where datname = current_database() and wait_event = 'SyncRep' and query like 'create table probe%'";
        let mut waiting = 0;
        while !commit.is_finished() {
            waiting += sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut observer).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        waiting > 0
    })
    .await;
}

async fn commit_without_an_answer(key: Option<&'static str>) {
    let _alone = ALONE.lock().await;
    let database = crate::support::migrated_database().await;
    let mut connection = database.connect().await.unwrap();
    let name = database.get_database().unwrap();
    let on = format!("alter database {name} set synchronous_commit = on");
    sqlx::query(sqlx::AssertSqlSafe(on)).execute(&mut connection).await.unwrap();
    let mut command = muster();
    let gate = Gate::closed("batch::hashed");
    command.env("MUSTER_DATABASE__URL", crate::support::server::url(&database)).envs([gate.variable()]);
    let server = ServerProcess::start(&mut command);
    let owner = server.actor(&server.key.clone().unwrap());
    let send = async move |owner: &Actor| {
        let request =
            owner.request("POST", BATCH).body(json!([sso("a@example.com"), sso("b@example.com")]).to_string());
        Actor::send(match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        })
        .await
    };
    let again = owner.clone();
    let batch = tokio::spawn(async move { send(&owner).await });
    // The batch is claimed and not yet written. Commits in other databases of this PostgreSQL don't wait for standbys.
    gate.reached().await;
    sqlx::query("alter system set synchronous_standby_names = 'nobody'").execute(&mut connection).await.unwrap();
    sqlx::query("select pg_reload_conf()").execute(&mut connection).await.unwrap();
    commits_wait_for_the_standby(&database).await;
    gate.release();
    let start = Instant::now();
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and wait_event = 'SyncRep' and query ilike 'commit%'";
    let mut cuts = 0;
    while !batch.is_finished() && start.elapsed() < TIMEOUT {
        cuts += sqlx::query_scalar::<_, i64>(cut).fetch_one(&mut connection).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sqlx::query("alter system reset synchronous_standby_names").execute(&mut connection).await.unwrap();
    sqlx::query("select pg_reload_conf()").execute(&mut connection).await.unwrap();
    assert!(cuts >= 1, "no commit waited for the standby");
    let answer = batch.await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["results"].as_array().unwrap().len(), 2);
    assert_eq!(db_counts(&mut connection).await, [2, 2, 0, 1, 3]);
    if key.is_some() {
        assert_eq!(send(&again).await.text, answer.text);
    }
}
