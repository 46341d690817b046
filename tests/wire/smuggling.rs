//! Bytes in which two programs would see different requests: refused, and the connection with them, so that what follows
//! is no request of anybody's.

use std::io::Write;

use crate::support::server::{ServerProcess, muster, url};
use crate::support::{self, empty_database};
use crate::{LIVEZ, connect, serve, to_the_end};

/// The head of a request with a body that is read, without its end.
fn post(headers: &str) -> String {
    format!("POST /api/v2/organization_invitations/accept HTTP/1.1\r\nHost: x\r\n{headers}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_end_is_ambiguous_is_refused_with_what_follows_it() {
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
        // The first on a connection, and the next on one that is kept.
        for is_kept in [false, true] {
            let mut stream = connect(&server);
            if is_kept {
                stream.write_all(LIVEZ).unwrap();
                let mut answer = Vec::new();
                while !answer.ends_with(br#"{"status":"ok"}"#) {
                    let mut some = [0; 1024];
                    let read = std::io::Read::read(&mut stream, &mut some).unwrap();
                    answer.extend_from_slice(&some[..read]);
                }
            }
            stream.write_all(bytes.as_bytes()).unwrap();
            // The server may have hung up already.
            let _ = stream.write_all(LIVEZ);
            let (answer, _) = to_the_end(&mut stream);
            assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{what}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: {answer}");
            assert_is_like_all_others(&answer);
        }
    }
}

/// An answer to what was no request, with all that an answer of muster's has.
pub fn assert_is_like_all_others(answer: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let header = |name: &str| {
        let mut values = head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        values.next().filter(|_| values.next().is_none()).unwrap_or_else(|| panic!("not one {name} in {answer}"))
    };
    for (name, value) in [
        ("content-security-policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("content-type", "application/json"),
        ("connection", "close"),
    ] {
        assert_eq!(header(name), value, "{name}");
    }
    assert_eq!(header("content-length").parse(), Ok(body.len()), "{answer}");
    assert!(header("date").ends_with(" GMT"), "{answer}");
    assert_eq!(header("x-trace-id").len(), 32, "{answer}");
    let error: serde_json::Value = serde_json::from_str(body).unwrap();
    let (code, sentence) = match answer.split(' ').nth(1).unwrap() {
        "400" => (
            "invalid_request",
            "this is no request of HTTP, or one that could be understood in two ways (RFC 9112); the connection ends here",
        ),
        "408" => ("request_timeout", "no request came within 1 seconds, or only a part of its head"),
        "431" => ("headers_too_large", "the address and the headers are far longer than 32768 bytes, or too many"),
        status => panic!("{status}"),
    };
    let request_id = header("x-request-id");
    assert_eq!(error, serde_json::json!({"error": {"code": code, "detail": sentence, "request_id": request_id}}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_answered_behind_one_that_is_and_is_in_the_log_and_in_the_metrics() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(&empty_database().await))
        .env("MUSTER_METRICS__LISTEN", "127.0.0.1:0")
        .stderr(std::fs::File::create(log.path()).unwrap());
    let server = ServerProcess::start(&mut command);
    let mut stream = connect(&server);
    stream.write_all(b"GET /livez HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\ngarbage\r\n\r\n").unwrap();
    let (answers, _) = to_the_end(&mut stream);
    let (_, second) = answers.split_once(r#"{"status":"ok"}"#).unwrap();
    assert!(second.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{answers}");
    assert_is_like_all_others(second);
    let mut stream = connect(&server);
    stream.write_all(&[LIVEZ, b"garbage\r\n\r\n"].concat()).unwrap();
    let (answers, _) = to_the_end(&mut stream);
    let (first, second) = answers.split_once(r#"{"status":"ok"}"#).unwrap();
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{answers}");
    assert_is_like_all_others(second);
    let request_id = second.split_once("x-request-id: ").unwrap().1.split("\r\n").next().unwrap();
    let log = std::fs::read_to_string(log.path()).unwrap();
    let line = log.lines().find(|line| line.contains(request_id)).unwrap_or_else(|| panic!("{log}"));
    let said = ["INFO request method=\"other\" route=\"-\" status=400 ms=", " code=\"invalid_request\" request_id="];
    assert!(said.iter().all(|part| line.contains(part)), "{line}");
    let announced = server.announced.iter().find_map(|line| line.strip_prefix("metrics: http://"));
    let metrics = announced.unwrap_or_else(|| panic!("{:?}", server.announced)).trim_end_matches("/metrics");
    let metrics = support::Actor::new(metrics.parse().unwrap(), None).get("/metrics").await.text;
    let counted = r#"muster_http_requests_total{method="other",route="-",status="400"} 2"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_are_none_end_the_request_and_the_connection() {
    let server = serve(&[]).await;
    for body in
        ["-1\r\nhello\r\n0\r\n\r\n", "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n", "5\r\nhelloXX\r\n0\r\n\r\n", "\r\n"]
    {
        let mut stream = connect(&server);
        stream.write_all(post(&format!("Transfer-Encoding: chunked\r\n\r\n{body}")).as_bytes()).unwrap();
        let _ = stream.write_all(LIVEZ);
        let (answer, _) = to_the_end(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{body:?}: {answer}");
        // The one of whoever read the body.
        assert!(answer.contains(r#""detail":"the body broke off: "#), "{body:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{body:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_too_long_or_too_many_are_refused() {
    let server = serve(&[]).await;
    let ask = |headers: &str| {
        let mut stream = connect(&server);
        // With a mebibyte the server is done before the client.
        let _ = stream
            .write_all(format!("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").as_bytes());
        to_the_end(&mut stream).0
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
        // May be lost: the connection is reset under what the client still sends.
        let refused = ask(&far_too_much);
        assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 431 "), "{refused}");
    }
    // Of this, nothing is left unread.
    assert_is_like_all_others(&ask(&many(95)));
    assert!(ask("").starts_with("HTTP/1.1 200 OK\r\n"));
}
