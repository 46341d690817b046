//! Changing, suspending, reactivating and deleting lists of users, atomically.

use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::{Actor, Answer, TestApp, sso, with_password};
use crate::user::send;

const UPDATE: &str = "/api/v2/users/admin_batch_update";
const SUSPEND: &str = "/api/v2/users/admin_batch_suspend";
const REACTIVATE: &str = "/api/v2/users/admin_batch_reactivate";
const DELETE: &str = "/api/v2/users/admin_batch_delete";

/// A server with these users, and their IDs.
async fn app_with(emails: &[&str]) -> (TestApp, Vec<String>) {
    let app = TestApp::spawn().await;
    let created = app.owner.create(&emails.iter().map(|email| sso(email)).collect()).await.json();
    let ids = created["results"].as_array().unwrap().iter().map(|user| user["user_id"].as_str().unwrap().to_owned());
    let ids = ids.collect();
    (app, ids)
}

async fn post(app: &TestApp, path: &str, list: &Value) -> Answer {
    send(&app.owner, "POST", path, list).await
}

/// One field of each result.
fn all(answer: &Answer, field: &str) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let results = answer.json()["results"].clone();
    results.as_array().unwrap().iter().map(|user| user[field].as_str().unwrap().to_owned()).collect()
}

fn row(index: usize, field: &str, code: &str, message: &str) -> Value {
    json!({"index": index, "field": field, "code": code, "message": message})
}

async fn actions(app: &TestApp, count: usize) -> Vec<String> {
    let events = app.owner.get(&format!("/api/v2/audit/events?count={count}")).await.json();
    let events = events["results"].as_array().unwrap().clone();
    let mut actions: Vec<String> = events.iter().map(|event| event["action"].as_str().unwrap().to_owned()).collect();
    actions.sort();
    actions
}

#[tokio::test]
async fn a_list_is_suspended_reactivated_changed_and_deleted_in_its_order() {
    let (app, ids) = app_with(&["a@example.com", "b@example.com", "c@example.com"]).await;
    let list = json!([{"user": ids[2]}, {"user": "A@example.com"}]);
    let order = [ids[2].clone(), ids[0].clone()];
    let suspended = post(&app, SUSPEND, &list).await;
    assert_eq!(
        (all(&suspended, "user_id"), all(&suspended, "status")),
        (order.to_vec(), vec!["suspended".to_owned(); 2])
    );
    assert_eq!(
        suspended.json()["metadata"],
        json!({"total": 2, "next_paging_token": null, "changed": 2, "unchanged": 0, "changes": []})
    );
    assert_eq!(actions(&app, 3).await, ["user.batch_suspend", "user.suspend", "user.suspend"]);
    let reactivated = post(&app, REACTIVATE, &list).await;
    assert_eq!(all(&reactivated, "status"), ["active", "active"]);
    let changed =
        json!([{"user": "c@example.com", "title": "Boss", "email": "cc@example.com"}, {"user": ids[0], "name": "Al"}]);
    let updated = post(&app, UPDATE, &changed).await;
    assert_eq!(
        (all(&updated, "user_id"), all(&updated, "name")),
        (order.to_vec(), vec!["Ada".to_owned(), "Al".to_owned()])
    );
    assert_eq!(all(&updated, "email"), ["cc@example.com", "a@example.com"]);
    let changed = |user: usize, field: &str, before: Value, after: &str| json!({"user_id": order[user], "field": field, "before": before, "after": after});
    assert_eq!(
        updated.json()["metadata"]["changes"],
        json!([
            changed(0, "title", Value::Null, "Boss"),
            changed(0, "email", json!("c@example.com"), "cc@example.com"),
            changed(1, "name", json!("Ada"), "Al"),
        ])
    );
    assert_eq!(actions(&app, 3).await, ["user.batch_update", "user.update", "user.update"]);
    let deleted = post(&app, DELETE, &list).await;
    assert_eq!(
        (all(&deleted, "user_id"), all(&deleted, "email")),
        (order.to_vec(), vec!["cc@example.com".to_owned(), "a@example.com".to_owned()])
    );
    assert_eq!(app.db_value::<i64>("select count(*) from users").await, 2);
    let events = app.owner.get("/api/v2/audit/events?action=user.batch_delete").await.json();
    assert_eq!(
        (events["results"][0]["target_kind"].as_str(), &events["results"][0]["details"]),
        (Some("organization"), &json!({"users": 2}))
    );
}

#[tokio::test]
async fn a_dry_run_has_the_same_findings_and_writes_nothing() {
    let (app, ids) = app_with(&["a@example.com", "b@example.com"]).await;
    let events: i64 = app.db_value("select count(*) from audit_events").await;
    let list = json!([{"user": ids[0]}]);
    let change = json!([{"user": ids[0], "name": "Al"}]);
    for (path, list, field, value) in [
        (SUSPEND, &list, "status", "suspended"),
        (UPDATE, &change, "name", "Al"),
        (DELETE, &list, "email", "a@example.com"),
    ] {
        let answer = post(&app, &format!("{path}?dry_run=True"), list).await;
        assert_eq!(all(&answer, field), [value], "{path}");
    }
    let answer = post(&app, &format!("{REACTIVATE}?dry_run=true"), &list).await;
    assert_eq!((answer.status, &answer.json()["metadata"]["unchanged"]), (200, &json!(1)));
    assert_eq!(app.owner.get(&format!("/api/v2/users/{}", ids[0])).await.header("etag"), "\"1\"");
    let after: i64 = app.db_value("select count(*) from audit_events").await;
    assert_eq!(after, events);
    for query in ["?dry_run=perhaps", "?dry_run=", "?force=true"] {
        for path in [UPDATE, SUSPEND, REACTIVATE, DELETE] {
            let answer = post(&app, &format!("{path}{query}"), &list).await;
            assert_eq!((answer.status, answer.error()["code"].as_str()), (400, Some("invalid_request")), "{query}");
        }
    }
}

#[tokio::test]
async fn with_one_unknown_user_nothing_is_written_and_all_findings_are_reported() {
    let (app, ids) = app_with(&["a@example.com", "b@example.com", "c@example.com"]).await;
    let list = json!([
        {"user": ids[0]},
        {"user": "nobody@example.com"},
        {"user": "usr_01k9h6m3x0e8wbz1v5n7q2r4t6"},
        {"user": "no address"},
        {"user": ids[1], "if_match": 7},
        {"user": "A@example.com"},
        {"name": "Ada"},
        "b@example.com",
        {"user": ids[2], "if_match": "new"},
    ]);
    let answer = post(&app, DELETE, &list).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    let changed = "the user has changed since this revision; read the user again and retry";
    let twice = json!({"index": 5, "field": "user", "code": "user_duplicate", "message": "the same user as users[0]", "other_index": 0});
    assert_eq!(
        answer.error(),
        json!({
            "code": "batch_rejected",
            "detail": "8 of 9 users can't be deleted: users[1].user (nobody@example.com): there is no such user; \
                users[2].user (usr_01k9h6m3x0e8wbz1v5n7q2r4t6): there is no such user; users[3].user: must be a user ID \
                (`usr_…`) or an e-mail address; users[4].if_match: the user has changed since this revision; read the \
                user again and retry; users[5].user: the same user as users[0]; and 4 more",
            "rows": [
                row(1, "user", "unknown_user", "there is no such user"),
                row(2, "user", "unknown_user", "there is no such user"),
                row(3, "user", "user_invalid", "must be a user ID (`usr_…`) or an e-mail address"),
                row(4, "if_match", "precondition_failed", changed),
                twice,
                row(6, "user", "missing", "is missing"),
                row(6, "name", "unknown_field", "is unknown; the known fields are user, if_match"),
                {"index": 7, "field": null, "code": "wrong_type",
                    "message": "must be an object with user, if_match, not text"},
                row(8, "if_match", "wrong_type", "must be a revision, as in the ETag, not text"),
            ],
        })
    );
    assert_eq!(app.db_value::<i64>("select count(*) from users where revision = 1").await, 4);
    let event = app.owner.get("/api/v2/audit/events?count=1").await.json()["results"][0].clone();
    assert_eq!(
        (&event["action"], &event["outcome"], &event["reason"], &event["details"]["rows"]),
        (&json!("user.batch_delete"), &json!("rejected"), &json!("batch_rejected"), &json!(9))
    );
    let revisions = json!([{"user": ids[0], "if_match": 1}, {"user": ids[1], "if_match": "\"1\""}, {"user": ids[2], "if_match": "1"}]);
    assert_eq!(post(&app, DELETE, &revisions).await.status, 200);
}

#[tokio::test]
async fn a_user_who_already_is_as_requested_is_unchanged() {
    let (app, ids) = app_with(&["a@example.com", "b@example.com"]).await;
    assert_eq!(post(&app, SUSPEND, &json!([{"user": ids[0]}])).await.status, 200);
    let list = json!([{"user": "a@example.com"}, {"user": ids[1]}]);
    let one = json!({"total": 2, "next_paging_token": null, "changed": 1, "unchanged": 1, "changes": []});
    let none = json!({"total": 2, "next_paging_token": null, "changed": 0, "unchanged": 2, "changes": []});
    let events = "select count(*) from audit_events where action in ('user.suspend', 'user.batch_suspend')";
    for (metadata, revision, count) in [(one, 2, 4), (none, 2, 4)] {
        let answer = post(&app, SUSPEND, &list).await;
        assert_eq!(
            (all(&answer, "status"), answer.json()["metadata"].clone()),
            (vec!["suspended".to_owned(); 2], metadata)
        );
        assert_eq!(answer.json()["results"][0]["revision"], json!(revision));
        assert_eq!(app.db_value::<i64>(events).await, count, "only what changed is recorded");
    }
    assert_eq!(post(&app, REACTIVATE, &json!([{"user": ids[0]}])).await.status, 200);
    let answer = post(&app, REACTIVATE, &list).await;
    assert_eq!(
        (all(&answer, "status"), &answer.json()["metadata"]["changed"]),
        (vec!["active".to_owned(); 2], &json!(1))
    );
    let stale = post(&app, SUSPEND, &json!([{"user": ids[0], "if_match": 1}])).await;
    assert_eq!((stale.status, &stale.error()["rows"][0]["code"]), (422, &json!("precondition_failed")));
}

#[tokio::test]
async fn an_address_in_use_is_rejected() {
    let (app, ids) = app_with(&["a@example.com", "b@example.com", "c@example.com", "d@example.com"]).await;
    let taken = json!([{"user": ids[0], "email": "D@example.com", "name": "Al"}, {"user": ids[1], "name": "Bo"}]);
    let answer = post(&app, UPDATE, &taken).await;
    assert_eq!(answer.status, 409, "{}", answer.text);
    assert_eq!(
        answer.error(),
        json!({
            "code": "batch_conflict",
            "detail": "1 of 2 users can't be changed: users[0].email (D@example.com): already exists",
            "rows": [row(0, "email", "email_taken", "already exists")],
        })
    );
    // One row keeps its address; two rows request the same one.
    let same = json!([
        {"user": ids[0], "email": "b@example.com"}, {"user": ids[1], "email": "B@example.com"},
        {"user": ids[2], "email": "x@example.com"}, {"user": ids[3], "email": "X@example.com"},
    ]);
    let answer = post(&app, UPDATE, &same).await;
    let twice = json!({"index": 3, "field": "email", "code": "email_duplicate", "message": "the same address as users[2]", "other_index": 2});
    assert_eq!(
        (answer.status, answer.error()["rows"].clone()),
        (422, json!([row(0, "email", "email_taken", "already exists"), twice]))
    );
    assert_eq!(app.db_value::<i64>("select count(*) from users where revision > 1").await, 0);
}

#[tokio::test]
async fn addresses_are_swapped_within_a_list() {
    let (app, ids) = app_with(&["a@example.com", "b@example.com", "c@example.com"]).await;
    let list = json!([
        {"user": ids[0], "email": "b@example.com"}, {"user": "b@example.com", "email": "c@example.com"},
        {"user": "c@example.com", "email": "a@example.com", "title": "Boss"},
    ]);
    let answer = post(&app, UPDATE, &list).await;
    assert_eq!(all(&answer, "email"), ["b@example.com", "c@example.com", "a@example.com"]);
    assert_eq!(all(&answer, "user_id"), ids);
    let keys = "select string_agg(email_key, ' ' order by user_id) from users where batch_id is not null";
    assert_eq!(app.db_value::<String>(keys).await, "b@example.com c@example.com a@example.com");
}

#[tokio::test]
async fn only_the_titles_of_service_accounts_in_a_list_can_be_changed() {
    let (app, ids) = app_with(&["robot@example.com"]).await;
    app.db_execute("update users set is_service_account = true where email = 'robot@example.com'").await;
    let answer =
        post(&app, UPDATE, &json!([{"user": ids[0], "name": "x", "email": "y@example.com", "title": "t"}])).await;
    let message = "can't be changed; only the title and the permission level of a service account can be changed";
    assert_eq!(
        (answer.status, answer.error()["rows"].clone()),
        (422, json!([row(0, "name", "service_account", message), row(0, "email", "service_account", message)]))
    );
    assert_eq!(all(&post(&app, UPDATE, &json!([{"user": ids[0], "title": "t"}])).await, "title"), ["t"]);
}

#[tokio::test]
async fn a_list_that_changes_nothing_writes_nothing() {
    let (app, ids) = app_with(&["a@example.com"]).await;
    let events: i64 = app.db_value("select count(*) from audit_events").await;
    let answer = post(&app, UPDATE, &json!([{"user": ids[0], "name": "Ada"}])).await;
    assert_eq!((answer.status, answer.json()["results"][0]["revision"].as_i64()), (200, Some(1)));
    assert_eq!(app.db_value::<i64>("select count(*) from audit_events").await, events);
}

#[tokio::test]
async fn a_body_that_is_not_a_list_is_rejected() {
    let app = TestApp::spawn_with(|config| config.batch.max_users = 3).await;
    let reader = app.actor(PermissionLevel::Collaborator).await;
    for (path, example) in [
        (UPDATE, "[{\"user\": …, \"name\": …}, …]"),
        (SUSPEND, "[{\"user\": …, \"if_match\": …}, …]"),
        (REACTIVATE, "[{\"user\": …, \"if_match\": …}, …]"),
        (DELETE, "[{\"user\": …, \"if_match\": …}, …]"),
    ] {
        for (body, status, code, detail) in [
            ("[]", 400, "empty_batch", "the list is empty; there are no users to change".to_owned()),
            ("{}", 400, "invalid_request", format!("the body must be a JSON array of users: {example}")),
            (
                "[",
                400,
                "invalid_json",
                "the body is not valid JSON: EOF while parsing a list at line 1 column 1".to_owned(),
            ),
            (
                "[{}, {}, {}, {}]",
                413,
                "too_large",
                "more than 3 users in one batch (setting `batch.max_users`); send several batches".to_owned(),
            ),
        ] {
            let answer = Actor::send(app.owner.request("POST", path).body(body)).await;
            assert_eq!((answer.status, answer.error()), (status, json!({"code": code, "detail": detail})), "{body}");
        }
        let long = json!([{"user": "a".repeat(10_000)}, {"user": "' or ''='"}, {"user": "%@%"}]);
        let answer = post(&app, path, &long).await;
        let codes: Vec<Value> =
            answer.error()["rows"].as_array().unwrap().iter().map(|finding| finding["code"].clone()).collect();
        assert_eq!((answer.status, json!(codes)), (422, json!(["user_invalid", "user_invalid", "user_invalid"])));
        assert!(answer.text.len() < 1000, "{}", answer.text);
        let answer = Actor::send(reader.request("POST", path)).await;
        assert_eq!((answer.status, answer.error()["code"].as_str()), (403, Some("forbidden")));
    }
}

#[tokio::test]
async fn concurrent_lists_in_different_order_wait_for_each_other() {
    let emails: Vec<String> = (0..40).map(|n| format!("{n}@example.com")).collect();
    let (app, ids) = app_with(&emails.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let list = |ids: &mut dyn Iterator<Item = &String>, title: &str| -> Value {
        ids.map(|id| json!({"user": id, "title": title})).collect()
    };
    let (up, down) = (list(&mut ids.iter(), "up"), list(&mut ids.iter().rev(), "down"));
    for _ in 0..10 {
        let (one, other) = tokio::join!(post(&app, UPDATE, &up), post(&app, UPDATE, &down));
        assert_eq!([one.status, other.status], [200, 200], "{} {}", one.text, other.text);
        let titles: i64 = app.db_value("select count(distinct title) from users where batch_id is not null").await;
        assert_eq!(titles, 1, "one of the lists applies as a whole");
    }
}

#[tokio::test]
async fn of_two_concurrent_lists_with_the_same_new_address_one_succeeds() {
    let (app, ids) = app_with(&["a@example.com", "b@example.com"]).await;
    for round in 0..10 {
        let email = format!("wanted{round}@example.com");
        let list = |id: &str| json!([{"user": id, "email": email}]);
        let (a, b) = (list(&ids[0]), list(&ids[1]));
        let (one, other) = tokio::join!(post(&app, UPDATE, &a), post(&app, UPDATE, &b));
        let mut ends = [(one.status, one.text), (other.status, other.text)];
        ends.sort();
        assert_eq!([ends[0].0, ends[1].0], [200, 409], "{ends:?}");
        assert!(ends[1].1.contains("\"email_taken\""), "{}", ends[1].1);
    }
}

#[tokio::test]
async fn sign_in_methods_and_levels_of_a_list_are_changed() {
    let app = TestApp::spawn().await;
    let users =
        json!([with_password("a@example.com", "tidal-anchor-Plum-91"), sso("b@example.com"), sso("c@example.com"),]);
    assert_eq!(app.owner.create(&users).await.status, 200);
    let list = json!([
        {"user": "a@example.com", "is_sso_user": true},
        {"user": "b@example.com", "is_sso_user": false, "permission_level": "owner"},
        {"user": "c@example.com", "is_sso_user": true, "permission_level": "collaborator"},
    ]);
    let answer = post(&app, UPDATE, &list).await;
    assert_eq!(all(&answer, "permission_level"), ["collaborator", "owner", "collaborator"]);
    let results = answer.json()["results"].clone();
    let sso: Vec<&Value> = results.as_array().unwrap().iter().map(|user| &user["is_sso_user"]).collect();
    assert_eq!(sso, [true, false, true]);
    let metadata = answer.json()["metadata"].clone();
    assert_eq!((&metadata["changed"], &metadata["unchanged"]), (&json!(2), &json!(1)));
    let changes: Vec<Value> = metadata["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| json!([change["field"], change["before"], change["after"]]))
        .collect();
    assert_eq!(
        json!(changes),
        json!([
            ["is_sso_user", "false", "true"],
            ["is_sso_user", "true", "false"],
            ["permission_level", "collaborator", "owner"],
        ])
    );
    assert_eq!(app.db_value::<i64>("select count(*) from passwords").await, 0, "an SSO user has no password");
    assert_eq!(
        actions(&app, 4).await,
        ["collaborator.update", "user.batch_update", "user.update", "user.update"],
        "each change is recorded"
    );
    let invalid = json!([{"user": "a@example.com", "is_sso_user": null, "permission_level": "admin"}]);
    let answer = post(&app, UPDATE, &invalid).await;
    assert_eq!(
        (answer.status, answer.error()["rows"].clone()),
        (
            422,
            json!([
                row(0, "is_sso_user", "wrong_type", "must be true or false, not null"),
                row(0, "permission_level", "permission_level_unknown", "must be `collaborator` or `owner`"),
            ])
        )
    );
}

#[tokio::test]
async fn a_list_can_replace_the_last_owner_but_not_demote_them() {
    let (app, _) = app_with(&["a@example.com", "b@example.com"]).await;
    let admin = "administrator@muster.invalid";
    let list = json!([
        {"user": "a@example.com", "title": "t"}, {"user": admin, "permission_level": "collaborator"},
    ]);
    let answer = post(&app, UPDATE, &list).await;
    let message = "is an owner, and no other active owner would be left";
    assert_eq!(
        (answer.status, answer.error()["code"].as_str(), answer.error()["rows"].clone()),
        (409, Some("last_owner"), json!([row(1, "user", "last_owner", message)]))
    );
    assert_eq!(app.db_value::<i64>("select count(*) from users where title = 't'").await, 0, "all or none");
    let list = json!([
        {"user": "a@example.com", "permission_level": "owner"}, {"user": admin, "permission_level": "collaborator"},
    ]);
    assert_eq!(all(&post(&app, UPDATE, &list).await, "permission_level"), ["owner", "collaborator"]);
    let owners = "select string_agg(email, ' ') from users join collaborators using (organization_id, user_id)
        where permission_level = 'owner'";
    assert_eq!(app.db_value::<String>(owners).await, "a@example.com");
}

/// Requirement U-44.
#[tokio::test]
async fn users_who_cannot_be_changed_are_left_out_on_request() {
    let (app, ids) = app_with(&["a@example.com", "b@example.com", "c@example.com"]).await;
    let skip = |path: &str, options: &str| format!("{path}?skip_blocked=true{options}");
    let admin = "administrator@muster.invalid";
    assert_eq!(post(&app, SUSPEND, &json!([{"user": "c@example.com"}])).await.status, 200);
    let list = json!([
        {"user": "a@example.com"}, {"user": admin}, {"user": "b@example.com", "if_match": 7}, {"user": "c@example.com"},
        {"user": "d@example.com"}, {"user": ids[0]},
    ]);
    let rows = json!([
        row(1, "user", "last_owner", "is an owner, and no other active owner would be left"),
        row(2, "if_match", "precondition_failed", "the user has changed since this revision; read the user again and retry"),
        row(4, "user", "unknown_user", "there is no such user"),
        {"index": 5, "field": "user", "code": "user_duplicate", "message": "the same user as users[0]", "other_index": 0},
    ]);
    let expected = json!({
        "total": 6, "next_paging_token": null, "changed": 1, "unchanged": 1, "changes": [], "skipped": 4, "skipped_rows": rows,
    });
    let suspended = "select count(*) from users where status = 'suspended'";
    for (options, count) in [("&dry_run=true", 1), ("", 2)] {
        let answer = post(&app, &skip(SUSPEND, options), &list).await;
        assert_eq!(all(&answer, "email"), ["a@example.com", "c@example.com"]);
        assert_eq!(answer.json()["metadata"], expected, "{options}");
        assert_eq!(app.db_value::<i64>(suspended).await, count, "{options}");
    }
    // Without the option, nothing is written; nor is a malformed row left out.
    assert_eq!(post(&app, DELETE, &list).await.status, 422);
    let malformed = post(&app, &skip(DELETE, ""), &json!([{"user": "a@example.com"}, {"user": 7}])).await;
    assert_eq!((malformed.status, malformed.error()["code"].as_str()), (422, Some("batch_rejected")));
    assert_eq!(app.db_value::<i64>("select count(*) from users").await, 4);
    // Levels: the last owner stays one, and addresses that are taken are left out until none is.
    let list = json!([
        {"user": admin, "permission_level": "collaborator"}, {"user": "b@example.com", "email": "c@example.com"},
        {"user": "a@example.com", "title": "t"},
    ]);
    let changed = post(&app, &skip(UPDATE, ""), &list).await;
    assert_eq!(all(&changed, "email"), ["a@example.com"]);
    let codes = changed.json()["metadata"]["skipped_rows"].clone();
    let codes: Vec<&str> = codes.as_array().unwrap().iter().map(|row| row["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["last_owner", "email_taken"]);
}

/// Requirement U-43.
#[tokio::test]
async fn a_list_says_which_access_it_ends() {
    let (app, _) = app_with(&["a@example.com"]).await;
    let user = with_password("b@example.com", crate::pages::PASSWORD);
    assert_eq!(app.owner.create(&json!([user])).await.status, 200);
    app.db_execute("update passwords set must_change = false").await;
    let browser = crate::support::browser::Browser::of(&app);
    assert_eq!(browser.sign_in("b@example.com", crate::pages::PASSWORD).await.status, 200);
    let list = json!([{"user": "a@example.com"}, {"user": "b@example.com"}]);
    let metadata = post(&app, &format!("{SUSPEND}?dry_run=true"), &list).await.json()["metadata"].clone();
    assert_eq!((&metadata["ended_sessions"], &metadata["ended_keys"]), (&json!(1), &json!(null)));
}
