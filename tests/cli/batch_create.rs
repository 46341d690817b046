//! `muster user batch-create`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};

use muster::caller::PermissionLevel;
use serde_json::Value;
use sha2::Digest as _;
use sqlx::ConnectOptions;

use crate::support::server::{self, ServerProcess};
use crate::support::{TestApp, db_counts, file, migrated_database, sso};
use crate::{Ran, muster_at, remote, run, with_file};

const EXAMPLE: &str = "\
create_users:
  - name: name1
    email: test1@anyscale.com
    password: ''
    is_sso_user: false
    lastname: lastname1
    title: title1
  - name: name2
    email: test2@anyscale.com
    password: ''
    is_sso_user: false
    lastname: lastname2
    title: title2
";

fn create(app: &TestApp, content: &str, arguments: &[&str]) -> Ran {
    with_file(app, "batch-create", content.as_bytes(), ".yaml", arguments)
}

/// Replaces times such as `+0.5s` by a placeholder.
fn without_times(text: &str) -> String {
    let mut parts = text.split("(muster +");
    let mut result = parts.next().unwrap().to_owned();
    for part in parts {
        let (time, rest) = part.split_once("s) ").unwrap();
        assert!(time.parse::<f32>().is_ok(), "{time}");
        result.push_str("(muster +_s) ");
        result.push_str(rest);
    }
    result
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_is_that_of_the_vendors_documentation() {
    let app = TestApp::spawn().await;
    let ran = create(&app, EXAMPLE, &[]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), ""));
    assert_eq!(without_times(&ran.err), "(muster +_s) Creating users...\n(muster +_s) 2 users created.\n");
    assert_eq!(app.db_counts().await, [2, 2, 0, 1, 3]);
    assert_eq!(app.db_value::<String>("select source from batches").await, "muster_client");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_created_users_are_printed_on_request() {
    let app = TestApp::spawn().await;
    let ran = create(&app, EXAMPLE, &["-o", "json"]);
    let users: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(users.len(), 2);
    assert_eq!(users[1]["email"], "test2@anyscale.com");
    assert!(users[1]["user_id"].as_str().unwrap().starts_with("usr_"));
    let ran = create(&app, &EXAMPLE.replace("anyscale", "example"), &["-o", "table"]);
    assert!(ran.out.lines().nth(2).unwrap().starts_with("test2@example.com  name2 lastname2  usr_"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_finding_points_into_the_file() {
    let app = TestApp::spawn().await;
    assert_eq!(app.owner.create(&serde_json::json!([sso("taken@example.com")])).await.status, 200);
    let content = "\
create_users:
  - name: 17
    email: fine@example.com
    password: ''
    is_sso_user: false
  - name: name2
    email: taken@example.com
    password: hunter2hunter2
    is_sso_user: true
  - {name: name3, email: fine@example.com, password: short, is_sso_user: false, nickname: x}
";
    let ran = create(&app, content, &[]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
    let err = without_times(&ran.err);
    for place in
        ["--> users:2:11", "--> users:7:12", "--> users:8:15", "users:10:26", "--> users:10:54", "--> users:10:81"]
    {
        assert!(err.contains(place), "no {place} in:\n{err}");
    }
    for words in
        ["must be text, not a number", "already exists", "the same address as line 3", "is unknown; the known fields"]
    {
        assert!(err.contains(words), "no {words} in:\n{err}");
    }
    assert!(err.ends_with("\n3 of 3 users can't be created; nothing was created\n"), "{err}");
    assert!(!err.contains("hunter2") && !err.contains("short,"), "the output contains a password:\n{err}");
    assert_eq!(app.db_counts().await[0], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_points_to_its_row() {
    let app = TestApp::spawn().await;
    let ran = create(&app, "create_users:\n  - name: a\n    email: a@example.com\n    password: ''\n", &[]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.err.contains("--> users:2:5") && ran.err.contains("is_sso_user: is missing"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_file_is_rejected_before_anything_is_sent() {
    let app = TestApp::spawn().await;
    for (content, words) in [
        ("create_users:\n\t- name: a\n", "YAML can't be indented with tabs; use spaces"),
        ("users:\n  - name: a\n", "create_users"),
        ("- name: a\n", "create_users"),
        ("create_users: 5\n", "list"),
        ("create_users: [\n", "--> users:"),
    ] {
        let ran = create(&app, content, &[]);
        assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""), "{content}");
        assert!(ran.err.contains(words) && ran.err.ends_with("nothing was created\n"), "{content}: {}", ran.err);
    }
    let ran = remote(&app, &["user", "batch-create", "-f", "/nowhere/users.yaml"]);
    assert_eq!(ran.status, Some(2), "{}", ran.err);
    assert!(ran.err.contains("/nowhere/users.yaml"), "{}", ran.err);
    assert_eq!(app.db_counts().await, [0, 0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_and_an_empty_list_are_rejected() {
    let app = TestApp::spawn().await;
    let ran = create(&app, "create_users: []\n", &[]);
    assert_eq!(ran.status, Some(1));
    assert!(
        ran.err.ends_with("error: the list is empty; there are no users to create; nothing was created\n"),
        "{}",
        ran.err
    );
    assert_eq!(create(&app, "", &[]).status, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_users_were_created_by_an_earlier_run_ends_with_success_and_prints_them() {
    let app = TestApp::spawn().await;
    let first = create(&app, EXAMPLE, &["-o", "csv"]);
    assert_eq!(first.status, Some(0), "{}", first.err);
    let second = create(&app, EXAMPLE, &["-o", "csv"]);
    assert_eq!((second.status, &second.out), (Some(0), &first.out), "{}", second.err);
    assert_eq!(without_times(&second.err), format!("(muster +_s) Creating users...\n{}", earlier_run(&app, 2).await));
    assert_eq!(app.db_counts().await, [2, 2, 0, 1, 3]);
    // The same when the server has forgotten the key.
    app.db_execute("update batches set idempotency_key = null, fingerprint = null, fingerprint_key = null, key_expires_at = null, response = null").await;
    let third = create(&app, EXAMPLE, &["-o", "csv"]);
    assert_eq!((third.status, &third.out), (Some(0), &first.out), "{}", third.err);
    // Other users with the same addresses are conflicts.
    let changed = create(&app, &EXAMPLE.replace("title2", "title3"), &[]);
    assert_eq!(changed.status, Some(1));
    assert!(changed.err.ends_with("2 of 2 users can't be created; nothing was created\n"), "{}", changed.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn resending_a_changed_file_reports_the_users_that_exist() {
    let app = TestApp::spawn().await;
    assert_eq!(create(&app, EXAMPLE, &[]).status, Some(0));
    let ran = create(&app, &EXAMPLE.replace("lastname2", "lastname3"), &[]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.err.contains("--> users:3:12") && ran.err.contains("::: users:9:12"), "{}", ran.err);
    assert!(ran.err.ends_with("2 of 2 users can't be created; nothing was created\n"), "{}", ran.err);
}

/// A file of so many users with passwords.
fn many(count: usize) -> String {
    let mut content = "create_users:\n".to_owned();
    for n in 0..count {
        content.push_str(&format!(
            "  - {{name: user{n}, email: user{n}@example.com, password: tidal-anchor-Plum-{n}, is_sso_user: false}}\n"
        ));
    }
    content
}

/// What a command says about the only batch, which an earlier run has created.
async fn earlier_run(app: &TestApp, users: u64) -> String {
    let batch = &app.owner.get("/api/v2/batches").await.json()["results"][0];
    let id = batch["batch_id"].as_str().unwrap();
    let at: String = app
        .db_value("select to_char(min(created_at) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') from users where batch_id is not null")
        .await;
    format!("(muster +_s) {users} users created by an earlier run, at {at} as batch {id}; nothing is left to do.\n")
}

/// A server that takes more than two seconds for 200 passwords.
async fn slow_app() -> TestApp {
    TestApp::spawn_with(|config| {
        config.passwords.threads = 1;
        config.passwords.iterations = 4;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_the_users_and_its_plan_creates_exactly_them() {
    let app = TestApp::spawn().await;
    let file = file(EXAMPLE.as_bytes(), ".yaml");
    let path = file.path().to_str().unwrap();
    let create = |arguments: &[&str]| run(muster_at(&app).args(["user", "batch-create", "-f", path]).args(arguments));
    let dry = create(&["--dry-run"]);
    assert_eq!(dry.status, Some(0), "{}", dry.err);
    assert_eq!(
        dry.out,
        "EMAIL               NAME             SSO  PERMISSION    TITLE\n\
         test1@anyscale.com  name1 lastname1  no   collaborator  title1\n\
         test2@anyscale.com  name2 lastname2  no   collaborator  title2\n"
    );
    let (words, plan) = dry.err.trim_end().rsplit_once(" --plan ").unwrap();
    assert_eq!(
        words,
        format!(
            "2 users: 2 without a password\n1 domain: anyscale.com (2)\n\
             dry run: 2 users would be created; nothing was written\n\
             to create exactly these users: muster user batch-create -f {path}"
        )
    );
    assert_eq!(app.db_counts().await[..4], [0, 0, 0, 0]);
    let json: Vec<Value> = serde_json::from_str(&create(&["--dry-run", "-o", "json"]).out).unwrap();
    assert_eq!(json[1]["permission_level"], "collaborator");

    let ran = create(&["--plan", plan]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), ""), "{}", ran.err);
    let again = create(&["--plan", plan]);
    assert_eq!(again.status, Some(0), "{}", again.err);
    assert!(again.err.ends_with("; nothing is left to do.\n"), "{}", again.err);
    assert_eq!(app.db_counts().await[0], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outdated_plan_is_rejected_with_the_reason() {
    let app = TestApp::spawn().await;
    let dry = create(&app, EXAMPLE, &["--dry-run"]);
    let plan = dry.err.trim_end().rsplit_once(" --plan ").unwrap().1.to_owned();
    let other = create(&app, &EXAMPLE.replace("name2", "name3"), &["--plan", &plan]);
    assert_eq!(other.status, Some(1));
    assert!(
        other
            .err
            .ends_with("error: the list differs from the planned one; nothing was written, so make a new dry run\n"),
        "{}",
        other.err
    );

    assert_eq!(app.owner.create(&serde_json::json!([sso("test2@anyscale.com")])).await.status, 200);
    let late = create(&app, EXAMPLE, &["--plan", &plan]);
    assert_eq!(late.status, Some(1));
    assert!(late.err.contains("error[email_taken]: email: already exists\n --> users:9:12\n"), "{}", late.err);
    assert!(
        late.err.ends_with(
            "1 of 2 users can't be created; nothing was created\n\
             the plan no longer applies; fix the errors and repeat the dry run\n"
        ),
        "{}",
        late.err
    );
    assert_eq!(app.db_counts().await[0], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_idempotency_key_creates_no_user_twice() {
    let app = TestApp::spawn().await;
    let key = ["--idempotency-key", "import-1", "-o", "csv"];
    let first = create(&app, EXAMPLE, &key);
    assert_eq!(first.status, Some(0), "{}", first.err);
    let lines: Vec<&str> = first.out.split("\r\n").collect();
    assert_eq!((lines.len(), lines[0], lines[3]), (4, "email,name,user_id,sso,created", ""));
    assert!(lines[2].starts_with("test2@anyscale.com,name2 lastname2,usr_"), "{}", lines[2]);
    let second = create(&app, EXAMPLE, &key);
    assert_eq!((second.status, &second.out), (Some(0), &first.out));
    assert_eq!(without_times(&second.err), format!("(muster +_s) Creating users...\n{}", earlier_run(&app, 2).await));
    assert_eq!(app.db_counts().await, [2, 2, 0, 1, 3]);
    let other = create(&app, &EXAMPLE.replace("name2", "name3"), &key);
    assert_eq!(other.status, Some(1), "{}", other.err);
    assert!(other.err.contains("error: ") && other.err.ends_with("; nothing was created\n"), "{}", other.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_response_is_retried_with_the_same_key() {
    let app = TestApp::spawn().await;
    let proxy = losing_answers(app.address, 2);
    let file = file(EXAMPLE.as_bytes(), ".yaml");
    let path = file.path().to_str().unwrap();
    let ran = run(muster_at(&app).env("MUSTER_HOST", proxy).args(["user", "batch-create", "-f", path]));
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert!(ran.err.ends_with(" 2 users created.\n"), "{}", ran.err);
    assert_eq!(app.db_counts().await, [2, 2, 0, 1, 3]);
}

/// A proxy in front of the server; it closes the first `count` connections when their responses arrive. Returns its URL.
fn losing_answers(server: std::net::SocketAddr, count: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let mut client = client.unwrap();
            let mut upstream = TcpStream::connect(server).unwrap();
            let (mut from_client, mut to_server) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
            let mut answer = [0; 4096];
            while let Ok(length @ 1..) = upstream.read(&mut answer) {
                if number < count {
                    break;
                }
                client.write_all(&answer[..length]).unwrap();
            }
            let _ = client.shutdown(std::net::Shutdown::Both);
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_batch_continues_on_the_server_and_its_progress_is_shown() {
    let app = slow_app().await;
    let ran = create(&app, &many(200), &["-o", "json"]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let users: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((users.len(), users[199]["email"].as_str()), (200, Some("user199@example.com")));
    let err = without_times(&ran.err);
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(
        (lines.len(), lines[0], lines[2]),
        (3, "(muster +_s) Creating users...", "(muster +_s) 200 users created.")
    );
    let (start, left) = lines[1].split_once(": about ").unwrap();
    assert!(
        start.starts_with("(muster +_s) hashing the passwords of batch bat_") && left.ends_with(" s left"),
        "{}",
        lines[1]
    );
    assert_eq!(app.db_counts().await[..4], [200, 200, 200, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_command_says_that_the_batch_continues() {
    let (app, _held) = TestApp::spawn_holding_hashes().await;
    let file = file(many(400).as_bytes(), ".yaml");
    let (mut child, output, mut err) = followed(&mut muster_at(&app), file.path().to_str().unwrap());
    let id = output.split_whitespace().find(|word| word.starts_with("bat_")).unwrap().trim_end_matches(':');
    interrupt(&mut child);
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    assert_eq!(
        rest,
        format!(
            "error: interrupted; the batch continues on the server: `muster batch wait {id}` waits for it, then \
             `muster batch results {id}` prints its users; `muster batch cancel {id}` cancels it\n"
        )
    );
    let shown = remote(&app, &["batch", "show", id]);
    assert!(shown.out.contains("running"), "{}", shown.out);
    let mut waiting = muster_at(&app);
    let mut waiting = waiting.args(["batch", "wait", id]).stderr(Stdio::piped()).spawn().unwrap();
    let mut err = BufReader::new(waiting.stderr.take().unwrap());
    let mut said = String::new();
    err.read_line(&mut said).unwrap();
    assert!(said.contains(&format!("hashing the passwords of batch {id}")), "{said}");
    interrupt(&mut waiting);
    let mut again = String::new();
    err.read_to_string(&mut again).unwrap();
    assert_eq!(again, rest);
    let cancelled = remote(&app, &["batch", "cancel", id]);
    assert_eq!(
        (cancelled.status, cancelled.out.as_str(), cancelled.err),
        (Some(0), "", format!("{id} is cancelled; no user was created\n"))
    );
    assert_eq!(app.db_counts().await[0], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_run_again_after_an_interruption_follows_the_batch_that_is_running() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    let file = file(many(40).as_bytes(), ".yaml");
    let path = file.path().to_str().unwrap();
    let (mut first, ..) = followed(&mut muster_at(&app), path);
    interrupt(&mut first);
    let mut command = muster_at(&app);
    let (mut second, _, mut err) = followed(command.stdout(Stdio::piped()), path);
    drop(held);
    let (mut out, mut rest) = (String::new(), String::new());
    err.read_to_string(&mut rest).unwrap();
    second.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!((second.wait().unwrap().code(), out.as_str()), (Some(0), ""), "{rest}");
    assert_eq!(without_times(&rest), "(muster +_s) 40 users created.\n");
    assert_eq!(app.db_counts().await[..4], [40, 40, 40, 1]);
    let third = remote(&app, &["user", "batch-create", "-f", path]);
    assert_eq!(
        (third.status, without_times(&third.err)),
        (Some(0), format!("(muster +_s) Creating users...\n{}", earlier_run(&app, 40).await))
    );
    assert_eq!(app.db_counts().await[..4], [40, 40, 40, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_key_has_imported_is_recognized_also_with_local_hashes_and_again_sends_it_anyway() {
    let app = TestApp::spawn().await;
    let file = file(many(2).as_bytes(), ".yaml");
    let path = file.path().to_str().unwrap();
    let create =
        |command: &mut Command, more: &[&str]| run(command.args(["user", "batch-create", "-f", path]).args(more));
    let first = create(&mut muster_at(&app), &["-o", "csv"]);
    assert_eq!(first.status, Some(0), "{}", first.err);
    let earlier = earlier_run(&app, 2).await;
    let other = app.actor(PermissionLevel::Owner).await;
    for (more, started) in [(&[][..], "(muster +_s) Creating users...\n"), (&["--hash-locally"], "")] {
        let ran = create(muster_at(&app).env("MUSTER_TOKEN", other.token()), &[more, &["-o", "csv"]].concat());
        assert_eq!((ran.status, &ran.out), (Some(0), &first.out), "{}", ran.err);
        assert_eq!(without_times(&ran.err), format!("{started}{earlier}"));
    }
    let started = "(muster +_s) Creating users...\n";
    let again = create(&mut muster_at(&app), &["--again"]);
    assert_eq!(again.status, Some(1), "{}", again.err);
    assert!(again.err.ends_with("2 of 2 users can't be created; nothing was created\n"), "{}", again.err);

    assert_eq!(app.db_counts().await[3], 1);
    let id = app.owner.get("/api/v2/batches").await.json()["results"][0]["batch_id"].as_str().unwrap().to_owned();
    assert_eq!(remote(&app, &["batch", "undo", &id, "--yes"]).status, Some(0));
    let undone = create(&mut muster_at(&app), &[]);
    assert_eq!(undone.status, Some(1), "{}", undone.err);
    assert!(
        undone.err.ends_with(&format!(
            "hint: the idempotency key is derived from the users; `--again` uses a new one\nerror: batch {id} of this \
             Idempotency-Key is undone; use a new key to create it again; nothing was created\n"
        )),
        "{}",
        undone.err
    );
    let again = create(&mut muster_at(&app), &["--again"]);
    assert!(again.status == Some(0) && again.err.ends_with(" 2 users created.\n"), "{}", again.err);
    let plain = create(&mut muster_at(&app), &["-o", "json"]);
    assert_eq!(
        (plain.status, without_times(&plain.err)),
        (Some(0), format!("{started}{}", earlier_run(&app, 2).await))
    );
    assert_eq!(crate::json(&plain).as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_idempotency_key_does_not_give_the_passwords_away() {
    let app = TestApp::spawn().await;
    let ran = create(&app, &many(2), &[]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let key: String = app.db_value("select idempotency_key from batches").await;
    let rows = |n: u8| {
        format!(
            r#"{{"name":"user{n}","email":"user{n}@example.com","password":"tidal-anchor-Plum-{n}","is_sso_user":false}}"#
        )
    };
    let digest = hex::encode(sha2::Sha256::digest(format!("[{},{}]", rows(0), rows(1))));
    assert!(key.len() == 64 && key != digest, "{key}");
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_point_into_the_file_and_strict_refuses_them() {
    let app = TestApp::spawn().await;
    let mut content = "name,email,is_sso_user,title\n".to_owned();
    (0..6).for_each(|n| content.push_str(&format!("Ada,a{n}@example.com,true,\n")));
    content.push_str("Grace,grace@exmaple.com,true,=1+1\n");
    let create = |more: &[&str]| with_file(&app, "batch-create", content.as_bytes(), ".csv", more);
    let domain = "warning[domain_misspelled]: email: the domain `exmaple.com` is one edit away from `example.com`, the domain \
                  of 6 users of the list\n --> users:8:7\n";
    let formula =
        "warning[formula]: title: starts with `=`: a spreadsheet would take the text for a formula\n --> users:8:30\n";
    let dry = create(&["--dry-run"]);
    assert_eq!((dry.status, dry.out.lines().count()), (Some(0), 8), "{}", dry.err);
    assert!(
        dry.err.starts_with("7 users: 7 with SSO\n2 domains: example.com (6), exmaple.com (1)\n2 warnings\n"),
        "{}",
        dry.err
    );
    assert!(dry.err.contains(domain) && dry.err.contains(formula), "{}", dry.err);
    for more in [&["--strict"][..], &["--strict", "--dry-run"]] {
        let strict = create(more);
        assert_eq!(strict.status, Some(1), "{}", strict.err);
        assert!(strict.err.contains(&domain.replace("warning[", "error[")), "{}", strict.err);
        let last = "\n1 of 7 users can't be created; nothing was created\nwith `--strict`, warnings are errors\n";
        assert!(strict.err.ends_with(last), "{}", strict.err);
    }
    assert_eq!(app.db_counts().await[0], 0);
    let ran = create(&[]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert!(ran.err.contains(domain) && ran.err.contains(formula), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_interrupted_before_the_response_says_how_to_find_the_outcome() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    let file = file(many(100).as_bytes(), ".yaml");
    let path = file.path().to_str().unwrap();
    let mut command = muster_at(&app);
    command.args(["user", "batch-create", "-f", path]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    while app.db_value::<i64>("select count(*) from batches").await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    interrupt(&mut child);
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    let words = format!(
        "error: interrupted before the server responded; the outcome is unknown: repeat the same command, which creates no \
         user twice; `muster batch list -f {path}` shows its batch\n"
    );
    assert!(err.ends_with(&words), "{err}");
    drop(held);
    let ran = remote(&app, &["user", "batch-create", "-f", path]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert!(ran.err.ends_with(" 100 users created.\n"), "{}", ran.err);
    assert_eq!(app.db_counts().await[..4], [100, 100, 100, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn locally_hashed_passwords_must_be_changed_at_the_first_sign_in() {
    let app = TestApp::spawn().await;
    let ran = create(&app, &many(3), &["--hash-locally"]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), ""), "{}", ran.err);
    assert_eq!(
        without_times(&ran.err),
        "(muster +_s) Hashing 3 passwords on this machine...\n(muster +_s) Creating users...\n\
         (muster +_s) 3 users created.\n"
    );
    let due = "select count(*) from passwords where must_change and phc like '$argon2id$v=19$m=19456,t=2,p=1$%'";
    assert_eq!(app.db_value::<i64>(due).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_with_local_hashes_hashes_nothing_and_says_why_there_is_no_plan() {
    let app = TestApp::spawn().await;
    let ran = create(&app, &many(400), &["--hash-locally", "--dry-run"]);
    assert_eq!((ran.status, ran.out.lines().count()), (Some(0), 401), "{}", ran.err);
    assert_eq!(
        ran.err,
        "400 users: 400 with a password hash\n1 domain: example.com (400)\n\
         dry run: 400 users would be created; nothing was written\n\
         no plan is available with `--hash-locally`, because each run creates new hashes\n"
    );
    let ran = create(&app, &many(1), &["--hash-locally"]);
    assert!(
        ran.err.starts_with("(muster +") && ran.err.contains(" Hashing 1 password on this machine...\n"),
        "{}",
        ran.err
    );
    let help = remote(&app, &["user", "batch-create", "--help"]).out;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("Each run creates new hashes, so --plan and --idempotency-key can't be used"), "{help}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_violates_the_policy_is_reported_before_anything_is_sent() {
    let app = TestApp::spawn().await;
    let content = many(2).replace("tidal-anchor-Plum-1", "hunter2");
    let ran = create(&app, &content, &["--hash-locally"]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
    assert!(
        ran.err.starts_with("error[password_too_short]: password: shorter than 8 characters\n --> users:3:55\n"),
        "{}",
        ran.err
    );
    assert!(ran.err.ends_with("\n1 of 2 users can't be created; nothing was created\n"), "{}", ran.err);
    assert!(!ran.err.contains("hunter2"), "the output contains a password:\n{}", ran.err);
    assert_eq!(app.db_value::<i64>("select count(*) from audit_events where action = 'user.batch_create'").await, 0);
    let both = create(&app, EXAMPLE, &["--hash-locally", "--plan", "plan1_x"]);
    assert_eq!(both.status, Some(2), "{}", both.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_hash_is_a_warning_that_points_into_the_file() {
    let app = TestApp::spawn().await;
    let hash = "$2b$04$abcdefghijklmnopqrstuuOZ7lkQ1gzh0g6XAXcVXGDI0jRtM9jOq";
    let content = format!(
        "create_users:\n  - name: a\n    email: a@example.com\n    is_sso_user: false\n    password_hash: {hash}\n"
    );
    for arguments in [&["--dry-run"][..], &[]] {
        let ran = create(&app, &content, arguments);
        assert_eq!(ran.status, Some(0), "{}", ran.err);
        assert!(ran.err.contains("warning[weak_hash]: password_hash: "), "{}", ran.err);
        assert!(ran.err.contains("\n --> users:5:20\n"), "{}", ran.err);
        assert!(!ran.err.contains("$2b$") && !ran.err.contains("error"), "{}", ran.err);
    }
    assert_eq!(app.db_counts().await[0], 1);
}

/// A server process whose leases expire two seconds after it exits, and that needs seconds to hash a hundred passwords.
fn restartable(database: &sqlx::postgres::PgConnectOptions) -> Command {
    let mut command = server::muster();
    command.env("MUSTER_DATABASE__URL", server::url(database));
    for (name, value) in [
        ("BATCH__LEASE_SECONDS", "2"),
        ("SECRETS__SERVER_KEY", "thirty-two characters, or a few more"),
        ("PASSWORDS__THREADS", "1"),
        ("PASSWORDS__ITERATIONS", "4"),
        ("SERVER__SHUTDOWN_TIMEOUT_SECONDS", "1"),
    ] {
        command.env(format!("MUSTER_{name}"), value);
    }
    command
}

/// Starts `muster user batch-create` on a file and waits until the server hashes; returns the process, its output up to
/// then, and the rest.
fn followed(command: &mut Command, path: &str) -> (Child, String, BufReader<ChildStderr>) {
    let mut child = command.args(["user", "batch-create", "-f", path]).stderr(Stdio::piped()).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut output = String::new();
    while !output.contains("hashing the passwords of batch ") {
        assert_ne!(err.read_line(&mut output).unwrap(), 0, "it ended too soon");
    }
    (child, output, err)
}

fn interrupt(child: &mut Child) {
    let sent = Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

/// `muster` for a server in a process of its own.
fn muster_for(server: &ServerProcess) -> Command {
    let mut command = server::muster();
    command.env("MUSTER_HOST", format!("http://{}", server.address)).env("MUSTER_TOKEN", server.key.as_ref().unwrap());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_resubmits_a_batch_after_the_server_was_killed() {
    let database = migrated_database().await;
    let mut first = ServerProcess::start(&mut restartable(&database));
    let file = file(many(200).as_bytes(), ".yaml");
    let (mut child, _, mut err) = followed(&mut muster_for(&first), file.path().to_str().unwrap());
    first.signal("-KILL");
    first.wait();
    // Longer than the client tries to reach a server that has never responded.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let second = ServerProcess::start_at(&first.address.to_string(), &mut restartable(&database));
    assert_eq!(second.address, first.address);
    let status = child.wait().unwrap();
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    assert_eq!(status.code(), Some(0), "{rest}");
    let rest = without_times(&rest);
    let lines: Vec<&str> = rest.lines().filter(|line| !line.contains("hashing the passwords of batch ")).collect();
    assert_eq!(
        lines,
        [
            "(muster +_s) no response from the server; retrying",
            "(muster +_s) the server exited before the users were created; sending the users again",
            "(muster +_s) 200 users created.",
        ]
    );
    let mut connection = database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await[..3], [200, 200, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_resubmits_a_batch_after_the_server_was_restarted() {
    let database = migrated_database().await;
    let mut first = ServerProcess::start(&mut restartable(&database));
    let file = file(many(400).as_bytes(), ".yaml");
    let (mut child, _, mut err) = followed(&mut muster_for(&first), file.path().to_str().unwrap());
    first.signal("-TERM");
    first.wait();
    let second = ServerProcess::start_at(
        &first.address.to_string(),
        restartable(&database).env("MUSTER_PASSWORDS__THREADS", "2").env("MUSTER_PASSWORDS__ITERATIONS", "2"),
    );
    let status = child.wait().unwrap();
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    assert_eq!(status.code(), Some(0), "{rest}");
    assert!(rest.contains("; sending the users again\n"), "{rest}");
    assert!(rest.ends_with("s) 400 users created.\n"), "{rest}");
    drop(second);
    let mut connection = database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await[..3], [400, 400, 400]);
}
