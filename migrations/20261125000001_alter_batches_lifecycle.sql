-- A batch can be watched while it is made, looked at when it failed, and undone. Until now a row
-- existed exactly if the batch's users did; now that is what state `created` means:
--
--     running -> created -> undone
--        |-> failed
--        |-> cancelled
--
-- A `running` row is claimed by one attempt at a time: `owner` names the attempt, and `lease_until`
-- is renewed while its process lives. The transaction that writes the users also turns the row from
-- `running` to `created`, only if it is still its owner's: an attempt that was thought dead, and was
-- not, finds that out there and rolls back. Columns are added with constant defaults, and the table
-- has one row a batch: locked for a moment only. Versions before this one insert `created` rows.
alter table batches
    add column state           text        not null default 'created',
    -- The attempt that is at work; null unless running.
    add column owner           uuid,
    -- Until when it is taken to be alive, by the database's clock; null unless running.
    add column lease_until     timestamptz,
    -- When it left `running`.
    add column finished_at     timestamptz,
    -- When its users were removed again.
    add column undone_at       timestamptz,
    -- The file that the list came from, as its sender named it.
    add column file_name       text,
    -- HMAC-SHA256 of the file's SHA-256, and which key made it. Keyed, with the key outside the database:
    -- a file may hold passwords, and a bare digest would let them be guessed.
    add column file_digest     bytea,
    add column file_digest_key bytea,
    -- Of the users: how many passwords are to be hashed, how many are, and when the rest will be.
    add column hash_count      integer     not null default 0,
    add column hashed          integer     not null default 0,
    add column expected_at     timestamptz,
    -- How many came with a hash that is weaker than today's recommendation.
    add column weak_hash_count integer     not null default 0,
    -- Why it failed, as in the answer of a refused request: code, detail, rows. Null unless failed.
    add column failure         jsonb,
    -- The sender's `Idempotency-Key`, what the request was (HMAC-SHA256 of its body, and which key made
    -- it), and until when both are kept. A key is let go at once when its batch fails.
    add column idempotency_key text        collate "C",
    add column fingerprint     bytea,
    add column fingerprint_key bytea,
    add column key_expires_at  timestamptz,
    -- The answer, byte for byte (LZ4), for a request that is sent again with its key.
    add column response        bytea,

    drop constraint batches_user_count_positive,
    add constraint batches_user_count_positive check (user_count > 0 or (state <> 'created' and user_count = 0)),
    add constraint batches_state_known check (state in ('running', 'created', 'failed', 'cancelled', 'undone')),
    add constraint batches_lease_whole check (
        (state = 'running') = (owner is not null) and (owner is null) = (lease_until is null)
    ),
    add constraint batches_undone_whole check ((state = 'undone') = (undone_at is not null)),
    add constraint batches_failure_whole check ((state = 'failed') = (failure is not null)),
    add constraint batches_file_digest_whole check ((file_digest is null) = (file_digest_key is null)),
    add constraint batches_key_whole check (
        (idempotency_key is null) = (fingerprint is null)
        and (idempotency_key is null) = (fingerprint_key is null)
        and (idempotency_key is null) = (key_expires_at is null)
        and (idempotency_key is not null or response is null)
    );

-- What is compressed already needs no second try.
alter table batches alter column response set storage external;

-- One request a key. The key is its sender's: nobody else meets it.
create unique index batches_idempotency_key on batches
    (organization_id, requested_by_kind, requested_by_id, idempotency_key) where idempotency_key is not null;

-- For finding the attempts that died, and the keys that have expired.
create index batches_running on batches (lease_until) where state = 'running';
create index batches_key_expires_at on batches (key_expires_at) where idempotency_key is not null;
