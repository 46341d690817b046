-- An identity provider of an organization (OpenID Connect).
-- A new table: nothing is locked, and the previous version of muster does not use it.
create table sso_providers (
    organization_id uuid        not null,
    provider_id     uuid        not null,
    -- Part of the redirect URI, so it never changes.
    name            text        collate "C" not null,
    -- What the button says.
    title           text        not null,
    -- Compared byte for byte with what the provider says.
    issuer          text        collate "C" not null,
    client_id       text        not null,
    -- The client's secret, encrypted by muster; null: a public client. The second one is tried when the first is wrong, while
    -- the secret is rotated.
    secret_sealed   bytea,
    secret2_sealed  bytea,
    -- How muster authenticates to the token endpoint.
    token_auth      text        not null,
    scopes          text        not null,
    -- The domains of addresses that the provider is responsible for, as in `users.email_key`.
    domains         text[]      not null,
    -- The claims that identify people and have their addresses; how the provider vouches for an address.
    subject_claim   text        not null,
    email_claim     text        not null,
    email_proof     text        not null,
    -- Claims that must have these values: an object of names and values.
    required_claims jsonb       not null,
    -- Whether accounts are created for unknown people of the domains.
    creates         boolean     not null,
    -- The longest time since the provider authenticated a person, in seconds.
    max_age         integer,
    -- Whether signing out leads to the provider, too.
    logout          boolean     not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    -- Null: the provider is enabled.
    disabled_at     timestamptz,

    constraint sso_providers_pkey primary key (organization_id, provider_id),
    constraint sso_providers_name_key unique (name, organization_id),
    constraint sso_providers_name_plain check (name ~ '^[a-z0-9-]{1,32}$'),
    constraint sso_providers_token_auth_known check (token_auth in ('auto', 'basic', 'post', 'none')),
    constraint sso_providers_email_proof_known check (email_proof in ('email_verified', 'xms_edov', 'issuer')),
    constraint sso_providers_second_secret_after_first check (secret2_sealed is null or secret_sealed is not null),
    constraint sso_providers_max_age_positive check (max_age >= 0)
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
        execute format('grant %s on sso_providers to %s', one.privilege_type, one.grantee);
    end loop;
end $$;
