//! Reading bodies: bounded in size and in time, while reading.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::config;
use crate::error::{Code, Error, Result};

/// After a refusal, this much more is read and thrown away for this long: a client that is
/// still sending when the connection closes would never see the answer.
const DRAIN_LIMIT: usize = 64 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(5);

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
        drain(payload).await;
        return Err(too_large(limit));
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(config.body_timeout_seconds);
    let mut body = BytesMut::with_capacity(announced.unwrap_or(0).min(limit));
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
            Some(Ok(chunk)) if body.len() + chunk.len() > limit => {
                drain(payload).await;
                return Err(too_large(limit));
            }
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

async fn drain(mut payload: Payload) {
    let _ = tokio::time::timeout(DRAIN_TIME, async {
        let mut rest = DRAIN_LIMIT;
        while let Some(Ok(chunk)) = payload.next().await {
            rest = rest.saturating_sub(chunk.len());
            if rest == 0 {
                break;
            }
        }
    })
    .await;
}
