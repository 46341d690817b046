//! Clients that close the connection while their batch is being hashed, in the way real clients do: with FIN. Resets are
//! in `tests/faults/hang_up.rs`.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::process::Stdio;

use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::certificates::{Authority, Files};
use crate::support::gate::{Gate, eventually};
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{BATCH, db_counts, migrated_database, with_password};
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
        let (database, gate) = (migrated_database().await, Gate::open("batch::hashing"));
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = muster();
        command.env("MUSTER_DATABASE__URL", url(&database)).envs([gate.variable()]);
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
    let mut stream = crate::connect(&held.server);
    let (key, body) = (&held.key, users().to_string());
    let length = body.len();
    write!(
        stream,
        "POST {BATCH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n{body}{after}"
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
