//! Who gains and who loses permissions with a new policy, and the plan that binds a later request to that.
//!
//! A plan is a digest of the policy before and after and of the users who gain or lose permissions. The server stores
//! nothing. The digest needs no key, because the caller sees everything that it is made from.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Binding, read};
use crate::caller::PermissionLevel;
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{Group, Id, Organization, User};

const PREFIX: &str = "policy1_";

/// What a policy changes, as a dry run shows it.
#[derive(Debug)]
pub struct PolicyChanges {
    /// The users who become owners, with the groups through which they do, by ID.
    pub gained: Vec<AffectedUser>,
    /// The users who are owners no longer, with the groups through which they were, by ID.
    pub lost: Vec<AffectedUser>,
    /// The plan.
    pub plan: PolicyPlan,
}

/// A user whose permissions a policy changes.
#[derive(Clone, Debug)]
pub struct AffectedUser {
    /// The ID of the account.
    pub user_id: Id<User>,
    /// The address as it was entered.
    pub email: String,
    /// First name or full name.
    pub name: String,
    /// Last name.
    pub lastname: Option<String>,
    /// Whether the account is a service account.
    pub is_service_account: bool,
    /// The names of the groups.
    pub groups: Vec<String>,
}

/// The digest of a dry run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyPlan([u8; 32]);

/// A string that is not the plan of a policy.
#[derive(Debug, thiserror::Error)]
#[error("`Muster-Plan` must be the `plan` of a dry run of the policy")]
pub struct InvalidPlan;

/// The policy and the owners before a change.
pub(super) struct Before {
    bindings: Vec<Binding>,
    owners: HashSet<Id<User>>,
}

impl Before {
    /// Reads the state before the change, with the bindings that were read already.
    pub(super) async fn read(change: &mut Change, bindings: Vec<Binding>) -> Result<Self> {
        let organization_id = change.organization_id();
        Ok(Self { bindings, owners: owners(change.connection(), organization_id).await? })
    }

    /// Compares with the state after the change.
    pub(super) async fn compare(&self, change: &mut Change, after: &[Binding]) -> Result<PolicyChanges> {
        let organization_id = change.organization_id();
        let owners = owners(change.connection(), organization_id).await?;
        let difference = |left: &HashSet<Id<User>>, right: &HashSet<Id<User>>| -> Vec<Id<User>> {
            left.difference(right).copied().collect()
        };
        let (gained, lost) = (difference(&owners, &self.owners), difference(&self.owners, &owners));
        let gained = affected(change.connection(), organization_id, &gained, &owner_groups(after)).await?;
        let lost = affected(change.connection(), organization_id, &lost, &owner_groups(&self.bindings)).await?;
        let plan = PolicyPlan(digest(organization_id, [&self.bindings, after], [&gained, &lost]));
        Ok(PolicyChanges { gained, lost, plan })
    }
}

impl PolicyChanges {
    /// Checks that these are the planned changes.
    ///
    /// # Errors
    /// `plan_changed`.
    pub(super) fn check(&self, plan: PolicyPlan) -> Result<()> {
        if self.plan == plan {
            return Ok(());
        }
        let message = "the policy would change other permissions than planned, because bindings, groups or users have \
                       changed; nothing was written, so make a new dry run";
        Err(Error::new(Code::PlanChanged, message))
    }
}

fn owner_groups(bindings: &[Binding]) -> Vec<Id<Group>> {
    let of_owners = bindings.iter().filter(|binding| binding.role == PermissionLevel::Owner);
    of_owners.flat_map(|binding| binding.groups.iter().copied()).collect()
}

fn digest(organization_id: Id<Organization>, policies: [&[Binding]; 2], affected: [&[AffectedUser]; 2]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(Uuid::from(organization_id));
    for bindings in policies {
        for binding in bindings {
            digest.update(binding.role.as_str());
            digest.update(b"\0");
            binding.groups.iter().for_each(|group| digest.update(Uuid::from(*group)));
            digest.update(b"\0");
        }
        digest.update(b"\0policy");
    }
    for users in affected {
        for user in users {
            digest.update(Uuid::from(user.user_id));
            for group in &user.groups {
                digest.update(group);
                digest.update(b"\0");
            }
            digest.update(b"\0user");
        }
        digest.update(b"\0users");
    }
    digest.finalize().into()
}

/// The owners, by their own level or through a group.
async fn owners(connection: &mut PgConnection, organization_id: Id<Organization>) -> Result<HashSet<Id<User>>> {
    let owners = sqlx::query_scalar!(
        r#"select user_id as "user_id!: Id<User>" from effective_owners where organization_id = $1"#,
        organization_id as Id<Organization>,
    )
    .fetch_all(connection)
    .await?;
    Ok(owners.into_iter().collect())
}

/// Reads users, by ID, with those of `groups` that they are members of.
async fn affected(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    users: &[Id<User>],
    groups: &[Id<Group>],
) -> Result<Vec<AffectedUser>> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"
        select
            u.user_id as "user_id: Id<User>", u.email, u.name, u.lastname, u.is_service_account,
            array(
                select g.name
                from user_group_members m
                join user_groups g using (group_id)
                where m.organization_id = $1 and g.organization_id = $1 and m.user_id = u.user_id and m.group_id = any($3)
                order by g.name_key
            ) as "groups!"
        from users u
        where u.organization_id = $1 and u.user_id = any($2)
        order by u.user_id
        "#,
        organization_id as Id<Organization>,
        users as &[Id<User>],
        groups as &[Id<Group>],
    )
    .fetch_all(connection)
    .await?;
    let user = rows.into_iter().map(|row| AffectedUser {
        user_id: row.user_id,
        email: row.email,
        name: row.name,
        lastname: row.lastname,
        is_service_account: row.is_service_account,
        groups: row.groups,
    });
    Ok(user.collect())
}

/// The names of the groups through which users are owners, by user.
pub(super) async fn reasons(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    users: &[Id<User>],
) -> Result<HashMap<Id<User>, Vec<String>>> {
    let groups = owner_groups(&read::bindings(connection, organization_id).await?);
    let affected = affected(connection, organization_id, users, &groups).await?;
    Ok(affected.into_iter().map(|user| (user.user_id, user.groups)).collect())
}

impl fmt::Display for PolicyPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex::encode(self.0))
    }
}

impl FromStr for PolicyPlan {
    type Err = InvalidPlan;

    fn from_str(text: &str) -> Result<Self, InvalidPlan> {
        let mut plan = [0; 32];
        let digits = text.strip_prefix(PREFIX).ok_or(InvalidPlan)?;
        hex::decode_to_slice(digits, &mut plan).map_err(|_| InvalidPlan)?;
        Ok(Self(plan))
    }
}
