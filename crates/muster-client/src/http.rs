//! Sending requests and reading responses.
//!
//! # Decisions
//!
//! - Reads are retried after `Retry-After`. Writes are retried only with an idempotency key; `retry` decides for how long.
//!   A write without a key is not retried: if its response is lost, the caller must check the outcome
//!   ([`Error::outcome_unknown`]).
//! - A retry is identical to the first attempt. The body is serialized once.
//! - Redirects are not followed: they lead to a sign-in page or to another host, which must not receive the token.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, IF_MATCH, LOCATION, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::base::Base;
use crate::retry::{Retry, RetryReason};
use crate::{ApiError, Error};

/// Limits for retrying reads: those of the vendor's client.
const MAX_RETRIES: u32 = 3;
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);

/// A connection pool for one server.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) client: reqwest::Client,
    pub(crate) base: Base,
    /// For a read, from connecting to the last byte of the response.
    pub(crate) read_timeout: Duration,
    /// How long a write with an idempotency key is retried.
    pub(crate) retry_for: Duration,
    /// How long a running batch is polled despite failures.
    pub(crate) follow_for: Duration,
    /// Called before each retry.
    pub(crate) on_retry: Option<Arc<dyn Fn(RetryReason) + Send + Sync>>,
}

/// A write. It has no timeout: the server may hash thousands of passwords.
pub(crate) struct Write<'a> {
    http: &'a Http,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Write<'_> {
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Adds a query parameter `true` if `is_set`.
    pub(crate) fn flag(self, name: &str, is_set: bool) -> Self {
        if is_set { self.query(name, "true") } else { self }
    }

    /// Sets the JSON body.
    pub(crate) fn body<B: Serialize + ?Sized>(mut self, body: &B) -> Result<Self, Error> {
        self.body = serde_json::to_vec(body)
            .map_err(|error| Error::Config(format!("failed to serialize the request: {error}")))?;
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(self)
    }

    /// Sets `If-Match`.
    pub(crate) fn if_match(mut self, revision: Option<i64>) -> Self {
        if let Some(tag) = revision.and_then(|revision| HeaderValue::from_str(&format!("\"{revision}\"")).ok()) {
            self.headers.insert(IF_MATCH, tag);
        }
        self
    }

    pub(crate) fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    fn request(mut self) -> RequestBuilder {
        self.headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        self.http.client.request(self.method, self.url).headers(self.headers).body(self.body)
    }

    pub(crate) async fn send(self) -> Result<Received, Error> {
        self.http.execute(self.request()).await
    }

    /// Sends the request and retries. `on_retry` is called before each retry.
    pub(crate) async fn send_with_retry(
        self,
        mut retry: Retry,
        on_retry: impl FnMut(RetryReason),
    ) -> Result<Received, Error> {
        self.http.execute_with_retry(self.request(), &mut retry, on_retry).await
    }

    /// Sends the request and parses the response.
    pub(crate) async fn parse<T: DeserializeOwned>(self) -> Result<T, Error> {
        let http = self.http;
        http.parse(&self.send().await?)
    }

    /// Sends the request and returns the resource in the response.
    pub(crate) async fn one<T: DeserializeOwned>(self) -> Result<T, Error> {
        Ok(self.parse::<Single<T>>().await?.result)
    }
}

/// Envelope of a response that is not a list.
#[derive(Deserialize)]
pub(crate) struct Single<T> {
    pub(crate) result: T,
}

/// A successful response.
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Vec<u8>,
}

impl Received {
    pub(crate) fn has_header(&self, name: &str, value: &str) -> bool {
        header(&self.headers, name) == Some(value)
    }
}

impl Http {
    /// Reads; retries a 429 or 503 with `Retry-After`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Error> {
        self.get_within(path, query, 1).await
    }

    /// Reads one resource.
    pub(crate) async fn get_one<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Error> {
        Ok(self.get::<Single<T>>(path, query).await?.result)
    }

    /// Reads with a multiple of the read timeout.
    pub(crate) async fn get_within<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        factor: u32,
    ) -> Result<T, Error> {
        let (url, timeout) = (self.base.join(path, query), self.read_timeout.saturating_mul(factor));
        let mut retries = 0;
        loop {
            let response = self.send(self.client.get(url.clone()).timeout(timeout)).await?;
            match requested_delay(response.status(), response.headers()) {
                Some(wait) if retries < MAX_RETRIES => {
                    retries += 1;
                    drop(response);
                    self.notify(RetryReason::NotReady);
                    tokio::time::sleep(wait.min(MAX_RETRY_AFTER)).await;
                }
                _ => return self.parse(&self.receive(response).await?),
            }
        }
    }

    /// Reads and retries. `timeout` applies to each attempt; `on_retry` is called before each retry.
    pub(crate) async fn get_with_retry<T: DeserializeOwned>(
        &self,
        path: &str,
        timeout: Duration,
        retry: &mut Retry,
        on_retry: impl FnMut(RetryReason),
    ) -> Result<T, Error> {
        let request = self.client.get(self.base.join(path, &[])).timeout(timeout);
        let response = self.execute_with_retry(request, retry, on_retry).await?;
        retry.reset();
        self.parse(&response)
    }

    pub(crate) fn write(&self, method: Method, path: &str) -> Write<'_> {
        Write { http: self, method, url: self.base.join(path, &[]), headers: HeaderMap::new(), body: Vec::new() }
    }

    pub(crate) fn post(&self, path: &str) -> Write<'_> {
        self.write(Method::POST, path)
    }

    async fn execute_with_retry(
        &self,
        request: RequestBuilder,
        retry: &mut Retry,
        mut on_retry: impl FnMut(RetryReason),
    ) -> Result<Received, Error> {
        loop {
            let attempt =
                request.try_clone().ok_or_else(|| Error::Config("the request can't be retried".to_owned()))?;
            match self.execute(attempt).await {
                Ok(response) => return Ok(response),
                Err(error) => {
                    let reason = retry.reason(&error);
                    let delay = retry.after(error, Instant::now())?;
                    if let Some(reason) = reason {
                        on_retry(reason);
                    }
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }

    /// Reports a retry to the callback.
    pub(crate) fn notify(&self, reason: RetryReason) {
        if let Some(callback) = &self.on_retry {
            callback(reason);
        }
    }

    async fn execute(&self, request: RequestBuilder) -> Result<Received, Error> {
        self.receive(self.send(request).await?).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        request.send().await.map_err(|error| self.unreachable(error))
    }

    /// Reads the whole response; an error response becomes an error.
    async fn receive(&self, response: Response) -> Result<Received, Error> {
        let status = response.status();
        if status.is_redirection() {
            return Err(self.invalid_response(status, describe_redirect(&response)));
        }
        let headers = response.headers().clone();
        let retry_after = whole_seconds(&headers);
        let request_id = header(&headers, "x-request-id").map(str::to_owned);
        let body = response.bytes().await.map_err(|error| self.unreachable(error))?;
        match status {
            _ if status.is_success() => Ok(Received { status, headers, body: body.into() }),
            _ if status.is_client_error() => {
                Err(Error::Rejected(Box::new(ApiError::parse(status, &body, request_id, retry_after))))
            }
            _ if status.is_server_error() => {
                Err(Error::Server(Box::new(ApiError::parse(status, &body, request_id, retry_after))))
            }
            _ => Err(self.invalid_response(status, "unexpected status".to_owned())),
        }
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self, response: &Received) -> Result<T, Error> {
        serde_json::from_slice(&response.body)
            .map_err(|error| self.invalid_response(response.status, describe_mismatch(&response.body, &error)))
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        Error::Unreachable { host: self.base.to_string(), source: Box::new(error.without_url()), idempotency_key: None }
    }

    pub(crate) fn invalid_response(&self, status: StatusCode, reason: String) -> Error {
        Error::InvalidResponse { host: self.base.to_string(), status: status.as_u16(), reason, idempotency_key: None }
    }
}

fn requested_delay(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => whole_seconds(headers),
        _ => None,
    }
}

/// `Retry-After` in seconds. muster does not send dates, which RFC 9110, section 10.2.3 also allows.
fn whole_seconds(headers: &HeaderMap) -> Option<Duration> {
    header(headers, RETRY_AFTER.as_str())?.trim().parse().ok().map(Duration::from_secs)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Names only the host of a redirect, because the rest of a `Location` can contain secrets.
fn describe_redirect(response: &Response) -> String {
    let location = header(response.headers(), LOCATION.as_str()).and_then(|text| response.url().join(text).ok());
    match location.as_ref().map(Url::origin) {
        Some(origin) if origin.is_tuple() => {
            format!("redirect to `{}`; redirects are not followed", origin.ascii_serialization())
        }
        _ => "redirect; redirects are not followed".to_owned(),
    }
}

fn describe_mismatch(body: &[u8], error: &serde_json::Error) -> String {
    match body.trim_ascii_start().first() {
        None => "the body is empty".to_owned(),
        Some(b'<') => "the body is HTML, not JSON".to_owned(),
        Some(_) if error.is_data() => format!("unexpected JSON: {error}"),
        Some(_) => format!("the body is not JSON: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay_for(status: u16, retry_after: &str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, retry_after.parse().unwrap())]);
        requested_delay(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn only_429_and_503_with_whole_seconds_are_retried() {
        assert_eq!(delay_for(503, "7"), Some(Duration::from_secs(7)));
        assert_eq!(delay_for(429, "0"), Some(Duration::ZERO));
        assert_eq!(delay_for(500, "7"), None);
        assert_eq!(delay_for(503, "1.5"), None);
        assert_eq!(delay_for(503, "-1"), None);
        assert_eq!(delay_for(503, "Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(requested_delay(StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new()), None);
    }
}
