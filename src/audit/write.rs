//! Appending to the audit log. Nothing updates or deletes its rows.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::repeats::Repeated;
use super::{ActorKind, Attribution, AuditDenial, Outcome, Recorded, Target, address, operator};
use crate::caller::{Action, Caller, Origin, Source};
use crate::error::{Error, Result};
use crate::id::{self, Batch, Id};

/// The columns that differ between the rows of one statement.
struct Row {
    action: Action,
    target: Target,
    batch_id: Option<Id<Batch>>,
    details: Option<Value>,
    target_email_hmac: Option<address::Digest>,
}

/// Appends the events of a change, in its transaction.
///
/// # Errors
/// `internal` if the database discarded an event, as a rule or a trigger of the table's owner does; errors of the database.
pub(crate) async fn append(
    connection: &mut PgConnection,
    caller: &Caller,
    now: DateTime<Utc>,
    events: &[Recorded],
) -> Result<()> {
    let row = |Recorded { event, target_email_hmac }: &Recorded| Row {
        action: event.action(),
        target: event.target(),
        batch_id: event.batch_id(),
        details: event.details(),
        target_email_hmac: *target_email_hmac,
    };
    let rows: Vec<Row> = events.iter().map(row).collect();
    match insert(connection, caller.into(), now, Outcome::Success, None, &rows).await? {
        true => Ok(()),
        false => {
            Err(Error::internal("the database discarded audit events; look for rules and triggers of `audit_events`"))
        }
    }
}

/// Appends a denial, outside any change. `false`: a token can name an organization that does not exist, and such a
/// denial leaves no row.
pub(crate) async fn deny(
    connection: &mut PgConnection,
    attribution: Attribution,
    now: DateTime<Utc>,
    action: Action,
    denial: &AuditDenial,
) -> Result<bool> {
    let target = denial.target();
    let (batch_id, details) = (target.batch_id(), denial.details());
    let row = Row { action, target, batch_id, details, target_email_hmac: None };
    insert(connection, attribution, now, denial.outcome(), Some(denial.reason()), &[row]).await
}

/// Appends a number of denials as one event.
pub(crate) async fn append_repeated(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    Repeated { organization_id, actor, action, outcome, reason, details }: Repeated,
) -> Result<()> {
    let attribution = Attribution { organization_id, actor, user_id: None, origin: Origin::default() };
    let row = Row { action, target: Target::Nothing, batch_id: None, details: Some(details), target_email_hmac: None };
    insert(connection, attribution, now, outcome, Some(reason), &[row]).await.map(|_| ())
}

/// Inserts all rows with one statement. `false`: there is no such organization, or the database discarded rows.
async fn insert(
    connection: &mut PgConnection,
    Attribution { organization_id, actor, user_id, origin }: Attribution,
    now: DateTime<Utc>,
    outcome: Outcome,
    reason: Option<&str>,
    rows: &[Row],
) -> Result<bool> {
    let ids: Vec<Id<id::Event>> = rows.iter().map(|_| Id::new(now)).collect();
    let actions: Vec<&str> = rows.iter().map(|row| row.action.as_str()).collect();
    let (target_kinds, target_ids): (Vec<Option<&str>>, Vec<Option<Uuid>>) =
        rows.iter().map(|row| row.target.kind_and_id().map(|(kind, id)| (kind.as_str(), id)).unzip()).unzip();
    let batch_ids: Vec<Option<Id<Batch>>> = rows.iter().map(|row| row.batch_id).collect();
    let details =
        rows.iter().map(|row| with_origin(actor.kind, row.details.as_ref()).map(|details| details.to_string()));
    let details: Vec<Option<String>> = details.collect();
    let hmacs: Vec<Option<&[u8]>> =
        rows.iter().map(|row| row.target_email_hmac.as_ref().map(address::Digest::as_slice)).collect();
    let inserted = sqlx::query!(
        r#"
        insert into audit_events
            (organization_id, occurred_at, actor_kind, actor_id, outcome, reason, request_id, source_address, actor_user_id,
             client, event_id, action, target_kind, target_id, batch_id, details, target_email_hmac)
        select
            $1, $2, $3, $4, $5, $6, $7, $8::text::inet, $16, $17,
            event_id, action, target_kind, target_id, batch_id, coalesce(details::jsonb, '{}'), target_email_hmac
        from unnest($9::uuid[], $10::text[], $11::text[], $12::uuid[], $13::uuid[], $14::text[], $15::bytea[])
            as event (event_id, action, target_kind, target_id, batch_id, details, target_email_hmac)
        where exists (select from organizations where organization_id = $1)
        "#,
        organization_id as Id<id::Organization>,
        now,
        actor.kind.as_str(),
        actor.id,
        outcome.as_str(),
        reason,
        origin.request_id as Option<Id<id::Request>>,
        origin.address.map(|address| address.to_string()),
        &ids as &[Id<id::Event>],
        &actions as &[&str],
        &target_kinds as &[Option<&str>],
        &target_ids as &[Option<Uuid>],
        &batch_ids as &[Option<Id<Batch>>],
        &details as &[Option<String>],
        &hmacs as &[Option<&[u8]>],
        user_id as Option<Id<id::User>>,
        origin.client.map(Source::as_str),
    )
    .execute(connection)
    .await?;
    Ok(usize::try_from(inserted.rows_affected()) == Ok(rows.len()))
}

/// The details of an event; those of the operator also name the account and the machine.
fn with_origin(actor: ActorKind, details: Option<&Value>) -> Option<Cow<'_, Value>> {
    if actor != ActorKind::Operator {
        return details.map(Cow::Borrowed);
    }
    let mut all = operator::details().clone();
    if let Some(Value::Object(details)) = details {
        all.extend(details.clone());
    }
    Some(Cow::Owned(Value::Object(all)))
}
