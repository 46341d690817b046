-- How the people of an organization sign in. An organization without a row has `optional` in both columns.
-- A new table: nothing is locked but `organizations`, for an instant, and the previous version of muster does not use it.
create table sign_in_policies (
    organization_id uuid        not null,
    -- `off`: not through identity providers; `optional`: in both ways; `required`: only through identity providers.
    sso_mode        text        not null,
    -- `optional`: owners may use passwords although `sso_mode` is `required`.
    owners_sso      text        not null,
    changed_at      timestamptz not null,

    constraint sign_in_policies_pkey primary key (organization_id),
    constraint sign_in_policies_sso_mode_known check (sso_mode in ('off', 'optional', 'required')),
    constraint sign_in_policies_owners_sso_known check (owners_sso in ('optional', 'required')),
    constraint sign_in_policies_owners_as_all check (owners_sso = 'optional' or sso_mode = 'required')
);

alter table sign_in_policies add constraint sign_in_policies_organization_fkey foreign key (organization_id)
    references organizations (organization_id);

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
        execute format('grant %s on sign_in_policies to %s', one.privilege_type, one.grantee);
    end loop;
end $$;
