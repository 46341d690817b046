-- The owners of each organization, by effective permission: members whose own level is `owner`, and members of a
-- group that the organization's policy binds to `owner`. A user appears once for each reason. The status of the
-- account is not considered.
-- The view defines the rule once. Every statement restricts `organization_id` to a parameter, and most of them
-- restrict `user_id` too; PostgreSQL applies the restrictions inside each branch, so a lookup uses an index of each.
-- Locks no table for longer than a read does, and the previous version of muster does not use the view.
create view effective_owners (
    -- The tenant.
    organization_id,
    -- The owner: a person or a service account.
    user_id,
    -- The reason: false for the member's own level, true for a group.
    through_group
) as
    select organization_id, user_id, false from collaborators where permission_level = 'owner'
    union all
    select m.organization_id, m.user_id, true
    from organization_policy_bindings b
    join user_group_members m using (organization_id, group_id)
    where b.role_name = 'owner';

-- Whoever may read memberships may read the view: a server whose role does not own the tables goes on working.
do $$
declare
    grantee text;
begin
    for grantee in
        select case when acl.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end
        from pg_class, aclexplode(relacl) acl
        where pg_class.oid = 'collaborators'::regclass and acl.privilege_type = 'SELECT'
    loop
        execute format('grant select on effective_owners to %s', grantee);
    end loop;
end $$;
