//! Service accounts: accounts of programs. They have no password and no mailbox, and act through API keys only.
//!
//! # Decisions
//!
//! *The address is made of the name, and its host of the organization's id*, as the vendor's client expects. An id
//! has a `_`, which no host name can have (RFC 952), so the host is `org-` and the id's 26 characters.
//!
//! *Names are unique among all collaborators*: the vendor's commands find a service account by its name. Between
//! service accounts the address sees to that, whoever comes at the same time; the names of people are looked at
//! before.

mod read;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Code, Error, Result};
use crate::id::{self, Id, Membership, Organization, User};
use crate::users::{self, Account, Credential, EmailAddress, Name, NewUser};

/// The longest name, in characters: what stands before the `@` can't be longer (RFC 5321).
const LONGEST_NAME: usize = 64;

/// A service account.
#[derive(Debug)]
pub struct ServiceAccount {
    /// The account.
    pub user_id: Id<User>,
    /// Its membership.
    pub identity_id: Id<Membership>,
    /// The organization it belongs to.
    pub organization_id: Id<Organization>,
    /// What it is called.
    pub name: String,
    /// Its address, which has no mailbox.
    pub email: String,
    /// What it may.
    pub permission_level: PermissionLevel,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Makes a service account, with the level of a collaborator and without a key. For owners.
///
/// # Errors
/// `forbidden`; `invalid_request` for a name that makes no address; `conflict` for one that a collaborator has.
pub async fn create(app: &App, caller: &Caller, name: Option<&str>) -> Result<ServiceAccount> {
    app.change(caller, Action::ServiceAccountCreate, Target::Nothing, async |change| {
        let (organization_id, created_at) = (change.organization_id(), change.now());
        let user = new_user(organization_id, name.unwrap_or_default())?;
        if read::is_taken(change.connection(), organization_id, user.name.as_str()).await? {
            return Err(taken(&user));
        }
        let account = Account { user_id: Id::new(created_at), identity_id: Id::new(created_at), user, password: None };
        if !users::write::insert_service_account(change, &account).await? {
            return Err(taken(&account.user));
        }
        users::write::insert_collaborators(change, std::slice::from_ref(&account)).await?;
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

/// The account that goes with a name.
fn new_user(organization_id: Id<Organization>, name: &str) -> Result<NewUser> {
    let rule = || {
        Error::invalid(format!(
            "`name` of a service account has to have 1 to {LONGEST_NAME} letters, digits, `.`, `-` and `_`, without a \
             `.` at its start, its end or beside another"
        ))
    };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_dot_atom = name.split('.').all(|part| !part.is_empty());
    if !(1..=LONGEST_NAME).contains(&name.len()) || !name.bytes().all(is_allowed) || !is_dot_atom {
        return Err(rule());
    }
    let host = format!("org-{}.serviceaccount.com", id::encode(organization_id.uuid()));
    Ok(NewUser {
        name: Name::parse(name.to_owned()).map_err(|_| rule())?,
        email: EmailAddress::parse(&format!("{name}@{host}")).map_err(|_| rule())?,
        lastname: None,
        title: None,
        credential: Credential::Unset,
        permission_level: PermissionLevel::Collaborator,
    })
}

fn taken(user: &NewUser) -> Error {
    let name = user.name.as_str();
    Error::new(Code::Conflict, format!("a collaborator named {name} exists already: take another name"))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_name_makes_an_address_whose_host_is_valid() {
        let organization_id = Id::from_uuid(Uuid::from_u128(7));
        let user = new_user(organization_id, "ci_Bot-2.eu").unwrap();
        assert_eq!(user.email.as_str(), "ci_Bot-2.eu@org-00000000000000000000000007.serviceaccount.com");
        assert_eq!(user.email.key(), "ci_bot-2.eu@org-00000000000000000000000007.serviceaccount.com");
        assert!(new_user(organization_id, &"a".repeat(64)).is_ok());
        for name in ["", ".a", "a.", "a..b", "a b", "a@b", "ä", "a\n", &"a".repeat(65)] {
            assert_eq!(new_user(organization_id, name).unwrap_err().code(), Code::InvalidRequest, "{name:?}");
        }
    }
}
