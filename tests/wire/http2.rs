//! Malicious HTTP/2 clients, with handwritten frames over TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::certificates::{Authority, Files, serve_tls};
use crate::connect;
use crate::many::resident;
use crate::support::gate::TIMEOUT;
use crate::support::server::ServerProcess;
use crate::tls::trusting;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Opens an HTTP/2 connection and sends the preface.
fn open(server: &ServerProcess, authority: &Authority) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, connect(server));
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    stream
}

/// Encodes a frame (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Encodes the head of a request with HPACK (RFC 7541), without Huffman coding.
fn head(method: u8, path: &str) -> Vec<u8> {
    let literal = |name: u8, value: &str| [&[name, u8::try_from(value.len()).unwrap()], value.as_bytes()].concat();
    // `:scheme` https is indexed; `:authority` and `:path` are literals.
    [&[method, 0x87][..], &literal(0x01, "localhost"), &literal(0x04, path)].concat()
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

/// Reads the next frame: its type and payload.
fn receive(stream: &mut Tls) -> std::io::Result<(u8, Vec<u8>)> {
    let mut start = [0; 9];
    stream.read_exact(&mut start)?;
    let mut payload = vec![0; u32::from_be_bytes([0, start[0], start[1], start[2]]) as usize];
    stream.read_exact(&mut payload)?;
    Ok((start[3], payload))
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_the_limit_are_rejected_and_then_the_connection_is_closed() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let server = serve_tls(&files, &[("TEST_LIMITS", "http2_requests=10")]).await;
    let mut stream = open(&server, &authority);
    // Each request waits for its body.
    let ask = |n: u32| frame(HEADERS, END_HEADERS, 2 * n + 1, &head(POST, "/api/v2/organization_invitations/accept"));
    for n in 0..30 {
        stream.write_all(&ask(n)).unwrap();
    }
    let mut refused = Vec::new();
    while refused.len() < 20 {
        let (kind, payload) = receive(&mut stream).unwrap();
        if kind == DATA && !payload.is_empty() {
            refused.push(String::from_utf8(payload).unwrap());
        }
    }
    let sentence = r#"{"error":{"code":"overloaded","detail":"more than 10 concurrent requests on this connection","#;
    assert!(refused.iter().all(|body| body.starts_with(sentence)), "{refused:?}");
    // The ten keep waiting; a client that keeps sending requests is disconnected.
    let mut more = 30..5_000;
    let ended = more.find(|n| stream.write_all(&ask(*n)).is_err() || receive(&mut stream).is_err());
    assert!(ended.is_some_and(|n| n > 100), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rapid_reset_flood_does_not_delay_other_clients() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let server = serve_tls(&files, &[("SERVER__WORKERS", "2")]).await;
    // Another client, which measures the latency.
    let mut calm = open(&server, &authority);
    let mut stream_id = 1;
    let mut livez = || {
        calm.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, stream_id, &head(GET, "/livez"))).unwrap();
        stream_id += 2;
        while receive(&mut calm).unwrap().1 != br#"{"status":"ok"}"# {}
    };
    livez();
    let before = resident(&server);
    let over = AtomicBool::new(false);
    let flooded = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Each request queries the database.
            while !over.load(Ordering::Relaxed) {
                let mut stream = open(&server, &authority);
                for n in 0..2_000 {
                    let asked = frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &head(GET, "/readyz"));
                    // CANCEL.
                    let reset = frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8]);
                    if stream.write_all(&[asked, reset].concat()).is_err() {
                        break;
                    }
                    flooded.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        // The flood does not end before the other client has its responses.
        let (start, mut answered) = (Instant::now(), 0);
        while answered < 200 || flooded.load(Ordering::Relaxed) < 2_000 || start.elapsed() < Duration::from_secs(3) {
            livez();
            answered += 1;
            if start.elapsed() > TIMEOUT {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        assert!(answered >= 200, "{answered} responses in {TIMEOUT:?}");
    });
    let floods = flooded.into_inner();
    assert!(floods >= 2_000, "{floods}");
    let grown = resident(&server).saturating_sub(before) / 1024;
    assert!(grown < 64, "{grown} MiB more after {floods}");
    livez();
}

#[tokio::test(flavor = "multi_thread")]
async fn header_limits_are_those_of_http_1_1() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let server = serve_tls(&files, &[]).await;
    let client = trusting(&authority).build().unwrap();
    let ask = || client.get(format!("https://{}/livez", server.address));
    for length in [33_000, 1024 * 1024] {
        let refused = ask().header("x", "y".repeat(length)).send().await.unwrap();
        assert_eq!((refused.status().as_u16(), refused.version()), (431, reqwest::Version::HTTP_2));
        assert_eq!(refused.json::<serde_json::Value>().await.unwrap()["error"]["code"], "headers_too_large");
    }
    let many = (0..100).fold(ask(), |request, n| request.header(format!("x-{n}"), "y"));
    assert_eq!(many.send().await.unwrap().status(), 431);
    assert_eq!(ask().header("x", "y".repeat(32_000)).send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_content_length_is_rejected_as_in_http_1_1() {
    let authority = Authority::new();
    let server = serve_tls(&Files::new(&authority), &[]).await;
    let mut stream = open(&server, &authority);
    // `content-length` has index 28 in the static table of RFC 7541, as a literal that is not indexed: 0x0f 0x0d.
    let request = [&head(GET, "/livez")[..], &[0x0f, 0x0d, 1, b'0'], &[0x0f, 0x0d, 1, b'0']].concat();
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &request)).unwrap();
    let body = loop {
        let (kind, payload) = receive(&mut stream).unwrap();
        if kind == DATA {
            break String::from_utf8(payload).unwrap();
        }
    };
    assert!(body.contains(r#""detail":"the request has more than one `Content-Length` header""#), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_does_not_delay_the_shutdown() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let mut server = serve_tls(&files, &[("SERVER__SHUTDOWN_TIMEOUT_SECONDS", "3600")]).await;
    let mut stream = open(&server, &authority);
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(GET, "/livez"))).unwrap();
    while receive(&mut stream).unwrap().1 != br#"{"status":"ok"}"# {}
    server.signal("-TERM");
    // Long before the shutdown timeout.
    assert_eq!(server.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_no_responses_is_disconnected_despite_its_pings() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let settings = [("TEST_LIMITS", "send_timeout=5 header_timeout=600 body_timeout=600 http2_requests=20")];
    let server = serve_tls(&files, &settings).await;
    let before = resident(&server);
    let start = Instant::now();
    let mut silent: Vec<Tls> = (0..20).map(|_| open(&server, &authority)).collect();
    for stream in &mut silent {
        // SETTINGS_INITIAL_WINDOW_SIZE 0 (RFC 9113, section 6.5.2): the server may send no response data.
        stream.write_all(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).unwrap();
        for n in 0..100 {
            let ask = frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &head(GET, "/openapi.json"));
            stream.write_all(&ask).unwrap();
        }
    }
    let mut stream = silent.pop().unwrap();
    stream.sock.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let is_waiting = |error: &std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    loop {
        let said = stream.write_all(&frame(PING, 0, 0, &[7; 8])).and_then(|()| stream.read(&mut [0; 4096]));
        match said {
            Ok(0) => break,
            Err(error) if !is_waiting(&error) => break,
            _ => assert!(start.elapsed() < TIMEOUT, "the connection is still open"),
        }
    }
    assert!(start.elapsed() > Duration::from_millis(4400), "{:?}", start.elapsed());
    // The clients requested 2,000 responses of more than 100 KiB each.
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 40 * 1024, "{grown} KiB");
}
