//! Methods for batches: listing, waiting, cancelling, undoing.

use std::time::Duration;

use serde::Serialize;

use crate::batch::CreatedBody;
use crate::client::{by_id, paged};
use crate::http::Single;
use crate::retry::{Retry, RetryReason};
use crate::{Batch, BatchEvent, BatchFilter, BatchRequest, BatchState, Client, CreatedBatch, Error, Page, UndoneBatch};

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Factor by which the read timeout is extended for the users of a batch: there are up to 100,000.
const RESULTS_TIMEOUT_FACTOR: u32 = 10;

impl Client {
    /// Builds a request to create a batch, with options: idempotency key, plan, source file, wait time. `rows` are users
    /// or any JSON.
    pub fn batch<'a, R: Serialize>(&'a self, rows: &'a [R]) -> BatchRequest<'a, R> {
        BatchRequest::new(self, rows)
    }

    /// Gets a batch. Like all methods for batches, it requires an owner.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 if the batch does not exist.
    pub async fn get_batch(&self, batch_id: &str) -> Result<Batch, Error> {
        self.http.get_one(&path(batch_id, "")?, &[]).await
    }

    /// Lists batches, newest first, `count` (1 to 50) per page; for paging see
    /// [`list_collaborators`](Self::list_collaborators).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_batches(
        &self,
        filter: &BatchFilter,
        count: u8,
        paging_token: Option<&str>,
    ) -> Result<Page<Batch>, Error> {
        self.http.get("/api/v2/batches", &paged(filter.query(), count, paging_token)).await
    }

    /// Gets the users and warnings of a created batch.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 unless the state is [`Created`](BatchState::Created).
    pub async fn batch_results(&self, batch_id: &str) -> Result<CreatedBatch, Error> {
        self.results(batch_id, &mut Retry::new(self.http.retry_for), |_| ()).await
    }

    /// Cancels a running batch. No users are created.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 if the batch is not running.
    pub async fn cancel_batch(&self, batch_id: &str) -> Result<Batch, Error> {
        self.http.post(&path(batch_id, "/cancel")?).one().await
    }

    /// Undoes a batch: removes all its users, or none if any of them has been used (has signed in, was changed, or is
    /// referenced). With `keep_used`, the used ones remain and all others are removed. With `dry_run`, nothing is removed.
    ///
    /// The request is not retried. If its response is lost, check the state of the batch.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 and code `batch_in_use` if users have been used ([`Error::rows`] lists them by
    /// their index in the batch), or `conflict` if there is nothing to undo.
    pub async fn undo_batch(&self, batch_id: &str, dry_run: bool, keep_used: bool) -> Result<UndoneBatch, Error> {
        let undo = self.http.post(&path(batch_id, "/undo")?);
        undo.flag("dry_run", dry_run).flag("keep_used", keep_used).parse().await
    }

    /// Polls a batch about once a second until it ends, and returns its users. `progress` receives each state.
    ///
    /// Lost connections and restarts of the server are tolerated, each for the duration of
    /// [`ClientBuilder::follow_for`](crate::ClientBuilder::follow_for). Dropping the future ends the waiting, not the
    /// batch. A batch that the server interrupted is resubmitted only by
    /// [`BatchRequest::create`](crate::BatchRequest::create), which has the rows.
    ///
    /// # Errors
    /// [`Error::NotCreated`] if the batch failed, or was cancelled or undone.
    pub async fn wait_for_batch(
        &self,
        batch_id: &str,
        mut progress: impl FnMut(&Batch),
    ) -> Result<CreatedBatch, Error> {
        let on_event = |event: BatchEvent<'_>| match event {
            BatchEvent::Running(batch) => progress(batch),
            BatchEvent::NoResponse => self.http.notify(RetryReason::NoResponse),
            BatchEvent::NotReady => self.http.notify(RetryReason::NotReady),
            BatchEvent::Resubmitted(_) => {}
        };
        self.follow(batch_id, on_event).await
    }

    /// [`wait_for_batch`](Self::wait_for_batch) with all events.
    pub(crate) async fn follow(
        &self,
        batch_id: &str,
        mut on_event: impl FnMut(BatchEvent<'_>),
    ) -> Result<CreatedBatch, Error> {
        let path = path(batch_id, "")?;
        let mut retry = Retry::following(self.http.follow_for);
        loop {
            let timeout = self.http.read_timeout;
            let single: Single<Batch> =
                self.http.get_with_retry(&path, timeout, &mut retry, |reason| on_event(reason.into())).await?;
            let batch = single.result;
            on_event(BatchEvent::Running(&batch));
            match &batch.state {
                BatchState::Created => {
                    return self.results(batch_id, &mut retry, |reason| on_event(reason.into())).await;
                }
                _ if batch.has_ended() => return Err(Error::NotCreated(Box::new(batch))),
                _ => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    async fn results(
        &self,
        batch_id: &str,
        retry: &mut Retry,
        on_retry: impl FnMut(RetryReason),
    ) -> Result<CreatedBatch, Error> {
        let timeout = self.http.read_timeout.saturating_mul(RESULTS_TIMEOUT_FACTOR);
        let body: CreatedBody =
            self.http.get_with_retry(&path(batch_id, "/results")?, timeout, retry, on_retry).await?;
        Ok(body.into_batch(false))
    }
}

fn path(batch_id: &str, rest: &str) -> Result<String, Error> {
    by_id("/api/v2/batches", batch_id, rest, "bat")
}
