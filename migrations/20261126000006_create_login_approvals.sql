-- One-time passwords that somebody has approved, and that have not been fetched yet. A password that nobody
-- approved is nowhere: it is recognised by muster's signature in it.
create table login_approvals (
    organization_id  uuid        not null,
    -- SHA-256 of the one-time password.
    otp_sha256       bytea       not null,
    -- Whose key it will be; null for a key that acts for itself.
    user_id          uuid,
    permission_level text        not null,
    -- The scopes of the key that approved it; null: all that the level allows.
    scopes           text[],
    approved_by_kind text        not null,
    approved_by_id   uuid,
    approved_at      timestamptz not null,
    -- Until when it can be fetched, and when it was: a password that was used stays used.
    expires_at       timestamptz not null,
    fetched_at       timestamptz,

    constraint login_approvals_pkey primary key (organization_id, otp_sha256),
    -- Whoever fetches it knows the password, and not the organization; and it is approved once, in one of them.
    constraint login_approvals_otp_key unique (otp_sha256),
    constraint login_approvals_organization_fkey foreign key (organization_id)
        references organizations (organization_id),
    constraint login_approvals_user_fkey foreign key (organization_id, user_id)
        references users (organization_id, user_id) on delete cascade,
    constraint login_approvals_otp_is_sha256 check (octet_length(otp_sha256) = 32),
    constraint login_approvals_permission_level_known check (permission_level in ('owner', 'collaborator')),
    constraint login_approvals_approved_by_whole check (
        (approved_by_kind = 'operator' and approved_by_id is null)
        or (approved_by_kind = 'api_key' and approved_by_id is not null)
    )
);
