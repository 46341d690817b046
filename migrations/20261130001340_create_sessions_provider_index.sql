-- The sessions of a provider that have not been ended, to end them.
-- Locks the table against writes while the index is built: sessions of single sign-on don't exist yet, so for an instant.
set local lock_timeout = '2s';
create index sessions_provider on sessions (provider_id, organization_id) where ended_at is null and provider_id is not null;
