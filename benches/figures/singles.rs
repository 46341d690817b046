//! One user a request, from many connections, against the same statements in `pgbench`.

use std::time::{Duration, Instant};

use super::{Served, paired};
use crate::Line;
use crate::baseline::{Pgbench, settle};

const CONNECTIONS: usize = 16;
const SECONDS: u64 = 5;

pub fn lines() -> Vec<Line> {
    let mut served = Served::start();
    let mut pgbench = Pgbench::new(&served.database);
    create(&served, 90, 1);
    pgbench.rate(CONNECTIONS, 1);
    settle(&served.database);
    let rates =
        paired(&mut served, |_, _| pgbench.rate(CONNECTIONS, SECONDS), |served, pair| create(served, pair, SECONDS));
    vec![Line::at_least(
        "single creates, 16 connections, requests/s / pgbench's transactions/s",
        rates.ratio,
        0.6,
        format!("{:.2} ({:.0}/s / {:.0}/s)", rates.ratio, rates.b, rates.a),
    )]
}

/// Requests a second.
fn create(served: &Served, round: usize, seconds: u64) -> f64 {
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| served.client()).collect();
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let done: usize = std::thread::scope(|scope| {
        let running: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(thread, client)| {
                scope.spawn(move || {
                    let mut done = 0;
                    while Instant::now() < end {
                        let body = format!(
                            r#"[{{"name":"Ada","email":"s{round}-{thread}-{done}@example.com","is_sso_user":true}}]"#
                        );
                        client.create(&body, "");
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    done as f64 / start.elapsed().as_secs_f64()
}
