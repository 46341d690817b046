//! `/console/people/{user_id}/suspend`, `reactivate`, `level`, `sign-in`, `delete`: each asks first and says what it ends.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::person_edit::{problems, update};
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{again, reject, respond};
use crate::app::App;
use crate::caller::{Action, PermissionLevel};
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::{extract, pages};
use crate::id::{Id, User};
use crate::request_body::RequestBody;
use crate::users::{self, Access, Expected, ListOperation, ListOptions, Status, UserDetails};

/// What is to be done to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Suspend,
    Reactivate,
    MakeOwner,
    MakeCollaborator,
    UseSso,
    UsePassword,
    Delete,
}

#[derive(Template)]
#[template(path = "console/person_action.html")]
pub(super) struct ActionPage<'a> {
    pub(super) shell: Shell,
    pub(super) user: &'a UserDetails,
    pub(super) doing: Doing,
    /// What it ends.
    pub(super) ends: Access,
    pub(super) is_possible: bool,
    /// Why it is not possible, or was not done.
    pub(super) problem: Option<String>,
}

impl Doing {
    /// What the last part of the address stands for, for this person.
    fn of(path: &str, user: &UserDetails) -> Result<Self> {
        Ok(match path.rsplit('/').next().unwrap_or_default() {
            "suspend" => Self::Suspend,
            "reactivate" => Self::Reactivate,
            "level" if user.own_level == PermissionLevel::Owner => Self::MakeCollaborator,
            "level" => Self::MakeOwner,
            "sign-in" if user.is_sso_user => Self::UsePassword,
            "sign-in" => Self::UseSso,
            "delete" => Self::Delete,
            _ => return Err(Error::new(Code::NotFound, "there is no page at this address")),
        })
    }

    const fn action(self) -> Action {
        match self {
            Self::Suspend => Action::UserSuspend,
            Self::Reactivate => Action::UserReactivate,
            Self::MakeOwner => Action::OwnerGrant,
            Self::MakeCollaborator | Self::UseSso | Self::UsePassword => Action::UserUpdate,
            Self::Delete => Action::UserDelete,
        }
    }

    /// The same on a list.
    const fn operation(self) -> ListOperation {
        match self {
            Self::Suspend => ListOperation::Suspend,
            Self::Reactivate => ListOperation::Reactivate,
            Self::Delete => ListOperation::Delete,
            Self::MakeOwner | Self::MakeCollaborator | Self::UseSso | Self::UsePassword => ListOperation::Update,
        }
    }

    /// The fields that change.
    fn change(self) -> Map<String, Value> {
        let (field, value) = match self {
            Self::Suspend | Self::Reactivate | Self::Delete => return Map::new(),
            Self::MakeOwner => ("permission_level", json!("owner")),
            Self::MakeCollaborator => ("permission_level", json!("collaborator")),
            Self::UseSso => ("is_sso_user", json!(true)),
            Self::UsePassword => ("is_sso_user", json!(false)),
        };
        Map::from_iter([(field.to_owned(), value)])
    }

    /// The parameter with which the person's page says that it is done.
    const fn done(self) -> &'static str {
        match self {
            Self::Suspend => "suspended",
            Self::Reactivate => "reactivated",
            Self::MakeOwner | Self::MakeCollaborator => "level",
            Self::UseSso | Self::UsePassword => "sign-in",
            Self::Delete => "deleted",
        }
    }
}

/// The list that the page of a user belongs to.
const fn list_of(user: &UserDetails) -> &'static str {
    if user.is_service_account { "services" } else { "people" }
}

impl ActionPage<'_> {
    /// The page of the user, below `/console`.
    fn home(&self) -> String {
        format!("{}/{}", list_of(self.user), self.user.user_id)
    }

    fn question(&self) -> String {
        let name = self.user.full_name();
        match self.doing {
            Doing::Suspend => format!("Suspend {name}?"),
            Doing::Reactivate => format!("Reactivate {name}?"),
            Doing::MakeOwner => format!("Make {name} an owner?"),
            Doing::MakeCollaborator => format!("Make {name} a collaborator?"),
            Doing::UseSso => format!("Let {name} sign in through single sign-on?"),
            Doing::UsePassword => format!("Let {name} sign in with a password?"),
            Doing::Delete => format!("Delete {name}?"),
        }
    }

    const fn verb(&self) -> &'static str {
        match self.doing {
            Doing::Suspend => "Suspend",
            Doing::Reactivate => "Reactivate",
            Doing::MakeOwner => "Make owner",
            Doing::MakeCollaborator => "Make collaborator",
            Doing::UseSso => "Use single sign-on",
            Doing::UsePassword => "Use a password",
            Doing::Delete => "Delete",
        }
    }

    const fn is_dangerous(&self) -> bool {
        matches!(self.doing, Doing::Suspend | Doing::MakeOwner | Doing::Delete)
    }

    /// The same on the command line.
    fn command(&self) -> String {
        let id = self.user.user_id;
        match self.doing {
            Doing::Suspend => format!("muster user suspend {id}"),
            Doing::Reactivate => format!("muster user reactivate {id}"),
            Doing::MakeOwner => format!("muster user update {id} --permission-level owner"),
            Doing::MakeCollaborator => format!("muster user update {id} --permission-level collaborator"),
            Doing::UseSso => format!("muster user set-sso {id}"),
            Doing::UsePassword => format!("muster user set-password-user {id}"),
            Doing::Delete => format!("muster user delete {id}"),
        }
    }
}

/// `GET`: asks.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::People).await?;
    let user_id: Id<User> = extract::id(&request, "user_id", "person")?;
    let user = users::get(&app, &visit.caller, user_id).await?;
    let doing = Doing::of(request.path(), &user)?;
    match app.authorize(&visit.caller, doing.action()).await {
        Err(error) if error.code() == Code::ReauthenticationNeeded => return Ok(again(&request)),
        permitted => permitted?,
    }
    let (ends, problem) = match plan(&app, &visit, &user, doing).await {
        Ok(ends) => (ends, None),
        Err(error) => match explain(&error) {
            Some(problem) => (Access::default(), Some(problem)),
            None => return Err(error.into()),
        },
    };
    let is_possible = problem.is_none();
    Ok(respond(&ActionPage { shell: visit.shell, user: &user, doing, ends, is_possible, problem }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    revision: i64,
    /// The address, typed to confirm a deletion.
    confirm: Option<String>,
}

/// `POST`: does it.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<Confirmation>(&request, &app, Place::People, &mut body).await?;
    let user_id: Id<User> = extract::id(&request, "user_id", "person")?;
    let user = users::get(&app, &visit.caller, user_id).await?;
    let doing = Doing::of(request.path(), &user)?;
    let typed = form.confirm.as_deref().map(str::trim).unwrap_or_default();
    let done = match doing {
        Doing::Delete if !typed.eq_ignore_ascii_case(&user.email) => {
            Err(Error::invalid("the address that was typed is not the address of this person"))
        }
        _ => perform(&app, &visit, &user, doing, form.revision).await,
    };
    let Err(error) = done else {
        let list = list_of(&user);
        let path = match doing {
            Doing::Delete => format!("console/{list}?done=deleted"),
            _ => format!("console/{list}/{user_id}?done={}", doing.done()),
        };
        return Ok(pages::redirect(&request, &path));
    };
    if error.code() == Code::ReauthenticationNeeded {
        return Ok(again(&request));
    }
    let ends = plan(&app, &visit, &user, doing).await;
    let is_possible = ends.is_ok();
    let Some(problem) = explain(&error) else { return Err(error.into()) };
    let (shell, ends) = (visit.shell, ends.unwrap_or_default());
    Ok(reject(error, &ActionPage { shell, user: &user, doing, ends, is_possible, problem: Some(problem) }))
}

/// Why an action is not possible, as a sentence; `None` for an error that is not about the person or the form.
fn explain(error: &Error) -> Option<String> {
    match error.code() {
        Code::PreconditionFailed => {
            Some("Somebody else has changed this person meanwhile. Look again, then repeat.".to_owned())
        }
        Code::InvalidRequest => Some(pages::sentence(&error.to_string())),
        _ => problems(error).into_iter().next().map(|problem| problem.message),
    }
}

/// What an action ends, by a dry run of it.
async fn plan(app: &App, visit: &Visit, user: &UserDetails, doing: Doing) -> Result<Access> {
    let mut row = doing.change();
    row.insert("user".to_owned(), json!(user.user_id.to_string()));
    let body = async {
        let mut body = RequestBody::new(&app.body_budget, 0);
        body.push(json!([row]).to_string().as_bytes())?;
        Ok(body)
    };
    let dry_run = ListOptions { dry_run: true, ..ListOptions::default() };
    users::change_all(app, &visit.caller, doing.operation(), dry_run, body).await.map(|planned| planned.ended)
}

async fn perform(app: &App, visit: &Visit, user: &UserDetails, doing: Doing, revision: i64) -> Result<()> {
    let (caller, user_id, expected) = (&visit.caller, user.user_id, Expected::OneOf(vec![revision]));
    match doing {
        Doing::Suspend => users::set_status(app, caller, user_id, Status::Suspended, &expected).await.map(drop),
        Doing::Reactivate => users::set_status(app, caller, user_id, Status::Active, &expected).await.map(drop),
        Doing::Delete => users::delete(app, caller, user_id, &expected).await,
        Doing::MakeOwner | Doing::MakeCollaborator | Doing::UseSso | Doing::UsePassword => {
            update(app, caller, user_id, revision, doing.change()).await.map(drop)
        }
    }
}
