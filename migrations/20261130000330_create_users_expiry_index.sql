-- Finds the active users whose accounts expire. No account has an expiry when the index is created, so that it is empty, but
-- the table is read once: writes to it wait for about a second per million users.
create index users_expiry on users (expires_at, organization_id) where expires_at is not null and status = 'active';
