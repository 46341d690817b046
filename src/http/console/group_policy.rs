//! `/console/groups/{group_id}/policy`: who becomes an owner, or is one no longer, if the members of a group are owners or not.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{again, reject, respond};
use crate::app::App;
use crate::caller::PermissionLevel;
use crate::error::{Code, Error, Result};
use crate::groups::{self, Group};
use crate::http::body::Body;
use crate::http::{extract, pages};
use crate::id::{self, Id};
use crate::policies::{self, AffectedUser, BindingRequest, PolicyChanges, Resource, SetMode};

/// The most people that the page names on each side.
const MOST_NAMED: usize = 200;

#[derive(Template)]
#[template(path = "console/group_policy.html")]
pub(super) struct PolicyPage {
    pub(super) shell: Shell,
    pub(super) group: Group,
    pub(super) role: Role,
    /// `None`: the dry run failed.
    pub(super) plan: Option<String>,
    pub(super) gained: Vec<AffectedUser>,
    pub(super) lost: Vec<AffectedUser>,
    pub(super) gains: usize,
    pub(super) loses: usize,
    pub(super) problem: Option<String>,
}

/// What the members of a group are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// What each is by themselves.
    Nothing,
    Owner,
}

impl Role {
    fn parse(text: &str) -> Result<Self> {
        match text {
            "" => Ok(Self::Nothing),
            "owner" => Ok(Self::Owner),
            _ => Err(Error::invalid("`role` must be empty or `owner`")),
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Owner => "owner",
        }
    }
}

impl PolicyPage {
    fn new(shell: Shell, group: Group, role: Role, changes: PolicyChanges, problem: Option<String>) -> Self {
        let PolicyChanges { mut gained, mut lost, plan } = changes;
        let (gains, loses) = (gained.len(), lost.len());
        gained.truncate(MOST_NAMED);
        lost.truncate(MOST_NAMED);
        Self { shell, group, role, plan: Some(plan.to_string()), gained, lost, gains, loses, problem }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    role: String,
}

/// `GET`: shows what would change.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Groups).await?;
    let Query { role } = extract::query(&request)?;
    let role = Role::parse(&role)?;
    let group = groups::get(&app, &visit.caller, extract::id(&request, "group_id", "group")?).await?;
    let changed = set(&app, &visit, &group, role, SetMode::DryRun).await;
    page(&request, visit, group, role, changed)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyForm {
    role: String,
    plan: String,
}

/// `POST`: changes the policy, if it changes what the page showed.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<PolicyForm>(&request, &app, Place::Groups, &mut body).await?;
    let role = Role::parse(&form.role)?;
    let plan = form.plan.parse().map_err(|error| Error::invalid(format!("invalid form: {error}")))?;
    let group_id: Id<id::Group> = extract::id(&request, "group_id", "group")?;
    let group = groups::get(&app, &visit.caller, group_id).await?;
    match set(&app, &visit, &group, role, SetMode::Planned(plan)).await {
        Ok(_) => Ok(pages::redirect(&request, &format!("console/groups/{group_id}?done=policy"))),
        Err(error) if error.code() == Code::PlanChanged => {
            // Look again: the page shows what would change now.
            let changes = set(&app, &visit, &group, role, SetMode::DryRun).await?;
            let problem = "Something else has changed meanwhile. Nothing was changed: look again.".to_owned();
            Ok(reject(error, &PolicyPage::new(visit.shell, group, role, changes, Some(problem))))
        }
        Err(error) => page(&request, visit, group, role, Err(error)),
    }
}

fn page(request: &HttpRequest, visit: Visit, group: Group, role: Role, changed: Result<PolicyChanges>) -> Handled {
    match changed {
        Ok(changes) => Ok(respond(&PolicyPage::new(visit.shell, group, role, changes, None))),
        Err(error) if error.code() == Code::ReauthenticationNeeded => Ok(again(request)),
        Err(error) if error.code() == Code::LastOwner => {
            let problem = Some(pages::sentence(&error.to_string()));
            let (gained, lost) = (Vec::new(), Vec::new());
            let shell = visit.shell;
            Ok(reject(error, &PolicyPage { shell, group, role, plan: None, gained, lost, gains: 0, loses: 0, problem }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Sets the policy of the organization as it is, but for this group.
async fn set(app: &App, visit: &Visit, group: &Group, role: Role, mode: SetMode) -> Result<PolicyChanges> {
    let resource = Resource { kind: "organization".to_owned(), id: "_".to_owned() };
    let mut owners = Vec::new();
    let mut bindings = Vec::new();
    for binding in policies::get(app, &visit.caller, &resource).await? {
        let groups = binding.groups.iter().filter(|id| **id != group.group_id).map(ToString::to_string);
        match binding.role {
            PermissionLevel::Owner => owners.extend(groups),
            role @ PermissionLevel::Collaborator => {
                bindings.push(BindingRequest { role_name: role.as_str().to_owned(), principals: groups.collect() });
            }
        }
    }
    if role == Role::Owner {
        owners.push(group.group_id.to_string());
    }
    bindings.push(BindingRequest { role_name: PermissionLevel::Owner.as_str().to_owned(), principals: owners });
    bindings.retain(|binding| !binding.principals.is_empty());
    let (_, changes) = policies::set(app, &visit.caller, &resource, mode, async { Ok(bindings) }).await?;
    changes.ok_or_else(|| Error::internal("a policy without what it changes"))
}
