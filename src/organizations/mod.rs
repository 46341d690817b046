//! Organizations: the tenants.

mod read;
mod write;

use std::fmt;
use std::str::FromStr;

use chrono::Duration;

use crate::app::App;
use crate::audit::Target;
use crate::caller::{Action, Caller, PermissionLevel};
use crate::error::{Code, Error, Result};
use crate::id::{Id, Organization};
use crate::keys::{self, NewKey};
use crate::users::{self, Account, InvalidText, Name, NewUser};

pub use read::{Summary, first, list};

/// Creates the organization of a new database, with its first owner and the owner's key. For [`crate::setup`].
pub(crate) async fn create_default(app: &App) -> Result<NewKey> {
    let identifier = Identifier("default".to_owned());
    Ok(make(app, "Default organization", &identifier).await?.1)
}

/// Makes an organization, with its first owner and their key. For the local operator.
///
/// # Errors
/// `forbidden`; `invalid_request` for a name that is blank, has more than 255 characters or a control character;
/// `conflict` when another organization has the identifier.
pub async fn create(app: &App, caller: &Caller, name: &str, identifier: &Identifier) -> Result<(Summary, NewKey)> {
    app.authorize(caller, Action::OrganizationCreate).await?;
    make(app, parse_name(name)?.as_str(), identifier).await
}

async fn make(app: &App, name: &str, Identifier(public_identifier): &Identifier) -> Result<(Summary, NewKey)> {
    let organization_id = Id::<Organization>::new(app.clock.now());
    let operator = Caller::operator(organization_id);
    // A refusal is recorded nowhere: the organization in whose log it would stand is not there.
    app.change(&operator, Action::OrganizationCreate, Target::Nothing, async |change| {
        write::create(change, name, public_identifier).await?;
        let administrator = Account {
            user_id: Id::new(change.now()),
            identity_id: Id::new(change.now()),
            user: NewUser::administrator()?,
            password: None,
        };
        let user_id = administrator.user_id;
        let administrator = [administrator];
        users::write::insert(change, None, &administrator).await?;
        users::write::insert_collaborators(change, &administrator).await?;
        let lifetime = Duration::days(i64::from(app.config.keys.default_days));
        let key = keys::add(change, "first key", PermissionLevel::Owner, lifetime, Some(user_id)).await?;
        let (name, public_identifier) = (name.to_owned(), public_identifier.clone());
        Ok((Summary { organization_id, name, public_identifier, created_at: change.now() }, key))
    })
    .await
}

/// Gives the caller's organization another name.
///
/// # Errors
/// `forbidden`; `invalid_request` as for [`create`]; `not_found`.
pub async fn rename(app: &App, caller: &Caller, name: &str) -> Result<Summary> {
    app.change(caller, Action::OrganizationRename, Target::Organization(caller.organization_id), async |change| {
        write::rename(change, parse_name(name)?.as_str()).await
    })
    .await
}

fn parse_name(name: &str) -> Result<Name> {
    Name::parse(name.to_owned()).map_err(|why| Error::invalid(format!("an organization's name {}", rule(why))))
}

const fn rule(why: InvalidText) -> &'static str {
    match why {
        InvalidText::Empty => "must not be empty",
        InvalidText::TooLong => "has to have 255 characters at most",
        InvalidText::ControlCharacter => "has to be one line without control characters",
    }
}

/// The local operator, in the oldest organization.
///
/// # Errors
/// `not_found` when the database has none yet.
pub async fn operator(app: &App) -> Result<Caller> {
    Ok(Caller::operator(first(app).await?.ok_or_else(read::none_yet)?))
}

/// The local operator, in the organization that is named, by id or identifier, or else in the only one that there is.
///
/// # Errors
/// `not_found` when the database has none yet, or none of that name; `conflict` when there are several and none is
/// named.
pub async fn operator_in(app: &App, named: Option<&str>) -> Result<Caller> {
    let found = match named {
        Some(named) => read::find(app, named).await?.ok_or_else(|| {
            let shown: String = named.chars().take(LONGEST_IDENTIFIER).filter(|c| !c.is_control()).collect();
            Error::new(
                Code::NotFound,
                format!("there is no organization `{shown}`: `muster organization list` has them"),
            )
        })?,
        None => read::only(app).await?,
    };
    Ok(Caller::operator(found))
}

/// The longest identifier, in characters: as long as a label of a domain name (RFC 1035, section 2.3.4).
const LONGEST_IDENTIFIER: usize = 63;

/// A short name of an organization, which no other one has: lower-case letters, digits and `-`, a letter or digit
/// first.
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
            "has to be 1 to {LONGEST_IDENTIFIER} lower-case letters (a-z), digits and `-`, a letter or digit first"
        ))
    }
}

impl Identifier {
    /// One that goes with a name: `Société Générale` is `soci-t-g-n-rale`. `None` when the name has nothing for it.
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
    fn identifiers_are_short_and_plain() {
        for good in ["a", "0-a", &"a".repeat(63)] {
            assert_eq!(good.parse::<Identifier>().unwrap().to_string(), good);
        }
        for bad in ["", "-a", "A", "a_b", "ä", "a b", &"a".repeat(64)] {
            assert!(bad.parse::<Identifier>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_gives_an_identifier_if_it_has_anything_for_one() {
        let of = |name: &str| Identifier::of_name(name).map(|identifier| identifier.to_string());
        assert_eq!(of("Acme, Inc. (EU)").as_deref(), Some("acme-inc-eu"));
        assert_eq!(of(&"a ".repeat(100)).map(|text| text.len()), Some(63));
        assert_eq!(of("密"), None);
    }
}
