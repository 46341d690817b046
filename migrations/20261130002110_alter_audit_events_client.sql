-- Whether somebody acted on the command line or a program did.
-- A column without a default needs no rewrite: the table is locked for an instant. Gives up after two seconds behind a
-- long-running reader such as a dump, because other statements would wait as well; it can be repeated.
set local lock_timeout = '2s';
alter table audit_events
    -- The kind of program that sent the request, as in `batches.source`. Null: there was no request, or a previous version of
    -- muster wrote the event.
    add column client text;
