-- A one-time link that ends in an account. The link's secret is shown once and kept nowhere; what is kept
-- can't be turned back into it.
create table invitations (
    organization_id  uuid        not null,
    invitation_id    uuid        not null,
    -- The address as it was written, and as it is compared (see `users`).
    email            text        not null,
    email_key        text        collate "C" not null,
    -- What the account will be allowed.
    permission_level text        not null,
    -- SHA-256 of the secret in the link.
    secret_sha256    bytea       not null,
    invited_by_kind  text        not null,
    invited_by_id    uuid,
    created_at       timestamptz not null,
    expires_at       timestamptz not null,
    -- When it became an account, and whose; when it was taken back or replaced by a newer one.
    accepted_at      timestamptz,
    user_id          uuid,
    invalidated_at   timestamptz,

    constraint invitations_pkey primary key (organization_id, invitation_id),
    constraint invitations_organization_fkey foreign key (organization_id)
        references organizations (organization_id),
    -- With the account goes the address that it was made for.
    constraint invitations_user_fkey foreign key (organization_id, user_id)
        references users (organization_id, user_id) on delete cascade,
    constraint invitations_secret_is_sha256 check (octet_length(secret_sha256) = 32),
    constraint invitations_permission_level_known check (permission_level in ('owner', 'collaborator')),
    constraint invitations_expires_after_creation check (expires_at > created_at),
    constraint invitations_accepted_whole check ((accepted_at is null) = (user_id is null)),
    constraint invitations_ends_once check (accepted_at is null or invalidated_at is null),
    constraint invitations_invited_by_whole check (
        (invited_by_kind = 'operator' and invited_by_id is null)
        or (invited_by_kind = 'api_key' and invited_by_id is not null)
    )
);

-- One open invitation for an address.
create unique index invitations_open_email_key on invitations (email_key, organization_id)
    where accepted_at is null and invalidated_at is null;

-- Finds the invitation that became a user.
create index invitations_user on invitations (user_id, organization_id) where user_id is not null;
