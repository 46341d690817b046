-- Events that create, rename, delete or invite a person name the address as a keyed digest, so that the log answers "who created
-- ada@example.com?" after the account was deleted, without containing the address.
-- A column without a default needs no rewrite: the table is locked for an instant. Gives up after two seconds behind a
-- long-running reader such as a dump, because other statements would wait as well; it can be repeated.
set local lock_timeout = '2s';
alter table audit_events
    -- The first 64 bits of an HMAC-SHA256 of the organization and the address, in the form in which addresses are compared, with
    -- the server key, which is not in the database. Null: the event names no address, or a previous version of muster wrote it.
    add column target_email_hmac bytea;
