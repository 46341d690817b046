//! Asking after batches, and ending them.

use std::time::Duration;

use serde::Serialize;

use crate::batch::{CreatedBody, UndoneBody};
use crate::client::{Single, by_id, paged};
use crate::patience::{Patience, Trouble};
use crate::{Batch, BatchEvent, BatchFilter, BatchRequest, BatchState, Client, CreatedBatch, Error, Page, Undone};

/// How often a batch that runs is asked after.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How much longer than another read the users of a batch may take: there are up to 100,000.
const RESULTS_TAKE: u32 = 10;

impl Client {
    /// A batch with settings of its own: a key, a plan, the file it comes from, how long to wait.
    /// `rows` are users, or any JSON.
    pub fn batch<'a, R: Serialize>(&'a self, rows: &'a [R]) -> BatchRequest<'a, R> {
        BatchRequest::new(self, rows)
    }

    /// Tells about one batch. Only for owners, as everything about batches.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 404 when there is no such batch.
    pub async fn get_batch(&self, batch_id: &str) -> Result<Batch, Error> {
        let single: Single<Batch> = self.http.get(&path(batch_id, "")?, &[]).await?;
        Ok(single.result)
    }

    /// Lists batches, newest first, `count` (1 to 50) at a time; pages as in
    /// [`list_collaborators`](Self::list_collaborators).
    ///
    /// # Errors
    /// Those of every call.
    pub async fn list_batches(
        &self,
        filter: &BatchFilter,
        count: u8,
        paging_token: Option<&str>,
    ) -> Result<Page<Batch>, Error> {
        self.http.get("/api/v2/batches", &paged(filter.query(), count, paging_token)).await
    }

    /// The users of a batch that was created, and its warnings, as its request was answered or
    /// would have been.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 unless the batch is in the state
    /// [`Created`](BatchState::Created).
    pub async fn batch_results(&self, batch_id: &str) -> Result<CreatedBatch, Error> {
        self.results(batch_id, &mut Patience::new(self.http.retry_for), |_| ()).await
    }

    /// Stops a batch that runs: nothing is created.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409 when it does not run (any more).
    pub async fn cancel_batch(&self, batch_id: &str) -> Result<Batch, Error> {
        let single: Single<Batch> = self.http.post(&path(batch_id, "/cancel")?, &[]).await?;
        Ok(single.result)
    }

    /// Removes the users of a batch again: all of them, or none if one has been used since (has
    /// signed in, was changed, or is needed by something else). With `keep_used` those stay and
    /// all others go. With `dry_run` nothing is removed, and the answer tells what would be.
    ///
    /// # Errors
    /// [`Error::Rejected`] with status 409: code `batch_in_use`, with [`Error::rows`] (whose index
    /// is the place in the batch), when users were used; code `conflict` when there is nothing to
    /// undo. The request is sent once; when its answer was lost, ask for the batch's state.
    pub async fn undo_batch(&self, batch_id: &str, dry_run: bool, keep_used: bool) -> Result<Undone, Error> {
        let query: Vec<_> = [("dry_run", dry_run), ("keep_used", keep_used)]
            .into_iter()
            .filter(|(_, set)| *set)
            .map(|(name, _)| (name, "true".to_owned()))
            .collect();
        let body: UndoneBody = self.http.post(&path(batch_id, "/undo")?, &query).await?;
        Ok(body.into())
    }

    /// Waits until a batch has ended, and answers its users. About once a second it is asked after,
    /// and `progress` gets what is known.
    ///
    /// Lost connections, refused ones and restarts of the server are survived, each for as long as
    /// [`ClientBuilder::follow_for`](crate::ClientBuilder::follow_for) says. The batch runs at the
    /// server: dropping the future ends the waiting, not the batch. A batch that the server's end
    /// has interrupted is only sent again by those who have its rows:
    /// [`BatchRequest::create`](crate::BatchRequest::create).
    ///
    /// # Errors
    /// [`Error::NotCreated`] when it failed, or was cancelled or undone.
    pub async fn wait_for_batch(
        &self,
        batch_id: &str,
        mut progress: impl FnMut(&Batch),
    ) -> Result<CreatedBatch, Error> {
        let tell = |event: BatchEvent<'_>| match event {
            BatchEvent::Running(batch) => progress(batch),
            BatchEvent::NoAnswer => self.http.tell(Trouble::NoAnswer),
            BatchEvent::NotReady => self.http.tell(Trouble::NotReady),
            BatchEvent::SentAgain(_) => {}
        };
        self.follow(batch_id, tell).await
    }

    /// The same, and tells of trouble too.
    pub(crate) async fn follow(
        &self,
        batch_id: &str,
        mut tell: impl FnMut(BatchEvent<'_>),
    ) -> Result<CreatedBatch, Error> {
        let path = path(batch_id, "")?;
        let mut patience = Patience::following(self.http.follow_for);
        loop {
            let limit = self.http.read_timeout;
            let single: Single<Batch> =
                self.http.get_patiently(&path, limit, &mut patience, |trouble| tell(trouble.into())).await?;
            let batch = single.result;
            tell(BatchEvent::Running(&batch));
            match &batch.state {
                BatchState::Created => {
                    return self.results(batch_id, &mut patience, |trouble| tell(trouble.into())).await;
                }
                _ if batch.has_ended() => return Err(Error::NotCreated(Box::new(batch))),
                _ => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    async fn results(
        &self,
        batch_id: &str,
        patience: &mut Patience,
        news: impl FnMut(Trouble),
    ) -> Result<CreatedBatch, Error> {
        let limit = self.http.read_timeout.saturating_mul(RESULTS_TAKE);
        let body: CreatedBody = self.http.get_patiently(&path(batch_id, "/results")?, limit, patience, news).await?;
        Ok(body.into_batch(false))
    }
}

fn path(batch_id: &str, rest: &str) -> Result<String, Error> {
    by_id("/api/v2/batches", batch_id, rest, "a batch; one looks like `bat_…`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_not_lead_elsewhere() {
        assert_eq!(path("bat_0aZ", "/undo").unwrap(), "/api/v2/batches/bat_0aZ/undo");
        for id in ["", "..", "bat_1/../../userinfo", "bat_1?x", "bat_1#", "bät_1"] {
            let sentence = format!("`{id}` is no id of a batch; one looks like `bat_…`");
            assert_eq!(path(id, "").unwrap_err().to_string(), sentence);
        }
    }
}
