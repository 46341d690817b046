-- A browser, or a program with a cookie, that has authenticated as a user. The secret of its cookie is stored nowhere; what is
-- stored can't be turned back into it.
-- A new table: nothing is locked but `users`, for an instant, and the previous version of muster does not use it.
create table sessions (
    organization_id  uuid        not null,
    session_id       uuid        not null,
    user_id          uuid        not null,
    -- SHA-256 of the secret in the cookie. Each change of the stage replaces it.
    secret_sha256    bytea       not null,
    -- What the session may do: only `full` is a caller. `must_change`: the user has to choose a password first. `code` and
    -- `enroll` are reserved for second factors.
    stage            text        not null,
    -- How the user authenticated.
    method           text        not null,
    authenticated_at timestamptz not null,
    created_at       timestamptz not null,
    -- The latest use, to the minute: written at most once a minute, with `idle_expires_at`.
    last_seen_at     timestamptz not null,
    -- When it ends without a further use, and when it ends in any case.
    idle_expires_at  timestamptz not null,
    expires_at       timestamptz not null,
    -- When and why it was ended before that.
    ended_at         timestamptz,
    end_reason       text,
    -- The client at the sign-in: its address, and the start of its `User-Agent`.
    address          inet,
    agent            text,

    constraint sessions_pkey primary key (organization_id, session_id),
    constraint sessions_secret_is_sha256 check (octet_length(secret_sha256) = 32),
    constraint sessions_stage_known check (stage in ('code', 'must_change', 'enroll', 'full')),
    constraint sessions_method_known check (method in ('password', 'sso', 'passkey', 'link', 'recovery')),
    constraint sessions_ended_whole check ((ended_at is null) = (end_reason is null)),
    constraint sessions_agent_short check (char_length(agent) <= 200)
);

alter table sessions add constraint sessions_user_fkey foreign key (organization_id, user_id)
    references users (organization_id, user_id) on delete cascade;

-- The sessions of a user that have not been ended.
create index sessions_user on sessions (user_id, organization_id) where ended_at is null;

-- Sessions that are over, to delete them.
create index sessions_expires_at on sessions (expires_at);

-- A role that may write API keys may write sessions, so a server whose role does not own the tables goes on working.
do $$
declare
    one record;
begin
    for one in
        select case when acl.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end as grantee, privilege_type
        from pg_class, aclexplode(relacl) acl
        where pg_class.oid = 'api_keys'::regclass and acl.grantee <> relowner
    loop
        execute format('grant %s on sessions to %s', one.privilege_type, one.grantee);
    end loop;
end $$;
