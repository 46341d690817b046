//! One request for a batch, with all that can be asked for.

use std::fmt;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use crate::batch::{CreatedBody, PlannedBody};
use crate::client::Single;
use crate::http::Rows;
use crate::patience::{Patience, Trouble};
use crate::{Batch, BatchAnswer, BatchEvent, Client, CreatedBatch, Error, PlannedBatch, random};

const PATH: &str = "/api/v2/users/admin_batch_create";

/// How often rows are sent again because the server's process has ended, and how long before that
/// a process that is being stopped is left alone.
const MOST_SENT_AGAIN: u32 = 3;
const WAIT_BEFORE: Duration = Duration::from_secs(1);

/// What of a file name may stand in a header as it is: the unreserved characters of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A batch to be created, made by [`Client::batch`].
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
#[must_use = "nothing is sent before `send`, `create` or `dry_run`"]
pub struct BatchRequest<'a, R> {
    client: &'a Client,
    rows: &'a [R],
    key: Option<String>,
    plan: Option<String>,
    file: Option<(String, String)>,
    wait: Option<Duration>,
}

impl<'a, R: Serialize> BatchRequest<'a, R> {
    pub(crate) fn new(client: &'a Client, rows: &'a [R]) -> Self {
        Self { client, rows, key: None, plan: None, file: None, wait: None }
    }

    /// The key that makes all requests with it one: 1 to 255 visible ASCII characters. Random
    /// unless set. To be set when an earlier program may have sent the same rows already, or an
    /// error named its key ([`Error::idempotency_key`]).
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// Creates only if rows and outcome are still those of a dry run that answered this digest
    /// ([`PlannedBatch::plan`]); else the server refuses with the code `plan_changed`.
    pub fn plan(self, digest: impl Into<String>) -> Self {
        Self { plan: Some(digest.into()), ..self }
    }

    /// The file that the rows come from: its name, and the SHA-256 of its bytes in 64 hexadecimal
    /// digits. The server remembers them with the batch.
    pub fn file(self, name: impl Into<String>, sha256: impl Into<String>) -> Self {
        Self { file: Some((name.into(), sha256.into())), ..self }
    }

    /// Waits so long, in whole seconds, for the users to be created, and else for no more than the
    /// answer that the batch runs ([`BatchAnswer::Running`]). Unless set, the answer comes when
    /// they are created.
    pub fn wait(self, limit: Duration) -> Self {
        Self { wait: Some(limit), ..self }
    }

    /// Sends it, and again while the connection breaks or the server is busy, always with the same
    /// key and the same bytes.
    ///
    /// # Errors
    /// As [`Client::admin_batch_create`]; [`Error::Config`] when the key, the plan or the digest is
    /// of another form than it has to be.
    pub async fn send(self) -> Result<BatchAnswer, Error> {
        let key = self.key()?;
        let patience = Patience::new(self.client.http.retry_for);
        self.post(&key, patience, |trouble| self.client.http.tell(trouble)).await
    }

    /// Sends it and follows the batch until its users exist; with a [`wait`](Self::wait), without
    /// holding a connection. `tell` gets what happens meanwhile. A batch that ends because the
    /// server's process has ended (its error has the code `interrupted` or `unavailable`: nothing
    /// was created, and the key is free) is sent again with the same key, three times at most.
    ///
    /// # Errors
    /// As [`send`](Self::send) and [`Client::wait_for_batch`]. When the server, having taken the
    /// batch in, does not answer any more, [`Error::outcome_unknown`] is true.
    pub async fn create(self, mut tell: impl FnMut(BatchEvent<'_>)) -> Result<CreatedBatch, Error> {
        let key = self.key()?;
        let mut patience = Patience::new(self.client.http.retry_for);
        let mut sent_again = 0;
        loop {
            let answer = self.post(&key, patience, |trouble| tell(trouble.into())).await?;
            let batch = match answer {
                BatchAnswer::Created(created) => return Ok(created),
                BatchAnswer::Running(batch) => batch,
            };
            tell(BatchEvent::Running(&batch));
            let error = match self.client.follow(&batch.batch_id, &mut tell).await {
                Ok(created) => return Ok(created),
                Err(error) => error,
            };
            match &error {
                Error::NotCreated(batch) if batch.was_interrupted() && sent_again < MOST_SENT_AGAIN => {
                    tell(BatchEvent::SentAgain(batch));
                }
                Error::NotCreated(_) => return Err(error),
                _ => return Err(error.lost_sight(&key)),
            }
            sent_again += 1;
            tokio::time::sleep(WAIT_BEFORE).await;
            patience = Patience::reached(self.client.http.follow_for);
        }
    }

    fn key(&self) -> Result<String, Error> {
        match &self.key {
            Some(key) => Ok(key.clone()),
            None => random::uuid(),
        }
    }

    async fn post(&self, key: &str, patience: Patience, news: impl FnMut(Trouble)) -> Result<BatchAnswer, Error> {
        let mut headers = self.headers()?;
        headers.insert("idempotency-key", visible("idempotency key", key, 255)?);
        if let Some(plan) = &self.plan {
            headers.insert("muster-plan", visible("plan", plan, 255)?);
        }
        if let Some(limit) = self.wait {
            let seconds = limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
            headers.insert("prefer", value("wait", &format!("respond-async, wait={seconds}"))?);
        }
        let http = &self.client.http;
        let rows = Rows { path: PATH, query: &[], headers, rows: self.rows, key: Some(key) };
        let answer = http.post_rows(rows, patience, news).await?;
        if answer.status == StatusCode::ACCEPTED {
            let running = http.parse::<Single<Batch>>(&answer).map_err(|error| error.with_key(Some(key)))?;
            return Ok(BatchAnswer::Running(Box::new(running.result)));
        }
        let created = http.parse::<CreatedBody>(&answer).map_err(|error| error.with_key(Some(key)))?;
        Ok(BatchAnswer::Created(created.into_batch(answer.says("idempotency-replayed", "true"))))
    }

    /// Asks what would be created. Nothing is, so that no key is sent, and no plan.
    ///
    /// # Errors
    /// As [`send`](Self::send), with the same findings. [`Error::outcome_unknown`] means nothing
    /// here, for nothing is created.
    pub async fn dry_run(self) -> Result<PlannedBatch, Error> {
        let query = [("dry_run", "true".to_owned())];
        let http = &self.client.http;
        let rows = Rows { path: PATH, query: &query, headers: self.headers()?, rows: self.rows, key: None };
        let answer = http.post_rows(rows, Patience::new(http.retry_for), |trouble| http.tell(trouble)).await?;
        Ok(http.parse::<PlannedBody>(&answer)?.into())
    }

    /// Those that every request for this batch has.
    fn headers(&self) -> Result<HeaderMap, Error> {
        let Some((name, sha256)) = &self.file else { return Ok(HeaderMap::new()) };
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::Config("the SHA-256 of the file has to be 64 hexadecimal digits".to_owned()));
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

/// Without the rows: they hold passwords.
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

fn visible(what: &str, text: &str, longest: usize) -> Result<HeaderValue, Error> {
    if text.is_empty() || text.len() > longest || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::Config(format!("the {what} has to be 1 to {longest} visible ASCII characters")));
    }
    value(what, text)
}

fn value(what: &str, text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::try_from(text).map_err(|_| Error::Config(format!("the {what} can't be sent in a header")))
}
