//! What others notice while one key or one address attacks, and the memory that it takes.
//!
//! An attacker is on another machine: it sends as much as a link of 1 Gbit/s carries, and pauses between attempts, so that
//! it does not use up the cores itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use muster::keys::Token;
use serde_json::{Value, json};

use super::latency::p99_during;
use super::{Served, median, pairs};
use crate::Line;
use crate::baseline::fill;
use crate::support::BATCH;

const INVITATIONS: &str = "/api/v2/organization_invitations/";
const PAIRS: usize = 3;
const MEASURED: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);
/// The bytes of a chunk, and how long the link takes for it.
const CHUNK: usize = 64 << 10;
const PER_CHUNK: Duration = Duration::from_nanos(8 * (64 << 10));
/// Audit events that a filter looks through.
const EVENTS: usize = 2_000_000;

/// The limits.
const P99: f64 = 5.0;
const LIVEZ_MS: f64 = 50.0;
/// What a server may take above its idle memory, in MiB: the default of `server.body_budget`, and a margin. The memory of
/// each hashing thread comes on top.
const BUDGET: u64 = 256;
const MARGIN: u64 = 64;
const HASH: u64 = 19;

struct Target {
    address: SocketAddr,
    token: String,
    invitation: String,
}

/// One attempt of one of `clients`.
struct Attack {
    what: &'static str,
    clients: usize,
    attempt: fn(&Target, &AtomicBool),
}

const ATTACKS: [Attack; 8] = [
    Attack { what: "40 bodies of 31 MiB without their last byte", clients: 40, attempt: withhold },
    Attack { what: "lists of 31 MiB of white space", clients: 4, attempt: send_blanks },
    Attack { what: "dry runs of 10,000 passwords that are hard to judge", clients: 2, attempt: judge },
    Attack { what: "an invitation, accepted with such passwords", clients: 8, attempt: accept },
    Attack { what: "a rare filter over 2,000,000 audit events", clients: 20, attempt: filter },
    Attack { what: "forged keys of an existing organization", clients: 8, attempt: forge },
    Attack { what: "connections that send half a request", clients: 8, attempt: stall },
    Attack { what: "lists of 2,000 passwords whose clients leave", clients: 4, attempt: leave },
];

pub fn lines() -> Vec<Line> {
    let mut served = Served::start_with(|command| {
        command.env_remove("MUSTER_BATCH__MAX_USERS");
    });
    fill(&served.database, EVENTS);
    let target = Target {
        address: served.server.address,
        token: served.server.key.clone().unwrap(),
        invitation: invite(&served),
    };
    let idle = served.idle_memory();
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    let memory = idle + BUDGET + threads * HASH + MARGIN;
    ATTACKS
        .iter()
        .map(|attack| {
            let mut livez = Vec::new();
            let p99 = pairs(
                PAIRS,
                &mut served,
                |served, _| p99_during(served, &AtomicBool::new(false), || std::thread::sleep(MEASURED)),
                |served, _| {
                    let (p99, worst) = under(attack, served, &target);
                    livez.push(worst);
                    p99
                },
            );
            let (livez, peak) = (median(livez), served.resident("VmHWM"));
            Line {
                what: attack.what,
                measured: format!("{:.1} ({:.2} ms), {livez:.0} ms, {peak} MiB", p99.ratio, p99.b),
                limit: format!("{P99}, {LIVEZ_MS}, {memory}"),
                met: Some(p99.ratio <= P99 && livez <= LIVEZ_MS && peak <= memory),
            }
        })
        .collect()
}

/// The p99 of others, and the worst of `/livez`, in milliseconds.
fn under(attack: &Attack, served: &Served, target: &Target) -> (f64, f64) {
    let over = AtomicBool::new(false);
    let mut probe = served.client();
    let measured = std::thread::scope(|scope| {
        let mut prober = None;
        let p99 = p99_during(served, &over, || {
            for _ in 0..attack.clients {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        (attack.attempt)(target, &over);
                        std::thread::sleep(PAUSE);
                    }
                });
            }
            prober = Some(scope.spawn(|| {
                let mut worst = 0.0_f64;
                while !over.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    probe.get("/livez");
                    worst = worst.max(start.elapsed().as_secs_f64() * 1e3);
                    std::thread::sleep(PAUSE);
                }
                worst
            }));
            std::thread::sleep(MEASURED);
        });
        (p99, prober.unwrap().join().unwrap())
    });
    // What the attack left behind ends before the next measurement of the idle server.
    std::thread::sleep(Duration::from_secs(4));
    measured
}

fn invite(served: &Served) -> String {
    let owner = served.server.actor(served.server.key.as_deref().unwrap());
    let path = format!("{INVITATIONS}batch_create");
    let answer = super::block_on(owner.post(&path, &json!([{"email": "invited@example.com"}])));
    let link = answer.json()["results"][0]["data"]["link"].as_str().unwrap().to_owned();
    link.rsplit('/').next().unwrap().to_owned()
}

/// Substitutions of letters, which the estimate of a password's strength tries.
fn hard_password() -> String {
    "@4({[<1!|7$5+69".repeat(16)
}

fn head(target: &Target, path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: muster\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n",
        target.token
    )
}

/// Connects and sends; the server may close the connection meanwhile.
fn send(target: &Target, parts: &[&[u8]]) -> Option<TcpStream> {
    static FREE_AT: Mutex<Option<Instant>> = Mutex::new(None);
    let mut stream = TcpStream::connect(target.address).ok()?;
    for chunk in parts.iter().flat_map(|part| part.chunks(CHUNK)) {
        let now = Instant::now();
        let turn = {
            let mut free_at = FREE_AT.lock().unwrap();
            let turn = free_at.map_or(now, |free_at| free_at.max(now));
            *free_at = Some(turn + PER_CHUNK);
            turn
        };
        std::thread::sleep(turn - now);
        stream.write_all(chunk).ok()?;
    }
    stream.set_read_timeout(Some(PAUSE)).ok()?;
    Some(stream)
}

/// Reads until the server closes the connection or the measurement is over.
fn read(stream: Option<TcpStream>, over: &AtomicBool) {
    let Some(mut stream) = stream else { return };
    let (mut received, start) = ([0; 16 * 1024], Instant::now());
    while !over.load(Ordering::Relaxed) && start.elapsed() < Duration::from_secs(30) {
        match stream.read(&mut received) {
            Ok(0) => return,
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
            _ => {}
        }
    }
}

fn blanks() -> &'static [u8] {
    static BLANKS: LazyLock<Vec<u8>> = LazyLock::new(|| vec![b' '; 31 << 20]);
    &BLANKS
}

fn withhold(target: &Target, over: &AtomicBool) {
    read(send(target, &[head(target, BATCH, blanks().len() + 1).as_bytes(), blanks()]), over);
}

fn send_blanks(target: &Target, over: &AtomicBool) {
    read(send(target, &[head(target, BATCH, blanks().len()).as_bytes(), blanks()]), over);
}

fn judge(target: &Target, over: &AtomicBool) {
    static BODY: LazyLock<String> = LazyLock::new(|| users(10_000, &hard_password()));
    let path = format!("{BATCH}?dry_run=true");
    read(send(target, &[head(target, &path, BODY.len()).as_bytes(), BODY.as_bytes()]), over);
}

fn accept(target: &Target, over: &AtomicBool) {
    let body = json!({"token": target.invitation, "name": "Ada", "password": hard_password()}).to_string();
    let path = format!("{INVITATIONS}accept");
    read(send(target, &[head(target, &path, body.len()).as_bytes(), body.as_bytes()]), over);
}

fn filter(target: &Target, over: &AtomicBool) {
    get(target, "/api/v2/audit/events?action=organization.rename", &target.token, over);
}

fn forge(target: &Target, over: &AtomicBool) {
    let own = Token::parse(&target.token).unwrap();
    let forged = Token::generate(own.organization_id, own.id);
    get(target, "/api/v2/userinfo/", forged.text().expose(), over);
}

fn get(target: &Target, path: &str, token: &str, over: &AtomicBool) {
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: muster\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
    read(send(target, &[request.as_bytes()]), over);
}

/// 200 connections: of all clients together, more than one address may have.
fn stall(target: &Target, over: &AtomicBool) {
    let streams: Vec<_> = (0..200).filter_map(|_| send(target, &[b"GET /livez HTTP/1.1\r\nhost: "])).collect();
    while !over.load(Ordering::Relaxed) && !streams.is_empty() {
        std::thread::sleep(PAUSE);
    }
}

fn leave(target: &Target, _: &AtomicBool) {
    static BODY: LazyLock<String> = LazyLock::new(|| super::with_passwords("left", 2_000));
    let stream = send(target, &[head(target, BATCH, BODY.len()).as_bytes(), BODY.as_bytes()]);
    std::thread::sleep(10 * PAUSE);
    drop(stream);
}

fn users(count: usize, password: &str) -> String {
    let user = |n| {
        let email = format!("hard{n}@example.com");
        json!({"name": "Ada", "email": email, "password": password, "is_sso_user": false})
    };
    (0..count).map(user).collect::<Value>().to_string()
}
