-- Accounts of programs, and a number that tells whether somebody else has changed a user meanwhile.
alter table users
    -- A program's account: has no password and no invitation, acts through API keys only.
    add column is_service_account boolean not null default false,
    -- Goes up with every change of the user or of their permission level: the ETag of both.
    add column revision           bigint  not null default 1,
    add constraint users_revision_positive check (revision > 0);

-- What a search looks into: name with last name, a line feed (which neither can have), the address; in lower
-- case. Lower case is Unicode's, by ICU, in databases of any locale; without ICU it is what the database
-- takes for it. Rewrites the table under a lock that keeps everybody away: about ten seconds for a million users.
do $$
declare
    unicode constant text := coalesce(
        (select 'collate pg_catalog."und-x-icu"' from pg_collation where collname = 'und-x-icu' limit 1), '');
begin
    execute format(
        $ddl$
        alter table users add column search_text text collate "C" generated always as (
            lower((name || coalesce(' ' || nullif(lastname, ''), '') || e'\n' || email) %s)
        ) stored
        $ddl$,
        unicode);
end
$$;

-- Finds people by their display name, in the order of pages: by the name, and by name and last name.
create index users_name on users (name, organization_id, user_id);
create index users_full_name on users ((name || ' ' || lastname), organization_id, user_id) where lastname <> '';

-- Finds the accounts of programs among a million people.
create index users_service_accounts on users (organization_id, user_id) where is_service_account;

-- Finds the owners among a million members.
create index collaborators_owners on collaborators (organization_id, user_id) where permission_level = 'owner';

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
