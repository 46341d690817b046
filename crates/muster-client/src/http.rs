//! Sending a request and reading its answer.
//!
//! # Decisions
//!
//! Reads are repeated when the server says for how long it is busy; writes never are, as in
//! the vendor's client: whether a write whose answer was lost took place is for the caller to
//! find out ([`Error::outcome_unknown`]). Redirects are not followed: one leads to a sign-in
//! page or to another host, and neither should be shown the token.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::Base;
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
}

impl Http {
    /// Reads, waiting and repeating while the server asks for it (429 or 503 with `Retry-After`).
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Error> {
        let url = self.base.join(path, query);
        let mut repeats = 0;
        loop {
            let response = self.send(self.client.get(url.clone()).timeout(self.read_timeout)).await?;
            match wait_asked_for(response.status(), response.headers()) {
                Some(wait) if repeats < MAX_REPEATS => {
                    repeats += 1;
                    drop(response);
                    tokio::time::sleep(wait.min(MAX_WAIT)).await;
                }
                _ => return self.read(response).await,
            }
        }
    }

    /// Writes, once and for as long as it takes: the server may hash thousands of passwords.
    pub(crate) async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::Config(format!("the request can't be written as JSON: {error}")))?;
        let request = self.client.post(self.base.join(path, &[])).header(CONTENT_TYPE, "application/json").body(body);
        self.read(self.send(request).await?).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        request.send().await.map_err(|error| self.unreachable(error))
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, Error> {
        let status = response.status();
        if status.is_redirection() {
            return Err(self.invalid_answer(status, redirect_in_words(&response)));
        }
        let retry_after = whole_seconds(response.headers());
        let request_id = header(response.headers(), "x-request-id").map(str::to_owned);
        let body = response.bytes().await.map_err(|error| self.unreachable(error))?;
        match status {
            _ if status.is_success() => serde_json::from_slice(&body)
                .map_err(|error| self.invalid_answer(status, misfit_in_words(&body, &error))),
            _ if status.is_client_error() => {
                Err(Error::Rejected(Rejection::read(status, &body, request_id, retry_after)))
            }
            _ if status.is_server_error() => {
                Err(Error::Server(Rejection::read(status, &body, request_id, retry_after)))
            }
            _ => Err(self.invalid_answer(status, "no such status belongs to the API".to_owned())),
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        Error::Unreachable { host: self.base.to_string(), source: Box::new(error.without_url()) }
    }

    fn invalid_answer(&self, status: StatusCode, reason: String) -> Error {
        Error::InvalidAnswer { host: self.base.to_string(), status: status.as_u16(), reason }
    }
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
