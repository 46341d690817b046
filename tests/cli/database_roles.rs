//! A database whose tables another role owns than the one that muster serves with.

use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::support::server::{ServerProcess, muster, url};
use crate::support::{empty_database, sso};
use crate::{Ran, run};

#[tokio::test(flavor = "multi_thread")]
async fn one_role_migrates_and_another_serves() {
    let database = empty_database().await;
    let name = database.get_database().unwrap().to_owned();
    let mut admin = database.connect().await.unwrap();
    for statement in [
        format!("create role {name}_owner login"),
        format!("create role {name}_app login"),
        format!("alter database {name} owner to {name}_owner"),
    ] {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut admin).await.unwrap();
    }
    let of = |role: &str| url(&database).replace("//muster@", &format!("//{name}_{role}@"));
    let app = format!("{name}_app");

    let ran = run(muster().env("MUSTER_DATABASE__URL", of("owner")).args(["migrate", "--grant-to", "nobody_else"]));
    assert_eq!(ran.status, Some(2));
    let start = "error: the database is up to date, but the privileges were not granted: ";
    assert_eq!(ran.err, format!("{start}role \"nobody_else\" does not exist\n"));
    assert!(ran.out.starts_with("owner key: amk_"), "the first key is shown only once: {}", ran.out);
    let owner = format!("{name}_owner");
    let ran = run(muster().env("MUSTER_DATABASE__URL", of("owner")).args(["migrate", "--grant-to", &owner]));
    assert_eq!(ran.status, Some(2));
    assert_eq!(ran.err, format!("{start}role \"{owner}\" owns the tables, so it needs no grants\n"));

    let ran = run(muster().env("MUSTER_DATABASE__URL", of("owner")).args(["migrate", "--grant-to", &app]));
    let granted =
        format!("the database is up to date\nthe privileges that `muster serve` needs were granted to {app}\n");
    assert_eq!((ran.status, ran.err), (Some(0), granted));
    let ran = run(muster()
        .env("MUSTER_DATABASE__URL", of("app"))
        .args(["key", "create", "--name", "first", "--role", "owner"]));
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let server = ServerProcess::start(muster().env("MUSTER_DATABASE__URL", of("app")));
    let owner = server.actor(ran.out.trim());
    let users = json!([sso("a@example.com"), {"name": "B", "email": "b@example.com", "is_sso_user": false,
        "password": "correct horse battery staple"}]);
    assert_eq!(owner.create(&users).await.status, 200);
    let ran = run(muster().env("MUSTER_DATABASE__URL", of("app")).args(["doctor", "--no-hashing"]));
    for sentence in [
        format!("database.role             {app}, without special attributes\n"),
        format!("database.audit_rights     {app} can add audit events and read them, nothing else\n"),
    ] {
        assert!(ran.out.contains(&sentence), "{}", ran.out);
    }
    sqlx::query(AssertSqlSafe(format!("grant update, truncate on audit_events to {app}")))
        .execute(&mut admin)
        .await
        .unwrap();
    let ran = run(muster().env("MUSTER_DATABASE__URL", of("app")).args(["doctor", "--no-hashing"]));
    assert!(
        ran.out.contains(&format!("warning  database.audit_rights     {app} has update, truncate on audit_events\n")),
        "{}",
        ran.out
    );
    admin.close().await.unwrap();
}

/// A migrated database with an owner and an application role, `{}_owner` and `{}_app`; `{}` stands for its name.
struct Separated {
    name: String,
    admin: PgConnectOptions,
}

impl Separated {
    async fn new() -> Self {
        let admin = empty_database().await;
        let database = Self { name: admin.get_database().unwrap().to_owned(), admin };
        database
            .execute("create role {}_owner login; create role {}_app login; alter database {} owner to {}_owner")
            .await;
        let ran = database.run("owner", &["migrate", "--grant-to", "{}_app"]);
        assert_eq!(ran.status, Some(0), "{}", ran.err);
        database
    }

    fn filled(&self, text: &str) -> String {
        text.replace("{}", &self.name)
    }

    /// Executes statements as the administrator.
    async fn execute(&self, statements: &str) {
        let mut connection = self.admin.connect().await.unwrap();
        for statement in self.filled(statements).split("; ") {
            sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    }

    fn run(&self, role: &str, arguments: &[&str]) -> Ran {
        let url = url(&self.admin).replace("//muster@", &format!("//{}_{role}@", self.name));
        run(muster().env("MUSTER_DATABASE__URL", url).args(arguments.iter().map(|argument| self.filled(argument))))
    }

    /// The findings about the privileges on the audit log, as the application role.
    fn findings(&self) -> Vec<Value> {
        let ran = self.run("app", &["doctor", "--no-hashing", "-o", "json"]);
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        let findings = report["findings"].as_array().unwrap().iter();
        findings.filter(|finding| finding["check"] == "database.audit_rights").cloned().collect()
    }
}

/// A change that lets the application role reach around the privileges, or that changes what is written, its finding, and
/// what undoes it.
const WAYS: [(&str, &str, &str, &str); 18] = [
    (
        "alter database {} owner to {}_app",
        "warning",
        "{}_app owns the database {}, the schema public",
        "alter database {} owner to {}_owner",
    ),
    (
        "alter schema public owner to {}_app",
        "warning",
        "{}_app owns the schema public",
        "alter schema public owner to pg_database_owner",
    ),
    (
        "alter function audit_events_refuse_change() owner to {}_app",
        "warning",
        "{}_app owns the function audit_events_refuse_change()",
        "alter function audit_events_refuse_change() owner to {}_owner",
    ),
    (
        "grant pg_execute_server_program to {}_app",
        "warning",
        "{}_app is a member of pg_execute_server_program",
        "revoke pg_execute_server_program from {}_app",
    ),
    (
        "grant pg_write_server_files to {}_app",
        "warning",
        "{}_app is a member of pg_write_server_files",
        "revoke pg_write_server_files from {}_app",
    ),
    (
        "create role {}_files; grant pg_read_server_files to {}_files; grant {}_files to {}_app",
        "warning",
        "{}_app is a member of pg_read_server_files",
        "drop role {}_files",
    ),
    (
        "create role {}_super superuser; grant {}_super to {}_app",
        "warning",
        "{}_app is a member of {}_super",
        "drop role {}_super",
    ),
    (
        "grant set on parameter session_replication_role to {}_app",
        "warning",
        "{}_app can set session_replication_role",
        "revoke set on parameter session_replication_role from {}_app",
    ),
    (
        "grant create on schema public to {}_app",
        "warning",
        "{}_app has create on the schema public",
        "revoke create on schema public from {}_app",
    ),
    (
        "grant update (action) on audit_events to {}_app",
        "warning",
        "{}_app has update on audit_events",
        "revoke update on audit_events from {}_app",
    ),
    (
        "grant references on audit_events to {}_app",
        "warning",
        "{}_app has references on audit_events",
        "revoke references on audit_events from {}_app",
    ),
    (
        "create rule silent as on insert to audit_events do instead nothing",
        "problem",
        "audit_events has the rule silent",
        "drop rule silent on audit_events",
    ),
    (
        "create trigger other before insert on audit_events for each row execute function \
         suppress_redundant_updates_trigger()",
        "warning",
        "audit_events has the trigger other",
        "drop trigger other on audit_events",
    ),
    (
        "alter table audit_events enable row level security",
        "problem",
        "row level security is enabled on audit_events",
        "alter table audit_events disable row level security",
    ),
    ("grant {}_owner to {}_app", "ok", "{}_app owns the audit log", "revoke {}_owner from {}_app"),
    (
        "alter role {}_app noinherit; grant pg_execute_server_program to {}_app",
        "warning",
        "{}_app is a member of pg_execute_server_program",
        "revoke pg_execute_server_program from {}_app; alter role {}_app inherit",
    ),
    (
        "grant pg_write_all_data to {}_app",
        "warning",
        "{}_app has update, delete on audit_events",
        "revoke pg_write_all_data from {}_app",
    ),
    (
        "grant alter system on parameter session_replication_role to {}_app",
        "warning",
        "{}_app can set session_replication_role",
        "revoke alter system on parameter session_replication_role from {}_app",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_way_around_the_privileges_on_the_audit_log_is_found() {
    let database = Separated::new().await;
    let fine = database.filled("{}_app can add audit events and read them, nothing else");
    for (done, state, found, undone) in WAYS {
        database.execute(done).await;
        let findings = database.findings();
        let [finding] = findings.as_slice() else { panic!("{done}: {findings:?}") };
        assert_eq!(
            (finding["found"].as_str(), finding["state"].as_str()),
            (Some(&*database.filled(found)), Some(state))
        );
        for text in ["meaning", "advice"] {
            assert!(finding[text].as_str().is_some_and(|text| !text.is_empty()), "{finding}");
        }
        database.execute(undone).await;
        let findings = database.findings();
        assert_eq!(findings.len(), 1, "{undone}: {findings:?}");
        assert_eq!(findings[0]["found"], *fine, "{undone}");
    }
    // Several are reported together, and `migrate` revokes the privileges on columns.
    database.execute("grant create on schema public to {}_app; grant update (action) on audit_events to {}_app").await;
    assert_eq!(database.findings().len(), 2);
    database.execute("revoke create on schema public from {}_app").await;
    assert_eq!(database.run("owner", &["migrate", "--grant-to", "{}_app"]).status, Some(0));
    assert_eq!(database.findings()[0]["found"], *fine);
}

#[tokio::test(flavor = "multi_thread")]
async fn privileges_are_granted_only_by_the_owner_and_to_an_ordinary_role() {
    let database = Separated::new().await;
    database.execute("create role {}_root superuser; create role {}_member login in role {}_owner").await;
    for (by, to, why) in [
        ("app", "{}_app", "only the role that owns the tables, {}_owner, can grant them"),
        ("app", "nobody_else", "role \"nobody_else\" does not exist"),
        ("owner", "public", "`public` is not a role"),
        ("owner", "{}_root", "role \"{}_root\" is a superuser, which needs no grants and is not limited by them"),
    ] {
        let ran = database.run(by, &["migrate", "--grant-to", to]);
        let sentence = format!("error: the database is up to date, but the privileges were not granted: {why}\n");
        assert_eq!((ran.status, ran.out.as_str(), ran.err), (Some(2), "", database.filled(&sentence)));
    }
    let mut connection = database.admin.connect().await.unwrap();
    let of_all: bool = sqlx::query_scalar("select has_table_privilege('public', 'users', 'select')")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(!of_all);
    connection.close().await.unwrap();
    let ran = database.run("member", &["migrate", "--grant-to", "{}_app"]);
    assert_eq!(ran.status, Some(0), "a member of the owner can grant: {}", ran.err);
}
