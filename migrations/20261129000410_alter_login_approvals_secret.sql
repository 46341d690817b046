-- An approval ends with the secret that made it, so that an old secret gives no access after its key was rotated.
-- Approvals by a previous version have no secret: they end with their key, and expire after ten minutes.
-- A column without a default needs no rewrite: the table is locked for an instant. Gives up after two seconds behind a
-- long-running reader such as a dump, because other statements would wait as well; it can be repeated.
set local lock_timeout = '2s';
alter table login_approvals
    -- SHA-256 of the secret of the approving key, as `api_keys` stores it; null: the operator approved, or
    -- a previous version of muster stored the approval.
    add column approved_by_secret_sha256 bytea;
