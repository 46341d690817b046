//! `/console/batches/{batch_id}`: one batch; while it is in progress, how far it is.

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::respond;
use super::shell::{Place, Shell};
use super::state::State;
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::audit::ActorKind;
use crate::batches::{self, BatchState, BatchSummary};
use crate::caller::Source;
use crate::collaborators::{self, CollaboratorFilter, MoreFilters};
use crate::http::body::Body;
use crate::http::pages::Moment;
use crate::http::{extract, pages};
use crate::id::{Batch, Id, User};
use crate::page::PageRequest;
use crate::users::UserDetails;

/// What a list and the page of a batch begin with.
pub(super) struct Heading {
    pub(super) id: Id<Batch>,
    /// The name of the file, or the ID.
    pub(super) title: String,
    pub(super) state: BatchState,
    pub(super) people: i32,
    /// Who requested it, by which kind of client.
    pub(super) by: String,
    pub(super) created: Moment,
}

impl Heading {
    pub(super) fn of(batch: &BatchSummary, now: DateTime<Utc>) -> Self {
        let source = match batch.source {
            Source::VendorClient => "vendor’s client",
            Source::MusterClient => "muster’s client",
            Source::Http => "HTTP",
        };
        let by = match (batch.requested_by_kind, &batch.requested_by_name) {
            (ActorKind::ApiKey, Some(name)) => format!("API key {name}, {source}"),
            (ActorKind::ApiKey, None) => format!("an API key, {source}"),
            (ActorKind::Session, _) => "in the browser".to_owned(),
            _ => "the local operator".to_owned(),
        };
        Self {
            id: batch.batch_id,
            title: batch.file_name.clone().unwrap_or_else(|| batch.batch_id.to_string()),
            state: batch.state,
            people: batch.user_count,
            by,
            created: Moment { at: batch.created_at, now },
        }
    }

    pub(super) const fn class(&self) -> &'static str {
        match self.state {
            BatchState::Running => "busy",
            BatchState::Created => "ok",
            BatchState::Failed => "bad",
            BatchState::Cancelled | BatchState::Undone => "off",
        }
    }

    pub(super) const fn word(&self) -> &'static str {
        match self.state {
            BatchState::Running => "In progress",
            BatchState::Created => "Created",
            BatchState::Failed => "Failed",
            BatchState::Cancelled => "Cancelled",
            BatchState::Undone => "Undone",
        }
    }
}

#[derive(Template)]
#[template(path = "console/batch.html")]
pub(super) struct BatchPage<'a> {
    pub(super) shell: Shell,
    pub(super) heading: Heading,
    pub(super) batch: &'a BatchSummary,
    pub(super) finished: Option<Moment>,
    pub(super) undone: Option<Moment>,
    /// How long a batch in progress still takes, in seconds.
    pub(super) seconds_left: Option<i64>,
    /// Why it failed.
    pub(super) failure: Option<String>,
    pub(super) rows: Vec<Row>,
    pub(super) next: Option<String>,
    pub(super) notice: Option<&'static str>,
}

pub(super) struct Row {
    pub(super) user: UserDetails,
    pub(super) state: State,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    after: Option<String>,
    done: Option<String>,
}

/// `GET /console/batches/{batch_id}`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Batches).await?;
    let Query { after, done } = extract::query(&request)?;
    let batch_id: Id<Batch> = extract::id(&request, "batch_id", "batch")?;
    let batch = batches::get(&app, &visit.caller, batch_id).await?;
    let page = PageRequest::<User>::new(None, after.as_deref())?;
    let has_people = matches!(batch.state, BatchState::Created | BatchState::Undone);
    let people = match has_people {
        false => None,
        true => {
            let more = MoreFilters { batches: vec![batch_id], ..MoreFilters::default() };
            let filter = CollaboratorFilter { more, ..CollaboratorFilter::default() };
            Some(collaborators::list(&app, &visit.caller, &filter, &page).await?)
        }
    };
    let (rows, next) = people.map_or((Vec::new(), None), |page| (page.rows, page.next));
    let notice = match done.as_deref() {
        Some("cancelled") => Some("The batch is cancelled. Nobody was created."),
        Some("undone") => Some("The batch is undone."),
        _ => None,
    };
    Ok(respond(&BatchPage {
        heading: Heading::of(&batch, visit.now),
        finished: batch.finished_at.map(|at| visit.moment(at)),
        undone: batch.undone_at.map(|at| visit.moment(at)),
        seconds_left: batch.expected_at.map(|at| (at - visit.now).num_seconds().max(1)),
        failure: batch.failure.as_ref().and_then(|failure| failure["detail"].as_str()).map(pages::sentence),
        rows: rows.into_iter().map(|user| Row { state: State::of(&user, visit.now), user }).collect(),
        next,
        notice,
        batch: &batch,
        shell: visit.shell,
    }))
}

/// `POST /console/batches/{batch_id}/cancel`.
pub(super) async fn cancel(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, _) = Visit::with_form::<Vec<(String, String)>>(&request, &app, Place::Batches, &mut body).await?;
    let batch_id: Id<Batch> = extract::id(&request, "batch_id", "batch")?;
    batches::cancel(&app, &visit.caller, batch_id).await?;
    Ok(pages::redirect(&request, &format!("console/batches/{batch_id}?done=cancelled")))
}
