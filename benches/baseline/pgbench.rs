//! The statements of single-user requests, run by `pgbench`.

use std::io::Write;
use std::process::Command;

use muster::id::{Id, User};
use sqlx::postgres::PgConnectOptions;

use super::{execute, program};

/// The statements of `batches/write.rs`, `users/write.rs`, `audit/write.rs` and `caller/read.rs` in the same order, on the same
/// tables. muster caches the API key, so the lookup that authenticates is missing. The settings of a transaction are set for
/// the connection.
const STATEMENTS: &str = r#"
\set seq :seq + 1
\set n :base + :seq * 64 + :client_id
begin isolation level read committed;
insert into batches
    (organization_id, batch_id, requested_by_kind, requested_by_id, request_id, source, user_count, created_at,
     state, finished_at, file_name, file_digest, file_digest_key, hash_count, hashed, weak_hash_count)
    values (:organization, (lpad(to_hex(:n::bigint), 16, '0') || '0000000000000000')::uuid, 'api_key', :key, :key,
     'http', 1, now(), 'created', now(), null, null, null, 0, 0, 0)
    on conflict on constraint batches_pkey do nothing;
insert into users
    (organization_id, email_key_version, status, batch_id, created_at, updated_at,
     user_id, email, email_key, name, lastname, title, is_sso_user, expires_at, attributes)
    select :organization, 1, 'active', (lpad(to_hex(:n::bigint), 16, '0') || '0000000000000000')::uuid, now(), now(),
     user_id, email, email_key, name, lastname, title, is_sso_user, expires_at, attributes::jsonb
    from unnest(
        array[(lpad(to_hex(:n::bigint), 16, '0') || '0000000000000000')::uuid],
        array['g' || :n::bigint || '@example.com'], array['g' || :n::bigint || '@example.com'],
        array['Ada'], array[null]::text[], array[null]::text[], array[true], array[null]::timestamptz[],
        array['{}'])
        as account (user_id, email, email_key, name, lastname, title, is_sso_user, expires_at, attributes)
    order by email_key collate "C"
    on conflict on constraint users_email_key_key do nothing;
insert into collaborators
    (organization_id, granted_by_kind, granted_by_id, granted_at, user_id, identity_id, permission_level)
    select :organization, 'api_key', :key, now(), user_id, identity_id, permission_level
    from unnest(
        array[(lpad(to_hex(:n::bigint), 16, '0') || '0000000000000000')::uuid],
        array[(lpad(to_hex(:n::bigint), 16, '0') || '0000000000000000')::uuid], array['collaborator'])
        as account (user_id, identity_id, permission_level);
insert into audit_events
    (organization_id, occurred_at, actor_kind, actor_id, outcome, request_id, source_address,
     event_id, action, target_kind, target_id, batch_id, details)
    select :organization, now(), 'api_key', :key, 'success', :key, '127.0.0.1'::text::inet,
     event_id, action, target_kind, target_id, batch_id, coalesce(details::jsonb, '{}')
    from unnest(
        array[(lpad(to_hex(:n::bigint), 16, '0') || '0000000000000000')::uuid,
            (lpad(to_hex(:n::bigint), 16, '0') || '0000000000000001')::uuid],
        array['user.batch_create', 'user.create'], array['batch', 'user'],
        array[(lpad(to_hex(:n::bigint), 16, '0') || '0000000000000000')::uuid,
            (lpad(to_hex(:n::bigint), 16, '0') || '0000000000000000')::uuid],
        array[(lpad(to_hex(:n::bigint), 16, '0') || '0000000000000000')::uuid,
            (lpad(to_hex(:n::bigint), 16, '0') || '0000000000000000')::uuid],
        array['{"users": 1}', null])
        as event (event_id, action, target_kind, target_id, batch_id, details)
    where exists (select from organizations where organization_id = :organization);
with member as (
    select from collaborators where organization_id = :organization and user_id = null::uuid
    for share
), owner_group as (
    select from user_group_members m
    join organization_policy_bindings b using (group_id)
    where m.organization_id = :organization and b.organization_id = :organization and m.user_id = null::uuid
        and b.role_name = 'owner'
    limit 1
    for share of m, b
), key as (
    select from api_keys where organization_id = :organization and key_id = :key
    for share
)
select false as is_owner_group from member
union all
select true from owner_group
union all
select false from key;
select
    k.secret_sha256, k.previous_secret_sha256, k.previous_expires_at, k.expires_at, k.revoked_at,
    k.permission_level, k.scopes, u.status = 'suspended' as is_user_suspended, u.expires_at as user_expires_at,
    c.permission_level as own_level
from api_keys k
left join users u on u.organization_id = :organization and u.user_id = k.user_id
left join collaborators c on c.organization_id = :organization and c.user_id = k.user_id
where k.organization_id = :organization and k.key_id = :key;
commit;
"#;

/// The query of `users/read.rs`.
const LOOKUP: &str = r#"
select
    u.user_id, c.identity_id, u.email, u.name, u.lastname,
    u.title, u.is_sso_user, u.is_service_account, u.status,
    case when exists (
        select from effective_owners o where o.organization_id = :organization and o.user_id = u.user_id
    ) then 'owner' else 'collaborator' end as permission_level,
    c.permission_level as own_level, u.created_at, u.updated_at, u.revision, u.expires_at
from users u
join collaborators c using (organization_id, user_id)
where u.organization_id = :organization and u.user_id = :user"#;

pub struct Pgbench {
    database: PgConnectOptions,
    script: tempfile::NamedTempFile,
    organization: String,
    key: String,
    rounds: usize,
}

impl Pgbench {
    pub fn new(database: &PgConnectOptions) -> Self {
        let mut script = tempfile::NamedTempFile::new().unwrap();
        script.write_all(STATEMENTS.as_bytes()).unwrap();
        let ids = execute(database, "\\t on\n\\a\nselect organization_id, key_id from api_keys;");
        let (organization, key) = ids.trim().split_once('|').unwrap();
        let (organization, key) = (organization.to_owned(), key.to_owned());
        Self { database: database.clone(), script, organization, key, rounds: 0 }
    }

    /// Transactions per second.
    pub fn rate(&mut self, clients: usize, seconds: u64) -> f64 {
        self.rounds += 1;
        let mut pgbench = program("pgbench", &self.database);
        pgbench
            .args(["-D", &format!("organization={}", self.organization), "-D", &format!("key={}", self.key)])
            .args(["-D", "seq=0", "-D", &format!("base={}", self.rounds * 1_000_000_000)])
            .env("PGOPTIONS", "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=10s -c enable_seqscan=off");
        rate(pgbench, &self.script, &self.database, clients, seconds)
    }
}

/// The query of a user lookup, run by `pgbench`.
pub struct Lookup {
    database: PgConnectOptions,
    script: tempfile::NamedTempFile,
    variables: Vec<String>,
}

impl Lookup {
    /// One pgbench transaction looks up all of these users, one after the other.
    pub fn new(database: &PgConnectOptions, users: &[Id<User>]) -> Self {
        let organization = execute(database, "\\t on\n\\a\nselect organization_id from organizations;");
        let mut variables = vec![format!("organization={}", organization.trim())];
        let mut script = tempfile::NamedTempFile::new().unwrap();
        for (n, user) in users.iter().enumerate() {
            variables.push(format!("user{n}={}", uuid::Uuid::from(*user)));
            writeln!(script, "{};", LOOKUP.replace(":user", &format!(":user{n}"))).unwrap();
        }
        Self { database: database.clone(), script, variables }
    }

    /// Lookups per second.
    pub fn rate(&self, clients: usize, seconds: u64) -> f64 {
        let mut pgbench = program("pgbench", &self.database);
        pgbench.args(self.variables.iter().flat_map(|variable| ["-D", variable]));
        rate(pgbench, &self.script, &self.database, clients, seconds) * (self.variables.len() - 1) as f64
    }
}

fn rate(
    mut pgbench: Command,
    script: &tempfile::NamedTempFile,
    database: &PgConnectOptions,
    clients: usize,
    seconds: u64,
) -> f64 {
    let output = pgbench
        .args(["-n", "-M", "prepared", "-j", "2", "-c", &clients.to_string(), "-T", &seconds.to_string()])
        .arg("-f")
        .arg(script.path())
        .arg(database.get_database().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("number of failed transactions: 0 "), "{text}");
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.unwrap_or_else(|| panic!("{text}"))
}
