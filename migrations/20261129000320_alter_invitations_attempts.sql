-- Attempts to accept an invitation are limited, on all instances together. Constant defaults need no rewrite: the table is
-- locked for an instant. Gives up after two seconds behind a long-running reader such as a dump, because other statements would
-- wait as well; it can be repeated.
set local lock_timeout = '2s';
alter table invitations
    -- The number of attempts to accept the invitation since `attempts_since`; counting starts again after a minute.
    add column attempts       integer not null default 0,
    add column attempts_since timestamptz;
