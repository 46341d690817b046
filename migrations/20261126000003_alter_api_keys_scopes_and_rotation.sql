-- Keys that may do less than their level, and that change their secret without an interruption.
alter table api_keys
    -- What the key may be used for, by the names of muster's scopes; null: all that its level allows.
    add column scopes                 text[],
    -- The secret before the latest rotation, and until when it still opens what the new one does.
    add column previous_secret_sha256 bytea,
    add column previous_expires_at    timestamptz,
    add column rotated_at             timestamptz,
    add constraint api_keys_previous_whole check (
        (previous_secret_sha256 is null) = (previous_expires_at is null)
        and (previous_secret_sha256 is null or octet_length(previous_secret_sha256) = 32)
    ),
    add constraint api_keys_scopes_not_empty check (cardinality(scopes) > 0);

-- Finds the keys of a user.
create index api_keys_user on api_keys (user_id, organization_id) where user_id is not null;
