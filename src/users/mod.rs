//! Users: people's accounts, and those of programs.
//!
//! One user is looked at, changed, suspended, reactivated and deleted in `one.rs`, a list of them in `list.rs`: all
//! or none, with a complete report. Both lock the users (`lock.rs`), in the order of their ids, and write the same
//! way (`write.rs`).

mod edit;
mod email;
mod expected;
mod list;
pub(crate) mod lock;
pub(crate) mod named;
mod one;
pub(crate) mod read;
mod text;
pub(crate) mod write;

use std::fmt;

pub(crate) use email::fold;
pub use email::{EMAIL_KEY_VERSION, EmailAddress, InvalidEmail};
pub use expected::Expected;
pub use list::{Bulk, change_all};
pub use one::{delete, get, reactivate, suspend, update};
pub use read::Details;
pub use text::{InvalidText, LONGEST_TEXT, Line, Name};

use crate::caller::PermissionLevel;
use crate::error::{Error, Result};
use crate::id::{Id, Membership, User};
use crate::passwords::{ImportedHash, Password, PasswordHash};

/// A user who can be created: each part is valid by itself.
#[derive(Debug)]
pub struct NewUser {
    /// First name, or the whole of it.
    pub name: Name,
    /// The address, which nobody else in the organization may have.
    pub email: EmailAddress,
    /// Last name. Absent and empty are different, and come back as they were sent.
    pub lastname: Option<Line>,
    /// Title or position.
    pub title: Option<Line>,
    /// How they will sign in.
    pub credential: Credential,
    /// What their membership allows.
    pub permission_level: PermissionLevel,
}

/// How a new user will sign in.
#[derive(Debug)]
pub enum Credential {
    /// Through the organization's identity provider. No password is ever accepted.
    Sso,
    /// With a password that has not been set: until then, no password is accepted.
    Unset,
    /// With this initial password.
    Password(Password),
    /// With the password that this hash was made of, elsewhere.
    Imported {
        /// Within the bounds for hashes of others.
        hash: ImportedHash,
        /// Whether somebody else chose it, so that the user has to choose another.
        must_change: bool,
    },
}

impl NewUser {
    /// The first owner of an organization: a name to act under, to be given its person's own.
    /// `.invalid` never has a mailbox (RFC 6761), so the address can't be anybody's.
    ///
    /// # Errors
    /// None: both parts are valid.
    pub(crate) fn administrator() -> Result<Self> {
        Ok(Self {
            name: Name::parse("Administrator".to_owned()).map_err(|why| Error::internal(why.message()))?,
            email: EmailAddress::parse("administrator@muster.invalid").map_err(|why| Error::internal(why.message()))?,
            lastname: None,
            title: None,
            credential: Credential::Unset,
            permission_level: PermissionLevel::Owner,
        })
    }
}

/// A user who is being created.
#[derive(Debug)]
pub struct Account {
    /// The id that the user gets.
    pub user_id: Id<User>,
    /// The id that the membership gets.
    pub identity_id: Id<Membership>,
    /// Who.
    pub user: NewUser,
    /// What is stored of the password; `None` for no password.
    pub password: Option<StoredPassword>,
}

/// What is stored of a password.
#[derive(Clone, Debug)]
pub struct StoredPassword {
    /// The hash.
    pub hash: PasswordHash,
    /// Whether the user has to choose another at the next sign-in.
    pub must_change: bool,
}

/// Whether a user is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// They are.
    Active,
    /// They are kept out, with everything that is theirs kept.
    Suspended,
}

impl Status {
    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    /// Reads a name. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended].into_iter().find(|status| status.as_str() == text)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
