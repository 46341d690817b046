//! `muster healthcheck`, for the health check of a container.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use crate::run;
use crate::support::gate::TIMEOUT;
use crate::support::server::{ServerProcess, muster};
use crate::support::{TestApp, file, migrated_database};

/// Runs the health check with this listen address.
fn check(listen: &str) -> (Option<i32>, String, String) {
    let ran = run(muster().arg("healthcheck").env("MUSTER_LISTEN", listen));
    (ran.status, ran.out, ran.err)
}

/// A program that responds with these bytes.
fn respond_with(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(answer).unwrap();
    });
    address
}

fn alive() -> (Option<i32>, String, String) {
    (Some(0), "alive\n".to_owned(), String::new())
}

#[tokio::test]
async fn a_server_is_alive_on_any_listen_address_and_without_its_database() {
    let app = TestApp::spawn().await;
    let port = app.address.port();
    assert_eq!(check(&format!("127.0.0.1:{port}")), alive());
    // As in a container, where the server listens on all addresses.
    assert_eq!(check(&format!("0.0.0.0:{port}")), alive());
    app.served.close().await;
    assert_eq!(check(&format!("127.0.0.1:{port}")), alive());
}

#[test]
fn a_missing_server_is_reported_in_one_line_with_exit_status_1() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let why = std::net::TcpStream::connect(free).unwrap_err();
    let refused = format!("error: no response from {free}: {why}\n");
    assert_eq!(check(&free.to_string()), (Some(1), String::new(), refused));
}

#[test]
fn an_unresponsive_server_times_out_after_three_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let start = Instant::now();
    let message = format!("error: no response from {address} within 3 s\n");
    assert_eq!(check(&address.to_string()), (Some(1), String::new(), message));
    assert!((Duration::from_secs(3)..TIMEOUT).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[test]
fn another_program_on_the_port_is_not_alive() {
    let not_found: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    for answer in [not_found, b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"220 mail.example.org ESMTP\r\n", b"HTTP"] {
        let address = respond_with(answer);
        let message = format!("error: unexpected response from {address}\n");
        assert_eq!(check(&address.to_string()), (Some(1), String::new(), message));
    }
}

/// Provides no certificate: the handshake of these tests ends before one is needed.
#[derive(Debug)]
struct NoCertificate;

impl rustls::server::ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<std::sync::Arc<rustls::sign::CertifiedKey>> {
        None
    }
}

#[test]
fn the_tls_alert_of_a_tls_server_counts_as_alive() {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_cert_resolver(std::sync::Arc::new(NoCertificate));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = std::sync::Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut tls = rustls::ServerConnection::new(std::sync::Arc::clone(&config)).unwrap();
            // Responds to plain text with a TLS alert.
            let _ = tls.complete_io(&mut stream.unwrap());
        }
    });
    let check_with_tls = |address: SocketAddr| {
        let mut command = muster();
        command.arg("healthcheck").env("MUSTER_LISTEN", address.to_string());
        command
            .env("MUSTER_SERVER__TLS_CERTIFICATE_FILE", "server.pem")
            .env("MUSTER_SERVER__TLS_KEY_FILE", "server.key");
        let ran = run(&mut command);
        (ran.status, ran.out, ran.err)
    };
    assert_eq!(check_with_tls(address), alive());
    // Without TLS in the settings, an alert is unexpected; with TLS, a plaintext response is.
    let unexpected = |address| (Some(1), String::new(), format!("error: unexpected response from {address}\n"));
    assert_eq!(check(&address.to_string()), unexpected(address));
    let plain = respond_with(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(check_with_tls(plain), unexpected(plain));
}

#[test]
fn a_random_port_is_a_usage_error() {
    let message = "error: can't check a server on a random port; set `server.listen` to a fixed port\n".to_owned();
    assert_eq!(check("127.0.0.1:0"), (Some(2), String::new(), message));
}

#[tokio::test]
async fn the_address_comes_from_the_settings() {
    let mut server = ServerProcess::start_on(&migrated_database().await);
    let settings = file(format!("[server]\nlisten = \"{}\"\n", server.address).as_bytes(), ".toml");
    let mut command = muster();
    command.arg("healthcheck").env("MUSTER_CONFIG", settings.path());
    assert_eq!(run(&mut command).out, "alive\n");
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(run(&mut command).status, Some(1));
}
