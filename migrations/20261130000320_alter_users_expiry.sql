-- Accounts that end at a time, as those of contractors do. A column without a default needs no rewrite: the table is locked for
-- an instant. Gives up after two seconds behind a long-running reader such as a dump, because other statements would wait as
-- well; it can be repeated.
set local lock_timeout = '2s';
alter table users
    -- When access ends; null: never. The background work suspends the user then; every check of access compares the time
    -- itself, so that it does not depend on that.
    add column expires_at timestamptz;
