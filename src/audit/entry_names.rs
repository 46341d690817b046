//! The names of the objects that entries name by ID. Events contain no names: these are the current ones, and deleted objects have none.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use super::Entry;
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::Result;
use crate::id::{self, Id, Organization};

/// The names of objects, by ID.
#[derive(Debug, Default)]
pub struct Names(HashMap<Uuid, String>);

impl Names {
    /// The current name of an object, given by the text form of its ID; `None` for a deleted one.
    #[must_use]
    pub fn of(&self, id: &str) -> Option<&str> {
        self.0.get(&parse(id)?).map(String::as_str)
    }

    #[cfg(test)]
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(names.into_iter().filter_map(|(id, name)| Some((parse(id)?, name.to_owned()))).collect())
    }
}

/// An ID of any kind.
fn parse(id: &str) -> Option<Uuid> {
    id::decode(id.rsplit_once('_')?.1)
}

/// The most IDs of a list within an entry whose names are looked up.
const LONGEST_LIST: usize = 20;

/// The names of all objects of these entries, in one statement.
///
/// # Errors
/// `forbidden` unless the caller is an owner.
pub async fn names(app: &App, caller: &Caller, entries: &[Entry]) -> Result<Names> {
    let mut ids: Vec<Uuid> = entries.iter().flat_map(ids_of).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(Names::default());
    }
    let mut connection = app.read(caller, Action::AuditList).await?;
    let found = sqlx::query!(
        r#"
        select user_id as "id!", name || coalesce(' ' || nullif(lastname, ''), '') as "name!"
        from users where organization_id = $1 and user_id = any($2)
        union all
        select group_id, name from user_groups where organization_id = $1 and group_id = any($2)
        union all
        select key_id, name from api_keys where organization_id = $1 and key_id = any($2)
        union all
        select provider_id, title from sso_providers where organization_id = $1 and provider_id = any($2)
        union all
        select invitation_id, email from invitations where organization_id = $1 and invitation_id = any($2)
        union all
        select batch_id, file_name from batches
        where organization_id = $1 and batch_id = any($2) and file_name is not null
        "#,
        caller.organization_id as Id<Organization>,
        &ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(Names(found.into_iter().map(|row| (row.id, row.name)).collect()))
}

fn ids_of(entry: &Entry) -> Vec<Uuid> {
    let mut ids = Vec::new();
    ids.extend(entry.actor_id.as_deref().and_then(parse));
    ids.extend(entry.actor_user_id.map(Uuid::from));
    ids.extend(entry.target_id.as_deref().and_then(parse));
    ids.extend(entry.batch_id.map(Uuid::from));
    let values = entry.details.as_object().into_iter().flat_map(|details| details.values());
    for value in values {
        match value {
            Value::String(text) => ids.extend(parse(text)),
            Value::Array(list) => ids.extend(list.iter().take(LONGEST_LIST).filter_map(|id| parse(id.as_str()?))),
            _ => (),
        }
    }
    ids
}
