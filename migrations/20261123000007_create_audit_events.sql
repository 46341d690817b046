-- Who did what, to what, when, from where, and how it ended. Append only. A
-- change and its events are written in one transaction. No password, token,
-- hash, name or address of a person is ever in here: people are named by id.
create table audit_events (
    organization_id uuid        not null,
    -- Time-ordered (UUIDv7 of `occurred_at`): the order in which events are listed.
    event_id        uuid        not null,
    occurred_at     timestamptz not null,
    -- Who: an API key, the local operator, or nobody known.
    actor_kind      text        not null,
    actor_id        uuid,
    -- What, by its dotted name: `user.batch_create`.
    action          text        not null,
    -- `success`; `denied` when the actor may not; `rejected` when the request could not be carried out.
    outcome         text        not null,
    -- Why it was denied or rejected: a stable code.
    reason          text,
    target_kind     text,
    target_id       uuid,
    -- The batch it belongs to.
    batch_id        uuid,
    -- The request it came in with; null when no request did (the local operator).
    request_id      uuid,
    source_address  inet,
    -- What else is worth knowing, by action: counts and codes, never personal data.
    details         jsonb       not null default '{}',

    constraint audit_events_pkey primary key (organization_id, event_id),
    constraint audit_events_actor_whole check (
        (actor_kind in ('operator', 'anonymous') and actor_id is null)
        or (actor_kind = 'api_key' and actor_id is not null)
    ),
    constraint audit_events_outcome_whole check (
        (outcome = 'success' and reason is null)
        or (outcome in ('denied', 'rejected') and reason is not null)
    ),
    constraint audit_events_target_whole check ((target_kind is null) = (target_id is null))
);

-- Defence in depth: not even the tables' owner changes an event by accident.
create function audit_events_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'audit_events is append only' using errcode = 'insufficient_privilege';
end
$$;

create trigger audit_events_append_only
    before update or delete or truncate on audit_events
    for each statement execute function audit_events_refuse_change();
