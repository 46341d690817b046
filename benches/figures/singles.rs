//! One user for each request, on many connections, compared with the same statements in `pgbench`.

use super::client::saturate;
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

/// Requests per second.
fn create(served: &Served, round: usize, seconds: u64) -> f64 {
    let clients = (0..CONNECTIONS).map(|_| served.client()).collect();
    saturate(clients, seconds, |client, connection, n| {
        let body = format!(r#"[{{"name":"Ada","email":"s{round}-{connection}-{n}@example.com","is_sso_user":true}}]"#);
        client.send_create(&body, "");
    })
}
