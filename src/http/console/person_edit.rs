//! `/console/people/{user_id}/edit`: name, title, address and expiry of a person.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{again, reject, respond, respond_with};
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::{extract, pages};
use crate::id::{Id, User};
use crate::request_body::RequestBody;
use crate::users::{self, Expected, UserDetails};

#[derive(Template)]
#[template(path = "console/person_edit.html")]
pub(super) struct EditPage<'a> {
    pub(super) shell: Shell,
    pub(super) user: &'a UserDetails,
    pub(super) form: PersonForm,
    pub(super) problems: Vec<Problem>,
    /// The values of somebody who has changed the person meanwhile, with the fields that differ.
    pub(super) newer: Vec<(&'static str, String)>,
}

/// What is wrong with a field.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    /// The ID of its control; empty for a problem of the whole form.
    pub(super) field: String,
    pub(super) message: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonForm {
    pub(super) revision: i64,
    pub(super) name: String,
    pub(super) lastname: String,
    pub(super) title: String,
    pub(super) email: String,
    /// As in lists: a date, a time, or empty.
    pub(super) expires_at: String,
}

impl PersonForm {
    fn of(user: &UserDetails) -> Self {
        Self {
            revision: user.revision,
            name: user.name.clone(),
            lastname: user.lastname.clone().unwrap_or_default(),
            title: user.title.clone().unwrap_or_default(),
            email: user.email.clone(),
            expires_at: user.expires_at.map(|at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default(),
        }
    }

    fn fields(&self) -> [(&'static str, &'static str, &str); 5] {
        [
            ("name", "First name", &self.name),
            ("lastname", "Last name", &self.lastname),
            ("title", "Title", &self.title),
            ("email", "Address", &self.email),
            ("expires_at", "Expires", &self.expires_at),
        ]
    }

    /// The fields that differ from those of `user`, as the request of an API client.
    fn changes(&self, user: &UserDetails) -> Map<String, Value> {
        let before = Self::of(user);
        let both = self.fields().into_iter().zip(before.fields());
        let changed = both.filter(|((_, _, new), (_, _, old))| new.trim() != *old);
        let value = |name: &str, text: &str| match (name, text.trim()) {
            ("expires_at" | "lastname" | "title", "") => Value::Null,
            (_, text) => json!(text),
        };
        changed.map(|((name, _, new), _)| (name.to_owned(), value(name, new))).collect()
    }
}

impl EditPage<'_> {
    fn problem(&self, field: &str) -> Option<&str> {
        self.problems.iter().find(|problem| problem.field == field).map(|problem| problem.message.as_str())
    }
}

/// `GET /console/people/{user_id}/edit`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::People).await?;
    app.authorize(&visit.caller, Action::UserUpdate).await?;
    let user = users::get(&app, &visit.caller, extract::id(&request, "user_id", "person")?).await?;
    let form = PersonForm::of(&user);
    Ok(respond(&EditPage { shell: visit.shell, user: &user, form, problems: Vec::new(), newer: Vec::new() }))
}

/// `POST /console/people/{user_id}/edit`.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<PersonForm>(&request, &app, Place::People, &mut body).await?;
    let user_id: Id<User> = extract::id(&request, "user_id", "person")?;
    app.authorize(&visit.caller, Action::UserUpdate).await?;
    let user = users::get(&app, &visit.caller, user_id).await?;
    let changes = form.changes(&user);
    if user.revision != form.revision && !changes.is_empty() {
        let current = PersonForm::of(&user);
        let newer = current.fields().into_iter().filter(|(name, _, _)| changes.contains_key(*name));
        let newer = newer.map(|(_, label, value)| (label, value.to_owned())).collect();
        let form = PersonForm { revision: user.revision, ..form };
        let page = EditPage { shell: visit.shell, user: &user, form, problems: Vec::new(), newer };
        return Ok(respond_with(StatusCode::CONFLICT, &page));
    }
    let done = format!("console/people/{user_id}?done=edited");
    if changes.is_empty() {
        return Ok(pages::redirect(&request, &done));
    }
    match update(&app, &visit.caller, user_id, form.revision, changes).await {
        Ok(_) => Ok(pages::redirect(&request, &done)),
        Err(error) if error.code() == Code::ReauthenticationNeeded => Ok(again(&request)),
        Err(error) => match problems(&error) {
            problems if problems.is_empty() => Err(error.into()),
            problems => {
                let page = EditPage { shell: visit.shell, user: &user, form, problems, newer: Vec::new() };
                Ok(reject(error, &page))
            }
        },
    }
}

/// Changes fields of a person, as an API client would.
pub(super) async fn update(
    app: &App,
    caller: &Caller,
    user_id: Id<User>,
    revision: i64,
    changes: Map<String, Value>,
) -> Result<UserDetails> {
    let body = async {
        let mut body = RequestBody::new(&app.body_budget, 0);
        body.push(Value::Object(changes).to_string().as_bytes())?;
        Ok(body)
    };
    users::update(app, caller, user_id, &Expected::OneOf(vec![revision]), body).await
}

/// What an error says about the fields of a form.
pub(super) fn problems(error: &Error) -> Vec<Problem> {
    if let Some(report) = error.report() {
        let problem = |finding: &crate::report::Finding| Problem {
            field: finding.field.clone().unwrap_or_default(),
            message: pages::sentence(&finding.message),
        };
        return report.findings().into_iter().map(problem).collect();
    }
    let field = match error.code() {
        Code::EmailTaken => "email",
        Code::Conflict | Code::LastOwner | Code::PreconditionFailed => "",
        _ => return Vec::new(),
    };
    vec![Problem { field: field.to_owned(), message: pages::sentence(&error.to_string()) }]
}
