//! Answers to bytes that are no request.
//!
//! The library answers those by itself, before there is a request that a route could see: with an empty 400, 408 or 431, and
//! the end of the connection. Such an answer is found on its way out, and becomes one like all others: an error in words, the
//! headers of [`surface`], ids, a line in the log (of method `other` and route `-`), and a place in the metrics.

use std::time::Duration;

use bytes::Bytes;

use super::error::ErrorBody;
use super::surface;
use crate::app::App;
use crate::error::{Code, Error};
use crate::id::{self, Id};

/// What the library's answers begin with: in the version of the request before.
const BEGIN: [&[u8]; 2] = [b"HTTP/1.1 4", b"HTTP/1.0 4"];

/// How all answers without a content end.
const END: &[u8] = b"\r\n\r\n";

/// Where the library's own answer begins, if these bytes end with one.
///
/// It has no headers but three. All of muster's have more, and no content of theirs has such lines in it: there, line
/// breaks are written in another way.
pub(super) fn find(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(END) {
        return None;
    }
    let start = bytes.windows(BEGIN[0].len()).rposition(|window| BEGIN.contains(&window))?;
    let is_theirs = |line: &str| {
        matches!(line, "" | "content-length: 0" | "connection: close" | "connection: keep-alive")
            || line.starts_with("date: ")
    };
    let (_, headers) = std::str::from_utf8(bytes.get(start..)?).ok()?.split_once("\r\n")?;
    headers.split("\r\n").all(is_theirs).then_some(start)
}

/// The answer instead of theirs, to what was waited for so long.
pub(super) fn answer(app: &App, theirs: &[u8], is_https: bool, took: Duration) -> Bytes {
    let theirs = String::from_utf8_lossy(theirs);
    let (status_line, headers) = theirs.split_once("\r\n").unwrap_or((&theirs, ""));
    let error = error(status_line, app);
    let (code, request_id) = (error.code(), Id::<id::Request>::new(app.clock.now()));
    let (status, trace_id) = (code.status(), hex::encode(request_id.uuid().as_bytes()));
    let body = serde_json::to_string(&ErrorBody::new(&error, Some(request_id.to_string()))).unwrap_or_default();
    let date = headers.split("\r\n").find(|line| line.starts_with("date: ")).unwrap_or("date: -");
    let mut head = format!(
        "{status_line}\r\ncontent-length: {}\r\nconnection: close\r\n{date}\r\ncontent-type: application/json\r\n\
         x-request-id: {request_id}\r\nx-trace-id: {trace_id}\r\n",
        body.len()
    );
    for (name, value) in surface::headers(is_https) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(method = "other", route = "-", status, ms, code = code.as_str(), %request_id, trace_id, "request");
    app.metrics.requests.record("-", "other", status, Some(code.as_str()), took);
    format!("{head}\r\n{body}").into()
}

fn error(status_line: &str, app: &App) -> Error {
    let limits = &app.config.server.limits;
    match status_line.split(' ').nth(1) {
        Some("408") => Error::new(
            Code::RequestTimeout,
            format!("no request came within {} seconds, or only a part of its head", limits.header_timeout.as_secs()),
        ),
        Some("431") => Error::new(
            Code::HeadersTooLarge,
            format!("the address and the headers are far longer than {} bytes, or too many", limits.header_bytes),
        ),
        _ => Error::invalid(
            "this is no request of HTTP, or one that could be understood in two ways (RFC 9112); the connection ends here",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\ndate: today\r\n\r\n";

    #[test]
    fn only_what_the_library_says_by_itself_is_found_also_behind_another_answer() {
        assert_eq!(find(THEIRS.as_bytes()), Some(0));
        assert_eq!(find(THEIRS.replace("1.1", "1.0").as_bytes()), Some(0));
        let before = "HTTP/1.1 404 Not Found\r\nx-request-id: x\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(find(format!("{before}{THEIRS}").as_bytes()), Some(before.len()));
        for ours in [
            before,
            "",
            "\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nx-request-id: x\r\n\r\n",
            "HTTP/1.1 412 Precondition Failed\r\ncontent-length: 0\r\nx-request-id: x\r\n\r\n",
            &THEIRS.replace("\r\n", "\n"),
            &THEIRS[..THEIRS.len() - 1],
        ] {
            assert_eq!(find(ours.as_bytes()), None, "{ours}");
        }
    }
}
