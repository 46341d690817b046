//! What the database says about itself: catalogs and settings. Of muster's tables the API keys are read, for when they end.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clock::Clock;

/// What the server is.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// `server_version_num`: 150018 is 15.18.
    pub(super) version: i32,
    /// Of the database, such as `UTF8`.
    pub(super) encoding: String,
    /// Whether it follows another server.
    pub(super) is_standby: bool,
    /// Whether transactions only read unless they say otherwise.
    pub(super) is_read_only: bool,
    pub(super) fsync: String,
    pub(super) full_page_writes: String,
    pub(super) synchronous_commit: String,
    pub(super) synchronous_standby_names: String,
    /// Servers that follow this one.
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

/// Limits that a session starts with, in milliseconds; 0 for none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) statement: i64,
    pub(super) idle_session: i64,
    /// Since PostgreSQL 17; 0 before.
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

/// How many connections there can be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connections {
    /// For this role in this database: the least of the limits, without what is kept for superusers.
    pub(super) possible: i64,
    /// Those of others, now.
    pub(super) of_others: i64,
}

/// What kind of session another role's is an ordinary role isn't told: clients have both a role and a database.
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

/// How the connection is made.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// The server's address; `None` for a socket on this machine.
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

/// What the database's clock shows, and what this machine's does in the middle of asking; and how long that took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) theirs: DateTime<Utc>,
    pub(super) ours: DateTime<Utc>,
    pub(super) took: Duration,
}

/// How often the time is asked for: the quickest answer counts, since anything may hold up one of them.
const ASKED: usize = 10;

pub(super) async fn times(connection: &mut PgConnection, clock: &Clock) -> sqlx::Result<Times> {
    let mut quickest: Option<Times> = None;
    for _ in 0..ASKED {
        let (ours, asked) = (clock.now(), Instant::now());
        let theirs = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&mut *connection).await?;
        let took = asked.elapsed();
        let times = Times { theirs, ours: ours + took / 2, took };
        quickest = Some(quickest.filter(|before| before.took <= took).unwrap_or(times));
    }
    quickest.ok_or(sqlx::Error::RowNotFound)
}

/// The role that muster works as.
#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) is_superuser: bool,
    /// What else it may that muster has no use for: `createrole`, `createdb`, `replication`, `bypassrls`.
    pub(super) powers: Vec<String>,
    pub(super) may_create_tables: bool,
}

pub(super) async fn role(connection: &mut PgConnection) -> sqlx::Result<Role> {
    sqlx::query_as!(
        Role,
        r#"select rolname::text as "name!", rolsuper as "is_superuser!",
            array_remove(array[case when rolcreaterole then 'createrole' end, case when rolcreatedb then 'createdb' end,
                case when rolreplication then 'replication' end, case when rolbypassrls then 'bypassrls' end], null)
                as "powers!",
            coalesce(has_schema_privilege(current_schema(), 'create'), false) as "may_create_tables!"
        from pg_roles where rolname = current_user"#
    )
    .fetch_one(connection)
    .await
}

/// One of muster's tables, as far as the role may use it.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    /// Whether the role owns it, or belongs to a role that does.
    pub(super) is_owned: bool,
    /// What the role may not do with it and muster does.
    pub(super) lacking: Vec<String>,
}

impl Table {
    /// Whether the role may not do this with it.
    pub(super) fn lacks(&self, privilege: &str) -> bool {
        self.lacking.iter().any(|lacking| lacking == privilege)
    }
}

/// muster's tables and views: those that have an organization in every row, and the list of migrations.
pub(super) async fn tables(connection: &mut PgConnection) -> sqlx::Result<Vec<Table>> {
    sqlx::query_as!(
        Table,
        r#"select c.relname::text as "name!", pg_has_role(c.relowner, 'usage') as "is_owned!",
            array(select needed.privilege from unnest(array['select', 'insert', 'update', 'delete']) as needed(privilege)
                  where not has_table_privilege(c.oid, needed.privilege)
                    and (c.relkind <> 'v' or needed.privilege = 'select')
                    and (c.relname <> 'audit_events' or needed.privilege in ('select', 'insert'))
                    and (c.relname <> '_sqlx_migrations' or needed.privilege = 'select')) as "lacking!"
        from pg_class c
        where c.relkind in ('r', 'p', 'v') and c.relnamespace = current_schema()::regnamespace
          and (c.relname = '_sqlx_migrations'
               or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'organization_id'))
        order by c.relname"#
    )
    .fetch_all(connection)
    .await
}

/// The lock on the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    /// Whether the trigger is enabled.
    pub(super) is_enabled: bool,
    /// Whether it comes before updates, deletions and truncation, all of them.
    pub(super) covers_all: bool,
    /// Whether triggers work at all for this role: `session_replication_role`.
    pub(super) works: bool,
}

pub(super) async fn audit_lock(connection: &mut PgConnection) -> sqlx::Result<Option<Lock>> {
    // tgtype: 2 is before, 8 deletion, 16 update, 32 truncation (src/include/catalog/pg_trigger.h).
    sqlx::query_as!(
        Lock,
        r#"select tgenabled in ('O', 'A') as "is_enabled!", tgtype & 58 = 58 as "covers_all!",
            current_setting('session_replication_role') <> 'replica' or tgenabled = 'A' as "works!"
        from pg_trigger
        where tgrelid = to_regclass('audit_events') and tgname = 'audit_events_append_only' and not tgisinternal"#
    )
    .fetch_optional(connection)
    .await
}

/// What searching goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// Whether the server has the files of `pg_trgm`.
    pub(super) is_available: bool,
    /// Whether the database has the extension.
    pub(super) is_installed: bool,
    /// Whether the index is there and whole.
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

/// What muster's tables are made of, one a line in the words of `schema.txt`: tables, views, columns, constraints, and
/// indexes and triggers that work. Not what has a check of its own: the index of searches, and the lock of the audit log. Nor
/// which columns may be null: PostgreSQL 18 has made constraints of that.
pub(super) async fn objects(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
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
            join pg_class on pg_class.oid = indexrelid and relname <> 'users_search_text'
            where not exists (select from pg_constraint where conindid = indexrelid and contype in ('p', 'u', 'x'))
        union all
        select 'trigger ' || name || '.' || tgname from tables
            join pg_trigger on tgrelid = tables.oid and tgenabled in ('O', 'A') and not tgisinternal
                and tgname <> 'audit_events_append_only'
        order by 1"#
    )
    .fetch_all(connection)
    .await
}

/// An API key that will soon open nothing.
#[derive(Clone, Debug)]
pub(super) struct EndingKey {
    pub(super) key_id: Uuid,
    pub(super) name: String,
    /// The identifier of its organization.
    pub(super) organization: String,
    pub(super) expires_at: DateTime<Utc>,
}

/// Keys that end between two times, those first that end first; without those that were made for less than that, which
/// are meant to end. Of all organizations: whoever runs muster is asked about each of them.
pub(super) async fn ending_keys(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> sqlx::Result<Vec<EndingKey>> {
    sqlx::query_as!(
        EndingKey,
        "select key_id, k.name, o.public_identifier as organization, expires_at
        from api_keys k join organizations o on o.organization_id = k.organization_id
        where revoked_at is null and expires_at > $1 and expires_at <= $2
            and expires_at - k.created_at > $2::timestamptz - $1::timestamptz
        order by expires_at, key_id",
        now,
        until
    )
    .fetch_all(connection)
    .await
}
