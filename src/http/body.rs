//! Reading bodies: bounded in size and in time, while reading.
//!
//! What is refused is not read to its end. A client that is still sending gets its answer all the
//! same: the server lingers before it closes the connection.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::error::Category;

use super::connection::Facts;
use super::extract::{form_encoded, one_line};
use crate::config;
use crate::error::{Code, Error, Result};

/// What is set aside for a body on its word alone, in bytes.
const FIRST_BUFFER: usize = 1024 * 1024;

/// The longest body that somebody without a key may send, in bytes. Bar A-4: a name and a password need no more.
const SMALL: usize = 4096;

/// Reads the whole body.
///
/// # Errors
/// `too_large`, at once when the client says so beforehand; `request_timeout`;
/// `invalid_request` when the body breaks off.
pub(super) async fn read(request: &HttpRequest, payload: Payload, config: &config::Server) -> Result<Bytes> {
    let limit = config.body_limit;
    let rule = || {
        let rule = "(setting `server.body_limit`): send several batches";
        Error::new(Code::TooLarge, format!("the body is longer than {limit} bytes {rule}"))
    };
    read_up_to(limit, rule, request, payload, config).await
}

/// Reads a body that is as short as one from somebody without a key has to be.
async fn read_small(request: &HttpRequest, payload: Payload, config: &config::Server) -> Result<Bytes> {
    let rule = || Error::new(Code::TooLarge, format!("the body is longer than {SMALL} bytes"));
    read_up_to(SMALL, rule, request, payload, config).await
}

async fn read_up_to(
    limit: usize,
    too_large: impl Fn() -> Error,
    request: &HttpRequest,
    mut payload: Payload,
    config: &config::Server,
) -> Result<Bytes> {
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let deadline = tokio::time::Instant::now() + config.limits.body_timeout;
    let mut body = BytesMut::with_capacity(announced.unwrap_or(0).min(FIRST_BUFFER));
    loop {
        let chunk = tokio::time::timeout_at(deadline, payload.next()).await.map_err(|_| {
            let seconds = config.limits.body_timeout.as_secs();
            let sentence = format!("the body took longer than {seconds} seconds to arrive");
            Error::new(Code::RequestTimeout, sentence)
        })?;
        match chunk {
            None => return Ok(body.freeze()),
            Some(Err(error)) => {
                if let Some(facts) = request.conn_data::<Rc<Facts>>() {
                    facts.note_broken_body();
                }
                return Err(Error::invalid(format!("the body broke off: {error}")));
            }
            Some(Ok(chunk)) if body.len() + chunk.len() > limit => return Err(too_large()),
            Some(Ok(chunk)) => body.extend_from_slice(&chunk),
        }
    }
}

/// Reads a body that is one JSON object of a known shape.
///
/// # Errors
/// As [`read`]; `invalid_json`; `invalid_request` for a field that is missing, unknown or of another type. The
/// sentence never shows a value: it may be a password.
pub(super) async fn object<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
    config: &config::Server,
) -> Result<T> {
    let body = read(request, payload, config).await?;
    parse(&body)
}

/// The same where everything may be left out, also the body.
///
/// # Errors
/// As [`object`].
pub(super) async fn optional_object<T: DeserializeOwned + Default>(
    request: &HttpRequest,
    payload: Payload,
    config: &config::Server,
) -> Result<T> {
    let body = read(request, payload, config).await?;
    if body.is_empty() { Ok(T::default()) } else { parse(&body) }
}

/// As [`object`], from somebody without a key: up to 4 KiB.
///
/// # Errors
/// As [`object`].
pub(super) async fn small_object<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
    config: &config::Server,
) -> Result<T> {
    let body = read_small(request, payload, config).await?;
    parse(&body)
}

/// Reads a form that a browser sends (`application/x-www-form-urlencoded`), up to 4 KiB.
///
/// # Errors
/// As [`read`]; `invalid_request` for a field that is missing, unknown or there twice. Values are not repeated.
pub(super) async fn small_form<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
    config: &config::Server,
) -> Result<T> {
    let body = read_small(request, payload, config).await?;
    let text = std::str::from_utf8(&body).map_err(|_| Error::invalid("the form can't be used: it is not UTF-8"))?;
    form_encoded("the form", text)
}

/// Reads a body that is a JSON array of up to `most` objects of a known shape. Reading stops above that.
///
/// # Errors
/// As [`object`]; `too_large` for more than `most`, with the sentence `rule`.
pub(super) async fn list<T: DeserializeOwned>(
    most: usize,
    rule: impl FnOnce() -> String,
    request: &HttpRequest,
    payload: Payload,
    config: &config::Server,
) -> Result<Vec<T>> {
    let body = read(request, payload, config).await?;
    let mut deserializer = serde_json::Deserializer::from_slice(&body);
    let mut too_many = false;
    let read = ListSeed { most, too_many: &mut too_many, item: PhantomData }.deserialize(&mut deserializer);
    match read.and_then(|list| deserializer.end().map(|()| list)) {
        Ok(list) => Ok(list),
        Err(_) if too_many => Err(Error::new(Code::TooLarge, rule())),
        Err(error) => Err(unreadable(error)),
    }
}

struct ListSeed<'a, T> {
    most: usize,
    too_many: &'a mut bool,
    item: PhantomData<T>,
}

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for ListSeed<'_, T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for ListSeed<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            if list.len() >= self.most {
                *self.too_many = true;
                return Err(serde::de::Error::custom("too many"));
            }
            list.push(item);
        }
        Ok(list)
    }
}

/// Reads an object. Serde would take an array for one, field by field.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Error::invalid("the body has to be a JSON object, not a list"));
    }
    serde_json::from_slice(body).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> Error {
    let text = error.to_string();
    match error.classify() {
        Category::Data => Error::invalid(format!("the body can't be used: {}", without_values(&text))),
        _ => Error::new(Code::InvalidJson, format!("the body is not JSON: {}", one_line(&text))),
    }
}

/// Serde's sentence, from what was expected on.
fn without_values(text: &str) -> String {
    let found = ["invalid type: ", "invalid value: ", "unknown variant "].iter().any(|start| text.starts_with(start));
    match text.find("expected ") {
        // With a name that only this program knows.
        Some(place) if found && text.get(place..).is_some_and(|rest| rest.starts_with("expected struct ")) => {
            "expected an object".to_owned()
        }
        Some(place) if found => one_line(text.get(place..).unwrap_or_default()),
        _ => one_line(text),
    }
}
