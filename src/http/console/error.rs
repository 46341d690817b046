//! Errors, inside the frame of the page that failed.

use actix_web::{HttpMessage, HttpRequest};
use askama::Template;

use super::shell::Shell;
use crate::app::App;
use crate::caller::PermissionLevel;
use crate::collaborators::{self, CollaboratorFilter, MoreFilters};
use crate::error::{Code, Error};
use crate::http::log::Note;
use crate::http::pages;
use crate::page::PageRequest;

/// The most owners that are named to somebody who is none.
const MOST_OWNERS: u16 = 3;

#[derive(Template)]
#[template(path = "console/error.html")]
pub(super) struct ErrorPage<'a> {
    pub(super) shell: Shell,
    pub(super) heading: &'a str,
    pub(super) detail: String,
    /// Whether the same request may succeed later.
    pub(super) is_transient: bool,
    /// Whom to ask.
    pub(super) owners: Vec<String>,
    pub(super) request_id: Option<String>,
}

/// The page of an error, if the visitor of the request has signed in.
pub(in crate::http) async fn text(request: &HttpRequest, error: &Error) -> Option<String> {
    let shell = request.extensions().get::<Shell>().cloned()?;
    let caller = request.extensions().get::<crate::caller::Caller>().copied();
    let app = request.app_data::<actix_web::web::Data<App>>();
    let owners = match (error.code(), app, caller) {
        (Code::Forbidden, Some(app), Some(caller)) => owners(app, &caller).await,
        _ => Vec::new(),
    };
    let note = request.extensions().get::<Note>().map(|note| note.request_id.to_string());
    Some(pages::text(&ErrorPage {
        shell,
        heading: pages::error::heading(error.code()),
        detail: pages::sentence(&error.to_string()),
        is_transient: error.retry_after().is_some(),
        owners,
        request_id: note,
    }))
}

/// The names of some owners. Nobody, if the database does not say.
async fn owners(app: &App, caller: &crate::caller::Caller) -> Vec<String> {
    let more = MoreFilters { permission_level: Some(PermissionLevel::Owner), ..MoreFilters::default() };
    let filter = CollaboratorFilter { is_service_account: Some(false), more, ..CollaboratorFilter::default() };
    let page = PageRequest { count: MOST_OWNERS, after: None };
    let owners = collaborators::list(app, caller, &filter, &page).await;
    owners.map(|page| page.rows.iter().map(crate::users::UserDetails::full_name).collect()).unwrap_or_default()
}
