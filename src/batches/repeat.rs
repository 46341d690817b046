//! The same request, sent again: it joins the one in progress, or gets the response that could not be delivered.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;

use super::check::{as_planned, find_taken, off_thread};
use super::claim::{self, Claim, ClaimKey, Opening};
use super::lease::{self, Counts};
use super::{Answer, Mode, Request, Response, read, unpack};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::failpoints;
use crate::id::{Batch, Id};
use crate::passwords::Place;
use crate::report::{Finding, Findings, Report};
use crate::users::NewUser;

pub(super) fn opening(request: &Request, key: ClaimKey, counts: Counts) -> Arc<Opening> {
    Arc::new(Opening { source: request.source, file: request.file.clone(), key, counts })
}

/// The answer to a request whose batch another request is creating or has created.
pub(super) async fn settled(app: &App, caller: &Caller, claim: Claim, is_implicit: bool) -> Result<Answer> {
    match claim {
        Claim::Replay { batch_id, response, users } => {
            let body = Bytes::from(unpack(&response)?);
            let response = Response { batch_id, users, body, is_replayed: true, is_undelivered: is_implicit };
            Ok(Answer::Created(response))
        }
        Claim::Running(batch_id) => Ok(Answer::Running(Box::new(read::find(app, caller, batch_id).await?), Vec::new())),
        Claim::Held(_) => Err(Error::internal("the batch belongs to this request")),
    }
}

/// The implicit key of a request.
async fn implicit_key(app: &Arc<App>, body: Bytes) -> Result<ClaimKey> {
    let app = Arc::clone(app);
    off_thread(body.len(), move || ClaimKey::implicit(&app, &body)).await
}

/// The response to the same request that could not be delivered.
pub(super) async fn undelivered(app: &Arc<App>, caller: &Caller, body: Bytes) -> Result<Option<Answer>> {
    let key = implicit_key(app, body).await?;
    match app.in_time(claim::find(app, caller, &key, b"")).await?? {
        Some(claim @ Claim::Replay { .. }) => settled(app, caller, claim, true).await.map(Some),
        _ => Ok(None),
    }
}

/// The answer to the same request, if it is in progress or its response could not be delivered: it needs no place in the
/// queue of its own. The body is no longer held while it waits.
pub(super) async fn same(app: &Arc<App>, caller: &Caller, request: &Request, body: Bytes) -> Result<Option<Answer>> {
    let key = implicit_key(app, body).await?;
    let claim = match (app.in_time(claim::find(app, caller, &key, b"")).await??, request.mode) {
        (Some(Claim::Running(batch_id)), Mode::Create { wait: None }) => join(app, caller, request, batch_id).await?,
        (Some(Claim::Running(batch_id)), _) if !lease::follow(app, caller.organization_id, batch_id).await? => None,
        (claim, _) => claim,
    };
    match claim {
        Some(claim @ (Claim::Replay { .. } | Claim::Running(_))) => settled(app, caller, claim, true).await.map(Some),
        _ => Ok(None),
    }
}

/// Waits for the outcome of the same request, as [`claim::wait`] does. After a while the response begins.
async fn join(app: &Arc<App>, caller: &Caller, request: &Request, batch_id: Id<Batch>) -> Result<Option<Claim>> {
    let mut waiting = pin!(claim::wait(app, caller, batch_id));
    let Some(slow) = &request.slow else { return waiting.await };
    match tokio::time::timeout(slow.threshold, &mut waiting).await {
        Ok(outcome) => outcome,
        Err(_) => {
            slow.note();
            waiting.await
        }
    }
}

/// Claims the batch of a request without a key, or waits for the outcome of the same request. An asynchronous request does
/// not wait: from then on the batch continues without its first client.
pub(super) async fn claim_implicit(
    app: &Arc<App>,
    caller: &Caller,
    request: &Request,
    body: Bytes,
    counts: Counts,
    users: &[NewUser],
    place: &mut Option<Place>,
) -> Result<Claim> {
    let opening = opening(request, implicit_key(app, body).await?, counts);
    loop {
        // As for an explicit key.
        let claimed = app.in_time(Box::pin(claim::claim(app, caller, &opening, b""))).await??;
        let Claim::Running(batch_id) = &claimed else { return Ok(claimed) };
        if request.mode != (Mode::Create { wait: None }) {
            if lease::follow(app, caller.organization_id, *batch_id).await? {
                return Ok(claimed);
            }
            continue;
        }
        // The other request has a place for the same passwords.
        drop(place.take());
        failpoints::reach("batch::waiting").await;
        if let Some(claim) = join(app, caller, request, *batch_id).await? {
            return Ok(claim);
        }
        // If its response was delivered long ago, its users exist.
        let emails: Vec<_> = users.iter().map(|user| &user.email).collect();
        let mut report = Report::on(users.len(), "created", Findings::new(app.config.batch.max_findings));
        for (index, email) in
            find_taken(app, caller, &emails).await?.into_iter().filter_map(|i| Some((i, emails.get(i)?)))
        {
            report.add(Finding::email_taken(index, email.as_str()));
        }
        if !report.is_empty() {
            return Err(as_planned(Error::rejected(report), request.plan.is_some()));
        }
    }
}
