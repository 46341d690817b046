-- Who approved a device login. Actors that a later version will have: `session` (a signed-in user), `scim_token` (a
-- SCIM client) and `system` (muster itself, in the background). This version reads them and writes none of them, and
-- the previous version keeps working: every row that satisfies the old constraint satisfies the new one.
-- Locks the table for a moment; a later migration validates the constraint without a lock that others notice. One table
-- in each migration, so that none stays locked while this waits for the next. Behind a long-running reader (a dump),
-- other statements have to wait as well, so it gives up after two seconds and can be repeated.
set local lock_timeout = '2s';
alter table login_approvals drop constraint login_approvals_approved_by_whole;
alter table login_approvals add constraint login_approvals_approved_by_whole check (
    (approved_by_kind in ('operator', 'system') and approved_by_id is null)
    or (approved_by_kind in ('api_key', 'session', 'scim_token') and approved_by_id is not null)
) not valid;
