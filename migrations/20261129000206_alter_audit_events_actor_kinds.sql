-- Who acted. Actors that a later version will have: `session` (a signed-in user), `scim_token` (a SCIM client) and
-- `system` (muster itself, in the background). This version reads them and writes none of them, and the previous
-- version keeps working: every row that satisfies the old constraint satisfies the new one.
-- Locks the table for a moment; a later migration validates the constraint without a lock that others notice. One table
-- in each migration, so that none stays locked while this waits for the next. Behind a long-running reader (a dump),
-- other statements have to wait as well, so it gives up after two seconds and can be repeated.
set local lock_timeout = '2s';
alter table audit_events drop constraint audit_events_actor_whole;
alter table audit_events add constraint audit_events_actor_whole check (
    (actor_kind in ('operator', 'system', 'anonymous') and actor_id is null)
    or (actor_kind in ('api_key', 'invitation', 'session', 'scim_token') and actor_id is not null)
) not valid;
