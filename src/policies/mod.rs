//! Policies: the roles that the organization grants to the members of groups, and the resulting permissions.
//!
//! A member of a group that is bound to `owner` is an owner as long as both the binding and the membership exist. Every
//! instance applies a change within a second ([`crate::caller::Holders`]). `collaborator` is the level of every
//! member of the organization, so a binding to `collaborator` grants nothing more.
//!
//! # Decisions
//!
//! *Binding a group to `owner` requires the permission to make owners*: [`Action::OwnerGrant`] in addition to
//! [`Action::PolicySet`]. Otherwise an API key that may only set policies could make owners.
//!
//! *A dry run sets the policy, compares the owners before and after, and rolls back*, so that it shows what the write does.
//! The plan that it returns binds the write to that: a write with a plan computes the same, and is rejected if anything
//! differs. A write without a plan, as by the vendor's client, compares nothing.
//!
//! *Only the organization has a policy.* The vendor's client also has policies of clouds and projects, which muster
//! does not have; requests for them get `not_found`.

mod changes;
mod permissions;
mod read;
mod scim_migration;
mod write;

use std::collections::HashMap;

use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::app::App;
use crate::audit::Target;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::change::Change;
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::id::{Group, Id, Organization};
use crate::list;
use crate::report::{Finding, Findings, Report};
use changes::Before;

pub use changes::{AffectedUser, InvalidPlan, PolicyChanges, PolicyPlan};
pub use permissions::{Owner, PermissionHolder, PermissionPage, Permissions};
pub use scim_migration::{AffectedOwner, migrate, preview};

/// The maximum number of bindings in a policy. There are two roles; a repeated one is a finding.
const MAX_BINDINGS: usize = 10;

/// The maximum number of groups in a binding.
const MAX_PRINCIPALS: usize = 500;

/// The resource of a policy, as the client names it.
#[derive(Clone, Debug)]
pub struct Resource {
    /// `organization`. The vendor's client also has `cloud` and `project`.
    pub kind: String,
    /// The organization's ID, or `_` for the caller's organization.
    pub id: String,
}

/// A role and the groups that it is granted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The granted role.
    pub role: PermissionLevel,
    /// The groups, ordered by ID; not empty.
    pub groups: Vec<Id<Group>>,
}

/// A binding as the client sends it, before validation.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BindingRequest {
    /// `owner` or `collaborator`.
    #[schema(example = "owner")]
    pub role_name: String,
    /// IDs of groups.
    #[schema(example = json!(["ug_01k9h6m3x0e8wbz1v5n7q2r4t6"]))]
    #[serde(deserialize_with = "principals")]
    #[schema(max_items = 500)]
    pub principals: Vec<String>,
}

fn principals<'de, D: Deserializer<'de>>(names: D) -> Result<Vec<String>, D::Error> {
    list::field(names, "principals", MAX_PRINCIPALS)
}

/// Deserializes the field `bindings` of a policy.
pub(crate) fn bindings<'de, D: Deserializer<'de>>(names: D) -> Result<Vec<BindingRequest>, D::Error> {
    list::field(names, "bindings", MAX_BINDINGS)
}

/// Reads the organization's policy: its bindings, owners first, without roles that no group is bound to.
///
/// # Errors
/// `forbidden`; `not_found` for any other resource.
pub async fn get(app: &App, caller: &Caller, resource: &Resource) -> Result<Vec<Binding>> {
    let mut read = app.read(caller, Action::PolicyGet).await?;
    resource.check(caller)?;
    read::bindings(&mut read, caller.organization_id).await
}

/// Checks the permission to list the policies of clouds or projects. muster has none, so the list is always empty.
///
/// # Errors
/// `forbidden`.
pub async fn list_none(app: &App, caller: &Caller) -> Result<()> {
    app.authorize(caller, Action::PolicyGet).await
}

/// Whether a policy is set, and what binds it.
#[derive(Clone, Copy, Debug)]
pub enum SetMode {
    /// Sets the policy.
    Set,
    /// Sets the policy, if it changes what was planned.
    Planned(PolicyPlan),
    /// Rolls back.
    DryRun,
}

/// Replaces the organization's policy, or rejects it with a report on all bindings. The bindings are read after the
/// permission check. Returns the policy and, unless the mode is [`SetMode::Set`], what it changes.
///
/// # Errors
/// `forbidden`, also for a caller who can't make owners if a group becomes one of owners; `not_found` for any other
/// resource; any error of reading the bindings; `policy_rejected` with a finding for each unknown or duplicate role and
/// group; `last_owner`; `plan_changed`.
pub async fn set(
    app: &App,
    caller: &Caller,
    resource: &Resource,
    mode: SetMode,
    bindings: impl Future<Output = Result<Vec<BindingRequest>>>,
) -> Result<(Vec<Binding>, Option<PolicyChanges>)> {
    app.authorize(caller, Action::PolicySet).await?;
    resource.check(caller)?;
    let requested = bindings.await?;
    let mut report = Report::on_bindings(requested.len(), Findings::new(app.config.batch.max_findings));
    let principals = validate(&requested, &mut report);
    app.change(caller, Action::PolicySet, Target::Organization(caller.organization_id), async |change| {
        if matches!(mode, SetMode::DryRun) {
            change.dry_run();
        }
        owners::lock(change).await?;
        find_groups(change, &principals, &mut report).await?;
        if !report.is_empty() {
            return Err(Error::policy_rejected(report));
        }
        let groups = |role| -> Vec<Id<Group>> {
            let with_role = principals.iter().filter(|principal| principal.role == Some(role));
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
        let before = match mode {
            SetMode::Set => None,
            SetMode::Planned(_) | SetMode::DryRun => Some(Before::read(change, before).await?),
        };
        write::replace(change, owners, collaborators).await?;
        owners::require_one(change).await?;
        let after = read::bindings(change.connection(), caller.organization_id).await?;
        let changes = match before {
            Some(before) => Some(before.compare(change, &after).await?),
            None => None,
        };
        if let (SetMode::Planned(plan), Some(changes)) = (mode, &changes) {
            changes.check(plan)?;
        }
        Ok((after, changes))
    })
    .await
}

impl Resource {
    /// Checks that the resource is the caller's organization.
    fn check(&self, caller: &Caller) -> Result<()> {
        let detail = match self.kind.as_str() {
            "organization"
                if self.id == "_" || self.id.parse().is_ok_and(|id: Id<Organization>| id == caller.organization_id) =>
            {
                return Ok(());
            }
            "organization" => "no such organization; `_` is the caller's own",
            "cloud" => "no such cloud; only the organization has a policy",
            "project" => "no such project; only the organization has a policy",
            _ => "unknown resource type; only the organization has a policy: `/api/v2/policy/organization/_`",
        };
        Err(Error::new(Code::NotFound, detail))
    }
}

/// A requested group and its position in the request.
struct Principal {
    index: usize,
    place: usize,
    /// `None` for an unknown role.
    role: Option<PermissionLevel>,
    group_id: Id<Group>,
}

impl Principal {
    fn field(place: usize) -> String {
        format!("principals[{place}]")
    }
}

/// Validates everything that does not need the database.
fn validate(bindings: &[BindingRequest], report: &mut Report) -> Vec<Principal> {
    let mut principals = Vec::new();
    let mut first_with_role = HashMap::new();
    for (index, binding) in bindings.iter().enumerate() {
        let role = PermissionLevel::parse(&binding.role_name);
        match role.map(|role| (role, *first_with_role.entry(role.as_str()).or_insert(index))) {
            None => report.add(Finding::field(index, "role_name", "unknown_role", "must be `owner` or `collaborator`")),
            Some((_, first)) if first != index => {
                let message = format!("duplicates the role of bindings[{first}]");
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
            let first = *first_at.entry(group_id).or_insert(place);
            if first == place {
                principals.push(Principal { index, place, role, group_id });
            } else {
                let message = format!("duplicates principals[{first}]");
                report.add(Finding::field(index, Principal::field(place), "duplicate_group", message));
            }
        }
    }
    principals
}

/// Locks the groups against deletion until the transaction ends. Unknown groups become findings.
async fn find_groups(change: &mut Change, principals: &[Principal], report: &mut Report) -> Result<()> {
    let groups: Vec<Id<Group>> = principals.iter().map(|principal| principal.group_id).collect();
    let found = read::lock_groups(change, &groups).await?;
    for principal in principals.iter().filter(|principal| !found.contains(&principal.group_id)) {
        report.add(no_such_group(principal.index, principal.place));
    }
    Ok(())
}

fn no_such_group(index: usize, place: usize) -> Finding {
    Finding::field(index, Principal::field(place), "group_not_found", "there is no such group")
}
