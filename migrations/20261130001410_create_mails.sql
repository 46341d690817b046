-- Mail that muster sends: a queue, and for 30 days what became of each message. The text of a message is not stored: it is made from
-- its kind when it is sent, and the secret of its link is derived (see `password_links.derived_key_id`).
-- A new table: nothing is locked but `users` and `password_links`, for an instant, and the previous version of muster does not use it.
create table mails (
    organization_id uuid        not null,
    mail_id         uuid        not null,
    -- The recipient.
    user_id         uuid        not null,
    -- The link that is sent; null for a notice.
    link_id         uuid,
    -- What the message says: `link`, `reset`, `password_changed` or `recovery`. Later versions may add kinds.
    kind            text        not null,
    to_address      text        not null,
    -- `queued`: to be sent at `next_at`; `sending`: leased by an instance until `lease_until`; `sent`; `failed`: given up.
    state           text        not null,
    attempts        integer     not null default 0,
    next_at         timestamptz not null,
    lease_until     timestamptz,
    -- Why the last attempt failed.
    last_error      text,
    created_at      timestamptz not null,
    -- The message is not sent later than this.
    expires_at      timestamptz not null,
    sent_at         timestamptz,

    constraint mails_pkey primary key (organization_id, mail_id),
    constraint mails_state_whole check (
        (state = 'sending') = (lease_until is not null)
        and (state = 'sent') = (sent_at is not null)
        and state in ('queued', 'sending', 'sent', 'failed')
    ),
    constraint mails_last_error_length check (length(last_error) <= 300)
);

alter table mails add constraint mails_user_fkey foreign key (organization_id, user_id)
    references users (organization_id, user_id) on delete cascade;
alter table mails add constraint mails_link_fkey foreign key (organization_id, link_id)
    references password_links (organization_id, link_id) on delete cascade;

-- The queue.
create index mails_queue on mails (next_at) where state in ('queued', 'sending');
-- For deleting users and links, whose messages go with them.
create index mails_user on mails (organization_id, user_id);
create index mails_link on mails (organization_id, link_id) where link_id is not null;

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
        execute format('grant %s on mails to %s', one.privilege_type, one.grantee);
    end loop;
end $$;
