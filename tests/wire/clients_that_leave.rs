//! Clients that close the connection while their batch is being hashed, in the way real clients do: with FIN (resets are
//! in `tests/faults/hang_up.rs`). And clients that are kept waiting.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Stdio;

use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::certificates::{Authority, Files};
use crate::support::gate::{Gate, eventually};
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, BATCH, db_counts, migrated_database, with_password};
use crate::tls::trusting;

/// A server that a test can hold while it hashes, and its log.
struct Held {
    server: ServerProcess,
    gate: Gate,
    log: tempfile::NamedTempFile,
    database: PgConnectOptions,
    key: String,
    left: usize,
}

impl Held {
    async fn start(settings: &[(&str, String)]) -> Self {
        Self::start_at("batch::hashing", settings).await
    }

    async fn start_at(step: &'static str, settings: &[(&str, String)]) -> Self {
        let (database, gate) = (migrated_database().await, Gate::open(step));
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = muster();
        command.env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_METRICS__LISTEN", "127.0.0.1:0");
        command.envs([gate.variable()]);
        command.stderr(Stdio::from(log.reopen().unwrap()));
        command.envs(settings.iter().map(|(name, value)| (format!("MUSTER_{name}"), value)));
        let server = ServerProcess::start(&mut command);
        let key = server.key.clone().unwrap();
        Self { server, gate, log, database, key, left: 0 }
    }

    fn lines_with(&self, text: &str) -> usize {
        std::fs::read_to_string(self.log.path()).unwrap().lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until the log says that one more client has left, then lets the server go on.
    async fn client_has_left(&mut self) {
        self.left += 1;
        let line = format!("request method=\"POST\" route=\"{BATCH}\" status=499");
        eventually("the server notices that the client left", async || self.lines_with(&line) == self.left).await;
        self.gate.release();
    }

    async fn nothing_was_created(&self) {
        assert_eq!(self.lines_with("status=200"), 0);
        let mut connection = self.database.connect().await.unwrap();
        let [users, _, passwords, ..] = db_counts(&mut connection).await;
        assert_eq!([users, passwords], [0, 0]);
    }
}

fn users() -> Value {
    json!([with_password("a@example.com", "kT9$wqzPlr"), with_password("b@example.com", "kT9$wqzPlr")])
}

/// Sends the users over plain HTTP.
fn send(held: &Held, after: &str) -> TcpStream {
    send_with(held, "", after)
}

fn send_with(held: &Held, headers: &str, after: &str) -> TcpStream {
    let mut stream = crate::connect(&held.server);
    let (key, body) = (&held.key, users().to_string());
    let length = body.len();
    write!(
        stream,
        "POST {BATCH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{headers}Content-Length: {length}\r\n\r\n{body}{after}"
    )
    .unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_its_connection_while_its_passwords_are_hashed_cancels_its_batch() {
    let mut held = Held::start(&[]).await;
    for how in ["closes", "closes its sending side", "has sent another request"] {
        held.gate.close();
        let stream =
            send(&held, if how == "has sent another request" { "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" } else { "" });
        held.gate.reached().await;
        if how == "closes its sending side" {
            stream.shutdown(Shutdown::Write).unwrap();
            held.client_has_left().await;
        } else {
            drop(stream);
            held.client_has_left().await;
        }
    }
    held.nothing_was_created().await;
    // The batch is not in the way of a retry.
    let answer = held.server.actor(&held.key).create(&users()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_too_with_http_1_1_and_with_http_2() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let mut held = Held::start(&files.settings()).await;
    for client in [trusting(&authority).http1_only(), trusting(&authority)] {
        held.gate.close();
        let client = client.build().unwrap();
        let request = client.post(format!("https://{}{BATCH}", held.server.address)).bearer_auth(&held.key);
        let sent = tokio::spawn(request.body(users().to_string()).send());
        held.gate.reached().await;
        sent.abort();
        drop(client);
        held.client_has_left().await;
    }
    held.nothing_was_created().await;
}

/// Sends the users as the vendor's client does, to a server that takes them for a long list, and reads up to a blank.
fn send_slow(held: &Held) -> (TcpStream, String) {
    let mut stream = send_with(held, "X-Anyscale-Client: CLI\r\n", "");
    let (mut said, mut byte) = (String::new(), [0]);
    while !said.ends_with("\r\n\r\n1\r\n \r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{said}");
        said.push(char::from(byte[0]));
    }
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.contains("\r\ntransfer-encoding: chunked\r\n"), "{said}");
    (stream, said)
}

/// Reads the JSON after the first blank.
fn rest_of(stream: &mut TcpStream) -> Value {
    let mut rest = String::new();
    while !rest.ends_with("\r\n0\r\n\r\n") {
        let mut some = [0; 4096];
        let read = stream.read(&mut some).unwrap();
        assert!(read > 0, "{rest}");
        rest.push_str(std::str::from_utf8(&some[..read]).unwrap());
    }
    let (chunks, mut body) = (rest.split("\r\n").skip(1).step_by(2), String::new());
    chunks.for_each(|chunk| body.push_str(chunk));
    serde_json::from_str(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_client_gets_blanks_while_it_waits_for_the_same_request() {
    let settings = [("TEST_LIMITS", "slow_batch=0 blank_interval=1".to_owned())];
    let mut held = Held::start_at("batch::hashed", &settings).await;
    let owner = held.server.actor(&held.key);
    held.gate.close();
    let first = tokio::spawn({
        let owner = owner.clone();
        async move { owner.create(&users()).await }
    });
    held.gate.reached().await;
    let (mut second, _) = send_slow(&held);
    let (leaving, _) = send_slow(&held);
    drop(leaving);
    held.client_has_left().await;
    let first = first.await.unwrap();
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(rest_of(&mut second), first.json());

    // The first client leaves: the request that waits for it starts again.
    assert_eq!(Actor::send(undo(&owner).await).await.status, 200);
    held.gate.close();
    let first = send(&held, "");
    held.gate.reached().await;
    let (mut second, _) = send_slow(&held);
    drop(first);
    held.client_has_left().await;
    assert_eq!(rest_of(&mut second)["metadata"]["total"], 2);
    let mut connection = held.database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await[0], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_client_gets_blanks_until_its_long_list_is_created() {
    let settings = [("TEST_LIMITS", "slow_batch=0 blank_interval=1".to_owned())];
    let mut held = Held::start_at("batch::hashed", &settings).await;
    held.gate.close();
    let (mut stream, _) = send_slow(&held);
    held.gate.release();
    let created = rest_of(&mut stream);
    assert_eq!(created["metadata"]["total"], 2, "{created}");
    // The connection stays usable, and the response was delivered.
    stream.write_all(crate::LIVEZ).unwrap();
    let mut some = [0; 4096];
    let read = stream.read(&mut some).unwrap();
    assert!(some[..read].starts_with(b"HTTP/1.1 200 OK\r\n"));
    let owner = held.server.actor(&held.key);
    assert_eq!(owner.create(&users()).await.status, 409);
    // What is known before is an ordinary response.
    let said = crate::to_the_end(&mut send_with(&held, "X-Anyscale-Client: CLI\r\nConnection: close\r\n", ""));
    assert!(said.starts_with("HTTP/1.1 409 Conflict\r\n"), "{said}");

    // A failure breaks the connection off, and a client that leaves ends its batch.
    assert_eq!(Actor::send(undo(&owner).await).await.status, 200);
    held.gate.close();
    let (mut stream, _) = send_slow(&held);
    let batch = owner.get("/api/v2/batches?state=running").await.json()["results"][0]["batch_id"].clone();
    let cancel = format!("/api/v2/batches/{}/cancel", batch.as_str().unwrap());
    assert_eq!(Actor::send(owner.request("POST", &cancel)).await.status, 200);
    held.gate.release();
    let rest = crate::to_the_end(&mut stream);
    assert!(!rest.contains("0\r\n\r\n") && !rest.contains("user_id"), "{rest}");
    held.gate.close();
    let (stream, _) = send_slow(&held);
    drop(stream);
    held.client_has_left().await;
    eventually("the batch fails", async || {
        let batches = owner.get("/api/v2/batches").await.json();
        let states: Vec<_> = (0..3).map(|n| batches["results"][n]["state"].as_str().unwrap()).collect();
        states == ["failed", "cancelled", "undone"]
    })
    .await;
    let mut connection = held.database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await[0], 0);
    // Each of the 5 requests is counted once, also those whose response had begun when they failed or their client left.
    let counted = held.server.metrics().await;
    let requests = counted
        .lines()
        .filter(|line| line.starts_with("muster_http_requests_total{") && line.contains(&format!("route=\"{BATCH}\"")));
    let requests: u32 = requests.map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()).sum();
    assert_eq!(requests, 5, "{counted}");
}

/// Undoes the only batch.
async fn undo(owner: &Actor) -> reqwest::RequestBuilder {
    let batch = owner.get("/api/v2/batches").await.json()["results"][0]["batch_id"].clone();
    owner.request("POST", &format!("/api/v2/batches/{}/undo", batch.as_str().unwrap()))
}
