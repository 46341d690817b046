//! `cargo bench`: what muster exists for, as ratios against what the machine can do at all.
//!
//! Each figure compares a real release server (its own process, its real PostgreSQL) with a bare
//! baseline in the same run: medians of alternating A/B pairs, since machines are noisy. A bar
//! that is missed makes the run fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark prints, and may panic"
)]

#[path = "../tests/support/mod.rs"]
mod support;

mod baseline;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use support::server::{ServerProcess, muster, url};
use support::{Actor, cluster};

/// Pairs of each comparison.
const PAIRS: usize = 7;

const PASSWORD_USERS: usize = 500;
const SSO_USERS: usize = 10_000;

struct Line {
    what: &'static str,
    measured: String,
    bar: String,
    met: bool,
}

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    support::DURABLE.store(true, std::sync::atomic::Ordering::Relaxed);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lines = runtime.block_on(async {
        let mut lines = vec![start_on_existing().await, start_from_nothing()];
        lines.push(password_batch().await);
        lines.push(sso_batch().await);
        lines.extend(memory().await);
        lines
    });
    println!("\n{:<62} {:>24} {:>12}", "", "measured", "bar");
    for Line { what, measured, bar, met } in &lines {
        println!("{what:<62} {measured:>24} {bar:>12}  {}", if *met { "met" } else { "MISSED" });
    }
    std::process::exit(i32::from(lines.iter().any(|line| !line.met)));
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The median of B's time over A's, of pairs that alternate in order.
fn paired(mut a: impl FnMut() -> Duration, mut b: impl FnMut() -> Duration) -> (f64, f64, f64) {
    let (mut times_a, mut times_b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let (one, other) = if pair % 2 == 0 {
            let one = a();
            (one, b())
        } else {
            let other = b();
            (a(), other)
        };
        times_a.push(one.as_secs_f64());
        times_b.push(other.as_secs_f64());
        ratios.push(other.as_secs_f64() / one.as_secs_f64());
    }
    (median(times_a), median(times_b), median(ratios))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

/// A server on a new database.
async fn server() -> (ServerProcess, Actor, PgConnectOptions) {
    let database = support::empty_database().await;
    let server =
        ServerProcess::start(muster().env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_LOG__LEVEL", "warn"));
    let owner = server.actor(server.key.as_deref().unwrap());
    (server, owner, database)
}

/// The time from asking to having the whole answer.
fn create(owner: &Actor, users: &[Value]) -> Duration {
    let body = json!(users).to_string();
    let start = Instant::now();
    let answer = block_on(owner.create_raw(body));
    let elapsed = start.elapsed();
    assert_eq!(answer.status, 200, "{}", answer.text);
    elapsed
}

async fn password_batch() -> Line {
    let (_server, owner, _) = server().await;
    let mut hashes = baseline::Hashes::new();
    let mut round = 0;
    let mut batch = || {
        round += 1;
        let users: Vec<Value> = (0..PASSWORD_USERS)
            .map(|n| support::with_password(&format!("p{round}-{n}@example.com"), &baseline::password(n)))
            .collect();
        create(&owner, &users)
    };
    batch();
    let (bare, whole, ratio) = paired(|| hashes.run(PASSWORD_USERS), batch);
    Line {
        what: "500 password users over HTTP, time / bare argon2id",
        measured: format!("{ratio:.3} ({whole:.2} s / {bare:.2} s)"),
        bar: "<= 1.06".to_owned(),
        met: ratio <= 1.06,
    }
}

async fn sso_batch() -> Line {
    let (_server, owner, database) = server().await;
    let (mut round, mut psql_round) = (0, 0);
    let mut batch = || {
        round += 1;
        let users: Vec<Value> = (0..SSO_USERS).map(|n| support::sso(&format!("h{round}-{n}@example.com"))).collect();
        create(&owner, &users)
    };
    let mut bare = || {
        psql_round += 1;
        baseline::insert_select(&database, SSO_USERS, psql_round)
    };
    batch();
    bare();
    let (bare, whole, ratio) = paired(bare, batch);
    let (rate, bare_rate) = (SSO_USERS as f64 / whole, SSO_USERS as f64 / bare);
    Line {
        what: "10,000 SSO users over HTTP, rows/s / INSERT … SELECT in psql",
        measured: format!("{:.2} ({rate:.0}/s / {bare_rate:.0}/s)", 1.0 / ratio),
        bar: ">= 0.50".to_owned(),
        met: 1.0 / ratio >= 0.5,
    }
}

async fn memory() -> Vec<Line> {
    let (server, owner, _) = server().await;
    for _ in 0..20 {
        owner.get("/api/v2/userinfo/").await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = resident(&server, "VmRSS");
    let users: Vec<Value> = (0..SSO_USERS)
        .map(|n| {
            let email = format!("m{n}@example.com");
            // A tenth with passwords: enough for all hash threads to have their memory.
            if n % 10 == 0 { support::with_password(&email, &baseline::password(n)) } else { support::sso(&email) }
        })
        .collect();
    create(&owner, &users);
    let peak = resident(&server, "VmHWM");
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    let bar = idle + threads * 19 + 64;
    vec![
        Line {
            what: "resident memory, idle",
            measured: format!("{idle} MiB"),
            bar: "<= 30 MiB".to_owned(),
            met: idle <= 30,
        },
        Line {
            what: "resident memory, peak over a batch of 10,000",
            measured: format!("{peak} MiB"),
            bar: format!("<= {bar} MiB"),
            met: peak <= bar,
        },
    ]
}

/// MiB, rounded up.
fn resident(server: &ServerProcess, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib.div_ceil(1024)
}

/// Until it answers that it is ready.
fn start(command: &mut std::process::Command) -> (Duration, ServerProcess) {
    let start = Instant::now();
    let server = ServerProcess::start(command);
    let ready = block_on(Actor::new(server.address, None).get("/readyz"));
    assert_eq!(ready.status, 200);
    (start.elapsed(), server)
}

async fn start_on_existing() -> Line {
    let (server, _, database) = server().await;
    drop(server);
    let times = (0..PAIRS)
        .map(|_| {
            start(muster().env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_LOG__LEVEL", "warn")).0.as_secs_f64()
        })
        .collect();
    let millis = median(times) * 1000.0;
    Line {
        what: "muster serve on an existing database, until ready",
        measured: format!("{millis:.0} ms"),
        bar: "<= 300 ms".to_owned(),
        met: millis <= 300.0,
    }
}

fn start_from_nothing() -> Line {
    cluster();
    let times = (0..3)
        .map(|_| {
            let dir = tempfile::Builder::new().prefix("muster-bench-").tempdir_in("/tmp").unwrap();
            start(muster().env("MUSTER_DATA_DIR", dir.path().join("data")).env("MUSTER_LOG__LEVEL", "warn"))
                .0
                .as_secs_f64()
        })
        .collect();
    let seconds = median(times);
    Line {
        what: "muster serve from nothing (initdb included), until ready",
        measured: format!("{seconds:.1} s"),
        bar: "<= 10 s".to_owned(),
        met: seconds <= 10.0,
    }
}
