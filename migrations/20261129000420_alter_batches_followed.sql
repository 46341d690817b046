-- A batch that an asynchronous request has joined continues when its first client leaves. The first client's instance, which may
-- be another one, reads that from the row.
-- A constant default needs no rewrite: the table is locked for an instant. Gives up after two seconds behind a long-running reader
-- such as a dump, because other statements would wait as well; it can be repeated.
set local lock_timeout = '2s';
alter table batches
    -- Whether a request with `Prefer: respond-async` has got the ID of this batch, which another request had started.
    add column is_followed boolean not null default false;
