//! What a list would create, in numbers.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::batches::Planned;
use crate::caller::PermissionLevel;
use crate::users::{Credential, NewUser};

/// The most people and domains that are named.
const MOST_NAMED: usize = 20;

/// What would be created.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PlanSummary {
    /// The plan, to which the batch is bound.
    pub(crate) plan: String,
    pub(crate) users: usize,
    pub(crate) with_sso: usize,
    pub(crate) with_password: usize,
    /// With the hash of a password.
    pub(crate) with_hash: usize,
    /// With no way to sign in.
    pub(crate) without: usize,
    pub(crate) owners: usize,
    /// The domains with the most people, and their numbers.
    pub(crate) domains: Vec<(String, usize)>,
    /// The number of other domains.
    pub(crate) more_domains: usize,
    /// The number of people whose domain nobody else of the list has, if most have a common one.
    pub(crate) lone_domains: usize,
    /// The first people, owners before the others.
    pub(crate) people: Vec<PlannedPerson>,
}

/// A person who would be created.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PlannedPerson {
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) email: String,
    /// How the person signs in.
    pub(crate) sign_in: String,
    pub(crate) is_owner: bool,
}

impl PlanSummary {
    /// `line` is the line of a row of the list.
    pub(super) fn new(planned: &Planned, line: impl Fn(usize) -> usize) -> Self {
        let mut summary = Self { plan: planned.plan.to_string(), users: planned.users.len(), ..Self::default() };
        let mut users_of: HashMap<&str, usize> = HashMap::new();
        for user in &planned.users {
            *users_of.entry(user.email.domain()).or_default() += 1;
            let count = match &user.credential {
                Credential::Sso => &mut summary.with_sso,
                Credential::Password(_) => &mut summary.with_password,
                Credential::Imported { .. } => &mut summary.with_hash,
                Credential::Unset => &mut summary.without,
            };
            *count += 1;
            summary.owners += usize::from(is_owner(user));
        }
        let mut domains: Vec<(&str, usize)> = users_of.into_iter().collect();
        domains.sort_by_key(|(domain, users)| (std::cmp::Reverse(*users), *domain));
        let lone = domains.iter().filter(|(_, users)| *users == 1).count();
        if domains.first().is_some_and(|(_, users)| *users > 1) {
            summary.lone_domains = lone;
        }
        summary.more_domains = domains.len().saturating_sub(MOST_NAMED);
        summary.domains =
            domains.into_iter().take(MOST_NAMED).map(|(domain, users)| (domain.to_owned(), users)).collect();
        let mut people: Vec<(usize, &NewUser)> = planned.users.iter().enumerate().collect();
        people.sort_by_key(|(_, user)| !is_owner(user));
        let person = |(index, user): (usize, &NewUser)| PlannedPerson {
            line: line(index),
            name: match &user.lastname {
                Some(lastname) if !lastname.as_str().is_empty() => {
                    format!("{} {}", user.name.as_str(), lastname.as_str())
                }
                _ => user.name.as_str().to_owned(),
            },
            email: user.email.as_str().to_owned(),
            sign_in: match &user.credential {
                Credential::Sso => "SSO",
                Credential::Password(_) => "Password",
                Credential::Imported { .. } => "Password hash",
                Credential::Unset => "None yet",
            }
            .to_owned(),
            is_owner: is_owner(user),
        };
        summary.people = people.into_iter().take(MOST_NAMED).map(person).collect();
        summary
    }
}

fn is_owner(user: &NewUser) -> bool {
    user.permission_level == PermissionLevel::Owner
}
