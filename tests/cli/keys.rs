//! `muster key …` and `muster audit list`, while a server runs.

use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, TestApp, migrated_database, sso};
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
async fn the_audit_log_is_listed_in_every_format() {
    let app = TestApp::spawn().await;
    local(&app, &["key", "create", "--name", "ci"]);
    let ran = local(&app, &["audit", "list"]);
    assert_eq!(ran.status, Some(0));
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["TIME", "ACTOR", "ACTION", "OUTCOME", "TARGET", "FROM"]);
    assert_eq!(lines[1][1..4], ["operator", "key.create", "success"]);
    assert_eq!(lines[4][1..4], ["operator", "organization.create", "success"]);
    let events: Vec<Value> =
        serde_json::from_str(&local(&app, &["audit", "list", "--json", "--since", "1h", "--action", "key.create"]).out)
            .unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["details"]["permission_level"], "collaborator");
    let none: Vec<Value> =
        serde_json::from_str(&local(&app, &["audit", "list", "--json", "--since", "2999-01-01T00:00:00Z"]).out)
            .unwrap();
    assert_eq!(none.len(), 0);
    for (since, count) in [("yesterday", 4), ("2999-01-01", 0)] {
        let ran = local(&app, &["audit", "list", "--json", "--since", since]);
        let events: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(events.len(), count, "{since}");
    }
    assert_eq!(local(&app, &["audit", "list", "--since", "tomorrow"]).status, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_list_says_so_and_json_and_csv_are_complete() {
    let app = TestApp::spawn().await;
    let users: Vec<Value> = (0..60).map(|n| sso(&format!("user{n}@example.com"))).collect();
    assert_eq!(app.owner.create(&json!(users)).await.status, 200);

    let ran = local(&app, &["audit", "list"]);
    let message = "only the first 50 results are shown; use `--max-items` to see more\n";
    assert_eq!((ran.status, ran.out.lines().count(), ran.err.as_str()), (Some(0), 51, message));
    let ran = local(&app, &["audit", "list", "--max-items", "1"]);
    let message = "only the first result is shown; use `--max-items` to see more\n";
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (2, message));
    let ran = local(&app, &["audit", "list", "--max-items", "64"]);
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (65, ""));

    let ran = local(&app, &["audit", "list", "-o", "json"]);
    let all: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((all.len(), ran.err.as_str()), (64, ""));
    assert!(ran.out.starts_with("[\n  {\n    \"event_id\"") && ran.out.ends_with("\n    \"details\": {}\n  }\n]\n"));
    assert_eq!(ran.out.matches("\n  },\n  {\n").count(), 63, "the format of other lists");
    let ran = local(&app, &["audit", "list", "-o", "csv"]);
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (65, ""));
    let first = ran.out.lines().nth(64).unwrap();
    assert!(first.contains(",operator,organization.create,success,org_") && first.ends_with(','), "{first}");
    for format in ["json", "csv"] {
        let ran = local(&app, &["audit", "list", "-o", format, "--max-items", "60"]);
        assert_eq!(ran.err, "only the first 60 results are shown; use `--max-items` to see more\n", "{format}");
    }
    let ran = local(&app, &["audit", "list", "-o", "json", "--action", "policy.set"]);
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(0), "[]\n", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_filtered_by_time_and_actor() {
    let app = TestApp::spawn().await;
    let (ada, actor) = app.person("ada@example.com", PermissionLevel::Owner).await;
    assert_eq!(actor.create(&json!([sso("grace@example.com")])).await.status, 200);
    let list = |more: &[&str]| -> Vec<Value> {
        let ran = local(&app, &[&["audit", "list", "-o", "json"], more].concat());
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
        serde_json::from_str(&ran.out).unwrap()
    };
    let by_user = list(&["--actor", &ada]);
    let actions: Vec<&str> = by_user.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["user.create", "user.batch_create"]);
    let key = by_user[0]["actor_id"].as_str().unwrap();
    assert!(key.starts_with("key_"), "{key}");
    assert_eq!(list(&["--actor", key]), by_user);

    let (all, time) = (list(&[]), by_user[0]["occurred_at"].as_str().unwrap());
    let (since, until) = (list(&["--since", time]), list(&["--until", time]));
    assert_eq!([since.clone(), until.clone()].concat(), all);
    assert!(!since.is_empty() && !until.is_empty() && until.iter().all(|event| event["actor_id"] != key));
    assert_eq!(list(&["--until", "1h"]).len(), 0);

    let ran = local(&app, &["audit", "list", "--actor", "ada@example.com"]);
    assert_eq!(ran.status, Some(2));
    let sentence = "must be the ID of an API key (`key_…`), a user (`usr_…`) or an invitation (`orginv_…`)";
    assert!(ran.err.contains(sentence), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_action_is_rejected_with_the_known_ones() {
    let app = TestApp::spawn().await;
    for name in ["nope", "user.created", ""] {
        let ran = local(&app, &["audit", "list", "--action", name]);
        assert_eq!((ran.status, ran.out.as_str()), (Some(2), ""), "{name}");
        assert!(ran.err.contains("user.batch_create, user.batch_dry_run, user.create, "), "{}", ran.err);
    }
    let ran = local(&app, &["audit", "list", "--action", "user.created"]);
    assert!(
        ran.err.contains("a similar value exists: 'user.create'") || ran.err.contains("'user.create'"),
        "{}",
        ran.err
    );
    let ran = run(muster().args(["completions", "bash"]));
    assert!(ran.out.contains(" user.batch_create "), "shells complete actions");
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
        .env("MUSTER_TRACES__HEADERS_FILE", "/nonexistent/headers")
        .args(["serve", "--listen", "127.0.0.1:0"]));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.contains("/nonexistent/headers"), "{}", ran.err);
    let key = ran.out.strip_prefix("owner key: ").and_then(|rest| rest.lines().next()).expect("the first key is shown");
    let server = ServerProcess::start_on(&database);
    assert_eq!((&server.key, server.actor(key).get("/api/v2/userinfo/").await.status), (&None, 200));
}
