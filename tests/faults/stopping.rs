//! A server that is told to stop.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::ConnectOptions;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, BATCH, db_counts, empty_database, sso, with_password};

fn with_passwords(users: usize) -> Value {
    (0..users).map(|n| with_password(&format!("user{n}@example.com"), "kT9$wqzPlr")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_is_not_ready_at_once_and_serves_on_until_that_was_noticed() {
    let database = empty_database().await;
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_SERVER__DRAIN_DELAY_SECONDS", "2");
    let mut server = ServerProcess::start(&mut command);
    let owner = server.actor(&server.key.clone().unwrap());
    assert_eq!(owner.get("/readyz").await.status, 200);
    let start = Instant::now();
    server.signal("-TERM");
    tokio::time::sleep(Duration::from_millis(200)).await;
    // On connections of their own.
    let newcomer = Actor::new(server.address, Some(owner.token()));
    let ready = newcomer.get("/readyz").await;
    assert_eq!(ready.status, 503, "{}", ready.text);
    assert_eq!(ready.error(), json!({"code": "unavailable", "detail": "the server is shutting down"}));
    assert_eq!(newcomer.get("/livez").await.status, 200);
    let created = newcomer.create(&json!([with_password("a@example.com", "kT9$wqzPlr"), sso("b@example.com")])).await;
    assert_eq!(created.status, 200, "{}", created.text);
    assert!(start.elapsed() < Duration::from_millis(1900), "too late to tell: {:?}", start.elapsed());
    assert!(server.wait().success());
    assert!((Duration::from_secs(2)..Duration::from_secs(5)).contains(&start.elapsed()), "{:?}", start.elapsed());
    let mut connection = database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await, [2, 2, 1, 1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_sender_waits_is_finished_and_answered_by_a_server_that_is_stopped() {
    let database = empty_database().await;
    let mut server = ServerProcess::start_on(&database);
    let owner = server.actor(&server.key.clone().unwrap());
    let batch = tokio::spawn(async move { owner.create(&with_passwords(50)).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.signal("-TERM");
    let answer = batch.await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["metadata"]["total"], 50);
    assert!(server.wait().success());
    let mut connection = database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await, [50, 50, 50, 1, 51]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_server_at_once_and_nothing_of_its_batch_exists() {
    let database = empty_database().await;
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_SERVER__DRAIN_DELAY_SECONDS", "20");
    let mut server = ServerProcess::start(&mut command);
    let key = server.key.clone().unwrap();
    let request = server.actor(&key).request("POST", BATCH).header("prefer", "respond-async");
    let accepted = Actor::send(request.body(with_passwords(1000).to_string())).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    server.signal("-TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(server.child.try_wait().unwrap().is_none(), "one signal waits for the batch");
    let start = Instant::now();
    server.signal("-TERM");
    assert!(server.wait().success());
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let other = ServerProcess::start_on(&database);
    let batch = other.actor(&key).get(accepted.header("location")).await.json()["result"].clone();
    assert_eq!(batch["state"], "failed", "{batch}");
    let mut connection = database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await[..3], [0, 0, 0]);
}

/// A server whose log is kept.
fn logged(database: &sqlx::postgres::PgConnectOptions) -> (ServerProcess, tempfile::NamedTempFile) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(database)).stderr(log.reopen().unwrap());
    (ServerProcess::start(&mut command), log)
}

/// The last line of a log, from its level on.
fn last_line(log: &tempfile::NamedTempFile) -> String {
    let text = std::fs::read_to_string(log.path()).unwrap();
    let line = text.lines().last().unwrap_or_default();
    line.split_once("Z ").map_or(line, |(_, rest)| rest).trim().to_owned()
}

/// Signals twice; the second one ends it within a second, with exit status 0.
async fn is_ended_by_the_second_signal(server: &mut ServerProcess, pause: Duration, signals: [&str; 2]) {
    server.signal(signals[0]);
    tokio::time::sleep(pause).await;
    assert!(server.child.try_wait().unwrap().is_none(), "one signal waits");
    let start = Instant::now();
    server.signal(signals[1]);
    assert_eq!(server.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_server_whose_batch_is_being_hashed() {
    for (pause, prefer, requests, batches) in [(20, "respond-async", 0, 1), (1500, "wait", 1, 0)] {
        let database = empty_database().await;
        let (mut server, log) = logged(&database);
        let key = server.key.clone().unwrap();
        let request = server.actor(&key).request("POST", BATCH).header("prefer", prefer);
        let request = request.body(with_passwords(3000).to_string());
        let batch = tokio::spawn(async move { request.send().await.map(|answer| answer.status().as_u16()) });
        if prefer == "wait" {
            tokio::time::sleep(Duration::from_millis(1500)).await;
        } else {
            assert_eq!(batch.await.unwrap().unwrap(), 202);
        }
        is_ended_by_the_second_signal(&mut server, Duration::from_millis(pause), ["-TERM", "-TERM"]).await;
        let line = format!("WARN stopped at once: a second signal requests={requests} batches={batches}");
        assert_eq!(last_line(&log), line);
        let other = ServerProcess::start_on(&database);
        let batches = other.actor(&key).get("/api/v2/batches").await.json()["results"].clone();
        for batch in batches.as_array().unwrap() {
            assert_eq!(batch["state"], "failed", "{batch}");
        }
        let mut connection = database.connect().await.unwrap();
        assert_eq!(db_counts(&mut connection).await[..3], [0, 0, 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_server_to_which_a_body_is_still_being_sent() {
    let database = empty_database().await;
    let (mut server, log) = logged(&database);
    let key = server.key.clone().unwrap();
    let mut client = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let head =
        format!("POST {BATCH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 900\r\n\r\n[");
    client.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    is_ended_by_the_second_signal(&mut server, Duration::from_millis(300), ["-TERM", "-INT"]).await;
    assert_eq!(last_line(&log), "WARN stopped at once: a second signal requests=1 batches=0");
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    assert_eq!(String::from_utf8(answer).unwrap(), "", "no answer says that it was done");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_when_the_time_is_up_stands_in_the_last_line() {
    let database = empty_database().await;
    let (mut server, log) = logged(&database);
    let key = server.key.clone().unwrap();
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(last_line(&log), "INFO stopped");

    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(&database))
        .env("MUSTER_SERVER__SHUTDOWN_TIMEOUT_SECONDS", "2")
        .env("MUSTER_SERVER__DRAIN_DELAY_SECONDS", "1")
        .stderr(log.reopen().unwrap());
    let mut server = ServerProcess::start(&mut command);
    let mut client = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let head =
        format!("POST {BATCH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 900\r\n\r\n[");
    client.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let start = Instant::now();
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
    let took = start.elapsed();
    assert!((Duration::from_millis(1900)..Duration::from_millis(3500)).contains(&took), "{took:?}");
    assert_eq!(last_line(&log), "WARN stopped; the time was up for these requests=1 batches=0");
}

#[test]
fn a_delay_that_leaves_no_time_to_finish_is_refused() {
    let refused = muster()
        .env("MUSTER_SERVER__DRAIN_DELAY_SECONDS", "25")
        .args(["serve", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(refused.stderr).unwrap(),
        "error: `server.drain_delay_seconds` must be less than `server.shutdown_timeout_seconds`\n"
    );
}
