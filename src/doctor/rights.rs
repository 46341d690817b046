//! What muster's role may do, and what keeps the audit log as it is.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::read::{self, Lock, Role, Search, Table};
use super::{Finding, keys, schema};
use crate::postgres::{self, MigrateError, Schema};

const AUDIT: &str = "database.audit_lock";

pub(super) async fn examine(
    connection: &mut PgConnection,
    is_private: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let (role, tables) = (read::role(connection).await?, read::tables(connection).await?);
    findings.push(powers(&role, is_private));
    findings.push(rights(&role, &tables));
    let applied = match postgres::schema(connection).await {
        Err(MigrateError::Database(error)) => return Err(error),
        other => other,
    };
    let (is_current, is_made) =
        (matches!(applied, Ok(Schema::Current)), matches!(applied, Ok(Schema::Current | Schema::Lacks(_))));
    findings.push(migrations(applied));
    if is_current {
        let missing = schema::missing(&read::objects(connection).await?);
        findings.push(schema::judge(&missing));
        let reads_keys = tables.iter().any(|table| table.name == "api_keys" && !table.lacks("select"));
        if missing.is_empty() && reads_keys {
            findings.push(keys::examine(connection, now).await?);
        }
    }
    if is_made {
        findings.push(audit_lock(read::audit_lock(connection).await?));
        findings.push(search(read::search(connection).await?));
    }
    Ok(findings)
}

pub(super) fn powers(role: &Role, is_private: bool) -> Finding {
    const CHECK: &str = "database.role";
    let name = &role.name;
    if is_private {
        return Finding::ok(CHECK, format!("{name}, the only one of the private PostgreSQL"));
    }
    let advice = "have muster work as a role of its own: `create role muster login password '…'`, and `alter database … \
                  owner to muster`";
    if role.is_superuser {
        return Finding::warning(
            CHECK,
            format!("{name} is a superuser"),
            "whoever gets hold of muster has the whole server, and can switch off what protects the audit log",
            advice,
        );
    }
    if !role.powers.is_empty() {
        return Finding::warning(
            CHECK,
            format!("{name} has {}", role.powers.join(", ")),
            "muster needs none of it, and whoever gets hold of muster has it",
            format!(
                "`alter role {name} {}`",
                role.powers.iter().map(|power| format!("no{power}")).collect::<Vec<_>>().join(" ")
            ),
        );
    }
    Finding::ok(CHECK, format!("{name}, without special powers"))
}

pub(super) fn rights(role: &Role, tables: &[Table]) -> Finding {
    const CHECK: &str = "database.rights";
    if tables.is_empty() && !role.may_create_tables {
        return Finding::problem(
            CHECK,
            format!("{} may not create tables", role.name),
            "the database can't be made ready",
            format!("`grant create on schema public to {}`, or make it the database's owner", role.name),
        );
    }
    let lacking: Vec<String> = tables
        .iter()
        .filter(|table| !table.lacking.is_empty())
        .map(|table| format!("{} on {}", table.lacking.join(", "), table.name))
        .collect();
    if !lacking.is_empty() {
        return Finding::problem(
            CHECK,
            format!("{} lacks {}", role.name, lacking.join("; ")),
            "requests that need it get 500",
            "grant it, or make the role the owner of muster's tables: `reassign owned by … to …`",
        );
    }
    if !tables.iter().all(|table| table.is_owned) {
        return Finding::ok(CHECK, "enough to serve; another role owns the tables and has to run `muster migrate`");
    }
    Finding::ok(CHECK, "enough to serve and to migrate")
}

pub(super) fn migrations(schema: Result<Schema, MigrateError>) -> Finding {
    const CHECK: &str = "database.migrations";
    match schema {
        Ok(Schema::Current) => Finding::ok(CHECK, "up to date"),
        Ok(Schema::Empty) => Finding::warning(
            CHECK,
            "the database is empty",
            "there is nobody who could sign in yet",
            "`muster serve` makes it ready, and prints the first key; so does `muster migrate`",
        ),
        Ok(Schema::Lacks(count)) => Finding::warning(
            CHECK,
            format!("{count} lacking"),
            "instances of this version are not ready; those of the version before go on working",
            "back up the database; then `muster migrate`, or start a server of this version, which does the same",
        ),
        Err(error @ (MigrateError::Dirty { .. } | MigrateError::Changed { .. })) => Finding::problem(
            CHECK,
            error.to_string(),
            "muster does not start; instances that run go on working, with tables that may not be what they expect",
            "compare the tables with those of a fresh database before anything is written by hand",
        ),
        Err(error) => Finding::problem(
            CHECK,
            error.to_string(),
            "this version does not start; instances of it that run go on working",
            "start the version that migrated it, or restore the backup made before",
        ),
    }
}

pub(super) fn audit_lock(lock: Option<Lock>) -> Finding {
    let meaning = "the database would let somebody change or remove audit events";
    match lock {
        Some(Lock { is_enabled: true, covers_all: true, works: true }) => {
            Finding::ok(AUDIT, "events can be neither changed nor removed")
        }
        Some(Lock { is_enabled: false, .. }) => Finding::problem(
            AUDIT,
            "the trigger audit_events_append_only is switched off",
            meaning,
            "find out who did that and why; then `alter table audit_events enable trigger audit_events_append_only`",
        ),
        Some(Lock { works: false, .. }) => Finding::problem(
            AUDIT,
            "session_replication_role is replica for muster's role: no trigger works",
            meaning,
            "`alter role … reset session_replication_role`",
        ),
        Some(_) | None => Finding::problem(
            AUDIT,
            "the trigger audit_events_append_only is missing or another",
            meaning,
            "find out who did that and why; then make it again as in the migration that creates audit_events",
        ),
    }
}

pub(super) fn search(search: Search) -> Finding {
    const CHECK: &str = "database.search";
    let meaning = "searching reads all users of the organization: slower, with the same results";
    match search {
        Search { is_indexed: true, .. } => Finding::ok(CHECK, "goes by an index (pg_trgm)"),
        Search { is_installed: true, .. } => {
            Finding::warning(CHECK, "the index is missing", meaning, "start muster again: it makes the index")
        }
        Search { is_available: true, .. } => Finding::warning(
            CHECK,
            "the extension pg_trgm is not installed",
            meaning,
            "`create extension pg_trgm` in the database, as its owner or a superuser; then start muster again",
        ),
        Search { .. } => Finding::warning(
            CHECK,
            "the server does not have the extension pg_trgm",
            meaning,
            "install PostgreSQL's contrib package on the database server; then `create extension pg_trgm`",
        ),
    }
}
