-- A list of users created together, all of them or none. The row is written in
-- the transaction that writes its users: it exists exactly if they do.
create table batches (
    organization_id   uuid        not null,
    batch_id          uuid        not null,
    -- Who asked: the actor's kind and, unless it was the local operator, its id.
    requested_by_kind text        not null,
    requested_by_id   uuid,
    -- The request that created it, as in `x-request-id` and the log; null when no request did.
    request_id        uuid,
    -- The kind of client the list came from.
    source            text        not null,
    -- How many users it made.
    user_count        integer     not null,
    created_at        timestamptz not null,

    constraint batches_pkey primary key (organization_id, batch_id),
    constraint batches_organization_fkey foreign key (organization_id)
        references organizations (organization_id),
    constraint batches_requested_by_whole check (
        (requested_by_kind = 'operator' and requested_by_id is null)
        or (requested_by_kind = 'api_key' and requested_by_id is not null)
    ),
    constraint batches_source_known check (source in ('vendor_client', 'muster_client', 'http')),
    constraint batches_user_count_positive check (user_count > 0)
);
