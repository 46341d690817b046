//! Fixtures: one PostgreSQL for each test binary, a database and a server for each test, and actors that call the server
//! over HTTP. Helpers that access tables are named `db_…`; all others use the public interfaces.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "each test binary uses only some helpers; tests may panic"
)]

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use chrono::Duration;
use muster::app::App;
use muster::caller::{Caller, PermissionLevel};
use muster::clock::Clock;
use muster::config::Config;
use muster::keys::{KeySpec, Lifetime};
use muster::postgres::{APP, Database, EmbeddedPostgres, MigrateError, grant, migrate};
use muster::{http, keys, organizations, setup};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

pub mod browser;
pub mod gate;
pub mod idp;
pub mod server;
pub mod smtp;

/// Whether commits in [`cluster`] are durable, as in production. Tests are faster without; benchmarks need it.
pub static DURABLE: AtomicBool = AtomicBool::new(false);

/// The PostgreSQL of this test binary, created by muster's own code. It stops with the process, even after a crash: a helper
/// process waits until the pipe from the process closes.
pub fn cluster() -> &'static EmbeddedPostgres {
    static CLUSTER: OnceLock<(EmbeddedPostgres, tempfile::TempDir)> = OnceLock::new();
    let settings = || {
        let quick =
            [("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off"), ("max_connections", "300")];
        if DURABLE.load(Ordering::Relaxed) { quick[3..].to_vec() } else { quick.to_vec() }
    };
    &CLUSTER.get_or_init(|| start_cluster(settings())).0
}

/// Another PostgreSQL, with its default settings.
pub fn default_cluster() -> &'static EmbeddedPostgres {
    static CLUSTER: OnceLock<(EmbeddedPostgres, tempfile::TempDir)> = OnceLock::new();
    &CLUSTER.get_or_init(|| start_cluster(Vec::new())).0
}

fn start_cluster(settings: Vec<(&'static str, &'static str)>) -> (EmbeddedPostgres, tempfile::TempDir) {
    // In a separate thread: the caller may already be in a runtime, which can't be nested.
    std::thread::spawn(move || {
        let dir = tempfile::Builder::new().prefix("muster-test-").tempdir_in("/tmp").unwrap();
        let path = std::env::var("PATH").unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let cluster = runtime.block_on(EmbeddedPostgres::open(dir.path(), &path, &settings)).unwrap();
        end_with_this_process(dir.path());
        (cluster, dir)
    })
    .join()
    .unwrap()
}

fn end_with_this_process(dir: &std::path::Path) {
    let script = r#"cat >/dev/null; kill -QUIT "$(head -n 1 "$0/postgres/postmaster.pid")"; sleep 1; rm -rf "$0""#;
    let child = Command::new("sh").arg("-c").arg(script).arg(dir).stdin(Stdio::piped()).spawn().unwrap();
    // Never dropped, so that its end of the pipe stays open until the process exits.
    std::mem::forget(child);
}

/// Creates a database without a schema.
pub async fn empty_database() -> PgConnectOptions {
    let cluster = tokio::task::spawn_blocking(cluster).await.unwrap();
    create_database(cluster, "template1").await
}

/// Creates a database with the current schema, as a copy of one that was migrated once for this test binary.
pub async fn migrated_database() -> PgConnectOptions {
    static TEMPLATE: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
    let cluster = tokio::task::spawn_blocking(cluster).await.unwrap();
    let template = TEMPLATE.get_or_init(async || {
        let options = create_database(cluster, "template1").await;
        let mut connection = options.connect().await.unwrap();
        migrate(&mut connection, async || Ok::<_, MigrateError>(())).await.unwrap();
        grant(&mut connection, APP).await.unwrap();
        // A copy needs a template without sessions.
        connection.close().await.unwrap();
        options.get_database().unwrap().to_owned()
    });
    create_database(cluster, template.await).await
}

async fn create_database(cluster: &EmbeddedPostgres, template: &str) -> PgConnectOptions {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let create = format!("create database {name} template {template}");
    let mut connection = cluster.connect_options().connect().await.unwrap();
    sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    cluster.connect_options().database(&name)
}

/// A server in this process with its own database.
pub struct TestApp {
    pub app: Arc<App>,
    /// The server's connection pools.
    pub served: Database,
    pub address: SocketAddr,
    pub database: PgConnectOptions,
    pub owner: Actor,
    operator: Caller,
    server: actix_web::dev::ServerHandle,
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // Sends the stop command immediately; dropping the future only skips waiting for the shutdown.
        drop(self.server.stop(false));
    }
}

impl TestApp {
    /// Starts a server with the default settings.
    pub async fn spawn() -> Self {
        Self::spawn_with(|_| {}).await
    }

    /// Starts a server with changed settings.
    pub async fn spawn_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::spawn_at(Clock::System, change).await
    }

    /// Starts a server for tests of many rows or requests, which does not give up on a busy machine.
    pub async fn spawn_patient() -> Self {
        Self::spawn_with(|config| config.database.acquire_timeout = gate::TIMEOUT).await
    }

    /// Starts a server that hashes no password of a batch until the second value is dropped.
    pub async fn spawn_holding_hashes() -> (Self, gate::HeldHashing) {
        let app = Self::spawn_with(|config| config.batch.max_wait_seconds = 86_400).await;
        let held = gate::HeldHashing::start(&app.app);
        (app, held)
    }

    /// Starts a server with a clock that the test controls.
    pub async fn spawn_at(clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        Self::spawn_on(migrated_database().await, clock, change).await
    }

    /// Starts a server on an existing database; if it has an owner already, `owner` is a new key.
    pub async fn spawn_on(database: PgConnectOptions, clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::built_in().unwrap();
        config.server.workers = 1;
        change(&mut config);
        // As with the embedded PostgreSQL, a role that owns nothing serves, and another one migrates.
        let pools = |config: &Config| {
            Database::new(database.clone().username(APP), &config.database).with_owner(database.clone())
        };
        let served = pools(&config);
        // Separate from the test's runtime and pools, because a test may block its own thread.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let serving = {
            let _context = runtime.enter();
            Arc::new(App::new(config, served.clone(), clock).unwrap())
        };
        let mut app = serving.as_ref().clone();
        app.db = pools(&serving.config);
        let app = Arc::new(app);
        let first = setup::prepare(&app).await.unwrap();
        let operator = organizations::operator(&app).await.unwrap();
        let key = match first {
            Some(key) => key,
            None => keys::create(&app, &operator, KeySpec::new("test", PermissionLevel::Owner)).await.unwrap(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            runtime.block_on(async {
                let server = http::serve(Arc::clone(&serving), listener, None).unwrap();
                tell.send(server.handle()).unwrap();
                server.await.unwrap();
                // Release the connections: PostgreSQL's maximum is shared by all tests.
                let _ = tokio::time::timeout(std::time::Duration::from_secs(5), serving.db.close()).await;
            });
        });
        let owner = Actor::new(address, Some(key.token.expose()));
        Self { app, served, address, database, owner, operator, server: told.recv().unwrap() }
    }

    /// An actor of another server on the same database, calling this one.
    pub fn at(&self, actor: &Actor) -> Actor {
        Actor::new(self.address, Some(actor.token()))
    }

    /// An actor with a new key.
    pub async fn actor(&self, permission: PermissionLevel) -> Actor {
        self.actor_for(permission, Duration::days(1)).await.0
    }

    /// An actor with a new key of this lifetime, and the key.
    pub async fn actor_for(&self, permission: PermissionLevel, lifetime: Duration) -> (Actor, keys::NewKey) {
        let spec = KeySpec { lifetime: Lifetime::Exactly(lifetime), ..KeySpec::new("test", permission) };
        let key = keys::create(&self.app, &self.operator, spec).await.unwrap();
        (Actor::new(self.address, Some(key.token.expose())), key)
    }

    pub async fn revoke(&self, key: &keys::NewKey) {
        keys::revoke(&self.app, &self.operator, key.key.key_id, keys::Whose::Visible).await.unwrap();
    }

    /// Creates an active user with a key: the user's ID, and an actor.
    pub async fn person(&self, email: &str, permission: PermissionLevel) -> (String, Actor) {
        let user =
            json!([{"name": "Ada", "email": email, "is_sso_user": true, "permission_level": permission.as_str()}]);
        let created = self.owner.create(&user).await;
        assert_eq!(created.status, 200, "{}", created.text);
        let user_id = created.json()["results"][0]["user_id"].as_str().unwrap().to_owned();
        let spec = KeySpec { user_id: Some(user_id.parse().unwrap()), ..KeySpec::new("test", permission) };
        let key = keys::create(&self.app, &self.operator, spec).await.unwrap();
        (user_id, Actor::new(self.address, Some(key.token.expose())))
    }

    /// An actor without a key.
    pub fn anonymous(&self) -> Actor {
        Actor::new(self.address, None)
    }

    /// Counts the rows that batches wrote: users, collaborators, passwords, batches, audit events. Excludes the first owner,
    /// keys and denials.
    pub async fn db_counts(&self) -> [i64; 5] {
        let mut connection = self.database.connect().await.unwrap();
        db_counts(&mut connection).await
    }

    /// The single value of a query.
    pub async fn db_value<T>(&self, query: &'static str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let mut connection = self.database.connect().await.unwrap();
        sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
    }

    pub async fn db_execute(&self, query: &'static str) {
        let mut connection = self.database.connect().await.unwrap();
        sqlx::query(query).execute(&mut connection).await.unwrap();
    }
}

/// See [`TestApp::db_counts`].
pub async fn db_counts(connection: &mut sqlx::PgConnection) -> [i64; 5] {
    let row: (i64, i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from users where batch_id is not null),
                (select count(*) from collaborators where permission_level = 'collaborator'),
                (select count(*) from passwords), (select count(*) from batches),
                (select count(*) from audit_events where batch_id is not null)",
    )
    .fetch_one(connection)
    .await
    .unwrap();
    [row.0, row.1, row.2, row.3, row.4]
}

/// A caller of the HTTP API.
#[derive(Clone)]
pub struct Actor {
    base: String,
    token: Option<String>,
    client: reqwest::Client,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    /// The error without its request ID; asserts that the ID equals the header's.
    pub fn error(&self) -> Value {
        let mut error = self.json()["error"].clone();
        let id = error.as_object_mut().unwrap().remove("request_id").expect("an error has a request_id");
        assert_eq!(id, self.header("x-request-id"));
        error
    }
}

impl Actor {
    pub fn new(address: SocketAddr, token: Option<&str>) -> Self {
        static PROVIDER: OnceLock<()> = OnceLock::new();
        PROVIDER.get_or_init(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        Self {
            base: format!("http://{address}"),
            token: token.map(str::to_owned),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap()
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn send(request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Self::send(self.request("GET", path)).await
    }

    /// Sends a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Self::send(self.request("POST", path).body(body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Self::send(self.request("DELETE", path)).await
    }

    /// Asserts that a revocation on another instance takes effect within a second.
    pub async fn is_rejected_within_a_second(&self) {
        let start = std::time::Instant::now();
        loop {
            // The server decides after this moment, however late its response comes.
            let sent_after = start.elapsed();
            if self.get("/api/v2/userinfo/").await.status == 401 {
                return;
            }
            assert!(sent_after < std::time::Duration::from_secs(1), "the key is still accepted after {sent_after:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Creates a batch.
    pub async fn create(&self, users: &Value) -> Answer {
        self.create_raw(users.to_string()).await
    }

    /// Sends any body to the batch route.
    pub async fn create_raw(&self, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.request("POST", BATCH).header("content-type", "application/json");
        Self::send(request.body(body)).await
    }
}

pub const BATCH: &str = "/api/v2/users/admin_batch_create";

/// An SSO user.
pub fn sso(email: &str) -> Value {
    json!({ "name": "Ada", "email": email, "is_sso_user": true })
}

/// A user with a password.
pub fn with_password(email: &str, password: &str) -> Value {
    json!({ "name": "Ada", "email": email, "is_sso_user": false, "password": password })
}

/// A temporary file.
pub fn file(content: &[u8], suffix: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
    file.write_all(content).unwrap();
    file
}
