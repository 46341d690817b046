-- A secret that programs show to be let in. The secret itself is shown once and
-- kept nowhere; what is kept can't be turned back into it.
create table api_keys (
    organization_id  uuid        not null,
    key_id           uuid        not null,
    -- The user who acts when it is used; null for a key that acts for itself.
    user_id          uuid,
    -- What the key is for, in the words of whoever made it.
    name             text        not null,
    -- SHA-256 of the secret: 256 bits drawn at random, so a plain hash is enough.
    secret_sha256    bytea       not null,
    permission_level text        not null,
    created_by_kind  text        not null,
    created_by_id    uuid,
    created_at       timestamptz not null,
    expires_at       timestamptz not null,
    -- The latest use, to the minute: written at most once a minute.
    last_used_at     timestamptz,
    revoked_at       timestamptz,

    constraint api_keys_pkey primary key (organization_id, key_id),
    constraint api_keys_organization_fkey foreign key (organization_id)
        references organizations (organization_id),
    constraint api_keys_user_fkey foreign key (organization_id, user_id)
        references users (organization_id, user_id),
    constraint api_keys_name_not_empty check (name <> ''),
    constraint api_keys_secret_is_sha256 check (octet_length(secret_sha256) = 32),
    constraint api_keys_permission_level_known check (permission_level in ('owner', 'collaborator')),
    constraint api_keys_created_by_whole check (
        (created_by_kind = 'operator' and created_by_id is null)
        or (created_by_kind = 'api_key' and created_by_id is not null)
    ),
    constraint api_keys_expires_after_creation check (expires_at > created_at)
);
