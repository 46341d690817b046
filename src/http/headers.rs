//! What requests say in headers, beside who sends them.

use std::time::Duration;

use actix_web::HttpRequest;
use percent_encoding::percent_decode_str;

use crate::batches::{IdempotencyKey, Plan, SourceFile};
use crate::error::{Error, Result};
use crate::users::Expected;

/// The longest name of a file, in characters.
const LONGEST_FILE_NAME: usize = 255;

/// The longest that a client can prefer to wait, in seconds: as good as to the end.
const LONGEST_WAIT: u64 = 86_400;

/// The only value of a header. `None`: it is not there.
///
/// # Errors
/// `invalid_request` when it is there twice, or has bytes that are not ASCII.
fn only<'a>(request: &'a HttpRequest, name: &str) -> Result<Option<&'a str>> {
    let mut values = request.headers().get_all(name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Error::invalid(format!("`{name}` is there more than once")));
    }
    value.to_str().map(Some).map_err(|_| Error::invalid(format!("`{name}` has to be ASCII")))
}

/// `Idempotency-Key`.
pub(super) fn idempotency_key(request: &HttpRequest) -> Result<Option<IdempotencyKey>> {
    let header = only(request, "Idempotency-Key")?;
    header.map(IdempotencyKey::parse).transpose().map_err(|bad| Error::invalid(bad.to_string()))
}

/// `Muster-Plan`.
pub(super) fn plan(request: &HttpRequest) -> Result<Option<Plan>> {
    only(request, "Muster-Plan")?
        .map(str::parse)
        .transpose()
        .map_err(|bad: crate::batches::InvalidPlan| Error::invalid(bad.to_string()))
}

/// `Muster-File-Name` and `Muster-File-SHA256`.
pub(super) fn file(request: &HttpRequest) -> Result<SourceFile> {
    let name = only(request, "Muster-File-Name")?.map(file_name).transpose()?;
    let sha256 = only(request, "Muster-File-SHA256")?.map(|text| sha256("Muster-File-SHA256", text)).transpose()?;
    Ok(SourceFile { name, sha256 })
}

fn file_name(encoded: &str) -> Result<String> {
    let name = percent_decode_str(encoded).decode_utf8().ok();
    name.filter(|name| {
        (1..=LONGEST_FILE_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control)
    })
    .map(std::borrow::Cow::into_owned)
    .ok_or_else(|| {
        Error::invalid(format!(
            "`Muster-File-Name` has to be percent-encoded UTF-8, 1 to {LONGEST_FILE_NAME} characters without control characters"
        ))
    })
}

/// A SHA-256 in hex.
///
/// # Errors
/// `invalid_request`.
pub(super) fn sha256(name: &str, text: &str) -> Result<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest)
        .map(|()| digest)
        .map_err(|_| Error::invalid(format!("`{name}` has to be a SHA-256: 64 hexadecimal digits")))
}

/// `If-Match` (RFC 9110, section 13.1.1): the revisions that a user may have. Weak tags and other servers' are none.
///
/// # Errors
/// `invalid_request` for what is no list of entity tags.
pub(super) fn if_match(request: &HttpRequest) -> Result<Expected> {
    let mut values = request.headers().get_all("If-Match").peekable();
    if values.peek().is_none() {
        return Ok(Expected::Any);
    }
    let values: Option<Vec<&str>> = values.map(|value| value.to_str().ok()).collect();
    values
        .and_then(|values| expected(&values.join(",")))
        .ok_or_else(|| Error::invalid("`If-Match` has to be `*` or the ETag of an answer, with its quotes: \"3\""))
}

fn expected(header: &str) -> Option<Expected> {
    if header.trim() == "*" {
        return Some(Expected::Any);
    }
    let mut revisions = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let (is_weak, tag) = rest.strip_prefix("W/").map_or((false, rest), |tag| (true, tag));
        let (tag, behind) = tag.strip_prefix('"')?.split_once('"')?;
        if !behind.trim_start().is_empty() && !behind.trim_start().starts_with(',') {
            return None;
        }
        revisions.push(tag.parse().ok().filter(|_| !is_weak));
        rest = behind;
    }
    // At least one tag, whether it is one of muster's or not.
    (!revisions.is_empty()).then(|| Expected::OneOf(revisions.into_iter().flatten().collect()))
}

/// `Prefer: respond-async` (RFC 7240, section 4.1), and how long its sender would rather wait (4.3); none
/// if it doesn't say. Preferences that can't be understood are ignored, as the RFC has it.
pub(super) fn prefer_async(request: &HttpRequest) -> Option<Duration> {
    let values = request.headers().get_all("Prefer").filter_map(|value| value.to_str().ok());
    prefers(values.flat_map(|value| value.split([',', ';'])))
}

fn prefers<'a>(preferences: impl Iterator<Item = &'a str>) -> Option<Duration> {
    let (mut is_async, mut wait) = (false, None);
    for preference in preferences {
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "respond-async" => is_async = true,
            // The first counts.
            "wait" => wait = wait.or_else(|| value.trim().trim_matches('"').parse::<u64>().ok()),
            _ => {}
        }
    }
    is_async.then(|| Duration::from_secs(wait.unwrap_or_default().min(LONGEST_WAIT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_prefers_is_read_as_rfc_7240_has_it() {
        let read = |header: &str| prefers(header.split([',', ';'])).map(|wait| wait.as_secs());
        assert_eq!(read("respond-async"), Some(0));
        assert_eq!(read("respond-async, wait=10"), Some(10));
        assert_eq!(read("wait = \"10\"; Respond-Async"), Some(10));
        assert_eq!(read("return=minimal, respond-async"), Some(0));
        assert_eq!(read("respond-async, wait=ever"), Some(0));
        assert_eq!(read("respond-async, wait=999999999"), Some(86_400));
        for other in ["", "wait=10", "return=minimal", "respond-asynchronously"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn what_has_to_match_is_read_as_rfc_9110_has_it() {
        let only = |revisions: &[i64]| Some(Expected::OneOf(revisions.to_vec()));
        for (header, read) in [
            ("*", Some(Expected::Any)),
            (" * ", Some(Expected::Any)),
            ("\"3\"", only(&[3])),
            ("\"3\", \"4\",\"5\"", only(&[3, 4, 5])),
            (", \"3\" ,", only(&[3])),
            ("W/\"3\"", only(&[])),
            ("\"a,b\", \"4\"", only(&[4])),
            ("\"\"", only(&[])),
            ("3", None),
            ("\"3", None),
            ("\"3\" \"4\"", None),
            ("\"3\"x", None),
            ("", None),
            (",", None),
            ("*, \"3\"", None),
        ] {
            assert_eq!(expected(header), read, "{header}");
        }
    }

    #[test]
    fn a_file_name_is_percent_encoded_utf_8() {
        assert_eq!(file_name("people%20of%20K%C3%B6ln.csv").unwrap(), "people of Köln.csv");
        for bad in ["", "%ff", "a%0ab", &"a".repeat(256)] {
            assert!(file_name(bad).is_err(), "{bad}");
        }
    }
}
