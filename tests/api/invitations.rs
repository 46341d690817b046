//! Creating, listing and invalidating invitations.

use chrono::{DateTime, Utc};
use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::{Actor, Answer, TestApp, sso};

pub const PATH: &str = "/api/v2/organization_invitations/";
pub const PASSWORD: &str = "tidal-anchor-Plum-91";

pub async fn post(actor: &Actor, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    Actor::send(actor.request("POST", path).body(body)).await
}

pub async fn invite_all(actor: &Actor, invited: &Value) -> Answer {
    post(actor, &format!("{PATH}batch_create"), invited.to_string()).await
}

/// The ID, and the token of the link.
pub async fn invite(app: &TestApp, email: &str) -> (String, String) {
    let answer = invite_all(&app.owner, &json!([{"email": email}])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let data = answer.json()["results"][0]["data"].clone();
    let prefix = format!("http://{}/invitations/", app.address);
    let token = data["link"].as_str().unwrap().strip_prefix(&prefix).unwrap().to_owned();
    (data["id"].as_str().unwrap().to_owned(), token)
}

pub async fn accept(app: &TestApp, body: &Value) -> Answer {
    post(&app.anonymous(), &format!("{PATH}accept"), body.to_string()).await
}

pub fn ada(token: &str) -> Value {
    json!({"token": token, "name": "Ada", "lastname": "Lovelace", "title": "Countess", "password": PASSWORD})
}

async fn emails(actor: &Actor, query: &str) -> Vec<String> {
    let answer = actor.get(&format!("{PATH}{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    let body = answer.json();
    body["results"].as_array().unwrap().iter().map(|one| one["email"].as_str().unwrap().to_owned()).collect()
}

pub async fn actions(app: &TestApp, count: usize) -> Vec<(String, String)> {
    let body = app.owner.get(&format!("/api/v2/audit/events?count={count}")).await.json();
    let show = |event: &Value| {
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        (text("action"), if event["reason"].is_null() { text("outcome") } else { text("reason") })
    };
    body["results"].as_array().unwrap().iter().map(show).collect()
}

#[tokio::test]
async fn results_have_the_order_of_the_addresses() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([sso("Member@example.com")])).await;
    let asked = json!([
        {"email": "ada@example.com"},
        {"email": ""},
        {"email": " b"},
        {"email": "MEMBER@example.com"},
        {"email": " Ada@EXAMPLE.com"},
        {"email": "grace@example.com", "permission_level": "owner"},
        {"email": "eve@example.com", "permission_level": "admin"},
    ]);
    let answer = invite_all(&app.owner, &asked).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["results"]);
    let results = body["results"].as_array().unwrap();
    let refused = |status: u16, code: &str, sentence: &str| json!({"status": status, "error": {"code": code, "detail": sentence, "message": sentence}});
    assert_eq!(results.len(), 7);
    for (index, email, level) in [(0, "ada@example.com", "collaborator"), (5, "grace@example.com", "owner")] {
        let data = &results[index]["data"];
        assert_eq!((&results[index]["status"], results[index].get("error")), (&json!(200), None));
        assert_eq!((&data["email"], &data["permission_level"]), (&json!(email), &json!(level)));
        assert!(data["id"].as_str().unwrap().starts_with("orginv_"));
        let link = data["link"].as_str().unwrap();
        assert!(link.starts_with(&format!("http://{}/invitations/ami_", app.address)), "{link}");
        let expires_at: DateTime<Utc> = data["expires_at"].as_str().unwrap().parse().unwrap();
        let days = (expires_at - app.app.clock.now()).num_minutes();
        assert!((7 * 1440 - 2..=7 * 1440).contains(&days), "{days}");
    }
    assert_eq!(results[1], refused(400, "invalid_request", "the address must not be empty"));
    assert_eq!(results[2], refused(400, "invalid_request", "` b`: not a valid e-mail address"));
    assert_eq!(results[3], refused(409, "email_taken", "MEMBER@example.com is already a member of the organization"));
    let twice = "Ada@EXAMPLE.com is in the list more than once; the first entry is used";
    assert_eq!(results[4], refused(409, "conflict", twice));
    let level = "eve@example.com: `permission_level` must be `collaborator` or `owner`";
    assert_eq!(results[6], refused(400, "invalid_request", level));

    assert_eq!(emails(&app.owner, "").await, ["ada@example.com", "grace@example.com"]);
    let expected = ["invitation.batch_create", "invitation.create", "invitation.create"];
    let mut found: Vec<String> = actions(&app, 3).await.into_iter().map(|(action, _)| action).collect();
    found.sort();
    assert_eq!(found, expected);
    let events = app.owner.get("/api/v2/audit/events?action=invitation.batch_create").await.json();
    assert_eq!(events["results"][0]["details"], json!({"invitations": 2, "refused": 5}));
    let audit = app.owner.get("/api/v2/audit/events").await.text;
    assert!(!audit.contains("example.com") && !audit.contains("ami_"), "no personal data, no link: {audit}");
}

#[tokio::test]
async fn malformed_lists_are_rejected() {
    let app = TestApp::spawn_with(|config| config.batch.max_users = 3).await;
    let one = json!({"email": "a@example.com"});
    for (body, status, code, detail) in [
        (
            "",
            400,
            "invalid_json",
            "the request body is not valid JSON: EOF while parsing a value at line 1 column 0".to_owned(),
        ),
        ("[]", 400, "empty_batch", "the list is empty".to_owned()),
        ("{}", 400, "invalid_request", "invalid request body: expected a list at line 1 column 0".to_owned()),
        (
            r#"[{"email": 1}]"#,
            400,
            "invalid_request",
            "invalid request body: expected a string at line 1 column 12".to_owned(),
        ),
        (
            r#"[{"email": "a@x.org", "level": 1}]"#,
            400,
            "invalid_request",
            "invalid request body: unknown field `level`, expected `email` or `permission_level` at line 1 column 29"
                .to_owned(),
        ),
        (
            &json!([one, one, one, one]).to_string(),
            413,
            "too_large",
            "more than 3 addresses in one list (setting `batch.max_users`); send several lists".to_owned(),
        ),
    ] {
        let answer = post(&app.owner, &format!("{PATH}batch_create"), body.to_owned()).await;
        assert_eq!((answer.status, answer.error()), (status, json!({"code": code, "detail": detail})), "{body}");
    }
    assert_eq!(app.db_value::<i64>("select count(*) from invitations").await, 0);
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    // Rejected before the body is read.
    assert_eq!(post(&collaborator, &format!("{PATH}batch_create"), "not JSON").await.status, 403);
}

#[tokio::test]
async fn a_newer_invitation_replaces_the_open_one() {
    let app = TestApp::spawn().await;
    let (first, old) = invite(&app, "ada@example.com").await;
    let (second, new) = invite(&app, "ADA@example.com").await;
    assert_eq!(emails(&app.owner, "").await, ["ADA@example.com"]);
    let events = app.owner.get("/api/v2/audit/events?action=invitation.create").await.json();
    let details = &events["results"][0];
    assert_eq!((&details["details"]["replaces"], &details["target_id"]), (&json!(first), &json!(second)));
    assert_eq!(events["results"][1]["details"]["replaces"], Value::Null);
    let sentence = "the invitation was revoked or replaced by a newer one; use the latest link or ask for a new one";
    let answer = accept(&app, &ada(&old)).await;
    assert_eq!((answer.status, answer.error()), (404, json!({"code": "not_found", "detail": sentence})));
    assert_eq!(accept(&app, &ada(&new)).await.status, 200);
}

#[tokio::test]
async fn concurrent_lists_with_the_same_addresses_leave_one_open_invitation_each() {
    let app = TestApp::spawn().await;
    let mut list: Vec<Value> = (0..200).map(|n| json!({"email": format!("{n}@example.com")})).collect();
    let sending: Vec<_> = (0..6)
        .map(|_| {
            list.reverse();
            let (owner, list) = (app.owner.clone(), json!(list));
            tokio::spawn(async move { invite_all(&owner, &list).await })
        })
        .collect();
    for sent in sending {
        let answer = sent.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.json()["results"].as_array().unwrap().iter().all(|one| one["status"] == 200));
    }
    assert_eq!(app.db_value::<i64>("select count(*) from invitations").await, 1200);
    assert_eq!(emails(&app.owner, "").await.len(), 200, "all in one answer");
}

#[tokio::test]
async fn the_list_contains_open_invitations_and_filters_by_address() {
    let app = TestApp::spawn().await;
    for email in ["ada@example.com", "a_b%c'd@example.com", "gone@example.com", "taken@example.com"] {
        invite(&app, email).await;
    }
    app.db_execute("update invitations set expires_at = created_at + interval '1 us' where email like 'gone%'").await;
    let (id, token) = invite(&app, "taken@example.com").await;
    assert_eq!(accept(&app, &ada(&token)).await.status, 200);
    let list = app.owner.get(PATH).await.json();
    assert_eq!(list["metadata"], json!({"total": 2, "next_paging_token": null}));
    let mut row = list["results"][0].clone();
    let fields = row.as_object_mut().unwrap();
    for (field, start) in [("id", "orginv_"), ("organization_id", "org_"), ("created_at", "2"), ("expires_at", "2")] {
        assert!(fields.remove(field).unwrap().as_str().unwrap().starts_with(start), "{field}");
    }
    assert_eq!(row, json!({"email": "ada@example.com", "permission_level": "collaborator", "accepted_at": null}));
    assert_ne!(list["results"][0]["id"], json!(id));
    let long = "x".repeat(10_000);
    let none: [&str; 0] = [];
    for (query, expected) in [
        ("?email=ADA%40example.com", &["ada@example.com"][..]),
        ("?email=a_b%25c%27d%40example.com", &["a_b%c'd@example.com"]),
        ("?email=a_b%25%40example.com", &none),
        ("?email=%25", &none),
        ("?email=_", &none),
        ("?email=%27%20or%201=1--", &none),
        ("?email=", &none),
        (&format!("?email={long}"), &none),
    ] {
        assert_eq!(emails(&app.owner, query).await, expected, "{query}");
    }
    for query in ["?count=0", "?count=51", "?paging_token=x", "?sort=email", "?email=%00", "?email=a&email=b"] {
        let answer = app.owner.get(&format!("{PATH}{query}")).await;
        assert_eq!((answer.status, &answer.error()["code"]), (400, &json!("invalid_request")), "{query}");
    }
}

#[tokio::test]
async fn an_invitation_is_invalidated_once() {
    let app = TestApp::spawn().await;
    let (id, token) = invite(&app, "ada@example.com").await;
    let path = format!("{PATH}{id}/invalidate");
    let answer = post(&app.owner, &path, "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let result = answer.json()["result"].clone();
    assert_eq!(
        (&result["id"], &result["email"], &result["accepted_at"]),
        (&json!(id), &json!("ada@example.com"), &Value::Null)
    );
    assert!(emails(&app.owner, "").await.is_empty());
    assert_eq!(actions(&app, 1).await, [("invitation.invalidate".to_owned(), "success".to_owned())]);
    assert_eq!(accept(&app, &ada(&token)).await.status, 404);
    let answer = post(&app.owner, &path, "").await;
    let sentence = format!("invitation {id} has already been revoked or replaced");
    assert_eq!((answer.status, answer.error()), (409, json!({"code": "conflict", "detail": sentence})));

    let (id, token) = invite(&app, "grace@example.com").await;
    assert_eq!(accept(&app, &ada(&token)).await.status, 200);
    let answer = post(&app.owner, &format!("{PATH}{id}/invalidate"), "").await;
    let sentence = format!("invitation {id} has already been accepted; suspend or delete the account instead");
    assert_eq!((answer.status, answer.error()), (409, json!({"code": "conflict", "detail": sentence})));

    let unknown = "orginv_01k9h6m3x0e8wbz1v5n7q2r4t6";
    let answer = post(&app.owner, &format!("{PATH}{unknown}/invalidate"), "").await;
    let sentence = format!("there is no invitation {unknown}");
    assert_eq!((answer.status, answer.error()), (404, json!({"code": "not_found", "detail": sentence})));
    for id in ["usr_01k9h6m3x0e8wbz1v5n7q2r4t6", "orginv_", "%27", "..%2F.."] {
        let answer = post(&app.owner, &format!("{PATH}{id}/invalidate"), "").await;
        assert_eq!((answer.status, &answer.error()["code"]), (404, &json!("not_found")), "{id}");
    }
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    assert_eq!(post(&collaborator, &format!("{PATH}{unknown}/invalidate"), "").await.status, 403);
}

#[tokio::test]
async fn links_start_with_the_public_url() {
    let app =
        TestApp::spawn_with(|config| config.server.public_url = "https://muster.example.org/people/".to_owned()).await;
    let answer = invite_all(&app.owner, &json!([{"email": "ada@example.com"}])).await;
    let link = answer.json()["results"][0]["data"]["link"].as_str().unwrap().to_owned();
    assert!(link.starts_with("https://muster.example.org/people/invitations/ami_"), "{link}");
}

/// Invites a list of people, all or none.
async fn invite_people(actor: &Actor, query: &str, people: &Value) -> Answer {
    post(actor, &format!("{PATH}admin_batch_create{query}"), people.to_string()).await
}

#[tokio::test]
async fn people_are_invited_all_or_none() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([sso("member@example.com")])).await;
    invite(&app, "open@example.com").await;
    let finding = |index, field: &str, code: &str, message: &str| json!({"index": index, "field": field, "code": code, "message": message});
    let password = "an invited person chooses the password; remove the value, or create the user instead";
    let people = json!([
        {"email": "new@example.com", "name": "New"},
        {"email": "MEMBER@example.com"},
        {"email": "a@example.com", "name": " ", "password": "hunter2hunter2", "is_sso_user": true},
        {"email": "b@example.com", "password_hash": "$2b$x", "must_change_password": false, "permission_level": "admin"},
        {"email": "New@example.com"},
        {"name": "Nobody"},
        {"email": "open@example.com", "permission_level": "owner"},
        7,
    ]);
    let answer = invite_people(&app.owner, "", &people).await;
    assert_eq!((answer.status, &answer.error()["code"]), (422, &json!("batch_rejected")), "{}", answer.text);
    assert!(!answer.text.contains("hunter2"), "{}", answer.text);
    let rows = answer.error()["rows"].as_array().unwrap().clone();
    for row in [
        finding(1, "email", "email_taken", "already exists"),
        finding(2, "password", "password_in_invitation", password),
        finding(
            2,
            "is_sso_user",
            "sso_user_in_invitation",
            "an invited person chooses a password; create an SSO user instead",
        ),
        finding(3, "password_hash", "password_in_invitation", password),
        finding(3, "must_change_password", "password_in_invitation", password),
        finding(3, "permission_level", "permission_level_unknown", "must be `collaborator` or `owner`"),
        finding(5, "email", "missing", "is missing"),
        finding(
            6,
            "permission_level",
            "invited_with_another_level",
            "has an open invitation as `collaborator`; resend the invitation to replace it",
        ),
    ] {
        assert!(rows.contains(&row), "{row} in {rows:?}");
    }
    assert_eq!(emails(&app.owner, "").await, ["open@example.com"]);
    assert_eq!(app.db_value::<i64>("select count(*) from invitations").await, 1);

    let answer = invite_people(&app.owner, "", &json!([{"email": "member@example.com"}])).await;
    assert_eq!((answer.status, &answer.error()["code"]), (409, &json!("batch_conflict")));
    assert_eq!(invite_people(&app.owner, "", &json!([])).await.status, 400);
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    assert_eq!(invite_people(&collaborator, "", &people).await.status, 403);
}

#[tokio::test]
async fn an_open_invitation_is_skipped_unless_it_is_resent() {
    let app = TestApp::spawn().await;
    let (open, old) = invite(&app, "open@example.com").await;
    let people = json!([{"email": "OPEN@example.com"}, {"email": "new@example.com"}]);
    let planned = invite_people(&app.owner, "?dry_run=true", &people).await;
    assert_eq!(planned.status, 200, "{}", planned.text);
    assert!(planned.json()["results"][1].get("link").is_none() && planned.json()["results"][1].get("id").is_none());
    assert_eq!(app.db_value::<i64>("select count(*) from invitations").await, 1, "a dry run writes nothing");

    let answer = invite_people(&app.owner, "", &people).await.json();
    let (skipped, invited) = (&answer["results"][0], &answer["results"][1]);
    assert_eq!((&skipped["outcome"], &skipped["id"]), (&json!("already_invited"), &json!(open)));
    assert!(skipped.get("link").is_none());
    assert_eq!(invited["outcome"], "invited");
    let url = format!("http://{}", app.address);
    assert_eq!(
        answer["metadata"],
        json!({
            "total": 2, "next_paging_token": null, "invited": 1, "already_invited": 1, "replaced": 0,
            "link_warning": format!("the links begin with `{url}`, which only this machine can open; set `server.public_url` to the address for everybody"),
        })
    );
    let events = async || app.db_value::<i64>("select count(*) from audit_events").await;
    let before = events().await;
    let again = invite_people(&app.owner, "", &people).await.json();
    assert_eq!((&again["metadata"]["invited"], &again["metadata"]["already_invited"]), (&json!(0), &json!(2)));
    assert_eq!(events().await, before, "nothing happened");

    let resent = invite_people(&app.owner, "?resend=true", &people).await.json();
    assert_eq!((&resent["metadata"]["invited"], &resent["metadata"]["replaced"]), (&json!(2), &json!(2)));
    assert_eq!(resent["results"][0]["replaces"], json!(open));
    assert_eq!(accept(&app, &ada(&old)).await.status, 404, "the old link no longer works");

    app.db_execute("update invitations set expires_at = created_at + interval '1 us'").await;
    let expired = invite_people(&app.owner, "", &people).await.json();
    assert_eq!((&expired["metadata"]["invited"], &expired["metadata"]["replaced"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn names_and_titles_of_a_list_are_the_defaults_of_the_form() {
    let app = TestApp::spawn().await;
    let person = json!({"email": "ada@example.com", "name": "<Ada>", "lastname": "King", "title": "Countess", "is_sso_user": false});
    let answer = invite_people(&app.owner, "", &json!([person, {"email": "grace@example.com"}])).await.json();
    let token = |n: usize| answer["results"][n]["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let page = app.anonymous().get(&format!("/invitations/{}", token(0))).await;
    for part in [
        "name=\"name\" value=\"&#60;Ada&#62;\"",
        "name=\"lastname\" value=\"King\"",
        "name=\"title\" value=\"Countess\"",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    let page = app.anonymous().get(&format!("/invitations/{}", token(1))).await;
    assert!(page.text.contains("name=\"name\" value=\"\""), "{}", page.text);

    let accepted = accept(&app, &json!({"token": token(0), "name": "Ada", "lastname": "", "password": PASSWORD})).await;
    let result = accepted.json()["result"].clone();
    assert_eq!(
        (&result["name"], &result["lastname"], &result["title"]),
        (&json!("Ada"), &Value::Null, &json!("Countess"))
    );
}
