-- A user's membership in the organization, and what it allows.
create table collaborators (
    organization_id  uuid        not null,
    user_id          uuid        not null,
    -- The membership's own id: what the vendor's client calls `id` of a
    -- collaborator, and what it removes. Not the user's id.
    identity_id      uuid        not null,
    permission_level text        not null,
    -- Who granted it: the actor's kind and, unless it was the local operator, its id.
    granted_by_kind  text        not null,
    granted_by_id    uuid,
    granted_at       timestamptz not null,

    constraint collaborators_pkey primary key (organization_id, user_id),
    constraint collaborators_identity_key unique (organization_id, identity_id),
    constraint collaborators_user_fkey foreign key (organization_id, user_id)
        references users (organization_id, user_id) on delete cascade,
    constraint collaborators_permission_level_known check (permission_level in ('owner', 'collaborator')),
    constraint collaborators_granted_by_whole check (
        (granted_by_kind = 'operator' and granted_by_id is null)
        or (granted_by_kind = 'api_key' and granted_by_id is not null)
    )
);
