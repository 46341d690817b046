//! Users: people's accounts.

mod email;
pub(crate) mod read;
mod text;
pub(crate) mod write;

pub use email::{EMAIL_KEY_VERSION, EmailAddress, InvalidEmail};
pub use read::Profile;
pub use text::{InvalidText, LONGEST_TEXT, Line, Name};

use crate::caller::PermissionLevel;
use crate::error::{Error, Result};
use crate::id::{Id, Identity, User};
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
    pub identity_id: Id<Identity>,
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
