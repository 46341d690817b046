//! Invitations: who is invited, what links open, and how one becomes an account.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Duration, Utc};
use muster::caller::PermissionLevel;
use muster::clock::Clock;
use serde_json::{Value, json};

use crate::support::{Actor, Answer, TestApp, sso};

const PATH: &str = "/api/v2/organization_invitations/";
const PASSWORD: &str = "tidal-anchor-Plum-91";

async fn post(actor: &Actor, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    Actor::send(actor.request("POST", path).body(body)).await
}

async fn invite_all(actor: &Actor, invited: &Value) -> Answer {
    post(actor, &format!("{PATH}batch_create"), invited.to_string()).await
}

/// The id, and the token that the link ends in.
async fn invite(app: &TestApp, email: &str) -> (String, String) {
    let answer = invite_all(&app.owner, &json!([{"email": email}])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let data = answer.json()["results"][0]["data"].clone();
    let prefix = format!("http://{}/invitations/", app.address);
    let token = data["link"].as_str().unwrap().strip_prefix(&prefix).unwrap().to_owned();
    (data["id"].as_str().unwrap().to_owned(), token)
}

async fn accept(app: &TestApp, body: &Value) -> Answer {
    post(&app.anonymous(), &format!("{PATH}accept"), body.to_string()).await
}

async fn submit(app: &TestApp, token: &str, form: &str) -> Answer {
    let request = app.anonymous().request("POST", &format!("/invitations/{token}"));
    Actor::send(request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned())).await
}

fn ada(token: &str) -> Value {
    json!({"token": token, "name": "Ada", "lastname": "Lovelace", "title": "Countess", "password": PASSWORD})
}

async fn emails(actor: &Actor, query: &str) -> Vec<String> {
    let answer = actor.get(&format!("{PATH}{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    let body = answer.json();
    body["results"].as_array().unwrap().iter().map(|one| one["email"].as_str().unwrap().to_owned()).collect()
}

/// Rows that accepting writes.
async fn db_counts(app: &TestApp) -> [i64; 4] {
    [
        app.db_value("select count(*) from users").await,
        app.db_value("select count(*) from collaborators").await,
        app.db_value("select count(*) from passwords").await,
        app.db_value("select count(*) from invitations where accepted_at is not null").await,
    ]
}

async fn actions(app: &TestApp, count: usize) -> Vec<(String, String)> {
    let body = app.owner.get(&format!("/api/v2/audit/events?count={count}")).await.json();
    let show = |event: &Value| {
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        (text("action"), if event["reason"].is_null() { text("outcome") } else { text("reason") })
    };
    body["results"].as_array().unwrap().iter().map(show).collect()
}

#[tokio::test]
async fn each_address_gets_its_result_at_its_place() {
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
    assert_eq!(results[1], refused(400, "invalid_request", "an address must not be empty"));
    assert_eq!(results[2], refused(400, "invalid_request", "` b`: not a valid e-mail address"));
    assert_eq!(results[3], refused(409, "email_taken", "MEMBER@example.com is a member of the organization already"));
    let twice = "Ada@EXAMPLE.com is in the list more than once: the first one counts";
    assert_eq!(results[4], refused(409, "conflict", twice));
    let level = "eve@example.com: `permission_level` has to be `collaborator` or `owner`";
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
async fn lists_that_are_none_are_refused_as_a_whole() {
    let app = TestApp::spawn_with(|config| config.batch.max_users = 3).await;
    let one = json!({"email": "a@example.com"});
    for (body, status, code, detail) in [
        ("", 400, "invalid_json", "the body is not JSON: EOF while parsing a value at line 1 column 0".to_owned()),
        ("[]", 400, "empty_batch", "the list is empty: there is nobody to invite".to_owned()),
        ("{}", 400, "invalid_request", "the body can't be used: expected a list at line 1 column 0".to_owned()),
        (
            r#"[{"email": 1}]"#,
            400,
            "invalid_request",
            "the body can't be used: expected a string at line 1 column 12".to_owned(),
        ),
        (
            r#"[{"email": "a@x.org", "level": 1}]"#,
            400,
            "invalid_request",
            "the body can't be used: unknown field `level`, expected `email` or `permission_level` at line 1 column 29"
                .to_owned(),
        ),
        (
            &json!([one, one, one, one]).to_string(),
            413,
            "too_large",
            "more than 3 addresses in one list (setting `batch.max_users`): send several lists".to_owned(),
        ),
    ] {
        let answer = post(&app.owner, &format!("{PATH}batch_create"), body.to_owned()).await;
        assert_eq!((answer.status, answer.error()), (status, json!({"code": code, "detail": detail})), "{body}");
    }
    assert_eq!(app.db_value::<i64>("select count(*) from invitations").await, 0);
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    // Refused before the body is looked at.
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
    let sentence =
        "this invitation has been taken back or replaced by a newer one: use the latest link, or ask for one";
    let answer = accept(&app, &ada(&old)).await;
    assert_eq!((answer.status, answer.error()), (404, json!({"code": "not_found", "detail": sentence})));
    assert_eq!(accept(&app, &ada(&new)).await.status, 200);
}

#[tokio::test]
async fn lists_with_the_same_addresses_at_the_same_time_leave_one_open_invitation_each() {
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
async fn the_list_has_what_is_open_and_filters_by_address() {
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
async fn an_invitation_is_taken_back_once() {
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
    let sentence = format!("the invitation {id} has been taken back or replaced before");
    assert_eq!((answer.status, answer.error()), (409, json!({"code": "conflict", "detail": sentence})));

    let (id, token) = invite(&app, "grace@example.com").await;
    assert_eq!(accept(&app, &ada(&token)).await.status, 200);
    let answer = post(&app.owner, &format!("{PATH}{id}/invalidate"), "").await;
    let sentence = format!("the invitation {id} has been accepted: the account can be suspended or deleted");
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
async fn a_link_becomes_an_active_account_with_a_password_of_its_own() {
    let app = TestApp::spawn().await;
    let (id, token) = invite(&app, "Ada@example.com").await;
    let answer = accept(&app, &ada(&token)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut result = answer.json()["result"].clone();
    let fields = result.as_object_mut().unwrap();
    let user_id = fields.remove("user_id").unwrap();
    for (field, start) in [("organization_id", "org_"), ("created_at", "2")] {
        assert!(fields.remove(field).unwrap().as_str().unwrap().starts_with(start), "{field}");
    }
    assert_eq!(
        result,
        json!({
            "email": "Ada@example.com", "name": "Ada", "lastname": "Lovelace", "title": "Countess",
            "is_sso_user": false, "permission_level": "collaborator",
        })
    );
    let stored: String = app.db_value("select phc from passwords").await;
    let secret = |text: &str| muster::secret::Secret::new(text);
    assert!(app.app.hasher.verify(secret(PASSWORD), stored.clone()).await.unwrap().matches);
    assert!(!app.db_value::<bool>("select must_change from passwords").await, "they chose it themselves");
    assert_eq!(app.db_value::<String>("select status from users where email = 'Ada@example.com'").await, "active");
    let granted = "select granted_by_kind from collaborators where granted_by_kind <> 'operator'";
    assert_eq!(app.db_value::<String>(granted).await, "invitation");

    let events = app.owner.get("/api/v2/audit/events?count=2").await.json();
    let events = events["results"].as_array().unwrap();
    let accepted = events.iter().find(|event| event["action"] == "invitation.accept").unwrap();
    let created = events.iter().find(|event| event["action"] == "user.create").unwrap();
    assert_eq!((&accepted["target_id"], &accepted["details"]), (&json!(id), &json!({"user_id": user_id})));
    assert_eq!(created["target_id"], user_id);
    for event in events {
        assert_eq!((&event["actor_kind"], &event["actor_id"]), (&json!("invitation"), &json!(id)));
        assert_eq!(event["request_id"], answer.header("x-request-id"));
    }
    // Used up, and said so to its holder.
    let answer = accept(&app, &ada(&token)).await;
    let sentence = "this invitation has been used: the account exists";
    assert_eq!((answer.status, answer.error()), (404, json!({"code": "not_found", "detail": sentence})));
    assert_eq!(actions(&app, 1).await, [("invitation.accept".to_owned(), "used_invitation".to_owned())]);
}

#[tokio::test]
async fn an_owner_may_be_invited_and_sso_needs_no_password() {
    let app = TestApp::spawn().await;
    let answer = invite_all(&app.owner, &json!([{"email": "o@example.com", "permission_level": "owner"}])).await;
    let link = answer.json()["results"][0]["data"]["link"].as_str().unwrap().to_owned();
    let token = link.rsplit('/').next().unwrap();
    let answer = accept(&app, &json!({"token": token, "name": "Olga", "is_sso_user": true})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let result = answer.json()["result"].clone();
    assert_eq!((&result["permission_level"], &result["is_sso_user"]), (&json!("owner"), &json!(true)));
    assert_eq!(app.db_value::<i64>("select count(*) from passwords").await, 0);
}

#[tokio::test]
async fn links_that_open_nothing_are_not_found_and_leave_an_entry_each() {
    let time = Arc::new(Mutex::new("2026-11-26T10:00:00Z".parse::<DateTime<Utc>>().unwrap()));
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&time)), |config| config.invitations.days = 2).await;
    let (id, token) = invite(&app, "ada@example.com").await;
    *time.lock().unwrap() += Duration::days(2);
    let before = db_counts(&app).await;
    let organization = muster::organizations::first(&app.app).await.unwrap().unwrap();
    let forged = muster::invitations::Token::generate(organization, id.parse().unwrap());
    let unknown = muster::invitations::Token::generate(organization, muster::id::Id::new(app.app.clock.now()));
    let nowhere = muster::invitations::Token::generate(
        muster::id::Id::new(app.app.clock.now()),
        muster::id::Id::new(app.app.clock.now()),
    );
    let expired = "this invitation has expired: ask for a new one";
    for (token, sentence) in [
        (token.as_str(), expired),
        (forged.text().expose(), "this invitation is unknown"),
        (unknown.text().expose(), "this invitation is unknown"),
        (nowhere.text().expose(), "this invitation is unknown"),
    ] {
        let answer = accept(&app, &ada(token)).await;
        assert_eq!((answer.status, answer.error()), (404, json!({"code": "not_found", "detail": sentence})));
        let page = app.anonymous().get(&format!("/invitations/{token}")).await;
        assert_eq!(page.status, 404);
        assert!(page.text.contains(sentence) && !page.text.contains("<form"), "{}", page.text);
    }
    let entries = actions(&app, 20).await;
    let denied: Vec<&str> =
        entries.iter().filter(|(action, _)| action == "invitation.accept").map(|(_, reason)| reason.as_str()).collect();
    let mut expected = vec!["unknown_invitation"; 4];
    expected.extend(["expired_invitation"; 2]);
    // A link that names no organization leaves none.
    assert_eq!(denied, expected);

    // Mistyped, cut, or of another kind: refused without asking the database, with nothing recorded.
    let entries = app.db_value::<i64>("select count(*) from audit_events").await;
    let sentence = "this is not a valid invitation link: check that all of it was copied";
    for wrong in [&token[..token.len() - 1], "ami_", "x", app.owner.token()] {
        let answer = accept(&app, &ada(wrong)).await;
        assert_eq!((answer.status, answer.error()), (404, json!({"code": "not_found", "detail": sentence})));
    }
    assert_eq!(app.db_value::<i64>("select count(*) from audit_events").await, entries);
    assert_eq!(db_counts(&app).await, before);
    app.app.db.close().await;
    assert_eq!(accept(&app, &ada("ami_x")).await.status, 404);
    assert_eq!(accept(&app, &ada(&token)).await.status, 503);
}

#[tokio::test]
async fn an_invitations_token_is_no_api_key() {
    let app = TestApp::spawn().await;
    let (_, token) = invite(&app, "ada@example.com").await;
    let answer = app.owner.with_token(&token).get("/api/v2/userinfo/").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn fields_that_can_not_be_used_are_all_named_and_the_link_stays() {
    let app = TestApp::spawn().await;
    let (_, token) = invite(&app, "ada@example.com").await;
    let before = db_counts(&app).await;
    let long = "x".repeat(256);
    for (fields, sentence) in [
        (json!({"name": "", "password": "short"}), "name: must not be empty; password: shorter than 8 characters"),
        (json!({"name": "Ada"}), "password: must not be empty"),
        (json!({"name": "Ada", "password": ""}), "password: must not be empty"),
        (
            json!({"name": "Ada", "is_sso_user": true, "password": PASSWORD}),
            "password: whoever signs in through SSO has none: leave it out, or is_sso_user",
        ),
        (
            json!({"name": "a\nb", "lastname": long, "title": "\u{0}", "password": PASSWORD}),
            "name: has a control character (a line break, a tab, NUL or the like); lastname: longer than 255 \
             characters; title: has a control character (a line break, a tab, NUL or the like)",
        ),
        (
            json!({"name": "Ada", "password": "ada@example.com"}),
            "password: too easy to guess: it is common, follows a pattern or repeats the person's name or address; \
             several unrelated words are better",
        ),
    ] {
        let mut body = fields.clone();
        body["token"] = json!(token);
        let answer = accept(&app, &body).await;
        let detail = format!("the account can't be made: {sentence}");
        assert_eq!(
            (answer.status, answer.error()),
            (400, json!({"code": "invalid_request", "detail": detail})),
            "{fields}"
        );
    }
    for (body, code) in [
        (json!({"token": token}), "invalid_request"),
        (json!({"token": token, "name": "Ada", "password": PASSWORD, "permission_level": "owner"}), "invalid_request"),
        (json!({"token": token, "name": "Ada", "password": PASSWORD, "email": "x@y.org"}), "invalid_request"),
        (json!([]), "invalid_request"),
    ] {
        let answer = accept(&app, &body).await;
        assert_eq!((answer.status, &answer.error()["code"]), (400, &json!(code)), "{body}");
        assert!(!answer.text.contains(PASSWORD));
    }
    assert_eq!(db_counts(&app).await, before);
    assert_eq!(accept(&app, &ada(&token)).await.status, 200);
}

#[tokio::test]
async fn a_body_of_more_than_4096_bytes_is_refused() {
    let app = TestApp::spawn().await;
    let (_, token) = invite(&app, "ada@example.com").await;
    let mut body = ada(&token).to_string();
    body.push_str(&" ".repeat(4096 - body.len()));
    let answer = post(&app.anonymous(), &format!("{PATH}accept"), format!("{body} ")).await;
    let detail = "the body is longer than 4096 bytes";
    assert_eq!((answer.status, answer.error()), (413, json!({"code": "too_large", "detail": detail})));
    assert_eq!(post(&app.anonymous(), &format!("{PATH}accept"), body).await.status, 200);
    let page = submit(&app, &token, &format!("name={}&password=x", "n".repeat(4096))).await;
    assert_eq!(page.status, 413);
    assert!(page.text.contains(detail), "{}", page.text);
}

#[tokio::test]
async fn of_many_who_accept_at_the_same_time_one_gets_the_account() {
    let app = TestApp::spawn().await;
    let (_, token) = invite(&app, "ada@example.com").await;
    let before = db_counts(&app).await;
    let accepting: Vec<_> = (0..8)
        .map(|n| {
            let request = app.anonymous().request("POST", &format!("{PATH}accept"));
            let body = json!({"token": token, "name": format!("Ada {n}"), "password": PASSWORD});
            tokio::spawn(Actor::send(request.body(body.to_string())))
        })
        .collect();
    let mut statuses = Vec::new();
    for answer in accepting {
        let answer = answer.await.unwrap();
        if answer.status != 200 {
            let code = answer.error()["code"].clone();
            assert!(code == "not_found" || code == "email_taken", "{}", answer.text);
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(db_counts(&app).await, before.map(|count| count + 1));
}

#[tokio::test]
async fn who_became_a_member_meanwhile_needs_no_invitation() {
    let app = TestApp::spawn().await;
    let (_, token) = invite(&app, "ada@example.com").await;
    assert_eq!(app.owner.create(&json!([sso("ADA@example.com")])).await.status, 200);
    let answer = accept(&app, &ada(&token)).await;
    let sentence = "this address has an account already: no invitation is needed any more";
    assert_eq!((answer.status, answer.error()), (409, json!({"code": "email_taken", "detail": sentence})));
    let page = submit(&app, &token, &format!("name=Ada&password={PASSWORD}")).await;
    assert_eq!(page.status, 409);
    assert!(page.text.contains(sentence));
    assert_eq!(app.db_value::<i64>("select count(*) from passwords").await, 0);
}

#[tokio::test]
async fn the_page_works_without_scripts_and_keeps_what_was_typed_but_the_password() {
    let app = TestApp::spawn().await;
    let (_, token) = invite(&app, "a&'b@example.com").await;
    let page = app.anonymous().get(&format!("/invitations/{token}")).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.ends_with("'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"), "{policy}");
    for part in [
        "<strong>a&amp;&#39;b@example.com</strong>",
        "<form method=\"post\">",
        "autocomplete=\"new-password\"",
        "<h1>Join Default organization</h1>",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    assert!(!page.text.contains("<script") && !page.text.contains("role=\"alert\""));

    let page = submit(&app, &token, "name=%3Cb%3E%22A%27&lastname=%26&password=hunter2").await;
    assert_eq!((page.status, page.header("cache-control")), (400, "no-store"));
    for part in [
        "<p role=\"alert\">the account can&#39;t be made: password: shorter than 8 characters</p>",
        "value=\"&lt;b&gt;&quot;A&#39;\"",
        "value=\"&amp;\"",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    assert!(!page.text.contains("hunter2"));

    let page = submit(&app, &token, &format!("name=Ada+L.&lastname=&password={PASSWORD}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("<h1>Your account is ready</h1>"), "{}", page.text);
    let name = "select name || coalesce(lastname, '-') from users where email = 'a&''b@example.com'";
    assert_eq!(app.db_value::<String>(name).await, "Ada L.-");
    let page = submit(&app, &token, &format!("name=Ada&password={PASSWORD}")).await;
    assert_eq!(page.status, 404);
    assert!(page.text.contains("this invitation has been used"));
}

#[tokio::test]
async fn forms_that_are_none_are_refused_on_a_page() {
    let app = TestApp::spawn().await;
    let (_, token) = invite(&app, "ada@example.com").await;
    for form in ["", "name=Ada", "name=Ada&name=Eve&password=x", "name=Ada&password=x&role=owner", "name=%ff"] {
        let page = submit(&app, &token, form).await;
        assert_eq!((page.status, page.header("content-type")), (400, "text/html; charset=utf-8"), "{form}");
        assert!(page.text.contains("the form can&#39;t be used") || page.text.contains("role=\"alert\""), "{form}");
    }
    let page = submit(&app, &token, "name=A%00da&password=x").await;
    assert_eq!(page.status, 400);
    let mut bytes = b"name=".to_vec();
    bytes.push(0xff);
    let answer = Actor::send(app.anonymous().request("POST", &format!("/invitations/{token}")).body(bytes)).await;
    assert!(answer.text.contains("the form can&#39;t be used: it is not UTF-8"), "{}", answer.text);
}

#[tokio::test]
async fn links_begin_with_the_public_url_that_is_set() {
    let app =
        TestApp::spawn_with(|config| config.server.public_url = "https://muster.example.org/people/".to_owned()).await;
    let answer = invite_all(&app.owner, &json!([{"email": "ada@example.com"}])).await;
    let link = answer.json()["results"][0]["data"]["link"].as_str().unwrap().to_owned();
    assert!(link.starts_with("https://muster.example.org/people/invitations/ami_"), "{link}");
}
