-- The numbers of each day, for the pictures of the console. They are those of the audit log, of which 90 days are too much to read for
-- a page. Once counted, they stay, whatever becomes of the log.
-- A new table: nothing is locked, and the previous version of muster does not use it.
create table daily_counts (
    organization_id uuid        not null,
    -- In UTC.
    day             date        not null,
    -- People at the end of the day, without service accounts. While the day lasts: at `counted_at`.
    people          bigint      not null,
    -- People who were created, and who were deleted.
    created         bigint      not null,
    deleted         bigint      not null,
    -- Sign-ins, and attempts that were refused.
    sign_ins        bigint      not null,
    refused         bigint      not null,
    -- When the numbers were counted. From an hour after the end of the day, they are final.
    counted_at      timestamptz not null,

    constraint daily_counts_pkey primary key (organization_id, day)
);

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
        execute format('grant %s on daily_counts to %s', one.privilege_type, one.grantee);
    end loop;
end $$;
