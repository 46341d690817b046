//! `muster serve` without a database: the embedded PostgreSQL.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::run;
use crate::support::gate::eventually;
use crate::support::server::{ServerProcess, muster};
use crate::support::sso;

/// A folder that PostgreSQL's own user can reach.
pub fn data_dir() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("muster-data-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn serve(dir: &Path) -> ServerProcess {
    ServerProcess::start(muster().env("MUSTER_DATA_DIR", dir))
}

fn postgres_pid(dir: &Path) -> Option<String> {
    let file = fs::read_to_string(dir.join("postgres/postmaster.pid")).ok()?;
    file.lines().next().map(str::to_owned)
}

fn is_alive(pid: &str) -> bool {
    // A zombie: the process has exited, but its parent has not reaped it.
    if fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z")) {
        return false;
    }
    std::process::Command::new("kill").args(["-0", pid]).stderr(std::process::Stdio::null()).status().unwrap().success()
}

#[test]
fn without_a_home_directory_a_data_directory_is_required() {
    let nowhere = tempfile::tempdir().unwrap();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let mut command = muster();
    command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(nowhere.path()).env_remove("HOME");
    command.env_remove("XDG_DATA_HOME");
    if nix::unistd::Uid::effective().is_root() {
        command.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw());
        fs::set_permissions(nowhere.path(), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let ran = run(&mut command);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (
            Some(2),
            "error: no data directory for the embedded database, because HOME is not set; choose one with `--data-dir`, or \
             select a database with `--database-url`\n"
        )
    );
    assert_eq!(fs::read_dir(nowhere.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_at_the_same_address_says_that_one_is_running() {
    let dir = data_dir();
    let server = serve(dir.path());
    let listen = server.address.to_string();
    let ran = run(muster().env("MUSTER_DATA_DIR", dir.path()).args(["serve", "--listen", &listen]));
    assert_eq!(
        (ran.status, ran.err),
        (
            Some(2),
            format!(
                "error: can't listen on {listen}: address in use; `muster serve` is already running with the data directory \
                 {}; choose another address with `--listen`, or use port 0 for a free port\n",
                dir.path().display()
            )
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_needs_no_setup_keeps_its_data_and_stops_cleanly() {
    let dir = data_dir();
    let start = Instant::now();
    let mut server = serve(dir.path());
    // Less than the time that `pg_ctl` waits for a server that does not start.
    assert!(start.elapsed() < Duration::from_secs(50), "{:?}", start.elapsed());
    let key = server.key.clone().expect("the first start shows a key");
    let owner = server.actor(&key);
    assert_eq!(owner.create(&json!([sso("a@example.com")])).await.status, 200);
    let pid = postgres_pid(dir.path()).unwrap();
    // PostgreSQL does not log rejected values, because they contain personal data.
    let info = owner.get("/api/v2/userinfo/").await.json();
    let own = format!("/api/v2/users/{}", info["result"]["id"].as_str().unwrap());
    let taken = owner.request("PATCH", &own).body(json!({"email": "a@example.com"}).to_string());
    assert_eq!(crate::support::Actor::send(taken).await.status, 409);
    let log = dir.path().join("postgres.log");
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    let log_text = fs::read_to_string(&log).unwrap();
    assert!(log_text.contains("users_email_key_key") && !log_text.contains("a@example.com"), "{log_text}");
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(postgres_pid(dir.path()), None);
    eventually("PostgreSQL stops with the service", async || !is_alive(&pid)).await;

    let second = serve(dir.path());
    assert_eq!(second.key, None, "the key is shown once");
    let listed = second.actor(&key).get("/api/v2/organization_collaborators/").await.json();
    assert_eq!(listed["results"][1]["email"], "a@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_the_server_continues_with_the_running_postgresql() {
    let dir = data_dir();
    let mut server = serve(dir.path());
    let key = server.key.clone().unwrap();
    server.signal("-KILL");
    server.wait();
    let pid = postgres_pid(dir.path()).unwrap();
    assert!(is_alive(&pid));
    let mut second = serve(dir.path());
    assert_eq!(postgres_pid(dir.path()), Some(pid.clone()));
    assert_eq!(second.actor(&key).get("/api/v2/userinfo/").await.status, 200);
    second.signal("-INT");
    assert_eq!(second.wait().code(), Some(0));
    eventually("PostgreSQL stops with the service", async || !is_alive(&pid)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_of_the_machine_a_stale_pid_file_does_not_matter() {
    let dir = data_dir();
    let mut server = serve(dir.path());
    let key = server.key.clone().unwrap();
    server.signal("-KILL");
    server.wait();
    let pid = postgres_pid(dir.path()).unwrap();
    std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    while is_alive(&pid) {
        std::thread::sleep(Duration::from_millis(10));
    }
    // The PID now belongs to another program (this test), as happens in containers.
    let file = dir.path().join("postgres/postmaster.pid");
    let stale = fs::read_to_string(&file).unwrap().replacen(&pid, &std::process::id().to_string(), 1);
    fs::write(&file, stale).unwrap();
    let second = serve(dir.path());
    assert_eq!(second.actor(&key).get("/api/v2/userinfo/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_restarted_when_it_exits() {
    let dir = data_dir();
    let server = serve(dir.path());
    let owner = server.actor(&server.key.clone().unwrap());
    std::process::Command::new("kill").args(["-KILL", &postgres_pid(dir.path()).unwrap()]).status().unwrap();
    let create = json!([sso("a@example.com")]);
    eventually("PostgreSQL runs again", async || owner.create(&create).await.status == 200).await;
}

#[test]
fn keys_are_created_with_and_without_a_running_server() {
    let dir = data_dir();
    let ran = run(muster().args(["key", "list"]).env("MUSTER_DATA_DIR", dir.path()));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.starts_with("error: no embedded database in "), "{}", ran.err);
    let mut server = serve(dir.path());
    let create = || {
        let ran = run(muster().args(["key", "create", "--name", "x", "-o", "json"]).env("MUSTER_DATA_DIR", dir.path()));
        assert_eq!(ran.status, Some(0), "{}", ran.err);
        let key: Value = serde_json::from_str(&ran.out).unwrap();
        assert!(key["token"].as_str().unwrap().starts_with("amk_"));
    };
    create();
    assert!(postgres_pid(dir.path()).is_some(), "the server's PostgreSQL keeps running");
    server.signal("-TERM");
    server.wait();
    create();
    assert_eq!(postgres_pid(dir.path()), None, "a PostgreSQL started for a command is stopped again");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_one_data_directory_and_the_last_one_stops_postgresql() {
    let dir = data_dir();
    let mut one = serve(dir.path());
    let key = one.key.clone().unwrap();
    let mut other = serve(dir.path());
    one.signal("-TERM");
    one.wait();
    assert_eq!(other.actor(&key).get("/api/v2/userinfo/").await.status, 200);
    other.signal("-TERM");
    other.wait();
    assert_eq!(postgres_pid(dir.path()), None);
}

/// A server whose address no setting names.
#[tokio::test(flavor = "multi_thread")]
async fn local_commands_know_the_address_of_the_running_server() {
    let dir = data_dir();
    let link = |arguments: &[&str]| {
        let mut command = muster();
        command.env("MUSTER_DATA_DIR", dir.path()).args(["user", "link", "administrator@muster.invalid", "--recover"]);
        let ran = run(command.args(arguments));
        assert_eq!(ran.status, Some(0), "{}", ran.err);
        ran.out.split("/password/").next().unwrap().to_owned()
    };
    let mut server = serve(dir.path());
    let mut other = serve(dir.path());
    assert_eq!(link(&[]), format!("http://{}", server.address));
    assert_eq!(link(&["--listen", "127.0.0.1:9"]), "http://127.0.0.1:9", "the command line comes first");
    // What a killed server left behind misleads nobody.
    server.signal("-KILL");
    server.wait();
    assert_eq!(link(&[]), "http://127.0.0.1:8080");
    other.signal("-TERM");
    other.wait();
    let third = serve(dir.path());
    assert_eq!(link(&[]), format!("http://{}", third.address));
}

#[test]
fn without_a_matching_postgresql_the_error_names_the_version_to_install() {
    let dir = data_dir();
    let mut first = serve(dir.path());
    first.signal("-TERM");
    first.wait();
    // No machine has version 6.
    fs::write(dir.path().join("postgres/PG_VERSION"), "6\n").unwrap();
    let ran = run(muster().args(["serve", "--listen", "127.0.0.1:0"]).env("MUSTER_DATA_DIR", dir.path()));
    assert_eq!(ran.status, Some(2));
    assert!(
        ran.err.starts_with("error: the data directory was created by PostgreSQL 6, and only PostgreSQL "),
        "{}",
        ran.err
    );
    assert_eq!(ran.err.lines().count(), 1);
}

#[test]
fn an_unusable_data_directory_is_reported_in_one_line() {
    let dir = data_dir();
    let ran = if nix::unistd::Uid::effective().is_root() {
        // Started by root, PostgreSQL runs as another user, who must be able to reach the directory.
        let closed = dir.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        run(muster().args(["serve", "--listen", "127.0.0.1:0"]).env("MUSTER_DATA_DIR", closed.join("data")))
    } else {
        run(muster().args(["serve", "--listen", "127.0.0.1:0"]).env("MUSTER_DATA_DIR", "/root/muster"))
    };
    assert_eq!(ran.status, Some(2));
    assert!(
        ran.err.starts_with("error: the data directory ") && ran.err.contains("choose another with `--data-dir`"),
        "{}",
        ran.err
    );
    assert_eq!(ran.err.lines().count(), 1);
}

#[test]
fn the_data_directory_of_another_user_is_rejected() {
    let dir = data_dir();
    let command = if nix::unistd::Uid::effective().is_root() {
        // Root must not write to a folder in which another user can create links.
        std::os::unix::fs::chown(dir.path(), Some(65534), Some(65534)).unwrap();
        let mut command = muster();
        command.env("MUSTER_DATA_DIR", dir.path());
        command
    } else {
        let mut command = muster();
        command.env("MUSTER_DATA_DIR", "/tmp");
        command
    };
    let ran = run({ command }.args(["serve", "--listen", "127.0.0.1:0"]));
    assert_eq!(ran.status, Some(2));
    assert!(
        ran.err.contains(" belongs to user ") && ran.err.contains(", or choose another with `--data-dir`"),
        "{}",
        ran.err
    );
    assert_eq!(ran.err.lines().count(), 1);
}

#[test]
fn every_command_says_whose_the_data_directory_is() {
    // Another user is needed.
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let dir = data_dir();
    let mut server = serve(dir.path());
    server.signal("-TERM");
    server.wait();
    let hidden = dir.path().join("hidden");
    fs::create_dir(&hidden).unwrap();
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o700)).unwrap();
    let of_root = format!(
        "{} belongs to user root; run muster as root, or choose another with `--data-dir`",
        dir.path().display()
    );
    let denied = format!(
        "{} can't be used by this user (permission denied); choose another with `--data-dir`, or run muster as its owner",
        hidden.join("data").display()
    );
    for (data_dir, why) in [(dir.path().to_owned(), of_root), (hidden.join("data"), denied)] {
        let run_as_other = |words: &[&str]| {
            let mut command = muster();
            command.args(words).env("MUSTER_DATA_DIR", &data_dir).current_dir("/").uid(65_534).gid(65_534);
            run(&mut command)
        };
        for words in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["key", "list"]] {
            let ran = run_as_other(words);
            assert_eq!((ran.status, ran.err), (Some(2), format!("error: the data directory {why}\n")), "{words:?}");
        }
        let ran = run_as_other(&["doctor", "--no-hashing"]);
        let found = format!("problem  database.connection       the data directory {why}\n");
        assert!(ran.out.contains(&found), "{}", ran.out);
    }
}

#[test]
fn quickstart_shows_two_users_and_finds_them_again() {
    let dir = data_dir();
    let quickstart =
        || run(muster().args(["quickstart", "--exit", "--listen", "127.0.0.1:0"]).env("MUSTER_DATA_DIR", dir.path()));
    let first = quickstart();
    assert_eq!(first.status, Some(0), "{}", first.err);
    assert!(first.out.contains("owner key: amk_") && first.out.contains("\ncreated 2 users:\n"), "{}", first.out);
    let second = quickstart();
    assert_eq!(second.status, Some(0), "{}", second.err);
    assert!(second.out.contains("the users exist already, from an earlier run:\n"), "{}", second.out);
    for out in [first.out, second.out] {
        let users: Vec<&str> = out.lines().filter(|line| line.starts_with("test")).collect();
        assert_eq!(users.len(), 2, "{out}");
        assert!(users[0].starts_with("test1@anyscale.com  name1 lastname1  usr_"), "{out}");
    }
    assert_eq!(postgres_pid(dir.path()), None);
}

#[test]
fn a_folder_with_other_files_is_rejected_and_left_unchanged() {
    let dir = data_dir();
    let precious = dir.path().join("postgres/data/base/t");
    fs::create_dir_all(precious.parent().unwrap()).unwrap();
    fs::write(&precious, "precious").unwrap();
    let ran = run(muster().args(["serve", "--listen", "127.0.0.1:0"]).env("MUSTER_DATA_DIR", dir.path()));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.contains("contains files of another program (`postgres`); choose an empty"), "{}", ran.err);
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was added");
}

#[test]
fn a_folder_that_is_writable_by_others_is_rejected() {
    let dir = data_dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let ran = run(muster().args(["serve", "--listen", "127.0.0.1:0"]).env("MUSTER_DATA_DIR", dir.path()));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.contains("is writable by other users"), "{}", ran.err);
}

#[test]
fn after_a_first_start_that_was_killed_at_any_moment_the_next_one_works() {
    for moment in [50, 200, 350, 450, 500, 550, 650] {
        let dir = data_dir();
        let mut command = muster();
        command.args(["serve", "--listen", "127.0.0.1:0"]).env("MUSTER_DATA_DIR", dir.path());
        let mut doomed = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(moment));
        doomed.kill().unwrap();
        doomed.wait().unwrap();
        let mut next = serve(dir.path());
        next.signal("-TERM");
        assert_eq!(next.wait().code(), Some(0), "{moment} ms");
    }
}

/// Connects to the PostgreSQL of a data directory, whose pid file names the directory of its socket.
async fn connect(dir: &Path, role: &str) -> PgConnection {
    let file = fs::read_to_string(dir.join("postgres/postmaster.pid")).unwrap();
    let socket = file.lines().nth(4).unwrap();
    let options = PgConnectOptions::new_without_pgpass().host(socket).username(role).database("muster");
    options.connect().await.unwrap()
}

async fn refused(connection: &mut PgConnection, statement: &'static str) -> String {
    let error = sqlx::query(statement).execute(connection).await.unwrap_err();
    let error = error.as_database_error().unwrap();
    assert_eq!(error.code().as_deref(), Some("42501"), "{statement}: {error}");
    error.message().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_uses_a_role_that_owns_nothing_and_an_older_installation_is_upgraded() {
    let dir = data_dir();
    let mut server = serve(dir.path());
    let key = server.key.clone().unwrap();
    for upgraded in [false, true] {
        let owner = server.actor(&key);
        let created = owner.create(&json!([sso(&format!("{upgraded}@example.com"))])).await;
        assert_eq!(created.status, 200, "{}", created.text);
        let mut admin = connect(dir.path(), "muster").await;
        let roles: Vec<String> =
            sqlx::query_scalar("select distinct usename::text from pg_stat_activity where application_name = 'muster'")
                .fetch_all(&mut admin)
                .await
                .unwrap();
        assert_eq!(roles, ["muster_app"]);
        let mut app = connect(dir.path(), "muster_app").await;
        let mut all = Vec::new();
        for statement in [
            "alter table audit_events disable trigger all",
            "drop trigger audit_events_append_only on audit_events",
            "create or replace function audit_events_refuse_change() returns trigger language plpgsql as 'begin end'",
            "update audit_events set action = 'x'",
            "delete from audit_events",
            "truncate audit_events",
            "set session_replication_role = replica",
            "set role muster_owner",
            "set role muster",
            "delete from organizations",
            "create table t ()",
            "delete from _sqlx_migrations",
        ] {
            all.push(refused(&mut app, statement).await);
        }
        assert_eq!(
            all,
            [
                "must be owner of table audit_events",
                "must be owner of relation audit_events",
                "permission denied for schema public",
                "permission denied for table audit_events",
                "permission denied for table audit_events",
                "permission denied for table audit_events",
                "permission denied to set parameter \"session_replication_role\"",
                "permission denied to set role \"muster_owner\"",
                "permission denied to set role \"muster\"",
                "permission denied for table organizations",
                "permission denied for schema public",
                "permission denied for table _sqlx_migrations",
            ]
        );
        app.close().await.unwrap();
        let found = run(muster().env("MUSTER_DATA_DIR", dir.path()).args(["doctor", "--no-hashing"]));
        assert!(
            found.out.contains("database.role             muster_app, without special attributes\n"),
            "{}",
            found.out
        );
        assert!(
            found
                .out
                .contains("database.audit_rights     muster_app can add audit events and read them, nothing else\n"),
            "{}",
            found.out
        );
        if !upgraded {
            server.signal("-TERM");
            server.wait();
            // As an older version leaves it: the superuser owns everything.
            let path = std::env::var("PATH").unwrap();
            let cluster = muster::postgres::EmbeddedPostgres::open(dir.path(), &path, &[]).await.unwrap();
            let mut admin = connect(dir.path(), "muster").await;
            for statement in [
                "reassign owned by muster_owner to muster",
                "drop owned by muster_app, muster_owner",
                "drop role muster_app, muster_owner",
            ] {
                sqlx::query(statement).execute(&mut admin).await.unwrap();
            }
            admin.close().await.unwrap();
            cluster.close().await.unwrap();
            drop(cluster);
            server = serve(dir.path());
            assert_eq!(server.key, None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_protects_the_audit_log_is_compared_and_restored() {
    let dir = data_dir();
    let server = serve(dir.path());
    let doctor = || run(muster().env("MUSTER_DATA_DIR", dir.path()).args(["doctor", "--no-hashing"])).out;
    let mut admin = connect(dir.path(), "muster").await;
    sqlx::query("grant update, delete on audit_events to muster_app").execute(&mut admin).await.unwrap();
    let function = "create or replace function audit_events_refuse_change() returns trigger language plpgsql as
                    'begin return null; end'";
    sqlx::query(function).execute(&mut admin).await.unwrap();
    sqlx::query("alter role muster_app superuser").execute(&mut admin).await.unwrap();
    let found = doctor();
    for sentence in [
        "problem  database.audit_lock       the function of the trigger audit_events_append_only is changed\n",
        "warning  database.role             muster_app is a superuser\n",
    ] {
        assert!(found.contains(sentence), "{found}");
    }
    sqlx::query("alter role muster_app nosuperuser").execute(&mut admin).await.unwrap();
    // Opening the database again revokes what is not needed.
    let found = doctor();
    assert!(found.contains("database.audit_rights     muster_app can add audit events and read them"), "{found}");
    drop(server);
}

#[test]
fn as_root_postgresql_runs_as_an_account_of_its_own() {
    // Other accounts can't be created or used.
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let dir = data_dir();
    let mut server = serve(dir.path());
    let owner = |path: &str| fs::metadata(dir.path().join(path)).unwrap().uid();
    let account = nix::unistd::User::from_name("muster-postgres").unwrap().expect("the account is created");
    assert_eq!((owner("postgres"), owner("run")), (account.uid.as_raw(), account.uid.as_raw()));
    let process = fs::metadata(format!("/proc/{}", postgres_pid(dir.path()).unwrap())).unwrap();
    assert_eq!(process.uid(), account.uid.as_raw());
    assert_eq!((account.dir.to_str(), account.shell.to_str()), (Some("/nonexistent"), Some("/usr/sbin/nologin")));
    server.signal("-TERM");
    server.wait();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_of_the_socket_has_a_random_name_if_the_path_of_the_data_directory_is_long() {
    let parent = data_dir();
    let dir = parent.path().join("x".repeat(100));
    let recorded = || PathBuf::from(fs::read_to_string(dir.join("socket-directory")).unwrap());
    let mut first = serve(&dir);
    let key = first.key.clone().unwrap();
    let socket_dir = recorded();
    let name = socket_dir.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(socket_dir.parent(), Some(std::env::temp_dir().as_path()));
    assert!(name.len() == "muster-".len() + 32 && name.starts_with("muster-"), "{name}");
    assert_eq!(fs::metadata(&socket_dir).unwrap().permissions().mode() & 0o777, 0o700);
    // Another process uses the same one.
    let mut second = serve(&dir);
    assert_eq!(recorded(), socket_dir);
    for server in [&mut first, &mut second] {
        assert_eq!(server.actor(&key).get("/api/v2/userinfo/").await.status, 200);
        server.signal("-TERM");
        server.wait();
    }
    // A directory that was removed, and may have been created by another user since, is not used again.
    fs::remove_dir_all(&socket_dir).unwrap();
    std::os::unix::fs::symlink(parent.path(), &socket_dir).unwrap();
    let third = serve(&dir);
    assert_ne!(recorded(), socket_dir);
    assert_eq!(third.actor(&key).get("/api/v2/userinfo/").await.status, 200);
    fs::remove_file(&socket_dir).unwrap();
    let last = recorded();
    drop(third);
    fs::remove_dir_all(last).unwrap();
}
