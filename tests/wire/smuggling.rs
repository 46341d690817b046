//! Request smuggling: an ambiguous request is rejected and the connection closed, so that the bytes after the request are
//! never taken for another request.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::support::server::{ServerProcess, muster, url};
use crate::support::{self, migrated_database};
use crate::{LIVEZ, connect, serve, to_the_end};

/// The start of a request whose handler reads the body, without the empty line after the headers.
fn post(headers: &str) -> String {
    format!("POST /api/v2/organization_invitations/accept HTTP/1.1\r\nHost: x\r\n{headers}")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_request_is_rejected_and_closes_the_connection() {
    let server = serve(&[]).await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    let cases = [
        ("a length and chunks", post(&format!("Content-Length: 6\r\n{chunked}\r\n0\r\n\r\n"))),
        ("chunks and a length", post(&format!("{chunked}Content-Length: 6\r\n\r\n0\r\n\r\n"))),
        ("two lengths", post("Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello")),
        ("the same length twice", post("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello")),
        ("a list of lengths", post("Content-Length: 5, 5\r\n\r\nhello")),
        ("a length with a sign", post("Content-Length: +5\r\n\r\nhello")),
        ("a negative length", post("Content-Length: -5\r\n\r\nhello")),
        ("a length in hex", post("Content-Length: 0x5\r\n\r\nhello")),
        ("chunks that are something else", post("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")),
        ("chunks inside something else", post("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n")),
        ("two codings", post(&format!("{chunked}Transfer-Encoding: identity\r\n\r\n0\r\n\r\n"))),
        ("a space before the colon", post("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n")),
        ("chunks in HTTP/1.0", post(&format!("{chunked}\r\n0\r\n\r\n")).replace("HTTP/1.1", "HTTP/1.0")),
        ("a folded line", post("X: a\r\n b\r\n\r\n")),
        ("a folded coding", post("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n")),
        ("lines that end in LF", "GET /livez HTTP/1.1\nHost: x\n\n".to_owned()),
        ("a line that ends in LF", post("X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("an empty line of LF", post("Content-Length: 5\r\n\nhello")),
        ("a lone CR", post("X: a\rY: b\r\n\r\n")),
        ("a NUL", post("X: a\0b\r\n\r\n")),
        ("no host", "GET /livez HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", post("Host: y\r\n\r\n")),
        ("HTTP/2 in plain text", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0".to_owned()),
    ];
    for (what, bytes) in cases {
        // As the first request on a connection, and after another request.
        for is_kept in [false, true] {
            let mut stream = connect(&server);
            if is_kept {
                stream.write_all(LIVEZ).unwrap();
                let mut answer = Vec::new();
                while !answer.ends_with(br#"{"status":"ok"}"#) {
                    let mut some = [0; 1024];
                    let read = stream.read(&mut some).unwrap();
                    answer.extend_from_slice(&some[..read]);
                }
            }
            stream.write_all(bytes.as_bytes()).unwrap();
            // The server may have closed the connection already.
            let _ = stream.write_all(LIVEZ);
            let answer = to_the_end(&mut stream);
            assert!(!answer.is_empty(), "{what}");
            assert_bare_and_closing(&answer, "400 Bad Request");
        }
    }
}

/// Checks the response of the HTTP library to a malformed request: empty, and the last one on the connection.
pub fn assert_bare_and_closing(response: &str, status: &str) {
    assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{response}");
    assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{response}");
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(body.is_empty() && head.contains("\r\ncontent-length: 0\r\n"), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_logged_and_counted() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(&migrated_database().await))
        .env("MUSTER_METRICS__LISTEN", "127.0.0.1:0")
        .stderr(std::fs::File::create(log.path()).unwrap());
    let server = ServerProcess::start(&mut command);
    let mut stream = connect(&server);
    stream.write_all(&[LIVEZ, b"garbage\r\n\r\n"].concat()).unwrap();
    let responses = to_the_end(&mut stream);
    let (first, second) = responses.split_once(r#"{"status":"ok"}"#).unwrap();
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{responses}");
    assert_bare_and_closing(second, "400 Bad Request");
    let log = std::fs::read_to_string(log.path()).unwrap();
    let line = r#"INFO malformed request method="other" route="-" status=400 code="invalid_request" error="#;
    assert!(log.contains(line) && !log.contains("garbage"), "{log}");
    let announced = server.announced.iter().find_map(|line| line.strip_prefix("metrics: http://"));
    let metrics = announced.unwrap_or_else(|| panic!("{:?}", server.announced)).trim_end_matches("/metrics");
    let metrics = support::Actor::new(metrics.parse().unwrap(), None).get("/metrics").await.text;
    let counted = r#"muster_http_requests_total{method="other",route="-",status="400"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_or_truncated_body_gets_one_response_and_closes_the_connection() {
    let server = serve(&[]).await;
    let chunked = "Transfer-Encoding: chunked";
    for (framing, body, is_truncated) in [
        (chunked, "-1\r\nhello\r\n0\r\n\r\n", false),
        (chunked, "xyz\r\nhello\r\n0\r\n\r\n", false),
        (chunked, "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n", false),
        (chunked, "5\r\nhelloXX\r\n0\r\n\r\n", false),
        (chunked, "5\nhello\r\n0\r\n\r\n", false),
        (chunked, "5;a=\0\r\nhello\r\n0\r\n\r\n", false),
        (chunked, "5\r\nhello\r\n0\r\n\rX", false),
        (chunked, "\r\n", false),
        (chunked, "", true),
        (chunked, "5", true),
        (chunked, "5\r\nhel", true),
        (chunked, "5\r\nhello\r\n", true),
        (chunked, "5\r\nhello\r\n0\r\n", true),
        ("Content-Length: 10", "", true),
        ("Content-Length: 10", "hello", true),
    ] {
        // In one piece with the head, and after the handler has begun to read.
        for is_awaited in [false, true] {
            let mut stream = connect(&server);
            let expect = if is_awaited { "Expect: 100-continue\r\n" } else { "" };
            let mut bytes = post(&format!("{framing}\r\n{expect}\r\n")).into_bytes();
            if is_awaited {
                stream.write_all(&std::mem::take(&mut bytes)).unwrap();
                let mut interim = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
                stream.read_exact(&mut interim).unwrap();
                assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            bytes.extend_from_slice(body.as_bytes());
            if is_truncated {
                stream.write_all(&bytes).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            } else {
                stream.write_all(&[&bytes, LIVEZ].concat()).unwrap();
            }
            let answer = to_the_end(&mut stream);
            assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{framing}, {body:?}: {answer}");
            // The response of the handler, not of the HTTP library.
            assert!(answer.contains(r#""detail":"the request body ended prematurely: "#), "{body:?}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{body:?}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_long_or_too_many_headers_are_rejected() {
    let server = serve(&[]).await;
    let ask = |headers: &str| {
        let mut stream = connect(&server);
        // The server responds before it has read a mebibyte.
        let _ = stream
            .write_all(format!("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").as_bytes());
        to_the_end(&mut stream)
    };
    let long = |length: usize| format!("X: {}\r\n", "y".repeat(length));
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    assert!(ask(&long(32_000)).starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(ask(&many(94)).starts_with("HTTP/1.1 200 OK\r\n"));
    let refused = ask(&long(33_000));
    assert!(refused.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{refused}");
    let sentence =
        r#""detail":"the request line and headers are longer than 32768 bytes, or there are more than 96 headers""#;
    assert!(refused.contains(r#"{"code":"headers_too_large","#) && refused.contains(sentence), "{refused}");
    for far_too_much in [long(1024 * 1024), many(95), many(10_000)] {
        // The response may be lost: the server resets the connection while the client still sends.
        let refused = ask(&far_too_much);
        assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 431 "), "{refused}");
    }
    // The server reads all of this, so the response arrives.
    assert_bare_and_closing(&ask(&many(95)), "431 Request Header Fields Too Large");
    assert!(ask("").starts_with("HTTP/1.1 200 OK\r\n"));
}
