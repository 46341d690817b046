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

fn too_large(limit: usize) -> Error {
    Error::new(
        Code::TooLarge,
        format!("the body is longer than {limit} bytes (setting `server.body_limit`): send several batches"),
    )
}
