//! Request headers other than credentials.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{Header, IF_MATCH, IfMatch};
use percent_encoding::percent_decode_str;

use crate::batches::{IdempotencyKey, Plan, SourceFile};
use crate::error::{Error, Result};
use crate::policies::PolicyPlan;
use crate::users::{Expected, is_visible_line};

/// The largest length of a file name, in characters.
const MAX_FILE_NAME: usize = 255;

/// The longest wait that a client can request, in seconds; no request lasts that long.
const MAX_WAIT: u64 = 86_400;

/// The value of a header that may occur once.
///
/// # Errors
/// `invalid_request` if the header is repeated or not ASCII.
fn single<'a>(request: &'a HttpRequest, name: &str) -> Result<Option<&'a str>> {
    let mut values = request.headers().get_all(name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Error::invalid(format!("header `{name}` is repeated")));
    }
    value.to_str().map(Some).map_err(|_| Error::invalid(format!("header `{name}` must be ASCII")))
}

/// Parses `Idempotency-Key`.
pub(super) fn idempotency_key(request: &HttpRequest) -> Result<Option<IdempotencyKey>> {
    let header = single(request, "Idempotency-Key")?;
    header.map(IdempotencyKey::parse).transpose().map_err(|bad| Error::invalid(bad.to_string()))
}

/// Parses `Muster-Plan`.
pub(super) fn plan(request: &HttpRequest) -> Result<Option<Plan>> {
    single(request, "Muster-Plan")?
        .map(str::parse)
        .transpose()
        .map_err(|bad: crate::batches::InvalidPlan| Error::invalid(bad.to_string()))
}

/// Parses `Muster-Plan` of a policy.
pub(super) fn policy_plan(request: &HttpRequest) -> Result<Option<PolicyPlan>> {
    let plan = single(request, "Muster-Plan")?.map(str::parse).transpose();
    plan.map_err(|bad: crate::policies::InvalidPlan| Error::invalid(bad.to_string()))
}

/// Parses `Muster-File-Name` and `Muster-File-SHA256`.
pub(super) fn file(request: &HttpRequest) -> Result<SourceFile> {
    let name = single(request, "Muster-File-Name")?.map(file_name).transpose()?;
    let sha256 = single(request, "Muster-File-SHA256")?.map(|text| sha256("Muster-File-SHA256", text)).transpose()?;
    Ok(SourceFile { name, sha256 })
}

fn file_name(encoded: &str) -> Result<String> {
    let name = percent_decode_str(encoded).decode_utf8().ok();
    name.filter(|name| {
        (1..=MAX_FILE_NAME).contains(&name.chars().count()) && is_visible_line(name)
    })
    .map(std::borrow::Cow::into_owned)
    .ok_or_else(|| {
        Error::invalid(format!(
            "`Muster-File-Name` must be percent-encoded UTF-8, 1 to {MAX_FILE_NAME} characters, none of them invisible"
        ))
    })
}

/// Parses a SHA-256 digest in hexadecimal.
///
/// # Errors
/// `invalid_request`.
pub(super) fn sha256(name: &str, text: &str) -> Result<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest)
        .map(|()| digest)
        .map_err(|_| Error::invalid(format!("`{name}` must be a SHA-256 digest of 64 hexadecimal digits")))
}

/// Parses `If-Match` (RFC 9110, section 13.1.1) into the revisions that it allows. Weak tags and foreign tags match none.
///
/// # Errors
/// `invalid_request` if the header contains no entity tag.
pub(super) fn if_match(request: &HttpRequest) -> Result<Expected> {
    if !request.headers().contains_key(IF_MATCH) {
        return Ok(Expected::Any);
    }
    match IfMatch::parse(request) {
        // Of several header lines, the library reads only the first if that is `*`.
        Ok(IfMatch::Any) if request.headers().get_all(IF_MATCH).count() == 1 => Ok(Expected::Any),
        // The library skips members that are not entity tags.
        Ok(IfMatch::Items(tags)) if !tags.is_empty() => {
            let revisions = tags.iter().filter(|tag| !tag.weak).filter_map(|tag| tag.tag().parse().ok());
            Ok(Expected::OneOf(revisions.collect()))
        }
        _ => Err(Error::invalid("`If-Match` must be `*` or the ETag of a response, in quotes: \"3\"")),
    }
}

/// Parses `Prefer: respond-async` (RFC 7240, section 4.1) and `wait` (4.3), 0 by default; `None` without
/// `respond-async`. Unknown preferences are ignored, as the RFC requires.
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
            // The first one wins, as the RFC requires.
            "wait" => wait = wait.or_else(|| value.trim().trim_matches('"').parse::<u64>().ok()),
            _ => {}
        }
    }
    is_async.then(|| Duration::from_secs(wait.unwrap_or_default().min(MAX_WAIT)))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn prefer_is_parsed_according_to_rfc_7240() {
        let parse = |header: &str| prefers(header.split([',', ';'])).map(|wait| wait.as_secs());
        assert_eq!(parse("respond-async"), Some(0));
        assert_eq!(parse("respond-async, wait=10"), Some(10));
        assert_eq!(parse("wait = \"10\"; Respond-Async"), Some(10));
        assert_eq!(parse("return=minimal, respond-async"), Some(0));
        assert_eq!(parse("respond-async, wait=ever"), Some(0));
        assert_eq!(parse("respond-async, wait=999999999"), Some(86_400));
        for other in ["", "wait=10", "return=minimal", "respond-asynchronously"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn if_match_is_a_list_of_strong_entity_tags() {
        let parse = |header: &str| {
            let request = TestRequest::default().insert_header((IF_MATCH, header)).to_http_request();
            if_match(&request).ok()
        };
        let only = |revisions: &[i64]| Some(Expected::OneOf(revisions.to_vec()));
        assert_eq!(if_match(&TestRequest::default().to_http_request()).ok(), Some(Expected::Any));
        for (header, expected) in [
            ("*", Some(Expected::Any)),
            ("\"3\"", only(&[3])),
            ("\"3\", \"4\",\"5\"", only(&[3, 4, 5])),
            (", \"3\" ,", only(&[3])),
            ("W/\"3\"", only(&[])),
            ("\"x\", \"4\"", only(&[4])),
            ("\"\"", only(&[])),
            ("3", None),
            ("\"3", None),
            ("\"3\" \"4\"", None),
            ("\"3\"x", None),
            ("", None),
            (",", None),
        ] {
            assert_eq!(parse(header), expected, "{header}");
        }
    }

    #[test]
    fn a_file_name_is_percent_encoded_utf_8() {
        assert_eq!(file_name("people%20of%20K%C3%B6ln.csv").unwrap(), "people of Köln.csv");
        for bad in ["", "%ff", "a%0ab", "a%E2%80%AEb", "a%E2%80%8Bb", &"a".repeat(256)] {
            assert!(file_name(bad).is_err(), "{bad}");
        }
    }
}
