//! Users and groups by ID, e-mail address or name, as people write them on the command line. An ambiguous name is an error
//! that lists the candidates.

use muster_client::{Client, Collaborator, CollaboratorFilter, Group};

use super::output::{self, full_name};
use super::{Exit, listing};
use crate::id::{self, Id};

/// More candidates are not listed.
const MAX_CANDIDATES: u8 = 50;

/// Finds a user by e-mail address or display name.
pub(super) async fn collaborator(client: &Client, filter: &CollaboratorFilter) -> Result<Collaborator, Exit> {
    let found = client.list_collaborators(filter, MAX_CANDIDATES, None).await?.results;
    let candidates: Vec<String> = found.iter().map(candidate).collect();
    one(found, candidates).map_err(|candidates| match candidates {
        None => Exit::rejected("no such user"),
        Some(candidates) => ambiguous("users", filter.name.as_deref().unwrap_or_default(), &candidates),
    })
}

/// Finds a user by ID, e-mail address or display name; returns the ID.
pub(super) async fn user_id(client: &Client, text: &str) -> Result<String, Exit> {
    if text.parse::<Id<id::User>>().is_ok() {
        return Ok(text.to_owned());
    }
    let filter = match text.contains('@') {
        true => CollaboratorFilter::by_email(text),
        false => CollaboratorFilter { name: Some(text.to_owned()), ..CollaboratorFilter::default() },
    };
    let found = collaborator(client, &filter).await?;
    found.user_id.ok_or_else(|| Exit::usage("the server's response lacks the user's ID"))
}

/// Finds a group by ID or by its name, regardless of case; returns the ID.
pub(super) async fn group_id(client: &Client, text: &str) -> Result<String, Exit> {
    if text.parse::<Id<id::Group>>().is_ok() {
        return Ok(text.to_owned());
    }
    let groups = listing::collect(None, async |count, token| client.list_groups(count, token.as_deref()).await);
    let mut groups: Vec<Group> = groups.await?.into_rows();
    groups.retain(|group| group.name.to_lowercase() == text.to_lowercase());
    let candidates: Vec<String> =
        groups.iter().map(|group| format!("{} ({})", output::clean(&group.id), output::clean(&group.name))).collect();
    one(groups, candidates).map(|group| group.id).map_err(|candidates| match candidates {
        None => Exit::rejected(format!("no group is named `{}`", output::clean(text))),
        Some(candidates) => ambiguous("groups", text, &candidates),
    })
}

/// The only item, else the candidates, if there are any.
fn one<T>(mut found: Vec<T>, candidates: Vec<String>) -> Result<T, Option<Vec<String>>> {
    match found.pop() {
        Some(only) if found.is_empty() => Ok(only),
        Some(_) => Err(Some(candidates)),
        None => Err(None),
    }
}

fn candidate(user: &Collaborator) -> String {
    let name = user.full_name.clone().unwrap_or_else(|| full_name(&user.name, None));
    let user_id = user.user_id.as_deref().unwrap_or_default();
    format!("{} ({}, {})", output::clean(&user.email), output::clean(&name), output::clean(user_id))
}

fn ambiguous(kind: &str, name: &str, candidates: &[String]) -> Exit {
    let count = match candidates.len() {
        many if many >= usize::from(MAX_CANDIDATES) => format!("{MAX_CANDIDATES} {kind} or more"),
        count => format!("{count} {kind}"),
    };
    let list = candidates.join("\n  ");
    Exit::rejected(format!("{count} are named `{}`; use an ID instead:\n  {list}", output::clean(name)))
}
