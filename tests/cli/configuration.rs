//! Settings: their sources and precedence, and the messages about invalid ones.

use serde_json::Value;

use crate::run;
use crate::support::server::{ServerProcess, muster};
use crate::support::{Actor, empty_database, file};

#[test]
fn the_built_in_configuration_is_fine_and_documented() {
    let ran = run(muster().args(["config", "check", "--data-dir", "/tmp/x"]));
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "the configuration is valid\n"));
    assert_eq!(
        ran.out,
        "settings    defaults and the environment (neither --config nor MUSTER_CONFIG is set)\nlisten      127.0.0.1:8080\n\
         database    embedded, in /tmp/x\nbatch       max. 10000 users\n\
         argon2id    m=19456 KiB, t=2, p=1\nlog         info\n"
    );
    let ran = run(muster().args(["config", "check", "--defaults"]));
    assert_eq!(ran.out.trim_end(), muster::config::MANUAL.trim_end());
}

#[test]
fn flags_override_the_environment_and_the_environment_overrides_the_file() {
    let settings = file(b"[server]\nlisten = \"127.0.0.1:1\"\n[batch]\nmax_users = 7\n", ".toml");
    let mut command = muster();
    command.arg("config").arg("check").arg("--config").arg(settings.path());
    let expected = format!("settings    {} and the environment\nlisten      127.0.0.1:1\n", settings.path().display());
    assert!(run(&mut command).out.starts_with(&expected));
    command.env("MUSTER_SERVER__LISTEN", "127.0.0.1:2");
    let out = run(&mut command).out;
    assert!(out.contains("\nlisten      127.0.0.1:2\n") && out.contains("max. 7 users"), "{out}");
    command.env("MUSTER_BATCH__MAX_USERS", "8");
    assert!(run(&mut command).out.contains("max. 8 users"));
    command.env("MUSTER_DATABASE__URL", "postgres://u:hunter2@db.example/d");
    let ran = run(&mut command);
    assert!(ran.out.contains("database    d at db.example:5432") && !ran.out.contains("hunter2"), "{}", ran.out);
}

/// A source of settings, later ones first.
fn check(file: Option<(&str, &str)>, variable: Option<(&str, &str)>, flag: Option<&str>) -> crate::Ran {
    let settings = file.map_or_else(String::new, |(name, value)| {
        let (section, key) = name.split_once('.').unwrap();
        format!("[{section}]\n{key} = \"{value}\"\n")
    });
    let settings = self::file(settings.as_bytes(), ".toml");
    let mut command = muster();
    command.args(["config", "check", "--data-dir", "/tmp/never-made", "--config"]).arg(settings.path());
    if let Some((name, value)) = variable {
        command.env(format!("MUSTER_{}", name.to_uppercase().replace('.', "__")), value);
    }
    if let Some(url) = flag {
        command.args(["--database-url", url]);
    }
    run(&mut command)
}

#[test]
fn a_setting_and_the_file_that_contains_it_override_each_other() {
    let (url, key, headers) = ("postgres://u@db.example/d", "x".repeat(32), "authorization: Bearer x");
    let files = [url, &key, headers].map(|text| file(text.as_bytes(), ".secret"));
    let [url_file, key_file, headers_file] = files.each_ref().map(|file| file.path().to_str().unwrap());
    let nowhere = "/nowhere/file";
    let sets = [
        vec![("database.url", url, "mysql://"), ("database.url_file", url_file, nowhere)],
        vec![
            ("secrets.server_key", key.as_str(), "short"),
            ("secrets.server_key_file", key_file, nowhere),
            ("secrets.fingerprint_key", key.as_str(), "short"),
            ("secrets.fingerprint_key_file", key_file, nowhere),
        ],
        vec![("secrets.seal_key", key.as_str(), "short"), ("secrets.seal_key_file", key_file, nowhere)],
        vec![("traces.headers", headers, "no header"), ("traces.headers_file", headers_file, nowhere)],
    ];
    for settings in &sets {
        for (in_file, valid, invalid) in settings {
            for (variable, other_valid, other_invalid) in settings {
                let ran = check(Some((in_file, invalid)), Some((variable, other_valid)), None);
                let outcome = (ran.status, ran.err.as_str());
                assert_eq!(outcome, (Some(0), "the configuration is valid\n"), "{variable} over {in_file}");
                let ran = check(Some((in_file, valid)), Some((variable, other_invalid)), None);
                assert_eq!(ran.status, Some(2), "{variable} over {in_file}: {}", ran.out);
            }
        }
    }
    let flag = Some("postgres://u@flag.example/d");
    for name in ["database.url", "database.url_file"] {
        for other in ["database.url", "database.url_file"] {
            let ran = check(Some((name, nowhere)), Some((other, nowhere)), flag);
            assert!(ran.out.contains("database    d at flag.example:5432\n"), "{name} {other}: {}", ran.err);
        }
    }
    // Compose passes a variable that is not set as an empty one.
    let ran = check(Some(("database.url_file", url_file)), Some(("database.url", "")), None);
    assert!(ran.out.contains("database    d at db.example:5432\n"), "{}", ran.out);
}

#[test]
fn an_invalid_setting_is_reported_with_its_source() {
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
    assert!(ran.err.starts_with("error: setting `batch.max_users` in the environment must be"), "{}", ran.err);

    let ran = run(muster().arg("serve").env("MUSTER_PASSWORDS__MEMORY_KIB", "1024"));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.contains("weaker than OWASP ASVS 5.0 allows"), "{}", ran.err);

    let ran = run(muster().args(["serve", "--config", "/nowhere.toml"]));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.starts_with("error: the configuration /nowhere.toml can't be read: "), "{}", ran.err);
}

#[test]
fn a_malformed_line_is_not_quoted_because_it_may_contain_a_secret() {
    for (text, why) in [
        ("[database]\nurl = postgres://u:hunter2@h/d\n", "line 2, column 7: invalid string"),
        ("[secrets]\nserver_key = \"hunter2\n", "line 2, column 22: invalid basic string"),
        ("[database]\nurl = \"a\"\nurl = \"hunter2\"\n", "line 3, column 1: duplicate key `url` in table `database`"),
        ("[traces]\nheaders = \"a: hunter2\\q\"\n", "line 2, column 24: invalid escape sequence: expected "),
    ] {
        let settings = file(text.as_bytes(), ".toml");
        let place = settings.path().display();
        let sentence = format!("the configuration in {place} can't be read: TOML parse error at {why}");
        for command in [&["serve"][..], &["config", "check"], &["doctor", "-o", "json"]] {
            let ran = run(muster().args(command).arg("--config").arg(settings.path()));
            assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{ran:?}");
            if command[0] == "doctor" {
                let report: Value = serde_json::from_str(&ran.out).unwrap();
                assert!(report["findings"][0]["found"].as_str().unwrap().starts_with(&sentence), "{ran:?}");
            } else {
                assert!(ran.err.starts_with(&format!("error: {sentence}")) && ran.err.lines().count() == 1, "{ran:?}");
            }
        }
    }
}

#[test]
fn a_secret_in_place_of_its_path_is_not_quoted() {
    for (name, setting, secret) in [
        ("MUSTER_DATABASE__URL_FILE", "database.url_file", "postgres://u:hunter2@h/d"),
        ("MUSTER_SECRETS__SERVER_KEY_FILE", "secrets.server_key_file", "hunter2-hunter2-hunter2-hunter2-hunter2"),
    ] {
        let sentence = format!("error: {setting} must be the path of an existing file; its value is not shown\n");
        let ran = run(muster().args(["config", "check"]).env(name, secret));
        assert_eq!((ran.status, ran.out.as_str(), ran.err), (Some(2), "", sentence));
    }
}

#[test]
fn a_level_that_would_silence_the_log_is_rejected() {
    let settings = file(b"[log]\nlevel = \"foo\"\n", ".toml");
    let sentence = "error: `log.level` must be error, warn, info, debug or trace, or a filter with one of these for \
                    everything else, such as `info,sqlx=warn`\n";
    let ran = run(muster().arg("serve").arg("--config").arg(settings.path()));
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(2), "", sentence));
    for level in ["foo", "off", "", "sqlx=warn"] {
        let ran = run(muster().args(["config", "check"]).env("MUSTER_LOG__LEVEL", level));
        assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(2), "", sentence), "{level}");
    }
    let ran = run(muster().args(["config", "check"]).env("MUSTER_LOG__LEVEL", "info,sqlx=warn"));
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "the configuration is valid\n"));
}

#[test]
fn a_port_in_use_is_reported_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = run(muster().args(["serve", "--listen", &address, "--data-dir", "/tmp/never-made"]));
    assert_eq!(
        (ran.status, ran.err),
        (
            Some(2),
            format!(
                "error: can't listen on {address}: address in use; choose another address with `--listen`, or use port 0 for a free port\n"
            )
        )
    );
    assert!(!std::path::Path::new("/tmp/never-made").exists());
}

#[test]
fn an_unreachable_database_is_reported_in_one_line() {
    let ran = run(muster().args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--database-url",
        "postgres://u:hunter2@127.0.0.1:9/d",
    ]));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.starts_with("error: can't use the database at 127.0.0.1:9: "), "{}", ran.err);
    assert!(!ran.err.contains("hunter2") && ran.err.lines().count() == 1, "{}", ran.err);
    let ran = run(muster().args(["serve", "--database-url", "mysql://u:hunter2@h/d", "--listen", "127.0.0.1:0"]));
    assert_eq!((ran.status, ran.err.as_str()), (Some(2), "error: `database.url` must begin with postgres://\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_on_a_socket_is_reported_with_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join(".s.PGSQL.5433");
    let url = format!("postgres://muster@{}:5433/d", folder.path().to_str().unwrap().replace('/', "%2F"));
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["key", "list"]] {
        let ran = run(muster().args(arguments).env("MUSTER_DATABASE__URL", &url));
        let named = format!("error: can't use the database at the socket {}: ", socket.display());
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
async fn a_start_on_a_database_with_keys_says_how_to_create_another() {
    let database = empty_database().await;
    let hint = "API keys are shown only once, when created; create another with `muster key create --name NAME --role \
                owner`";
    let count_hints = |server: &ServerProcess| server.announced.iter().filter(|line| *line == hint).count();
    let first = ServerProcess::start_on(&database);
    assert_eq!((first.key.is_some(), count_hints(&first)), (true, 0), "{:?}", first.announced);
    drop(first);
    let second = ServerProcess::start_on(&database);
    assert_eq!((second.key.is_some(), count_hints(&second)), (false, 1), "{:?}", second.announced);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_may_come_from_a_file() {
    let database = empty_database().await;
    let secret = file(crate::support::server::url(&database).as_bytes(), "");
    let server = ServerProcess::start(muster().env("MUSTER_DATABASE__URL_FILE", secret.path()));
    assert_eq!(Actor::new(server.address, None).get("/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_prepares_a_database_and_is_idempotent() {
    let database = empty_database().await;
    let url = crate::support::server::url(&database);
    let ran = run(muster().args(["key", "list"]).env("MUSTER_DATABASE__URL", &url));
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(2), "error: the database schema is outdated; run `muster migrate`\n")
    );
    let ran = run(muster().arg("migrate").env("MUSTER_DATABASE__URL", &url));
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "the database is up to date\n"));
    assert!(ran.out.starts_with("owner key: amk_"), "{}", ran.out);
    let ran = run(muster().arg("migrate").env("MUSTER_DATABASE__URL", &url));
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(0), "", "the database is up to date\n"));
}

#[test]
fn an_unusable_server_key_is_found_by_the_check() {
    let (empty, short) = (file(b"\n", ".key"), file(b"a key that is long enough to be one of them\nshort\n", ".key"));
    let path = |file: &tempfile::NamedTempFile| file.path().to_str().unwrap().to_owned();
    let too_short = "`secrets.server_key` must have at least 32 characters; generate a key with `openssl rand -hex 32`";
    for (name, value, sentence) in [
        ("MUSTER_SECRETS__SERVER_KEY", "short".to_owned(), too_short.to_owned()),
        ("MUSTER_SECRETS__SERVER_KEY_FILE", path(&short), too_short.to_owned()),
        ("MUSTER_SECRETS__SERVER_KEY_FILE", path(&empty), format!("secrets.server_key_file {} is empty", path(&empty))),
        (
            "MUSTER_SECRETS__SERVER_KEY_FILE",
            "/nowhere/key".to_owned(),
            "secrets.server_key_file /nowhere/key can't be read: No such file or directory (os error 2)".to_owned(),
        ),
    ] {
        let ran = run(muster().args(["config", "check"]).env(name, value));
        assert_eq!((ran.status, ran.err), (Some(2), format!("error: {sentence}\n")), "{name}");
    }
}

#[test]
fn the_former_names_of_the_server_key_are_accepted_but_not_together_with_the_current_ones() {
    let key = "a key that is long enough to be one of them";
    let key_file = file(key.as_bytes(), ".key");
    let values = [
        ("MUSTER_SECRETS__FINGERPRINT_KEY", key),
        ("MUSTER_SECRETS__FINGERPRINT_KEY_FILE", key_file.path().to_str().unwrap()),
        ("MUSTER_SECRETS__SERVER_KEY", key),
        ("MUSTER_SECRETS__SERVER_KEY_FILE", key_file.path().to_str().unwrap()),
    ];
    for one in values {
        let ran = run(muster().args(["config", "check"]).envs([one]));
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), "the configuration is valid\n"), "{}", one.0);
        for other in values.into_iter().filter(|other| other.0 != one.0) {
            let ran = run(muster().args(["config", "check"]).envs([one, other]));
            let error = "error: only one of `secrets.server_key`, `secrets.server_key_file` and their former names \
                         `secrets.fingerprint_key`, `secrets.fingerprint_key_file` can be set\n";
            assert_eq!((ran.status, ran.err.as_str()), (Some(2), error), "{} {}", one.0, other.0);
        }
    }
    let short = run(muster().args(["config", "check"]).env("MUSTER_SECRETS__FINGERPRINT_KEY", "short"));
    assert!(short.err.starts_with("error: `secrets.server_key` must have at least 32 characters"), "{}", short.err);
}

#[test]
fn an_empty_or_irregular_secret_file_is_rejected_before_anything_starts() {
    let (empty, blank) = (file(b"", ".secret"), file(b" \n\t\n", ".secret"));
    let long = file("x".repeat(1024 * 1024 + 1).as_bytes(), ".secret");
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (variable, setting) in [
        ("MUSTER_DATABASE__URL_FILE", "database.url_file"),
        ("MUSTER_SECRETS__SERVER_KEY_FILE", "secrets.server_key_file"),
        ("MUSTER_TRACES__HEADERS_FILE", "traces.headers_file"),
    ] {
        for (path, problem) in [
            (empty.path(), "is empty"),
            (blank.path(), "is empty"),
            (long.path(), "can't be read: longer than 1048576 bytes"),
            (pipe.as_path(), "can't be read: not a regular file"),
            (folder.path(), "can't be read: not a regular file"),
        ] {
            let data = folder.path().join("data");
            let sentence = format!("error: {setting} {} {problem}\n", path.display());
            let mut check = muster();
            check.args(["config", "check", "--data-dir"]).arg(&data).env(variable, path);
            let ran = run(&mut check);
            assert_eq!((ran.status, ran.out.as_str(), ran.err), (Some(2), "", sentence.clone()));
            if setting == "database.url_file" {
                let mut serve = muster();
                serve.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data).env(variable, path);
                let ran = run(&mut serve);
                assert_eq!((ran.status, ran.out.as_str(), ran.err), (Some(2), "", sentence));
                assert!(!data.exists(), "no embedded database was created");
            }
        }
    }
}

#[test]
fn the_budget_of_request_bodies_must_be_enough_for_the_longest_list() {
    let check = |budget: &str| {
        let mut check = muster();
        check.args(["config", "check"]).env("MUSTER_SERVER__BODY_LIMIT", "67108864");
        let ran = run(check.env("MUSTER_SERVER__BODY_BUDGET", budget));
        (ran.status, ran.err)
    };
    let sentence = "error: `server.body_budget` must be at least 297253820, for a list of `server.body_limit` bytes and \
                    `batch.max_users` rows\n";
    assert_eq!(check("297253819"), (Some(2), sentence.to_owned()));
    assert_eq!(check("297253820").0, Some(0));
}

/// The settings of the manual whose default is a number, as `section.key`.
fn numbers() -> Vec<String> {
    let (mut section, mut found) = ("", Vec::new());
    for line in muster::config::MANUAL.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, value)) = line.split_once(" = ")
            && value.parse::<u64>().is_ok()
        {
            found.push(format!("{section}.{key}"));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_extreme_number_is_rejected_by_check_and_serve_or_the_server_works() {
    let database = empty_database().await;
    let url = crate::support::server::url(&database);
    let mut served = Vec::new();
    let numbers = numbers();
    assert_eq!(numbers.len(), 40);
    for name in &numbers {
        let variable = format!("MUSTER_{}", name.to_uppercase().replace('.', "__"));
        for value in
            ["0", "-1", "4000000000", "9223372036854775807", "18446744073709551615", "99999999999999999999999", "1.5"]
        {
            let command = |words: &[&str]| {
                let mut command = muster();
                command.args(words).env("MUSTER_DATABASE__URL", &url).env(&variable, value);
                command
            };
            let checked = run(&mut command(&["config", "check"]));
            if checked.status == Some(0) {
                served.push(format!("{name}={value}"));
                let mut command = command(&[]);
                let server = ServerProcess::start(&mut command);
                let owner = Actor::new(server.address, None);
                assert_eq!(owner.get("/readyz").await.status, 200, "{name}={value}");
                assert_eq!(owner.post("/api/v2/users/admin_batch_create", &serde_json::json!([])).await.status, 401);
                continue;
            }
            assert_eq!((checked.status, checked.out.as_str()), (Some(2), ""), "{name}={value}");
            assert!(
                checked.err.contains(name.as_str()) || name.starts_with("passwords."),
                "{name}={value}: {}",
                checked.err
            );
            let is_due = [
                " must be from ",
                " must be a whole number from ",
                " must be less than ",
                " must be at least ",
                "[passwords] ",
            ];
            assert!(is_due.iter().any(|words| checked.err.contains(words)), "{name}={value}: {}", checked.err);
            // Another process for every value would take long; this one tests the worst value.
            if value == "18446744073709551615" {
                let refused = run(&mut command(&["serve", "--listen", "127.0.0.1:0"]));
                assert_eq!((refused.status, refused.out, refused.err), (Some(2), String::new(), checked.err));
            }
        }
    }
    assert_eq!(
        served,
        [
            "server.workers=0",
            "server.body_budget=4000000000",
            "server.connections_per_address=0",
            "server.shutdown_timeout_seconds=0",
            "server.drain_delay_seconds=0",
            "batch.max_sync_seconds=0",
            "passwords.threads=0",
            "passwords.min_strength=0",
            "passwords.refusal_floor_ms=0",
            "keys.rotation_overlap_hours=0",
            "traces.per_second=0",
        ]
    );
}

#[test]
fn messages_about_settings_name_the_expected_values() {
    let listen = "`server.listen` must be HOST:PORT such as 127.0.0.1:8080";
    for (variable, value, sentence) in [
        ("SERVER__WORKERS", "5000", "`server.workers` must be from 0 to 512"),
        ("SERVER__WORKERS", "many", "setting `server.workers` in the environment must be a whole number from 0 to 512"),
        (
            "DATABASE__CONNECTIONS",
            "99999999999",
            "setting `database.connections` in the environment must be a whole number from 1 to 10000",
        ),
        (
            "SERVER__TRUSTED_PROXIES",
            "10.0.0.0/8",
            "setting `server.trusted_proxies` in the environment must be a list such as [\"10.0.0.0/8\", \"::1\"], with \
             brackets also in the environment",
        ),
        (
            "SECRETS__SERVER_KEY",
            "1234567890",
            "setting `secrets.server_key` in the environment must be text; put quotes around a number or a \
             list, also in the environment: '\"1234\"'",
        ),
        ("PASSWORDS__MUST_CHANGE", "yes", "setting `passwords.must_change` in the environment must be true or false"),
        ("SERVER__LISTEN", "127.0.0.1:99999", listen),
        ("SERVER__LISTEN", "127.0.0.1:", listen),
        (
            "METRICS__LISTEN",
            "127.0.0.1:99999",
            "`metrics.listen` must be HOST:PORT such as 0.0.0.0:9464, `auto` or empty",
        ),
        (
            "TRACES__HEADERS",
            "no header",
            "`traces.headers` must have one header per line, such as `authorization: Bearer …`",
        ),
        (
            "NONSENSE",
            "1",
            "unknown environment variable `MUSTER_NONSENSE`; settings are MUSTER_SECTION__KEY with two underscores, \
             such as MUSTER_DATABASE__URL",
        ),
    ] {
        for words in [&["config", "check"][..], &["serve"]] {
            let mut command = muster();
            command.args(words).args(["--data-dir", "/tmp/never-made"]).env(format!("MUSTER_{variable}"), value);
            // `serve` checks the headers last, after the database.
            if variable == "TRACES__HEADERS" && words == ["serve"] {
                continue;
            }
            let ran = run(&mut command);
            assert_eq!((ran.status, ran.err), (Some(2), format!("error: {sentence}\n")), "{variable}={value}");
        }
    }
    let quoted = run(muster()
        .args(["config", "check", "--data-dir", "/tmp/never-made"])
        .env("MUSTER_SECRETS__SERVER_KEY", "\"12345678901234567890123456789012\"")
        .env("MUSTER_PORT_8080_TCP", "tcp://10.0.0.1:8080"));
    assert_eq!((quoted.status, quoted.err.as_str()), (Some(0), "the configuration is valid\n"));
}

#[test]
fn all_mistakes_in_the_settings_are_named_at_once() {
    let file = file(
        b"[server]\nlisten = 'here'\nworkers = 'two'\nport = 80\n[batch]\nmax_users = 0\n[log]\nlevel = 'loud'\n",
        ".toml",
    );
    let path = file.path().to_str().unwrap();
    let ran = run(muster()
        .args(["config", "check", "--config", path])
        .env("MUSTER_PASSWORDS__MUST_CHANGE", "yes")
        .env("MUSTER_DATABASE_URL", "postgres://h/d"));
    let err = ran.err.replace(path, "muster.toml");
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!((ran.status, lines[0]), (Some(2), "error: 5 mistakes in the settings:"), "{err}");
    for mistake in [
        "  unknown environment variable `MUSTER_DATABASE_URL`; settings are MUSTER_SECTION__KEY with two underscores, such as \
         MUSTER_DATABASE__URL",
        "  setting `passwords.must_change` in the environment must be true or false",
        "  setting `server.workers` in muster.toml must be a whole number from 0 to 512",
        "  `batch.max_users` must be from 1 to 100000",
    ] {
        assert!(lines.contains(&mistake), "{mistake}\n{err}");
    }
    assert!(
        lines.iter().any(|line| line.starts_with("  unknown setting `server.port` in muster.toml; known")),
        "{err}"
    );

    // Settings that can be read, and are wrong in other ways.
    let ran = run(muster()
        .args(["config", "check", "--data-dir", "/tmp/never-made"])
        .env("MUSTER_SERVER__LISTEN", "here")
        .env("MUSTER_LOG__LEVEL", "loud")
        .env("MUSTER_KEYS__PER_USER", "0"));
    assert!(
        ran.err.starts_with("error: 3 mistakes in the settings:\n  `server.listen` must be HOST:PORT"),
        "{}",
        ran.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_a_failed_or_changed_migration_is_not_served() {
    use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
    let database = empty_database().await;
    let url = crate::support::server::url(&database);
    assert_eq!(run(muster().arg("migrate").env("MUSTER_DATABASE__URL", &url)).status, Some(0));
    let running = ServerProcess::start_on(&database);
    let mut connection = database.connect().await.unwrap();
    let version = 20_261_125_000_002_i64;
    for (set, back, sentence) in [
        (
            "success = false",
            "success = true",
            format!(
                "migration {version} is incomplete (`success` is false in `_sqlx_migrations`); restore the backup from \
                 before the upgrade, and find out what changed the table: muster applies a migration completely or not at \
                 all"
            ),
        ),
        (
            "checksum = decode('00', 'hex') || checksum",
            "checksum = substr(checksum, 2)",
            format!(
                "migration {version} was applied in a different form than muster {} has (its checksum in \
                 `_sqlx_migrations` differs); start the version that applied it, or restore the backup from before the \
                 upgrade",
                env!("CARGO_PKG_VERSION")
            ),
        ),
    ] {
        let update = |set: &str| AssertSqlSafe(format!("update _sqlx_migrations set {set} where version = {version}"));
        connection.execute(update(set)).await.unwrap();
        for words in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["key", "list"]] {
            let ran = run(muster().args(words).env("MUSTER_DATABASE__URL", &url));
            assert_eq!((ran.status, ran.out, ran.err), (Some(2), String::new(), format!("error: {sentence}\n")));
        }
        let ran = run(muster().args(["doctor", "--no-hashing", "-o", "json"]).env("MUSTER_DATABASE__URL", &url));
        assert_eq!(ran.status, Some(1), "{}", ran.err);
        let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let found = findings.iter().find(|finding| finding["check"] == "database.migrations").unwrap();
        assert_eq!((&found["state"], &found["found"]), (&"problem".into(), &sentence.into()));
        assert_eq!(
            Actor::new(running.address, None).get("/readyz").await.status,
            200,
            "a running instance stays ready"
        );
        connection.execute(update(back)).await.unwrap();
    }
    drop(ServerProcess::start_on(&database));
}
