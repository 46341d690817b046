//! `/console/keys/new`: makes an API key, for oneself or for a service account.

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::Duration;
use muster_client::CollaboratorType;

use super::key_made::{self, MadePage, Once};
use super::person_edit::Problem;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{again, again_at, form_id, reject, respond};
use crate::app::App;
use crate::caller::{Action, PermissionLevel, Scope, Scopes};
use crate::collaborators::{self, CollaboratorFilter, PeopleOrder};
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::extract::encoded;
use crate::http::public_url::public_url;
use crate::http::{extract, pages};
use crate::id::{ApiKey, Id, User};
use crate::keys::{self, KeySpec, Lifetime};
use crate::organizations;
use crate::page::{ListKey, Span};
use crate::users;

#[derive(Template)]
#[template(path = "console/key_new.html")]
pub(super) struct NewPage {
    pub(super) shell: Shell,
    pub(super) form_id: String,
    pub(super) form: KeyForm,
    /// The service accounts for which a key can be made, by name: the first of them.
    pub(super) accounts: Vec<(Id<User>, String)>,
    /// The longest lifetime, and that of a key for which none is entered, in days.
    pub(super) longest: u32,
    pub(super) default: u32,
    pub(super) problems: Vec<Problem>,
}

/// The fields of the form, which are also parameters of the page.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyForm {
    form: String,
    pub(super) name: String,
    /// The ID of a service account; empty for oneself.
    pub(super) account: String,
    pub(super) level: String,
    pub(super) days: String,
    scopes: Vec<String>,
}

impl KeyForm {
    fn of(fields: Vec<(String, String)>) -> Result<Self> {
        let mut form = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "form" => form.form = value,
                "name" => form.name = value,
                "for" => form.account = value,
                "level" => form.level = value,
                "days" => form.days = value,
                "scope" => form.scopes.push(value),
                _ => return Err(Error::invalid("invalid form: unknown field")),
            }
        }
        Ok(form)
    }

    /// The parameters with which the page has the same values.
    fn parameters(&self) -> String {
        let fields = [("name", &self.name), ("for", &self.account), ("level", &self.level), ("days", &self.days)];
        let scopes = self.scopes.iter().map(|scope| ("scope", scope));
        let given = fields.into_iter().chain(scopes).filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
    }

    fn has_scope(&self, scope: &Scope) -> bool {
        self.scopes.iter().any(|name| name == scope.as_str())
    }

    fn is_for(&self, user_id: &Id<User>) -> bool {
        self.account == user_id.to_string()
    }

    /// # Errors
    /// The field that can't be used, and why.
    fn spec(&self, key_id: Id<ApiKey>) -> std::result::Result<KeySpec, Problem> {
        let problem = |field: &str, message: &str| Problem { field: field.to_owned(), message: message.to_owned() };
        let user_id = match self.account.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| problem("for", "Choose yourself or a service account."))?),
        };
        let permission_level = match self.level.as_str() {
            "" => None,
            text => {
                let unknown = || problem("level", "Choose a level.");
                Some(PermissionLevel::parse(text).ok_or_else(unknown)?)
            }
        };
        let scopes: Option<Vec<Scope>> = self.scopes.iter().map(|name| Scope::parse(name)).collect();
        let scopes = scopes.ok_or_else(|| problem("scopes", "Choose from these scopes."))?;
        let lifetime = match self.days.trim() {
            "" => Lifetime::Default,
            text => {
                let days = text.parse().ok().and_then(Duration::try_days);
                Lifetime::Exactly(days.ok_or_else(|| problem("days", "Enter a number of days."))?)
            }
        };
        Ok(KeySpec {
            key_id: Some(key_id),
            name: self.name.clone(),
            user_id,
            permission_level,
            scopes: (!scopes.is_empty()).then(|| Scopes::only(scopes)),
            lifetime,
        })
    }
}

impl NewPage {
    fn problem(&self, field: &str) -> Option<&str> {
        self.problems.iter().find(|problem| problem.field == field).map(|problem| problem.message.as_str())
    }

    fn is_owner_level(&self) -> bool {
        self.form.level == PermissionLevel::Owner.as_str()
    }
}

/// `GET /console/keys/new`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Keys).await?;
    let form = KeyForm::of(extract::query(&request)?)?;
    match app.authorize(&visit.caller, Action::KeyCreate).await {
        Err(error) if error.code() == Code::ReauthenticationNeeded => return Ok(again(&request)),
        permitted => permitted?,
    }
    Ok(respond(&page(&app, &visit, form, Vec::new()).await?))
}

/// The form, with a new ID.
async fn page(app: &App, visit: &Visit, form: KeyForm, problems: Vec<Problem>) -> Result<NewPage> {
    let max_days = match visit.caller.may(Action::KeyExpirationGet) {
        true => organizations::max_key_days(app, &visit.caller).await?,
        false => None,
    };
    let longest = max_days.map_or(app.config.keys.max_days, |days| days.min(app.config.keys.max_days));
    Ok(NewPage {
        shell: visit.shell.clone(),
        form_id: form_id::new(app, visit),
        accounts: accounts(app, visit, &form).await?,
        form,
        longest,
        default: longest.min(app.config.keys.default_days),
        problems,
    })
}

/// The service accounts to choose from, among them the one that is chosen.
async fn accounts(app: &App, visit: &Visit, form: &KeyForm) -> Result<Vec<(Id<User>, String)>> {
    if !visit.caller.may(Action::KeyOthers) {
        return Ok(Vec::new());
    }
    let filter = CollaboratorFilter {
        collaborator_type: Some(CollaboratorType::OnlyServiceAccounts),
        ..CollaboratorFilter::default()
    };
    let span = Span::parse(ListKey::of(["service accounts"]), Some("200"), None, None)?;
    let slice = collaborators::browse(app, &visit.caller, &filter, PeopleOrder::Name, &span).await?;
    let mut accounts: Vec<_> = slice.rows.into_iter().map(|row| (row.user.user_id, row.user.full_name())).collect();
    if let Ok(chosen) = form.account.parse::<Id<User>>()
        && chosen != visit.holder.user.user_id
        && accounts.iter().all(|(user_id, _)| *user_id != chosen)
    {
        accounts.push((chosen, users::get(app, &visit.caller, chosen).await?.full_name()));
    }
    Ok(accounts)
}

/// `POST /console/keys/new`: makes the key and shows it.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, fields) = Visit::with_form::<Vec<(String, String)>>(&request, &app, Place::Keys, &mut body).await?;
    let form = KeyForm::of(fields)?;
    let Some(key_id) = form_id::parse(&app, &visit, &form.form) else {
        let message = "This form can’t be sent any more. Look at it and send it again.".to_owned();
        let page = page(&app, &visit, form, vec![Problem { field: String::new(), message }]).await?;
        return Ok(reject(Error::invalid("the form has an unknown ID"), &page));
    };
    let spec = match form.spec(key_id) {
        Ok(spec) => spec,
        Err(problem) => {
            let page = page(&app, &visit, form, vec![problem]).await?;
            return Ok(reject(Error::invalid("a field of the form can't be used"), &page));
        }
    };
    let host = public_url(&request, &app.config.server)?;
    let error = match keys::create(&app, &visit.caller, spec).await {
        Ok(made) => return Ok(key_made::page(&app, visit, made, host, false)),
        Err(error) => error,
    };
    match error.code() {
        Code::ReauthenticationNeeded => Ok(again_at(&request, &format!("{}?{}", request.path(), form.parameters()))),
        Code::PreconditionFailed => {
            let key = keys::get(&app, &visit.caller, key_id).await?;
            let (ends, made) = (visit.moment(key.expires_at), visit.moment(key.created_at));
            let secret = Once::Before(made);
            Ok(reject(error, &MadePage { shell: visit.shell, key_id, name: key.name, ends, secret }))
        }
        code @ (Code::InvalidRequest | Code::Conflict | Code::NotFound) => {
            let message = error.to_string();
            let field = match code {
                Code::NotFound => "for",
                Code::Conflict => "",
                _ if message.starts_with("an API key's lifetime") => "days",
                _ => "name",
            };
            let problem = Problem { field: field.to_owned(), message: pages::sentence(&message) };
            let form = if code == Code::NotFound { KeyForm { account: String::new(), ..form } } else { form };
            Ok(reject(error, &page(&app, &visit, form, vec![problem]).await?))
        }
        _ => Err(error.into()),
    }
}
