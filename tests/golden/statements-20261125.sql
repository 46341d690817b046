-- Every statement of the muster whose latest migration is 20261125000003, as it was built: what an instance of
-- that version sends while instances of this one have migrated the database already.
----
delete from batches where organization_id = $1 and batch_id = $2 and owner = $3 and state = 'running'
----
delete from users where organization_id = $1 and user_id = any($2)
----
insert into api_keys
    (organization_id, key_id, name, secret_sha256, permission_level, created_by_kind, created_by_id,
     created_at, expires_at, user_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
----
insert into audit_events
    (organization_id, event_id, occurred_at, actor_kind, actor_id, action, outcome, reason,
     request_id, source_address, details, batch_id)
select organization_id, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::inet, $11, $12
from organizations
where organization_id = $1
----
insert into audit_events
    (organization_id, occurred_at, actor_kind, actor_id, outcome, request_id, source_address,
     event_id, action, target_kind, target_id, batch_id, details)
select
    $1, $2, $3, $4, 'success', $5, $6::text::inet,
    event_id, action, target_kind, target_id, batch_id, coalesce(details::jsonb, '{}')
from unnest($7::uuid[], $8::text[], $9::text[], $10::uuid[], $11::uuid[], $12::text[])
    as event (event_id, action, target_kind, target_id, batch_id, details)
----
insert into batches
    (organization_id, batch_id, requested_by_kind, requested_by_id, request_id, source, user_count, created_at,
     state, finished_at, file_name, file_digest, file_digest_key, hash_count, hashed, weak_hash_count)
values ($1, $2, $3, $4, $5, $6, $7, $8, 'created', $8, $9, $10, $11, $12, $12, $13)
on conflict on constraint batches_pkey do nothing
----
insert into batches
    (organization_id, batch_id, requested_by_kind, requested_by_id, request_id, source, user_count, created_at,
     state, owner, lease_until, file_name, file_digest, file_digest_key,
     idempotency_key, fingerprint, fingerprint_key, key_expires_at)
values ($1, $2, $3, $4, $5, $6, 0, $7, 'running', $8, now() + make_interval(secs => $9), $10, $11, $12,
     $13, $14, $15, $16)
on conflict (organization_id, requested_by_kind, requested_by_id, idempotency_key)
    where idempotency_key is not null do nothing
----
insert into collaborators
    (organization_id, granted_by_kind, granted_by_id, granted_at, user_id, identity_id, permission_level)
select $1, $2, $3, $4, user_id, identity_id, permission_level
from unnest($5::uuid[], $6::uuid[], $7::text[]) as account (user_id, identity_id, permission_level)
----
insert into organizations (organization_id, name, public_identifier, created_at) values ($1, $2, $3, $4)
----
insert into passwords (organization_id, set_at, user_id, phc, must_change)
select $1, $2, user_id, phc, must_change
from unnest($3::uuid[], $4::text[], $5::bool[]) as account (user_id, phc, must_change)
----
insert into users
    (organization_id, email_key_version, status, batch_id, created_at, updated_at,
     user_id, email, email_key, name, lastname, title, is_sso_user)
select $1, $2, 'active', $3, $4, $4, user_id, email, email_key, name, lastname, title, is_sso_user
from unnest($5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bool[])
    as account (user_id, email, email_key, name, lastname, title, is_sso_user)
order by email_key collate "C"
on conflict on constraint users_email_key_key do nothing
----
select
    batch_id as "batch_id: Id<Batch>", state, requested_by_kind,
    requested_by_id as "requested_by_id: Id<ApiKey>", api_keys.name as "requested_by_name?",
    request_id as "request_id: Id<Request>", source, file_name, file_digest, batches.created_at, finished_at, undone_at,
    user_count, hash_count, hashed, weak_hash_count, expected_at, failure
from batches
left join api_keys
    on api_keys.organization_id = batches.organization_id and api_keys.key_id = batches.requested_by_id
where batches.organization_id = $1
    and ($2::uuid is null or batch_id = $2)
    and ($3::uuid is null or batch_id < $3)
    and ($4::text is null or state = $4)
    and ($5::bytea[] = '{}' or file_digest = any($5))
order by batch_id desc
limit $6
----
select
    batch_id as "batch_id: Id<Batch>", state, user_count, fingerprint as "fingerprint!",
    fingerprint_key as "fingerprint_key!", key_expires_at as "key_expires_at!",
    coalesce(lease_until < now(), false) as "is_lapsed!"
from batches
where organization_id = $1 and requested_by_kind = $2 and requested_by_id is not distinct from $3
    and idempotency_key = $4
----
select
    event_id as "event_id: Id<Event>", occurred_at, actor_kind, actor_id, api_keys.name as "actor_name?",
    action, outcome, reason, target_kind, target_id, batch_id,
    request_id as "request_id: Id<Request>", host(source_address) as source_address, details
from audit_events
left join api_keys
    on api_keys.organization_id = audit_events.organization_id and api_keys.key_id = audit_events.actor_id
where audit_events.organization_id = $1
    and ($2::uuid is null or event_id < $2)
    and ($3::uuid is null or event_id >= $3)
    and ($4::text is null or action = $4)
order by event_id desc
limit $5
----
select
    identity_id as "identity_id: Id<Identity>", user_id as "user_id: Id<User>", name, lastname, email,
    permission_level, created_at
from collaborators
join users using (organization_id, user_id)
where organization_id = $1
    and ($2::uuid is null or user_id > $2)
    and ($3::text is null or email_key = $3)
    and ($4::text is null or name = $4 or concat_ws(' ', name, nullif(lastname, '')) = $4)
order by user_id
limit $5
----
select
    key_id as "key_id: Id<ApiKey>", name, permission_level, created_at, expires_at, last_used_at,
    revoked_at
from api_keys
where organization_id = $1
order by key_id
----
select
    user_id as "user_id: Id<User>", email, name, lastname,
    case
        when first_signed_in_at is not null then 'signed_in'
        when users.updated_at > users.created_at
            or exists (select from passwords p where p.organization_id = users.organization_id
                and p.user_id = users.user_id and p.set_at > users.created_at)
            or not exists (select from collaborators c where c.organization_id = users.organization_id
                and c.user_id = users.user_id and c.granted_at = users.created_at) then 'changed'
        when exists (select from api_keys k where k.organization_id = users.organization_id
            and k.user_id = users.user_id) then 'in_use'
    end as reason
from users
where organization_id = $1 and batch_id = $2
order by user_id
for update
----
select asked.email_key as "email_key!"
from
    (select email_key from unnest($2::text[]) as list (email_key) order by email_key collate "C") as asked,
    lateral (
        select from users
        where organization_id = $1 and users.email_key = asked.email_key and batch_id is distinct from $3
        offset 0
    ) as taken
----
select asked.email_key as "email_key!"
from
    (select email_key from unnest($2::text[]) as list (email_key) order by email_key collate "C") as asked,
    lateral (
        select from users where organization_id = $1 and users.email_key = asked.email_key offset 0
    ) as taken
----
select name, lastname, email from users where organization_id = $1 and user_id = $2
----
select organization_id as "organization_id: Id<Organization>" from organizations order by organization_id limit 1
----
select organization_id as "organization_id: Id<Organization>", name, public_identifier
from organizations
where organization_id = $1
----
select response from batches where organization_id = $1 and batch_id = $2
----
select revoked_at from api_keys where organization_id = $1 and key_id = $2 for update
----
select state from batches where organization_id = $1 and batch_id = $2
----
select state from batches where organization_id = $1 and batch_id = $2 for update
----
select user_id as "user_id: Id<User>", email, created_at, name, is_sso_user, lastname, title
from users
where organization_id = $1 and batch_id = $2
order by user_id
----
select user_id as "user_id: Id<User>", name, secret_sha256, permission_level, expires_at, last_used_at, revoked_at
from api_keys
where organization_id = $1 and key_id = $2
----
select user_id as "user_id: Id<User>", phc from users
join passwords using (organization_id, user_id)
where organization_id = $1 and batch_id = $2
order by user_id
----
update api_keys set last_used_at = $3
where organization_id = $1 and key_id = $2
    and (last_used_at is null or last_used_at < $3)
----
update api_keys set revoked_at = $3 where organization_id = $1 and key_id = $2
----
update batches
set idempotency_key = null, fingerprint = null, fingerprint_key = null, key_expires_at = null, response = null
where (organization_id, batch_id) in (
    select organization_id, batch_id from batches
    where idempotency_key is not null and key_expires_at <= $1 and state <> 'running'
    order by key_expires_at
    limit 1000
    for update skip locked
)
----
update batches
set idempotency_key = null, fingerprint = null, fingerprint_key = null, key_expires_at = null, response = null
where organization_id = $1 and batch_id = $2 and state <> 'running' and key_expires_at <= $3
----
update batches
set lease_until = now() + make_interval(secs => $4), user_count = $5, hash_count = $6, weak_hash_count = $7,
    hashed = $8, expected_at = $9
where organization_id = $1 and batch_id = $2 and owner = $3 and state = 'running'
----
update batches
set state = 'cancelled', owner = null, lease_until = null, expected_at = null, finished_at = $3
where organization_id = $1 and batch_id = $2 and state = 'running'
----
update batches
set state = 'created', owner = null, lease_until = null, expected_at = null, finished_at = $4,
    user_count = $5, hash_count = $6, hashed = $6, weak_hash_count = $7,
    response = case when idempotency_key is not null then $8::bytea end
where organization_id = $1 and batch_id = $2 and owner = $3 and state = 'running'
----
update batches
set state = 'failed', failure = $1, finished_at = $2, owner = null, lease_until = null, expected_at = null,
    idempotency_key = null, fingerprint = null, fingerprint_key = null, key_expires_at = null, response = null
where state = 'running' and lease_until < now()
    and ($3::uuid is null or (organization_id = $3 and batch_id = $4))
returning
    organization_id as "organization_id: Id<Organization>", batch_id as "batch_id: Id<Batch>",
    requested_by_id as "requested_by_id: Id<ApiKey>", request_id as "request_id: Id<Request>", user_count
----
update batches
set state = 'failed', failure = $4, finished_at = $5, owner = null, lease_until = null, expected_at = null,
    idempotency_key = null, fingerprint = null, fingerprint_key = null, key_expires_at = null, response = null
where organization_id = $1 and batch_id = $2 and owner = $3 and state = 'running'
----
update batches set state = 'undone', undone_at = $3, response = null
where organization_id = $1 and batch_id = $2 and state = 'created'
