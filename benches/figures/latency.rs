//! Latency of other requests while a batch is hashed, and of a retried batch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::client::Client;
use super::{Served, median, paired, with_passwords};
use crate::Line;

const USERS: usize = 2_000;
/// Number of connections, and the interval of their requests.
const CONNECTIONS: usize = 2;
const PACE: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_secs(10);
const REPLAYS: usize = 21;

pub fn lines() -> Vec<Line> {
    let mut served = Served::start();
    served.create(&with_passwords("warm", 100));
    let millis = paired(
        &mut served,
        |served, _| {
            let over = AtomicBool::new(false);
            p99_during(served, &over, || std::thread::sleep(IDLE))
        },
        |served, pair| {
            let body = with_passwords(&format!("busy{pair}"), USERS);
            let mut client = served.client();
            let over = AtomicBool::new(false);
            p99_during(served, &over, || {
                client.create(&body, &key(pair));
            })
        },
    );
    let body = with_passwords("busy0", USERS);
    let mut client = served.client();
    let replays = (0..REPLAYS)
        .map(|_| {
            let start = Instant::now();
            client.create(&body, &key(0));
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect::<Vec<_>>();
    let worst = replays.iter().copied().fold(0.0, f64::max);
    let replay = median(replays);
    vec![
        Line::at_most(
            "p99 of userinfo while 2,000 passwords are hashed / on the idle server",
            millis.ratio,
            3.0,
            "",
            format!("{:.2} ({:.2} ms / {:.2} ms)", millis.ratio, millis.b, millis.a),
        ),
        Line::at_most(
            "replay of a batch of 2,000 password users",
            replay,
            20.0,
            " ms",
            format!("{replay:.1} ms (worst {worst:.1} ms)"),
        ),
    ]
}

fn key(pair: usize) -> String {
    format!("idempotency-key: busy-{pair}\r\n")
}

/// The p99 in milliseconds of requests sent at a fixed interval during `work`.
pub fn p99_during(served: &Served, over: &AtomicBool, work: impl FnOnce()) -> f64 {
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let client = served.client();
                scope.spawn(move || send_requests(client, over))
            })
            .collect();
        work();
        over.store(true, Ordering::Relaxed);
        senders.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    times.sort_by(f64::total_cmp);
    times[times.len() * 99 / 100]
}

fn send_requests(mut client: Client, over: &AtomicBool) -> Vec<f64> {
    client.get("/api/v2/userinfo/");
    let mut times = Vec::new();
    let mut due = Instant::now();
    while !over.load(Ordering::Relaxed) {
        due += PACE;
        let now = Instant::now();
        // If the previous response was late, this request's wait counts (no coordinated omission).
        let start = if now < due {
            std::thread::sleep(due - now);
            Instant::now()
        } else {
            due
        };
        client.get("/api/v2/userinfo/");
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times
}
