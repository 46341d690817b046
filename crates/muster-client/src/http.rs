//! Sending a request and reading its answer.
//!
//! # Decisions
//!
//! - Reads are repeated when the server says for how long it is busy. A write is repeated if it
//!   carries an idempotency key, for then the server answers a repeat with its first answer and
//!   nothing is done twice; see `patience` for how long. A write without a key is sent once:
//!   whether one whose answer was lost took place is for the caller to find out
//!   ([`Error::outcome_unknown`]).
//! - A repeat is the same request in every byte. The body is written once and shared.
//! - Redirects are not followed: one leads to a sign-in page or to another host, and neither
//!   should be shown the token.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, IF_MATCH, LOCATION, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::base::Base;
use crate::patience::{Patience, Trouble};
use crate::{Error, Rejection};

/// How often a read is repeated at most, and how long one wait is: the vendor's client's limits.
const MAX_REPEATS: u32 = 3;
const MAX_WAIT: Duration = Duration::from_secs(120);

/// A connection pool to one server, which sends the token with every request.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) client: reqwest::Client,
    pub(crate) base: Base,
    /// For a read, from connecting to the last byte of its answer.
    pub(crate) read_timeout: Duration,
    /// For how long a keyed write is repeated.
    pub(crate) retry_for: Duration,
    /// For how long a batch that runs is asked after.
    pub(crate) follow_for: Duration,
    /// Who is told that a request is repeated.
    pub(crate) on_trouble: Option<Arc<dyn Fn(Trouble) + Send + Sync>>,
}

/// A batch to be sent, with its headers; `key` is the one in them, which goes into errors.
pub(crate) struct Rows<'a, B: ?Sized> {
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(&'a str, String)],
    pub(crate) headers: HeaderMap,
    pub(crate) rows: &'a B,
    pub(crate) key: Option<&'a str>,
}

/// Something that is changed, or asked for with a body: sent once.
pub(crate) struct Write {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Write {
    pub(crate) fn new(method: Method, path: String) -> Self {
        Self { method, path, query: Vec::new(), headers: HeaderMap::new(), body: Vec::new() }
    }

    pub(crate) fn query(mut self, name: &'static str, value: &str) -> Self {
        self.query.push((name, value.to_owned()));
        self
    }

    /// With this as JSON.
    pub(crate) fn body<B: Serialize + ?Sized>(mut self, body: &B) -> Result<Self, Error> {
        self.body = json(body)?;
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(self)
    }

    /// Only if this is the revision still.
    pub(crate) fn only_if(mut self, revision: Option<i64>) -> Self {
        if let Some(tag) = revision.and_then(|revision| HeaderValue::from_str(&format!("\"{revision}\"")).ok()) {
            self.headers.insert(IF_MATCH, tag);
        }
        self
    }
}

/// An answer that is neither a refusal nor a failure.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// Whether a header has this value.
    pub(crate) fn says(&self, name: &str, value: &str) -> bool {
        header(&self.headers, name) == Some(value)
    }
}

impl Http {
    /// Reads, waiting and repeating while the server asks for it (429 or 503 with `Retry-After`).
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Error> {
        self.get_within(path, query, 1).await
    }

    /// The same for an answer that may take so many times as long as another.
    pub(crate) async fn get_within<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        times: u32,
    ) -> Result<T, Error> {
        let (url, limit) = (self.base.join(path, query), self.read_timeout.saturating_mul(times));
        let mut repeats = 0;
        loop {
            let response = self.send(self.client.get(url.clone()).timeout(limit)).await?;
            match wait_asked_for(response.status(), response.headers()) {
                Some(wait) if repeats < MAX_REPEATS => {
                    repeats += 1;
                    drop(response);
                    self.tell(Trouble::NotReady);
                    tokio::time::sleep(wait.min(MAX_WAIT)).await;
                }
                _ => return self.parse(&self.receive(response).await?),
            }
        }
    }

    /// Reads, repeating while there is patience. `limit` is for one attempt; `news` gets the
    /// failures that are survived.
    pub(crate) async fn get_patiently<T: DeserializeOwned>(
        &self,
        path: &str,
        limit: Duration,
        patience: &mut Patience,
        mut news: impl FnMut(Trouble),
    ) -> Result<T, Error> {
        loop {
            let request = self.client.get(self.base.join(path, &[])).timeout(limit);
            match self.ask(request).await {
                Ok(answer) => {
                    patience.renew();
                    return self.parse(&answer);
                }
                Err(error) => tokio::time::sleep(wait_after(error, patience, &mut news)?).await,
            }
        }
    }

    /// Writes without a body, once, and for as long as it takes.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Error> {
        let request = self.client.post(self.base.join(path, query)).header(CONTENT_LENGTH, "0");
        self.parse(&self.ask(request).await?)
    }

    /// Writes once, for as long as it takes.
    pub(crate) async fn write(&self, write: Write) -> Result<Answer, Error> {
        let url = self.base.join(&write.path, &write.query);
        let mut headers = write.headers;
        headers.insert(CONTENT_LENGTH, HeaderValue::from(write.body.len()));
        self.ask(self.client.request(write.method, url).headers(headers).body(write.body)).await
    }

    /// The same, for what is answered.
    pub(crate) async fn write_for<T: DeserializeOwned>(&self, write: Write) -> Result<T, Error> {
        self.parse(&self.write(write).await?)
    }

    /// Writes with a JSON body, once, and for as long as it takes.
    pub(crate) async fn post_json<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::Config(format!("the request can't be written as JSON: {error}")))?;
        let request = self.client.post(self.base.join(path, &[])).header(CONTENT_TYPE, "application/json").body(body);
        self.parse(&self.ask(request).await?)
    }

    /// Deletes, once, and for as long as it takes.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.parse(&self.ask(self.client.delete(self.base.join(path, &[]))).await?)
    }

    /// Sends rows, for as long as it takes (the server may hash thousands of passwords), and again
    /// while there is patience. `news` gets the failures that are survived.
    pub(crate) async fn post_rows<B: Serialize + ?Sized>(
        &self,
        Rows { path, query, headers, rows, key }: Rows<'_, B>,
        mut patience: Patience,
        mut news: impl FnMut(Trouble),
    ) -> Result<Answer, Error> {
        let body = json(rows)?;
        let url = self.base.join(path, query);
        let request = self.client.post(url).headers(headers).header(CONTENT_TYPE, "application/json").body(body);
        loop {
            let attempt =
                request.try_clone().ok_or_else(|| Error::Config("the request can't be repeated".to_owned()))?;
            let error = match self.ask(attempt).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match wait_after(error, &mut patience, &mut news) {
                Ok(wait) => tokio::time::sleep(wait).await,
                Err(error) if error.makes_sense_to_repeat() => return Err(error.with_key(key)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells that a request is repeated.
    pub(crate) fn tell(&self, trouble: Trouble) {
        if let Some(tell) = &self.on_trouble {
            tell(trouble);
        }
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Answer, Error> {
        self.receive(self.send(request).await?).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        request.send().await.map_err(|error| self.unreachable(error))
    }

    /// The whole answer, if it is neither a refusal nor a failure.
    async fn receive(&self, response: Response) -> Result<Answer, Error> {
        let status = response.status();
        if status.is_redirection() {
            return Err(self.invalid_answer(status, redirect_in_words(&response)));
        }
        let headers = response.headers().clone();
        let retry_after = whole_seconds(&headers);
        let request_id = header(&headers, "x-request-id").map(str::to_owned);
        let body = response.bytes().await.map_err(|error| self.unreachable(error))?;
        match status {
            _ if status.is_success() => Ok(Answer { status, headers, body: body.into() }),
            _ if status.is_client_error() => {
                Err(Error::Rejected(Box::new(Rejection::read(status, &body, request_id, retry_after))))
            }
            _ if status.is_server_error() => {
                Err(Error::Server(Box::new(Rejection::read(status, &body, request_id, retry_after))))
            }
            _ => Err(self.invalid_answer(status, "no such status belongs to the API".to_owned())),
        }
    }

    /// The body of an answer.
    pub(crate) fn parse<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Error> {
        serde_json::from_slice(&answer.body)
            .map_err(|error| self.invalid_answer(answer.status, misfit_in_words(&answer.body, &error)))
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        Error::Unreachable { host: self.base.to_string(), source: Box::new(error.without_url()), idempotency_key: None }
    }

    pub(crate) fn invalid_answer(&self, status: StatusCode, reason: String) -> Error {
        Error::InvalidAnswer { host: self.base.to_string(), status: status.as_u16(), reason, idempotency_key: None }
    }
}

fn json<B: Serialize + ?Sized>(body: &B) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|error| Error::Config(format!("the request can't be written as JSON: {error}")))
}

/// How long to wait after a failure that is survived, which is told.
fn wait_after(error: Error, patience: &mut Patience, news: &mut impl FnMut(Trouble)) -> Result<Duration, Error> {
    let trouble = patience.trouble(&error);
    let wait = patience.after(error, Instant::now())?;
    if let Some(trouble) = trouble {
        news(trouble);
    }
    Ok(wait)
}

fn wait_asked_for(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => whole_seconds(headers),
        _ => None,
    }
}

/// `Retry-After` in seconds. muster sends no dates (RFC 9110 section 10.2.3 knows both).
fn whole_seconds(headers: &HeaderMap) -> Option<Duration> {
    header(headers, RETRY_AFTER.as_str())?.trim().parse().ok().map(Duration::from_secs)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Where a redirect leads: the host only, for the rest of a `Location` can hold secrets.
fn redirect_in_words(response: &Response) -> String {
    let location = header(response.headers(), LOCATION.as_str()).and_then(|text| response.url().join(text).ok());
    match location.as_ref().map(Url::origin) {
        Some(origin) if origin.is_tuple() => {
            format!("it redirects to `{}`, and redirects are not followed", origin.ascii_serialization())
        }
        _ => "it redirects, and redirects are not followed".to_owned(),
    }
}

fn misfit_in_words(body: &[u8], error: &serde_json::Error) -> String {
    match body.trim_ascii_start().first() {
        None => "the body is empty".to_owned(),
        Some(b'<') => "the body is a web page, not JSON".to_owned(),
        Some(_) if error.is_data() => format!("the body is JSON of another shape: {error}"),
        Some(_) => format!("the body is not JSON: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_for(status: u16, retry_after: &str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, retry_after.parse().unwrap())]);
        wait_asked_for(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn only_busy_servers_that_name_whole_seconds_are_asked_again() {
        assert_eq!(asked_for(503, "7"), Some(Duration::from_secs(7)));
        assert_eq!(asked_for(429, "0"), Some(Duration::ZERO));
        assert_eq!(asked_for(500, "7"), None);
        assert_eq!(asked_for(503, "1.5"), None);
        assert_eq!(asked_for(503, "-1"), None);
        assert_eq!(asked_for(503, "Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(wait_asked_for(StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new()), None);
    }
}
