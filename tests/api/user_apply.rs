//! Applying a list as the wished state.

use chrono::Duration;
use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::gate::eventually;
use crate::support::{Actor, Answer, TestApp, sso};

const APPLY: &str = "/api/v2/users/admin_batch_apply";
const ADMIN: &str = "administrator@muster.invalid";

async fn app_with(emails: &[&str]) -> TestApp {
    let app = TestApp::spawn().await;
    let created = app.owner.create(&emails.iter().map(|email| sso(email)).collect()).await;
    assert_eq!(created.status, 200, "{}", created.text);
    app
}

async fn apply(app: &TestApp, query: &str, list: &Value) -> Answer {
    app.owner.post(&format!("{APPLY}{query}"), list).await
}

async fn planned(app: &TestApp, query: &str, list: &Value) -> String {
    let answer = apply(app, &format!("?dry_run=true{query}"), list).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["plan"].as_str().unwrap().to_owned()
}

async fn with_plan(app: &TestApp, query: &str, list: &Value, plan: &str) -> Answer {
    let request = app.owner.request("POST", &format!("{APPLY}{query}")).header("muster-plan", plan);
    Actor::send(request.body(list.to_string())).await
}

/// What is done to whom: the action, the address, and the changed fields.
fn differences(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let results = answer.json()["results"].clone();
    let change = |change: &Value| json!([change["field"], change["before"], change["after"]]);
    let changes = |user: &Value| user["changes"].as_array().unwrap().iter().map(change).collect::<Vec<_>>();
    results.as_array().unwrap().iter().map(|user| json!([user["action"], user["email"], changes(user)])).collect()
}

fn counts(answer: &Answer) -> [u64; 5] {
    let metadata = answer.json()["metadata"].clone();
    ["total", "created", "changed", "suspended", "unchanged"].map(|name| metadata[name].as_u64().unwrap())
}

fn finding(index: usize, field: &str, code: &str, message: &str) -> Value {
    json!({"index": index, "field": field, "code": code, "message": message})
}

fn rejected(answer: &Answer) -> (u16, Value, Value) {
    (answer.status, answer.error()["code"].clone(), answer.error()["rows"].clone())
}

async fn people(app: &TestApp) -> String {
    app.db_value(
        "select string_agg(concat_ws(' ', email, status, title, permission_level), ', ' order by email)
         from users join collaborators using (organization_id, user_id) where not is_service_account",
    )
    .await
}

#[tokio::test]
async fn users_are_created_changed_and_suspended_in_one_request() {
    let app = app_with(&["a@example.com", "b@example.com", "c@example.com"]).await;
    let robot = app.owner.post("/api/v2/users/service_accounts?name=robot", &Value::Null).await;
    assert_eq!(robot.status, 200, "{}", robot.text);
    let list = json!([
        {"email": "new@example.com", "name": "Nia", "is_sso_user": false, "password": "tidal-anchor-Plum-91", "title": null},
        {"email": "A@example.com", "title": "Boss", "permission_level": "owner"},
        {"user": "b@example.com", "email": "bb@example.com", "status": "suspended"},
    ]);
    let expected = json!([
        [
            "create",
            "new@example.com",
            [
                ["name", null, "Nia"],
                ["email", null, "new@example.com"],
                ["is_sso_user", null, "false"],
                ["permission_level", null, "collaborator"],
            ]
        ],
        [
            "change",
            "a@example.com",
            [
                ["title", null, "Boss"],
                ["email", "a@example.com", "A@example.com"],
                ["permission_level", "collaborator", "owner"],
            ]
        ],
        ["change", "b@example.com", [["email", "b@example.com", "bb@example.com"], ["status", "active", "suspended"],]],
        ["suspend", "c@example.com", [["status", "active", "suspended"]]],
    ]);
    let before = people(&app).await;
    let events: i64 = app.db_value("select count(*) from audit_events").await;
    let answer = apply(&app, "?dry_run=true&suspend_missing=true", &list).await;
    assert_eq!((differences(&answer), counts(&answer)), (expected.clone(), [3, 1, 2, 1, 0]));
    assert_eq!(answer.json()["results"][0]["user_id"], Value::Null);
    assert_eq!(people(&app).await, before, "a dry run writes nothing");
    assert_eq!(app.db_value::<i64>("select count(*) from audit_events").await, events);
    let plan = answer.json()["plan"].as_str().unwrap().to_owned();

    let answer = with_plan(&app, "?suspend_missing=true", &list, &plan).await;
    assert_eq!((differences(&answer), counts(&answer)), (expected, [3, 1, 2, 1, 0]));
    assert!(answer.json()["results"][0]["user_id"].as_str().unwrap().starts_with("usr_"));
    assert_eq!(answer.json()["plan"], Value::Null);
    assert_eq!(
        people(&app).await,
        "A@example.com active Boss owner, administrator@muster.invalid active owner, bb@example.com suspended \
         collaborator, c@example.com suspended collaborator, new@example.com active collaborator"
    );
    let robots = "select string_agg(status, ' ') from users where is_service_account";
    assert_eq!(app.db_value::<String>(robots).await, "active");
    assert_eq!(app.db_value::<i64>("select count(*) from passwords where must_change").await, 1);
    let recorded = "select string_agg(action || coalesce(' ' || (details ->> 'users'), ''), ', ' order by action)
        from audit_events where request_id = (select request_id from audit_events where action = 'user.batch_apply')";
    assert_eq!(
        app.db_value::<String>(recorded).await,
        "collaborator.update, user.batch_apply 4, user.create, user.suspend, user.suspend, user.update, user.update"
    );

    let again = with_plan(&app, "?suspend_missing=true", &list, &plan).await;
    assert_eq!(rejected(&again).1, "plan_changed");
    let same = json!([
        {"email": "new@example.com", "name": "Nia", "is_sso_user": false}, {"email": "A@example.com", "title": "Boss"},
        {"user": "bb@example.com", "status": "suspended"},
    ]);
    let answer = apply(&app, "?suspend_missing=true", &same).await;
    assert_eq!((differences(&answer), counts(&answer)), (json!([]), [3, 0, 0, 0, 3]));
}

#[tokio::test]
async fn a_plan_holds_until_one_of_its_users_or_the_list_changes() {
    let app = app_with(&["a@example.com", "b@example.com"]).await;
    let list =
        json!([{"email": "a@example.com", "title": "x"}, {"email": "n@example.com", "name": "N", "is_sso_user": true}]);
    let other = json!([{"email": "a@example.com", "title": "y"}]);
    let plan = planned(&app, "", &list).await;
    let answer = with_plan(&app, "", &other, &plan).await;
    let detail = "the list differs from the planned one; nothing was written, so make a new dry run";
    assert_eq!((answer.status, answer.error()), (409, json!({"code": "plan_changed", "detail": detail})));

    for (query, meanwhile) in [
        ("", "update users set revision = revision + 1 where email = 'a@example.com'"),
        ("&suspend_missing=true", "update users set revision = revision + 1 where email = 'b@example.com'"),
        ("&suspend_missing=true", "update users set status = 'suspended' where email = 'b@example.com'"),
    ] {
        let plan = planned(&app, query, &list).await;
        app.db_execute(meanwhile).await;
        let query = query.replacen('&', "?", 1);
        let answer = with_plan(&app, &query, &list, &plan).await;
        let detail = "users have changed since the plan was made; nothing was written, so make a new dry run";
        assert_eq!(
            (answer.status, answer.error()),
            (409, json!({"code": "plan_changed", "detail": detail})),
            "{meanwhile}"
        );
    }
    let plan = planned(&app, "", &list).await;
    assert_eq!(app.owner.create(&json!([sso("n@example.com")])).await.status, 200);
    assert_eq!(with_plan(&app, "", &list, &plan).await.error()["code"], "plan_changed");
    let plan = planned(&app, "", &list).await;
    assert_eq!(with_plan(&app, "?suspend_missing=true", &list, &plan).await.error()["code"], "plan_changed");
    assert_eq!(app.db_value::<i64>("select count(*) from users where title is not null").await, 0);
    assert_eq!(counts(&with_plan(&app, "", &list, &plan).await), [2, 0, 2, 0, 0]);
    let invalid = with_plan(&app, "", &list, "plan").await;
    assert_eq!((invalid.status, invalid.error()["code"].as_str()), (400, Some("invalid_request")));
}

#[tokio::test]
async fn all_findings_are_reported_and_nothing_is_written() {
    let app = app_with(&["a@example.com", "b@example.com", "c@example.com"]).await;
    app.db_execute("update users set is_service_account = true where email = 'c@example.com'").await;
    let id: String = app.owner.get("/api/v2/organization_collaborators/?email=a@example.com").await.json()["results"]
        [0]["user_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let list = json!([
        {"email": "a@example.com", "title": "x"},
        {"user": id, "title": "y"},
        {"user": "usr_01k9h6m3x0e8wbz1v5n7q2r4t6", "email": "z@example.com"},
        {"user": "nobody@example.com"},
        {"email": "c@example.com", "title": "robot"},
        {"email": "b@example.com", "password": "tidal-anchor-Plum-91", "must_change_password": true, "status": "gone"},
        {"email": "new@example.com"},
        {"email": "n2@example.com", "name": "N", "is_sso_user": true, "status": "suspended"},
        {"email": "N2@example.com", "name": "N", "is_sso_user": true},
        {"name": "Nobody"},
        {"email": "n3@example.com", "name": "N", "is_sso_user": false, "password": "short"},
    ]);
    let answer = apply(&app, "", &list).await;
    let password = "only a new user can get a password, and this one exists; remove the value";
    let mut twice = finding(1, "user", "user_duplicate", "the same user as users[0]");
    twice["other_index"] = json!(0);
    let mut same = finding(8, "email", "email_duplicate", "the same address as users[7]");
    same["other_index"] = json!(7);
    assert_eq!(
        rejected(&answer),
        (
            422,
            json!("batch_rejected"),
            json!([
                twice,
                finding(2, "user", "unknown_user", "there is no such user"),
                finding(3, "user", "unknown_user", "there is no such user"),
                finding(
                    4,
                    "email",
                    "service_account",
                    "is a service account, which a list of people can't change; remove the row"
                ),
                finding(5, "password", "password_of_existing_user", password),
                finding(5, "must_change_password", "password_of_existing_user", password),
                finding(5, "status", "status_unknown", "must be `active` or `suspended`"),
                finding(6, "name", "missing", "is missing"),
                finding(6, "is_sso_user", "missing", "is missing"),
                finding(
                    7,
                    "status",
                    "status_of_new_user",
                    "a new user is active; remove the status, and suspend the user afterwards"
                ),
                same,
                finding(9, "email", "missing", "is missing"),
                finding(9, "is_sso_user", "missing", "is missing"),
                finding(10, "password", "password_too_short", "shorter than 8 characters"),
            ])
        ),
        "{}",
        answer.text
    );
    assert_eq!(app.db_value::<i64>("select count(*) from users where title is not null").await, 0);
    let event = app.owner.get("/api/v2/audit/events?count=1").await.json()["results"][0].clone();
    assert_eq!(
        (&event["action"], &event["outcome"], &event["reason"]),
        (&json!("user.batch_apply"), &json!("rejected"), &json!("batch_rejected"))
    );
    let clash = json!([
        {"user": "a@example.com", "email": "n@example.com"}, {"email": "n@example.com", "name": "N", "is_sso_user": true},
    ]);
    let mut twice = finding(0, "email", "email_duplicate", "the same address as users[1]");
    twice["other_index"] = json!(1);
    assert_eq!(rejected(&apply(&app, "", &clash).await), (422, json!("batch_rejected"), json!([twice])));
}

#[tokio::test]
async fn the_last_owner_stays_and_owners_are_never_suspended_for_being_missing() {
    let app = app_with(&["a@example.com"]).await;
    let message = "is an owner, and no other active owner would be left";
    for change in [json!({"permission_level": "collaborator"}), json!({"status": "suspended"})] {
        let mut row = change.clone();
        row["user"] = json!(ADMIN);
        let answer = apply(&app, "", &json!([{"email": "a@example.com", "title": "x"}, row])).await;
        let rows = json!([finding(1, "user", "last_owner", message)]);
        assert_eq!(rejected(&answer), (409, json!("last_owner"), rows), "{change}");
    }
    let both = json!([
        {"user": ADMIN, "permission_level": "collaborator"}, {"email": "n@example.com", "name": "N", "is_sso_user": true},
    ]);
    assert_eq!(rejected(&apply(&app, "", &both).await).1, "last_owner");
    let list = json!([{"email": "a@example.com"}]);
    assert_eq!(differences(&apply(&app, "?suspend_missing=true", &list).await), json!([]), "the owner is missing");
    let replaced = json!([
        {"user": ADMIN, "permission_level": "collaborator"},
        {"email": "n@example.com", "name": "N", "is_sso_user": true, "permission_level": "owner"},
    ]);
    assert_eq!(counts(&apply(&app, "", &replaced).await), [2, 1, 1, 0, 0]);
}

#[tokio::test]
async fn an_empty_list_and_a_list_that_is_too_short_are_rejected() {
    let app = TestApp::spawn_with(|config| config.batch.max_users = 2).await;
    for emails in [["a@example.com", "b@example.com"], ["c@example.com", "d@example.com"]] {
        let created = app.owner.create(&emails.iter().map(|email| sso(email)).collect()).await;
        assert_eq!(created.status, 200);
    }
    for query in ["", "?suspend_missing=true", "?suspend_missing=true&dry_run=true"] {
        let answer = apply(&app, query, &json!([])).await;
        let detail = "the list is empty; there are no users to apply";
        assert_eq!((answer.status, answer.error()), (400, json!({"code": "empty_batch", "detail": detail})));
    }
    let answer = apply(&app, "?suspend_missing=true", &json!([{"email": "a@example.com"}])).await;
    let detail = "more than 2 users are missing from the list (setting `batch.max_users`), and would be suspended; is the list complete?";
    assert_eq!((answer.status, answer.error()), (413, json!({"code": "too_large", "detail": detail})));
    let reader = app.actor(PermissionLevel::Collaborator).await;
    assert_eq!(reader.post(APPLY, &json!([{"email": "a@example.com"}])).await.status, 403);
    for query in ["?dry_run=perhaps", "?suspend_missing=", "?force=true"] {
        assert_eq!(apply(&app, query, &json!([{"email": "a@example.com"}])).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn two_concurrent_lists_apply_one_after_the_other() {
    let app = app_with(&["a@example.com", "b@example.com"]).await;
    for round in 0..5 {
        let new = format!("n{round}@example.com");
        let list = |title: &str| {
            json!([
                {"email": new, "name": "N", "is_sso_user": true}, {"email": "b@example.com", "title": title},
                {"email": "a@example.com", "title": title},
            ])
        };
        let (up, down) = (list("up"), list("down"));
        let (one, other) = tokio::join!(apply(&app, "", &up), apply(&app, "", &down));
        let mut ends = [one.status, other.status];
        ends.sort_unstable();
        assert!(ends == [200, 200] || ends == [200, 409], "{} {}", one.text, other.text);
        let titles: i64 = app.db_value("select count(distinct title) from users where title is not null").await;
        assert_eq!(titles, 1, "one of the lists applies as a whole");
    }
}

#[tokio::test]
async fn a_key_that_may_only_write_sees_no_user_and_applies_nothing() {
    let app = app_with(&["ada@example.com"]).await;
    let key = async |scopes: &[&str]| {
        let key = json!({"name": "ci", "permission_level": "owner", "scopes": scopes});
        let made = app.owner.post("/api/v2/api_keys", &key).await.json();
        app.owner.with_token(made["result"]["token"].as_str().unwrap())
    };
    let list = json!([{"email": "ada@example.com", "title": "Boss"}]);
    let writer = key(&["users:write"]).await;
    for query in ["", "?dry_run=true&suspend_missing=true"] {
        let denied = writer.post(&format!("{APPLY}{query}"), &list).await;
        let detail = "not permitted: `user.get` requires an API key with the scope `users:read`";
        assert_eq!((denied.status, denied.error()["detail"].as_str()), (403, Some(detail)));
    }
    assert_eq!(app.db_value::<i64>("select count(*) from users where title = 'Boss'").await, 0);
    let both = key(&["users:write", "users:read"]).await;
    assert_eq!(both.post(APPLY, &list).await.status, 200);
}

#[tokio::test]
async fn a_list_whose_caller_is_revoked_while_its_passwords_are_hashed_is_not_applied() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    assert_eq!(app.owner.create(&json!([sso("ada@example.com")])).await.status, 200);
    let (actor, key) = app.actor_for(PermissionLevel::Owner, Duration::hours(1)).await;
    // Many passwords, so that the queue gets longer although those ahead of them are being hashed.
    let mut list: Vec<Value> = (0..100)
        .map(|n| json!({"email": format!("new{n}@example.com"), "name": "New", "is_sso_user": false, "password": "kT9$wqzPlr"}))
        .collect();
    list.push(json!({"email": "ada@example.com", "title": "Boss"}));
    let waiting = app.app.hasher.waiting().of_batches;
    let applied = tokio::spawn(async move { actor.post(APPLY, &json!(list)).await });
    eventually("the passwords are in the queue", async || app.app.hasher.waiting().of_batches > waiting).await;
    app.revoke(&key).await;
    drop(held);
    let refused = applied.await.unwrap();
    let detail = "the API key is revoked; nothing was written";
    assert_eq!((refused.status, refused.error()["detail"].as_str()), (401, Some(detail)));
    let written = "select count(*) from users where title = 'Boss' or email like 'new%'";
    assert_eq!(app.db_value::<i64>(written).await, 0);
}
