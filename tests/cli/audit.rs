//! `muster audit list`: through a server, and directly in the database.

use chrono::{TimeDelta, Utc};
use muster::caller::PermissionLevel;
use muster::secret::Secret;
use serde_json::{Value, json};

use crate::support::gate::eventually;
use crate::support::server::{muster, url};
use crate::support::{Actor, TestApp, file, sso};
use crate::{Ran, local, muster_at, remote, run};

/// Runs `muster audit list -o json` with an API key.
fn list(app: &TestApp, token: &str, filter: &[&str]) -> Vec<Value> {
    let mut command = muster_at(app);
    let ran: Ran = run(command.env("MUSTER_TOKEN", token).args(["audit", "list", "-o", "json"]).args(filter));
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""), "{filter:?}");
    serde_json::from_str(&ran.out).unwrap()
}

/// The actions of events, newest first.
fn actions(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["action"].as_str().unwrap()).collect()
}

/// A key of an auditor: an owner's key that can only read the log.
async fn auditor(app: &TestApp, owner: &Actor) -> String {
    let key = owner.post("/api/v2/api_keys", &json!({"name": "auditor", "scopes": ["audit:read"]})).await;
    assert_eq!(key.status, 200, "{} {}", key.text, app.address);
    key.json()["result"]["token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_with_a_key_finds_out_who_did_what() {
    let app = TestApp::spawn().await;
    let (grace_id, grace) = app.person("grace@example.com", PermissionLevel::Owner).await;
    let token = auditor(&app, &app.owner).await;
    let people = file(b"name,email,is_sso_user\r\nAda,Ada@Example.com,true\r\nBen,ben@example.com,true\r\n", ".csv");
    let path = people.path().to_str().unwrap();
    let ran = run(muster_at(&app).env("MUSTER_TOKEN", grace.token()).args([
        "user",
        "batch-create",
        "-f",
        path,
        "-o",
        "json",
    ]));
    assert_eq!(ran.status, Some(0), "{}", ran.err);

    // Who created ada@example.com?
    let created = list(&app, &token, &["--target", "ada@example.com"]);
    assert_eq!(actions(&created), ["user.create"]);
    let ada_id = created[0]["target_id"].as_str().unwrap().to_owned();
    assert_eq!(list(&app, &token, &["--actor", "grace@example.com", "--target", &ada_id]), created);
    assert_eq!(list(&app, &token, &["--actor", &grace_id, "--target", "ADA@example.com"]), created);

    // From which file, and in which batch?
    let name = people.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(created[0]["file_name"], name);
    let batch_id = created[0]["batch_id"].as_str().unwrap();
    let batch = list(&app, &token, &["--batch", batch_id]);
    assert_eq!(actions(&batch), ["user.create", "user.create", "user.batch_create"]);
    assert_eq!(
        (&batch[2]["file_name"], &batch[2]["target_id"], &batch[2]["details"]),
        (&json!(name), &json!(batch_id), &json!({"users": 2}))
    );
    assert_eq!(list(&app, &token, &["--target", batch_id]), batch[2..]);

    // Who made Ben an owner?
    let ran = run(muster_at(&app).env("MUSTER_TOKEN", grace.token()).args([
        "user",
        "set-permission",
        "ben@example.com",
        "owner",
    ]));
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let made = list(&app, &token, &["--target", "ben@example.com", "--action", "collaborator.update"]);
    assert_eq!((made.len(), &made[0]["details"]), (1, &json!({"from": "collaborator", "to": "owner"})));
    let key_id = made[0]["actor_id"].as_str().unwrap().to_owned();

    // What did this key do?
    let of_key = list(&app, &token, &["--actor", &key_id, "--since", "yesterday"]);
    assert_eq!(actions(&of_key), ["collaborator.update", "user.create", "user.create", "user.batch_create"]);
    assert_eq!(list(&app, &token, &["--actor", "test", "--since", "24h"]), of_key);
    assert_eq!(
        list(&app, &token, &["--actor", &key_id, "--since", "yesterday", "--until", "today"]),
        Vec::<Value>::new()
    );

    // What else did this request do?
    let request_id = created[0]["request_id"].as_str().unwrap();
    assert_eq!(list(&app, &token, &["--request", request_id]), batch);
    assert_eq!(list(&app, &token, &["--request", request_id, "--target", &ada_id]), created);

    // Who deleted ada@example.com?
    let ran =
        run(muster_at(&app).env("MUSTER_TOKEN", grace.token()).args(["user", "delete", "ada@example.com", "--yes"]));
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let all = list(&app, &token, &["--target", "ada@example.com"]);
    assert_eq!(actions(&all), ["user.delete", "user.create"]);
    assert_eq!((&all[0]["actor_id"], &all[0]["target_id"]), (&json!(key_id), &json!(ada_id)));
    assert_eq!(all[1], created[0]);
    assert_eq!(list(&app, &token, &["--target", "nobody@example.com"]), Vec::<Value>::new());
    let stored = "select string_agg(to_jsonb(a)::text, ' ') from audit_events a";
    assert!(!app.db_value::<String>(stored).await.contains("example.com"), "no address is stored");

    let ran = run(muster_at(&app).env("MUSTER_TOKEN", &token).args(["audit", "list", "--target", "ada@example.com"]));
    let rows: Vec<&str> = ran.out.lines().collect();
    assert_eq!(rows[0].split_whitespace().last(), Some("DETAILS"));
    assert!(rows[2].ends_with(&format!("127.0.0.1  batch={batch_id} file={name}")), "{}", rows[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_finds_all_of_its_accounts_and_invitations() {
    let app = TestApp::spawn().await;
    let token = auditor(&app, &app.owner).await;
    let of = |address: &str| -> Vec<(String, Value)> {
        let events = list(&app, &token, &["--target", address]);
        events.iter().map(|event| (event["action"].as_str().unwrap().to_owned(), event["target_id"].clone())).collect()
    };
    let cli = |arguments: &[&str]| {
        let ran = remote(&app, arguments);
        assert_eq!(ran.status, Some(0), "{}", ran.err);
    };
    cli(&["invitation", "create", "ada@example.com"]);
    let invited = of("Ada@example.com");
    assert_eq!((invited.len(), invited[0].0.as_str()), (1, "invitation.create"), "{invited:?}");

    // Two people have had the address, one after the other.
    for email in ["grace@example.com", "ben@example.com"] {
        assert_eq!(app.owner.create(&json!([sso(email)])).await.status, 200);
    }
    cli(&["user", "update", "grace@example.com", "--email", "ada@example.com"]);
    cli(&["user", "update", "ada@example.com", "--email", "grace@example.com"]);
    cli(&["user", "update", "ben@example.com", "--email", "ada@example.com"]);
    let names = |events: &[(String, Value)]| events.iter().map(|event| event.0.clone()).collect::<Vec<_>>();
    assert_eq!(
        names(&of("ada@example.com")),
        ["user.update", "user.update", "user.update", "user.create", "user.create", "invitation.create"]
    );
    assert_eq!(names(&of("ben@example.com")), ["user.update", "user.create"]);
    cli(&["user", "delete", "ada@example.com", "--yes"]);
    assert_eq!(names(&of("ben@example.com")), ["user.delete", "user.update", "user.create"]);
    assert_eq!(of("grace@example.com").len(), 3);

    // An account of a version that stored no digest is found while it exists, and by its deletion.
    app.db_execute("alter table audit_events disable trigger audit_events_append_only").await;
    app.db_execute("update audit_events set target_email_hmac = null").await;
    assert_eq!(of("grace@example.com").len(), 3);
    cli(&["user", "delete", "grace@example.com", "--yes"]);
    assert_eq!(of("grace@example.com").len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_filter_finds_events_of_another_organization() {
    let app = TestApp::spawn().await;
    let made: Value =
        serde_json::from_str(&local(&app, &["organization", "create", "Other", "-o", "json"]).out).unwrap();
    let other = app.owner.with_token(made["key"]["token"].as_str().unwrap());
    for owner in [&app.owner, &other] {
        assert_eq!(owner.create(&json!([sso("ada@example.com")])).await.status, 200);
    }
    let (ours, theirs) = (auditor(&app, &app.owner).await, auditor(&app, &other).await);
    let created = list(&app, &theirs, &["--target", "ada@example.com"]);
    assert_eq!(actions(&created), ["user.create"]);
    assert_ne!(list(&app, &ours, &["--target", "ada@example.com"]), created);
    let field = |name: &str| created[0][name].as_str().unwrap().to_owned();
    for (filter, value) in [
        ("--target", field("target_id")),
        ("--batch", field("batch_id")),
        ("--request", field("request_id")),
        ("--actor", field("actor_id")),
    ] {
        assert!(!list(&app, &theirs, &[filter, &value]).is_empty(), "{filter}");
        assert_eq!(list(&app, &ours, &[filter, &value]), Vec::<Value>::new(), "{filter}");
    }
    let digests = "select count(distinct target_email_hmac) from audit_events where action = 'user.create'";
    // The two first owners have one address, and Ada another, in each organization.
    assert_eq!(app.db_value::<i64>(digests).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_that_may_read_it_the_log_is_not_shown() {
    let app = TestApp::spawn().await;
    let ran = run(muster_at(&app).env_remove("MUSTER_TOKEN").args(["audit", "list"]));
    let message = "error: no API key; run `muster login`, or set MUSTER_TOKEN or ANYSCALE_CLI_TOKEN. On the server's machine, \
                   `muster key create --name NAME --role owner` creates a key; or read the log directly in the database with \
                   `--local`, on a machine that has it\n";
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(2), "", message));
    let ran = remote(&app, &["audit", "list", "--database-url", "postgres://x"]);
    let message = "error: `--database-url` needs `--local`; without it, the log is read from a server\n";
    assert_eq!((ran.status, ran.err.as_str()), (Some(2), message));

    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    let key = app.owner.post("/api/v2/api_keys", &json!({"name": "reader", "scopes": ["users:read"]})).await;
    let reader = key.json()["result"]["token"].as_str().unwrap().to_owned();
    for (token, missing) in
        [(collaborator.token(), "an owner's API key"), (&reader, "an API key with the scope `audit:read`")]
    {
        let ran =
            run(muster_at(&app).env("MUSTER_TOKEN", token).args(["audit", "list", "--target", "ada@example.com"]));
        let message = format!("error: not permitted: `audit.list` requires {missing}");
        assert!(ran.status == Some(1) && ran.out.is_empty() && ran.err.starts_with(&message), "{}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_events_name_the_account_and_the_host() {
    const KEY: &str = "a key that the server and the operator share";
    let app = TestApp::spawn_with(|config| config.secrets.server_key = Secret::new(KEY)).await;
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&app.database)).env("SUDO_USER", "ada");
    assert_eq!(run(command.args(["key", "create", "--name", "by hand"])).status, Some(0));
    let events = list(&app, app.owner.token(), &["--actor", "operator", "--action", "key.create"]);
    let account = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let details = &events[0]["details"];
    assert_eq!(
        (&details["os_user"], &details["sudo_user"], &details["host"], &details["permission_level"]),
        (&json!(account), &json!("ada"), &json!(host.trim()), &json!("collaborator"))
    );
    let table = remote(&app, &["audit", "list", "--actor", "operator", "--action", "key.create", "--max-items", "1"]);
    assert!(
        table.out.contains(&format!(" os_user={account} ")) && table.out.contains(" sudo_user=ada"),
        "{}",
        table.out
    );

    // The operator finds addresses with the key of the server.
    assert_eq!(app.owner.create(&json!([sso("ada@example.com")])).await.status, 200);
    assert_eq!(remote(&app, &["user", "delete", "ada@example.com", "--yes"]).status, Some(0));
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&app.database)).env("MUSTER_SECRETS__SERVER_KEY", KEY);
    let ran = run(command.args(["audit", "list", "--local", "--target", "ada@example.com", "-o", "ndjson"]));
    let events: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(actions(&events), ["user.delete", "user.create"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_filters_are_rejected_before_the_server_is_asked() {
    let app = TestApp::spawn().await;
    for (filter, value, message) in [
        ("--target", "", "must be an ID, an e-mail address or a name"),
        ("--target", "ada@", "not a valid e-mail address"),
        ("--batch", "usr_01k9h6m3x0e8wbz1v5n7q2r4t6", "not an ID; expected `bat_` and 26 characters"),
        ("--request", "req_1", "not an ID; expected `req_` and 26 characters"),
        (
            "--actor",
            "",
            "must be an ID, the name of an API key or a user, an e-mail address, `operator`, `system` or `anonymous`",
        ),
        ("--until", "tomorrow", "expected a time with a zone"),
        ("--user", "ada", "not an ID; expected `usr_` and 26 characters"),
        ("--outcome", "no", "[possible values: success, denied, rejected, refused]"),
        ("--from", "home", "`home` is neither a network such as 10.0.0.0/8 nor an address"),
    ] {
        let ran = remote(&app, &["audit", "list", filter, value]);
        assert_eq!((ran.status, ran.out.as_str()), (Some(2), ""), "{filter} {value}");
        assert!(ran.err.contains(message), "{}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_listed_in_every_format() {
    let app = TestApp::spawn().await;
    local(&app, &["key", "create", "--name", "ci"]);
    let ran = local(&app, &["audit", "list", "--local"]);
    assert_eq!(ran.status, Some(0));
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["TIME", "ACTOR", "ACTION", "OUTCOME", "TARGET", "FROM", "DETAILS"]);
    assert_eq!(lines[1][1..4], ["operator", "key.create", "success"]);
    assert_eq!(lines[4][1..4], ["operator", "organization.create", "success"]);
    let events: Vec<Value> = serde_json::from_str(
        &local(&app, &["audit", "list", "--local", "--json", "--since", "1h", "--action", "key.create"]).out,
    )
    .unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["details"]["permission_level"], "collaborator");
    let none: Vec<Value> = serde_json::from_str(
        &local(&app, &["audit", "list", "--local", "--json", "--since", "2999-01-01T00:00:00Z"]).out,
    )
    .unwrap();
    assert_eq!(none.len(), 0);
    for (since, count) in [("yesterday", 4), ("2999-01-01", 0)] {
        let ran = local(&app, &["audit", "list", "--local", "--json", "--since", since]);
        let events: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(events.len(), count, "{since}");
    }
    assert_eq!(local(&app, &["audit", "list", "--local", "--since", "tomorrow"]).status, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_list_says_so_and_json_and_csv_are_complete() {
    let app = TestApp::spawn().await;
    let users: Vec<Value> = (0..60).map(|n| sso(&format!("user{n}@example.com"))).collect();
    assert_eq!(app.owner.create(&json!(users)).await.status, 200);

    let ran = local(&app, &["audit", "list", "--local"]);
    let message = "only the first 50 results are shown; use `--max-items` to see more\n";
    assert_eq!((ran.status, ran.out.lines().count(), ran.err.as_str()), (Some(0), 51, message));
    let ran = local(&app, &["audit", "list", "--local", "--max-items", "1"]);
    let message = "only the first result is shown; use `--max-items` to see more\n";
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (2, message));
    let ran = local(&app, &["audit", "list", "--local", "--max-items", "64"]);
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (65, ""));

    let ran = local(&app, &["audit", "list", "--local", "-o", "json"]);
    let all: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((all.len(), ran.err.as_str()), (64, ""));
    assert!(ran.out.starts_with("[\n  {\n    \"event_id\"") && ran.out.ends_with("\n    }\n  }\n]\n"), "{}", ran.out);
    assert_eq!(ran.out.matches("\n  },\n  {\n").count(), 63, "the format of other lists");
    let ran = local(&app, &["audit", "list", "--local", "-o", "csv"]);
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (65, ""));
    let first = ran.out.lines().nth(64).unwrap();
    assert!(first.contains(",operator,organization.create,success,org_") && first.contains(",,host="), "{first}");
    let ran = local(&app, &["audit", "list", "--local", "-o", "ndjson"]);
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines, ran.err.as_str()), (all, ""));
    for format in ["json", "csv", "ndjson"] {
        let ran = local(&app, &["audit", "list", "--local", "-o", format, "--max-items", "60"]);
        assert_eq!(ran.err, "only the first 60 results are shown; use `--max-items` to see more\n", "{format}");
    }
    for (format, nothing) in [("json", "[]\n"), ("ndjson", "")] {
        let ran = local(&app, &["audit", "list", "--local", "-o", format, "--action", "policy.set"]);
        assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(0), nothing, ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_filtered_by_time_and_actor() {
    let app = TestApp::spawn().await;
    let (ada, actor) = app.person("ada@example.com", PermissionLevel::Owner).await;
    assert_eq!(actor.create(&json!([sso("grace@example.com")])).await.status, 200);
    let list = |more: &[&str]| -> Vec<Value> {
        let ran = local(&app, &[&["audit", "list", "--local", "-o", "json"], more].concat());
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

    assert_eq!(list(&["--actor", "Ada@Example.com"]), by_user);
    assert_eq!(list(&["--actor", "test"]), by_user, "the name of the key");
    let by_operator = list(&["--actor", "operator"]);
    let actions: Vec<&str> = by_operator.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["key.create", "key.create", "user.create", "organization.create"]);
    assert_eq!(list(&["--actor", "operator", "--action", "user.create", "--until", "1h"]).len(), 0);
    assert_eq!(list(&["--actor", "operator", "--action", "keys", "--outcome", "success"]), by_operator[..2]);
    assert_eq!(list(&["--outcome", "refused"]).len(), 0);
    assert_eq!(list(&["--from", "127.0.0.0/8"]), list(&["--from", "127.0.0.1"]));
    let user_id = by_user[0]["actor_user_id"].as_str().unwrap();
    assert!(list(&["--user", user_id]).len() > list(&["--user", user_id, "--fold", "--action", "batches"]).len());

    for (nobody, message) in [
        (
            "nobody",
            "no API key and no user is named `nobody`; a deleted key is found by its ID (`key_…`), a deleted user by the ID \
             (`usr_…`) or the e-mail address",
        ),
        ("nobody@example.com", "nobody has or had the e-mail address `nobody@example.com`"),
    ] {
        let ran = local(&app, &["audit", "list", "--local", "--actor", nobody]);
        assert_eq!((ran.status, ran.out.as_str(), ran.err), (Some(1), "", format!("error: {message}\n")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn actors_without_ids_are_found_by_their_kinds() {
    let app = TestApp::spawn().await;
    let (ada, _) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let soon = (Utc::now() + TimeDelta::seconds(1)).to_rfc3339();
    let ran = remote(&app, &["user", "update", "ada@example.com", "--expires-at", &soon]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let housekeeping = tokio::spawn(muster::jobs::run_housekeeping(app.app.clone()));
    let find = |kind: &str| list(&app, app.owner.token(), &["--actor", kind]);
    eventually("the service suspends the user", async || !find("system").is_empty()).await;
    housekeeping.abort();
    let events = find("system");
    assert_eq!((actions(&events), &events[0]["target_id"]), (vec!["user.suspend"], &json!(ada)));
    assert_eq!(find("anonymous"), Vec::<Value>::new());
    let everything = list(&app, app.owner.token(), &[]);
    let by_operator: Vec<_> = everything.into_iter().filter(|event| event["actor_kind"] == "operator").collect();
    assert!(!by_operator.is_empty() && find("operator") == by_operator);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_action_is_rejected_with_the_known_ones() {
    let app = TestApp::spawn().await;
    for name in ["nope", "user.created", ""] {
        let ran = local(&app, &["audit", "list", "--local", "--action", name]);
        assert_eq!((ran.status, ran.out.as_str()), (Some(2), ""), "{name}");
        assert!(ran.err.contains("user.batch_create, user.batch_dry_run, user.create, "), "{}", ran.err);
    }
    let ran = local(&app, &["audit", "list", "--local", "--action", "user.created"]);
    assert!(
        ran.err.contains("a similar value exists: 'user.create'") || ran.err.contains("'user.create'"),
        "{}",
        ran.err
    );
    let ran = run(muster().args(["completions", "bash"]));
    assert!(ran.out.contains(" user.batch_create "), "shells complete actions");
}
