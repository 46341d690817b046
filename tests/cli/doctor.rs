//! `muster doctor` on real databases, intact and damaged.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{Datelike, Days, Utc};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::support::server::{muster, url};
use crate::support::{TestApp, default_cluster, empty_database, file};
use crate::{Ran, run};

/// A database on a PostgreSQL with its own settings, and a role that owns it.
struct Database {
    name: String,
    admin: PgConnectOptions,
}

impl Database {
    async fn empty() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let cluster = tokio::task::spawn_blocking(default_cluster).await.unwrap();
        let name = format!("doctor_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let database = Self { admin: cluster.connect_options(), name };
        database.run(&["create role {} login", "create database {} owner {}"]).await;
        Self { admin: database.admin.clone().database(&database.name), ..database }
    }

    async fn migrated() -> Self {
        let database = Self::empty().await;
        let ran = run(database.command().arg("migrate"));
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), "the database is up to date\n"));
        database
    }

    /// Runs statements as the administrator. `{}` stands for the name of the database, which is also the name of its role.
    async fn run(&self, statements: &[&str]) {
        let mut connection = self.admin.connect().await.unwrap();
        for statement in statements {
            let statement = statement.replace("{}", &self.name);
            sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    }

    fn command(&self) -> Command {
        let mut command = muster();
        command.env("MUSTER_DATABASE__URL", url(&self.admin).replace("//muster@", &format!("//{}@", self.name)));
        command.env("MUSTER_SECRETS__SERVER_KEY", "a key that is long enough to be one of them");
        command
    }

    fn doctor(&self) -> Examined {
        examined(self.command().args(["doctor", "--no-hashing"]))
    }
}

/// The report, and the exit status.
struct Examined {
    ran: Ran,
    report: Value,
}

fn examined(command: &mut Command) -> Examined {
    let ran = run(command.args(["-o", "json"]));
    let report = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    Examined { ran, report }
}

impl Examined {
    fn of(&self, check: &str) -> &Value {
        let findings = self.report["findings"].as_array().unwrap();
        findings
            .iter()
            .find(|finding| finding["check"] == check)
            .unwrap_or_else(|| panic!("no {check}: {}", self.ran.out))
    }

    /// The checks with warnings or problems, and their states.
    fn complaints(&self) -> Vec<(&str, &str)> {
        let findings = self.report["findings"].as_array().unwrap().iter();
        let bad = findings.filter(|finding| finding["state"] != "ok");
        bad.map(|finding| (finding["check"].as_str().unwrap(), finding["state"].as_str().unwrap())).collect()
    }

    /// Asserts that exactly this check has this state, and that the texts and the exit status agree.
    fn complains_of(&self, check: &str, state: &str, found: &str) {
        assert_eq!(self.complaints(), [(check, state)], "{}", self.ran.out);
        let finding = self.of(check);
        // Other tests use connections to the same PostgreSQL.
        let words = finding["found"].as_str().unwrap().split_whitespace();
        let words: Vec<&str> = words
            .scan("", |last, word| Some(if std::mem::replace(last, word) == "use" { "some;" } else { word }))
            .collect();
        assert_eq!(words.join(" "), found);
        assert!(finding["meaning"].as_str().is_some_and(|text| !text.is_empty()), "{finding}");
        assert!(finding["advice"].as_str().is_some_and(|text| !text.is_empty()), "{finding}");
        assert_eq!(self.report["state"], state);
        let due = if state == "problem" { (1, "error: 1 problem\n") } else { (0, "1 warning\n") };
        assert_eq!((self.ran.status, self.ran.err.as_str()), (Some(due.0), due.1));
    }

    fn is_fine(&self) {
        assert_eq!(self.complaints(), []);
        assert_eq!((self.ran.status, self.ran.err.as_str()), (Some(0), "no problems found\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intact_installation_has_no_problems_and_hash_costs_are_reported() {
    let database = Database::migrated().await;
    let examined = examined(database.command().arg("doctor"));
    examined.is_fine();
    let report = &examined.report;
    let checks: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|finding| finding["check"].as_str().unwrap()).collect();
    assert_eq!(
        checks,
        [
            "database.connection",
            "database.version",
            "database.encoding",
            "database.replication",
            "database.durability",
            "database.size",
            "database.encryption",
            "database.connections",
            "database.timeouts",
            "database.clock",
            "database.role",
            "database.rights",
            "database.migrations",
            "database.schema",
            "keys.expiry",
            "database.audit_lock",
            "database.audit_rights",
            "database.search",
            "database.indexes",
            "settings.server_key",
            "settings.listen",
            "machine.memory",
            "passwords.speed",
        ]
    );
    let fine =
        json!({"check": "database.migrations", "state": "ok", "found": "up to date", "meaning": null, "advice": null});
    assert_eq!(examined.of("database.migrations"), &fine);
    let costs = report["hash_costs"].as_array().unwrap();
    let parameters: Vec<[u64; 3]> = costs
        .iter()
        .map(|cost| ["memory_kib", "iterations", "parallelism"].map(|name| cost[name].as_u64().unwrap()))
        .collect();
    assert_eq!(parameters, [[19456, 2, 1], [47104, 1, 1], [12288, 3, 1], [65536, 3, 1]]);
    let milliseconds: Vec<f64> = costs.iter().map(|cost| cost["milliseconds"].as_f64().unwrap()).collect();
    assert!(milliseconds[3] > milliseconds[2], "five times the work: {milliseconds:?}");
    let threads = costs[0]["per_second"].as_f64().unwrap() * milliseconds[0] / 1000.0;
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!((threads - f64::from(u32::try_from(cores).unwrap())).abs() < 0.2, "{threads} threads of {cores}");
}

/// A statement that causes the fault, the finding, and a statement that repairs it.
const FAULTS: [(&str, &str, &str, &str, &str); 16] = [
    (
        "alter table audit_events disable trigger audit_events_append_only",
        "database.audit_lock",
        "problem",
        "the trigger audit_events_append_only is disabled",
        "alter table audit_events enable trigger audit_events_append_only",
    ),
    (
        "alter trigger audit_events_append_only on audit_events rename to other",
        "database.audit_lock",
        "problem",
        "the trigger audit_events_append_only is missing or changed",
        "alter trigger other on audit_events rename to audit_events_append_only",
    ),
    (
        "alter role {} set session_replication_role = replica",
        "database.audit_lock",
        "problem",
        "session_replication_role is `replica` for muster's role, which disables triggers",
        "alter role {} reset session_replication_role",
    ),
    (
        "alter role {} set synchronous_commit = off",
        "database.durability",
        "problem",
        "synchronous_commit = off, fsync = on, full_page_writes = on",
        "alter role {} reset synchronous_commit",
    ),
    (
        "alter database {} set default_transaction_read_only = on",
        "database.replication",
        "problem",
        "default_transaction_read_only is on",
        "set default_transaction_read_only = off; alter database {} reset default_transaction_read_only",
    ),
    (
        "alter role {} set statement_timeout = '5s'",
        "database.timeouts",
        "warning",
        "statement_timeout = 5000 ms",
        "alter role {} reset statement_timeout",
    ),
    (
        "alter role {} set idle_session_timeout = '1min'",
        "database.timeouts",
        "warning",
        "idle_session_timeout = 60000 ms",
        "alter role {} reset idle_session_timeout",
    ),
    (
        "alter role {} connection limit 20",
        "database.connections",
        "problem",
        "an instance of muster uses up to 32 of 20 connections, other programs use some; enough for 0 instances",
        "alter role {} connection limit 40",
    ),
    (
        "select 1",
        "database.connections",
        "warning",
        "an instance of muster uses up to 32 of 40 connections, other programs use some; enough for 1 instance",
        "alter role {} connection limit -1",
    ),
    (
        "revoke insert, delete on users from {}",
        "database.rights",
        "problem",
        "{} lacks insert, delete on users",
        "grant insert, delete on users to {}",
    ),
    (
        "alter role {} createrole createdb",
        "database.role",
        "warning",
        "{} has createrole, createdb",
        "alter role {} nocreaterole nocreatedb",
    ),
    ("alter role {} superuser", "database.role", "warning", "{} is a superuser", "alter role {} nosuperuser"),
    (
        "drop index audit_events_by_time",
        "database.indexes",
        "warning",
        "the index audit_events_by_time is missing",
        "create index audit_events_by_time on audit_events (organization_id, occurred_at, event_id) \
             include (action, actor_id, actor_user_id)",
    ),
    (
        "drop index users_by_name",
        "database.indexes",
        "warning",
        "the index users_by_name is missing",
        "create index users_by_name on users (organization_id, search_text, user_id)",
    ),
    (
        "insert into sign_in_policies select organization_id, 'off', 'optional', now() from organizations",
        "sign_in.owners",
        "warning",
        "no owner can sign in: default",
        "delete from sign_in_policies",
    ),
    (
        "drop extension pg_trgm cascade",
        "database.search",
        "warning",
        "the extension pg_trgm is not installed",
        "create extension pg_trgm",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_database_is_found_and_nothing_else() {
    let database = Database::migrated().await;
    for (done, check, state, found, undone) in FAULTS {
        database.run(&[done]).await;
        database.doctor().complains_of(check, state, &found.replace("{}", &database.name));
        database.run(&undone.split("; ").collect::<Vec<_>>()).await;
    }
    let examined = database.doctor();
    examined.complains_of("database.search", "warning", "the index is missing");
    assert_eq!(examined.of("database.search")["advice"], "restart muster, which creates the index");
    assert_eq!(run(database.command().arg("migrate")).status, Some(0));
    database.doctor().is_fine();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_expected_schema_is_that_of_the_migrations() {
    let database = Database::migrated().await;
    let mut connection = database.admin.connect().await.unwrap();
    let mut made = muster::doctor::objects(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    made.sort_unstable();
    let due = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schema.txt");
    std::fs::write(&due, made.join("\n") + "\n").unwrap();
    let kept: Vec<&str> = muster::doctor::OBJECTS.lines().collect();
    assert_eq!(kept, made, "after a change to migrations: cp {} src/doctor/schema.txt", due.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_missing_from_the_schema_are_named() {
    let database = Database::migrated().await;
    database.run(&["alter table organizations disable trigger organizations_permanent"]).await;
    let missing = "missing: trigger organizations.organizations_permanent";
    database.doctor().complains_of("database.schema", "problem", missing);
    database.run(&["alter table organizations enable trigger organizations_permanent"]).await;
    for (done, found) in [
        ("drop index users_name", "index users.users_name"),
        (
            "alter table users drop constraint users_email_key_key",
            "constraint users.users_email_key_key, index users.users_name",
        ),
        (
            "drop table invitations cascade",
            "table invitations, constraint users.users_email_key_key, index users.users_name",
        ),
        (
            "alter table passwords drop column set_at",
            "table invitations, column passwords.set_at, constraint users.users_email_key_key, index users.users_name",
        ),
        (
            "drop table passwords, login_approvals, organization_policy_bindings cascade",
            "table invitations, table login_approvals, table organization_policy_bindings, table passwords, \
             constraint users.users_email_key_key, 4 more",
        ),
    ] {
        database.run(&[done]).await;
        let examined = database.doctor();
        examined.complains_of("database.schema", "problem", &format!("missing: {found}"));
        assert_eq!(examined.of("database.migrations")["found"], "up to date");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_expire_soon_are_named_with_advice() {
    let database = Database::migrated().await;
    for name in ["nightly", "revoked", "short"] {
        let ran = run(database.command().args(["key", "create", "--name", name, "--role", "owner"]));
        assert_eq!(ran.status, Some(0), "{}", ran.err);
    }
    database.doctor().is_fine();
    database
        .run(&[
            "update api_keys set created_at = now() - interval '90 days', expires_at = '2099-01-01'",
            "update api_keys set expires_at = now() + interval '13 days' where name <> 'first key'",
            "update api_keys set created_at = now() where name = 'short'",
            "update api_keys set revoked_at = now() where name = 'revoked'",
        ])
        .await;
    let examined = database.doctor();
    assert_eq!(examined.complaints(), [("keys.expiry", "warning")], "{}", examined.ran.out);
    let finding = examined.of("keys.expiry");
    let found = finding["found"].as_str().unwrap();
    assert!(found.starts_with("1 API key expires within 14 days: nightly (key_"), "{found}");
    let day = (Utc::now() + chrono::TimeDelta::days(13)).format("%Y-%m-").to_string();
    assert!(found.contains(&format!(") on {day}")) && found.ends_with(" UTC"), "{found}");
    assert_eq!(
        finding["advice"],
        "create a new key with `muster key create`, give it to the clients, and revoke the old one with `muster key revoke KEY_ID`"
    );
}

#[test]
fn the_first_line_names_the_settings_file() {
    let settings = file(b"database.url = \"postgres://u@127.0.0.1:9/d\"\n", ".toml");
    let path = settings.path().to_str().unwrap();
    let ran = run(muster().args(["doctor", "--no-hashing", "--config", path]));
    let first = format!("settings: {path} and the environment");
    assert_eq!(ran.out.lines().next(), Some(first.as_str()));
    let found = examined(muster().args(["doctor", "--no-hashing"]).env("MUSTER_CONFIG", path));
    assert_eq!(found.report["settings_file"], path);

    let mut without = muster();
    without.args(["doctor", "--no-hashing"]).env("MUSTER_DATABASE__URL", "postgres://u@127.0.0.1:9/d");
    let ran = run(&mut without);
    let first = "settings: defaults and the environment (neither --config nor MUSTER_CONFIG is set)";
    assert_eq!(ran.out.lines().next(), Some(first));
    assert_eq!(examined(&mut without).report["settings_file"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_and_newer_migrations_are_distinguished() {
    let database = Database::empty().await;
    let examined = database.doctor();
    examined.complains_of("database.migrations", "warning", "the database is empty");
    assert_eq!(run(database.command().arg("migrate")).status, Some(0));
    let latest = "(select max(version) from _sqlx_migrations)";
    database.run(&["create table kept as table _sqlx_migrations"]).await;
    database.run(&[&format!("delete from _sqlx_migrations where version = {latest}")]).await;
    database.doctor().complains_of("database.migrations", "warning", "1 missing");
    database.run(&["insert into _sqlx_migrations select * from kept on conflict do nothing"]).await;
    database.run(&[&format!("update _sqlx_migrations set version = 29990101000001 where version = {latest}")]).await;
    let examined = database.doctor();
    let found = format!(
        "the database was migrated by a newer version of muster (muster {} does not have migration 29990101000001); start \
         that version, or restore the backup from before the upgrade",
        env!("CARGO_PKG_VERSION")
    );
    examined.complains_of("database.migrations", "problem", &found);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_wrong_encoding_and_low_durability_are_found() {
    // Another role's database: only its owner can create tables there (PostgreSQL 15 and newer).
    let (database, stranger) = (Database::empty().await, Database::empty().await);
    let mut command = stranger.command();
    command.env("MUSTER_DATABASE__URL", url(&database.admin).replace("//muster@", &format!("//{}@", stranger.name)));
    let found = examined(command.args(["doctor", "--no-hashing"]));
    assert_eq!(found.complaints(), [("database.rights", "problem"), ("database.migrations", "warning")]);
    assert_eq!(found.of("database.rights")["found"], format!("{} may not create tables", stranger.name));
    assert_eq!((found.ran.status, found.ran.err.as_str()), (Some(1), "error: 1 problem and 1 warning\n"));

    // An encoding without most of Unicode.
    let latin = "create database {}_latin owner {} encoding 'LATIN1' locale 'C' template template0";
    database.run(&[latin]).await;
    let admin = database.admin.clone().database(&format!("{}_latin", database.name));
    let latin = Database { name: database.name.clone(), admin };
    let found = latin.doctor();
    assert_eq!(found.complaints(), [("database.encoding", "problem"), ("database.migrations", "warning")]);
    assert_eq!(found.of("database.encoding")["found"], "LATIN1");

    // A crash would lose data.
    let found =
        examined(muster().env("MUSTER_DATABASE__URL", url(&empty_database().await)).args(["doctor", "--no-hashing"]));
    let durability = found.of("database.durability");
    assert_eq!(durability["state"], "problem");
    assert_eq!(durability["found"], "synchronous_commit = off, fsync = off, full_page_writes = off");
    // No server key is set either.
    let key = found.of("settings.server_key");
    assert_eq!(
        (key["state"].as_str(), key["found"].as_str()),
        (
            Some("ok"),
            Some("not set for this process; fine if the service gets one in another way (LoadCredential, environment)")
        )
    );
    assert!(
        key["advice"].as_str().unwrap().starts_with("if the service logs this, set `secrets.server_key_file` to "),
        "{key}"
    );
}

#[test]
fn an_unreachable_database_is_one_problem_and_the_other_checks_run() {
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", "postgres://u:hunter2@127.0.0.1:9/d");
    command.env("MUSTER_SECRETS__SERVER_KEY", "a key that is long enough to be one of them");
    let found = examined(command.args(["doctor", "--no-hashing"]));
    assert_eq!(found.complaints(), [("database.connection", "problem")]);
    let sentence = found.of("database.connection")["found"].as_str().unwrap();
    assert!(sentence.starts_with("can't use the database at 127.0.0.1:9: "), "{sentence}");
    assert!(!found.ran.out.contains("hunter2"));
    assert_eq!(found.of("settings.listen")["state"], "ok");
    assert_eq!((found.ran.status, found.ran.err.as_str()), (Some(1), "error: 1 problem\n"));

    let nowhere = tempfile::tempdir().unwrap();
    let found = examined(muster().args(["doctor", "--no-hashing", "--data-dir"]).arg(nowhere.path()));
    let sentence = found.of("database.connection")["found"].as_str().unwrap();
    assert!(sentence.starts_with("no embedded database in "), "{sentence}");
    assert_eq!(std::fs::read_dir(nowhere.path()).unwrap().count(), 0, "a check creates nothing");
}

#[test]
fn invalid_settings_are_the_only_finding_in_every_format() {
    let nowhere = "the configuration /nowhere/muster.toml can't be read: No such file or directory (os error 2)";
    let key = "`secrets.server_key` must have at least 32 characters; generate a key with `openssl rand -hex 32`";
    for (name, value, sentence) in [
        (
            "MUSTER_SERVER__WORKERS",
            "many",
            "setting `server.workers` in the environment must be a whole number from 0 to 512",
        ),
        ("MUSTER_DATABASE__URL", "mysql://u:hunter2@h/d", "`database.url` must begin with postgres://"),
        ("MUSTER_SECRETS__SERVER_KEY", "hunter2", key),
        (
            "MUSTER_TRACES__HEADERS",
            "hunter2",
            "`traces.headers` must have one header per line, such as `authorization: Bearer …`",
        ),
        ("MUSTER_CONFIG", "/nowhere/muster.toml", nowhere),
    ] {
        let found = examined(muster().arg("doctor").env(name, value));
        let file = (name == "MUSTER_CONFIG").then_some(value);
        let finding = json!({
            "check": "settings.usable",
            "state": "problem",
            "found": sentence,
            "meaning": "muster does not start; no other check was run",
            "advice": "correct the setting or the file; `muster config check --defaults` explains each setting",
        });
        let report = json!({"state": "problem", "settings_file": file, "findings": [finding], "hash_costs": []});
        assert_eq!(found.report, report);
        assert_eq!((found.ran.status, found.ran.err.as_str()), (Some(1), "error: 1 problem\n"));

        for (format, start) in [("table", "problem  settings.usable           "), ("csv", "problem,settings.usable,")] {
            let ran = run(muster().args(["doctor", "-o", format]).env(name, value));
            let line = ran.out.lines().nth(1).unwrap();
            // In CSV, text with a comma is quoted.
            assert!(line.strip_prefix(start).unwrap().trim_start_matches('"').starts_with(sentence), "{ran:?}");
            assert_eq!((ran.status, ran.err.as_str()), (Some(1), "error: 1 problem\n"));
            assert!(!ran.out.contains("hunter2"), "{ran:?}");
        }
    }
}

#[test]
fn an_unusable_metrics_address_or_client_ca_file_is_a_problem() {
    let files = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(files.path(), "server", (-1, 60));
    let nowhere = files.path().join("nowhere.pem");
    let examine = |ca: &Path, listen: &str| {
        let mut command = muster();
        command
            .env("MUSTER_DATABASE__URL", "postgres://u@127.0.0.1:9/d")
            .env("MUSTER_SERVER__TLS_CERTIFICATE_FILE", &certificate)
            .env("MUSTER_SERVER__TLS_KEY_FILE", &key)
            .env("MUSTER_SERVER__TLS_CLIENT_CA_FILE", ca)
            .env("MUSTER_METRICS__LISTEN", listen);
        examined(command.args(["doctor", "--no-hashing"]))
    };
    let found = examine(&certificate, "127.0.0.1:0");
    assert_eq!(found.of("settings.tls_client_ca_file")["found"], format!("1 in {}", certificate.display()));
    assert_eq!(found.of("settings.metrics_listen")["found"], "127.0.0.1:0");
    assert_eq!(found.complaints(), [("database.connection", "problem")]);

    for (ca, why) in
        [(&nowhere, "can't be read: No such file or directory (os error 2)"), (&key, "has no certificate in PEM")]
    {
        let found = examine(ca, "no such host:9464");
        assert_eq!(
            found.of("settings.tls_client_ca_file")["found"],
            format!("server.tls_client_ca_file {} {why}", ca.display())
        );
        assert_eq!(found.of("settings.metrics_listen")["found"], "no such host:9464 is not an address of this machine");
        let complaints = ["database.connection", "settings.metrics_listen", "settings.tls_client_ca_file"];
        assert_eq!(found.complaints(), complaints.map(|check| (check, "problem")));
    }
}

#[test]
fn the_embedded_database_is_checked_and_a_standby_is_a_problem() {
    let dir = tempfile::Builder::new().prefix("muster-test-").tempdir_in("/tmp").unwrap();
    let data_dir = dir.path().join("data");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let at = |arguments: &[&str]| run(muster().args(arguments).arg("--data-dir").arg(&data_dir));
    assert_eq!(at(&["migrate"]).status, Some(0));
    let ran = at(&["doctor", "--no-hashing"]);
    let lines: Vec<&str> = ran.out.lines().collect();
    let has = |line: &str| assert!(lines.contains(&line), "{line}: {}", ran.out);
    has("ok       database.role             muster_app, without special attributes");
    has("ok       database.durability       synchronous_commit = on, fsync = on, full_page_writes = on");
    let disk = format!("free in {}", data_dir.canonicalize().unwrap().display());
    assert!(lines.iter().any(|line| line.contains(" machine.disk ") && line.ends_with(&disk)), "{}", ran.out);

    // With this file, PostgreSQL starts as a standby without a primary, and is readable.
    std::fs::write(data_dir.join("postgres/standby.signal"), "").unwrap();
    let mut command = muster();
    command.args(["doctor", "--no-hashing", "--data-dir"]).arg(&data_dir);
    let found = examined(&mut command);
    assert_eq!(found.of("database.replication")["state"], "problem");
    assert_eq!(found.of("database.replication")["found"], "the server is a standby");
    assert_eq!(found.of("database.migrations")["found"], "up to date");
    assert_eq!(found.ran.status, Some(1));
}

#[test]
fn settings_are_checked() {
    let of = |settings: &[(&str, &str)], check: &str| {
        let mut command = muster();
        command.env("MUSTER_DATABASE__URL", "postgres://u@127.0.0.1:9/d").envs(settings.iter().copied());
        let found = examined(command.args(["doctor", "--no-hashing"]));
        (found.of(check)["state"].as_str().unwrap().to_owned(), found.of(check)["found"].as_str().unwrap().to_owned())
    };
    let open = ("MUSTER_SERVER__LISTEN", "0.0.0.0:8080");
    assert_eq!(of(&[open], "settings.listen"), ("warning".to_owned(), "0.0.0.0:8080, without TLS".to_owned()));
    let public = ("MUSTER_SERVER__PUBLIC_URL", "https://muster.example.org");
    assert_eq!(of(&[open, public], "settings.listen"), ("ok".to_owned(), "0.0.0.0:8080".to_owned()));
    let proxy = "empty, although `server.public_url` is HTTPS and muster serves HTTP".to_owned();
    assert_eq!(of(&[public], "settings.trusted_proxies"), ("warning".to_owned(), proxy));
    let plain = ("MUSTER_SERVER__PUBLIC_URL", "http://muster.example.org");
    let found = ("warning".to_owned(), "http://muster.example.org, without HTTPS".to_owned());
    assert_eq!(of(&[plain], "settings.public_url"), found);
    let off = ("MUSTER_SIGN_IN__THROTTLE", "false");
    assert_eq!(of(&[off], "settings.sign_in_throttle"), ("warning".to_owned(), "off".to_owned()));
    // 512 threads with 256 MiB each exceed the memory of this machine: a problem, and the speed is not measured.
    let much = [("MUSTER_PASSWORDS__MEMORY_KIB", "262144"), ("MUSTER_PASSWORDS__THREADS", "512")];
    let mut command = muster();
    let found = examined(command.env("MUSTER_DATABASE__URL", "postgres://u@127.0.0.1:9/d").envs(much).arg("doctor"));
    assert_eq!(found.of("machine.memory")["state"], "problem");
    assert!(found.of("machine.memory")["found"].as_str().unwrap().starts_with("hashing needs 131072 MiB of the "));
    assert_eq!(found.of("passwords.speed")["found"], "not measured");
    assert_eq!(found.report["hash_costs"], json!([]));
}

/// A certificate and its key; `days` are the start and the end of its validity, relative to today.
fn certificate(dir: &Path, name: &str, days: (i64, i64)) -> (PathBuf, PathBuf) {
    let day = |days: i64| {
        let today = Utc::now().date_naive();
        let day =
            if days < 0 { today - Days::new(days.unsigned_abs()) } else { today + Days::new(days.unsigned_abs()) };
        rcgen::date_time_ymd(day.year(), u8::try_from(day.month()).unwrap(), u8::try_from(day.day()).unwrap())
    };
    let mut params =
        rcgen::CertificateParams::new(vec!["muster.example.org".to_owned(), "10.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    (params.not_before, params.not_after) = (day(days.0), day(days.1));
    let key = rcgen::KeyPair::generate().unwrap();
    let (pem, secret) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    std::fs::write(&pem, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&secret, key.serialize_pem()).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    (pem, secret)
}

#[test]
fn a_certificate_is_checked_before_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let of = |(certificate, key): &(PathBuf, PathBuf)| {
        let mut command = muster();
        command.env("MUSTER_DATABASE__URL", "postgres://u@127.0.0.1:9/d").args(["doctor", "--no-hashing"]);
        let found = examined(command.arg("--certificate").arg(certificate).arg("--key").arg(key));
        let pair = ["certificate", "certificate.key"].map(|check| found.of(check).clone());
        assert!(!found.ran.out.contains("PRIVATE KEY"));
        pair
    };
    let is = |finding: &Value, state: &str, words: &str| {
        assert_eq!(finding["state"], state, "{finding}");
        assert!(finding["found"].as_str().unwrap().contains(words), "{finding}");
    };
    let good = certificate(dir.path(), "good", (-1, 90));
    let [found, key] = of(&good);
    is(&found, "ok", "for muster.example.org, 10.0.0.1, 8");
    is(&key, "ok", "not readable by other users");
    is(&of(&certificate(dir.path(), "soon", (-80, 5)))[0], "warning", " days until ");
    is(&of(&certificate(dir.path(), "expired", (-90, -1)))[0], "problem", "for muster.example.org, 10.0.0.1, expired ");
    is(&of(&certificate(dir.path(), "future", (2, 90)))[0], "problem", "not valid before ");
    let other = certificate(dir.path(), "other", (-1, 90));
    is(&of(&(good.0.clone(), other.1.clone()))[0], "problem", "other.key: not the private key of ");
    is(&of(&(good.1.clone(), good.1.clone()))[0], "problem", "good.key: contains no PEM certificate");
    is(&of(&(good.0.clone(), good.0.clone()))[0], "problem", "good.pem: contains no PEM private key");
    let [found, key] = of(&(dir.path().join("gone.pem"), dir.path().join("gone.key")));
    is(&found, "problem", "gone.pem: No such file or directory");
    is(&key, "problem", "gone.key: No such file or directory");
    let broken = file(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ".pem");
    assert_eq!(of(&(broken.path().to_owned(), good.1.clone()))[0]["state"], "problem");
    // Two unrelated certificates are not a chain.
    let both = [std::fs::read(&good.0).unwrap(), std::fs::read(&other.0).unwrap()].concat();
    let both = file(&both, ".pem");
    std::fs::set_permissions(&good.1, std::fs::Permissions::from_mode(0o644)).unwrap();
    let [found, key] = of(&(both.path().to_owned(), good.1.clone()));
    is(&found, "warning", "for muster.example.org");
    assert_eq!(
        found["meaning"],
        "the chain is out of order (each certificate must be issued by the next), and some clients reject it"
    );
    is(&key, "warning", "is readable by all users of this machine");
    // By default, the doctor checks the certificate of the settings; with TLS, listening on all addresses is fine.
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", "postgres://u@127.0.0.1:9/d").env("MUSTER_SERVER__LISTEN", "0.0.0.0:8443");
    command.env("MUSTER_SERVER__TLS_CERTIFICATE_FILE", &good.0).env("MUSTER_SERVER__TLS_KEY_FILE", &other.1);
    let found = examined(command.args(["doctor", "--no-hashing"]));
    is(found.of("certificate"), "problem", "other.key: not the private key of ");
    is(found.of("settings.listen"), "ok", "0.0.0.0:8443");
    let ran = run(muster().args(["doctor", "--certificate", "x"]));
    assert_eq!(ran.status, Some(2));
}

/// S-11: hashes of other schemes take another time to refuse.
#[tokio::test(flavor = "multi_thread")]
async fn imported_hashes_are_a_reason_for_a_floor_of_refusals() {
    let app = TestApp::spawn().await;
    let hash = "$2b$05$iP1kGziayfr5mh/c7QwLtuk9G9Ox6NNfnm8MQmPP0FnKA5xZRq/tS";
    let users = json!([
        {"name": "Ada", "email": "ada@example.com", "is_sso_user": false, "password_hash": hash},
        {"name": "Ben", "email": "ben@example.com", "is_sso_user": false, "password": "tidal-anchor-Plum-91"},
    ]);
    assert_eq!(app.owner.create(&users).await.status, 200);
    let of = |floor: &str| {
        let mut command = muster();
        command.env("MUSTER_DATABASE__URL", url(&app.database)).env("MUSTER_PASSWORDS__REFUSAL_FLOOR_MS", floor);
        examined(command.args(["doctor", "--no-hashing"])).of("passwords.schemes").clone()
    };
    let found = of("0");
    assert_eq!((&found["state"], &found["found"]), (&json!("warning"), &json!("imported hashes: 1 bcrypt")));
    assert!(found["advice"].as_str().unwrap().starts_with("set `passwords.refusal_floor_ms = 500`"), "{found}");
    assert_eq!(of("500")["state"], "ok");
}
