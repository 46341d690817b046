//! `/console/keys/{key_id}`: one API key.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::keys::KeyRow;
use super::numbers::counted;
use super::respond;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::caller::PermissionLevel;
use crate::error::Result;
use crate::http::extract;
use crate::http::pages::Moment;
use crate::keys::{self, Creator, KeyDetails, KeyStatus};

#[derive(Template)]
#[template(path = "console/key.html")]
pub(super) struct KeyPage {
    pub(super) shell: Shell,
    pub(super) row: KeyRow,
    pub(super) may_rotate: bool,
    pub(super) is_active: bool,
    pub(super) created: Moment,
    pub(super) ends: Moment,
    pub(super) last_used: Option<Moment>,
    pub(super) rotated: Option<Moment>,
    /// Until when the previous secret is valid.
    pub(super) previous_until: Option<Moment>,
    pub(super) revoked: Option<Moment>,
    pub(super) notice: Option<String>,
}

impl KeyPage {
    fn level(&self) -> &'static str {
        match (self.row.listed.level(), self.row.listed.key.permission_level) {
            (PermissionLevel::Owner, _) => "Owner",
            (PermissionLevel::Collaborator, PermissionLevel::Collaborator) => "Collaborator",
            (PermissionLevel::Collaborator, PermissionLevel::Owner) => "Collaborator, the level of its account",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    revoked: Option<usize>,
}

/// `GET /console/keys/{key_id}`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Keys).await?;
    let Query { revoked } = extract::query(&request)?;
    let KeyDetails { listed, may_rotate } = read(&app, &visit, &request).await?;
    let key = &listed.key;
    let moment = |at| visit.moment(at);
    Ok(respond(&KeyPage {
        may_rotate,
        is_active: key.status(visit.now) == KeyStatus::Active,
        created: moment(key.created_at),
        ends: moment(key.expires_at),
        last_used: key.last_used_at.map(moment),
        rotated: key.rotated_at.map(moment),
        previous_until: key.previous_expires_at.filter(|until| *until > visit.now).map(moment),
        revoked: key.revoked_at.map(moment),
        notice: revoked.map(|keys| format!("{} revoked.", counted(keys, "API key is", "API keys are"))),
        row: KeyRow::of(listed, visit.now),
        shell: visit.shell,
    }))
}

/// The key of the address.
pub(super) async fn read(app: &App, visit: &Visit, request: &HttpRequest) -> Result<KeyDetails> {
    keys::details(app, &visit.caller, extract::id(request, "key_id", "API key")?).await
}
