//! Reads request bodies, bounded in size and time while reading.
//!
//! The rest of a rejected body is not read. A client that is still sending gets the response all the same: the server
//! lingers before it closes the connection.

use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{FromRequest, HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::browser;
use super::extract::{form_encoded, one_line};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::list::{self, ListError};

/// The largest buffer that is allocated because of a `Content-Length` alone, in bytes.
const FIRST_BUFFER: usize = 1024 * 1024;

/// The largest body from a client without an API key, in bytes: room for a name and a password.
const SMALL: usize = 4096;

/// The body of a request, which is read by one of the methods.
pub(super) struct Body {
    pub(super) request: HttpRequest,
    app: web::Data<App>,
    payload: Payload,
}

impl FromRequest for Body {
    type Error = Error;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let app = request.app_data::<web::Data<App>>().cloned().ok_or_else(|| Error::internal("no app"));
        ready(app.map(|app| Self { request: request.clone(), app, payload: payload.take() }))
    }
}

impl Body {
    /// Reads the whole body, which is JSON or empty.
    ///
    /// # Errors
    /// `too_large`, immediately if `Content-Length` says so; `request_timeout`; `invalid_request` for an incomplete body;
    /// `unsupported_media_type` if a browser sends another type.
    pub(super) async fn read(&mut self) -> Result<Bytes> {
        let advice = " (setting `server.body_limit`); split the list into several batches";
        self.read_json(self.app.config.server.body_limit, advice).await
    }

    async fn read_json(&mut self, limit: usize, advice: &str) -> Result<Bytes> {
        let body = self.read_up_to(limit, advice).await?;
        if !body.is_empty() {
            browser::check_json(&self.request)?;
        }
        Ok(body)
    }

    async fn read_up_to(&mut self, limit: usize, advice: &str) -> Result<Bytes> {
        let too_large = || Error::new(Code::TooLarge, format!("the request body exceeds {limit} bytes{advice}"));
        let announced = self.request.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let time = self.app.config.server.limits.body_timeout;
        let deadline = tokio::time::Instant::now() + time;
        let mut body = BytesMut::with_capacity(announced.unwrap_or(0).min(FIRST_BUFFER));
        loop {
            let chunk = tokio::time::timeout_at(deadline, self.payload.next()).await.map_err(|_| {
                let detail = format!("the request body did not arrive within {} seconds", time.as_secs());
                Error::new(Code::RequestTimeout, detail)
            })?;
            match chunk {
                None => return Ok(body.freeze()),
                Some(Err(error)) => {
                    return Err(Error::invalid(format!("the request body ended prematurely: {error}")));
                }
                Some(Ok(chunk)) if body.len() + chunk.len() > limit => return Err(too_large()),
                Some(Ok(chunk)) => body.extend_from_slice(&chunk),
            }
        }
    }

    /// Reads and deserializes a JSON object.
    ///
    /// # Errors
    /// As [`Self::read`]; `invalid_json`; `invalid_request` for a missing or unknown field, or one of the wrong type. The
    /// message contains no values, as they may be passwords.
    pub(super) async fn object<T: DeserializeOwned>(&mut self) -> Result<T> {
        parse(&self.read().await?)
    }

    /// As [`Self::object`]; an empty body stands for an object without fields.
    pub(super) async fn optional_object<T: DeserializeOwned + Default>(&mut self) -> Result<T> {
        let body = self.read().await?;
        if body.is_empty() { Ok(T::default()) } else { parse(&body) }
    }

    /// As [`Self::object`], with at most [`SMALL`] bytes, for clients without an API key.
    pub(super) async fn small_object<T: DeserializeOwned>(&mut self) -> Result<T> {
        parse(&self.read_json(SMALL, "").await?)
    }

    /// Reads the form of a page (`application/x-www-form-urlencoded`), with at most [`SMALL`] bytes.
    ///
    /// # Errors
    /// As [`Self::read`]; `invalid_request` for a missing, unknown or repeated field. The message contains no values.
    pub(super) async fn small_form<T: DeserializeOwned>(&mut self) -> Result<T> {
        let body = self.read_up_to(SMALL, "").await?;
        let text = std::str::from_utf8(&body).map_err(|_| Error::invalid("invalid form: not UTF-8"))?;
        form_encoded("form", text)
    }

    /// Reads and deserializes a JSON array of at most `max` items; parsing stops at the first item over the limit.
    ///
    /// # Errors
    /// As [`Self::object`]; `too_large` with the message `too_large` for more than `max` items.
    pub(super) async fn list<T: DeserializeOwned>(
        &mut self,
        max: usize,
        too_large: impl FnOnce() -> String,
    ) -> Result<Vec<T>> {
        let body = self.read().await?;
        list::parse(&body, max, PhantomData).map_err(|error| match error {
            ListError::TooLong => Error::new(Code::TooLarge, too_large()),
            ListError::Invalid(error) => parse_error(error),
        })
    }
}

/// Deserializes an object. Serde alone would accept an array of field values.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Error::invalid("the request body must be a JSON object, not an array"));
    }
    serde_json::from_slice(body).map_err(parse_error)
}

fn parse_error(error: serde_json::Error) -> Error {
    let text = error.to_string();
    match error.classify() {
        Category::Data => Error::invalid(format!("invalid request body: {}", without_values(&text))),
        _ => Error::new(Code::InvalidJson, format!("the request body is not valid JSON: {}", one_line(&text))),
    }
}

/// The message of serde without the value that it found.
fn without_values(text: &str) -> String {
    let found = ["invalid type: ", "invalid value: ", "unknown variant "].iter().any(|start| text.starts_with(start));
    match text.find("expected ") {
        // The name of a Rust type means nothing to a client.
        Some(place) if found && text.get(place..).is_some_and(|rest| rest.starts_with("expected struct ")) => {
            "expected an object".to_owned()
        }
        Some(place) if found => one_line(text.get(place..).unwrap_or_default()),
        _ => one_line(text),
    }
}
