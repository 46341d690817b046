//! Signing in with a password, compared with bare hashing; refusals, whose times must not tell them apart; looking up sessions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use muster::id::Id;
use muster::sessions::Token;
use sqlx::postgres::PgConnectOptions;

use super::client::{Client, saturate};
use super::{Served, paired, password, with_passwords};
use crate::Line;
use crate::baseline::{Hashes, execute};

const PATH: &str = "/api/v2/users/login";
const PEOPLE: usize = 400;
const CONNECTIONS: usize = 16;
const SECONDS: u64 = 5;
/// Sign-ins one after the other, on an idle server or beside a batch.
const ONE_BY_ONE: usize = 200;
/// Refusals of each class.
const REFUSALS: usize = 600;
const AT_ONCE: usize = 500;
const FEW_SESSIONS: usize = 1_000;
const MANY_SESSIONS: usize = 1_000_000;
/// Longer than a session is cached.
const UNCACHED: Duration = Duration::from_millis(1_200);

fn attempt(email: &str, password: &str) -> String {
    format!(r#"{{"email":"{email}","password":"{password}"}}"#)
}

fn of_person(n: usize) -> String {
    let n = n % PEOPLE;
    attempt(&format!("people-{n}@example.com"), &password(n))
}

pub fn lines() -> Vec<Line> {
    let mut served = Served::start_with(|command| {
        command.env("MUSTER_SIGN_IN__THROTTLE", "false");
    });
    served.create(&with_passwords("people", PEOPLE));
    let mut lines = vec![rate(&mut served)];
    lines.extend(latency(&mut served));
    lines.push(timing(&served));
    lines.extend(at_once());
    lines.push(look_ups());
    lines
}

/// Sign-ins a second on all cores.
fn rate(served: &mut Served) -> Line {
    let mut hashes = Hashes::new();
    let count = 1_000;
    let rates = paired(
        served,
        |_, _| count as f64 / hashes.run(count).as_secs_f64(),
        |served, _| {
            let clients = (0..CONNECTIONS).map(|_| served.client()).collect();
            saturate(clients, SECONDS, |client, connection, n| {
                client.send_post(PATH, &of_person(connection + n * CONNECTIONS))
            })
        },
    );
    Line::at_least(
        "sign-ins on 16 connections, rate / bare argon2id",
        rates.ratio,
        0.95,
        format!("{:.3} ({:.1}/s / {:.1}/s)", rates.ratio, rates.b, rates.a),
    )
}

/// The p99 of a sign-in on an idle server and beside a batch that hashes.
fn latency(served: &mut Served) -> Vec<Line> {
    let mut hashes = Hashes::new();
    let one_hash = hashes.run(1).as_secs_f64() * 1e3;
    let p99s = paired(
        served,
        |served, _| p99(&mut served.client(), &AtomicBool::new(false)),
        |served, pair| {
            let body = with_passwords(&format!("busy{pair}"), 2_000);
            let (mut batch, mut client, over) = (served.client(), served.client(), AtomicBool::new(false));
            std::thread::scope(|scope| {
                let creating = scope.spawn(|| {
                    batch.create(&body, "");
                    over.store(true, Ordering::Relaxed);
                });
                let p99 = p99(&mut client, &over);
                creating.join().unwrap();
                p99
            })
        },
    );
    vec![
        Line::at_most(
            "p99 of a sign-in on an idle server, beyond one hash",
            p99s.a - one_hash,
            15.0,
            " ms",
            format!("{:.1} ms ({:.1} ms, a hash {one_hash:.1} ms)", p99s.a - one_hash, p99s.a),
        ),
        Line::at_most(
            "p99 of a sign-in while 2,000 passwords are hashed / on the idle server",
            p99s.ratio,
            3.0,
            "",
            format!("{:.2} ({:.1} ms / {:.1} ms)", p99s.ratio, p99s.b, p99s.a),
        ),
    ]
}

fn p99(client: &mut Client, over: &AtomicBool) -> f64 {
    let mut times = Vec::new();
    for n in 0..ONE_BY_ONE {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let start = Instant::now();
        client.post(PATH, &of_person(n));
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() * 99 / 100]
}

/// Welch's t between the times of refusals of an unknown account, a wrong password, and an account without a password.
fn timing(served: &Served) -> Line {
    let created = with_passwords("none", 1).replace(&password(0), "");
    served.client().post("/api/v2/users/admin_batch_create", &created);
    let classes = [
        attempt("nobody@example.com", "a guess at a password"),
        attempt("people-1@example.com", "a guess at a password"),
        attempt("none-0@example.com", "a guess at a password"),
    ];
    let mut client = served.client();
    let mut times = [const { Vec::new() }; 3];
    for n in 0..REFUSALS * classes.len() {
        // In turns, so that load on the machine affects all classes alike.
        let class = (n + n / classes.len()) % classes.len();
        let start = Instant::now();
        client.send_post(PATH, &classes[class]);
        client.receive(401);
        times[class].push(start.elapsed().as_secs_f64() * 1e3);
    }
    let [unknown, wrong, none] = times.map(trimmed);
    let highest = [welch(&unknown, &wrong), welch(&unknown, &none), welch(&wrong, &none)].map(f64::abs);
    let t = highest.into_iter().fold(0.0, f64::max);
    Line::at_most(
        "Welch's |t| between refusals of three kinds, 600 each",
        t,
        4.5,
        "",
        format!("{t:.2} ({:.2} ms)", mean(&wrong)),
    )
}

/// Without the slowest tenth, which is noise of the machine.
fn trimmed(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times.truncate(times.len() * 9 / 10);
    times
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn welch(a: &[f64], b: &[f64]) -> f64 {
    let variance = |values: &[f64]| {
        let mean = mean(values);
        values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
    };
    (mean(a) - mean(b)) / (variance(a) / a.len() as f64 + variance(b) / b.len() as f64).sqrt()
}

/// 500 guesses at one account at once: memory, and what they get.
fn at_once() -> Vec<Line> {
    let mut served = Served::start();
    served.create(&with_passwords("people", 1));
    let idle = served.idle_memory();
    let mut clients: Vec<Client> = (0..AT_ONCE).map(|_| served.client()).collect();
    let start = Instant::now();
    for client in &mut clients {
        client.send_post(PATH, &attempt("people-0@example.com", "a guess at a password"));
    }
    let mut statuses = [0; 3];
    for client in &mut clients {
        match client.status() {
            401 => statuses[0] += 1,
            429 => statuses[1] += 1,
            503 => statuses[2] += 1,
            other => panic!("{other}"),
        }
    }
    let took = start.elapsed();
    std::thread::sleep(Duration::from_millis(100));
    let peak = served.resident("VmHWM").saturating_sub(idle);
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    let limit = threads * 19 + 32;
    let [hashed, throttled, busy] = statuses;
    vec![
        Line::at_most(
            "500 guesses at one account at once, memory above idle",
            peak as f64,
            limit as f64,
            " MiB",
            format!("{peak} MiB"),
        ),
        Line::at_most(
            "  of them hashed",
            f64::from(hashed),
            10.0,
            "",
            format!("{hashed}; 429: {throttled}; 503: {busy}; {:.2} s", took.as_secs_f64()),
        ),
    ]
}

const INSERT: &str = "insert into sessions
    (organization_id, session_id, user_id, secret_sha256, stage, method, authenticated_at, created_at, last_seen_at,
     idle_expires_at, expires_at, ended_at, end_reason)
    select organization_id, session_id, user_id, secret, 'full', 'password', now(), now(), now(),
        now() + interval '1 hour', now() + interval '1 day',";

/// Begins sessions of the user that this statement finds, and returns their tokens.
pub fn open(database: &PgConnectOptions, person: &str, count: usize) -> Vec<String> {
    let found = execute(database, &format!("\\t on\n\\a\n{person};"));
    let organization_id = Id::from_uuid(found.trim().split('|').next().unwrap().parse().unwrap());
    let tokens: Vec<Token> = (0..count).map(|_| Token::generate(organization_id, Id::new(Utc::now()))).collect();
    let row = |token: &Token| {
        format!("('{}'::uuid, '\\x{}'::bytea)", uuid::Uuid::from(token.id), hex::encode(token.sha256()))
    };
    let rows = tokens.iter().map(row).collect::<Vec<_>>().join(",");
    execute(
        database,
        &format!("{INSERT} null, null from ({person}) as person, (values {rows}) as session (session_id, secret);"),
    );
    tokens.iter().map(|token| token.text().expose().to_owned()).collect()
}

/// A server with sessions.
struct Sessions {
    served: Served,
    /// Of [`FEW_SESSIONS`] that are not over.
    tokens: Vec<String>,
}

impl Sessions {
    /// The sessions of one user, most of which are over: they stay for a while.
    fn with(sessions: usize) -> Self {
        let mut served = Served::start();
        served.create(&with_passwords("people", 1));
        let person = "select organization_id, user_id from users where email = 'people-0@example.com'";
        let tokens = open(&served.database, person, FEW_SESSIONS);
        let past = sessions - FEW_SESSIONS;
        execute(
            &served.database,
            &format!(
                "{INSERT} now(), 'signed_out' from ({person}) as person,
                    (select gen_random_uuid(), sha256(n::text::bytea) from generate_series(1, {past}) n) as session (session_id, secret);
                 vacuum analyze sessions;"
            ),
        );
        Self { served, tokens }
    }

    /// The p99 in milliseconds of a request by each session.
    fn p99(&self) -> f64 {
        std::thread::sleep(UNCACHED);
        let mut client = self.served.client();
        let time = |token: &String| {
            let start = Instant::now();
            client.get_with_session("/api/v2/userinfo/", token);
            start.elapsed().as_secs_f64() * 1e3
        };
        let mut times: Vec<f64> = self.tokens.iter().map(time).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() * 99 / 100]
    }
}

/// Requests by sessions that are not cached, whatever the number of sessions.
fn look_ups() -> Line {
    let mut both = [FEW_SESSIONS, MANY_SESSIONS].map(Sessions::with);
    let p99s = paired(&mut both, |[few, _], _| few.p99(), |[_, many], _| many.p99());
    Line::at_most(
        "p99 of a request by a session that is not cached, 1,000,000 sessions / 1,000",
        p99s.ratio,
        1.5,
        "",
        format!("{:.2} ({:.2} ms / {:.2} ms)", p99s.ratio, p99s.b, p99s.a),
    )
}
