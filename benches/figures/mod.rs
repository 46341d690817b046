//! The benchmarks and their shared tools.

pub mod attacks;
pub mod bulk;
pub mod client;
pub mod connections;
pub mod console;
pub mod instances;
pub mod latency;
pub mod passwords;
pub mod people;
pub mod process;
pub mod sign_ins;
pub mod singles;
pub mod sizes;
pub mod telemetry;

use std::fmt::Write;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;

use crate::baseline::Rows;
use crate::support;
use crate::support::server::{ServerProcess, muster, url};
use client::Client;

/// Number of pairs in a comparison.
pub const PAIRS: usize = 5;

/// Number of pairs, of a few seconds each, when both sides are nearly equal: background load then affects both.
pub const CLOSE_PAIRS: usize = 15;

/// A password that satisfies the policy, different for each `n`.
pub fn password(n: usize) -> String {
    format!("kT9$wqzPlr-{n:05}")
}

/// An imported hash, different for each `n`.
pub fn hash(n: usize) -> String {
    format!("$argon2id$v=19$m=19456,t=2,p=1${n:021}A${}A", "x".repeat(42))
}

/// A JSON list of users.
pub fn list(users: usize, row: impl Fn(&mut String, usize)) -> String {
    let mut body = String::with_capacity(users * 100);
    for n in 0..users {
        body.push(if n == 0 { '[' } else { ',' });
        row(&mut body, n);
    }
    body.push(']');
    body
}

pub fn with_passwords(prefix: &str, users: usize) -> String {
    list(users, |body, n| {
        let password = password(n);
        write!(
            body,
            r#"{{"name":"Ada","email":"{prefix}-{n}@example.com","is_sso_user":false,"password":"{password}"}}"#
        )
        .unwrap();
    })
}

pub fn with_rows(rows: Rows, prefix: &str, users: usize) -> String {
    list(users, |body, n| {
        match rows {
            Rows::Sso => write!(body, r#"{{"name":"Ada","email":"{prefix}-{n}@example.com","is_sso_user":true}}"#),
            Rows::Hashed => write!(
                body,
                r#"{{"name":"Ada","email":"{prefix}-{n}@example.com","is_sso_user":false,"password_hash":"{}"}}"#,
                hash(n)
            ),
        }
        .unwrap();
    })
}

/// A server on a new database, with a connected client.
pub struct Served {
    pub server: ServerProcess,
    pub client: Client,
    pub database: PgConnectOptions,
}

impl Served {
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// Starts a server with changed settings.
    pub fn start_with(change: impl FnOnce(&mut Command)) -> Self {
        let database = block_on(support::migrated_database());
        let mut command = muster();
        command
            .env("MUSTER_DATABASE__URL", url(&database))
            .env("MUSTER_LOG__LEVEL", "error")
            .env("MUSTER_BATCH__MAX_USERS", "100000");
        change(&mut command);
        let server = ServerProcess::start(&mut command);
        let client = Client::new(server.address, server.key.as_deref().unwrap());
        Self { server, client, database }
    }

    /// Opens another connection.
    pub fn client(&self) -> Client {
        Client::new(self.server.address, self.server.key.as_deref().unwrap())
    }

    /// The time from sending the request to receiving the whole response.
    pub fn create(&mut self, body: &str) -> Duration {
        // The server closes idle connections.
        self.client = self.client();
        let start = Instant::now();
        self.client.create(body, "");
        start.elapsed()
    }

    /// Resident memory in MiB, rounded up: current (`VmRSS`) or peak (`VmHWM`).
    pub fn resident(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib.div_ceil(1024)
    }

    /// Resident memory in MiB of the idle server, after a few requests.
    pub fn idle_memory(&mut self) -> u64 {
        // The server closes idle connections.
        self.client = self.client();
        for _ in 0..20 {
            self.client.get("/api/v2/userinfo/");
        }
        std::thread::sleep(Duration::from_secs(1));
        self.resident("VmRSS")
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());
    RUNTIME.block_on(future)
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Medians over all pairs: of A, of B, and of B / A.
pub struct Paired {
    pub a: f64,
    pub b: f64,
    pub ratio: f64,
}

/// Measures [`PAIRS`] pairs in alternating order.
pub fn paired<T>(both: &mut T, a: impl FnMut(&mut T, usize) -> f64, b: impl FnMut(&mut T, usize) -> f64) -> Paired {
    pairs(PAIRS, both, a, b)
}

/// Measures pairs in alternating order.
pub fn pairs<T>(
    pairs: usize,
    both: &mut T,
    mut a: impl FnMut(&mut T, usize) -> f64,
    mut b: impl FnMut(&mut T, usize) -> f64,
) -> Paired {
    let (mut all_a, mut all_b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..pairs {
        let (one, other) = if pair % 2 == 0 {
            let one = a(both, pair);
            (one, b(both, pair))
        } else {
            let other = b(both, pair);
            (a(both, pair), other)
        };
        all_a.push(one);
        all_b.push(other);
        ratios.push(other / one);
    }
    Paired { a: median(all_a), b: median(all_b), ratio: median(ratios) }
}
