//! Service accounts: the accounts of programs. They have no password and no mailbox and use API keys only.
//!
//! # Decisions
//!
//! *The address is derived from the name, its domain from the organization's ID*, as the vendor's client expects. A
//! host name can't contain the `_` of an ID (RFC 952), so the domain starts with `org-` and the ID's 26 characters.
//!
//! *Names are unique among all collaborators*, because the vendor's commands find a service account by its name. The
//! unique address guarantees this among service accounts, also for concurrent requests; the names of people are checked
//! before the insert.

mod read;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Code, Error, Result};
use crate::id::{self, Id, Membership, Organization, User};
use crate::users::write::AddressTaken;
use crate::users::{self, Account, Attributes, Credential, EmailAddress, Name, NewUser};

/// The longest name, in characters: the limit for the local part of an address (RFC 5321).
const LONGEST_NAME: usize = 64;

/// A service account.
#[derive(Debug)]
pub struct ServiceAccount {
    /// The ID of the account.
    pub user_id: Id<User>,
    /// The ID of the membership.
    pub identity_id: Id<Membership>,
    /// The organization of the account.
    pub organization_id: Id<Organization>,
    /// The name, unique among the collaborators.
    pub name: String,
    /// The address, which has no mailbox.
    pub email: String,
    /// The level of the membership.
    pub permission_level: PermissionLevel,
    /// When the account was created.
    pub created_at: DateTime<Utc>,
}

/// Creates a service account with the `collaborator` level and without an API key.
///
/// # Errors
/// `forbidden`; `invalid_request` for an invalid name; `conflict` for the name of another collaborator.
pub async fn create(app: &App, caller: &Caller, name: Option<&str>) -> Result<ServiceAccount> {
    app.change(caller, Action::ServiceAccountCreate, Target::Nothing, async |change| {
        let (organization_id, created_at) = (change.organization_id(), change.now());
        let user = new_user(organization_id, name.unwrap_or_default())?;
        if read::is_taken(change.connection(), organization_id, user.name.as_str()).await? {
            return Err(taken(&user));
        }
        let account = Account { user_id: Id::new(created_at), identity_id: Id::new(created_at), user, password: None };
        let created = users::write::create(change, None, true, std::slice::from_ref(&account)).await?;
        created.map_err(|AddressTaken| taken(&account.user))?;
        change.record(Event::ServiceAccountCreated(account.user_id));
        Ok(ServiceAccount {
            user_id: account.user_id,
            identity_id: account.identity_id,
            organization_id,
            name: account.user.name.as_str().to_owned(),
            email: account.user.email.as_str().to_owned(),
            permission_level: account.user.permission_level,
            created_at,
        })
    })
    .await
}

/// Validates a name and derives the account from it.
fn new_user(organization_id: Id<Organization>, name: &str) -> Result<NewUser> {
    let rule = || {
        Error::invalid(format!(
            "`name` of a service account must be 1 to {LONGEST_NAME} letters, digits, `.`, `-` and `_`, without a \
             leading, trailing or double `.`"
        ))
    };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_dot_atom = name.split('.').all(|part| !part.is_empty());
    if !(1..=LONGEST_NAME).contains(&name.len()) || !name.bytes().all(is_allowed) || !is_dot_atom {
        return Err(rule());
    }
    let host = format!("org-{}.serviceaccount.com", id::encode(organization_id));
    Ok(NewUser {
        attributes: Attributes::default(),
        name: Name::parse(name.to_owned()).map_err(|_| rule())?,
        email: EmailAddress::parse(&format!("{name}@{host}")).map_err(|_| rule())?,
        lastname: None,
        title: None,
        credential: Credential::Unset,
        permission_level: PermissionLevel::Collaborator,
        expires_at: None,
    })
}

fn taken(user: &NewUser) -> Error {
    let name = user.name.as_str();
    Error::new(Code::Conflict, format!("a collaborator named `{name}` already exists; choose another name"))
}
