//! `/console/keys/{key_id}/revoke`: revokes an API key, and the keys that it has made if the visitor wants to.

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::{DateTime, Utc};

use super::keys::KeyRow;
use super::numbers::counted;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{key, reject, respond};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::pages;
use crate::keys::{self, Creator, KeyStatus, Whose};

#[derive(Template)]
#[template(path = "console/key_revoke.html")]
pub(super) struct RevokePage {
    pub(super) shell: Shell,
    pub(super) row: KeyRow,
    pub(super) is_active: bool,
    /// The active keys that the key has made.
    pub(super) made: Vec<KeyRow>,
    pub(super) problem: Option<String>,
}

impl RevokePage {
    fn all(&self) -> String {
        counted(self.made.len() + usize::from(self.is_active), "key", "keys")
    }

    fn several(&self) -> String {
        match self.made.len() {
            many if many >= keys::MOST_MADE => format!("{many} or more keys that it made still work"),
            made => counted(made, "key that it made still works", "keys that it made still work"),
        }
    }

    fn has_owner(&self) -> bool {
        self.row.listed.user.is_some()
    }
}

async fn page(app: &App, visit: &Visit, request: &HttpRequest, problem: Option<String>) -> Result<RevokePage> {
    let listed = key::read(app, visit, request).await?.listed;
    let made = keys::made_by(app, &visit.caller, listed.key.key_id).await?;
    let now: DateTime<Utc> = visit.now;
    Ok(RevokePage {
        shell: visit.shell.clone(),
        is_active: listed.key.status(now) == KeyStatus::Active,
        made: made.into_iter().map(|listed| KeyRow::of(listed, now)).collect(),
        row: KeyRow::of(listed, now),
        problem,
    })
}

/// `GET`: names what would be revoked.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Keys).await?;
    Ok(respond(&page(&app, &visit, &request, None).await?))
}

/// `POST`: revokes the key, or the key and those that the page has named.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, fields) = Visit::with_form::<Vec<(String, String)>>(&request, &app, Place::Keys, &mut body).await?;
    let key_id = key::read(&app, &visit, &request).await?.listed.key.key_id;
    let is_all = fields.iter().any(|(name, value)| name == "scope" && value == "all");
    let made = fields.into_iter().filter(|(name, _)| is_all && name == "made").map(|(_, value)| value);
    // First the key itself, which can then make no others.
    let ids: Vec<String> = [key_id.to_string()].into_iter().chain(made).collect();
    let (failed, total) = keys::revoke_each(&app, &visit.caller, Whose::Visible, async { Ok(ids) }).await?;
    match total - failed.len() {
        0 => {
            let problem = failed.into_iter().next().map(|(_, error)| pages::sentence(&error.to_string()));
            let page = page(&app, &visit, &request, problem).await?;
            Ok(reject(Error::new(Code::Conflict, "no key was revoked"), &page))
        }
        // Keys that were made meanwhile, or that are too many for one page.
        _ if is_all && !keys::made_by(&app, &visit.caller, key_id).await?.is_empty() => {
            Ok(pages::redirect(&request, &format!("console/keys/{key_id}/revoke")))
        }
        revoked => Ok(pages::redirect(&request, &format!("console/keys/{key_id}?revoked={revoked}"))),
    }
}
