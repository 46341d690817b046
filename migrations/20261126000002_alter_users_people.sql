-- Accounts of programs, and a number that tells whether somebody else has changed a user meanwhile.
alter table users
    -- A program's account: has no password and no invitation, acts through API keys only.
    add column is_service_account boolean not null default false,
    -- Goes up with every change of the user or of their permission level: the ETag of both.
    add column revision           bigint  not null default 1,
    add constraint users_revision_positive check (revision > 0);

-- Who granted a membership: also an invitation that was accepted.
alter table collaborators
    drop constraint collaborators_granted_by_whole,
    add constraint collaborators_granted_by_whole check (
        (granted_by_kind = 'operator' and granted_by_id is null)
        or (granted_by_kind in ('api_key', 'invitation') and granted_by_id is not null)
    );

-- Who acted: also somebody who accepted an invitation.
alter table audit_events
    drop constraint audit_events_actor_whole,
    add constraint audit_events_actor_whole check (
        (actor_kind in ('operator', 'anonymous') and actor_id is null)
        or (actor_kind in ('api_key', 'invitation') and actor_id is not null)
    );
