//! Reading bodies: bounded in size and in time, while reading.
//!
//! What is refused is not read to its end. A client that is still sending gets its answer all the
//! same: the server lingers before it closes the connection.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::extract::one_line;
use crate::config;
use crate::error::{Code, Error, Result};

/// What is set aside for a body on its word alone, in bytes.
const FIRST_BUFFER: usize = 1024 * 1024;

/// Reads the whole body.
///
/// # Errors
/// `too_large`, at once when the client says so beforehand; `request_timeout`;
/// `invalid_request` when the body breaks off.
pub(super) async fn read(request: &HttpRequest, mut payload: Payload, config: &config::Server) -> Result<Bytes> {
    let limit = config.body_limit;
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(config.body_timeout_seconds);
    let mut body = BytesMut::with_capacity(announced.unwrap_or(0).min(FIRST_BUFFER));
    loop {
        let chunk = tokio::time::timeout_at(deadline, payload.next()).await.map_err(|_| {
            let sentence = format!("the body took longer than {} seconds to arrive", config.body_timeout_seconds);
            Error::new(Code::RequestTimeout, sentence)
        })?;
        match chunk {
            None => return Ok(body.freeze()),
            Some(Err(error)) => {
                return Err(Error::invalid(format!("the body broke off: {error}")));
            }
            Some(Ok(chunk)) if body.len() + chunk.len() > limit => return Err(too_large(limit)),
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
    parse(&read(request, payload, config).await?)
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

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        match error.classify() {
            Category::Data => Error::invalid(format!("the body can't be used: {}", without_values(&text))),
            _ => Error::new(Code::InvalidJson, format!("the body is not JSON: {}", one_line(&text))),
        }
    })
}

/// Serde's sentence, from what was expected on.
fn without_values(text: &str) -> String {
    let found = ["invalid type: ", "invalid value: ", "unknown variant "].iter().any(|start| text.starts_with(start));
    match text.find("expected ") {
        Some(place) if found => one_line(text.get(place..).unwrap_or_default()),
        _ => one_line(text),
    }
}

fn too_large(limit: usize) -> Error {
    Error::new(
        Code::TooLarge,
        format!("the body is longer than {limit} bytes (setting `server.body_limit`): send several batches"),
    )
}
