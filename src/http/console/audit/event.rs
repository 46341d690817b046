//! `/console/audit/{event_id}`: an entry, with all its facts.

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::{SecondsFormat, TimeDelta};
use serde_json::Value;

use super::attempt::why;
use super::sentence::{Context, Part, Sentence};
use crate::app::App;
use crate::audit::{self, Entry, Outcome};
use crate::http::console::respond;
use crate::http::console::shell::{Place, Shell};
use crate::http::console::visit::{Handled, Visit};
use crate::http::extract;
use crate::http::pages::Moment;
use crate::id::{Event, Id};

#[derive(Template)]
#[template(path = "console/audit_event.html")]
pub(in crate::http::console) struct EventPage {
    pub(in crate::http::console) shell: Shell,
    pub(in crate::http::console) entry: Entry,
    pub(in crate::http::console) sentence: Sentence,
    pub(in crate::http::console) at: Moment,
    /// With fractions of a second.
    pub(in crate::http::console) exact: String,
    /// The user on whose behalf the actor acted.
    pub(in crate::http::console) user: Option<Part>,
    pub(in crate::http::console) target: Option<Part>,
    pub(in crate::http::console) outcome: String,
    /// The fields that only some entries have.
    pub(in crate::http::console) details: Vec<(String, String)>,
    /// The same entry on the command line.
    pub(in crate::http::console) command: String,
}

impl EventPage {
    /// The kind of the actor, in words.
    fn by(&self) -> &'static str {
        use crate::audit::ActorKind::{Anonymous, ApiKey, Invitation, Operator, ScimToken, Session, System};
        match self.entry.actor_kind {
            ApiKey => match self.entry.client.as_deref() {
                Some("muster_client") => "an API key, on the command line",
                Some("vendor_client") => "an API key, with Anyscale’s client",
                _ => "an API key",
            },
            Invitation => "an invitation",
            Session => "a session in the browser",
            ScimToken => "a directory",
            Operator => "the command line, beside the server",
            System => "muster itself",
            Anonymous => "nobody known",
        }
    }

    /// What the page of the target is called.
    fn target_name(&self) -> &str {
        self.target.as_ref().map_or("", Part::text)
    }
}

/// `GET /console/audit/{event_id}`.
pub(in crate::http::console) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Audit).await?;
    extract::query::<NoQuery>(&request)?;
    let event_id: Id<Event> = extract::id(&request, "event_id", "audit event")?;
    let entry = audit::get(&app, &visit.caller, event_id).await?;
    let names = audit::names(&app, &visit.caller, std::slice::from_ref(&entry)).await?;
    let context = Context { entry: &entry, names: &names };
    let exact = |later: TimeDelta| (entry.occurred_at + later).to_rfc3339_opts(SecondsFormat::Micros, true);
    Ok(respond(&EventPage {
        sentence: Sentence::of(&entry, &names),
        at: visit.moment(entry.occurred_at),
        exact: entry.occurred_at.format("%Y-%m-%d %H:%M:%S%.6f UTC").to_string(),
        user: entry.actor_user_id.map(|user_id| context.object(&user_id.to_string())),
        target: entry.target_id.as_deref().map(|target_id| context.object(target_id)),
        outcome: outcome(&entry),
        details: details(&context),
        command: format!(
            "muster audit list --since {} --until {} -o json",
            exact(TimeDelta::zero()),
            exact(TimeDelta::microseconds(1))
        ),
        shell: visit.shell,
        entry,
    }))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoQuery {}

fn outcome(entry: &Entry) -> String {
    let word = match entry.outcome {
        Outcome::Success => return "Done".to_owned(),
        Outcome::Denied => "Denied",
        Outcome::Rejected => "Rejected",
    };
    format!("{word}: {}", why(entry.reason.as_deref().unwrap_or_default()))
}

/// The details, with the names of what they name by ID.
fn details(context: &Context<'_>) -> Vec<(String, String)> {
    let fields = context.entry.details.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.replace('_', " "), shown(context, value))).collect()
}

fn shown(context: &Context<'_>, value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => match context.names.of(text) {
            Some(name) => format!("{name} ({text})"),
            None => text.clone(),
        },
        Value::Array(list) => list.iter().map(|value| shown(context, value)).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", shown(context, value)))
            .collect::<Vec<_>>()
            .join(", "),
        value => value.to_string(),
    }
}
