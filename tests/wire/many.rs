//! Many connections at once.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::support::Actor;
use crate::support::gate::{TIMEOUT, eventually};
use crate::support::server::ServerProcess;
use crate::{LIVEZ, connect, serve, to_the_end};

/// The resident memory of the server, in KiB.
pub fn resident(server: &ServerProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_do_not_delay_other_clients() {
    // Fewer if the file descriptor limit of this machine is lower.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let many = usize::try_from(hard.min(11_000) - 1_000).unwrap();
    assert!(many > 0);
    let server = serve(&[
        ("SERVER__MAX_CONNECTIONS", "12000"),
        ("SERVER__CONNECTIONS_PER_ADDRESS", "0"),
        ("TEST_LIMITS", "header_timeout=600"),
    ])
    .await;
    let before = resident(&server);
    let mut held: Vec<_> = (0..many)
        .map(|n| {
            let mut stream = connect(&server);
            // Half of them send nothing, half an incomplete head.
            let begun: &[u8] = if n % 2 == 0 { b"GET /livez HTTP/1.1\r\nHost: x\r\n" } else { b"" };
            stream.write_all(begun).unwrap();
            stream
        })
        .collect();
    for path in ["/livez", "/readyz"] {
        // Less than the time after which the server closes the idle connections.
        let answer = tokio::time::timeout(TIMEOUT, Actor::new(server.address, None).get(path)).await.unwrap();
        assert_eq!(answer.status, 200, "{path}");
    }
    let each = (resident(&server) - before) / u64::try_from(many).unwrap();
    assert!(each <= 40, "{each} KiB for each of {many}");
    // A held connection is served once its request is complete.
    held[0].write_all(b"Connection: close\r\n\r\n").unwrap();
    assert!(to_the_end(&mut held[0]).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_wait() {
    let server = serve(&[
        ("SERVER__WORKERS", "1"),
        ("SERVER__MAX_CONNECTIONS", "20"),
        ("SERVER__CONNECTIONS_PER_ADDRESS", "0"),
        ("TEST_LIMITS", "header_timeout=600"),
    ])
    .await;
    // Connections are accepted in their order.
    let mut silent: Vec<_> = (0..20).map(|_| connect(&server)).collect();
    let mut one_more = connect(&server);
    one_more.write_all(&[&LIVEZ[..LIVEZ.len() - 2], b"Connection: close\r\n\r\n"].concat()).unwrap();
    one_more.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let waits = one_more.read(&mut [0]).unwrap_err();
    assert_eq!(waits.kind(), ErrorKind::WouldBlock);
    // A connection that ends makes room for it.
    drop(silent.pop());
    one_more.set_read_timeout(Some(TIMEOUT)).unwrap();
    let said = to_the_end(&mut one_more);
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
}

/// Connects from another address of the loopback interface.
async fn connect_from(address: [u8; 4], server: &ServerProcess) -> std::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    let stream = socket.connect(server.address).await.unwrap().into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Whether the server answers on the connection; otherwise it has closed the connection without a response.
fn is_served(stream: &mut std::net::TcpStream) -> bool {
    let last = [&LIVEZ[..LIVEZ.len() - 2], b"Connection: close\r\n\r\n"].concat();
    // The server may have closed the connection already.
    let _ = stream.write_all(&last);
    let said = to_the_end(stream);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    !said.is_empty()
}

/// One worker, so that connections are counted in the order in which they were opened, and time for all of them.
async fn serve_in_order(settings: &[(&str, &str)]) -> ServerProcess {
    serve(&[&[("SERVER__WORKERS", "1"), ("TEST_LIMITS", "header_timeout=120")], settings].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_one_address_over_its_limit_are_closed_and_others_are_served() {
    let server = serve_in_order(&[("SERVER__CONNECTIONS_PER_ADDRESS", "3")]).await;
    let mut held: Vec<_> = (0..3).map(|_| connect(&server)).collect();
    for _ in 0..2 {
        assert!(!is_served(&mut connect(&server)));
    }
    assert!(is_served(&mut connect_from([127, 0, 0, 2], &server).await));
    assert!(is_served(&mut held[0]));
    eventually("a closed connection makes room", async || is_served(&mut connect(&server))).await;
    assert!(is_served(&mut held[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_at_most_half_of_all_connections() {
    let server = serve_in_order(&[("SERVER__MAX_CONNECTIONS", "8")]).await;
    let mut held: Vec<_> = (0..4).map(|_| connect(&server)).collect();
    assert!(!is_served(&mut connect(&server)));
    assert!(is_served(&mut held[3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_a_trusted_proxy_are_not_limited() {
    let proxies = ("SERVER__TRUSTED_PROXIES", r#"["127.0.0.1"]"#);
    let server = serve_in_order(&[("SERVER__CONNECTIONS_PER_ADDRESS", "1"), proxies]).await;
    let mut held: Vec<_> = (0..4).map(|_| connect(&server)).collect();
    for stream in &mut held {
        assert!(is_served(stream));
    }
    let _other = connect_from([127, 0, 0, 2], &server).await;
    assert!(!is_served(&mut connect_from([127, 0, 0, 2], &server).await));
}
