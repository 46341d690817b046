//! `muster key …` and `muster audit list`, beside a running server.

use serde_json::Value;

use crate::support::server::{muster, url};
use crate::support::{Actor, TestApp};
use crate::{Ran, run};

fn local(app: &TestApp, arguments: &[&str]) -> Ran {
    run(muster().env("MUSTER_DATABASE__URL", url(&app.database)).args(arguments))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_used_listed_and_revoked_beside_a_running_server() {
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
    assert!(!ran.out.contains(token), "a token is shown once");

    let ran = local(&app, &["key", "revoke", id]);
    assert_eq!((ran.status, ran.out.as_str(), ran.err), (Some(0), "", format!("{id} is revoked\n")));
    actor.is_refused_within_a_second().await;
    let ran = local(&app, &["key", "revoke", id]);
    assert_eq!((ran.status, ran.err), (Some(1), format!("error: the API key {id} has been revoked before\n")));
    let listed: Vec<Value> = serde_json::from_str(&local(&app, &["key", "list", "-o", "json"]).out).unwrap();
    assert_eq!(listed.iter().find(|key| key["key_id"] == id).unwrap()["status"], "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_alone_goes_to_standard_output_and_the_words_do_not() {
    let app = TestApp::spawn().await;
    let ran = local(&app, &["key", "create", "--name", "reader"]);
    assert_eq!(ran.status, Some(0));
    let token = ran.out.trim_end();
    assert!(token.starts_with("amk_") && !token.contains(char::is_whitespace));
    assert!(ran.err.starts_with("key_") && ran.err.contains("(reader, collaborator) works until "), "{}", ran.err);
    let actor = Actor::new(app.address, Some(token));
    assert_eq!(actor.get("/api/v2/userinfo/").await.status, 200);
    assert_eq!(actor.get("/api/v2/audit/events").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_a_key_is_refused_in_a_sentence() {
    let app = TestApp::spawn().await;
    for (arguments, status, sentence) in [
        (&["key", "create", "--name", ""][..], 1, "error: a key's name has to have 1 to 100 characters, on one line\n"),
        (
            &["key", "create", "--name", "x", "--expires-in", "366d"],
            1,
            "error: a key has to live for some time, and for 365 days at most (setting `keys.max_days`)\n",
        ),
        (
            &["key", "create", "--name", "x", "--expires-in", "0d"],
            1,
            "error: a key has to live for some time, and for 365 days at most (setting `keys.max_days`)\n",
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
    assert!(ran.err.contains("not an id: it has to be `key_` and 26 characters"), "{}", ran.err);
    let ran = local(&app, &["key", "create", "--name", "x", "--expires-in", "soon"]);
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.contains("has to be a number with a unit, such as 90d, 12h or 30m"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_listed_for_people_and_programs() {
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
    assert_eq!(local(&app, &["audit", "list", "--since", "yesterday"]).status, Some(2));
}
