//! Reading the audit log.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{ActorKind, Outcome, TargetKind};
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::{Error, RETRY_SOON, Result};
use crate::id::{self, ApiKey, Batch, Event, Id, Invitation, Organization, Request, User};
use crate::page::{Page, PageRequest};
use crate::postgres::ErrorClass;

const TOO_WIDE: &str = "reading the audit log took too long; a shorter range of time (`since` and `until`) is faster";

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
/// The order is that of `occurred_at`, the time of the database at which the transaction began; within one time, that of
/// the event IDs, which is the order of the events of a change. An entry becomes visible when its transaction commits, so
/// it can appear behind entries that were visible before. Until the log has a sequence, no order is that of the commits.
///
/// The pages and time limits are ranges of the index `audit_events_time`, which also has the actions and actors: an
/// index for each of them would cost another write with every event, for a filter that is rarely used.
///
/// # Errors
/// `forbidden` unless the caller is an owner. `overloaded` when the read, or those before it, take too long.
pub async fn list(app: &App, caller: &Caller, filter: &Filter, page: &PageRequest<Event>) -> Result<Page<Entry>> {
    app.authorize(caller, Action::AuditList).await?;
    let turn = app.audit_turns.of(caller.organization_id).lock_owned();
    let turn = app.in_time(turn).await.map_err(|_| Error::overloaded(TOO_WIDE, RETRY_SOON))?;
    let (pool, organization_id) = (app.db.interactive.clone(), caller.organization_id);
    let (after, limit) = (page.after.unwrap_or(Id::MAX), page.limit());
    let (since, until, action, actor) = (filter.since, filter.until, filter.action, filter.actor);
    // The query continues when the client leaves, so the turn lasts until it ends.
    let read = async move {
        let _turn = turn;
        let mut read = Box::pin(pool.acquire()).await?;
        sqlx::query!(
            r#"
        with listed as (
            select event_id from audit_events
            where organization_id = $1
                and (occurred_at, event_id) < (
                    coalesce((select occurred_at from audit_events where organization_id = $1 and event_id = $2),
                        'infinity'),
                    $2::uuid
                )
                and occurred_at >= coalesce($3::timestamptz, '-infinity')
                and occurred_at < coalesce($4::timestamptz, 'infinity')
                and ($5::text is null or action = $5)
                and ($6::uuid is null or actor_id = $6 or actor_id in (
                    select key_id from api_keys where organization_id = $1 and user_id = $6
                ))
            order by occurred_at desc, event_id desc
            limit $7
        )
        select
            event_id as "event_id: Id<Event>", occurred_at, actor_kind as "actor_kind: ActorKind", actor_id,
            api_keys.name as "actor_name?", action, outcome as "outcome: Outcome", reason,
            target_kind, target_id, batch_id as "batch_id: Id<Batch>",
            request_id as "request_id: Id<Request>", host(source_address) as source_address, details
        from audit_events
        left join api_keys on api_keys.organization_id = $1 and api_keys.key_id = audit_events.actor_id
        where audit_events.organization_id = $1 and event_id in (select event_id from listed)
        order by occurred_at desc, event_id desc
        "#,
            organization_id as Id<Organization>,
            after as Id<Event>,
            since,
            until,
            action.map(Action::as_str),
            actor.map(|actor| actor.0),
            limit,
        )
        .fetch_all(&mut *read)
        .await
    };
    let rows = app.start_task(read).await.map_err(Error::internal)?.map_err(|error| match ErrorClass::of(&error) {
        ErrorClass::TimedOut => Error::overloaded(TOO_WIDE, RETRY_SOON).with_source(error),
        _ => error.into(),
    })?;
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
