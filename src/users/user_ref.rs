//! References to existing users in lists: a user ID or an e-mail address. The two can't be confused, so one column of
//! a file is enough for either, and the field `email` is free to mean a new address.

use std::collections::HashMap;

use super::{EmailAddress, read};
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, User};
use crate::report::{Finding, Findings, Report};
use crate::rows::Field;

/// A reference to a user.
#[derive(Debug)]
pub(crate) enum UserRef {
    ById(Id<User>),
    ByAddress(EmailAddress),
}

impl UserRef {
    /// Validates a row's `user`. A missing or malformed reference becomes a finding.
    pub(crate) fn check(sent: Field<String>, index: usize, findings: &mut Findings) -> Option<Self> {
        match sent {
            Field::Wrong => None,
            Field::Missing | Field::Null => {
                findings.push(Finding::field(index, "user", "missing", "is missing"));
                None
            }
            Field::Is(text) => {
                let user = Self::parse(&text);
                if user.is_none() {
                    let message = "must be a user ID (`usr_…`) or an e-mail address";
                    findings.push(Finding::field(index, "user", "user_invalid", message));
                }
                user
            }
        }
    }

    /// Parses a user ID or an e-mail address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // No text is both: an ID has no `@`.
        match text.parse() {
            Ok(user_id) => Some(Self::ById(user_id)),
            Err(_) => EmailAddress::parse(text).ok().map(Self::ByAddress),
        }
    }

    /// The reference as it was written.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::ById(user_id) => user_id.to_string(),
            Self::ByAddress(address) => address.as_str().to_owned(),
        }
    }

    /// Whether this is a reference to a user found by it, who has this address by now.
    pub(crate) fn is_of(&self, email_key: &str) -> bool {
        self.address().is_none_or(|address| address.key() == email_key)
    }

    const fn address(&self) -> Option<&EmailAddress> {
        match self {
            Self::ById(_) => None,
            Self::ByAddress(address) => Some(address),
        }
    }
}

/// Resolves references to user IDs, in the order of the list: `None` for an address that no user has. A reference by ID
/// resolves even if the user does not exist.
pub(crate) async fn ids(change: &mut Change, users: &[&UserRef]) -> Result<Vec<Option<Id<User>>>> {
    let addresses: Vec<&str> = users.iter().filter_map(|user| Some(user.address()?.key())).collect();
    let organization_id = change.organization_id();
    let holders: HashMap<String, Id<User>> = match addresses.is_empty() {
        true => HashMap::new(),
        false => read::by_address(change.connection(), organization_id, &addresses, None).await?,
    };
    let id_of = |user: &&UserRef| match user {
        UserRef::ById(user_id) => Some(*user_id),
        UserRef::ByAddress(address) => holders.get(address.key()).copied(),
    };
    Ok(users.iter().map(id_of).collect())
}

/// Matches the rows of a list, each with its index, its reference and the field that has the reference, with the users that were resolved and that
/// `is_found` accepts. Unknown users, and users that an earlier row names, become findings. Returns the other rows, by
/// their place in `rows`.
pub(crate) fn distinct<'a>(
    rows: impl Iterator<Item = (usize, &'a UserRef, &'static str)>,
    ids: Vec<Option<Id<User>>>,
    is_found: impl Fn(&UserRef, Id<User>) -> bool,
    report: &mut Report,
) -> Vec<(usize, Id<User>)> {
    let mut first_with: HashMap<Id<User>, usize> = HashMap::with_capacity(ids.len());
    let mut distinct = Vec::with_capacity(ids.len());
    for (place, ((index, user, field), id)) in rows.zip(ids).enumerate() {
        match id.filter(|id| is_found(user, *id)) {
            None => report.add(Finding::no_such_user(index, field, Some(&user.shown()))),
            Some(id) => match first_with.get(&id) {
                Some(first) => report.add(Finding::user_twice(index, *first, field)),
                None => {
                    first_with.insert(id, index);
                    distinct.push((place, id));
                }
            },
        }
    }
    distinct
}
