//! Reading the audit log.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActorFilter, ActorKind, Filter, Outcome, TargetKind, filter};
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::{Error, RETRY_SOON, Result};
use crate::id::{self, Batch, Event, Id, Organization, Request, User};
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
    /// The user on whose behalf an API key or a session acted.
    pub actor_user_id: Option<Id<User>>,
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
    /// The name of the batch's file, as its sender named it.
    pub file_name: Option<String>,
    /// The HTTP request that led to the event.
    pub request_id: Option<Id<Request>>,
    /// The IP address of the client.
    pub source_address: Option<String>,
    /// Fields that only some actions have.
    pub details: Value,
}

/// Lists entries, newest first.
///
/// The order is that of `occurred_at`, the time of the database at which the transaction began; within one time, that of
/// the event IDs, which is the order of the events of a change. An entry becomes visible when its transaction commits, so
/// it can appear behind entries that were visible before. Until the log has a sequence, no order is that of the commits.
///
/// The pages and time limits are ranges of the index `audit_events_by_time`, which also has the actions, the actors and their users: an
/// index for each of them would cost another write with every event, for a filter that is rarely used. Events of a target, a batch,
/// a request or actors without IDs are found by indexes of their own, and then sorted.
///
/// # Errors
/// `forbidden` unless the caller is an owner. `not_found` for the name of an actor that does not exist. `overloaded` when the read,
/// or those before it, take too long.
pub async fn list(app: &App, caller: &Caller, filter: Filter, page: &PageRequest<Event>) -> Result<Page<Entry>> {
    app.authorize(caller, Action::AuditList).await?;
    let turn = app.audit_turns.of(caller.organization_id).lock_owned();
    let turn = app.in_time(turn).await.map_err(|_| Error::overloaded(TOO_WIDE, RETRY_SOON))?;
    let (reader, organization_id) = (app.clone(), caller.organization_id);
    let (after, limit) = (page.after.unwrap_or(Id::MAX), page.limit());
    // The query continues when the client leaves, so the turn lasts until it ends.
    let read = async move {
        let _turn = turn;
        let mut connection = reader.reader(&reader.db.interactive).await?;
        let query = Query {
            organization_id,
            after,
            limit,
            since: filter.since,
            until: filter.until,
            action: filter.action.map(Action::as_str),
            actor_ids: filter::actor_ids(&mut connection, organization_id, filter.actor.as_ref()).await?,
            actor_kind: match filter.actor {
                Some(ActorFilter::Kind(kind)) => Some(kind.as_str()),
                Some(ActorFilter::Id(_) | ActorFilter::Named(_)) | None => None,
            },
            target_ids: filter::target_ids(&reader, &mut connection, organization_id, filter.target.as_ref()).await?,
            batch_id: filter.batch,
            request_id: filter.request,
        };
        Ok::<_, Error>(query.run(&mut connection).await?)
    };
    let rows = app.start_task(read).await.map_err(Error::internal)?.map_err(|error| match error.class() {
        Some(ErrorClass::TimedOut) => Error::overloaded(TOO_WIDE, RETRY_SOON).with_source(error),
        _ => error,
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
            actor_user_id: row.actor_user_id,
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
            file_name: row.file_name,
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

/// A filter with the IDs of its actors and targets, and a page.
struct Query {
    organization_id: Id<Organization>,
    after: Id<Event>,
    limit: i64,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    action: Option<&'static str>,
    actor_ids: Option<Vec<Uuid>>,
    actor_kind: Option<&'static str>,
    target_ids: Option<Vec<Uuid>>,
    batch_id: Option<Id<Batch>>,
    request_id: Option<Id<Request>>,
}

/// A row of the log, with current names.
struct Row {
    event_id: Id<Event>,
    occurred_at: DateTime<Utc>,
    actor_kind: ActorKind,
    actor_id: Option<Uuid>,
    actor_name: Option<String>,
    actor_user_id: Option<Id<User>>,
    action: String,
    outcome: Outcome,
    reason: Option<String>,
    target_kind: Option<String>,
    target_id: Option<Uuid>,
    batch_id: Option<Id<Batch>>,
    file_name: Option<String>,
    request_id: Option<Id<Request>>,
    source_address: Option<String>,
    details: Value,
}

/// The rows of the events that a query selects, with the conditions and the page that all queries have.
macro_rules! rows {
    ($listed:literal, $($values:tt)+) => {
        sqlx::query_as!(
            Row,
            "with listed as (" + $listed + r#"
                and (occurred_at, event_id) < (
                    coalesce((select occurred_at from audit_events where organization_id = $1 and event_id = $2),
                        'infinity'),
                    $2::uuid
                )
                and occurred_at >= coalesce($3::timestamptz, '-infinity')
                and occurred_at < coalesce($4::timestamptz, 'infinity')
                and ($5::text is null or action = $5)
                and ($6::uuid[] is null or actor_id = any($6) or actor_user_id = any($6))
                order by occurred_at desc, event_id desc
                limit $7
            )
            select
                event_id as "event_id: Id<Event>", occurred_at, actor_kind as "actor_kind: ActorKind", actor_id,
                api_keys.name as "actor_name?", actor_user_id as "actor_user_id: Id<User>", action, outcome as "outcome: Outcome", reason, target_kind, target_id,
                audit_events.batch_id as "batch_id: Id<Batch>", batches.file_name as "file_name?",
                audit_events.request_id as "request_id: Id<Request>", host(source_address) as source_address, details
            from audit_events
            left join api_keys on api_keys.organization_id = $1 and api_keys.key_id = audit_events.actor_id
            left join batches on batches.organization_id = $1 and batches.batch_id = audit_events.batch_id
            where audit_events.organization_id = $1 and event_id in (select event_id from listed)
            order by occurred_at desc, event_id desc
            "#,
            $($values)+
        )
    };
}

impl Query {
    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<Row>> {
        let is_of_object = self.target_ids.is_some() || self.batch_id.is_some() || self.request_id.is_some();
        match is_of_object || self.actor_kind.is_some() {
            true => self.by_object(connection).await,
            false => self.by_time(connection).await,
        }
    }

    async fn by_time(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<Row>> {
        rows!(
            r#"
            select event_id from audit_events
            where organization_id = $1
            "#,
            self.organization_id as Id<Organization>,
            self.after as Id<Event>,
            self.since,
            self.until,
            self.action,
            self.actor_ids.as_deref(),
            self.limit,
        )
        .fetch_all(connection)
        .await
    }

    /// Of the four ways to find events, one runs, whatever plan PostgreSQL has cached. `offset 0` keeps the other conditions out of
    /// it: PostgreSQL would rather read the index by time, and all events of the organization.
    async fn by_object(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<Row>> {
        rows!(
            r#"
            select event_id from (
                (select * from audit_events where organization_id = $1 and target_id = any($8::uuid[]) offset 0)
                union all
                (select * from audit_events where $8::uuid[] is null and organization_id = $1 and batch_id = $9 offset 0)
                union all
                (select * from audit_events
                where $8::uuid[] is null and $9::uuid is null and organization_id = $1 and request_id = $10 offset 0)
                union all
                (select * from audit_events
                where $8::uuid[] is null and $9::uuid is null and $10::uuid is null and organization_id = $1
                    and actor_id is null and actor_kind = $11 offset 0)
            ) found
            where ($9::uuid is null or batch_id = $9)
                and ($10::uuid is null or request_id = $10)
                and ($11::text is null or actor_kind = $11)
            "#,
            self.organization_id as Id<Organization>,
            self.after as Id<Event>,
            self.since,
            self.until,
            self.action,
            self.actor_ids.as_deref(),
            self.limit,
            self.target_ids.as_deref(),
            self.batch_id as Option<Id<Batch>>,
            self.request_id as Option<Id<Request>>,
            self.actor_kind,
        )
        .fetch_all(connection)
        .await
    }
}
