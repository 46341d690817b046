//! The server below the HTTP API: TLS, timeouts, limits and malicious clients.
//!
//! The tests use real server processes and raw sockets on the loopback interface.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod certificates;
mod clients_that_leave;
mod http2;
mod many;
mod proxies;
mod slow;
mod smuggling;
mod tls;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::gate::TIMEOUT;
use support::migrated_database;
use support::server::{ServerProcess, muster, url};

/// Starts a server on an empty database, with settings such as `("SERVER__WORKERS", "1")`.
async fn serve(settings: &[(&str, &str)]) -> ServerProcess {
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&migrated_database().await)).env("MUSTER_LOG__LEVEL", "error");
    for (name, value) in settings {
        command.env(format!("MUSTER_{name}"), value);
    }
    ServerProcess::start(&mut command)
}

/// A request that needs no database.
const LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";

/// Connects with a timeout for reads and writes that is longer than those of the servers under test.
fn connect(server: &ServerProcess) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Reads until the server closes the connection; returns the data.
fn to_the_end(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        // The server resets the connection if it did not read everything.
        let ends = [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::UnexpectedEof];
        assert!(ends.contains(&error.kind()), "the server does not close the connection: {error}");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends a byte every 100 ms until the server closes the connection; returns the response.
fn drip(stream: &mut TcpStream, byte: &[u8]) -> String {
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (start, mut said, mut some) = (Instant::now(), Vec::new(), [0; 4096]);
    loop {
        assert!(start.elapsed() < TIMEOUT, "the server does not close the connection");
        match stream.read(&mut some) {
            Ok(0) => break,
            Ok(read) => said.extend_from_slice(&some[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        if stream.write_all(byte).is_err() {
            break;
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}
