//! The cost of metrics and traces: a server with both, scraped and with a collector, compared with a server without.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::client::saturate;
use super::{CLOSE_PAIRS, Paired, Served, paired, pairs};
use crate::Line;

const CONNECTIONS: usize = 16;
const SECONDS: u64 = 2;

/// Scrape interval: a fifteenth of the usual one.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);

pub fn lines() -> Vec<Line> {
    let collector = collector();
    let observed = |per_second: &str| {
        Served::start_with(|command| {
            command
                .env("MUSTER_METRICS__LISTEN", "127.0.0.1:0")
                .env("MUSTER_TRACES__ENDPOINT", format!("http://{collector}"))
                .env("MUSTER_TRACES__PER_SECOND", per_second);
        })
    };
    // A fresh server for each run: the effect of a process's memory layout is as large as the difference.
    let without = || {
        let served = Served::start();
        userinfo(&served, 1);
        userinfo(&served, SECONDS)
    };
    let with = |per_second| {
        let served = observed(per_second);
        userinfo_while_scraped(&served, 1);
        userinfo_while_scraped(&served, SECONDS)
    };
    let usual = pairs(CLOSE_PAIRS, &mut (), |(), _| without(), |(), _| with("100"));
    let all = paired(&mut (), |(), _| without(), |(), _| with("0"));
    let measured = |pair: &Paired| format!("{:.3} ({:.0}/s / {:.0}/s)", pair.ratio, pair.b, pair.a);
    vec![
        Line::at_least("userinfo, requests/s with metrics and traces / without", usual.ratio, 0.97, measured(&usual)),
        Line::reference("  the same with every request traced (traces.per_second = 0)", measured(&all)),
    ]
}

/// Requests per second.
fn userinfo(served: &Served, seconds: u64) -> f64 {
    let clients = (0..CONNECTIONS).map(|_| served.client()).collect();
    saturate(clients, seconds, |client, _, _| client.send_get("/api/v2/userinfo/"))
}

/// Requests per second while the metrics are scraped.
fn userinfo_while_scraped(served: &Served, seconds: u64) -> f64 {
    let line = served.server.announced.iter().find_map(|line| line.strip_prefix("metrics: http://")).unwrap();
    let metrics: SocketAddr = line.strip_suffix("/metrics").unwrap().parse().unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let mut stream = TcpStream::connect(metrics).unwrap();
                stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: muster\r\nconnection: close\r\n\r\n").unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                assert!(text.contains("muster_build_info{"), "{text}");
                std::thread::sleep(SCRAPE_INTERVAL);
            }
        });
        let rate = userinfo(served, seconds);
        is_done.store(true, Ordering::Relaxed);
        rate
    })
}

/// A minimal collector that accepts everything.
fn collector() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(|| accept_all(stream.unwrap()));
        }
    });
    address
}

fn accept_all(mut stream: TcpStream) {
    let mut received = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let head = received.windows(4).position(|four| four == b"\r\n\r\n").map(|end| end + 4);
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let end = head + length.unwrap_or(0_usize);
            if received.len() >= end {
                received.drain(..end);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                continue;
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(read) => received.extend_from_slice(&chunk[..read]),
        }
    }
}
