//! `/console/people/{user_id}`: one person.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::audit::history::{self, History, HistoryQuery};
use super::respond;
use super::shell::{Place, Shell};
use super::state::State;
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::caller::{Action, PermissionLevel};
use crate::error::Code;
use crate::http::body::Body;
use crate::http::extract;
use crate::http::pages::{self, Moment};
use crate::id::{ApiKey, Batch, Id, Session, User};
use crate::keys::{self, KeyStatus};
use crate::page::{MAX_COUNT, PageRequest};
use crate::sessions;
use crate::sso;
use crate::users::{self, GroupOfUser, Status, UserDetails};

#[derive(Template)]
#[template(path = "console/person.html")]
pub(super) struct PersonPage<'a> {
    pub(super) shell: Shell,
    pub(super) user: &'a UserDetails,
    /// First and last name.
    pub(super) name: String,
    pub(super) state: State,
    pub(super) is_self: bool,
    pub(super) created: Moment,
    pub(super) expires: Option<Moment>,
    pub(super) last_signed_in: Option<Moment>,
    pub(super) added_by: Option<AddedBy>,
    pub(super) groups: &'a [GroupOfUser],
    /// The rest is for owners.
    pub(super) private: Option<Private<'a>>,
    /// What the person did, and what happened to the person; for owners.
    pub(super) history: Option<History>,
    pub(super) notice: Option<&'static str>,
}

/// What the log has about a person who was deleted.
#[derive(Template)]
#[template(path = "console/person_deleted.html")]
pub(super) struct DeletedPage {
    pub(super) shell: Shell,
    pub(super) history: Option<History>,
}

/// The batch that created an account.
pub(super) struct AddedBy {
    /// `None` for a visitor who may not read batches.
    pub(super) id: Option<Id<Batch>>,
    /// The name of its file, or its ID.
    pub(super) title: String,
}

/// What only owners see.
pub(super) struct Private<'a> {
    pub(super) password_set: Option<Moment>,
    pub(super) is_bound_to_sso: bool,
    pub(super) link_expires: Option<Moment>,
    pub(super) identities: Vec<IdentityRow<'a>>,
    pub(super) sessions: Vec<SessionRow>,
    pub(super) keys: Vec<KeyRow<'a>>,
}

pub(super) struct IdentityRow<'a> {
    pub(super) provider: &'a str,
    pub(super) bound: Moment,
    pub(super) last_used: Option<Moment>,
}

pub(super) struct SessionRow {
    pub(super) id: Id<Session>,
    /// A short name, such as `Firefox on Windows`.
    pub(super) browser: String,
    pub(super) network: Option<String>,
    pub(super) since: Moment,
    pub(super) last_seen: Moment,
}

pub(super) struct KeyRow<'a> {
    pub(super) id: Id<ApiKey>,
    pub(super) name: &'a str,
    pub(super) expires: Moment,
    pub(super) last_used: Option<Moment>,
}

impl PersonPage<'_> {
    fn is_suspended(&self) -> bool {
        self.user.status == Status::Suspended
    }

    fn level(&self) -> &'static str {
        match self.user.permission_level {
            PermissionLevel::Owner => "Owner",
            PermissionLevel::Collaborator => "Collaborator",
        }
    }

    /// Why a collaborator by their own level is an owner.
    fn through(&self) -> impl Iterator<Item = &GroupOfUser> {
        let by_group = self.user.own_level == PermissionLevel::Collaborator;
        self.groups.iter().filter(move |group| by_group && group.grants_owner)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    done: Option<String>,
    show: Option<String>,
    after: Option<String>,
    before: Option<String>,
}

impl Query {
    fn history(&self) -> HistoryQuery<'_> {
        HistoryQuery { show: self.show.as_deref(), after: self.after.as_deref(), before: self.before.as_deref() }
    }
}

/// `GET /console/people/{user_id}`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::People).await?;
    let user_id: Id<User> = extract::id(&request, "user_id", "person")?;
    let query: Query = extract::query(&request)?;
    let history = match visit.caller.may(Action::AuditList) {
        true => Some(history::of_person(&app, &visit.caller, user_id, query.history(), visit.now).await?),
        false => None,
    };
    let profile = match users::profile(&app, &visit.caller, user_id).await {
        Err(error) if error.code() == Code::NotFound && history.as_ref().is_some_and(|history| history.is_known()) => {
            return Ok(respond(&DeletedPage { shell: visit.shell, history }));
        }
        profile => profile?,
    };
    let moment = |at| visit.moment(at);
    let is_owner = visit.caller.may(Action::SessionOthers);
    let (sessions, identities, keys) = match is_owner {
        false => (Vec::new(), Vec::new(), Vec::new()),
        true => {
            let filter = keys::Filter { user_id: Some(user_id), ..keys::Filter::default() };
            let page = PageRequest { count: MAX_COUNT, after: None };
            (
                sessions::list(&app, &visit.caller, Some(user_id)).await?,
                sso::identities(&app, &visit.caller, user_id).await?,
                keys::list(&app, &visit.caller, filter, &page).await?.rows,
            )
        }
    };
    let facts = &profile.facts;
    let added_by = facts.batch_id.map(|batch_id| AddedBy {
        id: visit.caller.may(Action::BatchGet).then_some(batch_id),
        title: facts.file_name.clone().unwrap_or_else(|| batch_id.to_string()),
    });
    let private = is_owner.then(|| Private {
        password_set: facts.password_set_at.map(moment),
        is_bound_to_sso: facts.is_bound_to_sso,
        link_expires: facts.link_expires_at.map(moment),
        identities: identities
            .iter()
            .map(|identity| IdentityRow {
                provider: &identity.provider,
                bound: moment(identity.bound_at),
                last_used: identity.last_used_at.map(moment),
            })
            .collect(),
        sessions: sessions
            .iter()
            .map(|session| SessionRow {
                id: session.session_id,
                browser: sessions::browser(session.agent.as_deref()),
                network: session.address.map(sessions::network),
                since: moment(session.created_at),
                last_seen: moment(session.last_seen_at),
            })
            .collect(),
        keys: keys
            .iter()
            .filter(|key| key.status(visit.now) == KeyStatus::Active)
            .map(|key| KeyRow {
                id: key.key_id,
                name: &key.name,
                expires: moment(key.expires_at),
                last_used: key.last_used_at.map(moment),
            })
            .collect(),
    });
    let user = &profile.user;
    Ok(respond(&PersonPage {
        name: user.full_name(),
        state: State::of(user, visit.now),
        is_self: visit.holder.user.user_id == user.user_id,
        created: moment(user.created_at),
        expires: user.expires_at.map(moment),
        last_signed_in: user.last_signed_in_at.map(moment),
        added_by,
        groups: &profile.groups,
        private,
        history,
        notice: query.done.as_deref().and_then(notice),
        user,
        shell: visit.shell,
    }))
}

/// What has just been done.
fn notice(done: &str) -> Option<&'static str> {
    Some(match done {
        "edited" => "The changes are saved.",
        "suspended" => "The account is suspended: sessions have ended, and API keys are rejected.",
        "reactivated" => "The account is active again.",
        "level" => "The level is changed.",
        "sign-in" => "The sign-in method is changed.",
        "sessions" => "The sessions have ended.",
        _ => return None,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndSessions {
    /// A session, or `all`.
    end: String,
}

/// `POST /console/people/{user_id}/sessions`.
pub(super) async fn end_sessions(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<EndSessions>(&request, &app, Place::People, &mut body).await?;
    let user_id: Id<User> = extract::id(&request, "user_id", "person")?;
    match form.end.parse::<Id<Session>>() {
        Ok(session_id) => sessions::end(&app, &visit.caller, session_id).await?,
        Err(_) => sessions::end_all(&app, &visit.caller, Some(user_id), true).await.map(drop)?,
    }
    Ok(pages::redirect(&request, &format!("console/people/{user_id}?done=sessions")))
}
