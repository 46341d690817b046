//! Clients that take their time: for sending, for receiving, for ever.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::smuggling::assert_is_like_all_others;
use crate::support::Actor;
use crate::support::server::ServerProcess;
use crate::{LIVEZ, connect, drip, serve, to_the_end};

/// A server with little patience.
async fn impatient() -> ServerProcess {
    serve(&[("SERVER__KEEP_ALIVE_SECONDS", "2"), ("TEST_LIMITS", "header_timeout=1 body_timeout=1 send_timeout=1")])
        .await
}

/// Whether it took about as long as it was given.
fn about(took: Duration, seconds: u64) {
    let given = Duration::from_secs(seconds);
    // The library's own clock ticks twice a second.
    assert!(
        took + Duration::from_millis(600) > given && took < given + Duration::from_secs(3),
        "{took:?}, not {given:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end_is_waited_for_so_long_and_no_longer() {
    let server = impatient().await;
    let mut stream = connect(&server);
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ").unwrap();
    let (said, took) = drip(&mut stream, b"y");
    assert!(said.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{said}");
    assert_is_like_all_others(&said);
    about(took, 1);
    // The next one on a connection that is kept, too; and one that never begins.
    let mut stream = connect(&server);
    stream.write_all(LIVEZ).unwrap();
    let (said, took) = drip(&mut stream, b"G");
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.matches("HTTP/1.1 ").count() == 1, "{said}");
    about(took, 1);
    let (said, took) = to_the_end(&mut connect(&server));
    assert!(said.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{said}");
    assert_is_like_all_others(&said);
    about(took, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_end_is_waited_for_so_long_and_no_longer() {
    let server = impatient().await;
    let post = |path: &str, framing: &str| {
        let mut stream = connect(&server);
        stream.write_all(format!("POST {path} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n").as_bytes()).unwrap();
        stream
    };
    let accept = "/api/v2/organization_invitations/accept";
    for (framing, byte) in [("Content-Length: 4000", &b"y"[..]), ("Transfer-Encoding: chunked", b"1\r\ny\r\n")] {
        let (said, took) = drip(&mut post(accept, framing), byte);
        assert!(said.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{said}");
        assert!(said.contains(r#""detail":"the body took longer than 1 seconds to arrive""#), "{said}");
        about(took, 1);
        // One that nobody reads.
        let (said, took) = drip(&mut post("/nowhere", framing), byte);
        assert!(said.starts_with("HTTP/1.1 404 Not Found\r\n"), "{said}");
        about(took, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_nothing_is_asked_on_is_kept_for_a_while() {
    let server = impatient().await;
    let mut stream = connect(&server);
    stream.write_all(LIVEZ).unwrap();
    let (said, took) = to_the_end(&mut stream);
    assert!(said.ends_with(r#"{"status":"ok"}"#), "{said}");
    about(took, 2);
    // Somebody who closes their half gets the answer to what they asked; to half a request there is none.
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
async fn a_client_that_asks_and_takes_no_answer_is_let_go_and_disturbs_nobody() {
    let server = impatient().await;
    let mut greedy = connect(&server);
    greedy.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let start = Instant::now();
    // Until the server reads no further, or hangs up.
    while greedy.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n").is_ok() {
        assert!(start.elapsed() < Duration::from_secs(20), "the server takes everything");
    }
    let other = Actor::new(server.address, None);
    assert_eq!(other.get("/livez").await.status, 200);
    tokio::time::sleep(Duration::from_secs(3)).await;
    // What was under way still arrives, and then the end.
    let (_, took) = to_the_end(&mut greedy);
    assert!(took < Duration::from_secs(3), "{took:?}");
}
