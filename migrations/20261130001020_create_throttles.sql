-- Limits of attempts to sign in, which all instances share: one row for each account or network with recent attempts. A row holds
-- one time (the generic cell rate algorithm), so one statement takes a token or does not.
-- A new table: nothing is locked, and the previous version of muster does not use it.
create table throttles (
    -- Nil for attempts at an organization that does not exist.
    organization_id uuid        not null,
    -- The start of an HMAC of what is limited, with the server key: the table names nobody.
    bucket          bytea       not null,
    -- When the bucket is full again. In the past, the row means nothing.
    full_at         timestamptz not null,

    constraint throttles_pkey primary key (organization_id, bucket),
    constraint throttles_bucket_is_short check (octet_length(bucket) = 16)
);

-- For deleting rows that mean nothing.
create index throttles_full_at on throttles (full_at);

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
        execute format('grant %s on throttles to %s', one.privilege_type, one.grantee);
    end loop;
end $$;
