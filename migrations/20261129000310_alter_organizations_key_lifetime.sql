-- The longest lifetime of new API keys, chosen by the organization's owners. Adds a column without rewriting the table, under
-- a lock of a moment; the check reads a table of a few rows. Gives up after two seconds behind a
-- long-running reader such as a dump, because other statements would wait as well; it can be repeated.
set local lock_timeout = '2s';
alter table organizations
    -- In days; null for no limit but the server's own, `keys.max_days`.
    add column max_key_days integer;
alter table organizations
    add constraint organizations_max_key_days_positive check (max_key_days > 0);
