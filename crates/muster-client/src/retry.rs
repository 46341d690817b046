//! Retry policy.
//!
//! # Decisions
//!
//! - **The retry limit applies to failures, not to work.** Its time starts with the first failure and resets when the
//!   server responds. 409 `idempotency_key_in_use` means that the server is processing this batch, so the client waits
//!   without a limit, as it would for the first response.
//! - **A failed connection is attempted only three times**, within a second, which bridges a restart: a wrong URL should
//!   be reported immediately. Once the server has responded, the URL is known to be right, and the full limit applies.
//! - **Only a response about the batch itself settles a lost response**: success, 400, 409 or 422. If the limit is
//!   reached, or another response arrives (401, a proxy), the client returns the error that lost the response, because it
//!   tells the caller that the users may exist.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Error, random};

/// First and longest backoff, unless the server requests a longer delay.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Number of connection attempts while nothing was sent.
const CONNECTION_ATTEMPTS: u32 = 3;

/// Retry state of one request.
pub(crate) struct Retry {
    limit: Duration,
    /// Time of the last attempt; `None` before the first failure.
    end: Option<Instant>,
    failures: u32,
    /// Whether the server has responded before, so that its URL is right.
    reached: bool,
    /// Whether the request only reads: server errors are retried, and the latest error is returned.
    reads: bool,
    /// Latest error after which the outcome is unknown.
    lost: Option<Error>,
}

/// Why a request is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryReason {
    /// No response.
    NoResponse,
    /// The server is overloaded, starting or shutting down.
    NotReady,
}

/// What an error means for a retry.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// A retry would not change the outcome.
    Fail,
    /// Retry after this delay.
    RetryAfter(Duration),
    /// The connection failed, so nothing was sent.
    NotConnected,
    /// The server is processing the request; retry after this delay.
    InProgress(Duration),
}

impl Retry {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, end: None, failures: 0, reached: false, reads: false, lost: None }
    }

    /// For a write to a server that has responded before.
    pub(crate) fn reached(limit: Duration) -> Self {
        Self { reached: true, ..Self::new(limit) }
    }

    /// For polling a batch that the server has accepted.
    pub(crate) fn following(limit: Duration) -> Self {
        Self { reads: true, ..Self::reached(limit) }
    }

    /// Resets the state after a response.
    pub(crate) fn reset(&mut self) {
        (self.end, self.failures, self.reached, self.lost) = (None, 0, true, None);
    }

    /// Returns the delay before the next attempt.
    ///
    /// # Errors
    /// The error for the caller if there is no further attempt.
    pub(crate) fn after(&mut self, error: Error, now: Instant) -> Result<Duration, Error> {
        let requested = match self.decide(&error) {
            Decision::InProgress(delay) => {
                self.end = None;
                self.failures = 0;
                self.lost = Some(error);
                return Ok(delay.max(FIRST_BACKOFF));
            }
            Decision::Fail => return Err(self.final_error(error)),
            Decision::NotConnected
                if !self.reached && self.lost.is_none() && self.failures + 1 >= CONNECTION_ATTEMPTS =>
            {
                return Err(error);
            }
            Decision::NotConnected => Duration::ZERO,
            Decision::RetryAfter(delay) => delay,
        };
        let left = self.end.get_or_insert(now + self.limit).saturating_duration_since(now);
        if left.is_zero() || requested > left {
            return Err(self.final_error(error));
        }
        let delay = requested.max(backoff(self.failures, random::fraction()).min(left));
        self.failures += 1;
        if error.outcome_unknown() && !self.reads {
            self.lost = Some(error);
        }
        Ok(delay)
    }

    /// The reason to report for a retry: none for the initial connection attempts and while the server is processing the
    /// request.
    pub(crate) fn reason(&self, error: &Error) -> Option<RetryReason> {
        match self.decide(error) {
            Decision::InProgress(_) => None,
            Decision::NotConnected if !self.reached && self.lost.is_none() => None,
            _ if matches!(error, Error::Unreachable { .. }) => Some(RetryReason::NoResponse),
            _ => Some(RetryReason::NotReady),
        }
    }

    fn decide(&self, error: &Error) -> Decision {
        match (decide(error), error) {
            (Decision::Fail, Error::Server(response)) if self.reads && matches!(response.status, 502..=504) => {
                Decision::RetryAfter(response.retry_after.unwrap_or_default())
            }
            (decision, _) => decision,
        }
    }

    /// The error that lost a response, unless `error` settles the outcome.
    fn final_error(&mut self, error: Error) -> Error {
        let settled = matches!(&error, Error::Rejected(response) if matches!(response.status, 400 | 409 | 422));
        match self.lost.take() {
            Some(lost) if !settled && !error.outcome_unknown() => lost,
            _ => error,
        }
    }
}

fn decide(error: &Error) -> Decision {
    match error {
        Error::Rejected(response) if error.is_in_progress() => {
            Decision::InProgress(response.retry_after.unwrap_or(Duration::from_secs(1)))
        }
        Error::Rejected(response) | Error::Server(response) => match (response.status, response.retry_after) {
            (429 | 503, Some(delay)) => Decision::RetryAfter(delay),
            // From a proxy in front of a server that is starting or stopping.
            (502..=504, None) if response.code.is_empty() => Decision::RetryAfter(Duration::ZERO),
            _ => Decision::Fail,
        },
        Error::Unreachable { .. } if error.outcome_unknown() => Decision::RetryAfter(Duration::ZERO),
        Error::Unreachable { source, .. } if is_transient(source.as_ref()) => Decision::NotConnected,
        _ => Decision::Fail,
    }
}

/// Whether a connection error is transient, unlike an untrusted certificate or an unknown host name.
fn is_transient(source: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable,
        TimedOut, UnexpectedEof,
    };
    let timed_out = source.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout);
    let kinds = [
        BrokenPipe,
        ConnectionAborted,
        ConnectionRefused,
        ConnectionReset,
        HostUnreachable,
        NetworkUnreachable,
        TimedOut,
        UnexpectedEof,
    ];
    timed_out
        || std::iter::successors(Some(source), |error| error.source())
            .filter_map(|error| error.downcast_ref::<std::io::Error>())
            .any(|error| kinds.contains(&error.kind()))
}

/// Exponential backoff with jitter: a random delay between half of the backoff and all of it.
fn backoff(failures: u32, fraction: f64) -> Duration {
    let whole = FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(failures)).min(MAX_BACKOFF);
    whole.mul_f64(0.5 + fraction.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;
    use crate::ApiError;

    fn response(status: u16, code: &str, retry_after: Option<u64>) -> Error {
        let body = format!(r#"{{"error":{{"code":"{code}","detail":"D"}}}}"#);
        let status = StatusCode::from_u16(status).unwrap();
        let error = Box::new(ApiError::parse(status, body.as_bytes(), None, retry_after.map(Duration::from_secs)));
        if status.is_server_error() { Error::Server(error) } else { Error::Rejected(error) }
    }

    fn broken() -> Error {
        Error::Unreachable { host: "h".to_owned(), source: "cut".into(), idempotency_key: None }
    }

    #[test]
    fn errors_are_classified_for_retries() {
        let seconds = Duration::from_secs;
        for (error, decision) in [
            (response(503, "overloaded", Some(7)), Decision::RetryAfter(seconds(7))),
            (response(429, "", Some(2)), Decision::RetryAfter(seconds(2))),
            (response(503, "overloaded", None), Decision::Fail),
            (response(502, "", None), Decision::RetryAfter(Duration::ZERO)),
            (response(500, "internal", Some(1)), Decision::Fail),
            (response(409, "idempotency_key_in_use", Some(3)), Decision::InProgress(seconds(3))),
            (response(409, "idempotency_key_in_use", None), Decision::InProgress(seconds(1))),
            (response(409, "conflict", Some(3)), Decision::Fail),
            (response(422, "idempotency_key_reused", None), Decision::Fail),
            (broken(), Decision::RetryAfter(Duration::ZERO)),
            (Error::Config(String::new()), Decision::Fail),
        ] {
            assert_eq!(decide(&error), decision, "{error:?}");
        }
    }

    #[test]
    fn backoff_doubles_from_200_ms_to_5_s_with_jitter() {
        let millis = |failures, fraction| backoff(failures, fraction).as_millis();
        assert_eq!([0, 1, 2, 3, 4, 5, 99].map(|n| millis(n, 1.0)), [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!([0, 5].map(|n| millis(n, 0.0)), [100, 2500]);
    }

    #[test]
    fn the_limit_starts_with_the_first_failure_and_excludes_longer_delays() {
        let mut retry = Retry::new(Duration::from_secs(10));
        let start = Instant::now();
        assert!(retry.after(broken(), start).unwrap() <= FIRST_BACKOFF);
        let busy = response(503, "overloaded", Some(9));
        assert_eq!(retry.after(busy, start).unwrap(), Duration::from_secs(9));
        // The 503 is about this attempt and does not settle the outcome of the lost one.
        let last = retry.after(response(503, "overloaded", Some(2)), start + Duration::from_secs(9)).unwrap_err();
        assert_eq!(last.to_string(), "no response from `h`: cut");
    }

    #[test]
    fn a_response_resets_the_limit() {
        let mut retry = Retry::new(Duration::from_secs(10));
        let start = Instant::now();
        retry.after(broken(), start).unwrap();
        let later = start + Duration::from_secs(100);
        let in_use = response(409, "idempotency_key_in_use", Some(1));
        assert_eq!(retry.after(in_use, later).unwrap(), Duration::from_secs(1));
        assert!(retry.after(broken(), later + Duration::from_secs(9)).is_ok());
        retry.after(broken(), later + Duration::from_secs(20)).unwrap_err();
    }

    #[test]
    fn only_a_response_about_the_batch_settles_a_lost_one() {
        let after_a_loss = |error| {
            let mut retry = Retry::new(Duration::from_secs(10));
            retry.after(broken(), Instant::now()).unwrap();
            retry.after(error, Instant::now()).unwrap_err()
        };
        assert!(after_a_loss(response(401, "unauthenticated", None)).outcome_unknown());
        assert!(after_a_loss(response(500, "internal", None)).outcome_unknown());
        assert!(!after_a_loss(response(422, "batch_rejected", None)).outcome_unknown());
        assert!(!after_a_loss(response(409, "conflict", None)).outcome_unknown());
    }

    #[test]
    fn polling_retries_server_errors_and_returns_the_latest_error() {
        let start = Instant::now();
        let mut retry = Retry::following(Duration::from_secs(60));
        for second in 0..60 {
            retry.after(broken(), start + Duration::from_secs(second)).unwrap();
        }
        retry.after(broken(), start + Duration::from_secs(60)).unwrap_err();
        retry.reset();
        assert_eq!(retry.reason(&broken()), Some(RetryReason::NoResponse));
        let failed = response(503, "unavailable", None);
        assert_eq!(retry.reason(&failed), Some(RetryReason::NotReady));
        retry.after(failed, start).unwrap();
        let last = retry.after(response(401, "unauthenticated", None), start).unwrap_err();
        assert!(matches!(last, Error::Rejected(_)), "{last:?}");
    }
}
