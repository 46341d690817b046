//! `muster organization …`, and `--organization` on the commands of the local operator.

use serde_json::Value;

use crate::support::server::{muster, url};
use crate::support::{Actor, TestApp};
use crate::{Ran, local, run};

/// The JSON that a successful command prints, without messages.
fn json(ran: &Ran) -> Value {
    assert_eq!(ran.err, "");
    crate::json(ran)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_created_with_an_owner_whose_key_works() {
    let app = TestApp::spawn().await;
    let ran = local(&app, &["organization", "create", "Acme, Inc."]);
    let token = ran.out.trim_end();
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert!(ran.err.starts_with("created org_") && ran.err.contains(" (acme-inc); its owner key key_"), "{}", ran.err);
    let address = "people of the organization sign in at /sign-in?organization=acme-inc\n";
    assert!(ran.err.ends_with(address), "{}", ran.err);
    let owner = Actor::new(app.address, Some(token));
    let info = owner.get("/api/v2/userinfo/").await.json()["result"].clone();
    assert_eq!(info["organizations"][0]["name"], "Acme, Inc.");
    assert_eq!(info["organizations"][0]["public_identifier"], "acme-inc");
    assert_eq!((&info["organization_permission_level"], &info["name"]), (&"owner".into(), &"Administrator".into()));
    let events = owner.get("/api/v2/audit/events").await.json();
    let actions: Vec<&str> =
        events["results"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["key.create", "user.create", "organization.create"]);

    let made = json(&local(&app, &["organization", "create", "密", "--identifier", "mi", "-o", "json"]));
    assert_eq!((&made["name"], &made["public_identifier"]), (&"密".into(), &"mi".into()));
    let owner = Actor::new(app.address, Some(made["key"]["token"].as_str().unwrap()));
    let info = owner.get("/api/v2/userinfo/").await.json()["result"].clone();
    assert_eq!(info["organization_ids"][0], made["organization_id"]);

    let listed = json(&local(&app, &["organization", "list", "-o", "json"]));
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Default organization", "Acme, Inc.", "密"]);
    assert!(!listed.to_string().contains("amk_"));
    let ran = local(&app, &["organization", "list"]);
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ORGANIZATION", "ID", "NAME", "IDENTIFIER", "CREATED"]);
    assert_eq!(lines[2][1..4], ["Acme,", "Inc.", "acme-inc"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_organizations_are_rejected_in_one_line() {
    let app = TestApp::spawn().await;
    let long = "x".repeat(256);
    let rule = "must be 1 to 63 lowercase letters (a-z), digits and `-`, starting with a letter or digit";
    for (arguments, status, sentence) in [
        (&["create", "", "--identifier", "a"][..], 1, "error: an organization's name must not be empty\n"),
        (&["create", &long], 1, "error: an organization's name must have at most 255 characters\n"),
        (&["create", "a\nb"], 1, "error: an organization's name contains a line break (U+000A)\n"),
        (
            &["create", "密"],
            2,
            "error: can't derive an identifier from the name: it has no letters (a-z) or digits; add `--identifier`\n",
        ),
        (&["create", "Default"], 1, "error: an organization `default` already exists; choose another identifier\n"),
        (&["rename", "default", " "], 1, "error: an organization's name must not be empty\n"),
        (
            &["rename", "nobody", "New"],
            2,
            "error: there is no organization `nobody`; `muster organization list` shows all organizations\n",
        ),
        (
            &["rename", "org_01k9h6m3x0e8wbz1v5n7q2r4t6", "New"],
            2,
            "error: there is no organization `org_01k9h6m3x0e8wbz1v5n7q2r4t6`; `muster organization list` shows all organizations\n",
        ),
    ] {
        let ran = local(&app, &[&["organization"], arguments].concat());
        assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(status), "", sentence), "{arguments:?}");
    }
    for identifier in ["", "A", "a_b", "ä", &long] {
        let ran = local(&app, &["organization", "create", "x", "--identifier", identifier]);
        assert_eq!(ran.status, Some(2));
        assert!(ran.err.contains(rule), "{identifier}: {}", ran.err);
    }
    assert_eq!(app.db_value::<i64>("select count(*) from organizations").await, 1);
    assert_eq!(app.db_value::<i64>("select count(*) from audit_events").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_renamed_and_its_members_see_the_new_name() {
    let app = TestApp::spawn().await;
    let before = app.owner.get("/api/v2/userinfo/").await.json()["result"]["organizations"][0].clone();
    let id = before["id"].as_str().unwrap();
    let renamed = json(&local(&app, &["organization", "rename", "default", "Example", "-o", "json"]));
    assert_eq!((&renamed["organization_id"], &renamed["name"]), (&before["id"], &"Example".into()));
    let ran = local(&app, &["organization", "rename", id, "Example & Co."]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    // Another process renamed it: the server caches the old name for up to a second.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let after = app.owner.get("/api/v2/userinfo/").await.json()["result"]["organizations"][0].clone();
    assert_eq!((&after["name"], &after["public_identifier"]), (&"Example & Co.".into(), &"default".into()));
    let events = app.owner.get("/api/v2/audit/events?action=organization.rename").await.json();
    assert_eq!(events["results"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&events["results"][0]["actor_kind"], &events["results"][0]["target_id"]),
        (&"operator".into(), &before["id"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_several_organizations_the_operator_must_name_one() {
    let app = TestApp::spawn().await;
    assert_eq!(
        local(&app, &["key", "create", "--name", "a"]).status,
        Some(0),
        "a single organization need not be named"
    );
    let made = json(&local(&app, &["organization", "create", "Other", "-o", "json"]));
    let sentence = "error: there are several organizations; choose one with `--organization` or `MUSTER_ORGANIZATION` \
                    (default, other)\n";
    for arguments in [&["key", "create", "--name", "b"][..], &["key", "list"], &["audit", "list", "--local"]] {
        let ran = local(&app, arguments);
        assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(2), "", sentence), "{arguments:?}");
    }
    let ran = local(&app, &["key", "list", "--organization", "nobody"]);
    let unknown = "error: there is no organization `nobody`; `muster organization list` shows all organizations\n";
    assert_eq!((ran.status, ran.err.as_str()), (Some(2), unknown));

    let id = made["organization_id"].as_str().unwrap();
    for named in ["other", id] {
        let keys = json(&local(&app, &["key", "list", "--organization", named, "-o", "json"]));
        let ids: Vec<&Value> = keys.as_array().unwrap().iter().map(|key| &key["key_id"]).collect();
        assert_eq!(ids, [&made["key"]["key_id"]]);
    }
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&app.database)).env("MUSTER_ORGANIZATION", "other");
    let ran = run(command.args(["key", "create", "--name", "c", "--role", "owner"]));
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let actor = Actor::new(app.address, Some(ran.out.trim_end()));
    assert_eq!(actor.get("/api/v2/userinfo/").await.json()["result"]["organization_ids"][0], id);
    // The flag takes precedence over the environment. Keys of another organization are unknown.
    let (key_id, mut command) = (made["key"]["key_id"].as_str().unwrap(), muster());
    command.env("MUSTER_DATABASE__URL", url(&app.database)).env("MUSTER_ORGANIZATION", "other");
    let ran = run(command.args(["key", "revoke", key_id, "--organization", "default"]));
    assert_eq!((ran.status, ran.err), (Some(1), format!("error: there is no API key {key_id}\n")));
}
