//! A request to create a batch, with options.

use std::fmt;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use crate::batch::{CreatedBody, PlannedBody, RunningBody};
use crate::retry::{Retry, RetryReason};
use crate::{BatchEvent, BatchOutcome, Client, CreatedBatch, Error, PlannedBatch, RowFinding, random};

const PATH: &str = "/api/v2/users/admin_batch_create";

/// Maximum number of resubmissions of an interrupted batch.
const MAX_RESUBMISSIONS: u32 = 3;

/// Delay before a resubmission, which gives a server that is shutting down time to exit.
const RESUBMISSION_DELAY: Duration = Duration::from_secs(1);

/// All characters except the unreserved ones of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request to create a batch, built by [`Client::batch`].
///
/// ```no_run
/// # use std::time::Duration;
/// # use muster_client::{AdminCreateUser, BatchEvent, Client, Error};
/// # async fn example(client: &Client, users: &[AdminCreateUser]) -> Result<(), Error> {
/// let planned = client.batch(users).dry_run().await?;
/// println!("{} users would be created", planned.users.len());
///
/// let request = client.batch(users).plan(planned.plan).wait(Duration::from_secs(2));
/// let created = request
///     .create(|event| {
///         if let BatchEvent::Running(batch) = event {
///             println!("{} hashed", batch.hashed);
///         }
///     })
///     .await?;
/// println!("{} users created", created.users.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "the request is sent by `send`, `create` or `dry_run`"]
pub struct BatchRequest<'a, R> {
    client: &'a Client,
    rows: &'a [R],
    key: Option<String>,
    plan: Option<String>,
    file: Option<(String, String)>,
    wait: Option<Duration>,
    is_strict: bool,
}

impl<'a, R: Serialize> BatchRequest<'a, R> {
    pub(crate) fn new(client: &'a Client, rows: &'a [R]) -> Self {
        Self { client, rows, key: None, plan: None, file: None, wait: None, is_strict: false }
    }

    /// Sets the idempotency key: 1 to 255 visible ASCII characters. Random by default. Set it to repeat an earlier request,
    /// for example with the key of an error ([`Error::idempotency_key`]).
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// Sets the plan of a dry run ([`PlannedBatch::plan`]). The server rejects the request with the code `plan_changed` if
    /// the rows or their outcome differ from the plan.
    pub fn plan(self, digest: impl Into<String>) -> Self {
        Self { plan: Some(digest.into()), ..self }
    }

    /// Sets the file that the rows come from: its name, and the SHA-256 of its content in 64 hexadecimal digits. The server
    /// stores them with the batch.
    pub fn file(self, name: impl Into<String>, sha256: impl Into<String>) -> Self {
        Self { file: Some((name.into(), sha256.into())), ..self }
    }

    /// Sets how long the server waits for the users to be created, in whole seconds, before it responds with
    /// [`BatchOutcome::Running`]. By default it responds when the users are created.
    pub fn wait(self, timeout: Duration) -> Self {
        Self { wait: Some(timeout), ..self }
    }

    /// Rejects the rows if there is any warning about them.
    pub fn strict(self, is_strict: bool) -> Self {
        Self { is_strict, ..self }
    }

    /// Sends the request. Retries with the same key and the same body while the connection fails or the server is
    /// overloaded.
    ///
    /// # Errors
    /// The same as [`Client::admin_batch_create`]; [`Error::Config`] for a malformed key, plan or digest.
    pub async fn send(self) -> Result<BatchOutcome, Error> {
        let key = self.key()?;
        let retry = Retry::new(self.client.http.retry_for);
        self.post(&key, retry, |reason| self.client.http.notify(reason)).await.map(|(outcome, _)| outcome)
    }

    /// Sends the request and polls the batch until its users exist; with [`wait`](Self::wait), without holding a
    /// connection. `on_event` receives the progress. A batch that the server interrupts (code `interrupted` or
    /// `unavailable`: nothing was created, and the key is free) is resubmitted with the same key, up to three times.
    ///
    /// # Errors
    /// The same as [`send`](Self::send) and [`Client::wait_for_batch`]. If the server stops responding after it accepted
    /// the batch, [`Error::outcome_unknown`] is true.
    pub async fn create(self, mut on_event: impl FnMut(BatchEvent<'_>)) -> Result<CreatedBatch, Error> {
        let key = self.key()?;
        let mut retry = Retry::new(self.client.http.retry_for);
        let mut resubmissions = 0;
        loop {
            let (batch, warnings) = match self.post(&key, retry, |reason| on_event(reason.into())).await? {
                (BatchOutcome::Created(created), _) => return Ok(created),
                (BatchOutcome::Running(batch), warnings) => (batch, warnings),
            };
            on_event(BatchEvent::Running(&batch));
            let error = match self.client.follow(&batch.batch_id, &mut on_event).await {
                // Later responses lack the warnings about passwords.
                Ok(created) if warnings.is_empty() => return Ok(created),
                Ok(created) => return Ok(CreatedBatch { warnings, ..created }),
                Err(error) => error,
            };
            match &error {
                Error::NotCreated(batch) if batch.was_interrupted() && resubmissions < MAX_RESUBMISSIONS => {
                    on_event(BatchEvent::Resubmitted(batch));
                }
                Error::NotCreated(_) => return Err(error),
                _ => return Err(error.while_following(&key)),
            }
            resubmissions += 1;
            tokio::time::sleep(RESUBMISSION_DELAY).await;
            retry = Retry::reached(self.client.http.follow_for);
        }
    }

    fn key(&self) -> Result<String, Error> {
        match &self.key {
            Some(key) => Ok(key.clone()),
            None => random::uuid(),
        }
    }

    /// The outcome, and the warnings about a batch that is running.
    async fn post(
        &self,
        key: &str,
        retry: Retry,
        on_retry: impl FnMut(RetryReason),
    ) -> Result<(BatchOutcome, Vec<RowFinding>), Error> {
        let mut headers = self.headers()?;
        headers.insert("idempotency-key", visible("idempotency key", key, 255)?);
        if let Some(plan) = &self.plan {
            headers.extend([plan_header(plan)?]);
        }
        if let Some(timeout) = self.wait {
            let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
            headers.insert("prefer", value("wait", &format!("respond-async, wait={seconds}"))?);
        }
        let http = &self.client.http;
        let post = http.post(PATH).flag("strict", self.is_strict).headers(headers);
        let sent = post.body(self.rows)?.send_with_retry(retry, on_retry).await;
        let response = sent.map_err(|error| if error.is_retryable() { error.with_key(Some(key)) } else { error })?;
        if response.status == StatusCode::ACCEPTED {
            let running = http.parse::<RunningBody>(&response).map_err(|error| error.with_key(Some(key)))?;
            let (batch, warnings) = running.into_parts();
            return Ok((BatchOutcome::Running(Box::new(batch)), warnings));
        }
        let created = http.parse::<CreatedBody>(&response).map_err(|error| error.with_key(Some(key)))?;
        let is_replayed = response.has_header("idempotency-replayed", "true");
        Ok((BatchOutcome::Created(created.into_batch(is_replayed)), Vec::new()))
    }

    /// Validates the rows and returns the users that would be created. Sends neither a key nor a plan.
    ///
    /// # Errors
    /// The same as [`send`](Self::send). [`Error::outcome_unknown`] is irrelevant, because nothing is written.
    pub async fn dry_run(self) -> Result<PlannedBatch, Error> {
        let http = &self.client.http;
        let post = http.post(PATH).query("dry_run", "true").flag("strict", self.is_strict);
        let write = post.headers(self.headers()?).body(self.rows)?;
        let response = write.send_with_retry(Retry::new(http.retry_for), |reason| http.notify(reason)).await?;
        Ok(http.parse::<PlannedBody>(&response)?.into())
    }

    /// Headers of the source file.
    fn headers(&self) -> Result<HeaderMap, Error> {
        let Some((name, sha256)) = &self.file else { return Ok(HeaderMap::new()) };
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::Config("invalid SHA-256 of the file; expected 64 hexadecimal digits".to_owned()));
        }
        Ok(HeaderMap::from_iter([
            (
                HeaderName::from_static("muster-file-name"),
                value("file name", &utf8_percent_encode(name, ESCAPED).to_string())?,
            ),
            (HeaderName::from_static("muster-file-sha256"), value("SHA-256", &sha256.to_ascii_lowercase())?),
        ]))
    }
}

/// Omits the rows, which contain passwords.
impl<R> fmt::Debug for BatchRequest<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchRequest")
            .field("rows", &self.rows.len())
            .field("key", &self.key)
            .field("plan", &self.plan)
            .field("file", &self.file)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

/// The header with the plan of a dry run.
pub(crate) fn plan_header(plan: &str) -> Result<(HeaderName, HeaderValue), Error> {
    Ok((HeaderName::from_static("muster-plan"), visible("plan", plan, 255)?))
}

fn visible(name: &str, text: &str, max: usize) -> Result<HeaderValue, Error> {
    if text.is_empty() || text.len() > max || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::Config(format!("invalid {name}; expected 1 to {max} visible ASCII characters")));
    }
    value(name, text)
}

fn value(name: &str, text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::try_from(text).map_err(|_| Error::Config(format!("the {name} can't be sent in a header")))
}
