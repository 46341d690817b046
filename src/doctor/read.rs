//! Reads the catalogs and settings of the database, and from muster's own tables the API keys that expire soon and
//! the schemes of password hashes.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::clock::Clock;
use crate::id::{ApiKey, Id};
use crate::postgres;

/// The server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// `server_version_num`: 150018 is 15.18.
    pub(super) version: i32,
    /// The encoding of the database, such as `UTF8`.
    pub(super) encoding: String,
    /// Whether the server is a standby.
    pub(super) is_standby: bool,
    /// `default_transaction_read_only`.
    pub(super) is_read_only: bool,
    pub(super) fsync: String,
    pub(super) full_page_writes: String,
    pub(super) synchronous_commit: String,
    pub(super) synchronous_standby_names: String,
    /// The number of connected standbys.
    pub(super) standbys: i64,
    /// The size of the database, in bytes.
    pub(super) bytes: i64,
}

pub(super) async fn server(connection: &mut PgConnection) -> sqlx::Result<Server> {
    sqlx::query_as!(
        Server,
        r#"select current_setting('server_version_num')::int as "version!",
            current_setting('server_encoding') as "encoding!",
            pg_is_in_recovery() as "is_standby!",
            current_setting('default_transaction_read_only')::bool as "is_read_only!",
            current_setting('fsync') as "fsync!",
            current_setting('full_page_writes') as "full_page_writes!",
            current_setting('synchronous_commit') as "synchronous_commit!",
            current_setting('synchronous_standby_names') as "synchronous_standby_names!",
            (select count(*) from pg_stat_replication) as "standbys!",
            pg_database_size(current_database()) as "bytes!""#
    )
    .fetch_one(connection)
    .await
}

/// The default timeouts of sessions, in milliseconds; 0: none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) statement: i64,
    pub(super) idle_session: i64,
    /// Since PostgreSQL 17.
    pub(super) transaction: i64,
}

pub(super) async fn limits(connection: &mut PgConnection) -> sqlx::Result<Limits> {
    sqlx::query_as!(
        Limits,
        r#"select coalesce(max(setting) filter (where name = 'statement_timeout'), '0')::bigint as "statement!",
            coalesce(max(setting) filter (where name = 'idle_session_timeout'), '0')::bigint as "idle_session!",
            coalesce(max(setting) filter (where name = 'transaction_timeout'), '0')::bigint as "transaction!"
        from pg_settings where name in ('statement_timeout', 'idle_session_timeout', 'transaction_timeout')"#
    )
    .fetch_one(connection)
    .await
}

/// The budget of connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connections {
    /// The least limit of the server, the role and the database, without connections reserved for superusers.
    pub(super) possible: i64,
    /// Connections of other programs.
    pub(super) of_others: i64,
}

/// An ordinary role can't see the kind of other roles' sessions, but only clients have both a role and a database.
pub(super) async fn connections(connection: &mut PgConnection) -> sqlx::Result<Connections> {
    sqlx::query_as!(
        Connections,
        r#"select least(
                current_setting('max_connections')::bigint
                    - current_setting('superuser_reserved_connections')::bigint
                    - coalesce(current_setting('reserved_connections', true), '0')::bigint,
                (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user),
                (select nullif(datconnlimit, -1) from pg_database where datname = current_database())
            ) as "possible!",
            (select count(*) from pg_stat_activity
             where datid is not null and usesysid is not null and application_name <> 'muster') as "of_others!""#
    )
    .fetch_one(connection)
    .await
}

/// The connection to the server.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// The server's address; `None` for a Unix socket.
    pub(super) address: Option<String>,
    pub(super) is_encrypted: bool,
}

pub(super) async fn link(connection: &mut PgConnection) -> sqlx::Result<Link> {
    sqlx::query_as!(
        Link,
        r#"select host(inet_server_addr()) as address,
            coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as "is_encrypted!""#
    )
    .fetch_one(connection)
    .await
}

/// The clocks of the database and of this machine at the same moment, and the duration of a round trip.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) theirs: DateTime<Utc>,
    pub(super) ours: DateTime<Utc>,
    pub(super) round_trip: Duration,
}

/// How often the time is read; the fastest round trip counts.
const CLOCK_READINGS: u32 = 10;

pub(super) async fn times(connection: &mut PgConnection, clock: &Clock) -> sqlx::Result<Times> {
    let mut fastest: Option<Times> = None;
    for _ in 0..CLOCK_READINGS {
        let (ours, start) = (clock.now(), Instant::now());
        let theirs = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&mut *connection).await?;
        let round_trip = start.elapsed();
        let times = Times { theirs, ours: ours + round_trip / 2, round_trip };
        fastest = Some(fastest.filter(|before| before.round_trip <= round_trip).unwrap_or(times));
    }
    fastest.ok_or(sqlx::Error::RowNotFound)
}

/// The role of the connection.
#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) is_superuser: bool,
    /// Attributes that muster does not need: `createrole`, `createdb`, `replication`, `bypassrls`.
    pub(super) attributes: Vec<String>,
    pub(super) may_create_tables: bool,
}

pub(super) async fn role(connection: &mut PgConnection) -> sqlx::Result<Role> {
    sqlx::query_as!(
        Role,
        r#"select rolname::text as "name!", rolsuper as "is_superuser!",
            array_remove(array[case when rolcreaterole then 'createrole' end, case when rolcreatedb then 'createdb' end,
                case when rolreplication then 'replication' end, case when rolbypassrls then 'bypassrls' end], null)
                as "attributes!",
            coalesce(has_schema_privilege(current_schema(), 'create'), false) as "may_create_tables!"
        from pg_roles where rolname = current_user"#
    )
    .fetch_one(connection)
    .await
}

/// A table of muster, and the privileges of the role on it.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    /// Whether the role owns the table, or is a member of the owner.
    pub(super) is_owned: bool,
    /// Missing privileges that muster needs.
    pub(super) missing: Vec<String>,
}

impl Table {
    /// Whether the role lacks the privilege.
    pub(super) fn lacks(&self, privilege: &str) -> bool {
        self.missing.iter().any(|missing| missing == privilege)
    }
}

/// The tables and views of muster, recognized by their column `organization_id`, and the two tables without it.
pub(super) async fn tables(connection: &mut PgConnection) -> sqlx::Result<Vec<Table>> {
    sqlx::query_as!(
        Table,
        r#"select c.relname::text as "name!", pg_has_role(c.relowner, 'usage') as "is_owned!",
            array(select needed.privilege from unnest(array['select', 'insert', 'update', 'delete']) as needed(privilege)
                  where not has_table_privilege(c.oid, needed.privilege)
                    and (c.relkind <> 'v' or needed.privilege = 'select')
                    and (c.relname <> 'audit_events' or needed.privilege in ('select', 'insert'))
                    and (c.relname <> 'organizations' or needed.privilege <> 'delete')
                    and (c.relname <> '_sqlx_migrations' or needed.privilege = 'select')) as "missing!"
        from pg_class c
        where c.relkind in ('r', 'p', 'v') and c.relnamespace = current_schema()::regnamespace
          and (c.relname in ('_sqlx_migrations', 'login_requests')
               or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'organization_id'))
        order by c.relname"#
    )
    .fetch_all(connection)
    .await
}

/// The trigger that makes the audit log append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AuditLock {
    /// Whether the trigger is enabled.
    pub(super) is_enabled: bool,
    /// Whether it fires before updates, deletions and truncation.
    pub(super) covers_all: bool,
    /// Whether it fires for this role (`session_replication_role`).
    pub(super) is_effective: bool,
    /// Whether its function raises the error.
    pub(super) raises: bool,
}

/// The body of the trigger's function, as in the migration that creates it.
const AUDIT_FUNCTION: &str = "
begin
    raise exception 'audit_events is append only' using errcode = 'insufficient_privilege';
end
";

pub(super) async fn audit_lock(connection: &mut PgConnection) -> sqlx::Result<Option<AuditLock>> {
    // Bits of tgtype: 2 before, 8 delete, 16 update, 32 truncate (src/include/catalog/pg_trigger.h).
    sqlx::query_as!(
        AuditLock,
        r#"select tgenabled in ('O', 'A') as "is_enabled!", tgtype & 58 = 58 as "covers_all!",
            current_setting('session_replication_role') <> 'replica' or tgenabled = 'A' as "is_effective!",
            (select prosrc = $1 from pg_proc where oid = tgfoid) as "raises!"
        from pg_trigger
        where tgrelid = to_regclass('audit_events') and tgname = 'audit_events_append_only' and not tgisinternal"#,
        AUDIT_FUNCTION,
    )
    .fetch_optional(connection)
    .await
}

/// What the role can do to the audit log, and what changes the events that are written or read.
#[derive(Clone, Debug)]
pub(super) struct AuditRights {
    /// Whether the role owns the table, or is a member of the owner.
    pub(super) is_owner: bool,
    /// Privileges on the table, or on a column of it, that muster does not need.
    pub(super) excess: Vec<String>,
    /// What contains or protects the table, and the role owns.
    pub(super) owned: Vec<String>,
    /// The schema of the table, if the role can create objects in it without owning it.
    pub(super) open_schema: Option<String>,
    /// Roles that reach around the privileges on tables, and that the role is a member of.
    pub(super) memberships: Vec<String>,
    /// Whether the role can set `session_replication_role`.
    pub(super) disables_triggers: bool,
    /// The rules of the table.
    pub(super) rules: Vec<String>,
    /// The triggers of the table other than muster's own.
    pub(super) triggers: Vec<String>,
    /// Whether row level security applies to the role.
    pub(super) is_row_secured: bool,
}

/// Membership is checked without regard to inheritance: a member can `set role`.
pub(super) async fn audit_rights(connection: &mut PgConnection) -> sqlx::Result<Option<AuditRights>> {
    // Bit 4 of tgtype: insert. Under another name, muster's own trigger does no harm, and `audit_lock` reports it.
    sqlx::query_as!(
        AuditRights,
        r#"select pg_has_role(c.relowner, 'member') as "is_owner!",
            array(select privilege
                  from unnest(array['update', 'delete', 'truncate', 'references', 'trigger']) as known (privilege)
                  where has_table_privilege(c.oid, privilege)
                     or case when privilege in ('update', 'references') then has_any_column_privilege(c.oid, privilege) end)
                as "excess!",
            array(select 'the database ' || datname from pg_database
                  where datname = current_database() and pg_has_role(datdba, 'member')
                  union all
                  select 'the schema ' || n.nspname where pg_has_role(n.nspowner, 'member')
                  union all
                  select 'the function ' || p.oid::regprocedure from pg_trigger t join pg_proc p on p.oid = t.tgfoid
                  where t.tgrelid = c.oid and t.tgname = 'audit_events_append_only' and pg_has_role(p.proowner, 'member'))
                as "owned!",
            case when has_schema_privilege(n.oid, 'create') and not pg_has_role(n.nspowner, 'member')
                then n.nspname::text end as open_schema,
            array(select rolname::text from pg_roles
                  where (rolsuper or rolname in ('pg_execute_server_program', 'pg_read_server_files',
                                                 'pg_write_server_files'))
                    and pg_has_role(oid, 'member')
                  order by rolname) as "memberships!",
            has_parameter_privilege('session_replication_role', 'set, alter system') as "disables_triggers!",
            array(select rulename::text from pg_rewrite where ev_class = c.oid and ev_enabled <> 'D' order by rulename)
                as "rules!",
            array(select tgname::text from pg_trigger
                  where tgrelid = c.oid and not tgisinternal and tgenabled <> 'D' and tgname <> 'audit_events_append_only'
                    and (tgtype & 4 <> 0 or tgfoid is distinct from to_regproc('audit_events_refuse_change')::oid)
                  order by tgname) as "triggers!",
            row_security_active(c.oid) as "is_row_secured!"
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.oid = to_regclass('audit_events')"#
    )
    .fetch_optional(connection)
    .await
}

/// The prerequisites of the user search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// Whether `pg_trgm` can be installed.
    pub(super) is_available: bool,
    /// Whether `pg_trgm` is installed.
    pub(super) is_installed: bool,
    /// Whether the index exists and is valid.
    pub(super) is_indexed: bool,
}

pub(super) async fn search(connection: &mut PgConnection) -> sqlx::Result<Search> {
    sqlx::query_as!(
        Search,
        r#"select exists (select from pg_available_extensions where name = 'pg_trgm') as "is_available!",
            exists (select from pg_extension where extname = 'pg_trgm') as "is_installed!",
            exists (select from pg_index where indexrelid = to_regclass('users_search_text') and indisvalid)
                as "is_indexed!""#
    )
    .fetch_one(connection)
    .await
}

/// The indexes of lists that do not exist or are not valid.
pub(super) async fn missing_indexes(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select name as "name!" from unnest($1::text[]) with ordinality as needed (name, place)
            where not exists (select from pg_index where indexrelid = to_regclass(name) and indisvalid) order by place"#,
        &postgres::plain_index_names() as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// The short names of the organizations that have an identity provider or a sign-in policy, and no owner who can sign in.
pub(super) async fn organizations_without_sign_in(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select public_identifier from organizations
            where organization_id in (
                    select organization_id from sign_in_policies union select organization_id from sso_providers
                )
                and organization_id not in (select organization_id from owners_who_sign_in)
            order by public_identifier"#
    )
    .fetch_all(connection)
    .await
}

/// The objects of the schema, one per line as in `schema.txt`: tables, views, columns, constraints, valid indexes and
/// enabled triggers. Not those with a check of their own (indexes that no migration creates, the trigger of the audit log), and not `not null`,
/// which PostgreSQL 18 made a constraint.
///
/// # Errors
/// Those of the database.
pub async fn objects(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"with tables as (
            select oid, relname::text as name from pg_class
            where relkind in ('r', 'p') and relnamespace = current_schema()::regnamespace and relname <> '_sqlx_migrations'
        )
        select 'table ' || name as "object!" from tables
        union all
        select 'view ' || relname from pg_class where relkind = 'v' and relnamespace = current_schema()::regnamespace
        union all
        select 'column ' || name || '.' || attname from tables
            join pg_attribute on attrelid = oid and attnum > 0 and not attisdropped
        union all
        select 'constraint ' || name || '.' || conname from tables
            join pg_constraint on conrelid = tables.oid and contype in ('c', 'f', 'p', 'u', 'x')
        union all
        select 'index ' || name || '.' || relname from tables
            join pg_index on indrelid = tables.oid and indisvalid
            join pg_class on pg_class.oid = indexrelid and relname <> all($1) and name <> 'audit_events'
            where not exists (select from pg_constraint where conindid = indexrelid and contype in ('p', 'u', 'x'))
        union all
        select 'trigger ' || name || '.' || tgname from tables
            join pg_trigger on tgrelid = tables.oid and tgenabled in ('O', 'A') and not tgisinternal
                and tgname <> 'audit_events_append_only'
        order by 1"#,
        &postgres::index_names() as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// An API key that expires soon.
#[derive(Clone, Debug)]
pub(super) struct ExpiringKey {
    pub(super) key_id: Id<ApiKey>,
    pub(super) name: String,
    /// The public identifier of its organization.
    pub(super) organization: String,
    pub(super) expires_at: DateTime<Utc>,
}

/// The keys of all organizations that expire between two times, in this order. Keys with a lifetime shorter than that span
/// are left out: they are meant to expire.
pub(super) async fn expiring_keys(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> sqlx::Result<Vec<ExpiringKey>> {
    sqlx::query_as!(
        ExpiringKey,
        r#"select key_id as "key_id: Id<ApiKey>", k.name, o.public_identifier as organization, expires_at
        from api_keys k join organizations o on o.organization_id = k.organization_id
        where revoked_at is null and expires_at > $1 and expires_at <= $2
            and expires_at - k.created_at > $2::timestamptz - $1::timestamptz
        order by expires_at, key_id"#,
        now,
        until
    )
    .fetch_all(connection)
    .await
}

/// How many stored passwords have a hash of a scheme.
#[derive(Clone, Debug)]
pub(super) struct HashScheme {
    /// Such as `bcrypt`.
    pub(super) scheme: String,
    pub(super) count: i64,
}

/// The schemes of hashes other than argon2id, in all organizations, the most frequent first.
pub(super) async fn other_schemes(connection: &mut PgConnection) -> sqlx::Result<Vec<HashScheme>> {
    sqlx::query_as!(
        HashScheme,
        r#"select case when phc like '$2_$%' then 'bcrypt' else split_part(phc, '$', 2) end as "scheme!", count(*) as "count!"
        from passwords where phc not like '$argon2id$%'
        group by 1 order by 2 desc, 1"#
    )
    .fetch_all(connection)
    .await
}
