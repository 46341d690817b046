-- What was used and must not be used again: states of sign-ins, and logout tokens, by their digests. Kept for 24 hours, longer than
-- any of them is valid.
-- A new table: nothing is locked, and the previous version of muster does not use it.
create table used_once (
    organization_id uuid        not null,
    kind            text        not null,
    -- SHA-256.
    digest          bytea       not null,
    used_at         timestamptz not null,

    constraint used_once_pkey primary key (organization_id, kind, digest),
    constraint used_once_kind_known check (kind in ('state', 'jti')),
    constraint used_once_digest_is_sha256 check (octet_length(digest) = 32)
);

-- Old rows, to delete them.
create index used_once_used_at on used_once (used_at);

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
        execute format('grant %s on used_once to %s', one.privilege_type, one.grantee);
    end loop;
end $$;
