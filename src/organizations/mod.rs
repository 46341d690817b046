//! Organizations, the tenants of a server.

mod read;
mod write;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::app::App;
use crate::audit::Target;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Code, Error, Result};
use crate::id::{Id, Organization};
use crate::keys::{self, KeySpec, NewKey};
use crate::users::write::AddressTaken;
use crate::users::{self, Account, InvalidText, Name, NewUser};

pub(crate) use read::name;
pub use read::{Summary, first, list, max_key_days, only_name};

/// Creates the organization of a new database, with its first owner and the owner's key. For [`crate::setup`].
pub(crate) async fn create_default(app: &App) -> Result<NewKey> {
    let identifier = Identifier("default".to_owned());
    Ok(make(app, "Default organization", &identifier).await?.1)
}

/// Creates an organization, its first owner, and the owner's API key. For the local operator.
///
/// # Errors
/// `forbidden`; `invalid_request` for a name that is blank, longer than 255 characters or contains a control
/// character; `conflict` if the identifier is taken.
pub async fn create(app: &App, caller: &Caller, name: &str, identifier: &Identifier) -> Result<(Summary, NewKey)> {
    app.authorize(caller, Action::OrganizationCreate).await?;
    make(app, parse_name(name)?.as_str(), identifier).await
}

async fn make(app: &App, name: &str, Identifier(public_identifier): &Identifier) -> Result<(Summary, NewKey)> {
    let organization_id = Id::<Organization>::new(app.clock.now());
    let operator = Caller::operator(organization_id);
    // A conflict leaves no audit event: the organization that would log it does not exist.
    app.change(&operator, Action::OrganizationCreate, Target::Nothing, async |change| {
        write::create(change, name, public_identifier).await?;
        let administrator = Account {
            user_id: Id::new(change.now()),
            identity_id: Id::new(change.now()),
            user: NewUser::administrator()?,
            password: None,
        };
        let user_id = administrator.user_id;
        let created = users::write::create(change, None, false, &[administrator]).await?;
        created.map_err(|AddressTaken| Error::internal("a new organization has a user already"))?;
        let spec = KeySpec { user_id: Some(user_id), ..KeySpec::new("first key", PermissionLevel::Owner) };
        let key = keys::add(app, change, &spec).await?;
        let (name, public_identifier) = (name.to_owned(), public_identifier.clone());
        Ok((Summary { organization_id, name, public_identifier, created_at: change.now() }, key))
    })
    .await
}

/// Renames the caller's organization.
///
/// # Errors
/// `forbidden`; `invalid_request` as for [`create`]; `not_found`.
pub async fn rename(app: &App, caller: &Caller, name: &str) -> Result<Summary> {
    app.change(caller, Action::OrganizationRename, Target::Organization(caller.organization_id), async |change| {
        write::rename(change, parse_name(name)?.as_str()).await
    })
    .await
}

/// The longest maximum lifetime of API keys, in days: a hundred years.
const LONGEST_KEY_DAYS: u32 = 36_500;

/// Sets the maximum lifetime of API keys that the caller's organization creates or rotates; `None` for no limit but
/// `keys.max_days`. The maximum is read after the permission check.
///
/// # Errors
/// `forbidden`; any error of reading the maximum; `invalid_request` for 0 days or more than a hundred years.
pub async fn set_max_key_days(
    app: &App,
    caller: &Caller,
    max_days: impl Future<Output = Result<Option<u32>>>,
) -> Result<Option<u32>> {
    app.authorize(caller, Action::KeyExpirationSet).await?;
    let max_days = max_days.await?;
    if max_days.is_some_and(|days| !(1..=LONGEST_KEY_DAYS).contains(&days)) {
        return Err(Error::invalid(format!(
            "the maximum lifetime of API keys must be 1 to {LONGEST_KEY_DAYS} days, or `null` for no maximum of the \
             organization"
        )));
    }
    let target = Target::Organization(caller.organization_id);
    app.change(caller, Action::KeyExpirationSet, target, async |change| {
        write::set_max_key_days(change, max_days).await?;
        Ok(max_days)
    })
    .await
}

fn parse_name(name: &str) -> Result<Name> {
    Name::parse(name.to_owned()).map_err(|why| Error::invalid(format!("an organization's name {}", rule(why))))
}

fn rule(why: InvalidText) -> Cow<'static, str> {
    match why {
        InvalidText::Empty => "must not be empty".into(),
        InvalidText::TooLong => "must have at most 255 characters".into(),
        why @ InvalidText::ControlCharacter(_) => why.message(),
    }
}

/// The local operator, in the oldest organization.
///
/// # Errors
/// `not_found` if there is no organization yet.
pub async fn operator(app: &App) -> Result<Caller> {
    Ok(Caller::operator(first(app).await?.ok_or_else(read::none_yet)?))
}

/// The local operator, in the organization with the given ID or identifier, or else in the only organization.
///
/// # Errors
/// `not_found` if there is no such organization, or none at all; `conflict` if there are several and `named` is `None`.
pub async fn operator_in(app: &App, named: Option<&str>) -> Result<Caller> {
    let found = match named {
        Some(named) => read::find(app, named).await?.ok_or_else(|| {
            let shown: String = named.chars().take(LONGEST_IDENTIFIER).filter(|c| !c.is_control()).collect();
            Error::new(
                Code::NotFound,
                format!("there is no organization `{shown}`; `muster organization list` shows all organizations"),
            )
        })?,
        None => read::only(app).await?,
    };
    Ok(Caller::operator(found))
}

/// The maximum length of an identifier, in characters: that of a label of a domain name (RFC 1035, section 2.3.4).
const LONGEST_IDENTIFIER: usize = 63;

/// The unique short name of an organization: lowercase letters, digits and `-`, starting with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier(String);

impl FromStr for Identifier {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let first = text.bytes().next().is_some_and(is_plain);
        if first && text.len() <= LONGEST_IDENTIFIER && text.bytes().all(|byte| is_plain(byte) || byte == b'-') {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "must be 1 to {LONGEST_IDENTIFIER} lowercase letters (a-z), digits and `-`, starting with a letter or digit"
        ))
    }
}

impl Identifier {
    /// Derives an identifier from a name: `Société Générale` becomes `soci-t-g-n-rale`. `None` for a name without any
    /// usable character.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let plain = name.to_lowercase().replace(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit(), "-");
        let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
        let text: String = words.join("-").chars().take(LONGEST_IDENTIFIER).collect();
        text.trim_end_matches('-').parse().ok()
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_a_short_lowercase_label() {
        for good in ["a", "0-a", &"a".repeat(63)] {
            assert_eq!(good.parse::<Identifier>().unwrap().to_string(), good);
        }
        for bad in ["", "-a", "A", "a_b", "ä", "a b", &"a".repeat(64)] {
            assert!(bad.parse::<Identifier>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_identifier_is_derived_from_the_usable_characters_of_a_name() {
        let of = |name: &str| Identifier::of_name(name).map(|identifier| identifier.to_string());
        assert_eq!(of("Acme, Inc. (EU)").as_deref(), Some("acme-inc-eu"));
        assert_eq!(of(&"a ".repeat(100)).map(|text| text.len()), Some(63));
        assert_eq!(of("密"), None);
    }
}
