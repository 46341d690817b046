//! The statements that read the audit log: one for each index that a filter can use, in both directions.
//!
//! | statement | index |
//! |---|---|
//! | `by_time`, `folded` | `audit_events_by_time`, `audit_events_folded`: times, and a scan by actions and actors, which both contain |
//! | `by_row` | the same, and a scan of the rows: outcomes and networks, for which there is no index |
//! | `refused` | `audit_events_refused`: all that failed |
//! | `by_object` | an index of its own for targets, batches, requests and actors without IDs; what is found is sorted |
//! | `by_user` | `audit_events_target` and `audit_events_actor_user`, for the history of a user |

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ActorKind, Outcome};
use crate::id::{Batch, Event, Id, Organization, Request, User};

/// A filter with the IDs of its actors and targets, and a page.
pub(super) struct Query {
    pub(super) organization_id: Id<Organization>,
    /// The event that the page begins after; of an event without a time, the time is looked up.
    pub(super) start: (Option<DateTime<Utc>>, Id<Event>),
    /// Whether to read from `start` to later events.
    pub(super) is_backward: bool,
    pub(super) limit: i64,
    pub(super) since: Option<DateTime<Utc>>,
    pub(super) until: Option<DateTime<Utc>>,
    pub(super) actions: Option<Vec<&'static str>>,
    pub(super) actor_ids: Option<Vec<Uuid>>,
    pub(super) actor_kind: Option<&'static str>,
    pub(super) outcomes: Option<Vec<&'static str>>,
    /// In CIDR notation.
    pub(super) network: Option<String>,
    pub(super) target_ids: Option<Vec<Uuid>>,
    pub(super) batch_id: Option<Id<Batch>>,
    pub(super) request_id: Option<Id<Request>>,
    /// A user, and what belongs to the user.
    pub(super) user: Option<(Id<User>, Vec<Uuid>)>,
    pub(super) is_folded: bool,
}

/// A row of the log, with current names.
pub(super) struct Row {
    pub(super) event_id: Id<Event>,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) actor_kind: ActorKind,
    pub(super) actor_id: Option<Uuid>,
    pub(super) actor_name: Option<String>,
    pub(super) actor_user_id: Option<Id<User>>,
    pub(super) action: String,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<String>,
    pub(super) target_kind: Option<String>,
    pub(super) target_id: Option<Uuid>,
    pub(super) batch_id: Option<Id<Batch>>,
    pub(super) file_name: Option<String>,
    pub(super) request_id: Option<Id<Request>>,
    pub(super) source_address: Option<String>,
    pub(super) client: Option<String>,
    pub(super) details: Value,
}

/// The rows of the events of some sources, with the conditions and the page that all statements have. A source is all that follows
/// `select … from`, up to a condition.
macro_rules! rows {
    ($query:expr, $connection:expr, [$($source:literal),+], ($($value:expr),*)) => {
        match $query.is_backward {
            false => rows!($query, $connection, "<", "desc", [$($source),+], ($($value),*)),
            true => rows!($query, $connection, ">", "asc", [$($source),+], ($($value),*)),
        }
    };
    ($query:expr, $connection:expr, $after:literal, $order:literal, [$first:literal $(, $further:literal)*], ($($value:expr),*)) => {
        sqlx::query_as!(
            Row,
            "with listed as (select event_id from ((select event_id, occurred_at from " + $first + r#"
                and (occurred_at, event_id) "# + $after + r#" (
                    coalesce($3::timestamptz,
                        (select occurred_at from audit_events where organization_id = $1 and event_id = $2), 'infinity'),
                    $2::uuid
                )
                and occurred_at >= coalesce($4::timestamptz, '-infinity')
                and occurred_at < coalesce($5::timestamptz, 'infinity')
                and ($6::text[] is null or action = any($6))
                and ($7::uuid[] is null or actor_id = any($7) or actor_user_id = any($7))
                order by occurred_at "# + $order + ", event_id " + $order + " limit $8)"
            $(
                + " union all (select event_id, occurred_at from " + $further + r#"
                and (occurred_at, event_id) "# + $after + r#" (
                    coalesce($3::timestamptz,
                        (select occurred_at from audit_events where organization_id = $1 and event_id = $2), 'infinity'),
                    $2::uuid
                )
                and occurred_at >= coalesce($4::timestamptz, '-infinity')
                and occurred_at < coalesce($5::timestamptz, 'infinity')
                and ($6::text[] is null or action = any($6))
                and ($7::uuid[] is null or actor_id = any($7) or actor_user_id = any($7))
                order by occurred_at "# + $order + ", event_id " + $order + " limit $8)"
            )*
            + ") found order by occurred_at " + $order + ", event_id " + $order + r#" limit $8)
            select
                event_id as "event_id: Id<Event>", occurred_at, actor_kind as "actor_kind: ActorKind", actor_id,
                api_keys.name as "actor_name?", actor_user_id as "actor_user_id: Id<User>", action,
                outcome as "outcome: Outcome", reason, target_kind, target_id,
                audit_events.batch_id as "batch_id: Id<Batch>", batches.file_name as "file_name?",
                audit_events.request_id as "request_id: Id<Request>", host(source_address) as source_address, client, details
            from audit_events
            left join api_keys on api_keys.organization_id = $1 and api_keys.key_id = audit_events.actor_id
            left join batches on batches.organization_id = $1 and batches.batch_id = audit_events.batch_id
            where audit_events.organization_id = $1 and event_id in (select event_id from listed)
            order by occurred_at "# + $order + ", event_id " + $order,
            $query.organization_id as Id<Organization>,
            $query.start.1 as Id<Event>,
            $query.start.0,
            $query.since,
            $query.until,
            $query.actions.as_deref() as Option<&[&str]>,
            $query.actor_ids.as_deref(),
            $query.limit,
            $($value),*
        )
        .fetch_all($connection)
        .await
    };
}

impl Query {
    pub(super) async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<Row>> {
        let is_of_object = self.target_ids.is_some()
            || self.batch_id.is_some()
            || self.request_id.is_some()
            || self.actor_kind.is_some();
        let is_refused = self.outcomes.as_ref().is_some_and(|outcomes| !outcomes.contains(&Outcome::Success.as_str()));
        match &self.user {
            Some((user_id, ids)) => self.by_user(connection, *user_id, ids).await,
            None if is_of_object => self.by_object(connection).await,
            None if is_refused => self.refused(connection).await,
            None if self.outcomes.is_some() || self.network.is_some() => self.by_row(connection).await,
            None if self.is_folded => self.folded(connection).await,
            None => self.by_time(connection).await,
        }
    }

    async fn by_time(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<Row>> {
        rows!(self, connection, ["audit_events where organization_id = $1"], ())
    }

    async fn folded(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<Row>> {
        rows!(
            self,
            connection,
            [
                "audit_events where organization_id = $1 and (batch_id is null or action not in ('user.create', 'user.delete'))"
            ],
            ()
        )
    }

    async fn by_row(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<Row>> {
        rows!(
            self,
            connection,
            [r#"audit_events
                where organization_id = $1
                    and ($9::text[] is null or outcome = any($9))
                    and ($10::text is null or source_address <<= $10::text::inet)
                    and (not $11::bool or batch_id is null or action not in ('user.create', 'user.delete'))"#],
            (self.outcomes.as_deref() as Option<&[&str]>, self.network, self.is_folded)
        )
    }

    async fn refused(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<Row>> {
        rows!(
            self,
            connection,
            [r#"audit_events
                where organization_id = $1 and outcome <> 'success'
                    and outcome = any($9::text[])
                    and ($10::text is null or source_address <<= $10::text::inet)"#],
            (self.outcomes.as_deref() as Option<&[&str]>, self.network)
        )
    }

    /// Of the four ways to find events, one runs, whatever plan PostgreSQL has cached. `offset 0` keeps the other conditions out of
    /// it: PostgreSQL would rather read the index by time, and all events of the organization.
    async fn by_object(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<Row>> {
        rows!(
            self,
            connection,
            [r#"(
                (select * from audit_events where organization_id = $1 and target_id = any($12::uuid[]) offset 0)
                union all
                (select * from audit_events where $12::uuid[] is null and organization_id = $1 and batch_id = $13 offset 0)
                union all
                (select * from audit_events
                where $12::uuid[] is null and $13::uuid is null and organization_id = $1 and request_id = $14 offset 0)
                union all
                (select * from audit_events
                where $12::uuid[] is null and $13::uuid is null and $14::uuid is null and organization_id = $1
                    and actor_id is null and actor_kind = $15 offset 0)
            ) found
                where ($9::text[] is null or outcome = any($9))
                    and ($10::text is null or source_address <<= $10::text::inet)
                    and (not $11::bool or batch_id is null or action not in ('user.create', 'user.delete'))
                    and ($13::uuid is null or batch_id = $13)
                    and ($14::uuid is null or request_id = $14)
                    and ($15::text is null or actor_kind = $15)"#],
            (
                self.outcomes.as_deref() as Option<&[&str]>,
                self.network,
                self.is_folded,
                self.target_ids.as_deref(),
                self.batch_id as Option<Id<Batch>>,
                self.request_id as Option<Id<Request>>,
                self.actor_kind
            )
        )
    }

    /// The events about a user, however many single users of batches the user created.
    async fn by_user(&self, connection: &mut PgConnection, user_id: Id<User>, ids: &[Uuid]) -> sqlx::Result<Vec<Row>> {
        rows!(
            self,
            connection,
            [
                r#"(select * from audit_events where organization_id = $1 and target_id = any($15::uuid[]) offset 0) about
                where ($9::text[] is null or outcome = any($9))
                    and ($10::text is null or source_address <<= $10::text::inet)
                    and ($11::uuid[] is null or target_id = any($11))
                    and ($12::uuid is null or batch_id = $12)
                    and ($13::uuid is null or request_id = $13)
                    and ($14::text is null or actor_kind = $14)"#,
                r#"audit_events
                where organization_id = $1 and actor_user_id = $16
                    and (batch_id is null or action not in ('user.create', 'user.delete'))
                    and (target_id is null or target_id <> all($15::uuid[]))
                    and ($9::text[] is null or outcome = any($9))
                    and ($10::text is null or source_address <<= $10::text::inet)
                    and ($11::uuid[] is null or target_id = any($11))
                    and ($12::uuid is null or batch_id = $12)
                    and ($13::uuid is null or request_id = $13)
                    and ($14::text is null or actor_kind = $14)"#
            ],
            (
                self.outcomes.as_deref() as Option<&[&str]>,
                self.network,
                self.target_ids.as_deref(),
                self.batch_id as Option<Id<Batch>>,
                self.request_id as Option<Id<Request>>,
                self.actor_kind,
                ids,
                user_id as Id<User>
            )
        )
    }
}
