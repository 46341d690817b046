//! `/console/services`: the accounts of programs, and a form for a new one.

use actix_web::{HttpRequest, web};
use askama::Template;
use muster_client::CollaboratorType;
use serde::Deserialize;

use super::numbers::days_until;
use super::shell::{Place, Shell};
use super::state::State;
use super::visit::{Handled, Visit};
use super::{again_at, reject, respond};
use crate::app::App;
use crate::caller::PermissionLevel;
use crate::collaborators::{self, CollaboratorFilter, MoreFilters, PeopleOrder, PersonQuery};
use crate::error::{Code, Result};
use crate::http::body::Body;
use crate::http::extract::encoded;
use crate::http::pages::Short;
use crate::http::{extract, pages};
use crate::keys;
use crate::page::Span;
use crate::service_accounts;
use crate::users::UserDetails;

#[derive(Template)]
#[template(path = "console/services.html")]
pub(super) struct ServicesPage {
    pub(super) shell: Shell,
    pub(super) query: Query,
    pub(super) rows: Vec<Row>,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
    /// Why the name that was entered can't be used.
    pub(super) problem: Option<String>,
}

/// A service account, and its keys in numbers.
pub(super) struct Row {
    pub(super) user: UserDetails,
    pub(super) state: State,
    pub(super) keys: i64,
    /// When the first key ends, and how many days there are until then.
    pub(super) first_end: Option<(Short, String)>,
    pub(super) last_used: Option<Short>,
}

impl Row {
    fn is_owner(&self) -> bool {
        self.user.permission_level == PermissionLevel::Owner
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Query {
    /// A part of the name.
    pub(super) q: String,
    /// The name in the form for a new account.
    pub(super) name: String,
    count: String,
    after: String,
    before: String,
    done: String,
}

impl Query {
    /// The parameters of the list, with a trailing `&`.
    fn parameters(&self) -> String {
        let fields = [("q", &self.q), ("count", &self.count)].into_iter().filter(|(_, value)| !value.is_empty());
        fields.map(|(name, value)| format!("{name}={}&", encoded(value))).collect()
    }

    fn is_deleted(&self) -> bool {
        self.done == "deleted"
    }
}

/// `GET /console/services`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Services).await?;
    let query: Query = extract::query(&request)?;
    Ok(respond(&page(&app, &visit, query, None).await?))
}

async fn page(app: &App, visit: &Visit, query: Query, problem: Option<String>) -> Result<ServicesPage> {
    let text = Some(query.q.trim()).filter(|text| !text.is_empty());
    let more = MoreFilters { query: text.map(PersonQuery::parse).transpose()?, ..MoreFilters::default() };
    let filter = CollaboratorFilter {
        collaborator_type: Some(CollaboratorType::OnlyServiceAccounts),
        more,
        ..CollaboratorFilter::default()
    };
    let order = PeopleOrder::Name;
    let [count, after, before] =
        [&query.count, &query.after, &query.before].map(|text| Some(text.as_str()).filter(|text| !text.is_empty()));
    let span = Span::parse(collaborators::list_key(&filter, order), count, after, before)?;
    let slice = collaborators::browse(app, &visit.caller, &filter, order, &span).await?;
    let ids: Vec<_> = slice.rows.iter().map(|row| row.user.user_id).collect();
    let usage = keys::usage(app, &visit.caller, &ids).await?;
    let short = |at| visit.moment(at).short();
    let rows = slice.rows.into_iter().map(|row| {
        let usage = usage.get(&row.user.user_id).copied().unwrap_or_default();
        Row {
            state: State::of(&row.user, visit.now),
            keys: usage.active,
            first_end: usage.first_end.map(|at| (short(at), days_until(at, visit.now))),
            last_used: usage.last_used_at.map(short),
            user: row.user,
        }
    });
    let rows = rows.collect();
    Ok(ServicesPage { shell: visit.shell.clone(), query, rows, previous: slice.previous, next: slice.next, problem })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NameForm {
    name: String,
}

/// `POST /console/services`: creates a service account.
pub(super) async fn create(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<NameForm>(&request, &app, Place::Services, &mut body).await?;
    let name = form.name.trim().to_owned();
    match service_accounts::create(&app, &visit.caller, Some(&name)).await {
        Ok(account) => Ok(pages::redirect(&request, &format!("console/services/{}", account.user_id))),
        Err(error) => match error.code() {
            Code::ReauthenticationNeeded => {
                Ok(again_at(&request, &format!("{}?name={}", request.path(), encoded(&name))))
            }
            Code::InvalidRequest | Code::Conflict => {
                let problem = Some(pages::sentence(&error.to_string()));
                Ok(reject(error, &page(&app, &visit, Query { name, ..Query::default() }, problem).await?))
            }
            _ => Err(error.into()),
        },
    }
}
