-- Unfinished work of the pages: a list that is being corrected, or a selection that is being reviewed. Nothing of it exists yet.
-- What a draft contains is encrypted with a key that only the browser has, so neither the database nor the settings open it.
-- A new table: nothing is locked but `users`, for an instant, and the previous version of muster does not use it.
create table drafts (
    organization_id uuid        not null,
    draft_id        uuid        not null,
    -- The person whose draft it is. Nobody else opens it, not with the key either.
    user_id         uuid        not null,
    -- What it is for. `done`: what it was for is done, and it only says what came of it.
    kind            text        not null,
    -- What the list of drafts shows, and the content: compressed, then encrypted.
    label           bytea       not null,
    content         bytea       not null,
    -- Counts the changes, so that two pages don't overwrite each other's.
    revision        bigint      not null,
    created_at      timestamptz not null,
    -- Two hours after the last use, a day after its creation at most.
    expires_at      timestamptz not null,

    constraint drafts_pkey primary key (organization_id, draft_id),
    constraint drafts_kind_known check (kind in ('import', 'people', 'done'))
);

-- Encrypted bytes can't be compressed.
alter table drafts alter column content set storage external;

alter table drafts add constraint drafts_user_fkey foreign key (organization_id, user_id)
    references users (organization_id, user_id) on delete cascade;

-- The drafts of a person.
create index drafts_user on drafts (user_id, organization_id);

-- Drafts that have expired, to delete them.
create index drafts_expires_at on drafts (expires_at);

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
        execute format('grant %s on drafts to %s', one.privilege_type, one.grantee);
    end loop;
end $$;
