//! Settings: where they come from, and what is said about one that can't be used.

use crate::run;
use crate::support::server::{ServerProcess, muster};
use crate::support::{Actor, empty_database, file};

#[test]
fn the_built_in_configuration_is_fine_and_documented() {
    let ran = run(muster().args(["config", "check", "--data-dir", "/tmp/x"]));
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "the configuration is fine\n"));
    assert_eq!(
        ran.out,
        "listen      127.0.0.1:8080\ndatabase    private, in /tmp/x\nbatch       10000 users at most\n\
         argon2id    m=19456 KiB, t=2, p=1\nlog         info\n"
    );
    let ran = run(muster().args(["config", "check", "--defaults"]));
    assert_eq!(ran.out.trim_end(), muster::config::MANUAL.trim_end());
}

#[test]
fn flags_go_before_the_environment_and_the_environment_before_the_file() {
    let settings = file(b"[server]\nlisten = \"127.0.0.1:1\"\n[batch]\nmax_users = 7\n", ".toml");
    let mut command = muster();
    command.arg("config").arg("check").arg("--config").arg(settings.path());
    assert!(run(&mut command).out.starts_with("listen      127.0.0.1:1\n"));
    command.env("MUSTER_SERVER__LISTEN", "127.0.0.1:2");
    let out = run(&mut command).out;
    assert!(out.starts_with("listen      127.0.0.1:2\n") && out.contains("7 users at most"), "{out}");
    command.env("MUSTER_BATCH__MAX_USERS", "8");
    assert!(run(&mut command).out.contains("8 users at most"));
    command.env("MUSTER_DATABASE__URL", "postgres://u:hunter2@db.example/d");
    let ran = run(&mut command);
    assert!(ran.out.contains("database    d at db.example:5432") && !ran.out.contains("hunter2"), "{}", ran.out);
}

#[test]
fn a_setting_that_can_not_be_used_is_named_with_its_place() {
    let unknown = file(b"[server]\nlisten_on = \"x\"\n", ".toml");
    let ran = run(muster().arg("serve").arg("--config").arg(unknown.path()));
    assert_eq!(ran.status, Some(2));
    let place = unknown.path().display().to_string();
    assert!(ran.err.starts_with("error: unknown setting `server.listen_on`"), "{}", ran.err);
    assert!(ran.err.contains(&place) && ran.err.contains("`listen`") && ran.err.lines().count() == 1, "{}", ran.err);

    let ran = run(muster().arg("serve").env("MUSTER_SERVER__PORT", "1"));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.starts_with("error: unknown setting `server.port` in the environment"), "{}", ran.err);

    let ran = run(muster().arg("serve").env("MUSTER_BATCH__MAX_USERS", "many"));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.starts_with("error: setting `batch.max_users` in the environment has to be"), "{}", ran.err);

    let ran = run(muster().arg("serve").env("MUSTER_PASSWORDS__MEMORY_KIB", "1024"));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.contains("weaker than OWASP ASVS 5.0 allows"), "{}", ran.err);

    let ran = run(muster().args(["serve", "--config", "/nowhere.toml"]));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.starts_with("error: the configuration /nowhere.toml can't be read: "), "{}", ran.err);
}

#[test]
fn a_level_that_would_silence_the_log_is_refused() {
    let settings = file(b"[log]\nlevel = \"foo\"\n", ".toml");
    let sentence = "error: log.level has to be error, warn, info, debug or trace, or a filter with one of these for all \
                    the rest, such as info,sqlx=warn\n";
    let ran = run(muster().arg("serve").arg("--config").arg(settings.path()));
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(2), "", sentence));
    for level in ["foo", "off", "", "sqlx=warn"] {
        let ran = run(muster().args(["config", "check"]).env("MUSTER_LOG__LEVEL", level));
        assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(2), "", sentence), "{level}");
    }
    let ran = run(muster().args(["config", "check"]).env("MUSTER_LOG__LEVEL", "info,sqlx=warn"));
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "the configuration is fine\n"));
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = run(muster().args(["serve", "--listen", &address, "--data-dir", "/tmp/never-made"]));
    assert_eq!(
        (ran.status, ran.err),
        (
            Some(2),
            format!(
                "error: can't listen on {address}: another program listens there; choose another with `--listen`, or port 0 for a free one\n"
            )
        )
    );
    assert!(!std::path::Path::new("/tmp/never-made").exists());
}

#[test]
fn a_database_out_of_reach_is_one_sentence() {
    let ran = run(muster().args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--database-url",
        "postgres://u:hunter2@127.0.0.1:9/d",
    ]));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.starts_with("error: the database at 127.0.0.1:9 can't be used: "), "{}", ran.err);
    assert!(!ran.err.contains("hunter2") && ran.err.lines().count() == 1, "{}", ran.err);
    let ran = run(muster().args(["serve", "--database-url", "mysql://u:hunter2@h/d", "--listen", "127.0.0.1:0"]));
    assert_eq!((ran.status, ran.err.as_str()), (Some(2), "error: database.url has to start with postgres://\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_behind_a_socket_is_named_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join(".s.PGSQL.5433");
    let url = format!("postgres://muster@{}:5433/d", folder.path().to_str().unwrap().replace('/', "%2F"));
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["key", "list"]] {
        let ran = run(muster().args(arguments).env("MUSTER_DATABASE__URL", &url));
        let named = format!("error: the database at the socket {} can't be used: ", socket.display());
        assert_eq!(ran.status, Some(2), "{arguments:?}");
        assert!(ran.err.starts_with(&named) && ran.err.lines().count() == 1, "{}", ran.err);
    }
    let ran = run(muster().args(["config", "check"]).env("MUSTER_DATABASE__URL", &url));
    let named = format!("\ndatabase    d at the socket {}\n", socket.display());
    assert!(ran.out.contains(&named), "{}", ran.out);

    let database = empty_database().await;
    let server = ServerProcess::start_on(&database);
    let (folder, name) = (database.get_host(), database.get_database().unwrap());
    assert_eq!(server.announced[1], format!("database: {name} at the socket {folder}/.s.PGSQL.5432"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_database_that_has_keys_says_how_to_make_another() {
    let database = empty_database().await;
    let hint = "keys: shown when they are made, and never again; make another with `muster key create --name NAME --role \
                owner`";
    let says = |server: &ServerProcess| server.announced.iter().filter(|line| *line == hint).count();
    let first = ServerProcess::start_on(&database);
    assert_eq!((first.key.is_some(), says(&first)), (true, 0), "{:?}", first.announced);
    drop(first);
    let second = ServerProcess::start_on(&database);
    assert_eq!((second.key.is_some(), says(&second)), (false, 1), "{:?}", second.announced);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_may_come_from_a_file() {
    let database = empty_database().await;
    let secret = file(crate::support::server::url(&database).as_bytes(), "");
    let server = ServerProcess::start(muster().env("MUSTER_DATABASE__URL_FILE", secret.path()));
    assert_eq!(Actor::new(server.address, None).get("/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_makes_a_database_ready_once() {
    let database = empty_database().await;
    let url = crate::support::server::url(&database);
    let ran = run(muster().args(["key", "list"]).env("MUSTER_DATABASE__URL", &url));
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(2), "error: the database lacks migrations: run `muster migrate`\n")
    );
    let ran = run(muster().arg("migrate").env("MUSTER_DATABASE__URL", &url));
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "the database is up to date\n"));
    assert!(ran.out.starts_with("owner key: amk_"), "{}", ran.out);
    let ran = run(muster().arg("migrate").env("MUSTER_DATABASE__URL", &url));
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(0), "", "the database is up to date\n"));
}

#[test]
fn a_fingerprint_key_that_can_not_be_used_is_found_by_the_check() {
    let (empty, short) = (file(b"\n", ".key"), file(b"a key that is long enough to be one of them\nshort\n", ".key"));
    let path = |file: &tempfile::NamedTempFile| file.path().to_str().unwrap().to_owned();
    let too_short = "secrets.fingerprint_key has to have 32 characters at least, such as `openssl rand -hex 32` prints";
    for (name, value, sentence) in [
        ("MUSTER_SECRETS__FINGERPRINT_KEY", "short".to_owned(), too_short.to_owned()),
        ("MUSTER_SECRETS__FINGERPRINT_KEY_FILE", path(&short), too_short.to_owned()),
        (
            "MUSTER_SECRETS__FINGERPRINT_KEY_FILE",
            path(&empty),
            format!("secrets.fingerprint_key_file {} is empty", path(&empty)),
        ),
        (
            "MUSTER_SECRETS__FINGERPRINT_KEY_FILE",
            "/nowhere/key".to_owned(),
            "secrets.fingerprint_key_file /nowhere/key can't be read: No such file or directory (os error 2)"
                .to_owned(),
        ),
    ] {
        let ran = run(muster().args(["config", "check"]).env(name, value));
        assert_eq!((ran.status, ran.err), (Some(2), format!("error: {sentence}\n")), "{name}");
    }
}
