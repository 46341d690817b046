//! The filters of lists of collaborators.

use chrono::{DateTime, Utc};
use muster_client::CollaboratorType;
use uuid::Uuid;

use super::search::SearchText;
use crate::caller::PermissionLevel;
use crate::error::{Error, Result};
use crate::id::{Batch, Group, Id, Membership, SsoProvider, User};
use crate::names::names;
use crate::users::{Attributes, EmailAddress, Status};

/// The most addresses of a [`PersonQuery`].
pub const MOST_ADDRESSES: usize = 500;

/// The kinds of account that match both filters, by type and by `is_service_account`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccountKinds {
    /// People and service accounts.
    All,
    /// Only service accounts (`true`), or only people.
    Only(bool),
    /// The filters exclude each other.
    None,
}

impl AccountKinds {
    pub(super) fn of(collaborator_type: Option<CollaboratorType>, is_service_account: Option<bool>) -> Self {
        let by_type = match collaborator_type {
            None | Some(CollaboratorType::AllAccounts) => None,
            Some(CollaboratorType::OnlyServiceAccounts) => Some(true),
            Some(CollaboratorType::OnlyUserAccounts) => Some(false),
        };
        match (by_type, is_service_account) {
            (Some(one), Some(other)) if one != other => Self::None,
            (one, other) => one.or(other).map_or(Self::All, Self::Only),
        }
    }

    /// The filter as an SQL parameter; null for all accounts.
    pub(super) const fn is_service_account(self) -> Option<bool> {
        match self {
            Self::Only(is_service_account) => Some(is_service_account),
            Self::All | Self::None => None,
        }
    }
}

names! {
    /// How a person can sign in, at present.
    pub enum SignInMethod {
        /// Through the organization's identity provider.
        Sso = "sso",
        /// With a password.
        Password = "password",
        /// With a one-time link, to set the first password.
        Link = "link",
        /// Not at all: there is neither a password nor an open link.
        None = "none",
    }
}

names! {
    /// What makes a user an owner.
    pub enum OwnerThrough {
        /// The level of their membership.
        Level = "level",
        /// A group.
        Group = "group",
    }
}

/// The filters of a list. A collaborator matches if all filters that are present match.
#[derive(Clone, Debug, Default)]
pub struct CollaboratorFilter {
    /// The address, in any spelling. A malformed address matches no collaborator.
    pub email: Option<String>,
    /// The exact name: the name, or first and last name.
    pub name: Option<String>,
    /// The kind of account.
    pub collaborator_type: Option<CollaboratorType>,
    /// Whether the account is a service account.
    pub is_service_account: Option<bool>,
    /// The filters without a statement of their own.
    pub more: MoreFilters,
}

/// Filters that can be combined with each other and with those of [`CollaboratorFilter`]. Several values of one filter mean any of
/// them; none mean that there is no such filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoreFilters {
    /// Whom the text describes.
    pub query: Option<PersonQuery>,
    /// Active or suspended.
    pub status: Option<Status>,
    /// The effective permission: by the member's own level or through a group.
    pub permission_level: Option<PermissionLevel>,
    /// Only owners, by what makes them so.
    pub owner_through: Option<OwnerThrough>,
    /// Whether the user signs in through the organization's identity provider.
    pub is_sso_user: Option<bool>,
    /// How people can sign in.
    pub sign_in: Vec<SignInMethod>,
    /// Batches that created the user.
    pub batches: Vec<Id<Batch>>,
    /// Groups of which the user is a member.
    pub groups: Vec<Id<Group>>,
    /// Identity providers at which the user has an identity.
    pub providers: Vec<Id<SsoProvider>>,
    /// Domains of the address, in the spelling of keys.
    pub domains: Vec<String>,
    /// The earliest time of creation.
    pub created_after: Option<DateTime<Utc>>,
    /// The time before which the user was created.
    pub created_before: Option<DateTime<Utc>>,
    /// Whether the user should sign in with a password and has none.
    pub without_password: Option<bool>,
    /// Whether the user is a person who has never signed in.
    pub never_signed_in: Option<bool>,
    /// The earliest time of the last sign-in.
    pub signed_in_after: Option<DateTime<Utc>>,
    /// The time before which the last sign-in was. Users who have never signed in do not match.
    pub signed_in_before: Option<DateTime<Utc>>,
    /// The time until which the accounts of active users expire.
    pub expires_before: Option<DateTime<Utc>>,
    /// Attributes that the user has.
    pub attributes: Option<Attributes>,
}

/// A text that describes people, as somebody types or pastes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersonQuery {
    /// The ID of a user or of a membership.
    Id(Uuid),
    /// Several addresses, by key.
    Addresses(Vec<String>),
    /// A part of the name or of the address.
    Text(SearchText),
}

impl PersonQuery {
    /// Parses a text: an ID, several addresses that are separated by commas, semicolons or spaces, or a part of a name or an address.
    ///
    /// # Errors
    /// `invalid_request` for too many addresses, and as [`SearchText::containing`].
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let id = text.parse::<Id<User>>().map(Uuid::from).or_else(|_| text.parse::<Id<Membership>>().map(Uuid::from));
        if let Ok(id) = id {
            return Ok(Self::Id(id));
        }
        let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';')).filter(|word| !word.is_empty());
        let addresses: Option<Vec<String>> =
            words.map(|word| EmailAddress::parse(word).ok().map(|address| address.key().to_owned())).collect();
        match addresses {
            Some(addresses) if addresses.len() > MOST_ADDRESSES => {
                Err(Error::invalid(format!("a search takes at most {MOST_ADDRESSES} addresses")))
            }
            Some(addresses) if addresses.len() > 1 => Ok(Self::Addresses(addresses)),
            _ => Ok(Self::Text(SearchText::containing(text)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_an_id_or_addresses_or_a_part_of_a_text() {
        let parse = |text: &str| PersonQuery::parse(text).unwrap();
        let text = |text: &str| PersonQuery::Text(SearchText::containing(text).unwrap());
        let addresses = |list: &[&str]| PersonQuery::Addresses(list.iter().map(|&key| key.to_owned()).collect());
        let user: Id<User> = Id::from_uuid(Uuid::from_u128(7));
        let member: Id<Membership> = Id::from_uuid(Uuid::from_u128(8));
        assert_eq!(parse(&format!(" {user} ")), PersonQuery::Id(Uuid::from_u128(7)));
        assert_eq!(parse(&member.to_string()), PersonQuery::Id(Uuid::from_u128(8)));
        assert_eq!(
            parse("Ada@Example.com, b@example.com\r\nc@example.com;"),
            addresses(&["ada@example.com", "b@example.com", "c@example.com",])
        );
        for part in ["ada@example.com", "@example.com", "Ada Lovelace", "usr_7", "ada@example.com, Grace"] {
            assert_eq!(parse(part), text(part));
        }
        let many = "a@example.com ".repeat(MOST_ADDRESSES + 1);
        assert_eq!(PersonQuery::parse(&many).unwrap_err().to_string(), "a search takes at most 500 addresses");
        assert!(PersonQuery::parse("  ").is_err());
    }
}
