//! What an API key may be used for, within what its level allows.

use std::fmt;

use super::Action;

/// One thing that an API key can be made for. A closed list: the names are part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Users, their memberships, batches: looking at them.
    UsersRead,
    /// Users, their memberships, batches, service accounts: making and changing them.
    UsersWrite,
    /// Invitations: looking at them.
    InvitationsRead,
    /// Invitations: making and taking them back.
    InvitationsWrite,
    /// Groups: looking at them.
    GroupsRead,
    /// Groups: making and changing them.
    GroupsWrite,
    /// Policies: looking at them.
    PoliciesRead,
    /// Policies: setting them.
    PoliciesWrite,
    /// API keys: listing them.
    KeysRead,
    /// API keys: making, rotating and revoking them.
    KeysWrite,
    /// The audit log.
    AuditRead,
}

impl Scope {
    /// All there are.
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

    /// The name on the wire and in the database.
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

    /// Reads a name. `None` for anything else.
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

/// What an API key may be used for: everything, or a set of [`Scope`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scopes {
    /// All that its level allows, and what will come.
    All,
    /// These, as bits.
    Only(u16),
}

impl Scopes {
    /// Just these.
    pub fn only(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self::Only(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }

    /// Reads what the database has: `null` is everything. A name that this version does not know
    /// allows nothing.
    #[must_use]
    pub fn from_database(names: Option<&[String]>) -> Self {
        names.map_or(Self::All, |names| Self::only(names.iter().filter_map(|name| Scope::parse(name))))
    }

    /// What the database gets.
    #[must_use]
    pub fn to_database(self) -> Option<Vec<String>> {
        self.names().map(|names| names.into_iter().map(str::to_owned).collect())
    }

    /// Their names; `None` for everything.
    #[must_use]
    pub fn names(self) -> Option<Vec<&'static str>> {
        match self {
            Self::All => None,
            Self::Only(_) => Some(Scope::ALL.into_iter().filter(|scope| self.has(*scope)).map(Scope::as_str).collect()),
        }
    }

    /// Whether it is among them.
    #[must_use]
    pub const fn has(self, scope: Scope) -> bool {
        match self {
            Self::All => true,
            Self::Only(bits) => bits & scope.bit() != 0,
        }
    }

    /// Whether a key with these may do `action`, if its level lets it.
    #[must_use]
    pub const fn allow(self, action: Action) -> bool {
        match action.scope() {
            None => true,
            Some(scope) => self.has(scope),
        }
    }

    /// Whether all of `others` are among them: a key can't make one that may more.
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
    fn a_name_reads_back_and_nothing_else_does() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
        assert_eq!(Scope::parse("users:*"), None);
    }

    #[test]
    fn scopes_allow_what_they_name_and_cover_no_more() {
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
