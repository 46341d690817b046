//! The cost of idle connections.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::client::Client;
use super::{Served, latency, paired};
use crate::Line;

const CONNECTIONS: usize = 2_000;
const MEASURED: Duration = Duration::from_secs(5);

pub fn lines() -> Vec<Line> {
    let mut served = Served::start_with(|command| {
        command.env("MUSTER_SERVER__CONNECTIONS_PER_ADDRESS", "0");
    });
    let mut cost = None;
    let before = served.idle_memory();
    let millis = paired(
        &mut served,
        |served, _| p99(served),
        |served, _| {
            let idle = open(served);
            let grown = served.resident("VmRSS").saturating_sub(before);
            cost = cost.or(Some(grown));
            let millis = p99(served);
            drop(idle);
            // Give the server time to notice.
            std::thread::sleep(Duration::from_secs(1));
            millis
        },
    );
    let cost = cost.unwrap();
    vec![
        Line::at_most("2,000 idle connections, resident memory", cost as f64, 40.0, " MiB", format!("{cost} MiB")),
        Line::at_most(
            "p99 of userinfo with 2,000 idle connections / without",
            millis.ratio,
            1.5,
            "",
            format!("{:.2} ({:.2} ms / {:.2} ms)", millis.ratio, millis.b, millis.a),
        ),
    ]
}

/// Opens keep-alive connections and uses each once.
fn open(served: &Served) -> Vec<Client> {
    // Each connection needs a file descriptor in this process, too.
    let limit = nix::sys::resource::Resource::RLIMIT_NOFILE;
    let (_, hard) = nix::sys::resource::getrlimit(limit).unwrap();
    nix::sys::resource::setrlimit(limit, hard, hard).unwrap();
    (0..CONNECTIONS)
        .map(|_| {
            let mut client = served.client();
            client.get("/api/v2/userinfo/");
            client
        })
        .collect()
}

fn p99(served: &Served) -> f64 {
    let over = AtomicBool::new(false);
    latency::p99_during(served, &over, || std::thread::sleep(MEASURED))
}
