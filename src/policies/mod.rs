//! Policies: what the members of groups may do in the organization, whatever their own level is; and who may
//! do what because of it.
//!
//! A member of a group that is bound to `owner` is an owner, from the moment of the binding to its end or
//! that of the membership, on every instance within a second ([`crate::caller::KeyHolders`]). `collaborator` is
//! what every member of the organization is, so a binding to it gives nobody more.
//!
//! # Decisions
//!
//! *Making a group owners takes what making an owner takes*: [`Action::OwnerGrant`], besides
//! [`Action::PolicySet`]. A key that was made to set policies would else make owners.
//!
//! *Only the organization has a policy.* The vendor's client knows policies of clouds and projects, of which
//! there are none here; each is answered as what does not exist.

mod migration;
mod permissions;
mod read;
mod write;

use std::collections::HashMap;

use crate::app::App;
use crate::audit::Target;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::Change;
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::id::{Group, Id, Organization};
use crate::report::{Finding, Report};

pub use migration::{Affected, migrate, preview};
pub use permissions::{Holder, Part, Permissions};

/// What a policy is about, as it is asked for.
#[derive(Clone, Debug)]
pub struct Resource {
    /// `organization`; the vendor's client knows `cloud` and `project`, too.
    pub kind: String,
    /// The organization's id, or `_` for the caller's own.
    pub id: String,
}

/// A role and the groups whose members have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The role.
    pub role: PermissionLevel,
    /// The groups, by id. Not empty.
    pub groups: Vec<Id<Group>>,
}

/// A binding as it is asked for.
#[derive(Clone, Debug)]
pub struct AskedBinding {
    /// `owner` or `collaborator`, if it is right.
    pub role_name: String,
    /// Ids of groups, if it is right.
    pub principals: Vec<String>,
}

/// The organization's policy: its bindings, owners first. Roles that no group is bound to are left out.
///
/// # Errors
/// `forbidden`; `not_found` for any other resource.
pub async fn get(app: &App, caller: &Caller, resource: &Resource) -> Result<Vec<Binding>> {
    let mut read = app.read(caller, Action::PolicyGet).await?;
    resource.check(caller)?;
    read::bindings(&mut read, caller.organization_id).await
}

/// Says that there are no policies of clouds or projects to list, to those who may ask.
///
/// # Errors
/// `forbidden`.
pub async fn list_none(app: &App, caller: &Caller) -> Result<()> {
    app.authorize(caller, Action::PolicyGet).await
}

/// Replaces the organization's policy: all of it as asked for, or nothing and a report on every binding.
///
/// What is asked for is read only after the caller's permission has been checked.
///
/// # Errors
/// `forbidden`, also for a key that may not make owners when groups become owners; `not_found` for any other
/// resource; what reading gives; `policy_rejected` with a finding for each role and group that is unknown or
/// there twice; `last_owner`.
pub async fn set(
    app: &App,
    caller: &Caller,
    resource: &Resource,
    asked: impl Future<Output = Result<Vec<AskedBinding>>>,
) -> Result<Vec<Binding>> {
    app.authorize(caller, Action::PolicySet).await?;
    resource.check(caller)?;
    let asked = asked.await?;
    let mut report = Report::on_bindings(asked.len());
    let checked = check(&asked, &mut report);
    app.change(caller, Action::PolicySet, Target::Organization(caller.organization_id), async |change| {
        owners::lock(change).await?;
        find_groups(change, &checked, &mut report).await?;
        if !report.is_empty() {
            return Err(Error::policy_rejected(report));
        }
        let groups = |role| -> Vec<Id<Group>> {
            let with_role = checked.iter().filter(|principal| principal.role == Some(role));
            with_role.map(|principal| principal.group_id).collect()
        };
        let (owners, collaborators) = (groups(PermissionLevel::Owner), groups(PermissionLevel::Collaborator));
        let before = read::bindings(change.connection(), caller.organization_id).await?;
        let was_owner = |id: &Id<Group>| {
            before.iter().any(|binding| binding.role == PermissionLevel::Owner && binding.groups.contains(id))
        };
        if !owners.iter().all(was_owner) {
            change.authorize(Action::OwnerGrant)?;
        }
        write::replace(change, owners, collaborators).await?;
        owners::require_one(change).await?;
        read::bindings(change.connection(), caller.organization_id).await
    })
    .await
}

impl Resource {
    /// Finds that it is the caller's organization.
    fn check(&self, caller: &Caller) -> Result<()> {
        let sentence = match self.kind.as_str() {
            "organization"
                if self.id == "_" || self.id.parse().is_ok_and(|id: Id<Organization>| id == caller.organization_id) =>
            {
                return Ok(());
            }
            "organization" => "there is no such organization: `_` is one's own",
            "cloud" => "there is no such cloud: this server has none, only an organization with a policy",
            "project" => "there is no such project: this server has none, only an organization with a policy",
            _ => "there are policies of the organization only: `/api/v2/policy/organization/_`",
        };
        Err(Error::new(Code::NotFound, sentence))
    }
}

/// A group that is asked for, and where.
struct Principal {
    index: usize,
    place: usize,
    /// `None` for a role that there is not.
    role: Option<PermissionLevel>,
    group_id: Id<Group>,
}

impl Principal {
    fn field(place: usize) -> String {
        format!("principals[{place}]")
    }
}

/// Checks all that can be told without the database.
fn check(asked: &[AskedBinding], report: &mut Report) -> Vec<Principal> {
    let mut principals = Vec::new();
    let mut first_with_role = HashMap::new();
    for (index, binding) in asked.iter().enumerate() {
        let role = PermissionLevel::parse(&binding.role_name);
        match role.map(|role| (role, *first_with_role.entry(role.as_str()).or_insert(index))) {
            None => report.add(Finding::field(index, "role_name", "unknown_role", "has to be owner or collaborator")),
            Some((_, first)) if first != index => {
                let message = format!("the same role as bindings[{first}]");
                report.add(Finding::field(index, "role_name", "duplicate_role", message));
            }
            Some(_) => {}
        }
        let mut first_at = HashMap::new();
        for (place, text) in binding.principals.iter().enumerate() {
            let Ok(group_id) = text.parse::<Id<Group>>() else {
                report.add(no_such_group(index, place));
                continue;
            };
            let first = *first_at.entry(group_id.uuid()).or_insert(place);
            if first == place {
                principals.push(Principal { index, place, role, group_id });
            } else {
                let message = format!("the same group as principals[{first}]");
                report.add(Finding::field(index, Principal::field(place), "duplicate_group", message));
            }
        }
    }
    principals
}

/// Finds the groups, and keeps them from being deleted until the change ends.
async fn find_groups(change: &mut Change, principals: &[Principal], report: &mut Report) -> Result<()> {
    let asked: Vec<Id<Group>> = principals.iter().map(|principal| principal.group_id).collect();
    let there = read::lock_groups(change, &asked).await?;
    for principal in principals.iter().filter(|principal| !there.contains(&principal.group_id.uuid())) {
        report.add(no_such_group(principal.index, principal.place));
    }
    Ok(())
}

fn no_such_group(index: usize, place: usize) -> Finding {
    Finding::field(index, Principal::field(place), "group_not_found", "there is no such group")
}
