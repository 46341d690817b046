//! How the people of an organization may sign in: with passwords, through identity providers, or both.
//!
//! # Decisions
//!
//! *The view `sso_bound_users` decides whom a policy binds.* A password that is presented, a link, and the statement that starts a
//! session read it, so that they can't differ.
//!
//! *A policy is set while no session starts*: the change locks the organization, for which new users wait, and all memberships, for
//! which new sessions wait. So a session is either ended here or judged by the new policy.
//!
//! *Links of people who are bound stay as they are*: using them is refused. They work again, until they expire, if the policy changes
//! back. Links of the local operator are never refused, and the sessions that they start are not ended.
//!
//! *Owners are bound only together with everybody else*: a policy that asks more of owners than of collaborators has no use yet.
//!
//! *An owner must have used single sign-on lately before a policy requires it* (`RECENT`): that a provider is configured does not
//! mean that it works.

mod read;
mod write;

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::App;
use crate::audit::Target;
use crate::caller::{Action, Caller};
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::id::{Id, Organization, SsoProvider, User};
use crate::names::names;

pub(crate) use read::{current, is_bound};

/// How long ago an owner may have signed in through a provider for a policy to require it.
const RECENT: TimeDelta = TimeDelta::days(30);

names! {
    /// Whether people sign in through identity providers.
    #[derive(Default, clap::ValueEnum, sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum SsoMode {
        /// Nobody does.
        Off = "off",
        /// People who have an identity may, and people who have a password.
        #[default]
        Optional = "optional",
        /// Everybody does; passwords don't sign in.
        Required = "required",
    }
}

names! {
    /// Whether [`SsoMode::Required`] is for owners, too.
    #[derive(Default, clap::ValueEnum, sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum OwnersSso {
        /// Owners may use passwords.
        #[default]
        Optional = "optional",
        /// Owners are bound as everybody else.
        Required = "required",
    }
}

/// The policy of an organization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignInPolicy {
    /// Whether people sign in through identity providers.
    pub sso_mode: SsoMode,
    /// Whether owners do.
    pub owners_sso: OwnersSso,
    /// When the policy was set; `None`: never.
    pub changed_at: Option<DateTime<Utc>>,
}

impl SignInPolicy {
    fn has_same_rules(self, other: Self) -> bool {
        (self.sso_mode, self.owners_sso) == (other.sso_mode, other.owners_sso)
    }

    /// Whether the policy binds anybody whom `before` does not.
    fn binds_more_than(self, before: Self) -> bool {
        (self.sso_mode == SsoMode::Required && before.sso_mode != SsoMode::Required)
            || (self.owners_sso == OwnersSso::Required && before.owners_sso != OwnersSso::Required)
    }
}

/// How a user and their organization sign in, for `userinfo`.
#[derive(Clone, Copy, Debug)]
pub struct SignInInfo {
    /// Whether the user has a password.
    pub has_password: bool,
    /// Whether people of the organization sign in through identity providers.
    pub sso_mode: SsoMode,
    /// The first enabled identity provider.
    pub provider_id: Option<Id<SsoProvider>>,
}

/// Reads the policy of the caller's organization.
///
/// # Errors
/// `forbidden`.
pub async fn get(app: &App, caller: &Caller) -> Result<SignInPolicy> {
    let mut connection = app.read(caller, Action::SignInPolicyGet).await?;
    read::current(&mut connection, caller.organization_id).await
}

/// How the people of an organization with this ID or short name sign in; without a name, those of the only organization. An
/// organization that does not exist has the default.
///
/// # Errors
/// Those of the database.
pub async fn of_organization(app: &App, organization: Option<&str>) -> Result<SignInPolicy> {
    read::of_organization(app, organization).await
}

/// How a user and the organization sign in. `user_id`: `None` for an API key without a user.
///
/// # Errors
/// Those of the database.
pub async fn info(app: &App, organization_id: Id<Organization>, user_id: Option<Id<User>>) -> Result<SignInInfo> {
    read::info(app, organization_id, user_id).await
}

/// Replaces the policy of the caller's organization, or rolls back if it is a dry run. Ends the sessions that the new policy does not
/// allow, and returns their number. The same policy again writes and records nothing.
///
/// # Errors
/// `forbidden`; `reauthentication_needed`; any error of reading the policy; `invalid_request` for a policy that binds owners only;
/// `would_lock_out` for a policy that requires single sign-on, if no owner has used it lately; `last_owner` for one that leaves no
/// owner who can sign in.
pub async fn set(
    app: &App,
    caller: &Caller,
    dry_run: bool,
    policy: impl Future<Output = Result<SignInPolicy>>,
) -> Result<(SignInPolicy, usize)> {
    app.authorize(caller, Action::SignInPolicySet).await?;
    let policy = policy.await?;
    if policy.owners_sso == OwnersSso::Required && policy.sso_mode != SsoMode::Required {
        return Err(Error::invalid("`owners_sso` can be `required` only if `sso_mode` is `required`"));
    }
    let target = Target::Organization(caller.organization_id);
    app.change_many(caller, Action::SignInPolicySet, target, dry_run, async |change| {
        write::lock(change).await?;
        change.confirm_access().await?;
        let before = read::current(change.connection(), caller.organization_id).await?;
        if policy.has_same_rules(before) {
            change.dry_run();
            return Ok((before, 0));
        }
        if policy.binds_more_than(before) {
            let since = change.now() - RECENT;
            if !read::has_owner_with_recent_sso(change, since).await? {
                return Err(Error::new(Code::WouldLockOut, would_lock_out()));
            }
        }
        let could_sign_in = owners::can_sign_in(change).await?;
        let sessions = write::set(change, before, policy).await?;
        owners::require_sign_in(change, could_sign_in).await?;
        let policy = SignInPolicy { changed_at: Some(change.now()), ..policy };
        Ok((policy, sessions))
    })
    .await
}

fn would_lock_out() -> String {
    format!(
        "no active owner has signed in through an enabled identity provider in the last {} days; sign in through it as an owner \
         first, then require it",
        RECENT.num_days()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_binds_more_if_it_requires_what_the_one_before_does_not() {
        let policy = |sso_mode, owners_sso| SignInPolicy { sso_mode, owners_sso, changed_at: None };
        let optional = SignInPolicy::default();
        let off = policy(SsoMode::Off, OwnersSso::Optional);
        let collaborators = policy(SsoMode::Required, OwnersSso::Optional);
        let all = policy(SsoMode::Required, OwnersSso::Required);
        for (after, before, expected) in [
            (collaborators, optional, true),
            (all, off, true),
            (all, collaborators, true),
            (collaborators, all, false),
            (optional, all, false),
            (off, collaborators, false),
            (optional, off, false),
        ] {
            assert_eq!(after.binds_more_than(before), expected, "{before:?} to {after:?}");
        }
    }
}
