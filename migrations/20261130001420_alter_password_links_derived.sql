-- A link that is sent by mail has a secret that can be derived again: an HMAC of its ID with a key that is itself derived from
-- `secrets.seal_key`. So the queue of messages holds no secret, any instance can write a message again after a crash, and who can
-- only read the database can't use a link.
-- A nullable column without a default: the table is locked for an instant, and the previous version of muster ignores it.
alter table password_links
    -- The seal key from which the secret was derived: the first bytes of a digest. Null for a random secret.
    add column derived_key_id bytea;
