-- The people whom the policy of their organization binds to single sign-on: their passwords and links don't sign in.
-- The view defines the rule once. Every statement restricts `organization_id` to a parameter.
-- Locks no table for longer than a read does, and the previous version of muster does not use the view.
create view sso_bound_users (organization_id, user_id) as
    select u.organization_id, u.user_id
    from sign_in_policies p
    join users u using (organization_id)
    where p.sso_mode = 'required' and not u.is_service_account
        and (p.owners_sso = 'required' or not exists (
            select from effective_owners o where o.organization_id = u.organization_id and o.user_id = u.user_id
        ));

-- As `effective_owners`.
do $$
declare
    grantee text;
begin
    for grantee in
        select case when acl.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end
        from pg_class, aclexplode(relacl) acl
        where pg_class.oid = 'collaborators'::regclass and acl.privilege_type = 'SELECT'
    loop
        execute format('grant select on sso_bound_users to %s', grantee);
    end loop;
end $$;
