-- The owners who have a way to sign in as themselves: active people whose accounts don't expire, with a password that the policy
-- allows, or with an identity at an enabled provider, unless single sign-on is off. A link is no such way: it is used once. As in
-- `effective_owners`, an owner appears once for each reason.
-- The view defines the rule once. Every statement restricts `organization_id`.
-- Locks no table for longer than a read does, and the previous version of muster does not use the view.
create view owners_who_sign_in (
    organization_id,
    user_id,
    -- The last sign-in through an identity provider that still works; null: there was none.
    last_sso_at
) as
    select u.organization_id, u.user_id, i.last_used_at
    from effective_owners o
    join users u using (organization_id, user_id)
    left join passwords w using (organization_id, user_id)
    left join sign_in_policies s using (organization_id)
    left join lateral (
        select max(i.last_used_at) as last_used_at, count(*) > 0 as is_bound
        from sso_identities i
        join sso_providers p using (organization_id, provider_id)
        where i.organization_id = u.organization_id and i.user_id = u.user_id and i.issuer = p.issuer
            and p.disabled_at is null and s.sso_mode is distinct from 'off'
    ) i on true
    where u.status = 'active' and not u.is_service_account and u.expires_at is null
        and (i.is_bound or (w.user_id is not null and not u.is_sso_user and not exists (
            select from sso_bound_users b where b.organization_id = u.organization_id and b.user_id = u.user_id
        )));

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
        execute format('grant select on owners_who_sign_in to %s', grantee);
    end loop;
end $$;
