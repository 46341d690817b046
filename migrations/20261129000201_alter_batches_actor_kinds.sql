-- Who requested a batch. Actors that a later version will have: `session` (a signed-in user), `scim_token` (a SCIM
-- client) and `system` (muster itself, in the background). This version reads them and writes none of them, and the
-- previous version keeps working: every row that satisfies the old constraint satisfies the new one.
-- Locks the table for a moment; a later migration validates the constraint without a lock that others notice. One table
-- in each migration, so that none stays locked while this waits for the next. Behind a long-running reader (a dump),
-- other statements have to wait as well, so it gives up after two seconds and can be repeated.
set local lock_timeout = '2s';
alter table batches drop constraint batches_requested_by_whole;
alter table batches add constraint batches_requested_by_whole check (
    (requested_by_kind in ('operator', 'system') and requested_by_id is null)
    or (requested_by_kind in ('api_key', 'session', 'scim_token') and requested_by_id is not null)
) not valid;
