//! Graceful shutdown.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::gate::{Gate, eventually};
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, BATCH, db_counts, migrated_database, sso, with_password};

fn with_passwords(users: usize) -> Value {
    (0..users).map(|n| with_password(&format!("user{n}@example.com"), "kT9$wqzPlr")).collect()
}

/// Waits until the server has handled a signal: a new connection gets 503 from `/readyz`, or is no longer accepted.
async fn is_not_ready(server: &ServerProcess) {
    eventually("the server is not ready", async || {
        let request = Actor::new(server.address, None).request("GET", "/readyz").timeout(Duration::from_secs(60));
        request.send().await.map_or(true, |answer| answer.status() == 503)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_shutting_down_reports_not_ready_and_serves_new_connections_during_the_drain_delay() {
    let database = migrated_database().await;
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(&database))
        .env("MUSTER_SERVER__SHUTDOWN_TIMEOUT_SECONDS", "300")
        .env("MUSTER_SERVER__DRAIN_DELAY_SECONDS", "200");
    let mut server = ServerProcess::start(&mut command);
    let owner = server.actor(&server.key.clone().unwrap());
    assert_eq!(owner.get("/readyz").await.status, 200);
    server.signal("-TERM");
    is_not_ready(&server).await;
    let newcomer = Actor::new(server.address, Some(owner.token()));
    let ready = newcomer.get("/readyz").await;
    assert_eq!(ready.status, 503, "{}", ready.text);
    assert_eq!(ready.error(), json!({"code": "unavailable", "detail": "the server is shutting down"}));
    assert_eq!(newcomer.get("/livez").await.status, 200);
    let created = newcomer.create(&json!([with_password("a@example.com", "kT9$wqzPlr"), sso("b@example.com")])).await;
    assert_eq!(created.status, 200, "{}", created.text);
    server.signal("-TERM");
    assert!(server.wait().success());
    let mut connection = database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await, [2, 2, 1, 1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_exits_after_its_drain_delay_and_not_before() {
    let database = migrated_database().await;
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_SERVER__DRAIN_DELAY_SECONDS", "2");
    let mut server = ServerProcess::start(&mut command);
    let start = Instant::now();
    server.signal("-TERM");
    assert!(server.wait().success());
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_in_progress_is_finished_and_answered_during_shutdown() {
    let (database, gate) = (migrated_database().await, Gate::closed("batch::hashed"));
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&database)).envs([gate.variable()]);
    let mut server = ServerProcess::start(&mut command);
    let owner = server.actor(&server.key.clone().unwrap());
    let batch = tokio::spawn(async move { owner.create(&with_passwords(5)).await });
    gate.reached().await;
    server.signal("-TERM");
    is_not_ready(&server).await;
    gate.release();
    let answer = batch.await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["metadata"]["total"], 5);
    assert!(server.wait().success());
    let mut connection = database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await, [5, 5, 5, 1, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_accepted_during_shutdown_is_created_before_the_server_stops() {
    let (database, gate) = (migrated_database().await, Gate::closed("pool::check"));
    let (mut server, log) = held(&database, &gate, "3600");
    // Hashing takes longer than the rest of the shutdown.
    let request = server.actor(&server.key.clone().unwrap()).request("POST", BATCH).header("prefer", "respond-async");
    let batch = tokio::spawn(Actor::send(request.body(with_passwords(200).to_string())));
    gate.reached().await;
    server.signal("-TERM");
    eventually("the server stops", async || TcpStream::connect(server.address).await.is_err()).await;
    gate.release();
    let answer = batch.await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert!(server.wait().success());
    let mut connection = database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await, [200, 200, 200, 1, 201]);
    assert_eq!(last_line(&log), "INFO stopped");
}

/// A server that a test holds at a step, and its log.
fn held(database: &PgConnectOptions, gate: &Gate, timeout: &str) -> (ServerProcess, tempfile::NamedTempFile) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(database))
        .env("MUSTER_SERVER__SHUTDOWN_TIMEOUT_SECONDS", timeout)
        .envs([gate.variable()])
        .stderr(log.reopen().unwrap());
    (ServerProcess::start(&mut command), log)
}

/// The last line of a log, from its level on.
fn last_line(log: &tempfile::NamedTempFile) -> String {
    let text = std::fs::read_to_string(log.path()).unwrap();
    let line = text.lines().last().unwrap_or_default();
    line.split_once("Z ").map_or(line, |(_, rest)| rest).trim().to_owned()
}

/// The first signal lets the work in progress finish; the second one ends the process with exit status 0.
async fn is_ended_by_the_second_signal(server: &mut ServerProcess, signals: [&str; 2]) {
    server.signal(signals[0]);
    is_not_ready(server).await;
    assert!(server.child.try_wait().unwrap().is_none(), "the first signal waits");
    server.signal(signals[1]);
    assert_eq!(server.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_forces_the_shutdown_and_rolls_back_the_batch_in_progress() {
    for (prefer, requests, batches) in [("respond-async", 0, 1), ("wait", 1, 1)] {
        let (database, gate) = (migrated_database().await, Gate::closed("batch::hashing"));
        let (mut server, log) = held(&database, &gate, "300");
        let key = server.key.clone().unwrap();
        let request = server.actor(&key).request("POST", BATCH).header("prefer", prefer);
        let request = request.body(with_passwords(3).to_string());
        let batch = tokio::spawn(async move { request.send().await.map(|answer| answer.status().as_u16()) });
        gate.reached().await;
        if prefer == "respond-async" {
            assert_eq!(batch.await.unwrap().unwrap(), 202);
        }
        is_ended_by_the_second_signal(&mut server, ["-TERM", "-TERM"]).await;
        let line = format!("WARN forced shutdown (second signal) requests={requests} batches={batches}");
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

/// Begins a request whose body the server waits for.
async fn begin_body(server: &ServerProcess, gate: &Gate, key: &str) -> TcpStream {
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let head =
        format!("POST {BATCH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 900\r\n\r\n[");
    client.write_all(head.as_bytes()).await.unwrap();
    gate.reached().await;
    gate.release();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_forces_the_shutdown_while_a_request_body_is_being_received() {
    let (database, gate) = (migrated_database().await, Gate::closed("batch::authorized"));
    let (mut server, log) = held(&database, &gate, "300");
    let key = server.key.clone().unwrap();
    let mut client = begin_body(&server, &gate, &key).await;
    is_ended_by_the_second_signal(&mut server, ["-TERM", "-INT"]).await;
    assert_eq!(last_line(&log), "WARN forced shutdown (second signal) requests=1 batches=0");
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    assert_eq!(String::from_utf8(answer).unwrap(), "", "no response reports success");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_log_line_counts_the_work_that_a_timed_out_shutdown_aborted() {
    let (database, gate) = (migrated_database().await, Gate::closed("batch::authorized"));
    let (mut server, log) = held(&database, &gate, "25");
    let key = server.key.clone().unwrap();
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(last_line(&log), "INFO stopped");

    let (mut server, log) = held(&database, &gate, "2");
    let _client = begin_body(&server, &gate, &key).await;
    let start = Instant::now();
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(start.elapsed() >= Duration::from_millis(1900), "{:?}", start.elapsed());
    assert_eq!(last_line(&log), "WARN shutdown timed out; in-flight work was aborted requests=1 batches=0");
}

#[test]
fn a_drain_delay_that_is_not_less_than_the_shutdown_timeout_is_rejected() {
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
