-- Through which provider and identity a session was started, and the session of the provider, so that it can be ended with them.
-- Columns without a default need no rewrite: the table is locked for an instant. Gives up after two seconds behind a long-running
-- reader such as a dump, because other statements would wait as well; it can be repeated.
set local lock_timeout = '2s';
alter table sessions
    -- Null: the session was not started by single sign-on.
    add column provider_id uuid,
    add column identity_id uuid,
    -- The claim `sid` of the ID token; null: the provider sends none.
    add column idp_sid text;
