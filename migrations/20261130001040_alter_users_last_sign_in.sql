-- When a user last signed in, for the list of users and for administrators who look for unused accounts.
-- A column without a default needs no rewrite: the table is locked for an instant. Gives up after two seconds behind a
-- long-running reader such as a dump, because other statements would wait as well; it can be repeated.
set local lock_timeout = '2s';
alter table users
    -- The latest sign-in; null before the first.
    add column last_signed_in_at timestamptz;
