//! Start time and memory of the process.

use std::process::Command;
use std::time::{Duration, Instant};

use super::{PAIRS, Served, block_on, list, median, password};
use crate::Line;
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, cluster};

pub fn lines() -> Vec<Line> {
    vec![start_on_existing(), start_from_nothing()]
}

pub fn memory() -> Vec<Line> {
    let mut served = Served::start();
    let idle = served.idle_memory();
    let body = list(10_000, |body, n| {
        let email = format!("m{n}@example.com");
        // One in ten has a password, so that all hashing threads allocate their memory.
        let user =
            if n % 10 == 0 { crate::support::with_password(&email, &password(n)) } else { crate::support::sso(&email) };
        body.push_str(&user.to_string());
    });
    served.create(&body);
    let peak = served.resident("VmHWM");
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    let limit = idle + threads * 19 + 64;
    vec![
        Line::at_most("resident memory, idle", idle as f64, 30.0, " MiB", format!("{idle} MiB")),
        Line::at_most(
            "resident memory, peak over a batch of 10,000",
            peak as f64,
            limit as f64,
            " MiB",
            format!("{peak} MiB"),
        ),
        after_the_largest(),
    ]
}

/// The memory a minute after a list of the most rows and nearly the most bytes.
fn after_the_largest() -> Line {
    let mut served = Served::start();
    let idle = served.idle_memory();
    let title = "t".repeat(250);
    let body = list(100_000, |body, n| {
        let email = format!("l{n}@example.com");
        body.push_str(&format!(r#"{{"name":"Ada","email":"{email}","is_sso_user":true,"title":"{title}"}}"#));
    });
    assert!((30 << 20..32 << 20).contains(&body.len()), "{}", body.len());
    served.create(&body);
    std::thread::sleep(Duration::from_secs(60));
    let kept = served.resident("VmRSS");
    let what = "resident memory a minute after 100,000 users in 30 MiB";
    Line::at_most(what, kept as f64, (idle + 64) as f64, " MiB", format!("{kept} MiB (idle {idle} MiB)"))
}

/// The time until the server is ready.
fn start(command: &mut Command) -> (Duration, ServerProcess) {
    let start = Instant::now();
    let server = ServerProcess::start(command);
    let ready = block_on(Actor::new(server.address, None).get("/readyz"));
    assert_eq!(ready.status, 200);
    (start.elapsed(), server)
}

fn start_on_existing() -> Line {
    let Served { server, database, .. } = Served::start();
    drop(server);
    let times = (0..PAIRS)
        .map(|_| {
            start(muster().env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_LOG__LEVEL", "error"))
                .0
                .as_secs_f64()
        })
        .collect();
    let millis = median(times) * 1000.0;
    Line::at_most("muster serve on an existing database, until ready", millis, 300.0, " ms", format!("{millis:.0} ms"))
}

fn start_from_nothing() -> Line {
    cluster();
    let times = (0..3)
        .map(|_| {
            let dir = tempfile::Builder::new().prefix("muster-bench-").tempdir_in("/tmp").unwrap();
            start(muster().env("MUSTER_DATA_DIR", dir.path().join("data")).env("MUSTER_LOG__LEVEL", "error"))
                .0
                .as_secs_f64()
        })
        .collect();
    let seconds = median(times);
    Line::at_most(
        "muster serve from nothing (initdb included), until ready",
        seconds,
        10.0,
        " s",
        format!("{seconds:.1} s"),
    )
}
