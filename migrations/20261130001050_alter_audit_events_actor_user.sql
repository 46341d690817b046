-- The user on whose behalf an API key or a session acted. Sessions are deleted some time after they have ended, keys with their
-- users; the log still says whose they were.
-- A column without a default needs no rewrite: the table is locked for an instant. Gives up after two seconds behind a
-- long-running reader such as a dump, because other statements would wait as well; it can be repeated.
set local lock_timeout = '2s';
alter table audit_events
    -- Null: the actor has no user, or a previous version of muster wrote the event.
    add column actor_user_id uuid;
