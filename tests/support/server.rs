//! The real binary in its own process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use super::Actor;
use super::gate::TIMEOUT;

/// A running `muster serve`.
pub struct ServerProcess {
    pub child: Child,
    pub address: SocketAddr,
    /// The owner key, if this was the first start.
    pub key: Option<String>,
    /// Its output up to the line with its address.
    pub announced: Vec<String>,
}

/// The binary, with an environment that contains no settings.
pub fn muster() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    for (name, _) in std::env::vars() {
        if name.starts_with("MUSTER_") || name.starts_with("ANYSCALE_") || name.starts_with("PG") {
            command.env_remove(name);
        }
    }
    // No API keys of the developer, and no metrics: concurrent servers would compete for the default port.
    command.env("NO_COLOR", "1").env("XDG_CONFIG_HOME", "/nonexistent").env("MUSTER_METRICS__LISTEN", "");
    command
}

/// The URL of a database on a Unix socket.
pub fn url(options: &PgConnectOptions) -> String {
    let socket = options.get_host().replace('/', "%2F");
    format!("postgres://muster@{socket}:5432/{}", options.get_database().unwrap())
}

impl ServerProcess {
    /// Starts it on a free port and waits until it listens.
    pub fn start(command: &mut Command) -> Self {
        Self::start_at("127.0.0.1:0", command)
    }

    /// Starts it at an address and waits until it listens.
    pub fn start_at(address: &str, command: &mut Command) -> Self {
        Self::when_it_listens(Self::launch(address, command))
    }

    /// Starts it at an address, without waiting.
    pub fn launch(address: &str, command: &mut Command) -> Child {
        command.args(["serve", "--listen", address]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Waits until a launched server listens.
    pub fn when_it_listens(mut child: Child) -> Self {
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut announced = Vec::new();
        let (mut key, mut address) = (None, None);
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some(token) = line.strip_prefix("owner key: ") {
                key = Some(token.to_owned());
            }
            if let Some((_, rest)) = line.strip_prefix("listening on ").and_then(|url| url.split_once("://")) {
                address = rest.split_whitespace().next().unwrap().parse().ok();
            }
            announced.push(line);
            if address.is_some() {
                break;
            }
        }
        let address = address.unwrap_or_else(|| panic!("the server did not start: {announced:?}, {:?}", child.wait()));
        // Keep reading: a full pipe would block the server.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, key, announced }
    }

    /// Starts it on a database.
    pub fn start_on(database: &PgConnectOptions) -> Self {
        Self::start(muster().env("MUSTER_DATABASE__URL", url(database)))
    }

    pub fn actor(&self, token: &str) -> Actor {
        Actor::new(self.address, Some(token))
    }

    /// The metrics, if the server was started with `MUSTER_METRICS__LISTEN`.
    pub async fn metrics(&self) -> String {
        let mut lines = self.announced.iter();
        let metrics = lines.find_map(|line| line.strip_prefix("metrics: http://")?.strip_suffix("/metrics")).unwrap();
        Actor::new(metrics.parse().unwrap(), None).get("/metrics").await.text
    }

    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to exit.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let start = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < TIMEOUT, "the server does not exit");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal("-TERM");
            self.wait();
        }
    }
}
