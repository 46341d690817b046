//! `muster key …`, while a server runs.

use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, TestApp, migrated_database};
use crate::{local, remote, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_created_used_listed_and_revoked_while_a_server_runs() {
    let app = TestApp::spawn().await;
    let ran = local(&app, &["key", "create", "--name", "ci", "--role", "owner", "--expires-in", "90d", "-o", "json"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    let key: Value = serde_json::from_str(&ran.out).unwrap();
    let (id, token) = (key["key_id"].as_str().unwrap(), key["token"].as_str().unwrap());
    assert_eq!((&key["name"], &key["permission_level"]), (&Value::from("ci"), &Value::from("owner")));
    let time = |field: &str| chrono::DateTime::parse_from_rfc3339(key[field].as_str().unwrap()).unwrap();
    assert_eq!(time("expires_at") - time("created_at"), chrono::Duration::days(90));
    let actor = Actor::new(app.address, Some(token));
    assert_eq!(actor.get("/api/v2/audit/events").await.status, 200);

    let ran = local(&app, &["key", "list"]);
    let row = ran.out.lines().find(|line| line.contains(id)).unwrap();
    assert!(row.contains("ci  ") && row.contains("owner") && row.contains("active"), "{row}");
    assert!(!ran.out.contains(token), "a token is shown only once");

    let ran = local(&app, &["key", "revoke", id]);
    assert_eq!((ran.status, ran.out.as_str(), ran.err), (Some(0), "", format!("revoked {id}\n")));
    actor.is_rejected_within_a_second().await;
    let ran = local(&app, &["key", "revoke", id]);
    assert_eq!((ran.status, ran.err), (Some(1), format!("error: API key {id} is already revoked\n")));
    let listed: Vec<Value> = serde_json::from_str(&local(&app, &["key", "list", "-o", "json"]).out).unwrap();
    assert_eq!(listed.iter().find(|key| key["key_id"] == id).unwrap()["status"], "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_token_goes_to_standard_output() {
    let app = TestApp::spawn().await;
    let ran = local(&app, &["key", "create", "--name", "reader"]);
    assert_eq!(ran.status, Some(0));
    let token = ran.out.trim_end();
    assert!(token.starts_with("amk_") && !token.contains(char::is_whitespace));
    assert!(ran.err.starts_with("key_") && ran.err.contains("(reader, collaborator) expires at "), "{}", ran.err);
    let actor = Actor::new(app.address, Some(token));
    assert_eq!(actor.get("/api/v2/userinfo/").await.status, 200);
    assert_eq!(actor.get("/api/v2/audit/events").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_keys_are_rejected_in_one_line() {
    let app = TestApp::spawn().await;
    for (arguments, status, sentence) in [
        (
            &["key", "create", "--name", ""][..],
            1,
            "error: an API key's name must be one line of 1 to 100 visible characters\n",
        ),
        (
            &["key", "create", "--name", "x", "--expires-in", "366d"],
            1,
            "error: an API key's lifetime must be positive and at most 365 days (setting `keys.max_days`)\n",
        ),
        (
            &["key", "create", "--name", "x", "--expires-in", "0d"],
            1,
            "error: an API key's lifetime must be positive and at most 365 days (setting `keys.max_days`)\n",
        ),
        (
            &["key", "revoke", "key_01k9h6m3x0e8wbz1v5n7q2r4t6"],
            1,
            "error: there is no API key key_01k9h6m3x0e8wbz1v5n7q2r4t6\n",
        ),
    ] {
        let ran = local(&app, arguments);
        assert_eq!((ran.status, ran.err.as_str()), (Some(status), sentence));
    }
    let ran = local(&app, &["key", "revoke", "usr_01k9h6m3x0e8wbz1v5n7q2r4t6"]);
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.contains("not an ID; expected `key_` and 26 characters"), "{}", ran.err);
    let ran = local(&app, &["key", "create", "--name", "x", "--expires-in", "soon"]);
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.contains("expected a number with a unit, such as 90d, 12h or 30m"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_suspended_user_is_marked_in_lists() {
    let app = TestApp::spawn().await;
    let (ada, _) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let list = || local(&app, &["key", "list", "--user", &ada, "-o", "csv"]).out;
    assert!(list().lines().nth(1).unwrap().contains(",active,"), "{}", list());
    let suspended = app.owner.post("/api/v2/users/admin_batch_suspend", &json!([{ "user": ada }])).await;
    assert_eq!(suspended.status, 200, "{}", suspended.text);
    let local_list = list();
    assert!(local_list.lines().nth(1).unwrap().contains(",active (user suspended),"), "{local_list}");
    let ran = remote(&app, &["api-key", "list", "--user-id", &ada, "-o", "csv"]);
    assert_eq!((ran.out, ran.err.as_str()), (local_list, ""));
    let listed: Vec<Value> = serde_json::from_str(&local(&app, &["key", "list", "-o", "json"]).out).unwrap();
    let of = |user: &str| listed.iter().find(|key| key["user_id"] == user).unwrap();
    assert_eq!((&of(&ada)["status"], &of(&ada)["user_status"]), (&json!("active"), &json!("suspended")));
    let others = listed.iter().filter(|key| key["user_id"] != ada.as_str());
    assert!(others.clone().count() == 1 && others.clone().all(|key| key["user_status"] == "active"), "{listed:?}");
    let none = local(&app, &["key", "create", "--name", "ci"]);
    assert_eq!(none.status, Some(0));
    let table = local(&app, &["key", "list"]).out;
    assert!(
        table.lines().any(|line| line.contains("  ci         -  ")),
        "the table marks an absent user with `-`: {table}"
    );
    let csv = local(&app, &["key", "list", "-o", "csv"]).out;
    assert!(
        csv.lines().any(|line| line.contains(",ci,,collaborator,all,active,")),
        "CSV leaves an absent user empty: {csv}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_a_user_are_bounded_on_the_command_line_too() {
    let app = TestApp::spawn().await;
    let (user_id, _) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let url = crate::support::server::url(&app.database);
    let ran = run(muster().envs([("MUSTER_DATABASE__URL", url.as_str()), ("MUSTER_KEYS__PER_USER", "1")]).args([
        "key",
        "create",
        "--name",
        "second",
        "--user",
        "ada@example.com",
    ]));
    let error = format!(
        "error: user {user_id} has 1 active API keys, and at most 1 are allowed (setting `keys.per_user`); revoke one that \
         is no longer used\n"
    );
    assert_eq!((ran.status, ran.out.as_str(), ran.err), (Some(1), "", error));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_is_shown_even_if_the_server_then_fails_to_start() {
    let database = migrated_database().await;
    let ran = run(muster()
        .env("MUSTER_DATABASE__URL", url(&database))
        // Found late, when the exporter of traces needs them.
        .envs([("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "/nonexistent")])
        .env("MUSTER_TRACES__ENDPOINT", "https://127.0.0.1:9")
        .args(["serve", "--listen", "127.0.0.1:0"]));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.contains("error: traces can't be exported: "), "{}", ran.err);
    let key = ran.out.strip_prefix("owner key: ").and_then(|rest| rest.lines().next()).expect("the first key is shown");
    let server = ServerProcess::start_on(&database);
    assert_eq!((&server.key, server.actor(key).get("/api/v2/userinfo/").await.status), (&None, 200));
}
