-- Logins that a client has started and that can be approved: what the approver is shown, and the short code. A login belongs to no
-- organization before somebody approves it, so the organization is in no key here. Started without an API key, so their
-- number is bounded; a login that has no row is approved with its one-time password. Rows are deleted once they have expired.
-- A new table: nothing is locked, and the previous version of muster does not use it.
create table login_requests (
    -- SHA-256 of the one-time password.
    otp_sha256     bytea       not null,
    -- What a person types to approve the login.
    user_code      text        collate "C" not null,
    requested_at   timestamptz not null,
    -- Until when the login can be approved.
    expires_at     timestamptz not null,
    -- The address of the client, its `User-Agent`, and the machine that it says it runs on.
    client_address inet,
    user_agent     text,
    machine        text,

    constraint login_requests_pkey primary key (otp_sha256),
    constraint login_requests_user_code_key unique (user_code),
    constraint login_requests_otp_is_sha256 check (octet_length(otp_sha256) = 32)
);

-- For deleting and counting.
create index login_requests_expires_at on login_requests (expires_at);

-- A role that may write approvals may write the requests, so a server whose role does not own the tables goes on working.
do $$
declare
    one record;
begin
    for one in
        select case when acl.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end as grantee, privilege_type
        from pg_class, aclexplode(relacl) acl
        where pg_class.oid = 'login_approvals'::regclass and acl.grantee <> relowner
    loop
        execute format('grant %s on login_requests to %s', one.privilege_type, one.grantee);
    end loop;
end $$;
