-- The tenant. Every row of every other table belongs to one organization, and
-- has its id first in its primary key, unique constraints and foreign keys.
create table organizations (
    organization_id   uuid        not null,
    -- What people call it.
    name              text        not null,
    -- A short name for addresses, lower case; shown to clients, decides nothing.
    public_identifier text        not null,
    created_at        timestamptz not null,

    constraint organizations_pkey primary key (organization_id),
    constraint organizations_name_not_empty check (name <> '')
);
