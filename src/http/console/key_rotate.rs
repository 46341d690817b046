//! `/console/keys/{key_id}/rotate`: another secret for an API key, shown once.

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde::Deserialize;

use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{again, key, key_made, reject, respond};
use crate::app::App;
use crate::caller::Action;
use crate::error::{Code, Error};
use crate::http::body::Body;
use crate::http::pages;
use crate::http::pages::Moment;
use crate::http::public_url::public_url;
use crate::keys::{self, KeyDetails, LONGEST_OVERLAP_DAYS, LatestRotation, Summary};

#[derive(Template)]
#[template(path = "console/key_rotate.html")]
pub(super) struct RotatePage {
    pub(super) shell: Shell,
    pub(super) key: Summary,
    pub(super) may_rotate: bool,
    pub(super) is_active: bool,
    /// Until when the secret before the last rotation works.
    pub(super) previous: Option<Moment>,
    /// How long the previous secret stays valid, in hours, as it was entered.
    pub(super) hours: String,
    pub(super) problem: Option<String>,
}

impl RotatePage {
    /// The latest rotation of the key, so that a form that is sent twice rotates once.
    fn latest(&self) -> String {
        self.key.rotated_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true)).unwrap_or_default()
    }

    const fn longest(&self) -> u32 {
        LONGEST_OVERLAP_DAYS * 24
    }
}

/// `GET`: says what it does.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Keys).await?;
    let details = key::read(&app, &visit, &request).await?;
    match app.authorize(&visit.caller, Action::KeyRotate).await {
        Err(error) if error.code() == Code::ReauthenticationNeeded => return Ok(again(&request)),
        permitted => permitted?,
    }
    let hours = app.config.keys.rotation_overlap_hours.to_string();
    Ok(respond(&page(&visit, details, hours, None)))
}

fn page(visit: &Visit, details: KeyDetails, hours: String, problem: Option<String>) -> RotatePage {
    let KeyDetails { listed, may_rotate } = details;
    let is_active = listed.key.status(visit.now) == keys::KeyStatus::Active;
    let previous = listed.key.previous_expires_at.filter(|until| *until > visit.now);
    let previous = previous.map(|until| visit.moment(until));
    RotatePage { shell: visit.shell.clone(), key: listed.key, may_rotate, is_active, previous, hours, problem }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RotationForm {
    latest: String,
    hours: String,
}

/// `POST`: rotates the key and shows the new secret.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<RotationForm>(&request, &app, Place::Keys, &mut body).await?;
    let details = key::read(&app, &visit, &request).await?;
    let latest = match form.latest.as_str() {
        "" => None,
        text => Some(text.parse::<DateTime<Utc>>().map_err(|_| Error::invalid("invalid form: `latest` is no time"))?),
    };
    let Some(overlap) = form.hours.trim().parse().ok().and_then(Duration::try_hours) else {
        let problem = "Enter a number of hours.".to_owned();
        return Ok(reject(Error::invalid("`hours` is no number"), &page(&visit, details, form.hours, Some(problem))));
    };
    let key_id = details.listed.key.key_id;
    let host = public_url(&request, &app.config.server)?;
    match keys::rotate(&app, &visit.caller, key_id, Some(overlap), LatestRotation::At(latest)).await {
        Ok(made) => Ok(key_made::page(&app, visit, made, host, true)),
        Err(error) => match error.code() {
            Code::ReauthenticationNeeded => Ok(again(&request)),
            Code::PreconditionFailed => {
                // The key as it is since then.
                let details = key::read(&app, &visit, &request).await?;
                let when = details.listed.key.rotated_at.map(|at| visit.moment(at).dated().to_string());
                let problem = format!(
                    "The key was rotated {}, and the new secret was shown then. Rotating it again replaces that one.",
                    when.unwrap_or_default()
                );
                Ok(reject(error, &page(&visit, details, form.hours, Some(problem))))
            }
            Code::InvalidRequest | Code::Conflict => {
                let problem = Some(pages::sentence(&error.to_string()));
                Ok(reject(error, &page(&visit, details, form.hours, problem)))
            }
            _ => Err(error.into()),
        },
    }
}
