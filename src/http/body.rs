//! Reads request bodies, bounded in size and time while reading.
//!
//! The rest of a rejected body is not read. A client that is still sending gets the response all the same: the server
//! lingers before it closes the connection.

use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::{Instant, timeout_at};

use super::browser;
use super::extract::{form_encoded, one_line};
use crate::app::App;
use crate::config::HttpLimits;
use crate::error::{Code, Error, Result};
use crate::list::{self, ListError};
use crate::request_body::{BodyShare, RequestBody, SHORT, why_not_json};

/// What a route accepts as its body, in the URL table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodySize {
    /// From a client without an API key: room for a name and a password.
    Open,
    /// A form of the console: a page of 200 rows.
    Form,
    /// One object.
    Short,
    /// A list, up to the setting `server.body_limit`.
    List,
}

/// The largest body of [`BodySize::Open`], in bytes.
const OPEN: usize = 4096;

/// The largest body of [`BodySize::Form`], in bytes.
const FORM: usize = 256 * 1024;

/// The least part of a body that must arrive in each interval, in bytes: 1 KiB a second with the default interval.
const LEAST_PER_INTERVAL: usize = 10 * 1024;

/// The sizes of the methods of a route, stored with the route.
pub(super) struct BodySizes(pub(super) Vec<(Method, BodySize)>);

impl BodySize {
    /// The largest body in bytes, and advice for those that are larger.
    fn limit(self, body_limit: usize) -> (usize, &'static str) {
        match self {
            Self::Open => (OPEN, ""),
            Self::Form => (FORM, ""),
            Self::Short => (SHORT, ""),
            Self::List => (body_limit, " (setting `server.body_limit`); split the list into several batches"),
        }
    }
}

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
    /// Reads the whole body, which is JSON or empty, up to the size of its route.
    ///
    /// # Errors
    /// `too_large`, immediately if `Content-Length` says so; `unsupported_media_type` for a compressed body, and if a
    /// browser sends another type; `request_timeout`; `overloaded` if the bodies of all requests take too much memory;
    /// `invalid_request` for an incomplete body.
    pub(super) async fn read(&mut self) -> Result<RequestBody> {
        let body = self.read_any().await?;
        if !body.is_empty() {
            browser::check_json(&self.request)?;
        }
        Ok(body)
    }

    /// As [`Self::read`], for a body of any type.
    pub(super) async fn read_any(&mut self) -> Result<RequestBody> {
        let sizes = self.request.app_data::<BodySizes>();
        let size = sizes.and_then(|sizes| sizes.0.iter().find(|(method, _)| method == self.request.method()));
        let (_, size) = size.ok_or_else(|| Error::internal("the route has no body"))?;
        let (limit, advice) = size.limit(self.app.config.server.body_limit);
        self.check_encoding()?;
        let too_large = || Error::new(Code::TooLarge, format!("the request body exceeds {limit} bytes{advice}"));
        let announced = self.request.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut body = RequestBody::new(&self.app.body_budget, announced.unwrap_or_default());
        let mut pace = Pace::new(&self.app.config.server.limits);
        loop {
            let Ok(chunk) = timeout_at(pace.deadline(), self.payload.next()).await else {
                pace.check(body.len())?;
                continue;
            };
            match chunk {
                None => return Ok(body),
                Some(Err(error)) => {
                    return Err(Error::invalid(format!("the request body ended prematurely: {error}")));
                }
                Some(Ok(chunk)) if body.len() + chunk.len() > limit => return Err(too_large()),
                Some(Ok(chunk)) => body.push(&chunk)?,
            }
        }
    }

    /// Rejects a compressed body (RFC 9110, section 15.5.16): a short one could decompress to gigabytes.
    fn check_encoding(&self) -> Result<()> {
        let mut encodings = self.request.headers().get_all(CONTENT_ENCODING);
        if encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Ok(());
        }
        Err(Error::new(
            Code::UnsupportedMediaType,
            "compressed request bodies are not supported; omit `Content-Encoding`",
        ))
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

    /// Reads and deserializes a JSON array of at most `max` items, outside the worker threads; parsing stops at the first
    /// item over the limit.
    ///
    /// # Errors
    /// As [`Self::object`]; `too_large` with the message `too_large` for more than `max` items.
    pub(super) async fn list<T: DeserializeOwned + Send + 'static>(
        &mut self,
        max: usize,
        too_large: impl FnOnce() -> String,
    ) -> Result<(Vec<T>, BodyShare)> {
        let (text, mut share) = self.read().await?.into_parts();
        let body = text.clone();
        let parse = move || list::parse(&body, max, &mut share, |_| PhantomData::<T>).map(|list| (list, share));
        match tokio::task::spawn_blocking(parse).await.map_err(Error::internal)? {
            Ok(list) => Ok(list),
            Err(ListError::TooLong) => Err(Error::new(Code::TooLarge, too_large())),
            Err(ListError::Overloaded(error)) => Err(error),
            Err(ListError::Invalid(error)) => Err(parse_error(&text, &error)),
        }
    }

    /// Reads the form of a page (`application/x-www-form-urlencoded`).
    ///
    /// # Errors
    /// As [`Self::read`]; `unsupported_media_type` for another type; `invalid_request` for a missing, unknown or repeated field. The
    /// message contains no values.
    pub(super) async fn form<T: DeserializeOwned>(&mut self) -> Result<T> {
        let body = self.read_any().await?;
        browser::check_form(&self.request)?;
        let text = std::str::from_utf8(&body).map_err(|_| Error::invalid("invalid form: not UTF-8"))?;
        form_encoded("form", text)
    }
}

/// The time that a client has for its body: a total, and a minimum rate, so that a body that stalls does not keep its
/// memory for the total.
struct Pace {
    limits: HttpLimits,
    end: Instant,
    /// The end of the current interval, and the length of the body at its start.
    interval: (Instant, usize),
}

impl Pace {
    fn new(limits: &HttpLimits) -> Self {
        let now = Instant::now();
        Self { limits: *limits, end: now + limits.body_timeout, interval: (now + limits.body_interval, 0) }
    }

    /// When to check the pace next.
    fn deadline(&self) -> Instant {
        self.end.min(self.interval.0)
    }

    /// Checks the pace at the deadline, when the body has this length.
    ///
    /// # Errors
    /// `request_timeout`.
    fn check(&mut self, length: usize) -> Result<()> {
        let (end, start) = self.interval;
        let detail = if Instant::now() >= self.end {
            format!("the request body did not arrive within {} seconds", self.limits.body_timeout.as_secs())
        } else if length < start + LEAST_PER_INTERVAL {
            let seconds = self.limits.body_interval.as_secs();
            format!("the request body arrives too slowly: fewer than {LEAST_PER_INTERVAL} bytes in {seconds} seconds")
        } else {
            self.interval = (end + self.limits.body_interval, length);
            return Ok(());
        };
        Err(Error::new(Code::RequestTimeout, detail))
    }
}

/// Deserializes an object. Serde alone would accept an array of field values.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Error::invalid("the request body must be a JSON object, not an array"));
    }
    serde_json::from_slice(body).map_err(|error| parse_error(body, &error))
}

fn parse_error(body: &[u8], error: &serde_json::Error) -> Error {
    match error.classify() {
        Category::Data => Error::invalid(format!("invalid request body: {}", without_values(&error.to_string()))),
        _ => {
            let why = why_not_json(body, error);
            Error::new(Code::InvalidJson, format!("the request body is not valid JSON: {}", one_line(&why)))
        }
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
