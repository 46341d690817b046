//! One request for a batch, with all that can be asked for.

use std::fmt;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use crate::batch::{CreatedBody, PlannedBody};
use crate::client::Single;
use crate::{Batch, BatchAnswer, Client, Error, PlannedBatch, random};

const PATH: &str = "/api/v2/users/admin_batch_create";

/// What of a file name may stand in a header as it is: the unreserved characters of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A batch to be created, made by [`Client::batch`].
///
/// ```no_run
/// # use std::time::Duration;
/// # use muster_client::{AdminCreateUser, BatchAnswer, Client, Error};
/// # async fn example(client: &Client, users: &[AdminCreateUser]) -> Result<(), Error> {
/// let planned = client.batch(users).dry_run().await?;
/// println!("{} users would be created", planned.users.len());
///
/// let created = match client.batch(users).plan(planned.plan).wait(Duration::from_secs(2)).send().await? {
///     BatchAnswer::Created(created) => created,
///     BatchAnswer::Running(batch) => {
///         client.wait_for_batch(&batch.batch_id, |batch| println!("{} hashed", batch.hashed)).await?
///     }
/// };
/// println!("{} users created", created.users.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is sent before `send` or `dry_run`"]
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
        let key = match &self.key {
            Some(key) => key.clone(),
            None => random::uuid()?,
        };
        let mut headers = self.headers()?;
        headers.insert("idempotency-key", visible("idempotency key", &key, 255)?);
        if let Some(plan) = &self.plan {
            headers.insert("muster-plan", visible("plan", plan, 255)?);
        }
        if let Some(limit) = self.wait {
            let seconds = limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
            headers.insert("prefer", value("wait", &format!("respond-async, wait={seconds}"))?);
        }
        let http = &self.client.http;
        let answer = http.post_rows(PATH, &[], headers, self.rows, Some(&key)).await?;
        if answer.status == StatusCode::ACCEPTED {
            let running = http.parse::<Single<Batch>>(&answer).map_err(|error| error.with_key(Some(&key)))?;
            return Ok(BatchAnswer::Running(Box::new(running.result)));
        }
        let created = http.parse::<CreatedBody>(&answer).map_err(|error| error.with_key(Some(&key)))?;
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
        let answer = http.post_rows(PATH, &query, self.headers()?, self.rows, None).await?;
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
