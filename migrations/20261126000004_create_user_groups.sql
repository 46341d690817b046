-- Users who get permissions together.
create table user_groups (
    organization_id uuid        not null,
    group_id        uuid        not null,
    -- As it was written, and as it is compared: one name has one key.
    name            text        not null,
    name_key        text        collate "C" not null,
    -- `user`: made and edited here. `scim`: kept by a directory, not to be edited here.
    source          text        not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,

    constraint user_groups_pkey primary key (organization_id, group_id),
    constraint user_groups_name_key_key unique (name_key, organization_id),
    constraint user_groups_organization_fkey foreign key (organization_id)
        references organizations (organization_id),
    constraint user_groups_name_not_empty check (name <> ''),
    constraint user_groups_source_known check (source in ('user', 'scim'))
);

create table user_group_members (
    organization_id uuid        not null,
    group_id        uuid        not null,
    user_id         uuid        not null,
    added_at        timestamptz not null,

    constraint user_group_members_pkey primary key (organization_id, group_id, user_id),
    constraint user_group_members_group_fkey foreign key (organization_id, group_id)
        references user_groups (organization_id, group_id) on delete cascade,
    constraint user_group_members_user_fkey foreign key (organization_id, user_id)
        references users (organization_id, user_id) on delete cascade
);

-- Finds the groups of a user.
create index user_group_members_user on user_group_members (user_id, organization_id);

-- The organization's policy: what the members of a group may do in it, whatever their own level is.
create table organization_policy_bindings (
    organization_id uuid        not null,
    role_name       text        not null,
    group_id        uuid        not null,
    bound_at        timestamptz not null,

    constraint organization_policy_bindings_pkey primary key (organization_id, role_name, group_id),
    constraint organization_policy_bindings_group_fkey foreign key (organization_id, group_id)
        references user_groups (organization_id, group_id) on delete cascade,
    constraint organization_policy_bindings_role_known check (role_name in ('owner', 'collaborator'))
);

-- Finds the bindings of a group.
create index organization_policy_bindings_group on organization_policy_bindings (group_id, organization_id);
