-- A person at an identity provider, bound to a user. The subject decides who signs in; addresses don't.
-- A new table: nothing is locked but `users`, for an instant, and the previous version of muster does not use it.
create table sso_identities (
    organization_id uuid        not null,
    identity_id     uuid        not null,
    provider_id     uuid        not null,
    -- The issuer when the identity was bound: with another one, the same subject is somebody else.
    issuer          text        collate "C" not null,
    -- The value of the claim that identifies people.
    subject         text        collate "C" not null,
    user_id         uuid        not null,
    bound_at        timestamptz not null,
    -- `address`: by the address, at a sign-in; `created`: with the account; `operator`: by command.
    bound_how       text        not null,
    last_used_at    timestamptz,
    -- The address that the provider named last, for people who compare.
    email_seen      text,

    constraint sso_identities_pkey primary key (organization_id, identity_id),
    constraint sso_identities_subject_key unique (provider_id, issuer, subject, organization_id),
    constraint sso_identities_user_key unique (user_id, provider_id, organization_id),
    constraint sso_identities_subject_short check (octet_length(subject) between 1 and 255),
    constraint sso_identities_bound_how_known check (bound_how in ('address', 'created', 'operator'))
);

alter table sso_identities add constraint sso_identities_user_fkey foreign key (organization_id, user_id)
    references users (organization_id, user_id) on delete cascade;

alter table sso_identities add constraint sso_identities_provider_fkey foreign key (organization_id, provider_id)
    references sso_providers (organization_id, provider_id) on delete cascade;

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
        execute format('grant %s on sso_identities to %s', one.privilege_type, one.grantee);
    end loop;
end $$;
