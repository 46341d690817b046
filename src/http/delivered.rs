//! Responses to created batches whose delivery matters: until it is noted, the same request gets the same response again.
//!
//! # Decisions
//!
//! *The delivery is noted before the last byte is sent.* A client that has the whole response and repeats its request gets
//! the conflicts at once. A client whose connection breaks before has not received the response, and gets it again.
//!
//! *A slow response begins before its outcome is known*, with status 200 and blanks, which JSON allows before a document
//! (RFC 8259, section 2). The vendor's client has no asynchronous requests, and a load balancer between would end a
//! connection without data. A later failure can only break the connection off; nothing was written then, unless the
//! outcome of the commit is unknown.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::body::SizedStream;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::time::{Instant, sleep_until};

use super::log;
use crate::app::App;
use crate::batches::{self, Creating, Response};
use crate::error::{Error, Result};
use crate::id::{Id, Organization};

/// The body of a response, whose delivery is noted.
pub(super) fn body(
    app: Arc<App>,
    organization_id: Id<Organization>,
    response: Response,
) -> SizedStream<impl Stream<Item = Result<Bytes, Infallible>> + 'static> {
    let length = u64::try_from(response.body.len()).unwrap_or(u64::MAX);
    SizedStream::new(length, pieces(app, organization_id, response).map(Ok))
}

/// All bytes but the last, then the last one.
fn pieces(app: Arc<App>, organization_id: Id<Organization>, response: Response) -> impl Stream<Item = Bytes> {
    let Response { batch_id, body: mut first, .. } = response;
    let last = first.split_off(first.len().saturating_sub(1));
    stream::once(ready(first)).chain(stream::once(async move {
        batches::mark_delivered(&app, organization_id, batch_id).await;
        last
    }))
}

/// The body of a response that begins before the batch is created.
pub(super) fn in_progress(
    app: Arc<App>,
    organization_id: Id<Organization>,
    request: HttpRequest,
    creating: Creating,
) -> impl Stream<Item = Result<Bytes>> + 'static {
    let interval = app.config.server.limits.blank_interval;
    let waiting = Waiting { app, request, creating: Some(creating), blank_at: Instant::now() + interval, interval };
    let parts = stream::try_unfold(waiting, |mut waiting| async move {
        Ok::<_, Error>(waiting.next().await?.map(|part| (part, waiting)))
    });
    parts
        .map(move |part| match part {
            Ok(Part::Blank) => stream::once(ready(Ok(Bytes::from_static(b" ")))).left_stream(),
            Ok(Part::Response(app, response)) => pieces(app, organization_id, response).map(Ok).right_stream(),
            Err(error) => stream::once(ready(Err(error))).left_stream(),
        })
        .flatten()
}

enum Part {
    Blank,
    Response(Arc<App>, Response),
}

/// A client that waits for its batch.
struct Waiting {
    app: Arc<App>,
    request: HttpRequest,
    creating: Option<Creating>,
    blank_at: Instant,
    interval: Duration,
}

impl Waiting {
    async fn next(&mut self) -> Result<Option<Part>> {
        let Some(creating) = &mut self.creating else { return Ok(None) };
        let created = tokio::select! {
            biased;
            created = creating => created,
            () = sleep_until(self.blank_at) => {
                self.blank_at += self.interval;
                return Ok(Some(Part::Blank));
            }
        };
        self.creating = None;
        log::slow_response(&self.request, &created);
        created.map(|response| Some(Part::Response(Arc::clone(&self.app), response)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.creating.is_some() && !self.app.stopping.is_cancelled() {
            log::abandoned(&self.app, &self.request, true);
        }
    }
}
