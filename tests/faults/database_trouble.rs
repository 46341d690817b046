//! A database that is reachable and fails: read-only, disk full, no free connections, or terminated connections.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use muster::postgres::EmbeddedPostgres;
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio_util::sync::CancellationToken;

use crate::database_away::{stop, with_its_own_database};
use crate::support::gate::eventually;
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, Answer, db_counts, migrated_database, sso};

/// A request without a connection or lock fails after 3.1 s; the rest is a margin for a busy machine. The locks of the tests
/// last until the requests have failed.
pub const GIVES_UP_WITHIN: Duration = Duration::from_secs(60);

/// Waits until muster works again, without a restart.
pub async fn heals(works: impl AsyncFnMut() -> bool) {
    eventually("muster works again", works).await;
}

fn assert_unavailable_because(answer: &Answer, sentence: &str) {
    assert_retryable(answer);
    assert_eq!(answer.error(), json!({"code": "unavailable", "detail": sentence}));
}

/// Asserts a 503 with a `Retry-After`. The request is given up just after its statement would be cancelled.
pub fn assert_retryable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(answer.header("retry-after"), "2");
    let error = answer.error();
    assert!(error["code"] == "unavailable" || error["code"] == "overloaded", "{error}");
}

/// Creates a user. Returns the path.
pub async fn created(owner: &Actor) -> String {
    let created = owner.create(&json!([sso("a@example.com")])).await;
    assert_eq!(created.status, 200, "{}", created.text);
    format!("/api/v2/users/{}", created.json()["results"][0]["user_id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_connection_fails_no_user_lookup() {
    let database = migrated_database().await;
    let server = ServerProcess::start_on(&database);
    let owner = server.actor(&server.key.clone().unwrap());
    let user = created(&owner).await;
    let mut operator = database.connect().await.unwrap();
    for _ in 0..10 {
        // The pools have connections, the key holder is cached, and no connection has been idle for a second.
        look_up_at_once(&owner, &user).await;
        cut_connections(&mut operator).await;
        look_up_at_once(&owner, &user).await;
    }
}

/// Terminates all other connections to this database, and waits until they are closed.
async fn cut_connections(operator: &mut sqlx::PgConnection) {
    let cut: Vec<i32> = sqlx::query_scalar(
        "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
    )
    .fetch_all(&mut *operator)
    .await
    .unwrap();
    assert!(!cut.is_empty());
    let cutting = sqlx::query("select pg_terminate_backend(pid) from unnest($1::int[]) as pid").bind(&cut);
    cutting.execute(&mut *operator).await.unwrap();
    let there = "select count(*) from pg_stat_activity where pid = any($1)";
    while sqlx::query_scalar::<_, i64>(there).bind(&cut).fetch_one(&mut *operator).await.unwrap() > 0 {}
}

async fn look_up_at_once(owner: &Actor, user: &str) {
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (owner, user) = (owner.clone(), user.to_owned());
        asking.spawn(async move { owner.get(&user).await });
    }
    for answer in asking.join_all().await {
        assert_eq!(
            (answer.status, &answer.json()["result"]["email"]),
            (200, &json!("a@example.com")),
            "{}",
            answer.text
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_serves_reads_and_recovers() {
    let (_dir, cluster, server) = with_its_own_database(None).await;
    let owner = server.actor(&server.key.clone().unwrap());
    let mut connection = cluster.connect_options().connect().await.unwrap();
    let before = db_counts(&mut connection).await;
    set_read_only(&cluster, true).await;
    heals(async || owner.create(&json!([sso("a@example.com")])).await.status == 503).await;
    let refused = owner.create(&json!([sso("b@example.com")])).await;
    assert_unavailable_because(
        &refused,
        "the database is read-only (a standby, or `default_transaction_read_only`); nothing was written",
    );
    for path in ["/livez", "/readyz", "/api/v2/userinfo/", "/api/v2/organization_collaborators/"] {
        assert_eq!(owner.get(path).await.status, 200, "{path}");
    }
    let counts = db_counts(&mut connection).await;
    set_read_only(&cluster, false).await;
    heals(async || owner.create(&json!([sso("b@example.com")])).await.status == 200).await;
    let after = db_counts(&mut connection).await;
    assert_eq!((after[0] - counts[0], after[3] - counts[3]), (1, 1));
    assert!(counts[0] - before[0] <= 1, "only the first request may precede the reload of the setting");
    drop((server, connection));
    cluster.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_opened_while_the_database_was_read_only_are_replaced() {
    let database = migrated_database().await;
    let server = ServerProcess::start_on(&database);
    let owner = server.actor(&server.key.clone().unwrap());
    let mut operator = database.connect().await.unwrap();
    let name: String =
        sqlx::query_scalar("select quote_ident(current_database())").fetch_one(&mut operator).await.unwrap();
    let set = async |operator: &mut sqlx::PgConnection, what: &str| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "set default_transaction_read_only = off; alter database {name} {what}"
        )))
        .execute(operator)
        .await
        .unwrap();
    };
    set(&mut operator, "set default_transaction_read_only = on").await;
    cut_connections(&mut operator).await;
    heals(async || {
        let refused = owner.create(&json!([sso("a@example.com")])).await;
        refused.status == 503 && owner.get("/api/v2/organization_collaborators/").await.status == 200
    })
    .await;
    assert_retryable(&owner.create(&json!([sso("a@example.com")])).await);
    set(&mut operator, "reset default_transaction_read_only").await;
    heals(async || owner.create(&json!([sso("a@example.com")])).await.status == 200).await;
    // On all connections, not only on one that happened to be replaced.
    for n in 0..40 {
        let created = owner.create(&json!([sso(&format!("b{n}@example.com"))])).await;
        assert_eq!(created.status, 200, "{}", created.text);
    }
}

/// Changes the setting of the whole server, as a provider does when the disk is full.
async fn set_read_only(cluster: &EmbeddedPostgres, on: bool) {
    let mut connection = cluster.connect_options().connect().await.unwrap();
    let set = if on {
        "alter system set default_transaction_read_only = on"
    } else {
        "alter system reset default_transaction_read_only"
    };
    sqlx::query("set default_transaction_read_only = off").execute(&mut connection).await.unwrap();
    sqlx::query(set).execute(&mut connection).await.unwrap();
    sqlx::query("select pg_reload_conf()").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_free_connections_is_reported_and_recovers() {
    let dir = tempfile::Builder::new().prefix("muster-full-").tempdir_in("/tmp").unwrap();
    let few = [("fsync", "off"), ("max_connections", "20")];
    let cluster = EmbeddedPostgres::open(dir.path(), &std::env::var("PATH").unwrap(), &few).await.unwrap();
    let server = ServerProcess::start(muster().env("MUSTER_DATABASE__URL", url(&cluster.connect_options())));
    let owner = server.actor(&server.key.clone().unwrap());
    let user = created(&owner).await;
    let mut others = Vec::new();
    take_all(&cluster, &mut others).await;
    sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'muster'")
        .execute(others.first_mut().unwrap())
        .await
        .unwrap();
    // Keep all slots taken until the terminated connections are closed and muster has pinged its own.
    for _ in 0..25 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        take_all(&cluster, &mut others).await;
    }
    eventually("muster has no connections", async || {
        let connections: i64 = sqlx::query_scalar(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'muster'",
        )
        .fetch_one(others.first_mut().unwrap())
        .await
        .unwrap();
        take_all(&cluster, &mut others).await;
        connections == 0
    })
    .await;
    let (start, sentence) = (
        Instant::now(),
        "the database has no connections left (`max_connections`, or a limit of the role or the database); nothing was \
         written",
    );
    let create = json!([sso("b@example.com")]);
    let (one, list, created, ready) = tokio::join!(
        owner.get(&user),
        owner.get("/api/v2/organization_collaborators/"),
        owner.create(&create),
        owner.get("/readyz")
    );
    for answer in [one, list, created] {
        assert_unavailable_because(&answer, sentence);
    }
    assert!(start.elapsed() < GIVES_UP_WITHIN, "{:?}", start.elapsed());
    assert_eq!((ready.status, ready.error()["detail"].as_str()), (503, Some("the database can't be reached")));
    assert_eq!(owner.get("/livez").await.status, 200);
    drop(others);
    heals(async || owner.create(&create).await.status == 200).await;
    drop(server);
    cluster.close().await.unwrap();
}

/// Takes every free connection.
async fn take_all(cluster: &EmbeddedPostgres, taken: &mut Vec<sqlx::PgConnection>) {
    while let Ok(connection) = cluster.connect_options().connect().await {
        taken.push(connection);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_reported_and_recovers() {
    let (_dir, cluster, server) = with_its_own_database(None).await;
    let owner = server.actor(&server.key.clone().unwrap());
    let disk = Disk::fill(&cluster).await;
    let sentence = "the database server's disk is full; nothing was written";
    let create = json!([sso("a@example.com")]);
    assert_unavailable_because(&owner.create(&create).await, sentence);
    for path in ["/livez", "/api/v2/userinfo/", "/api/v2/organization_collaborators/"] {
        assert_eq!(owner.get(path).await.status, 200, "{path}");
    }
    assert_unavailable_because(&owner.get("/readyz").await, "the database server's disk is full");
    let mut connection = cluster.connect_options().connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await, [0, 0, 0, 0, 0]);
    disk.empty(&cluster).await;
    assert_eq!(owner.create(&create).await.status, 200);
    heals(async || owner.get("/readyz").await.status == 200).await;
    drop((server, connection));
    cluster.close().await.unwrap();
}

/// A full disk for the table of batches: a real one if the test runs as root. Otherwise PostgreSQL raises the same
/// SQLSTATE.
struct Disk(Option<tempfile::TempDir>);

impl Disk {
    async fn fill(cluster: &EmbeddedPostgres) -> Self {
        if !nix::unistd::Uid::effective().is_root() {
            run(
                cluster,
                &[
                    "create function full_disk() returns trigger language plpgsql as
                     $$ begin raise exception 'No space left on device' using errcode = 'disk_full'; end $$",
                    "create trigger full_disk before insert on batches execute function full_disk()",
                ],
            )
            .await;
            return Self(None);
        }
        let dir = tempfile::Builder::new().prefix("muster-disk-").tempdir_in("/tmp").unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=256k", "tmpfs"];
        assert!(Command::new("mount").args(mount).arg(dir.path()).status().unwrap().success());
        let disk = Self(Some(dir));
        let space = disk.path("space");
        std::fs::create_dir(&space).unwrap();
        let owner = std::fs::metadata(cluster.data_dir().join("postgres")).unwrap();
        for path in [disk.0.as_ref().unwrap().path(), &space] {
            std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let create = format!("create tablespace small location '{}'", space.display());
        run(cluster, &[&create, "alter table batches set tablespace small"]).await;
        let full = std::fs::write(disk.path("filler"), vec![0; 1024 * 1024]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        disk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.as_ref().unwrap().path().join(name)
    }

    async fn empty(&self, cluster: &EmbeddedPostgres) {
        match &self.0 {
            Some(_) => std::fs::remove_file(self.path("filler")).unwrap(),
            None => run(cluster, &["drop trigger full_disk on batches"]).await,
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(dir) = &self.0 {
            // Detached lazily, because PostgreSQL still has files open there.
            let _ = Command::new("umount").arg("--lazy").arg(dir.path()).status();
        }
    }
}

async fn run(cluster: &EmbeddedPostgres, statements: &[&str]) {
    let mut connection = cluster.connect_options().connect().await.unwrap();
    for statement in statements {
        sqlx::query(AssertSqlSafe((*statement).to_owned())).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// The responses of a client during the faults: successes and 503s.
#[derive(Default)]
struct Tally {
    answered: AtomicI64,
    unavailable: AtomicI64,
}

impl Tally {
    fn answered(&self) -> i64 {
        self.answered.load(Ordering::Relaxed)
    }

    fn unavailable(&self) -> i64 {
        self.unavailable.load(Ordering::Relaxed)
    }
}

async fn send_requests_until(over: CancellationToken, owner: Actor, client: usize, tally: Arc<Tally>) {
    for n in 0.. {
        if over.is_cancelled() {
            break;
        }
        let answer = if client.is_multiple_of(2) {
            owner.create(&json!([sso(&format!("user{client}-{n}@example.com"))])).await
        } else {
            owner.get("/api/v2/organization_collaborators/").await
        };
        if answer.status == 200 {
            tally.answered.fetch_add(1, Ordering::Relaxed);
        } else {
            assert_retryable(&answer);
            tally.unavailable.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until each client has had another success.
async fn each_is_answered(tallies: &[Arc<Tally>]) {
    let before: Vec<i64> = tallies.iter().map(|tally| tally.answered()).collect();
    eventually("each client has had a success", async || {
        tallies.iter().zip(&before).all(|(tally, before)| tally.answered() > *before)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_terminated_connections_and_a_database_restart_give_503_and_lose_no_data() {
    let (_dir, cluster, server) = with_its_own_database(None).await;
    let owner = server.actor(&server.key.clone().unwrap());
    let over = CancellationToken::new();
    let tallies: Vec<Arc<Tally>> = (0..6).map(|_| Arc::default()).collect();
    let asking: Vec<_> = tallies
        .iter()
        .enumerate()
        .map(|(client, tally)| {
            tokio::spawn(send_requests_until(over.clone(), owner.clone(), client, Arc::clone(tally)))
        })
        .collect();
    each_is_answered(&tallies).await;
    let mut connection = cluster.connect_options().connect().await.unwrap();
    for _ in 0..3 {
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'muster'")
            .execute(&mut connection)
            .await
            .unwrap();
        each_is_answered(&tallies).await;
    }
    heals(async || owner.get("/readyz").await.status == 200).await;
    drop(connection);
    // The database stays away until a request has failed.
    let refused = || tallies.iter().map(|tally| tally.unavailable()).sum::<i64>();
    let before = refused();
    stop(&cluster).await;
    eventually("a request has failed", async || refused() > before).await;
    cluster.keep_running().await.unwrap();
    assert_eq!(owner.get("/livez").await.status, 200);
    heals(async || owner.get("/readyz").await.status == 200).await;
    each_is_answered(&tallies).await;
    over.cancel();
    for asking in asking {
        asking.await.unwrap();
    }
    let created: i64 = tallies.iter().step_by(2).map(|tally| tally.answered()).sum();
    let mut connection = cluster.connect_options().connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await, [created, created, 0, created, 2 * created]);
    for _ in 0..20 {
        assert_eq!(owner.get("/api/v2/organization_collaborators/").await.status, 200);
    }
    drop((server, connection));
    cluster.close().await.unwrap();
}
