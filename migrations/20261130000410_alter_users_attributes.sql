-- Custom attributes of users: what an organization knows about its people and muster has no column for.
-- There is no index: a search by attributes reads a bounded number of users for each page, and a GIN index would slow down every
-- batch.
-- A constant default needs no rewrite: the table is locked for an instant. Gives up after two seconds behind a long-running reader
-- such as a dump, because other statements would wait as well; it can be repeated.
set local lock_timeout = '2s';
alter table users
    -- A flat object of texts, numbers and booleans, which muster validates: at most 64 keys and 8 KiB. Personal data.
    add column attributes jsonb not null default '{}';
