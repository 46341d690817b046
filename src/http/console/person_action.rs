//! `/console/people/{user_id}/suspend`, `reactivate`, `level`, `sign-in`, `delete`: each asks first and says what it ends.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use serde_json::json;

use super::person_edit::{problems, update};
use super::shell::{Place, Shell};
use super::visit::Visit;
use super::{again, reject, respond};
use crate::app::App;
use crate::caller::{Action, PermissionLevel};
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::{extract, pages};
use crate::id::{Id, User};
use crate::page::{MAX_COUNT, PageRequest};
use crate::users::{self, Expected, Status, UserDetails};
use crate::{keys, sessions};

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
    /// The sessions and API keys that the person has now.
    pub(super) sessions: usize,
    pub(super) keys: usize,
    /// Why it was not done.
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

impl ActionPage<'_> {
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
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let visit = match Visit::of(&request, &app, Place::People).await? {
        Ok(visit) => visit,
        Err(response) => return Ok(*response),
    };
    let user_id: Id<User> = extract::id(&request, "user_id", "person")?;
    let user = users::get(&app, &visit.caller, user_id).await?;
    let doing = Doing::of(request.path(), &user)?;
    match app.authorize(&visit.caller, doing.action()).await {
        Err(error) if error.code() == Code::ReauthenticationNeeded => return Ok(again(&request)),
        permitted => permitted?,
    }
    let (sessions, keys) = open(&app, &visit, user_id).await?;
    Ok(respond(&ActionPage { shell: visit.shell, user: &user, doing, sessions, keys, problem: None }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    revision: i64,
    /// The address, typed to confirm a deletion.
    confirm: Option<String>,
}

/// `POST`: does it.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Result<HttpResponse> {
    let (visit, form) = match Visit::with_form::<Confirmation>(&request, &app, Place::People, &mut body).await? {
        Ok(sent) => sent,
        Err(response) => return Ok(*response),
    };
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
        let path = match doing {
            Doing::Delete => "console/people?done=deleted".to_owned(),
            _ => format!("console/people/{user_id}?done={}", doing.done()),
        };
        return Ok(pages::redirect(&request, &path));
    };
    if error.code() == Code::ReauthenticationNeeded {
        return Ok(again(&request));
    }
    let problem = match error.code() {
        Code::InvalidRequest => pages::sentence(&error.to_string()),
        Code::PreconditionFailed => {
            "Somebody else has changed this person meanwhile. Look again, then repeat.".to_owned()
        }
        _ => match problems(&error).into_iter().next() {
            Some(problem) => problem.message,
            None => return Err(error),
        },
    };
    let (sessions, keys) = open(&app, &visit, user_id).await?;
    let page = ActionPage { shell: visit.shell, user: &user, doing, sessions, keys, problem: Some(problem) };
    Ok(reject(error, &page))
}

async fn perform(app: &App, visit: &Visit, user: &UserDetails, doing: Doing, revision: i64) -> Result<()> {
    let (caller, user_id, expected) = (&visit.caller, user.user_id, Expected::OneOf(vec![revision]));
    let change = match doing {
        Doing::Suspend => {
            return users::set_status(app, caller, user_id, Status::Suspended, &expected).await.map(drop);
        }
        Doing::Reactivate => return users::set_status(app, caller, user_id, Status::Active, &expected).await.map(drop),
        Doing::Delete => return users::delete(app, caller, user_id, &expected).await,
        Doing::MakeOwner => json!({ "permission_level": "owner" }),
        Doing::MakeCollaborator => json!({ "permission_level": "collaborator" }),
        Doing::UseSso => json!({ "is_sso_user": true }),
        Doing::UsePassword => json!({ "is_sso_user": false }),
    };
    let changes = change.as_object().cloned().unwrap_or_default();
    update(app, caller, user_id, revision, changes).await.map(drop)
}

/// The numbers of sessions and API keys of a person that work now.
async fn open(app: &App, visit: &Visit, user_id: Id<User>) -> Result<(usize, usize)> {
    let sessions = sessions::list(app, &visit.caller, Some(user_id)).await?.len();
    let filter = keys::Filter { user_id: Some(user_id), ..keys::Filter::default() };
    let keys = keys::list(app, &visit.caller, filter, &PageRequest { count: MAX_COUNT, after: None }).await?.rows;
    Ok((sessions, keys.iter().filter(|key| key.status(visit.now) == "active").count()))
}
