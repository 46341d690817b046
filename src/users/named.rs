//! Users who exist, as lists name them: by id or by address, which no id looks like. So one column of a file is
//! enough, whatever its writer has, and `email` is free to mean a new address.

use std::collections::HashMap;

use super::{EmailAddress, read};
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, User};
use crate::report::Finding;
use crate::rows::Field;

/// Who is meant.
#[derive(Debug)]
pub(crate) enum Named {
    ById(Id<User>),
    ByAddress(EmailAddress),
}

impl Named {
    /// Takes a row's `user` as it was sent. What it can't be taken for joins the findings.
    pub(crate) fn check(sent: Field<String>, index: usize, findings: &mut Vec<Finding>) -> Option<Self> {
        match sent {
            Field::Wrong => None,
            Field::Missing => {
                findings.push(Finding::field(index, "user", "missing", "is missing"));
                None
            }
            Field::Is(text) => {
                let named = Self::parse(&text);
                if named.is_none() {
                    let message = "has to be the id of a user (usr_…) or an e-mail address";
                    findings.push(Finding::field(index, "user", "user_invalid", message));
                }
                named
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        // No address is an id: that has no @.
        match text.parse() {
            Ok(user_id) => Some(Self::ById(user_id)),
            Err(_) => EmailAddress::parse(text).ok().map(Self::ByAddress),
        }
    }

    /// As it was written.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::ById(user_id) => user_id.to_string(),
            Self::ByAddress(address) => address.as_str().to_owned(),
        }
    }

    const fn address(&self) -> Option<&EmailAddress> {
        match self {
            Self::ById(_) => None,
            Self::ByAddress(address) => Some(address),
        }
    }
}

/// The ids of those who are named, in the order of the list: of an address that somebody has, and each that is an id,
/// whether or not there is such a user.
pub(crate) async fn ids(change: &mut Change, named: &[&Named]) -> Result<Vec<Option<Id<User>>>> {
    let addresses: Vec<&str> = named.iter().filter_map(|named| Some(named.address()?.key())).collect();
    let organization_id = change.organization_id();
    let holders: HashMap<String, Id<User>> = match addresses.is_empty() {
        true => HashMap::new(),
        false => read::by_address(change.connection(), organization_id, &addresses).await?.into_iter().collect(),
    };
    let id_of = |named: &&Named| match named {
        Named::ById(user_id) => Some(*user_id),
        Named::ByAddress(address) => holders.get(address.key()).copied(),
    };
    Ok(named.iter().map(id_of).collect())
}
