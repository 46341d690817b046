-- What the administrator entered about an invited person: the defaults of the form with which the person accepts.
-- Columns without a default need no rewrite: the table is locked for an instant. Gives up after two seconds behind a
-- long-running reader such as a dump, because other statements would wait as well; it can be repeated.
set local lock_timeout = '2s';
alter table invitations
    -- As in `users`; null: not entered.
    add column name     text,
    add column lastname text,
    add column title    text;
