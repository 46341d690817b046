//! Scopes, which limit an API key within its level.

use super::NeededScope;
use crate::names::names;

names! {
    /// A scope of an API key. The names are part of the API.
    pub enum Scope {
        /// Read users, memberships and batches.
        UsersRead = "users:read",
        /// Create and change users, memberships, batches and service accounts.
        UsersWrite = "users:write",
        /// Read invitations.
        InvitationsRead = "invitations:read",
        /// Create and revoke invitations.
        InvitationsWrite = "invitations:write",
        /// Read groups.
        GroupsRead = "groups:read",
        /// Create and change groups.
        GroupsWrite = "groups:write",
        /// Read policies.
        PoliciesRead = "policies:read",
        /// Set policies.
        PoliciesWrite = "policies:write",
        /// List API keys.
        KeysRead = "keys:read",
        /// Create, rotate and revoke API keys.
        KeysWrite = "keys:write",
        /// Read the audit log.
        AuditRead = "audit:read",
    }
}

impl Scope {
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The scopes of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scopes {
    /// Every action that the level permits, also those of later versions.
    All,
    /// A set of [`Scope`]s, as bits.
    Only(u16),
}

impl Scopes {
    /// A set of scopes.
    pub fn only(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self::Only(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }

    /// Decodes the database's array, where `null` stands for all scopes. A name that this version does not know
    /// permits nothing.
    #[must_use]
    pub fn from_database(names: Option<&[String]>) -> Self {
        names.map_or(Self::All, |names| Self::only(names.iter().filter_map(|name| Scope::parse(name))))
    }

    /// Encodes the scopes for the database.
    #[must_use]
    pub fn to_database(self) -> Option<Vec<String>> {
        self.names().map(|names| names.into_iter().map(str::to_owned).collect())
    }

    /// The names; `None` for all scopes.
    #[must_use]
    pub fn names(self) -> Option<Vec<&'static str>> {
        match self {
            Self::All => None,
            Self::Only(_) => {
                Some(Scope::ALL.iter().copied().filter(|scope| self.has(*scope)).map(Scope::as_str).collect())
            }
        }
    }

    /// Whether `scope` is included.
    #[must_use]
    pub const fn has(self, scope: Scope) -> bool {
        match self {
            Self::All => true,
            Self::Only(bits) => bits & scope.bit() != 0,
        }
    }

    /// Whether these are what an action needs.
    #[must_use]
    pub const fn suffice(self, needed: NeededScope) -> bool {
        match needed {
            NeededScope::Nothing => true,
            NeededScope::One(scope) => self.has(scope),
            NeededScope::All => matches!(self, Self::All),
        }
    }

    /// Whether all of `others` are included.
    #[must_use]
    pub const fn cover(self, others: Self) -> bool {
        match (self, others) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(mine), Self::Only(theirs)) => theirs & !mine == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_scope_parses() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(*scope));
        }
        assert_eq!(Scope::parse("users:*"), None);
    }

    #[test]
    fn scopes_permit_and_cover_only_their_own_actions() {
        let some = Scopes::only([Scope::UsersRead, Scope::AuditRead]);
        assert!(some.has(Scope::UsersRead) && !some.has(Scope::UsersWrite));
        assert!(some.cover(Scopes::only([Scope::AuditRead])) && !some.cover(Scopes::All));
        assert!(!some.cover(Scopes::only([Scope::AuditRead, Scope::UsersWrite])) && Scopes::All.cover(some));
        assert_eq!(some.names(), Some(vec!["users:read", "audit:read"]));
        assert_eq!(Scopes::from_database(some.to_database().as_deref()), some);
        assert_eq!(Scopes::from_database(None), Scopes::All);
        assert_eq!(Scopes::from_database(Some(&["of:tomorrow".to_owned()])), Scopes::only([]));
    }
}
