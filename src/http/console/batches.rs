//! `/console/batches`: the batches, the latest first.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::batch::Heading;
use super::respond;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::batches::{self, BatchFilter, BatchState};
use crate::error::Error;
use crate::http::extract;
use crate::id::Batch;
use crate::page::PageRequest;

#[derive(Template)]
#[template(path = "console/batches.html")]
pub(super) struct BatchesPage {
    pub(super) shell: Shell,
    /// The state that the list is limited to.
    pub(super) state: String,
    pub(super) rows: Vec<Heading>,
    pub(super) next: Option<String>,
}

impl BatchesPage {
    fn is_current(&self, state: &str) -> bool {
        self.state == state
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    state: Option<String>,
    after: Option<String>,
}

/// `GET /console/batches`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Batches).await?;
    let Query { state, after } = extract::query(&request)?;
    let state = state.unwrap_or_default();
    let unknown = || Error::invalid(format!("`state` must be one of {}", BatchState::list()));
    let filter = match state.as_str() {
        "" => None,
        text => Some(BatchState::parse(text).ok_or_else(unknown)?),
    };
    let page = PageRequest::<Batch>::new(None, after.as_deref())?;
    let filter = BatchFilter { state: filter, ..BatchFilter::default() };
    let page = batches::list(&app, &visit.caller, &filter, &page).await?;
    let rows = page.rows.iter().map(|batch| Heading::of(batch, visit.now)).collect();
    Ok(respond(&BatchesPage { rows, next: page.next, state, shell: visit.shell }))
}
