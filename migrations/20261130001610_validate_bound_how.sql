-- Validates the constraint of the migration before. Reads the table once, and blocks neither readers nor writers
-- (`share update exclusive`).
alter table sso_identities validate constraint sso_identities_bound_how_known;
