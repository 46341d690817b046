//! `/console/services/{user_id}`: one service account and its keys.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::keys::KeyRow;
use super::respond;
use super::shell::{Place, Shell};
use super::state::State;
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::caller::PermissionLevel;
use crate::error::Error;
use crate::http::extract;
use crate::http::pages::Moment;
use crate::id::{Id, User};
use crate::keys::{self, Creator, KeyFilter, KeyStatus};
use crate::page::{ListKey, Span};
use crate::users::{self, Status, UserDetails};

#[derive(Template)]
#[template(path = "console/service.html")]
pub(super) struct ServicePage {
    pub(super) shell: Shell,
    pub(super) user: UserDetails,
    pub(super) state: State,
    pub(super) created: Moment,
    /// The active keys, the newest first.
    pub(super) keys: Vec<KeyRow>,
    pub(super) has_more: bool,
    /// The latest use of any key.
    pub(super) last_used: Option<Moment>,
    pub(super) notice: Option<&'static str>,
}

impl ServicePage {
    fn is_suspended(&self) -> bool {
        self.user.status == Status::Suspended
    }

    fn level(&self) -> &'static str {
        match self.user.permission_level {
            PermissionLevel::Owner => "Owner",
            PermissionLevel::Collaborator => "Collaborator",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    done: Option<String>,
}

/// `GET /console/services/{user_id}`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Services).await?;
    let user_id: Id<User> = extract::id(&request, "user_id", "service account")?;
    let Query { done } = extract::query(&request)?;
    let usage = keys::usage(&app, &visit.caller, &[user_id]).await?.remove(&user_id).unwrap_or_default();
    let user = users::get(&app, &visit.caller, user_id).await?;
    if !user.is_service_account {
        return Err(Error::not_found("service account", user_id).into());
    }
    let filter = KeyFilter { users: Some(vec![user_id]), status: Some(KeyStatus::Active), ..KeyFilter::default() };
    let span = Span::parse(ListKey::of(["keys of an account"]), None, None, None)?;
    let slice = keys::browse(&app, &visit.caller, &filter, &span).await?;
    let notice = match done.as_deref() {
        Some("suspended") => Some("The account is suspended: its API keys are rejected."),
        Some("reactivated") => Some("The account is active again."),
        Some("level") => Some("The level is changed."),
        _ => None,
    };
    Ok(respond(&ServicePage {
        state: State::of(&user, visit.now),
        created: visit.moment(user.created_at),
        keys: slice.rows.into_iter().map(|listed| KeyRow::of(listed, visit.now)).collect(),
        has_more: slice.next.is_some(),
        last_used: usage.last_used_at.map(|at| visit.moment(at)),
        notice,
        user,
        shell: visit.shell,
    }))
}
