-- When the account of an invited person expires. A column without a default needs no rewrite: the table is locked for an
-- instant. Gives up after two seconds behind a long-running reader such as a dump, because other statements would wait as
-- well; it can be repeated.
set local lock_timeout = '2s';
alter table invitations
    -- As `expires_at` of `users`; null: never. `expires_at` of this table is the end of the link.
    add column account_expires_at timestamptz;
