//! Users: the accounts of people and of programs.
//!
//! `one.rs` has the operations on one user, `list.rs` those on a list: all or none, with a complete report. Both lock
//! the users (`lock.rs`) in the order of their IDs and share the statements in `write.rs`.

pub(crate) mod attributes;
mod changes;
mod domain;
mod edit;
mod email;
mod expected;
mod expiry;
mod list;
pub(crate) mod lock;
mod one;
mod profile;
pub(crate) mod read;
mod text;
pub(crate) mod user_ref;
pub(crate) mod write;

pub use attributes::Attributes;
pub(crate) use attributes::AttributesPatch;
pub(crate) use changes::Changes;
pub(crate) use edit::Edit;
pub(crate) use email::fold;
pub use email::{EMAIL_KEY_VERSION, EmailAddress, InvalidEmail};
pub use expected::Expected;
pub use expiry::{Expiry, InvalidExpiry};
pub use list::{Access, ChangedList, ListOperation, ListOptions, change_all};
pub(crate) use one::check_own_account;
pub use one::{delete, get, set_status, suspend_expired, update};
pub use profile::{Facts, GroupOfUser, Profile, profile};
pub use read::UserDetails;
pub use text::{InvalidText, LONGEST_TEXT, Line, Name};
pub(crate) use text::{is_invisible, is_trimmed, is_visible_line, trim};
pub use write::FieldChange;

use crate::caller::PermissionLevel;
use crate::error::{Code, Error, Result};
use crate::id::{Id, Membership, User};
use crate::names::names;
use crate::passwords::{ImportedHash, Password, PasswordHash};

/// A user to be created. Each field is valid on its own.
#[derive(Debug)]
pub struct NewUser {
    /// First name or full name.
    pub name: Name,
    /// The address, unique within the organization.
    pub email: EmailAddress,
    /// Last name. Absent and empty are stored as they were sent.
    pub lastname: Option<Line>,
    /// Title or position.
    pub title: Option<Line>,
    /// The sign-in method.
    pub credential: Credential,
    /// The level of the membership.
    pub permission_level: PermissionLevel,
    /// When the account expires.
    pub expires_at: Option<Expiry>,
    /// Custom attributes.
    pub attributes: Attributes,
}

/// A kind of account, to which a request can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// People and service accounts.
    Any,
    /// Only service accounts.
    ServiceAccount,
}

impl AccountKind {
    /// Checks that an account is of this kind.
    ///
    /// # Errors
    /// `conflict` for a person instead of a service account.
    pub(crate) fn check(self, is_service_account: bool) -> Result<()> {
        if self == Self::Any || is_service_account {
            return Ok(());
        }
        let message = "the account belongs to a person and was not changed: this version of the vendor's client takes \
                       people for service accounts; upgrade the client, or use `muster user delete` or `muster api-key`";
        Err(Error::new(Code::Conflict, message))
    }
}

/// The sign-in method of a new user.
#[derive(Debug)]
pub enum Credential {
    /// The organization's identity provider. Passwords are never accepted.
    Sso,
    /// A password that has not been set yet. Until then, no password is accepted.
    Unset,
    /// An initial password.
    Password(Password),
    /// A password hash of another system.
    Imported {
        /// The hash, within the limits for imported hashes.
        hash: ImportedHash,
        /// Whether the user must choose another password, because someone else chose this one.
        must_change: bool,
    },
}

impl Credential {
    /// Moves the plaintext password out, so that it is not in memory twice while it is hashed. Its account gets the
    /// hash.
    pub(crate) fn take_password(&mut self) -> Option<Password> {
        match std::mem::replace(self, Self::Unset) {
            Self::Password(password) => Some(password),
            other => {
                *self = other;
                None
            }
        }
    }
}

/// The address of the first owner until their own is set.
pub(crate) const ADMINISTRATOR: &str = "administrator@muster.invalid";

impl NewUser {
    /// The first owner of an organization: a placeholder until its person's name and address are set. The domain
    /// `.invalid` never has a mailbox (RFC 6761), so the address can't belong to anyone.
    ///
    /// # Errors
    /// None: both constants are valid.
    pub(crate) fn administrator() -> Result<Self> {
        Ok(Self {
            name: Name::parse("Administrator".to_owned()).map_err(|why| Error::internal(why.message()))?,
            email: EmailAddress::parse(ADMINISTRATOR).map_err(|why| Error::internal(why.message()))?,
            lastname: None,
            title: None,
            credential: Credential::Unset,
            permission_level: PermissionLevel::Owner,
            expires_at: None,
            attributes: Attributes::default(),
        })
    }
}

/// A new account, with its IDs and its password hash.
#[derive(Debug)]
pub struct Account {
    /// The ID of the user.
    pub user_id: Id<User>,
    /// The ID of the membership.
    pub identity_id: Id<Membership>,
    /// The validated fields.
    pub user: NewUser,
    /// The password hash; `None` for a user without a password.
    pub password: Option<StoredPassword>,
}

/// A password as it is stored.
#[derive(Clone, Debug)]
pub struct StoredPassword {
    /// The hash.
    pub hash: PasswordHash,
    /// Whether the user must choose another password at the next sign-in.
    pub must_change: bool,
}

names! {
    /// Whether a user may sign in and use API keys.
    #[derive(sqlx::Type)]
    #[sqlx(type_name = "text", rename_all = "snake_case")]
    pub enum Status {
        /// The user has access.
        Active = "active",
        /// All access is denied; the account's data is kept.
        Suspended = "suspended",
    }
}

/// Why a user can't be reactivated.
pub(crate) const EXPIRED: &str = "the account has expired; set a later `expires_at` or remove it first";

/// Why a person can't suspend, demote or delete their own account in the browser: they would be locked out by mistake.
pub(crate) const OWN_ACCOUNT: &str = "is your own account; ask another owner";

/// The words that a password must not be built from: those that an attacker who knows the user would try first.
pub(crate) fn password_context<'a>(
    name: Option<&'a str>,
    lastname: Option<&'a str>,
    email: Option<&'a EmailAddress>,
) -> Vec<&'a str> {
    let mut context = vec!["muster"];
    context.extend(name);
    context.extend(lastname);
    if let Some(email) = email {
        context.push(email.as_str());
        context.extend(email.key().split('@'));
    }
    context
}
