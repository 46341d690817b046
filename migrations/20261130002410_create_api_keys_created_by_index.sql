-- The keys that a key has created. Locks the table against writes while the index is built, which takes an instant: an organization has
-- few keys. Gives up after two seconds behind a long-running transaction; it can be repeated.
set local lock_timeout = '2s';
create index api_keys_created_by on api_keys (organization_id, created_by_id) where created_by_kind = 'api_key';
