//! The roles of a database: one that owns the tables and migrates them, and one that muster serves with.
//!
//! | role of the embedded PostgreSQL | |
//! |---|---|
//! | `muster` | the superuser that `initdb` creates. muster uses it at the start, to create the others |
//! | `muster_owner` | owns the database and its tables; applies migrations |
//! | `muster_app` | serves requests: it owns nothing, and can only add to the audit log and read it |
//!
//! Another database can have one role for everything, or the same separation (`docs/how-to/database-roles.md`).
//!
//! # Decisions
//!
//! *Privileges are granted after the migrations, not by them*: a migration can't know the name of the role, and a restored
//! dump has tables without grants.

use sqlx::{AssertSqlSafe, PgConnection};

/// The role that owns the database and its tables.
pub(super) const OWNER: &str = "muster_owner";

/// The role that requests are served with.
pub const APP: &str = "muster_app";

/// Grants a role what serving needs, on the tables that exist, and revokes what it does not need. One statement, so that
/// no other transaction finds a privilege missing. `$role` is quoted by the caller.
const GRANT: &str = r#"
do $grant$
declare
    one record;
begin
    for one in
        select c.relname, case
            when c.relkind = 'v' or c.relname = '_sqlx_migrations' then 'select'
            when c.relname = 'audit_events' then 'select, insert'
            when c.relname = 'organizations' then 'select, insert, update'
            else 'select, insert, update, delete'
        end as needed
        from pg_class c
        where c.relkind in ('r', 'p', 'v') and c.relnamespace = current_schema()::regnamespace
            and (c.relname in ('_sqlx_migrations', 'login_requests')
                or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'organization_id'))
    loop
        if exists (
            select from unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger'])
                as known (privilege)
            where has_table_privilege($role, format('%I', one.relname), known.privilege)
                <> (known.privilege = any (string_to_array(one.needed, ', ')))
        ) or exists (
            select from unnest(array['insert', 'update', 'references']) as known (privilege)
            where has_any_column_privilege($role, format('%I', one.relname), known.privilege)
                and known.privilege <> all (string_to_array(one.needed, ', '))
        ) then
            execute format('revoke all on %I from %I', one.relname, $role);
            execute format('grant %s on %I to %I', one.needed, one.relname, $role);
        end if;
    end loop;
    if not has_schema_privilege($role, current_schema(), 'usage') then
        execute format('grant usage on schema %I to %I', current_schema(), $role);
    end if;
end
$grant$"#;

/// Creates the roles of the embedded PostgreSQL, and makes one of them the owner of the database. In a database of an
/// earlier version, the superuser owns the tables.
const SEPARATE: &str = "
set lock_timeout = '10s';
do $separate$
declare
    one record;
begin
    if not exists (select from pg_roles where rolname = 'muster_owner') then
        create role muster_owner login;
    end if;
    if not exists (select from pg_roles where rolname = 'muster_app') then
        create role muster_app login;
    end if;
    for one in
        select 'alter database muster owner to muster_owner' as statement
        from pg_database where datname = 'muster' and datdba <> 'muster_owner'::regrole
        union all
        select 'grant usage, create on schema public to muster_owner'
        where not has_schema_privilege('muster_owner', 'public', 'create')
        union all
        select format('alter %s %s owner to muster_owner', case relkind when 'v' then 'view' else 'table' end, oid::regclass)
        from pg_class c
        where relkind in ('r', 'p', 'v') and relnamespace = 'public'::regnamespace and relowner <> 'muster_owner'::regrole
            and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
        union all
        select format('alter function %s owner to muster_owner', oid::regprocedure)
        from pg_proc p
        where pronamespace = 'public'::regnamespace and proowner <> 'muster_owner'::regrole
            and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
    loop
        execute one.statement;
    end loop;
end
$separate$";

/// Why the connection's role can't grant the role of the first parameter its privileges; null if it can.
const WHY_NOT: &str = r#"
select case
    when $1::text = 'public' then '`public` is not a role'
    when app.oid is null then format('role "%s" does not exist', $1)
    when app.rolsuper then format('role "%s" is a superuser, which needs no grants and is not limited by them', $1)
    when app.oid = c.relowner then format('role "%s" owns the tables, so it needs no grants', $1)
    when not pg_has_role(c.relowner, 'usage')
        then format('only the role that owns the tables, %s, can grant them', pg_get_userbyid(c.relowner))
end
from pg_class c left join pg_roles app on app.rolname = $1
where c.oid = to_regclass('audit_events')"#;

/// Why a role can't be granted its privileges.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The role is not one to grant to, or the connection's role can't grant.
    #[error("{0}")]
    Impossible(String),
    /// The database can't be reached or rejects statements.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Grants the role that an administrator names what serving needs, and nothing else.
///
/// # Errors
/// When the role does not exist, is a superuser or owns the tables, or the connection's role does not own them.
pub async fn grant_to(connection: &mut PgConnection, role: &str) -> Result<(), GrantError> {
    let why: Option<String> = sqlx::query_scalar(WHY_NOT).bind(role).fetch_one(&mut *connection).await?;
    match why {
        Some(why) => Err(GrantError::Impossible(why)),
        None => Ok(grant(connection, role).await?),
    }
}

/// Grants muster's own role what serving needs, and nothing else, on the tables that the connection's role owns.
///
/// # Errors
/// Those of the database.
pub async fn grant(connection: &mut PgConnection, app: &str) -> sqlx::Result<()> {
    let role: String = sqlx::query_scalar("select quote_literal($1)").bind(app).fetch_one(&mut *connection).await?;
    sqlx::raw_sql(AssertSqlSafe(GRANT.replace("$role", &role))).execute(connection).await.map(|_| ())
}

/// Separates the roles of the embedded PostgreSQL, as its superuser, in its database.
pub(super) async fn separate(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(SEPARATE).execute(&mut *connection).await?;
    grant(connection, APP).await
}
