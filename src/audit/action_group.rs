//! Groups of actions, by which the audit log is filtered.

use std::str::FromStr;

use super::Outcome;
use crate::caller::Action;
use crate::names::names;

names! {
    /// A group of actions.
    pub enum ActionGroup {
        /// All that change something, except signing in.
        Changes = "changes",
        /// Users and service accounts, their levels and passwords.
        People = "people",
        /// Lists of new users.
        Batches = "batches",
        /// Invitations.
        Invitations = "invitations",
        /// Groups and the permissions that they grant.
        Groups = "groups",
        /// API keys, and the device logins that create them.
        Keys = "keys",
        /// Signing in and out.
        SignIns = "sign_ins",
        /// The organization, identity providers, and how people sign in.
        Settings = "settings",
    }
}

impl ActionGroup {
    /// The group of an action, other than [`Self::Changes`]; `None` for actions that only read.
    const fn of(action: Action) -> Option<Self> {
        Some(match action {
            Action::UserCreate
            | Action::UserUpdate
            | Action::UserSuspend
            | Action::UserReactivate
            | Action::UserDelete
            | Action::UserBatchUpdate
            | Action::UserBatchApply
            | Action::UserBatchSuspend
            | Action::UserBatchReactivate
            | Action::UserBatchDelete
            | Action::OwnerGrant
            | Action::OwnerUpdate
            | Action::CollaboratorUpdate
            | Action::CollaboratorRemove
            | Action::ServiceAccountCreate
            | Action::PasswordChange
            | Action::PasswordLinkCreate
            | Action::PasswordLinkCreateForOwner
            | Action::PasswordLinkUse
            | Action::PasswordLinkRevoke
            | Action::PasswordResetRequest
            | Action::MailRetry
            | Action::SsoIdentityBind
            | Action::SsoIdentityUnbind
            | Action::SsoIdentityLink => Self::People,
            Action::UserBatchCreate | Action::UserBatchDryRun | Action::BatchCancel | Action::BatchUndo => {
                Self::Batches
            }
            Action::InvitationBatchCreate
            | Action::InvitationCreate
            | Action::InvitationInvalidate
            | Action::InvitationAccept => Self::Invitations,
            Action::GroupCreate
            | Action::GroupUpdate
            | Action::GroupDelete
            | Action::GroupAddMembers
            | Action::GroupRemoveMembers
            | Action::PolicySet
            | Action::ScimMigration => Self::Groups,
            Action::KeyCreate
            | Action::KeyRotate
            | Action::KeyRevoke
            | Action::KeyRevokeSelf
            | Action::KeyOthers
            | Action::KeyExpirationSet
            | Action::KeyRotateForUser
            | Action::LoginApprove
            | Action::LoginDeny => Self::Keys,
            Action::KeyUse
            | Action::SessionStart
            | Action::SessionEnd
            | Action::SessionOthers
            | Action::PasswordRehash
            | Action::SsoLogout => Self::SignIns,
            Action::OrganizationCreate
            | Action::OrganizationRename
            | Action::SignInPolicySet
            | Action::SsoProviderCreate
            | Action::SsoProviderUpdate
            | Action::SsoProviderDelete
            | Action::SecretReseal => Self::Settings,
            Action::OrganizationList
            | Action::UserGet
            | Action::BatchList
            | Action::BatchGet
            | Action::UserInfo
            | Action::CollaboratorList
            | Action::PermissionList
            | Action::InvitationList
            | Action::KeyList
            | Action::KeyExpirationGet
            | Action::LoginGet
            | Action::GroupList
            | Action::PolicyGet
            | Action::ScimMigrationPreview
            | Action::SessionList
            | Action::MailList
            | Action::SignInPolicyGet
            | Action::SsoProviderList
            | Action::SsoProviderTest
            | Action::SsoIdentityList
            | Action::AuditList => return None,
        })
    }

    fn contains(self, action: Action) -> bool {
        match (self, Self::of(action)) {
            (Self::Changes, group) => !matches!(group, None | Some(Self::SignIns)),
            (_, group) => group == Some(self),
        }
    }
}

/// One action, or a group of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionFilter {
    /// One action.
    One(Action),
    /// A group of actions.
    Group(ActionGroup),
}

impl ActionFilter {
    /// The names of the actions.
    pub(super) fn actions(self) -> Vec<&'static str> {
        match self {
            Self::One(action) => vec![action.as_str()],
            Self::Group(group) => {
                Action::ALL.iter().copied().filter(|action| group.contains(*action)).map(Action::as_str).collect()
            }
        }
    }

    /// The name of the action or the group.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::One(action) => action.as_str(),
            Self::Group(group) => group.as_str(),
        }
    }

    /// The names of all groups and actions.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let groups = ActionGroup::ALL.iter().map(|group| group.as_str());
        groups.chain(Action::ALL.iter().map(|action| action.as_str()))
    }
}

impl FromStr for ActionFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = Action::parse(text).map(Self::One);
        one.or_else(|| ActionGroup::parse(text).map(Self::Group))
            .ok_or_else(|| format!("expected one of {}", Self::names().collect::<Vec<_>>().join(", ")))
    }
}

/// An outcome, or both outcomes of refused actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeFilter {
    /// One outcome.
    One(Outcome),
    /// [`Outcome::Denied`] and [`Outcome::Rejected`].
    Refused,
}

impl OutcomeFilter {
    /// The names of the outcomes.
    pub(super) fn outcomes(self) -> Vec<&'static str> {
        match self {
            Self::One(outcome) => vec![outcome.as_str()],
            Self::Refused => vec![Outcome::Denied.as_str(), Outcome::Rejected.as_str()],
        }
    }

    /// The names of all outcomes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Outcome::ALL.iter().map(|outcome| outcome.as_str()).chain([REFUSED])
    }
}

const REFUSED: &str = "refused";

impl FromStr for OutcomeFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Outcome::parse(text) {
            Some(outcome) => Ok(Self::One(outcome)),
            None if text == REFUSED => Ok(Self::Refused),
            None => Err(format!("expected one of {}", Self::names().collect::<Vec<_>>().join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_all_actions_of_the_other_groups_but_sign_ins() {
        let of = |group| ActionFilter::Group(group).actions();
        let others: usize = ActionGroup::ALL
            .iter()
            .filter(|group| !matches!(group, ActionGroup::Changes | ActionGroup::SignIns))
            .map(|group| of(*group).len())
            .sum();
        assert_eq!(of(ActionGroup::Changes).len(), others);
        assert!(ActionGroup::ALL.iter().all(|group| !of(*group).is_empty()));
        assert!(of(ActionGroup::SignIns).contains(&"session.start"));
        assert!(!of(ActionGroup::Changes).contains(&"audit.list"));
    }

    #[test]
    fn every_name_is_parsed() {
        assert!(ActionFilter::names().all(|name| name.parse::<ActionFilter>().is_ok()));
        assert_eq!("sign_ins".parse(), Ok(ActionFilter::Group(ActionGroup::SignIns)));
        assert_eq!(OutcomeFilter::names().collect::<Vec<_>>(), ["success", "denied", "rejected", "refused"]);
        assert_eq!("refused".parse::<OutcomeFilter>().unwrap().outcomes(), ["denied", "rejected"]);
        assert_eq!("no".parse::<OutcomeFilter>().unwrap_err(), "expected one of success, denied, rejected, refused");
    }
}
