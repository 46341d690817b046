//! When to ask again, and when to give up.
//!
//! # Decisions
//!
//! - **Patience is for failures, not for work.** Its time begins with the first failure and ends
//!   with the first sign of life. A server that answers 409 `idempotency_key_in_use` is working at
//!   this very batch; it is waited for without a limit, as the first request would have been.
//! - **Before anything was sent there is little patience**: a connection that can't be made is
//!   tried three times, within a second, which bridges a restart. A wrong address should be told
//!   at once; a lost answer is worth waiting for. A server that has told of a batch has shown that
//!   the address is right: while that batch is followed, a refused connection has the whole patience.
//! - **A lost answer is settled only by an answer about the batch itself**: success, 400, 409 or
//!   422. When patience ends, or somebody else answers (401, a proxy), the error is the one that
//!   lost the answer, for it says what the caller has to know: that the users may exist.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Error, random};

/// The first wait and the longest, unless the server asks for more.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How often a connection is tried while nothing was sent.
const CONNECTION_ATTEMPTS: u32 = 3;

/// What has gone wrong so far with one request that may be repeated.
pub(crate) struct Patience {
    limit: Duration,
    /// When it ends; `None` while all is well.
    end: Option<Instant>,
    failures: u32,
    /// Whether the server has answered before, so that its address is right.
    reached: bool,
    /// Whether nothing can be lost but the news: failures of the server pass, and the latest tells.
    reads: bool,
    /// The latest failure after which nobody knows whether the server did what was asked.
    lost: Option<Error>,
}

/// Why a request is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// There is no answer.
    NoAnswer,
    /// The answer is that it can't be done now.
    NotReady,
}

/// What an error means for a request that may be repeated.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// No repeat would change it.
    Final,
    /// It may be otherwise after this time.
    Again(Duration),
    /// There was no connection, so nothing was sent.
    NotConnected,
    /// The server is working at it, and wants to be asked after this time.
    Working(Duration),
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, end: None, failures: 0, reached: false, reads: false, lost: None }
    }

    /// For a write to a server that has answered before.
    pub(crate) fn reached(limit: Duration) -> Self {
        Self { reached: true, ..Self::new(limit) }
    }

    /// For reading how far a batch is of which the server has told before.
    pub(crate) fn following(limit: Duration) -> Self {
        Self { reads: true, ..Self::reached(limit) }
    }

    /// All is well again.
    pub(crate) fn renew(&mut self) {
        (self.end, self.failures, self.reached, self.lost) = (None, 0, true, None);
    }

    /// How long to wait before asking again.
    ///
    /// # Errors
    /// What to tell the caller when there is nothing to wait for.
    pub(crate) fn after(&mut self, error: Error, now: Instant) -> Result<Duration, Error> {
        let asked_for = match self.judge(&error) {
            Verdict::Working(wait) => {
                self.end = None;
                self.failures = 0;
                self.lost = Some(error);
                return Ok(wait.max(FIRST_WAIT));
            }
            Verdict::Final => return Err(self.instead_of(error)),
            Verdict::NotConnected
                if !self.reached && self.lost.is_none() && self.failures + 1 >= CONNECTION_ATTEMPTS =>
            {
                return Err(error);
            }
            Verdict::NotConnected => Duration::ZERO,
            Verdict::Again(wait) => wait,
        };
        let left = self.end.get_or_insert(now + self.limit).saturating_duration_since(now);
        if left.is_zero() || asked_for > left {
            return Err(self.instead_of(error));
        }
        let wait = asked_for.max(backoff(self.failures, random::fraction()).min(left));
        self.failures += 1;
        if error.outcome_unknown() && !self.reads {
            self.lost = Some(error);
        }
        Ok(wait)
    }

    /// What to tell of a failure that is survived: nothing of the few attempts to find a server at
    /// all, nor that a server is working.
    pub(crate) fn trouble(&self, error: &Error) -> Option<Trouble> {
        match self.judge(error) {
            Verdict::Working(_) => None,
            Verdict::NotConnected if !self.reached && self.lost.is_none() => None,
            _ if matches!(error, Error::Unreachable { .. }) => Some(Trouble::NoAnswer),
            _ => Some(Trouble::NotReady),
        }
    }

    fn judge(&self, error: &Error) -> Verdict {
        match (judge(error), error) {
            (Verdict::Final, Error::Server(rejection)) if self.reads && matches!(rejection.status, 502..=504) => {
                Verdict::Again(rejection.retry_after.unwrap_or_default())
            }
            (verdict, _) => verdict,
        }
    }

    /// The error of the lost answer, if `error` leaves it open what has become of it.
    fn instead_of(&mut self, error: Error) -> Error {
        let settled = matches!(&error, Error::Rejected(rejection) if matches!(rejection.status, 400 | 409 | 422));
        match self.lost.take() {
            Some(lost) if !settled && !error.outcome_unknown() => lost,
            _ => error,
        }
    }
}

fn judge(error: &Error) -> Verdict {
    match error {
        Error::Rejected(rejection) if error.is_in_use() => {
            Verdict::Working(rejection.retry_after.unwrap_or(Duration::from_secs(1)))
        }
        Error::Rejected(rejection) | Error::Server(rejection) => match (rejection.status, rejection.retry_after) {
            (429 | 503, Some(wait)) => Verdict::Again(wait),
            // By something in front of muster, which is starting or stopping.
            (502..=504, None) if rejection.code.is_empty() => Verdict::Again(Duration::ZERO),
            _ => Verdict::Final,
        },
        Error::Unreachable { .. } if error.outcome_unknown() => Verdict::Again(Duration::ZERO),
        Error::Unreachable { source, .. } if may_pass(source.as_ref()) => Verdict::NotConnected,
        _ => Verdict::Final,
    }
}

/// Whether a connection that was not made may be made soon. Not so a certificate that is not
/// trusted, or a name that nobody has.
fn may_pass(source: &(dyn std::error::Error + 'static)) -> bool {
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

/// The wait after so many failures: twice as long each time, and of that a random half.
fn backoff(failures: u32, fraction: f64) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_WAIT);
    whole.mul_f64(0.5 + fraction.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;
    use crate::Rejection;

    fn answer(status: u16, code: &str, retry_after: Option<u64>) -> Error {
        let body = format!(r#"{{"error":{{"code":"{code}","detail":"D"}}}}"#);
        let status = StatusCode::from_u16(status).unwrap();
        let rejection = Box::new(Rejection::read(status, body.as_bytes(), None, retry_after.map(Duration::from_secs)));
        if status.is_server_error() { Error::Server(rejection) } else { Error::Rejected(rejection) }
    }

    fn broken() -> Error {
        Error::Unreachable { host: "h".to_owned(), source: "cut".into(), idempotency_key: None }
    }

    #[test]
    fn errors_that_pass_are_told_from_those_that_stay() {
        let seconds = Duration::from_secs;
        for (error, verdict) in [
            (answer(503, "overloaded", Some(7)), Verdict::Again(seconds(7))),
            (answer(429, "", Some(2)), Verdict::Again(seconds(2))),
            (answer(503, "overloaded", None), Verdict::Final),
            (answer(502, "", None), Verdict::Again(Duration::ZERO)),
            (answer(500, "internal", Some(1)), Verdict::Final),
            (answer(409, "idempotency_key_in_use", Some(3)), Verdict::Working(seconds(3))),
            (answer(409, "idempotency_key_in_use", None), Verdict::Working(seconds(1))),
            (answer(409, "conflict", Some(3)), Verdict::Final),
            (answer(422, "idempotency_key_reused", None), Verdict::Final),
            (broken(), Verdict::Again(Duration::ZERO)),
            (Error::Config(String::new()), Verdict::Final),
        ] {
            assert_eq!(judge(&error), verdict, "{error:?}");
        }
    }

    #[test]
    fn waits_double_from_200_ms_to_5_s_and_half_of_each_is_chance() {
        let millis = |failures, fraction| backoff(failures, fraction).as_millis();
        assert_eq!([0, 1, 2, 3, 4, 5, 99].map(|n| millis(n, 1.0)), [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!([0, 5].map(|n| millis(n, 0.0)), [100, 2500]);
    }

    #[test]
    fn patience_is_counted_from_the_first_failure_and_a_longer_wait_is_not_begun() {
        let mut patience = Patience::new(Duration::from_secs(10));
        let start = Instant::now();
        assert!(patience.after(broken(), start).unwrap() <= FIRST_WAIT);
        let busy = answer(503, "overloaded", Some(9));
        assert_eq!(patience.after(busy, start).unwrap(), Duration::from_secs(9));
        // 503 says that this attempt wrote nothing, but not what became of the one that was lost.
        let given_up = patience.after(answer(503, "overloaded", Some(2)), start + Duration::from_secs(9)).unwrap_err();
        assert_eq!(given_up.to_string(), "no answer from `h`: cut");
    }

    #[test]
    fn a_sign_of_life_renews_patience() {
        let mut patience = Patience::new(Duration::from_secs(10));
        let start = Instant::now();
        patience.after(broken(), start).unwrap();
        let later = start + Duration::from_secs(100);
        let in_use = answer(409, "idempotency_key_in_use", Some(1));
        assert_eq!(patience.after(in_use, later).unwrap(), Duration::from_secs(1));
        assert!(patience.after(broken(), later + Duration::from_secs(9)).is_ok());
        patience.after(broken(), later + Duration::from_secs(20)).unwrap_err();
    }

    #[test]
    fn only_an_answer_about_the_batch_settles_a_lost_one() {
        let after_a_loss = |error| {
            let mut patience = Patience::new(Duration::from_secs(10));
            patience.after(broken(), Instant::now()).unwrap();
            patience.after(error, Instant::now()).unwrap_err()
        };
        assert!(after_a_loss(answer(401, "unauthenticated", None)).outcome_unknown());
        assert!(after_a_loss(answer(500, "internal", None)).outcome_unknown());
        assert!(!after_a_loss(answer(422, "batch_rejected", None)).outcome_unknown());
        assert!(!after_a_loss(answer(409, "conflict", None)).outcome_unknown());
    }

    #[test]
    fn while_a_batch_is_followed_failures_of_the_server_pass_and_the_latest_error_tells() {
        let start = Instant::now();
        let mut patience = Patience::following(Duration::from_secs(60));
        for second in 0..60 {
            patience.after(broken(), start + Duration::from_secs(second)).unwrap();
        }
        patience.after(broken(), start + Duration::from_secs(60)).unwrap_err();
        patience.renew();
        assert_eq!(patience.trouble(&broken()), Some(Trouble::NoAnswer));
        let failed = answer(503, "unavailable", None);
        assert_eq!(patience.trouble(&failed), Some(Trouble::NotReady));
        patience.after(failed, start).unwrap();
        let gone = patience.after(answer(401, "unauthenticated", None), start).unwrap_err();
        assert!(matches!(gone, Error::Rejected(_)), "{gone:?}");
    }

    #[test]
    fn no_patience_means_one_attempt() {
        Patience::new(Duration::ZERO).after(broken(), Instant::now()).unwrap_err();
    }
}
