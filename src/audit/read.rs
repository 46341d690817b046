//! Reading the audit log.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::query::{Query, Row};
use super::{ActionFilter, ActorFilter, ActorKind, Filter, Outcome, OutcomeFilter, TargetKind, filter};
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::{Error, RETRY_SOON, Result};
use crate::id::{self, Batch, Event, Id, Request, User};
use crate::page::{Page, PageRequest, Position, Slice, Span};
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
    /// The kind of program that sent the request. Newer versions can have written kinds that this version does not know.
    pub client: Option<String>,
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
/// index for each of them would cost another write with every event, for a filter that is rarely used. So would one for networks.
/// Events of a target, a batch, a request or actors without IDs are found by indexes of their own, and then sorted.
///
/// # Errors
/// `forbidden` unless the caller is an owner. `not_found` for the name of an actor or a target that does not exist. `overloaded`
/// when the read, or those before it, take too long.
pub async fn list(app: &App, caller: &Caller, filter: Filter, page: &PageRequest<Event>) -> Result<Page<Entry>> {
    let start = Start { at: (None, page.after.unwrap_or(Id::MAX)), is_backward: false, limit: page.limit() };
    let entries = read(app, caller, filter, start).await?;
    Ok(Page::new(page, entries, |entry| entry.event_id))
}

/// As [`list`], in both directions: the later entries are before the earlier ones.
///
/// # Errors
/// As [`list`].
pub async fn list_span(app: &App, caller: &Caller, filter: Filter, span: &Span) -> Result<Slice<Entry>> {
    let at = match span.start() {
        None => (None, Id::MAX),
        Some(position) => {
            let time = position.key.parse().map_err(|_| Error::invalid("invalid page token"))?;
            (Some(time), Id::from_uuid(position.id))
        }
    };
    let start = Start { at, is_backward: span.is_backward(), limit: span.limit() };
    let entries = read(app, caller, filter, start).await?;
    let position =
        |entry: &Entry| Position::new(entry.occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true), entry.event_id);
    Ok(Slice::new(span, entries, None, position))
}

/// An entry by its ID.
///
/// # Errors
/// `forbidden` unless the caller is an owner; `not_found`.
pub async fn get(app: &App, caller: &Caller, event_id: Id<Event>) -> Result<Entry> {
    // The events up to this one begin with it.
    let next = Uuid::from(event_id).as_u128().saturating_add(1);
    let mut connection = app.read(caller, Action::AuditList).await?;
    let at = sqlx::query_scalar!(
        "select occurred_at from audit_events where organization_id = $1 and event_id = $2",
        caller.organization_id as Id<id::Organization>,
        event_id as Id<Event>,
    )
    .fetch_optional(&mut *connection)
    .await?;
    drop(connection);
    let at = at.ok_or_else(|| Error::not_found("audit event", event_id))?;
    let start = Start { at: (Some(at), Id::from_uuid(Uuid::from_u128(next))), is_backward: false, limit: 1 };
    let found = read(app, caller, Filter::default(), start).await?.into_iter().next();
    found.filter(|entry| entry.event_id == event_id).ok_or_else(|| Error::not_found("audit event", event_id))
}

/// The account with the most refused sign-ins.
#[derive(Debug)]
pub struct MostRefused {
    /// The user.
    pub user_id: Id<User>,
    /// How many sign-ins were refused.
    pub times: i64,
    /// The first of them.
    pub since: DateTime<Utc>,
    /// The number of addresses that they came from.
    pub addresses: i64,
}

/// The account with the most refused sign-ins since a time, if there were at least `times`.
///
/// # Errors
/// `forbidden` unless the caller is an owner.
pub async fn most_refused(app: &App, caller: &Caller, since: DateTime<Utc>, times: i64) -> Result<Option<MostRefused>> {
    let mut read = app.read(caller, Action::AuditList).await?;
    let refused = sqlx::query_as!(
        MostRefused,
        r#"
        select
            target_id as "user_id!: Id<User>", count(*) as "times!", min(occurred_at) as "since!",
            count(distinct source_address) as "addresses!"
        from audit_events
        where organization_id = $1 and outcome <> 'success' and occurred_at >= $2 and action = $3 and target_kind = 'user'
        group by target_id
        having count(*) >= $4
        order by count(*) desc, target_id
        limit 1
        "#,
        caller.organization_id as Id<id::Organization>,
        since,
        Action::SessionStart.as_str(),
        times,
    );
    Ok(refused.fetch_optional(&mut *read).await?)
}

/// Where a page begins.
struct Start {
    at: (Option<DateTime<Utc>>, Id<Event>),
    is_backward: bool,
    limit: i64,
}

async fn read(app: &App, caller: &Caller, filter: Filter, start: Start) -> Result<Vec<Entry>> {
    app.authorize(caller, Action::AuditList).await?;
    let turn = match filter.is_selective() {
        true => None,
        false => {
            let turn = app.audit_turns.of(caller.organization_id).lock_owned();
            Some(app.in_time(turn).await.map_err(|_| Error::overloaded(TOO_WIDE, RETRY_SOON))?)
        }
    };
    let (reader, organization_id) = (app.clone(), caller.organization_id);
    // The query continues when the client leaves, so the turn lasts until it ends.
    let read = async move {
        let _turn = turn;
        let mut connection = reader.reader(&reader.db.interactive).await?;
        let query = Query {
            organization_id,
            start: start.at,
            is_backward: start.is_backward,
            limit: start.limit,
            since: filter.since,
            until: filter.until,
            actions: filter.action.map(ActionFilter::actions),
            actor_ids: filter::actor_ids(&reader, &mut connection, organization_id, filter.actor.as_ref()).await?,
            actor_kind: match filter.actor {
                Some(ActorFilter::Kind(kind)) => Some(kind.as_str()),
                Some(ActorFilter::Id(_) | ActorFilter::Named(_)) | None => None,
            },
            outcomes: filter.outcome.map(OutcomeFilter::outcomes),
            network: filter.network.map(|network| network.to_string()),
            target_ids: filter::target_ids(&reader, &mut connection, organization_id, filter.target.as_ref()).await?,
            batch_id: filter.batch,
            request_id: filter.request,
            user: match filter.user {
                Some(user_id) => Some((user_id, filter::of_user(&mut connection, organization_id, user_id).await?)),
                None => None,
            },
            is_folded: filter.is_folded,
        };
        Ok::<_, Error>(query.run(&mut connection).await?)
    };
    let rows = app.start_task(read).await.map_err(Error::internal)?.map_err(|error| match error.class() {
        Some(ErrorClass::TimedOut) => Error::overloaded(TOO_WIDE, RETRY_SOON).with_source(error),
        _ => error,
    })?;
    Ok(rows.into_iter().map(Entry::from).collect())
}

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        Self {
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
            client: row.client,
            details: row.details,
        }
    }
}

fn id_text(prefix: &str, id: Uuid) -> String {
    format!("{prefix}_{}", id::encode(id))
}
