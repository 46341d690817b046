//! `/console/people`: the list of people.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::respond;
use super::shell::{Place, Shell};
use super::state::State;
use super::visit::Visit;
use crate::app::App;
use crate::caller::PermissionLevel;
use crate::collaborators::{self, CollaboratorFilter, MoreFilters, PersonQuery, Search, SearchText};
use crate::error::{Error, Result};
use crate::http::extract;
use crate::http::pages::Short;
use crate::id::User;
use crate::page::{Page, PageRequest};
use crate::users::{Status, UserDetails};

#[derive(Template)]
#[template(path = "console/people.html")]
pub(super) struct PeoplePage {
    pub(super) shell: Shell,
    pub(super) query: PeopleQuery,
    pub(super) rows: Vec<Row>,
    pub(super) next: Option<String>,
    pub(super) notice: Option<&'static str>,
}

pub(super) struct Row {
    pub(super) user: UserDetails,
    pub(super) state: State,
    pub(super) last_signed_in: Option<Short>,
}

/// The parameters of the list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PeopleQuery {
    pub(super) q: String,
    pub(super) state: String,
    pub(super) level: String,
    after: Option<String>,
    done: Option<String>,
}

impl PeopleQuery {
    fn status(&self) -> Result<Option<Status>> {
        match self.state.as_str() {
            "" => Ok(None),
            "active" => Ok(Some(Status::Active)),
            "suspended" => Ok(Some(Status::Suspended)),
            _ => Err(Error::invalid("`state` must be `active` or `suspended`")),
        }
    }

    fn permission_level(&self) -> Result<Option<PermissionLevel>> {
        match self.level.as_str() {
            "" => Ok(None),
            "owner" => Ok(Some(PermissionLevel::Owner)),
            "collaborator" => Ok(Some(PermissionLevel::Collaborator)),
            _ => Err(Error::invalid("`level` must be `owner` or `collaborator`")),
        }
    }

    /// The filters of all pages of the list.
    pub(super) fn filter(&self) -> Result<CollaboratorFilter> {
        let query = Some(self.q.trim()).filter(|text| !text.is_empty()).map(PersonQuery::parse).transpose()?;
        let (status, permission_level) = (self.status()?, self.permission_level()?);
        let more = MoreFilters { query, status, permission_level, ..MoreFilters::default() };
        Ok(CollaboratorFilter { more, ..CollaboratorFilter::default() })
    }

    /// The filters, as the parameters of the next page.
    fn parameters(&self) -> String {
        let filters = [("q", &self.q), ("state", &self.state), ("level", &self.level)].into_iter();
        let given = filters.filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| format!("{name}={}&", extract::encoded(value))).collect()
    }

    /// Whether some people are left out.
    fn is_filtered(&self) -> bool {
        [&self.q, &self.state, &self.level].into_iter().any(|filter| !filter.is_empty())
    }
}

/// `GET /console/people`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let visit = match Visit::of(&request, &app, Place::People).await? {
        Ok(visit) => visit,
        Err(response) => return Ok(*response),
    };
    let query: PeopleQuery = extract::query(&request)?;
    let Page { rows, next } = read(&app, &visit, &query).await?;
    let rows = rows.into_iter().map(|user| Row {
        state: State::of(&user, visit.now),
        last_signed_in: user.last_signed_in_at.map(|at| visit.moment(at).short()),
        user,
    });
    let notice = (query.done.as_deref() == Some("deleted")).then_some("The person is deleted.");
    Ok(respond(&PeoplePage { rows: rows.collect(), next, notice, query, shell: visit.shell }))
}

async fn read(app: &App, visit: &Visit, query: &PeopleQuery) -> Result<Page<UserDetails>> {
    let page = PageRequest::<User>::new(None, query.after.as_deref())?;
    let (status, permission_level) = (query.status()?, query.permission_level()?);
    if query.q.trim().is_empty() {
        let more = MoreFilters { status, permission_level, ..MoreFilters::default() };
        let filter = CollaboratorFilter { more, ..CollaboratorFilter::default() };
        return collaborators::list(app, &visit.caller, &filter, &page).await;
    }
    let text = SearchText::containing(query.q.trim())?;
    let search = Search { text, collaborator_type: None, is_service_account: None, permission_level, status };
    collaborators::search(app, &visit.caller, &search, &page).await
}
