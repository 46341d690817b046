//! Scopes, which limit an API key within its level.

use std::fmt;

use super::Action;

/// A scope of an API key. The names are part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Read users, memberships and batches.
    UsersRead,
    /// Create and change users, memberships, batches and service accounts.
    UsersWrite,
    /// Read invitations.
    InvitationsRead,
    /// Create and revoke invitations.
    InvitationsWrite,
    /// Read groups.
    GroupsRead,
    /// Create and change groups.
    GroupsWrite,
    /// Read policies.
    PoliciesRead,
    /// Set policies.
    PoliciesWrite,
    /// List API keys.
    KeysRead,
    /// Create, rotate and revoke API keys.
    KeysWrite,
    /// Read the audit log.
    AuditRead,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 11] = [
        Self::UsersRead,
        Self::UsersWrite,
        Self::InvitationsRead,
        Self::InvitationsWrite,
        Self::GroupsRead,
        Self::GroupsWrite,
        Self::PoliciesRead,
        Self::PoliciesWrite,
        Self::KeysRead,
        Self::KeysWrite,
        Self::AuditRead,
    ];

    /// The name in the API and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::InvitationsRead => "invitations:read",
            Self::InvitationsWrite => "invitations:write",
            Self::GroupsRead => "groups:read",
            Self::GroupsWrite => "groups:write",
            Self::PoliciesRead => "policies:read",
            Self::PoliciesWrite => "policies:write",
            Self::KeysRead => "keys:read",
            Self::KeysWrite => "keys:write",
            Self::AuditRead => "audit:read",
        }
    }

    /// Parses a name, as [`Self::as_str`] writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
            Self::Only(_) => Some(Scope::ALL.into_iter().filter(|scope| self.has(*scope)).map(Scope::as_str).collect()),
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

    /// Whether the scopes permit `action`.
    #[must_use]
    pub const fn allow(self, action: Action) -> bool {
        match action.scope() {
            None => true,
            Some(scope) => self.has(scope),
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
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
        assert_eq!(Scope::parse("users:*"), None);
    }

    #[test]
    fn scopes_permit_and_cover_only_their_own_actions() {
        let some = Scopes::only([Scope::UsersRead, Scope::AuditRead]);
        assert!(some.allow(Action::UserGet) && some.allow(Action::UserInfo) && !some.allow(Action::UserUpdate));
        assert!(some.cover(Scopes::only([Scope::AuditRead])) && !some.cover(Scopes::All));
        assert!(!some.cover(Scopes::only([Scope::AuditRead, Scope::UsersWrite])) && Scopes::All.cover(some));
        assert_eq!(some.names(), Some(vec!["users:read", "audit:read"]));
        assert_eq!(Scopes::from_database(some.to_database().as_deref()), some);
        assert_eq!(Scopes::from_database(None), Scopes::All);
        assert_eq!(Scopes::from_database(Some(&["of:tomorrow".to_owned()])), Scopes::only([]));
    }
}
