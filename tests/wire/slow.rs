//! Slow clients: slowloris, slow bodies, idle connections and slow reads.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::smuggling::assert_bare_and_closing;
use crate::support::Actor;
use crate::support::server::ServerProcess;
use crate::{LIVEZ, connect, drip, serve, to_the_end};

/// A server with short timeouts.
async fn with_short_timeouts() -> ServerProcess {
    serve(&[("SERVER__KEEP_ALIVE_SECONDS", "2"), ("TEST_LIMITS", "header_timeout=1 body_timeout=1 send_timeout=1")])
        .await
}

/// Checks that a timeout of so many seconds fired on time.
fn about(took: Duration, seconds: u64) {
    let given = Duration::from_secs(seconds);
    // The clock of the HTTP library ticks twice a second.
    assert!(
        took + Duration::from_millis(600) > given && took < given + Duration::from_secs(3),
        "{took:?}, not {given:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_head_times_out() {
    let server = with_short_timeouts().await;
    let mut stream = connect(&server);
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ").unwrap();
    let (said, took) = drip(&mut stream, b"y");
    assert_bare_and_closing(&said, "408 Request Timeout");
    about(took, 1);
    // So does the second request on a connection, and one that never begins.
    let mut stream = connect(&server);
    stream.write_all(LIVEZ).unwrap();
    let (said, took) = drip(&mut stream, b"G");
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.matches("HTTP/1.1 ").count() == 1, "{said}");
    about(took, 1);
    let (said, took) = to_the_end(&mut connect(&server));
    assert_bare_and_closing(&said, "408 Request Timeout");
    about(took, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_body_times_out() {
    let server = with_short_timeouts().await;
    let post = |path: &str, framing: &str| {
        let mut stream = connect(&server);
        stream.write_all(format!("POST {path} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n").as_bytes()).unwrap();
        stream
    };
    let accept = "/api/v2/organization_invitations/accept";
    for (framing, byte) in [("Content-Length: 4000", &b"y"[..]), ("Transfer-Encoding: chunked", b"1\r\ny\r\n")] {
        let (said, took) = drip(&mut post(accept, framing), byte);
        assert!(said.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{said}");
        assert!(said.contains(r#""detail":"the request body did not arrive within 1 seconds""#), "{said}");
        about(took, 1);
        // A body that no handler reads.
        let (said, took) = drip(&mut post("/nowhere", framing), byte);
        assert!(said.starts_with("HTTP/1.1 404 Not Found\r\n"), "{said}");
        about(took, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_after_the_keep_alive_timeout() {
    let server = with_short_timeouts().await;
    let mut stream = connect(&server);
    stream.write_all(LIVEZ).unwrap();
    let (said, took) = to_the_end(&mut stream);
    assert!(said.ends_with(r#"{"status":"ok"}"#), "{said}");
    about(took, 2);
    // A client that closes its sending side gets the response to its request, but none to half a request.
    let mut stream = connect(&server);
    stream.write_all(LIVEZ).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(to_the_end(&mut stream).0.ends_with(r#"{"status":"ok"}"#));
    let mut stream = connect(&server);
    stream.write_all(b"GET /livez HTTP/1.1\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(to_the_end(&mut stream).0, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_no_response_is_disconnected_and_does_not_affect_others() {
    let server = with_short_timeouts().await;
    let mut greedy = connect(&server);
    greedy.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let start = Instant::now();
    // Until the server stops reading or closes the connection.
    while greedy.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n").is_ok() {
        assert!(start.elapsed() < Duration::from_secs(20), "the server never stops reading");
    }
    let other = Actor::new(server.address, None);
    assert_eq!(other.get("/livez").await.status, 200);
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Data already sent still arrives, then the end of the stream.
    let (_, took) = to_the_end(&mut greedy);
    assert!(took < Duration::from_secs(3), "{took:?}");
}
