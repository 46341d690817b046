//! The privileges of muster's role, the schema, the trigger of the audit log and the search index.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::read::{self, AuditLock, AuditRights, Role, Search, Table};
use super::{Finding, Subject, keys, schema, sign_in, sso};
use crate::postgres::{self, MigrateError, Schema};

const AUDIT: &str = "database.audit_lock";

const DISABLES: &str = "a compromised muster could disable the trigger and change the audit log";

const SEE: &str = "see docs/how-to/database-roles.md";

pub(super) async fn examine(
    connection: &mut PgConnection,
    subject: &Subject<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let is_embedded = subject.embedded_data_dir.is_some();
    let (role, tables) = (read::role(connection).await?, read::tables(connection).await?);
    findings.push(attributes(&role, is_embedded));
    findings.push(privileges(&role, &tables));
    let applied = match postgres::schema(connection).await {
        Err(MigrateError::Database(error)) => return Err(error),
        other => other,
    };
    let (is_current, is_migrated) =
        (matches!(applied, Ok(Schema::Current)), matches!(applied, Ok(Schema::Current | Schema::Lacks(_))));
    findings.push(migrations(applied));
    if is_current {
        let missing = schema::missing(&read::objects(connection).await?);
        findings.push(schema::assess(&missing));
        let reads = |name: &str| tables.iter().any(|table| table.name == name && !table.lacks("select"));
        if missing.is_empty() && reads("api_keys") {
            findings.push(keys::examine(connection, now).await?);
        }
        if missing.is_empty() && reads("passwords") {
            findings.extend(sign_in::hashes(connection, subject.config).await?);
        }
        if missing.is_empty() && reads("sso_providers") {
            findings.extend(sso::examine(connection, subject).await);
        }
        if missing.is_empty() && ["sign_in_policies", "sso_providers", "owners_who_sign_in"].into_iter().all(reads) {
            findings.extend(sign_in::owners(connection).await?);
        }
    }
    if is_migrated {
        findings.push(audit_lock(read::audit_lock(connection).await?));
        if let Some(rights) = read::audit_rights(connection).await? {
            findings.extend(audit_rights(&role, &rights, is_embedded));
        }
        findings.push(search(read::search(connection).await?));
        findings.push(indexes(&read::missing_indexes(connection).await?));
    }
    Ok(findings)
}

pub(super) fn attributes(role: &Role, is_embedded: bool) -> Finding {
    const CHECK: &str = "database.role";
    let name = &role.name;
    let advice = if is_embedded {
        "find out who changed the role and why; then restart muster"
    } else {
        "give muster roles of its own: see docs/how-to/database-roles.md"
    };
    if role.is_superuser {
        return Finding::warning(
            CHECK,
            format!("{name} is a superuser"),
            "a compromised muster could control the server and disable the protection of the audit log",
            advice,
        );
    }
    if !role.attributes.is_empty() {
        return Finding::warning(
            CHECK,
            format!("{name} has {}", role.attributes.join(", ")),
            "muster does not need them, and a compromised muster could use them",
            format!(
                "`alter role {name} {}`",
                role.attributes.iter().map(|attribute| format!("no{attribute}")).collect::<Vec<_>>().join(" ")
            ),
        );
    }
    Finding::ok(CHECK, format!("{name}, without special attributes"))
}

pub(super) fn privileges(role: &Role, tables: &[Table]) -> Finding {
    const CHECK: &str = "database.rights";
    if tables.is_empty() && !role.may_create_tables {
        return Finding::problem(
            CHECK,
            format!("{} may not create tables", role.name),
            "muster can't migrate the database",
            format!(
                "`grant create on schema public to {0}`, or make the role the owner of the database; if {0} is only to serve, \
                 run `muster migrate --grant-to {0}` as the owner instead",
                role.name
            ),
        );
    }
    let missing: Vec<String> = tables
        .iter()
        .filter(|table| !table.missing.is_empty())
        .map(|table| format!("{} on {}", table.missing.join(", "), table.name))
        .collect();
    if !missing.is_empty() {
        let name = &role.name;
        return Finding::problem(
            CHECK,
            format!("{name} lacks {}", missing.join("; ")),
            "requests that need them get 500",
            format!(
                "`grant … on … to {name}`; if another role owns the tables, run `muster migrate --grant-to {name}` as it"
            ),
        );
    }
    if !tables.iter().all(|table| table.is_owned) {
        return Finding::ok(CHECK, "sufficient to serve; another role owns the tables and must run `muster migrate`");
    }
    Finding::ok(CHECK, "sufficient to serve and to migrate")
}

pub(super) fn migrations(schema: Result<Schema, MigrateError>) -> Finding {
    const CHECK: &str = "database.migrations";
    match schema {
        Ok(Schema::Current) => Finding::ok(CHECK, "up to date"),
        Ok(Schema::Empty) => Finding::warning(
            CHECK,
            "the database is empty",
            "there is no organization and no API key yet",
            "run `muster serve` or `muster migrate`, which create both and print the key",
        ),
        Ok(Schema::Lacks(count)) => Finding::warning(
            CHECK,
            format!("{count} missing"),
            "instances of this version are not ready; instances of the previous version keep working",
            "back up the database; then run `muster migrate` or start a server of this version",
        ),
        Err(error @ (MigrateError::Dirty { .. } | MigrateError::Changed { .. })) => Finding::problem(
            CHECK,
            error.to_string(),
            "muster does not start; running instances keep working, with tables that may not be as expected",
            "compare the tables with those of a new database before you change anything",
        ),
        Err(error) => Finding::problem(
            CHECK,
            error.to_string(),
            "this version does not start; running instances of it keep working",
            "start the version that migrated the database, or restore the backup from before the upgrade",
        ),
    }
}

pub(super) fn audit_lock(lock: Option<AuditLock>) -> Finding {
    let meaning = "audit events can be changed or deleted";
    match lock {
        Some(AuditLock { is_enabled: true, covers_all: true, is_effective: true, raises: true }) => {
            Finding::ok(AUDIT, "audit events can't be changed or deleted")
        }
        Some(AuditLock { is_enabled: false, .. }) => Finding::problem(
            AUDIT,
            "the trigger audit_events_append_only is disabled",
            meaning,
            "find out who disabled the trigger and why; then run `alter table audit_events enable trigger audit_events_append_only`",
        ),
        Some(AuditLock { is_effective: false, .. }) => Finding::problem(
            AUDIT,
            "session_replication_role is `replica` for muster's role, which disables triggers",
            meaning,
            "`alter role … reset session_replication_role`",
        ),
        Some(AuditLock { covers_all: true, raises: false, .. }) => Finding::problem(
            AUDIT,
            "the function of the trigger audit_events_append_only is changed",
            meaning,
            "find out who changed the function and why; then create it as in the migration that creates audit_events",
        ),
        Some(_) | None => Finding::problem(
            AUDIT,
            "the trigger audit_events_append_only is missing or changed",
            meaning,
            "find out who changed the trigger and why; then create it as in the migration that creates audit_events",
        ),
    }
}

/// What the role could do to the audit log, or to the trigger that protects it, and what changes its events.
pub(super) fn audit_rights(role: &Role, rights: &AuditRights, is_embedded: bool) -> Vec<Finding> {
    const CHECK: &str = "database.audit_rights";
    let name = &role.name;
    let mut findings = Vec::new();
    if rights.is_owner {
        findings.push(audit_owner(CHECK, name, is_embedded));
    } else {
        findings.extend(audit_excess(CHECK, name, rights));
    }
    // A superuser is a member of every role.
    if !role.is_superuser && !rights.memberships.is_empty() {
        let memberships = rights.memberships.join(", ");
        findings.push(Finding::warning(
            CHECK,
            format!("{name} is a member of {memberships}"),
            "a compromised muster could read and change all files of the server, or run programs there",
            format!("`revoke {memberships} from {name}`, or from the role through which {name} is a member"),
        ));
    }
    if !rights.rules.is_empty() {
        findings.push(Finding::problem(
            CHECK,
            format!("audit_events has the rule {}", rights.rules.join(", ")),
            "audit events can be missing or differ from what muster wrote",
            "find out who created the rule and why; then run `drop rule … on audit_events`",
        ));
    }
    if !rights.triggers.is_empty() {
        findings.push(Finding::warning(
            CHECK,
            format!("audit_events has the trigger {}", rights.triggers.join(", ")),
            "a trigger that is not muster's can drop or change audit events before they are written, or reject them",
            "find out who created the trigger and why; then run `drop trigger … on audit_events`",
        ));
    }
    if rights.is_row_secured {
        findings.push(Finding::problem(
            CHECK,
            "row level security is enabled on audit_events",
            "without a policy, every change gets 500 and lists of the audit log are empty",
            "find out who enabled it and why; then run `alter table audit_events disable row level security`",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("{name} can add audit events and read them, nothing else")));
    }
    findings
}

fn audit_owner(check: &'static str, name: &str, is_embedded: bool) -> Finding {
    let (found, meaning) = (format!("{name} owns the audit log"), DISABLES);
    if is_embedded {
        return Finding::problem(check, found, meaning, "restart muster, which separates the roles");
    }
    Finding::conditional(check, found, meaning, format!("let another role own the tables; {SEE}"))
}

/// What a role that does not own the audit log has on it and on what contains it.
fn audit_excess(check: &'static str, name: &str, rights: &AuditRights) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !rights.owned.is_empty() {
        findings.push(Finding::warning(
            check,
            format!("{name} owns {}", rights.owned.join(", ")),
            "a compromised muster could drop the audit log, or the trigger that protects it",
            format!("`alter … owner to` the role that owns the tables; {SEE}"),
        ));
    }
    if let Some(schema) = &rights.open_schema {
        findings.push(Finding::warning(
            check,
            format!("{name} has create on the schema {schema}"),
            "muster does not need it; a compromised muster could create objects that the owner of the tables uses by mistake",
            format!("`revoke create on schema {schema} from public, {name}`"),
        ));
    }
    if rights.disables_triggers {
        findings.push(Finding::warning(
            check,
            format!("{name} can set session_replication_role"),
            DISABLES,
            format!("`revoke all on parameter session_replication_role from {name}`"),
        ));
    }
    if !rights.excess.is_empty() {
        let excess = rights.excess.join(", ");
        findings.push(Finding::warning(
            check,
            format!("{name} has {excess} on audit_events"),
            "muster does not need them; only the trigger protects the audit log",
            format!(
                "run `muster migrate --grant-to {name}` as the owner of the tables; if {name} has them through PUBLIC or another role, `revoke {excess} on audit_events from …`"
            ),
        ));
    }
    findings
}

pub(super) fn indexes(missing: &[String]) -> Finding {
    const CHECK: &str = "database.indexes";
    let found = match missing {
        [] => return Finding::ok(CHECK, "lists of users and of the audit log are indexed"),
        [name] => format!("the index {name} is missing"),
        names => format!("the indexes {} are missing", names.join(", ")),
    };
    Finding::warning(
        CHECK,
        found,
        "lists are slower, with the same results: they read all users or all events of the organization",
        "restart muster, which creates the index",
    )
}

pub(super) fn search(search: Search) -> Finding {
    const CHECK: &str = "database.search";
    let meaning = "searches are slower, with the same results: they read all users of the organization";
    match search {
        Search { is_indexed: true, .. } => Finding::ok(CHECK, "indexed (pg_trgm)"),
        Search { is_installed: true, .. } => {
            Finding::warning(CHECK, "the index is missing", meaning, "restart muster, which creates the index")
        }
        Search { is_available: true, .. } => Finding::warning(
            CHECK,
            "the extension pg_trgm is not installed",
            meaning,
            "`create extension pg_trgm` in the database, as its owner or a superuser; then restart muster",
        ),
        Search { .. } => Finding::warning(
            CHECK,
            "the extension pg_trgm is not available on the server",
            meaning,
            "install PostgreSQL's contrib package on the database server; then `create extension pg_trgm`",
        ),
    }
}
