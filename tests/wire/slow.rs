//! Slow clients: slowloris, slow bodies, idle connections and slow reads.

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::smuggling::assert_bare_and_closing;
use crate::support::Actor;
use crate::support::server::ServerProcess;
use crate::{LIVEZ, connect, drip, serve, to_the_end};

/// A server whose timeouts are ten minutes, except for these, of so many seconds. A keep-alive timeout is a setting.
async fn with_timeouts(names: &[&str], seconds: u64) -> ServerProcess {
    let of = |other: &str| if names.contains(&other) { seconds } else { 600 };
    let limits = ["header_timeout", "body_timeout", "send_timeout"].map(|other| format!("{other}={}", of(other)));
    let keep_alive = of("keep_alive").to_string();
    serve(&[("SERVER__KEEP_ALIVE_SECONDS", &keep_alive), ("TEST_LIMITS", &limits.join(" "))]).await
}

/// Runs the function and checks that it took at least so many seconds. That it ends shows that the timeout fired.
fn after<T>(seconds: u64, ends: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = ends();
    // The clock of the HTTP library ticks twice a second.
    let least = Duration::from_secs(seconds) - Duration::from_millis(600);
    assert!(start.elapsed() > least, "{:?}, not {least:?}", start.elapsed());
    result
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_head_times_out() {
    let server = with_timeouts(&["header_timeout"], 1).await;
    let said = after(1, || {
        let mut stream = connect(&server);
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ").unwrap();
        drip(&mut stream, b"y")
    });
    assert_bare_and_closing(&said, "408 Request Timeout");
    // So does the second request on a connection, and one that never begins.
    let said = after(1, || {
        let mut stream = connect(&server);
        stream.write_all(LIVEZ).unwrap();
        drip(&mut stream, b"G")
    });
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.matches("HTTP/1.1 ").count() == 1, "{said}");
    let said = after(1, || to_the_end(&mut connect(&server)));
    assert_bare_and_closing(&said, "408 Request Timeout");
}

/// The framing of a body, and bytes of it.
const BODIES: [(&str, &[u8]); 2] = [("Content-Length: 4000", b"y"), ("Transfer-Encoding: chunked", b"1\r\ny\r\n")];

/// Begins a request with a body.
fn post(server: &ServerProcess, path: &str, framing: &str) -> TcpStream {
    let mut stream = connect(server);
    stream.write_all(format!("POST {path} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n").as_bytes()).unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_body_times_out() {
    // After the response, the rest of a body is not waited for longer than the next head.
    let server = with_timeouts(&["body_timeout", "header_timeout"], 1).await;
    for (framing, byte) in BODIES {
        let said = after(1, || drip(&mut post(&server, "/api/v2/organization_invitations/accept", framing), byte));
        assert!(said.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{said}");
        assert!(said.contains(r#""detail":"the request body did not arrive within 1 seconds""#), "{said}");
        // A body that no handler reads.
        let said = after(1, || drip(&mut post(&server, "/nowhere", framing), byte));
        assert!(said.starts_with("HTTP/1.1 404 Not Found\r\n"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_after_the_keep_alive_timeout() {
    let server = with_timeouts(&["keep_alive"], 2).await;
    let said = after(2, || {
        let mut stream = connect(&server);
        stream.write_all(LIVEZ).unwrap();
        to_the_end(&mut stream)
    });
    assert!(said.ends_with(r#"{"status":"ok"}"#), "{said}");
    // A client that closes its sending side gets the response to its request, but none to half a request.
    let mut stream = connect(&server);
    stream.write_all(LIVEZ).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(to_the_end(&mut stream).ends_with(r#"{"status":"ok"}"#));
    let mut stream = connect(&server);
    stream.write_all(b"GET /livez HTTP/1.1\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(to_the_end(&mut stream), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_no_response_is_disconnected_and_does_not_affect_others() {
    let server = with_timeouts(&["send_timeout"], 1).await;
    let mut greedy = connect(&server);
    // Sends requests until the server has stopped reading and then closes the connection.
    let sending = std::thread::spawn(move || {
        loop {
            if let Err(error) = greedy.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n") {
                return (greedy, error.kind());
            }
        }
    });
    let other = Actor::new(server.address, None);
    loop {
        assert_eq!(other.get("/livez").await.status, 200);
        if sending.is_finished() {
            break;
        }
    }
    let (mut greedy, ended) = sending.join().unwrap();
    assert!(matches!(ended, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "still connected: {ended}");
    // Data already sent may still arrive, then the end of the stream.
    to_the_end(&mut greedy);
}
