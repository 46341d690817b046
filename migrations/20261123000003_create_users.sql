-- A person's account.
create table users (
    organization_id   uuid        not null,
    user_id           uuid        not null,
    -- The address as it was written.
    email             text        not null,
    -- The address as it is compared: one address has one key, however it is
    -- spelled. Computed by muster (never by the database), so it is bytes here.
    email_key         text        collate "C" not null,
    -- Which version of the function computed `email_key`.
    email_key_version smallint    not null,
    name              text        not null,
    lastname          text,
    title             text,
    -- Signs in through the organization's identity provider; has no password here.
    is_sso_user       boolean     not null,
    status            text        not null,
    -- The batch that created the user; null for a user made alone.
    batch_id          uuid,
    created_at        timestamptz not null,
    updated_at        timestamptz not null,

    constraint users_pkey primary key (organization_id, user_id),
    constraint users_email_key_key unique (organization_id, email_key),
    constraint users_organization_fkey foreign key (organization_id)
        references organizations (organization_id),
    constraint users_batch_fkey foreign key (organization_id, batch_id)
        references batches (organization_id, batch_id),
    constraint users_name_not_empty check (name <> ''),
    constraint users_email_key_not_empty check (email_key <> ''),
    constraint users_status_known check (status in ('active', 'suspended'))
);
