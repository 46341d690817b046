-- A unique key beside the primary key starts with its own column, so that nothing but a question about that
-- column can use it. Until PostgreSQL has statistics (a minute, at best), it can't tell two keys apart that both
-- start with organization_id: it kept plans that looked each new row's user up among all users of the
-- organization, and a list of 2,000 took seconds.
--
-- Builds under a lock that keeps everybody away from the tables: about two seconds for a million users.
alter table users
    drop constraint users_email_key_key,
    add constraint users_email_key_key unique (email_key, organization_id);

alter table collaborators
    drop constraint collaborators_identity_key,
    add constraint collaborators_identity_key unique (identity_id, organization_id);
