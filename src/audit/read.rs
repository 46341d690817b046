//! Reading the audit log.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{ActorKind, Outcome, TargetKind};
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::Result;
use crate::id::{self, ApiKey, Batch, Event, Id, Invitation, Organization, Request, User};
use crate::page::{Page, PageRequest};

/// An entry of the log.
#[derive(Debug)]
pub struct Entry {
    /// The event's ID.
    pub event_id: Id<Event>,
    /// The time of the change or the denial, in UTC.
    pub occurred_at: DateTime<Utc>,
    /// The kind of actor.
    pub actor_kind: ActorKind,
    /// The actor's ID; `None` for kinds without one.
    pub actor_id: Option<String>,
    /// The current name of an API key.
    pub actor_name: Option<String>,
    /// The action's dotted name. Newer versions can have written names that this version does not know.
    pub action: String,
    /// How the action ended.
    pub outcome: Outcome,
    /// The code of the reason for a denial or a rejection.
    pub reason: Option<String>,
    /// The kind of target.
    pub target_kind: Option<String>,
    /// The target's ID.
    pub target_id: Option<String>,
    /// The batch that the event is part of.
    pub batch_id: Option<Id<Batch>>,
    /// The HTTP request that led to the event.
    pub request_id: Option<Id<Request>>,
    /// The IP address of the client.
    pub source_address: Option<String>,
    /// Fields that only some actions have.
    pub details: Value,
}

/// Restricts a list of entries.
#[derive(Debug, Default)]
pub struct Filter {
    /// The earliest time, inclusive.
    pub since: Option<DateTime<Utc>>,
    /// The latest time, exclusive.
    pub until: Option<DateTime<Utc>>,
    /// The action.
    pub action: Option<Action>,
    /// The actor.
    pub actor: Option<ActorFilter>,
}

/// The ID of an API key, an invitation, or a user. A user's ID selects the events of all API keys that the user has
/// now; for the keys of a deleted user, filter by each key's ID.
#[derive(Clone, Copy, Debug)]
pub struct ActorFilter(Uuid);

impl FromStr for ActorFilter {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        text.parse::<Id<ApiKey>>()
            .map(Uuid::from)
            .or_else(|_| text.parse::<Id<User>>().map(Uuid::from))
            .or_else(|_| text.parse::<Id<Invitation>>().map(Uuid::from))
            .map(Self)
            .map_err(|_| "must be the ID of an API key (`key_…`), a user (`usr_…`) or an invitation (`orginv_…`)")
    }
}

/// Lists entries, newest first.
///
/// The order is that of the event IDs, which start with `occurred_at`. The log only grows, so a page keeps its
/// content, and new entries appear before the first page only. Time limits and pages are ranges of the primary key.
/// Actions and actors are filtered row by row within the range: an index for each would cost a write with every
/// event, for a filter that is rarely used.
///
/// # Errors
/// `forbidden` unless the caller is an owner.
pub async fn list(app: &App, caller: &Caller, filter: &Filter, page: &PageRequest<Event>) -> Result<Page<Entry>> {
    let mut read = app.read(caller, Action::AuditList).await?;
    let rows = sqlx::query!(
        r#"
        select
            event_id as "event_id: Id<Event>", occurred_at, actor_kind as "actor_kind: ActorKind", actor_id,
            api_keys.name as "actor_name?", action, outcome as "outcome: Outcome", reason,
            target_kind, target_id, batch_id as "batch_id: Id<Batch>",
            request_id as "request_id: Id<Request>", host(source_address) as source_address, details
        from audit_events
        left join api_keys on api_keys.organization_id = $1 and api_keys.key_id = audit_events.actor_id
        where audit_events.organization_id = $1
            and ($2::uuid is null or event_id < $2)
            and ($3::uuid is null or event_id >= $3)
            and ($4::uuid is null or event_id < $4)
            and ($5::text is null or action = $5)
            and ($6::uuid is null or actor_id = $6 or actor_id in (
                select key_id from api_keys where organization_id = $1 and user_id = $6
            ))
        order by event_id desc
        limit $7
        "#,
        caller.organization_id as Id<Organization>,
        page.after as Option<Id<Event>>,
        filter.since.map(Id::lowest_at) as Option<Id<Event>>,
        filter.until.map(Id::lowest_at) as Option<Id<Event>>,
        filter.action.map(Action::as_str),
        filter.actor.map(|actor| actor.0),
        page.limit(),
    )
    .fetch_all(&mut *read)
    .await?;
    let entries = rows
        .into_iter()
        .map(|row| Entry {
            event_id: row.event_id,
            occurred_at: row.occurred_at,
            actor_kind: row.actor_kind,
            actor_id: row.actor_id.map(|id| match row.actor_kind.id_prefix() {
                Some(prefix) => id_text(prefix, id),
                None => id.to_string(),
            }),
            actor_name: row.actor_name,
            action: row.action,
            outcome: row.outcome,
            reason: row.reason,
            // A later version may record kinds that this one does not know.
            target_id: row.target_id.map(|id| match row.target_kind.as_deref().and_then(TargetKind::parse) {
                Some(kind) => id_text(kind.id_prefix(), id),
                None => id.to_string(),
            }),
            target_kind: row.target_kind,
            batch_id: row.batch_id,
            request_id: row.request_id,
            source_address: row.source_address,
            details: row.details,
        })
        .collect();
    Ok(Page::new(page, entries, |entry| entry.event_id))
}

fn id_text(prefix: &str, id: Uuid) -> String {
    format!("{prefix}_{}", id::encode(id))
}
