//! Appending to the audit log. There is nothing else to do to it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Event, Refusal, Target};
use crate::caller::{Action, Caller};
use crate::error::Result;
use crate::id::{self, Id};

/// Appends what a change did, in its transaction. All events in one statement.
pub(crate) async fn append(
    connection: &mut PgConnection,
    caller: &Caller,
    now: DateTime<Utc>,
    events: &[Event],
) -> Result<()> {
    let ids: Vec<Uuid> = events.iter().map(|_| Id::<id::Event>::new(now).uuid()).collect();
    let actions: Vec<&str> = events.iter().map(|event| event.action().as_str()).collect();
    let targets = || events.iter().map(Event::target);
    let target_kinds: Vec<Option<&str>> = targets().map(Target::kind).collect();
    let target_ids: Vec<Option<Uuid>> = targets().map(Target::id).collect();
    let batch_ids: Vec<Option<Uuid>> = events.iter().map(Event::batch_id).collect();
    let details: Vec<Option<String>> =
        events.iter().map(|event| event.details().map(|details| details.to_string())).collect();
    sqlx::query!(
        r#"
        insert into audit_events
            (organization_id, occurred_at, actor_kind, actor_id, outcome, request_id, source_address,
             event_id, action, target_kind, target_id, batch_id, details)
        select
            $1, $2, $3, $4, 'success', $5, $6::text::inet,
            event_id, action, target_kind, target_id, batch_id, coalesce(details::jsonb, '{}')
        from unnest($7::uuid[], $8::text[], $9::text[], $10::uuid[], $11::uuid[], $12::text[])
            as event (event_id, action, target_kind, target_id, batch_id, details)
        "#,
        caller.organization_id.uuid(),
        now,
        caller.actor.kind(),
        caller.actor.id(),
        caller.origin.request_id.map(Id::uuid),
        caller.origin.address.map(|address| address.to_string()),
        &ids,
        &actions as &[&str],
        &target_kinds as &[Option<&str>],
        &target_ids as &[Option<Uuid>],
        &batch_ids as &[Option<Uuid>],
        &details as &[Option<String>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Appends that something was refused. Nothing else is written with it.
///
/// An organization that does not exist (a key may name any) leaves no entry.
pub(crate) async fn refuse(
    connection: &mut PgConnection,
    caller: &Caller,
    now: DateTime<Utc>,
    action: Action,
    refusal: &Refusal,
) -> Result<()> {
    let target = refusal.target();
    sqlx::query!(
        r#"
        insert into audit_events
            (organization_id, event_id, occurred_at, actor_kind, actor_id, action, outcome, reason,
             request_id, source_address, details, target_kind, target_id, batch_id)
        select organization_id, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::inet, $11, $12, $13, $14
        from organizations
        where organization_id = $1
        "#,
        caller.organization_id.uuid(),
        Id::<id::Event>::new(now).uuid(),
        now,
        caller.actor.kind(),
        caller.actor.id(),
        action.as_str(),
        refusal.outcome(),
        refusal.reason(),
        caller.origin.request_id.map(Id::uuid),
        caller.origin.address.map(|address| address.to_string()),
        refusal.details(),
        target.kind(),
        target.id(),
        target.batch_id(),
    )
    .execute(connection)
    .await?;
    Ok(())
}
