//! The strength of passwords: which are checked, how much of them, and how often a link can be tried.

use std::sync::{Arc, Mutex};

use chrono::{TimeDelta, Utc};
use muster::clock::Clock;
use serde_json::{Value, json};

use crate::invitations::{PASSWORD, PATH, accept, ada, invite};
use crate::support::{Actor, BATCH, TestApp, sso, with_password};

const TOO_EASY: &str =
    "too easy to guess: common, a pattern, or the person's name or address; use several unrelated words";

async fn findings(app: &TestApp, users: &Value) -> Vec<(u64, String, String)> {
    let answer = app.owner.post(&format!("{BATCH}?dry_run=true"), users).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    let rows = answer.error()["rows"].as_array().unwrap().clone();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter().map(|row| (row["index"].as_u64().unwrap(), text(row, "field"), text(row, "code"))).collect()
}

#[tokio::test]
async fn a_row_with_another_finding_is_not_checked_for_strength() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([sso("taken@example.com")])).await;
    let with = |email: &str, field: &str, value: Value| {
        let mut user = with_password(email, "password");
        user[field] = value;
        user
    };
    let users = json!([
        with("a@example.com", "title", json!("a\nb")),
        with("b@example.com", "lastname", json!(7)),
        with("c@example.com", "nickname", json!("c")),
        with("d@example.com", "permission_level", json!("root")),
        with("taken@example.com", "title", json!("e")),
        with("f@example.com", "title", json!("f")),
        with("f@example.com", "title", json!("g")),
        with("not an address", "title", json!("h")),
    ]);
    let expected = [
        (0, "title", "control_character"),
        (1, "lastname", "wrong_type"),
        (2, "nickname", "unknown_field"),
        (3, "permission_level", "permission_level_unknown"),
        (4, "email", "email_taken"),
        (5, "password", "password_too_easy"),
        (6, "email", "email_duplicate"),
        (7, "email", "email_invalid"),
    ];
    assert_eq!(findings(&app, &users).await, expected.map(|(index, field, code)| (index, field.into(), code.into())));
    // The same for an invitation: the message names all invalid fields.
    let (_, token) = invite(&app, "ada@example.com").await;
    for (name, sentence) in [("", "name: must not be empty"), ("Ada", &format!("password: {TOO_EASY}"))] {
        let answer = accept(&app, &json!({"token": token, "name": name, "password": "password"})).await;
        let detail = format!("the account can't be created: {sentence}");
        assert_eq!((answer.status, answer.error()), (400, json!({"code": "invalid_request", "detail": detail})));
    }
}

#[tokio::test]
async fn a_bounded_prefix_of_a_password_decides() {
    let app = TestApp::spawn().await;
    let end = " kT9$wqzPlr kT9$wqzPlr";
    let users = json!([
        with_password("a@example.com", &format!("{}{end}", "a".repeat(60))),
        with_password("b@example.com", &format!("{}{end}", "a".repeat(20))),
        with_password("c@example.com", &"@4({[<1!|7$5+69".repeat(16)),
    ]);
    assert_eq!(findings(&app, &users).await, [(0, "password".to_owned(), "password_too_easy".to_owned())]);
}

#[tokio::test]
async fn a_link_that_is_tried_too_often_gets_429_on_all_instances() {
    let start = Utc::now() - TimeDelta::hours(1);
    let clock = Arc::new(Mutex::new(start));
    let one = TestApp::spawn_at(Clock::Manual(Arc::clone(&clock)), |_| {}).await;
    let other = TestApp::spawn_on(one.database.clone(), Clock::Manual(Arc::clone(&clock)), |_| {}).await;
    let ((_, token), (_, another)) = (invite(&one, "ada@example.com").await, invite(&one, "eve@example.com").await);
    for attempt in 0..10 {
        let app = if attempt % 2 == 0 { &one } else { &other };
        let body = json!({"token": token, "name": "Ada", "password": "password"});
        assert_eq!(accept(app, &body).await.status, 400, "{attempt}");
    }
    *clock.lock().unwrap() = start + TimeDelta::seconds(20);
    let limited = json!({"code": "rate_limited", "detail": "too many attempts to accept this invitation; retry later"});
    for app in [&one, &other] {
        // Correct data, too: an attacker must not learn more than that.
        let answer = accept(app, &ada(&token)).await;
        assert_eq!((answer.status, answer.error(), answer.header("retry-after")), (429, limited.clone(), "40"));
        let form = app.anonymous().request("POST", &format!("/invitations/{token}"));
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        let page = Actor::send(form.body(format!("name=Ada&password={PASSWORD}"))).await;
        assert_eq!((page.status, page.header("retry-after")), (429, "40"));
        assert!(page.text.contains("oo many attempts to accept this invitation; retry later"), "{}", page.text);
        // Nothing is tried by looking.
        assert_eq!(app.anonymous().get(&format!("/invitations/{token}")).await.status, 200);
    }
    assert_eq!(accept(&other, &ada(&another)).await.status, 200, "another link");
    *clock.lock().unwrap() = start + TimeDelta::seconds(60);
    assert_eq!(accept(&other, &ada(&token)).await.status, 200);
    assert_eq!(one.owner.get(PATH).await.json()["results"], json!([]));
}
