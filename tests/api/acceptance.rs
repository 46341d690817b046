//! Accepting invitations: over the API and on the page.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Duration, Utc};
use muster::clock::Clock;
use serde_json::json;

use crate::invitations::{PASSWORD, PATH, accept, actions, ada, invite, invite_all, post};
use crate::support::gate::eventually;
use crate::support::{Actor, Answer, TestApp, sso};

async fn submit(app: &TestApp, token: &str, form: &str) -> Answer {
    let request = app.anonymous().request("POST", &format!("/invitations/{token}"));
    Actor::send(request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned())).await
}

/// Whether a page has a message of the API, as a sentence.
fn says(page: &Answer, message: &str) -> bool {
    let (first, rest) = message.split_at(1);
    page.text.contains(&format!("{}{}.", first.to_uppercase(), rest.replace('\'', "&#39;")))
}

/// Counts the rows that accepting an invitation writes.
async fn db_counts(app: &TestApp) -> [i64; 4] {
    [
        app.db_value("select count(*) from users").await,
        app.db_value("select count(*) from collaborators").await,
        app.db_value("select count(*) from passwords").await,
        app.db_value("select count(*) from invitations where accepted_at is not null").await,
    ]
}

#[tokio::test]
async fn a_link_creates_an_active_account_with_a_password() {
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
    // A used link is reported as used.
    let answer = accept(&app, &ada(&token)).await;
    let sentence = "the invitation has already been accepted; the account exists";
    assert_eq!((answer.status, answer.error()), (404, json!({"code": "not_found", "detail": sentence})));
    let denied = [("invitation.accept".to_owned(), "used_invitation".to_owned())];
    eventually("the denial is recorded", async || actions(&app, 1).await == denied).await;
}

#[tokio::test]
async fn an_owner_can_be_invited_and_sso_needs_no_password() {
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
async fn invalid_links_are_not_found_and_are_audited() {
    // Not in the future: IDs are monotonic within the process, so a later clock would affect other tests.
    let time = Arc::new(Mutex::new("2026-01-05T10:00:00Z".parse::<DateTime<Utc>>().unwrap()));
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
    let expired = "the invitation has expired; ask for a new one";
    for (token, sentence) in [
        (token.as_str(), expired),
        (forged.text().expose(), "unknown invitation"),
        (unknown.text().expose(), "unknown invitation"),
        (nowhere.text().expose(), "unknown invitation"),
    ] {
        let answer = accept(&app, &ada(token)).await;
        assert_eq!((answer.status, answer.error()), (404, json!({"code": "not_found", "detail": sentence})));
        let page = app.anonymous().get(&format!("/invitations/{token}")).await;
        assert_eq!(page.status, 404);
        assert!(says(&page, sentence) && !page.text.contains("<form"), "{}", page.text);
        assert_eq!(page.header("referrer-policy"), "no-referrer");
    }
    // Of each reason, the first in a minute; the others are counted. A link without an organization leaves no event.
    eventually("the denials are recorded", async || {
        let accepted = actions(&app, 20).await.into_iter().filter(|(action, _)| action == "invitation.accept");
        let reasons: BTreeSet<String> = accepted.map(|(_, reason)| reason).collect();
        reasons == ["expired_invitation", "unknown_invitation"].map(str::to_owned).into()
    })
    .await;

    // Mistyped, truncated or of another kind: rejected without a query and without an audit event.
    let entries = app.db_value::<i64>("select count(*) from audit_events").await;
    let sentence = "invalid invitation link; check that the whole link was copied";
    for wrong in [&token[..token.len() - 1], "ami_", "x", app.owner.token()] {
        let answer = accept(&app, &ada(wrong)).await;
        assert_eq!((answer.status, answer.error()), (404, json!({"code": "not_found", "detail": sentence})));
    }
    assert_eq!(app.db_value::<i64>("select count(*) from audit_events").await, entries);
    assert_eq!(db_counts(&app).await, before);
    app.served.close().await;
    assert_eq!(accept(&app, &ada("ami_x")).await.status, 404);
    assert_eq!(accept(&app, &ada(&token)).await.status, 503);
}

#[tokio::test]
async fn an_invitation_token_is_not_an_api_key() {
    let app = TestApp::spawn().await;
    let (_, token) = invite(&app, "ada@example.com").await;
    let answer = app.owner.with_token(&token).get("/api/v2/userinfo/").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn every_invalid_field_is_reported_and_the_link_stays_valid() {
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
            "password: must be absent if `is_sso_user` is set",
        ),
        (
            json!({"name": "a\nb", "lastname": long, "title": "\u{0}", "password": PASSWORD}),
            "name: contains a line break (U+000A); lastname: longer than 255 \
             characters; title: contains NUL (U+0000)",
        ),
        (
            json!({"name": "Ada", "password": "ada@example.com"}),
            "password: too easy to guess: common, a pattern, or the person's name or address; use several unrelated words",
        ),
    ] {
        let mut body = fields.clone();
        body["token"] = json!(token);
        let answer = accept(&app, &body).await;
        let detail = format!("the account can't be created: {sentence}");
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
async fn a_body_over_4096_bytes_is_rejected() {
    let app = TestApp::spawn().await;
    let (_, token) = invite(&app, "ada@example.com").await;
    let mut body = ada(&token).to_string();
    body.push_str(&" ".repeat(4096 - body.len()));
    let answer = post(&app.anonymous(), &format!("{PATH}accept"), format!("{body} ")).await;
    let detail = "the request body exceeds 4096 bytes";
    assert_eq!((answer.status, answer.error()), (413, json!({"code": "too_large", "detail": detail})));
    assert_eq!(post(&app.anonymous(), &format!("{PATH}accept"), body).await.status, 200);
    let page = submit(&app, &token, &format!("name={}&password=x", "n".repeat(4096))).await;
    assert_eq!(page.status, 413);
    assert!(says(&page, detail), "{}", page.text);
}

#[tokio::test]
async fn of_concurrent_accepts_one_creates_the_account() {
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
async fn an_address_that_has_become_a_member_needs_no_invitation() {
    let app = TestApp::spawn().await;
    let (_, token) = invite(&app, "ada@example.com").await;
    assert_eq!(app.owner.create(&json!([sso("ADA@example.com")])).await.status, 200);
    let answer = accept(&app, &ada(&token)).await;
    let sentence = "this address already has an account; the invitation is no longer needed";
    assert_eq!((answer.status, answer.error()), (409, json!({"code": "email_taken", "detail": sentence})));
    let page = submit(&app, &token, &format!("name=Ada&password={PASSWORD}")).await;
    assert_eq!(page.status, 409);
    assert!(says(&page, sentence), "{}", page.text);
    assert_eq!(app.db_value::<i64>("select count(*) from passwords").await, 0);
}

#[tokio::test]
async fn the_page_works_without_scripts_and_keeps_the_input_except_the_password() {
    let app = TestApp::spawn().await;
    let (_, token) = invite(&app, "a&'b@example.com").await;
    let page = app.anonymous().get(&format!("/invitations/{token}")).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), "no-store");
    // With `no-referrer`, a browser would send `Origin: null` with the form.
    assert_eq!(page.header("referrer-policy"), "same-origin");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(
        page.header("content-security-policy"),
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    for part in [
        "<strong><bdi dir=\"ltr\">a&#38;&#39;b@<wbr>example.com</bdi></strong>",
        "<form class=\"form\" method=\"post\">",
        "autocomplete=\"new-password\"",
        "<h1>Join <bdi>Default organization</bdi></h1>",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    assert!(!page.text.contains("<script") && !page.text.contains("role=\"alert\""));

    let page = submit(&app, &token, "name=%3Cb%3E%22A%27&lastname=%26&password=hunter2").await;
    assert_eq!((page.status, page.header("cache-control")), (400, "no-store"));
    for part in [
        "role=\"alert\"><p><strong>This password can’t be used.</strong></p>\n<p>Shorter than 8 characters.</p></div>",
        "aria-describedby=\"rule problem\" aria-invalid=\"true\" autofocus",
        "value=\"&#60;b&#62;&#34;A&#39;\"",
        "value=\"&#38;\"",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    assert!(!page.text.contains("hunter2"));
    let page = submit(&app, &token, "name=Ada&password=password1").await;
    let why = "Too easy to guess: common, a pattern, or your name or address; use several unrelated words.";
    assert!(page.text.contains(why), "{}", page.text);
    let page = submit(&app, &token, "name=a%0Ab&password=hunter2").await;
    let why = "<strong>The account was not created.</strong></p>\n<p>Name: contains a line break (U+000A); password: shorter than 8";
    assert!(page.text.contains(why), "{}", page.text);

    let page = submit(&app, &token, &format!("name=Ada+L.&lastname=&password={PASSWORD}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("<h1>Your account is ready</h1>"), "{}", page.text);
    let name = "select name || coalesce(lastname, '-') from users where email = 'a&''b@example.com'";
    assert_eq!(app.db_value::<String>(name).await, "Ada L.-");
    let page = submit(&app, &token, &format!("name=Ada&password={PASSWORD}")).await;
    assert_eq!(page.status, 404);
    assert!(says(&page, "the invitation has already been accepted; the account exists"), "{}", page.text);
}

#[tokio::test]
async fn malformed_forms_are_rejected_with_a_page() {
    let app = TestApp::spawn().await;
    let (_, token) = invite(&app, "ada@example.com").await;
    for form in ["", "name=Ada", "name=Ada&name=Eve&password=x", "name=Ada&password=x&role=owner", "name=%ff"] {
        let page = submit(&app, &token, form).await;
        assert_eq!((page.status, page.header("content-type")), (400, "text/html; charset=utf-8"), "{form}");
        assert!(page.text.contains("Invalid form") || page.text.contains("role=\"alert\""), "{form}");
    }
    let page = submit(&app, &token, "name=A%00da&password=x").await;
    assert_eq!(page.status, 400);
    let mut bytes = b"name=".to_vec();
    bytes.push(0xff);
    let request = |bytes: Vec<u8>| app.anonymous().request("POST", &format!("/invitations/{token}")).body(bytes);
    let untyped = Actor::send(request(bytes.clone())).await;
    assert_eq!((untyped.status, untyped.header("content-type")), (415, "text/html; charset=utf-8"));
    let answer = Actor::send(request(bytes).header("content-type", "application/x-www-form-urlencoded")).await;
    assert!(answer.text.contains("Invalid form: not UTF-8"), "{}", answer.text);
}
