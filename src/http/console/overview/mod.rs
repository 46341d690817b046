//! `/console`: what is in progress, what needs attention, what happened lately, and two pictures.
//!
//! | file | what it has |
//! |---|---|
//! | `attention.rs` | what needs attention |
//! | `pictures.rs`, `plot.rs` | the pictures: their numbers and words, and their paths |

mod attention;
mod pictures;
mod plot;

use actix_web::{HttpRequest, web};
use askama::Template;

use super::audit::history;
use super::audit::log::Day;
use super::numbers::{number, people};
use super::respond;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::batches::{self, BatchFilter, BatchState};
use crate::caller::Action;
use crate::collaborators;
use crate::error::Result;
use crate::http::extract;
use crate::http::pages::Moment;
use crate::id::{Batch, Id};
use crate::page::PageRequest;
use attention::Attention;
use pictures::Pictures;

/// How many running batches are shown.
const RUNNING: u16 = 5;

#[derive(Template)]
#[template(path = "console/overview.html")]
struct OverviewPage {
    shell: Shell,
    /// Today, in words.
    day: String,
    /// What only owners see.
    private: Option<Private>,
}

struct Private {
    running: Vec<Running>,
    attention: Vec<Attention>,
    recent: Vec<Day>,
    pictures: Pictures,
}

/// A batch in progress.
struct Running {
    id: Id<Batch>,
    name: String,
    hashed: i32,
    hashes: i32,
    users: String,
    started: Moment,
}

/// `GET /console`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Overview).await?;
    extract::query::<NoQuery>(&request)?;
    let private = match visit.caller.may(Action::AuditList) {
        false => None,
        true => Some(private(&app, &visit).await?),
    };
    Ok(respond(&OverviewPage { day: visit.now.format("%A, %-d %B %Y").to_string(), private, shell: visit.shell }))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoQuery {}

async fn private(app: &App, visit: &Visit) -> Result<Private> {
    let (caller, now) = (&visit.caller, visit.now);
    let totals = collaborators::attention(app, caller).await?;
    Ok(Private {
        running: running(app, visit).await?,
        attention: attention::list(app, caller, &totals, now).await?,
        recent: history::recent(app, caller, now).await?,
        pictures: pictures::read(app, caller, totals.people).await?,
    })
}

async fn running(app: &App, visit: &Visit) -> Result<Vec<Running>> {
    let filter = BatchFilter { state: Some(BatchState::Running), ..BatchFilter::default() };
    let page = PageRequest::<Batch> { count: RUNNING, after: None };
    let batches = batches::list(app, &visit.caller, &filter, &page).await?;
    let running = batches.rows.into_iter().map(|batch| Running {
        id: batch.batch_id,
        name: batch.file_name.unwrap_or_else(|| "A list".to_owned()),
        hashed: batch.hashed,
        hashes: batch.hash_count,
        users: people(batch.user_count),
        started: visit.moment(batch.created_at),
    });
    Ok(running.collect())
}
