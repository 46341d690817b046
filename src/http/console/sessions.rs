//! `/console/sessions`: where people are signed in, the latest sign-in first; ending a session.

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::numbers;
use super::respond;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::caller::{Action, Caller, Principal};
use crate::collaborators::{self, CollaboratorFilter, MoreFilters, PersonQuery};
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::pages::Moment;
use crate::http::{extract, pages};
use crate::id::{Id, Session, User};
use crate::page::{PageRequest, Span};
use crate::sessions::{self, Method, SessionDetails};
use crate::users::{self, UserDetails};

/// The most people with a name who are offered.
const MOST_OFFERED: u16 = 20;

#[derive(Template)]
#[template(path = "console/sessions.html")]
pub(super) struct SessionsPage {
    pub(super) shell: Shell,
    pub(super) query: SessionsQuery,
    /// The person whose sessions are listed.
    pub(super) person: Option<UserDetails>,
    /// Those who were found, if they are several, or nobody.
    pub(super) found: Option<Vec<UserDetails>>,
    pub(super) rows: Vec<Row>,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
    pub(super) notice: Option<String>,
}

pub(super) struct Row {
    pub(super) id: Id<Session>,
    pub(super) user_id: Id<User>,
    pub(super) name: String,
    pub(super) email: String,
    /// A short name, such as `Firefox on Windows`.
    pub(super) browser: String,
    pub(super) method: &'static str,
    /// Whether the person still has to choose a password.
    pub(super) is_unfinished: bool,
    pub(super) network: Option<String>,
    pub(super) since: Moment,
    pub(super) last_seen: Moment,
    /// Whether it is the visitor's own session.
    pub(super) is_this: bool,
}

impl Row {
    fn new(session: &SessionDetails, name: String, email: String, principal: Principal, now: DateTime<Utc>) -> Self {
        Self {
            id: session.session_id,
            user_id: session.user_id,
            name,
            email,
            browser: sessions::browser(session.agent.as_deref()),
            method: title(session.method),
            is_unfinished: session.stage != "full",
            network: session.address.map(sessions::network),
            since: Moment { at: session.created_at, now },
            last_seen: Moment { at: session.last_seen_at, now },
            is_this: session.is_of(principal),
        }
    }
}

const fn title(method: Method) -> &'static str {
    match method {
        Method::Password => "Password",
        Method::Sso => "SSO",
        Method::Passkey => "Passkey",
        Method::Link => "Link",
        Method::Recovery => "Recovery link",
    }
}

/// The parameters. Empty ones are left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SessionsQuery {
    /// An ID, or a part of a name or an address.
    pub(super) user: String,
    pub(super) method: String,
    count: String,
    after: String,
    before: String,
    /// The number of sessions that were just ended.
    ended: String,
}

fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

impl SessionsQuery {
    fn method(&self) -> Result<Option<Method>> {
        let unknown = || Error::invalid(format!("`method` must be one of {}", Method::list()));
        given(&self.method).map(|text| Method::parse(text).ok_or_else(unknown)).transpose()
    }

    /// The parameters without the place in the list and without the one that is named, each with a trailing `&`.
    pub(super) fn without(&self, name: &str) -> String {
        let fields = [("user", &self.user), ("method", &self.method), ("count", &self.count)];
        let fields = fields.into_iter().filter(|(field, value)| *field != name && given(value).is_some());
        fields.map(|(field, value)| format!("{field}={}&", extract::encoded(value.trim()))).collect()
    }

    fn notice(&self) -> Option<String> {
        match self.ended.parse::<usize>().ok()? {
            0 => Some("No session was ended: none was open.".to_owned()),
            1 => Some("The session has ended.".to_owned()),
            sessions => Some(format!("{} sessions have ended.", numbers::number(sessions))),
        }
    }
}

impl SessionsPage {
    /// The choices of the filter by method.
    fn methods(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        let all = [Method::Password, Method::Sso, Method::Link, Method::Recovery];
        all.into_iter().map(|method| (method.as_str(), title(method), self.query.method == method.as_str()))
    }

    fn is_filtered(&self) -> bool {
        given(&self.query.user).is_some() || given(&self.query.method).is_some()
    }
}

/// `GET /console/sessions`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Sessions).await?;
    app.authorize(&visit.caller, Action::SessionOthers).await?;
    let query: SessionsQuery = extract::query(&request)?;
    let method = query.method()?;
    let span = Span::parse(sessions::list_key(method), given(&query.count), given(&query.after), given(&query.before))?;
    let (principal, now) = (visit.caller.principal, visit.now);
    let mut page = SessionsPage {
        shell: visit.shell,
        person: None,
        found: None,
        rows: Vec::new(),
        previous: None,
        next: None,
        notice: query.notice(),
        query,
    };
    let Some(text) = given(&page.query.user).map(str::to_owned) else {
        let slice = sessions::browse(&app, &visit.caller, method, &span).await?;
        let row =
            |listed: sessions::ListedSession| Row::new(&listed.session, listed.name, listed.email, principal, now);
        page.rows = slice.rows.into_iter().map(row).collect();
        (page.previous, page.next) = (slice.previous, slice.next);
        return Ok(respond(&page));
    };
    let mut found = people(&app, &visit.caller, &text).await?;
    if found.len() != 1 {
        page.found = Some(found);
        return Ok(respond(&page));
    }
    if let Some(person) = found.pop() {
        let listed = sessions::list(&app, &visit.caller, Some(person.user_id)).await?;
        let listed = listed.iter().filter(|session| method.is_none_or(|method| session.method == method));
        let row = |session| Row::new(session, person.full_name(), person.email.clone(), principal, now);
        page.rows = listed.map(row).collect();
        page.person = Some(person);
    }
    Ok(respond(&page))
}

/// The people that a text may mean: an ID, or a part of a name or an address.
async fn people(app: &App, caller: &Caller, text: &str) -> Result<Vec<UserDetails>> {
    if let Ok(user_id) = text.parse::<Id<User>>() {
        return Ok(vec![users::get(app, caller, user_id).await?]);
    }
    let more = MoreFilters { query: Some(PersonQuery::parse(text)?), ..MoreFilters::default() };
    let filter = CollaboratorFilter { is_service_account: Some(false), more, ..CollaboratorFilter::default() };
    Ok(collaborators::list(app, caller, &filter, &PageRequest { count: MOST_OFFERED, after: None }).await?.rows)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndForm {
    end: Id<Session>,
    /// The filter of the list, to come back to.
    #[serde(default)]
    user: String,
}

/// `POST /console/sessions`: ends a session.
pub(super) async fn end(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<EndForm>(&request, &app, Place::Sessions, &mut body).await?;
    sessions::end(&app, &visit.caller, form.end).await?;
    let user = given(&form.user).map(|user| format!("&user={}", extract::encoded(user))).unwrap_or_default();
    Ok(pages::redirect(&request, &format!("console/sessions?ended=1{user}")))
}
