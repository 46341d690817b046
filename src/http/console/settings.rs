//! `/console/settings`: what an owner decides for the organization, and what the operator has decided for the server.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::numbers::{counted, number};
use super::person_edit::Problem;
use super::settings_sign_in::Choice;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{reject, respond};
use crate::app::App;
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::pages::Moment;
use crate::http::{extract, pages};
use crate::id::{Id, Organization};
use crate::mail;
use crate::organizations;
use crate::sign_in_policies;

#[derive(Template)]
#[template(path = "console/settings.html")]
pub(super) struct SettingsPage {
    pub(super) shell: Shell,
    pub(super) organization_id: Id<Organization>,
    /// The short name of the organization.
    pub(super) short_name: String,
    /// The name, as it is or was entered.
    pub(super) name: String,
    /// The maximum lifetime of keys, as it is or was entered.
    pub(super) days: String,
    pub(super) choice: Choice,
    pub(super) policy_set: Option<Moment>,
    /// What the configuration of the server says: what it is about, the value, and the settings.
    pub(super) server: Vec<(&'static str, String, &'static str)>,
    pub(super) problems: Vec<Problem>,
    pub(super) notice: Option<String>,
}

impl SettingsPage {
    fn problem(&self, field: &str) -> Option<&str> {
        self.problems.iter().find(|problem| problem.field == field).map(|problem| problem.message.as_str())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    done: Option<String>,
    /// The number of sessions that ended.
    sessions: Option<usize>,
}

/// `GET /console/settings`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Settings).await?;
    let Query { done, sessions } = extract::query(&request)?;
    let notice = match done.as_deref() {
        Some("name") => Some("The organization is renamed.".to_owned()),
        Some("keys") => Some("The maximum is set. Keys that exist keep their end until they are rotated.".to_owned()),
        Some("sign-in") => {
            let ended = counted(sessions.unwrap_or_default(), "session has ended", "sessions have ended");
            Some(format!("The sign-in policy is set; {ended}."))
        }
        _ => None,
    };
    Ok(respond(&SettingsPage { notice, ..page(&app, &visit).await? }))
}

async fn page(app: &App, visit: &Visit) -> Result<SettingsPage> {
    let max_days = organizations::max_key_days(app, &visit.caller).await?;
    let policy = sign_in_policies::get(app, &visit.caller).await?;
    let organization = &visit.holder.organization;
    Ok(SettingsPage {
        shell: visit.shell.clone(),
        organization_id: organization.organization_id,
        short_name: organization.public_identifier.clone(),
        name: organization.name.clone(),
        days: max_days.map(|days| days.to_string()).unwrap_or_default(),
        choice: Choice::of(policy),
        policy_set: policy.changed_at.map(|at| visit.moment(at)),
        server: server(app, &app.config),
        problems: Vec::new(),
        notice: None,
    })
}

/// What an owner wants to know of the configuration.
fn server(app: &App, config: &Config) -> Vec<(&'static str, String, &'static str)> {
    let (sessions, keys) = (&config.sessions, &config.keys);
    let address = match config.server.public_url.as_str() {
        "" => "not set: links begin with the address in the browser".to_owned(),
        url => url.to_owned(),
    };
    let mail = match mail::require(app) {
        Ok(_) => format!("on, from {}", config.mail.from),
        Err(_) => "off: links are handed over by you".to_owned(),
    };
    let hours = |hours: u32| counted(hours, "hour", "hours");
    vec![
        ("Address", address, "server.public_url"),
        ("Mail", mail, "mail.url, mail.from"),
        (
            "Sessions",
            format!(
                "end after {} without a request, and {} after signing in ({} after single sign-on)",
                counted(sessions.idle_minutes, "minute", "minutes"),
                hours(sessions.hours),
                hours(sessions.sso_hours)
            ),
            "sessions",
        ),
        ("Sign-in links", format!("work for {}", hours(config.links.hours)), "links.hours"),
        (
            "Invitations",
            format!("are open for {}", counted(config.invitations.days, "day", "days")),
            "invitations.days",
        ),
        ("Passwords", format!("at least {} characters", number(config.passwords.min_length)), "passwords.min_length"),
        (
            "API keys",
            format!("end after {}, at most {}", counted(keys.default_days, "day", "days"), number(keys.max_days)),
            "keys.default_days, keys.max_days",
        ),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NameForm {
    name: String,
}

/// `POST /console/settings/name`: renames the organization.
pub(super) async fn rename(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<NameForm>(&request, &app, Place::Settings, &mut body).await?;
    let name = form.name.trim().to_owned();
    match organizations::rename(&app, &visit.caller, &name).await {
        Ok(_) => Ok(pages::redirect(&request, "console/settings?done=name")),
        Err(error) if error.code() == Code::InvalidRequest => {
            let problem = Problem { field: "name".to_owned(), message: pages::sentence(&error.to_string()) };
            Ok(reject(error, &SettingsPage { name, problems: vec![problem], ..page(&app, &visit).await? }))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeysForm {
    days: String,
}

/// `POST /console/settings/keys`: limits the lifetime of API keys.
pub(super) async fn limit_keys(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<KeysForm>(&request, &app, Place::Settings, &mut body).await?;
    let days = form.days.trim().to_owned();
    let max_days = async {
        match days.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| Error::invalid("`days` is no number of days")),
        }
    };
    match organizations::set_max_key_days(&app, &visit.caller, max_days).await {
        Ok(_) => Ok(pages::redirect(&request, "console/settings?done=keys")),
        Err(error) if error.code() == Code::InvalidRequest => {
            let message = "Enter 1 to 36,500 days, or nothing for no maximum of the organization.".to_owned();
            let problem = Problem { field: "days".to_owned(), message };
            Ok(reject(error, &SettingsPage { days, problems: vec![problem], ..page(&app, &visit).await? }))
        }
        Err(error) => Err(error.into()),
    }
}
