//! `muster user list` and `muster user get`.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::{Value, json};
use sqlx::ConnectOptions;

use crate::support::TestApp;
use crate::{app_with_many, json as parsed, muster_at, remote, run};

#[tokio::test(flavor = "multi_thread")]
async fn users_are_listed_over_all_pages() {
    let app = app_with_many(120).await;
    let ran = remote(&app, &["user", "list", "-o", "json"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    let users: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let emails: Vec<&str> = users.iter().map(|user| user["email"].as_str().unwrap()).collect();
    assert_eq!(emails[0], "administrator@muster.invalid");
    assert_eq!(emails[1..], (0..120).map(|n| format!("user{n}@example.com")).collect::<Vec<_>>());

    let ran = remote(&app, &["user", "list", "--max-items", "3", "--page-size", "2"]);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["EMAIL", "NAME", "USER", "ID", "STATUS", "PERMISSION", "CREATED"]
    );
    assert!(lines[1].starts_with("administrator@muster.invalid  Administrator  usr_"), "{}", lines[1]);
    assert!(lines[2].starts_with("user0@example.com             Ada            usr_"), "{}", lines[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_shown_or_reported_as_missing() {
    let app = app_with_many(2).await;
    let ran = remote(&app, &["user", "get", "--email", "USER1@example.com", "-o", "json"]);
    assert_eq!(ran.status, Some(0));
    let user: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(user["email"], "user1@example.com");
    let ran = remote(&app, &["user", "get", "--email", "nobody@example.com"]);
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(1), "", "error: no such user\n"));
    let ran = remote(&app, &["user", "get"]);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(2), "error: missing user; add an e-mail address, an ID or a name, or `--email`, `--name` or `--id`\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_exits_with_1_and_an_unreachable_server_with_2() {
    let app = app_with_many(1).await;
    let ran = run(muster_at(&app).env("MUSTER_TOKEN", "amk_wrong").args(["user", "list"]));
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(1), "error: malformed API key; check that the whole key was copied\n")
    );
    let ran = run(muster_at(&app).env("MUSTER_HOST", "http://127.0.0.1:9").args(["user", "list"]));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.starts_with("error: ") && ran.err.contains("http://127.0.0.1:9"), "{}", ran.err);
    let ran = run(muster_at(&app).env_remove("MUSTER_TOKEN").args(["user", "list"]));
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (
            Some(2),
            "error: no API key; run `muster login`, or set MUSTER_TOKEN or ANYSCALE_CLI_TOKEN. On the server's machine, \
             `muster key create --name NAME --role owner` creates a key\n"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_variables_are_the_fallback() {
    let app = app_with_many(1).await;
    let mut command = crate::support::server::muster();
    command.env("ANYSCALE_HOST", format!("http://{}/", app.address)).env("ANYSCALE_CLI_TOKEN", app.owner.token());
    let ran = run(command.args(["user", "get", "--name", "Ada"]));
    assert_eq!(ran.status, Some(0), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_retries_says_so() {
    let app = app_with_many(1).await;
    let mut connection = app.database.connect().await.unwrap();
    sqlx::query("begin").execute(&mut connection).await.unwrap();
    sqlx::query("lock table collaborators in access exclusive mode").execute(&mut connection).await.unwrap();
    let mut command = muster_at(&app);
    command.args(["user", "list"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut message = String::new();
    err.read_line(&mut message).unwrap();
    assert_eq!(message, "the server is not ready; retrying\n");
    sqlx::query("rollback").execute(&mut connection).await.unwrap();
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), rest.as_str()), (Some(0), ""));
    assert_eq!(String::from_utf8(ended.stdout).unwrap().lines().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_suspended_users() {
    let app = app_with_many(2).await;
    let ran = remote(&app, &["user", "suspend", "user1@example.com"]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    for arguments in
        [&["user", "list"][..], &["user", "search", "user"], &["user", "get", "--email", "user1@example.com"]]
    {
        let ran = run(muster_at(&app).args(arguments).args(["-o", "csv"]));
        assert!(ran.out.starts_with("email,name,user_id,status,permission,created\r\n"), "{}", ran.out);
        let suspended: Vec<&str> = ran.out.lines().filter(|line| line.contains(",suspended,collaborator,")).collect();
        assert!(suspended.len() == 1 && suspended[0].starts_with("user1@example.com,"), "{arguments:?}: {}", ran.out);
        assert_eq!(ran.out.matches(",active,").count(), ran.out.lines().count() - 2, "{}", ran.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_found_by_address_id_or_name_and_an_ambiguous_name_lists_the_candidates() {
    let app = TestApp::spawn().await;
    let row =
        |email: &str, lastname: &str| json!({"name": "Ada", "lastname": lastname, "email": email, "is_sso_user": true});
    let users = json!([row("a@example.com", "King"), row("b@example.com", "King"), row("c@example.com", "Byron")]);
    let created = app.owner.create(&users).await.json();
    let id = |n: usize| created["results"][n]["user_id"].as_str().unwrap().to_owned();
    for user in ["c@example.com", "C@EXAMPLE.com", &id(2), "Ada Byron"] {
        let ran = remote(&app, &["user", "get", user, "-o", "json"]);
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""), "{user}");
        assert_eq!(parsed(&ran)["user_id"], json!(id(2)));
    }
    let candidates = format!(
        "error: 2 users are named `Ada King`; use an ID instead:\n  a@example.com (Ada King, {})\n  b@example.com (Ada King, {})\n",
        id(0),
        id(1)
    );
    for arguments in [
        &["user", "get", "Ada King"][..],
        &["user", "get", "--name", "Ada King"],
        &["user", "suspend", "c@example.com", "Ada King"],
        &["user", "update", "Ada King", "--title", "x"],
        &["user", "set-permission", "Ada King", "owner"],
        &["user", "list-permissions", "--user", "Ada King"],
    ] {
        let ran = remote(&app, arguments);
        assert_eq!(
            (ran.status, ran.out.as_str(), ran.err.as_str()),
            (Some(1), "", candidates.as_str()),
            "{arguments:?}"
        );
    }
    let ran = remote(&app, &["user", "get", "Grace"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(1), "error: no such user\n"));

    let ran = remote(&app, &["group", "create", "Ops team"]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let ran = remote(&app, &["group", "add", "ops TEAM", "Ada Byron", "a@example.com"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "2 users added\n"));
    let ran = remote(&app, &["group", "members", "Ops team", "-o", "csv"]);
    assert_eq!((ran.status, ran.out.lines().count()), (Some(0), 3), "{}", ran.out);
    let ran = remote(&app, &["policy", "set", "--yes", "--owner", "OPS team"]);
    assert_eq!((ran.status, ran.out.lines().count()), (Some(0), 2), "{}", ran.err);
    let ran = remote(&app, &["policy", "set", "--yes", "--owner", "nobody"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(1), "error: no group is named `nobody`\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_shown_with_all_fields() {
    let app = app_with_many(1).await;
    let email = "user0@example.com";
    let set = ["user", "update", email, "--expires-at", "2099-12-31", "--attribute", "floor=3", "--title", "Countess"];
    assert_eq!(remote(&app, &set).status, Some(0));
    let ran = remote(&app, &["user", "get", email]);
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    for expected in [
        ["FIELD", "VALUE"],
        ["email", email],
        ["title", "Countess"],
        ["is_sso_user", "true"],
        ["status", "active"],
        ["permission_level", "collaborator"],
        ["expires_at", "2099-12-31T23:59:59Z"],
        ["attributes.floor", "3"],
    ] {
        assert!(lines.iter().any(|line| *line == expected), "{expected:?} is not in:\n{}", ran.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_in_the_file_of_errors() {
    let app = app_with_many(1).await;
    let folder = tempfile::tempdir().unwrap();
    let errors = folder.path().join("errors.csv");
    let create = ["user", "batch-create", "-f", "/nowhere/people.csv", "--errors-out", errors.to_str().unwrap()];
    let ran = remote(&app, &create);
    assert_eq!(ran.status, Some(2), "{}", ran.err);
    let written = std::fs::read_to_string(errors).unwrap();
    assert!(written.lines().nth(1).unwrap().starts_with(",,,,,invalid_file,"), "{written}");
}
