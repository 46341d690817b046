-- Actors that a later version will have: `session` (a signed-in user), `scim_token` (a SCIM client) and `system` (muster
-- itself, in the background). This version reads them and writes none of them, and the previous version keeps working:
-- every row that satisfies the old constraints satisfies the new ones.
-- Locks each table for a moment. The new constraints are not validated here, as that would read the tables under the
-- lock; the next migration does it. Behind a long-running reader of one of the tables (a dump), other statements would
-- have to wait as well, so the migration gives up after ten seconds and can be repeated.
set local lock_timeout = '10s';

-- Who requested a batch.
alter table batches drop constraint batches_requested_by_whole;
alter table batches add constraint batches_requested_by_whole check (
    (requested_by_kind in ('operator', 'system') and requested_by_id is null)
    or (requested_by_kind in ('api_key', 'session', 'scim_token') and requested_by_id is not null)
) not valid;

-- Who granted a membership.
alter table collaborators drop constraint collaborators_granted_by_whole;
alter table collaborators add constraint collaborators_granted_by_whole check (
    (granted_by_kind in ('operator', 'system') and granted_by_id is null)
    or (granted_by_kind in ('api_key', 'invitation', 'session', 'scim_token') and granted_by_id is not null)
) not valid;

-- Who invited an address.
alter table invitations drop constraint invitations_invited_by_whole;
alter table invitations add constraint invitations_invited_by_whole check (
    (invited_by_kind in ('operator', 'system') and invited_by_id is null)
    or (invited_by_kind in ('api_key', 'session', 'scim_token') and invited_by_id is not null)
) not valid;

-- Who created an API key.
alter table api_keys drop constraint api_keys_created_by_whole;
alter table api_keys add constraint api_keys_created_by_whole check (
    (created_by_kind in ('operator', 'system') and created_by_id is null)
    or (created_by_kind in ('api_key', 'session', 'scim_token') and created_by_id is not null)
) not valid;

-- Who approved a device login.
alter table login_approvals drop constraint login_approvals_approved_by_whole;
alter table login_approvals add constraint login_approvals_approved_by_whole check (
    (approved_by_kind in ('operator', 'system') and approved_by_id is null)
    or (approved_by_kind in ('api_key', 'session', 'scim_token') and approved_by_id is not null)
) not valid;

-- Who acted.
alter table audit_events drop constraint audit_events_actor_whole;
alter table audit_events add constraint audit_events_actor_whole check (
    (actor_kind in ('operator', 'system', 'anonymous') and actor_id is null)
    or (actor_kind in ('api_key', 'invitation', 'session', 'scim_token') and actor_id is not null)
) not valid;
