//! Reading the audit log.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::Result;
use crate::id::{ApiKey, Event, Id, Invitation, Request, User};
use crate::page::{Page, PageRequest};

/// One entry, as it is shown.
#[derive(Debug)]
pub struct Entry {
    /// Which.
    pub event_id: Id<Event>,
    /// When, in UTC.
    pub occurred_at: DateTime<Utc>,
    /// `api_key`, `invitation`, `operator` or `anonymous`.
    pub actor_kind: String,
    /// The key's id; `None` for kinds without one.
    pub actor_id: Option<String>,
    /// The key's name today.
    pub actor_name: Option<String>,
    /// The dotted name of what was asked for.
    pub action: String,
    /// `success`, `denied` or `rejected`.
    pub outcome: String,
    /// Why it was denied or rejected.
    pub reason: Option<String>,
    /// `user`, `batch`, `api_key`, `group`, `invitation`, `organization`.
    pub target_kind: Option<String>,
    /// The id of what it was done to.
    pub target_id: Option<String>,
    /// The batch it belongs to.
    pub batch_id: Option<String>,
    /// The request it came in with.
    pub request_id: Option<Id<Request>>,
    /// Where the request came from.
    pub source_address: Option<String>,
    /// What else is worth knowing.
    pub details: Value,
}

/// Which entries are asked for.
#[derive(Debug, Default)]
pub struct Filter {
    /// Only those of this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only those before this time.
    pub until: Option<DateTime<Utc>>,
    /// Only those of this action.
    pub action: Option<Action>,
    /// Only those of this actor.
    pub actor: Option<Who>,
}

/// Who acted: an API key, whoever came with an invitation, or a user with any of the keys that are theirs. The keys of a
/// user who was deleted are asked for one by one.
#[derive(Clone, Copy, Debug)]
pub struct Who(Uuid);

impl FromStr for Who {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        text.parse::<Id<ApiKey>>()
            .map(Id::uuid)
            .or_else(|_| text.parse::<Id<User>>().map(Id::uuid))
            .or_else(|_| text.parse::<Id<Invitation>>().map(Id::uuid))
            .map(Self)
            .map_err(|_| "has to be the id of an API key (`key_…`), a user (`usr_…`) or an invitation (`orginv_…`)")
    }
}

/// Lists entries, newest first.
///
/// The order is that of the event ids, which carry `occurred_at`: a page that was read
/// once reads the same later, and new entries only ever come before the first page. Times and pages are ranges of the
/// primary key. Within them actions and actors are looked for row by row: an index for each would be one more write with
/// every event, for questions that are seldom asked.
///
/// # Errors
/// `forbidden` unless the caller is an owner.
pub async fn list(app: &App, caller: &Caller, filter: &Filter, page: &PageRequest<Event>) -> Result<Page<Entry>> {
    let mut read = app.read(caller, Action::AuditList).await?;
    let rows = sqlx::query!(
        r#"
        select
            event_id as "event_id: Id<Event>", occurred_at, actor_kind, actor_id, api_keys.name as "actor_name?",
            action, outcome, reason, target_kind, target_id, batch_id,
            request_id as "request_id: Id<Request>", host(source_address) as source_address, details
        from audit_events
        left join api_keys
            on api_keys.organization_id = audit_events.organization_id and api_keys.key_id = audit_events.actor_id
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
        caller.organization_id.uuid(),
        page.after.map(Id::uuid),
        filter.since.map(|since| Id::<Event>::lowest_at(since).uuid()),
        filter.until.map(|until| Id::<Event>::lowest_at(until).uuid()),
        filter.action.map(Action::as_str),
        filter.actor.map(|who| who.0),
        page.limit(),
    )
    .fetch_all(&mut *read)
    .await?;
    let entries = rows
        .into_iter()
        .map(|row| Entry {
            event_id: row.event_id,
            occurred_at: row.occurred_at,
            actor_id: row.actor_id.map(|id| shown(&row.actor_kind, id)),
            actor_kind: row.actor_kind,
            actor_name: row.actor_name,
            action: row.action,
            outcome: row.outcome,
            reason: row.reason,
            target_id: row.target_kind.as_deref().zip(row.target_id).map(|(kind, id)| shown(kind, id)),
            target_kind: row.target_kind,
            batch_id: row.batch_id.map(|id| shown("batch", id)),
            request_id: row.request_id,
            source_address: row.source_address,
            details: row.details,
        })
        .collect();
    Ok(Page::new(page, entries, |entry| entry.event_id))
}

/// An id with the prefix of its kind.
fn shown(kind: &str, uuid: Uuid) -> String {
    use crate::id::{Batch, Group, Organization};
    match kind {
        "api_key" => Id::<ApiKey>::from_uuid(uuid).to_string(),
        "batch" => Id::<Batch>::from_uuid(uuid).to_string(),
        "group" => Id::<Group>::from_uuid(uuid).to_string(),
        "invitation" => Id::<Invitation>::from_uuid(uuid).to_string(),
        "organization" => Id::<Organization>::from_uuid(uuid).to_string(),
        "user" => Id::<User>::from_uuid(uuid).to_string(),
        _ => uuid.to_string(),
    }
}
