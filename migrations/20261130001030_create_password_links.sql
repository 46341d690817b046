-- A one-time link with which a user sets a password. The secret of the link is shown once and stored nowhere; what is stored can't
-- be turned back into it.
-- A new table: nothing is locked but `users`, for an instant, and the previous version of muster does not use it.
create table password_links (
    organization_id uuid        not null,
    link_id         uuid        not null,
    user_id         uuid        not null,
    -- `set`: an administrator gave it; `reset`: the user asked for it; `recover`: the local operator made it, and it skips single
    -- sign-on and second factors.
    purpose         text        not null,
    -- SHA-256 of the secret in the link.
    secret_sha256   bytea       not null,
    created_by_kind text        not null,
    created_by_id   uuid,
    created_at      timestamptz not null,
    expires_at      timestamptz not null,
    -- When it was used; when it was revoked or replaced by a newer one.
    used_at         timestamptz,
    revoked_at      timestamptz,

    constraint password_links_pkey primary key (organization_id, link_id),
    constraint password_links_purpose_known check (purpose in ('set', 'reset', 'recover')),
    constraint password_links_secret_is_sha256 check (octet_length(secret_sha256) = 32),
    constraint password_links_expires_after_creation check (expires_at > created_at),
    constraint password_links_ends_once check (used_at is null or revoked_at is null),
    constraint password_links_created_by_whole check (
        (created_by_kind in ('operator', 'system', 'anonymous') and created_by_id is null)
        or (created_by_kind in ('api_key', 'session', 'scim_token') and created_by_id is not null)
    )
);

alter table password_links add constraint password_links_user_fkey foreign key (organization_id, user_id)
    references users (organization_id, user_id) on delete cascade;

-- One open link for a user.
create unique index password_links_open on password_links (user_id, organization_id)
    where used_at is null and revoked_at is null;

-- As `sessions`.
do $$
declare
    one record;
begin
    for one in
        select case when acl.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end as grantee, privilege_type
        from pg_class, aclexplode(relacl) acl
        where pg_class.oid = 'api_keys'::regclass and acl.grantee <> relowner
    loop
        execute format('grant %s on password_links to %s', one.privilege_type, one.grantee);
    end loop;
end $$;
