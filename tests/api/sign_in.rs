//! Signing in with a password: the requirements S-1 to S-9 of the sign-in contract that HTTP shows.

use muster::caller::PermissionLevel;
use muster::jobs;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection};

use crate::support::browser::{Browser, DEVICE, PASSWORD, SESSION};
use crate::support::gate::eventually;
use crate::support::{Actor, Answer, TestApp, sso, with_password};

const LOGIN: &str = "/api/v2/users/login";

/// What a client can see of a response, without what differs in each.
fn visible(answer: &Answer) -> (u16, Value, Vec<(String, String)>) {
    let mut body = answer.json();
    body["error"].as_object_mut().unwrap().remove("request_id");
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["date", "x-request-id", "x-trace-id"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (answer.status, body, headers)
}

/// S-1, S-4, S-21: a full session is a caller, the cookie has the attributes of the contract, and the sign-in is recorded.
#[tokio::test]
async fn a_person_signs_in_and_is_a_caller() {
    let app = TestApp::spawn().await;
    let (user_id, _) = app.signed_in("ada@example.com").await;
    let browser = Browser::of(&app);
    let answer = browser.sign_in("Ada@Example.com", PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let result = answer.json()["result"].clone();
    assert_eq!((&result["user_id"], &result["stage"]), (&json!(user_id), &json!("full")));
    let cookies: Vec<&str> =
        answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
    assert_eq!(cookies.len(), 2);
    let [session, device] = [cookies[0], cookies[1]].map(|cookie| {
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        (pair.split_once('=').unwrap(), attributes.to_owned())
    });
    assert_eq!((session.0.0, device.0.0), (SESSION, DEVICE));
    assert!(session.0.1.starts_with("ams_"), "{}", session.0.1);
    assert!(session.1.starts_with("Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=86"), "{}", session.1);
    assert_eq!(device.1, "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=15552000");
    let me = browser.get("/api/v2/userinfo/").await.json()["result"].clone();
    assert_eq!((&me["id"], &me["organization_permission_level"]), (&json!(user_id), &json!("collaborator")));
    assert_eq!(browser.get("/api/v2/audit/events").await.status, 403);
    let log = app.owner.get("/api/v2/audit/events?action=session.start").await.json();
    let event = &log["results"][0];
    assert_eq!((&event["actor_kind"], &event["target_id"]), (&json!("session"), &json!(user_id)));
    assert_eq!(event["details"], json!({"method": "password", "stage": "full"}));
    let seen: bool = app
        .db_value("select first_signed_in_at is not null and last_signed_in_at > first_signed_in_at from users where email = 'ada@example.com'")
        .await;
    assert!(seen);
    assert!(!app.db_value::<String>("select string_agg(s::text, '') from sessions s").await.contains(session.0.1));
}

/// S-5, S-6: whatever the reason of a refusal, the client sees the same, and the audit log has the reason.
#[tokio::test]
async fn all_refusals_look_the_same() {
    let app = TestApp::spawn().await;
    app.owner
        .create(&json!([
            with_password("none@example.com", ""),
            with_password("initial@example.com", PASSWORD),
            sso("sso@example.com"),
        ]))
        .await;
    app.signed_in("ada@example.com").await;
    let (suspended, _) = app.signed_in("suspended@example.com").await;
    app.owner.post(&format!("/api/v2/users/{suspended}/suspend"), &Value::Null).await;
    app.signed_in("expired@example.com").await;
    app.db_execute("update users set expires_at = now() - interval '1 hour' where email = 'expired@example.com'").await;
    app.db_execute(
        "update passwords set set_at = set_at - interval '169 hours' where user_id = (select user_id from users where email = 'initial@example.com')",
    )
    .await;
    app.owner.post("/api/v2/users/service_accounts?name=robot", &Value::Null).await;
    let robot: String = app.db_value("select email from users where is_service_account").await;
    let long = "x".repeat(300);
    let attempts = [
        ("nobody@example.com", PASSWORD, "unknown_account"),
        ("not an address", PASSWORD, "unknown_account"),
        ("ada@example.com", "wrong password", "wrong_password"),
        ("ada@example.com", "", "wrong_password"),
        ("ada@example.com", "tidal-anchor-Plum-91\0", "wrong_password"),
        ("ada@example.com", " tidal-anchor-Plum-91", "wrong_password"),
        ("ada@example.com", long.as_str(), "wrong_password"),
        ("none@example.com", PASSWORD, "no_password"),
        ("none@example.com", "", "no_password"),
        ("sso@example.com", PASSWORD, "sso_user"),
        ("suspended@example.com", PASSWORD, "suspended"),
        ("expired@example.com", PASSWORD, "expired_user"),
        ("initial@example.com", PASSWORD, "initial_password_expired"),
        (robot.as_str(), PASSWORD, "service_account"),
    ];
    let mut seen = Vec::new();
    for (email, password, _) in attempts {
        let answer = Browser::of(&app).sign_in(email, password).await;
        seen.push((visible(&answer), email));
    }
    let detail = "address or password is wrong; if a password was set for you, it may have expired: ask for a link";
    assert_eq!(seen[0].0.0, 401);
    assert_eq!(seen[0].0.1, json!({"error": {"code": "sign_in_refused", "detail": detail}}));
    for (answer, email) in &seen {
        assert_eq!(answer, &seen[0].0, "{email}");
    }
    for (.., reason) in attempts {
        // The record is written after the response.
        eventually(reason, async || {
            let log = app.owner.get("/api/v2/audit/events?action=session.start&count=50").await.text;
            log.contains(&format!("\"{reason}\""))
        })
        .await;
    }
}

/// S-5: an imported hash of the empty text never matches.
#[tokio::test]
async fn an_empty_password_opens_no_account() {
    let app = TestApp::spawn().await;
    // python3: hashlib.pbkdf2_hmac("sha256", b"", bytes(range(16)), 1000, 32)
    let hash = "$pbkdf2-sha256$i=1000,l=32$AAECAwQFBgcICQoLDA0ODw$xbMBsf1hvO1j8AZCojBOxnRRn7182DxLyD2v4XQ/mFU";
    let created = app
        .owner
        .create(&json!([{"name": "Ada", "email": "ada@example.com", "is_sso_user": false, "password_hash": hash}]))
        .await;
    assert_eq!(created.status, 200, "{}", created.text);
    assert_eq!(Browser::of(&app).sign_in("ada@example.com", "").await.status, 401);
}

/// S-7: composed and decomposed spellings of a password are the same; the body is bounded.
#[tokio::test]
async fn passwords_are_normalized_and_bodies_are_bounded() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([with_password("ada@example.com", "")])).await;
    let token = app.link("ada@example.com").await;
    let composed = "Gr\u{fc}\u{df}e-aus-Bergen-77";
    let set = json!({"token": token, "new_password": composed});
    assert_eq!(Browser::of(&app).post("/api/v2/users/reset_password", &set).await.status, 200);
    let decomposed = "Gru\u{308}\u{df}e-aus-Bergen-77";
    assert_eq!(Browser::of(&app).sign_in("ada@example.com", decomposed).await.status, 200);
    for length in [4096, 1 << 20] {
        let password = "x".repeat(length);
        let long = Browser::of(&app).sign_in("ada@example.com", &password).await;
        let due = json!({"code": "too_large", "detail": "the request body exceeds 4096 bytes"});
        assert_eq!((long.status, long.error()), (413, due));
        let page = Browser::of(&app).submit("/sign-in", &[("email", "ada@example.com"), ("password", &password)]).await;
        assert_eq!(page.status, 413, "{}", page.text);
    }
}

/// S-8: a hash of another scheme is replaced at the sign-in, and the password stays the same.
#[tokio::test]
async fn an_imported_hash_is_replaced_at_the_sign_in() {
    let app = TestApp::spawn().await;
    // From `passwords::verify`: bcrypt 5.0.0 of PyPI.
    let hash = "$2b$05$iP1kGziayfr5mh/c7QwLtuk9G9Ox6NNfnm8MQmPP0FnKA5xZRq/tS";
    app.owner
        .create(&json!([{"name": "Ada", "email": "ada@example.com", "is_sso_user": false, "password_hash": hash}]))
        .await;
    app.db_execute("update passwords set must_change = false").await;
    let set_at: String = app.db_value("select set_at::text from passwords").await;
    let password = "Gr\u{fc}\u{df}e, Ada! 7";
    assert_eq!(Browser::of(&app).sign_in("ada@example.com", password).await.status, 200);
    let stored: String = app.db_value("select phc from passwords").await;
    assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
    assert_eq!(app.db_value::<String>("select set_at::text from passwords").await, set_at);
    assert_eq!(Browser::of(&app).sign_in("ada@example.com", password).await.status, 200);
    let log = app.owner.get("/api/v2/audit/events?action=password.rehash").await.json();
    assert_eq!(log["results"].as_array().unwrap().len(), 1);
}

/// S-9, S-1: a password that an administrator set opens only the change of it, until then nothing else.
#[tokio::test]
async fn an_initial_password_has_to_be_changed_first() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([with_password("ada@example.com", PASSWORD)])).await;
    let browser = Browser::of(&app);
    let answer = browser.sign_in("ada@example.com", PASSWORD).await;
    assert_eq!((answer.status, &answer.json()["result"]["stage"]), (200, &json!("must_change")));
    assert_eq!(browser.cookie(DEVICE), None);
    let denied = browser.get("/api/v2/userinfo/").await;
    assert_eq!(denied.status, 401);
    assert_eq!(denied.error()["detail"], "the sign-in is not complete: choose a password first, at /account/password");
    assert!(
        !app.db_value::<bool>("select first_signed_in_at is not null from users where email = 'ada@example.com'").await
    );
    let (before, path) = (browser.cookie(SESSION).unwrap(), "/api/v2/users/change_password");
    let same = json!({"current_password": PASSWORD, "new_password": PASSWORD});
    let rejected = browser.post(path, &same).await;
    assert_eq!(
        (rejected.status, rejected.error()),
        (
            422,
            json!({"code": "password_rejected", "detail": "the new password can't be used: the same as the current password"})
        )
    );
    // The session was started with the current password, so it is not asked for again; one that is sent is checked.
    let rejected = browser.post(path, &json!({"new_password": PASSWORD})).await;
    assert_eq!(
        (rejected.status, rejected.error()["detail"].as_str()),
        (422, Some("the new password can't be used: the same as the current password"))
    );
    let new = json!({"current_password": "wrong", "new_password": "another-Harbor-Quill-27"});
    let wrong = browser.post(path, &new).await;
    assert_eq!((wrong.status, wrong.error()["code"].as_str()), (403, Some("wrong_password")));
    let new = json!({"new_password": "another-Harbor-Quill-27"});
    let changed = browser.post(path, &new).await;
    assert_eq!(
        (changed.status, &changed.json()["result"]),
        (200, &json!({"ended_sessions": 0, "revoked_api_keys": []}))
    );
    assert_eq!(browser.get("/api/v2/userinfo/").await.status, 200);
    // S-2: the secret of before is dead.
    let old = Browser::of(&app);
    old.set_cookie(SESSION, &before);
    assert_eq!(old.get("/api/v2/userinfo/").await.status, 401);
    assert!(
        app.db_value::<bool>("select first_signed_in_at is not null from users where email = 'ada@example.com'").await
    );
}

/// S-18: changing a password ends the other sessions and open links, and only with the current password.
#[tokio::test]
async fn a_changed_password_ends_other_sessions_and_links() {
    let app = TestApp::spawn().await;
    let (_, here) = app.signed_in("ada@example.com").await;
    let elsewhere = Browser::of(&app);
    elsewhere.sign_in("ada@example.com", PASSWORD).await;
    let made = here.post("/api/v2/api_keys", &json!({"name": "laptop"})).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let link = app.link("ada@example.com").await;
    let path = "/api/v2/users/change_password";
    let wrong = here.post(path, &json!({"current_password": "wrong", "new_password": "another-Harbor-Quill-27"})).await;
    assert_eq!((wrong.status, wrong.error()["code"].as_str()), (403, Some("wrong_password")));
    let missing = here.post(path, &json!({"new_password": "another-Harbor-Quill-27"})).await;
    assert_eq!(
        (missing.status, missing.error()),
        (400, json!({"code": "invalid_request", "detail": "`current_password` is required"}))
    );
    let log = app.owner.get("/api/v2/audit/events?action=password.change").await.json();
    let denied = &log["results"][0];
    assert_eq!((&denied["outcome"], &denied["reason"]), (&json!("denied"), &json!("wrong_password")));
    let weak = here.post(path, &json!({"current_password": PASSWORD, "new_password": "ada"})).await;
    assert_eq!(weak.error()["detail"], "the new password can't be used: shorter than 8 characters");
    let new = json!({"current_password": PASSWORD, "new_password": "another-Harbor-Quill-27", "revoke_api_keys": true});
    let changed = here.post(path, &new).await.json()["result"].clone();
    assert_eq!(changed["ended_sessions"], 1);
    assert_eq!(changed["revoked_api_keys"].as_array().unwrap().len(), 1);
    assert_eq!(here.get("/api/v2/userinfo/").await.status, 200);
    assert_eq!(elsewhere.get("/api/v2/userinfo/").await.status, 401);
    let over = Browser::of(&app).get(&format!("/api/v2/users/reset_password/{link}")).await;
    assert_eq!(over.status, 404);
    assert_eq!(Browser::of(&app).sign_in("ada@example.com", PASSWORD).await.status, 401);
    assert_eq!(Browser::of(&app).sign_in("ada@example.com", "another-Harbor-Quill-27").await.status, 200);
}

/// Section 12: 500 sign-ins at once are signed in, refused, throttled, or told to come back; nothing else, and nobody is locked out.
#[tokio::test]
async fn five_hundred_sign_ins_at_once_get_an_answer() {
    let app = TestApp::spawn().await;
    let emails: Vec<String> = (0..5).map(|n| format!("user{n}@example.com")).collect();
    for email in &emails {
        app.signed_in(email).await;
    }
    let (_, known) = app.signed_in("ada@example.com").await;
    let attempts = (0..500).map(|n| {
        let (browser, email) = (Browser::of(&app), emails[n % 5].clone());
        let password = if n % 2 == 0 { PASSWORD } else { "guess" };
        async move { browser.sign_in(&email, password).await }
    });
    let answers = futures_util::future::join_all(attempts).await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(count(200) + count(401) + count(429) + count(503), 500);
    assert!(count(200) > 0 && count(429) > 0, "{} {}", count(200), count(429));
    assert!(
        answers.iter().all(|answer| [200, 401].contains(&answer.status) || answer.headers.contains_key("retry-after"))
    );
    // Failures of each account are limited as ever.
    assert!(count(401) <= 50, "{}", count(401));
    assert_eq!(known.sign_in("ada@example.com", PASSWORD).await.status, 200);
}

/// S-13: a sign-in that gets 503 because the database is busy gives its tokens back.
#[tokio::test]
async fn a_sign_in_that_the_database_delays_gives_its_tokens_back() {
    let app = TestApp::spawn().await;
    app.signed_in("ada@example.com").await;
    let mut connection = app.database.connect().await.unwrap();
    let mut locking = connection.begin().await.unwrap();
    sqlx::query("select from users for update").execute(&mut *locking).await.unwrap();
    let busy = Browser::of(&app).sign_in("ada@example.com", PASSWORD).await;
    assert_eq!(busy.status, 503, "{}", busy.text);
    locking.rollback().await.unwrap();
    // The token of a day would take a quarter of an hour.
    eventually("the tokens are back", async || {
        app.db_value::<bool>("select bool_and(full_at <= now()) from throttles").await
    })
    .await;
}

/// S-25: a sign-in must not come from a page of another site, which would sign the visitor in as somebody else.
#[tokio::test]
async fn a_page_of_another_site_can_not_sign_anybody_in() {
    let app = TestApp::spawn().await;
    let (_, browser) = app.signed_in("ada@example.com").await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD}).to_string();
    let own = format!("http://{}", app.address);
    for (headers, allowed) in [
        (vec![("sec-fetch-site", "same-origin")], true),
        (vec![("sec-fetch-site", "cross-site")], false),
        (vec![("sec-fetch-site", "same-site")], false),
        (vec![("sec-fetch-site", "none")], false),
        (vec![("origin", own.as_str())], true),
        (vec![("origin", "https://evil.example")], false),
        (vec![("origin", "null")], false),
        // With a cookie of muster's, and no word about the origin.
        (vec![], false),
    ] {
        let request =
            headers.iter().fold(browser.bare("POST", LOGIN), |request, (name, value)| request.header(*name, *value));
        let request = request.header("content-type", "application/json").body(body.clone());
        let answer = crate::support::Actor::send(request).await;
        assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{headers:?}");
        if !allowed {
            assert_eq!(answer.error()["code"], "cross_site");
        }
    }
    // A program without cookies says nothing about its origin.
    let program = app.anonymous().post(LOGIN, &json!({"email": "ada@example.com", "password": PASSWORD})).await;
    assert_eq!(program.status, 200);
}

/// S-46: an unsupported way to sign in is refused, and the organization can be named.
#[tokio::test]
async fn a_login_can_name_its_organization() {
    let app = TestApp::spawn().await;
    app.signed_in("ada@example.com").await;
    let me = app.owner.get("/api/v2/userinfo/").await.json()["result"]["organizations"][0].clone();
    let login = async |organization: &str| {
        let body = json!({"email": "ada@example.com", "password": PASSWORD, "organization_id": organization});
        Browser::of(&app).post(LOGIN, &body).await.status
    };
    assert_eq!(login(me["id"].as_str().unwrap()).await, 200);
    assert_eq!(login(me["public_identifier"].as_str().unwrap()).await, 200);
    assert_eq!(login("elsewhere").await, 401);
    let magic = json!({"email": "ada@example.com", "password": "", "magic_token": "x"});
    assert_eq!(Browser::of(&app).post(LOGIN, &magic).await.status, 400);
}

/// S-48: what gives permissions or makes credentials needs a recent sign-in.
#[tokio::test]
async fn making_a_key_needs_a_recent_sign_in() {
    let app = TestApp::spawn().await;
    let (_, browser) = app.signed_in("ada@example.com").await;
    let key = json!({"name": "laptop"});
    assert_eq!(browser.post("/api/v2/api_keys", &key).await.status, 200);
    app.db_execute("update sessions set authenticated_at = authenticated_at - interval '16 minutes'").await;
    app.app.holders.clear();
    let fresh = Browser::of(&app);
    fresh.set_cookie(SESSION, &browser.cookie(SESSION).unwrap());
    let denied = fresh.post("/api/v2/api_keys", &key).await;
    assert_eq!(
        (denied.status, denied.error()),
        (
            403,
            json!({
                "code": "reauthentication_needed",
                "detail": "`key.create` requires that you signed in within the last 15 minutes; sign in again"
            })
        )
    );
    assert_eq!(fresh.get("/api/v2/api_keys").await.status, 200);
}

/// S-19: nobody sets the password of another user, only a link for it is made.
#[tokio::test]
async fn an_owner_sets_no_password_of_another_user() {
    let app = TestApp::spawn().await;
    let (user_id, browser) = app.signed_in("ada@example.com").await;
    let new = "another-Anchor-Plum-92";
    let body =
        json!({"user_id": user_id, "email": "ada@example.com", "current_password": PASSWORD, "new_password": new});
    let answer = app.owner.post("/api/v2/users/change_password", &body).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    let answer =
        Actor::send(app.owner.request("PATCH", &format!("/api/v2/users/{user_id}")).json(&json!({"password": new})))
            .await;
    assert_eq!((answer.status, &answer.error()["rows"][0]["code"]), (422, &json!("unknown_field")), "{}", answer.text);
    assert_eq!(browser.sign_in("ada@example.com", PASSWORD).await.status, 200);
}

/// S-49, S-50: what a person does in a session is recorded with the session and the user; strangers' attempts are counted, and no
/// address or name is stored.
#[tokio::test]
async fn sign_ins_are_recorded_without_addresses() {
    let app = TestApp::spawn().await;
    let (user_id, browser) = app.signed_in("ada@example.com").await;
    let stranger = Browser::of(&app);
    for guess in 0..4 {
        assert_eq!(stranger.sign_in(&format!("eve{guess}@example.com"), PASSWORD).await.status, 401);
    }
    assert_eq!(stranger.sign_in("ada@example.com", "a guess").await.status, 401);
    assert_eq!(browser.sign_in("ada@example.com", PASSWORD).await.status, 200);
    let sessions = browser.get("/api/v2/users/sessions").await.json();
    let current = sessions["results"].as_array().unwrap().iter().find(|session| session["is_this"] == true).unwrap();
    let session_id = current["id"].as_str().unwrap().to_owned();
    assert_eq!(browser.post("/api/v2/users/logout", &json!({})).await.status, 200);
    jobs::finish(&app.app).await;

    let events = app.owner.get("/api/v2/audit/events?count=50").await.json()["results"].clone();
    let events = events.as_array().unwrap();
    let of = |action: &str| events.iter().filter(|event| event["action"] == action).collect::<Vec<_>>();
    let ended = of("session.end");
    assert_eq!(
        [&ended[0]["actor_kind"], &ended[0]["actor_id"], &ended[0]["actor_user_id"]],
        [&json!("session"), &json!(session_id), &json!(user_id)]
    );
    let mut refused = of("session.start");
    refused.retain(|event| event["reason"].is_string());
    let reasons: Vec<(&Value, &Value, &Value)> =
        refused.iter().map(|event| (&event["reason"], &event["target_id"], &event["details"]["repeated"])).collect();
    let counted = json!(3);
    assert_eq!(
        reasons,
        [
            (&json!("unknown_account"), &Value::Null, &counted),
            (&json!("wrong_password"), &json!(user_id), &Value::Null),
            (&json!("unknown_account"), &Value::Null, &Value::Null),
        ]
    );
    let stored: String = app.db_value("select string_agg(e::text, '') from audit_events e").await;
    assert!(!stored.contains("example.com"), "{stored}");
}

/// An owner in a session does what owners do.
#[tokio::test]
async fn an_owner_works_in_a_session() {
    let app = TestApp::spawn().await;
    let (_, key) = app.person("owner@example.com", PermissionLevel::Owner).await;
    drop(key);
    app.db_execute("update users set is_sso_user = false where email = 'owner@example.com'").await;
    let browser = app.signed_in_by_link("owner@example.com").await;
    let created = browser.post("/api/v2/users/admin_batch_create", &json!([sso("new@example.com")])).await;
    assert_eq!(created.status, 200, "{}", created.text);
    let log = browser.get("/api/v2/audit/events?action=user.batch_create").await.json();
    assert_eq!(log["results"][0]["actor_kind"], "session");
}

/// A sign-in in a browser that is signed in replaces the session, as on the page.
#[tokio::test]
async fn a_login_ends_the_previous_session_of_the_browser() {
    let app = TestApp::spawn().await;
    let (_, browser) = app.signed_in("ada@example.com").await;
    let before = browser.cookie(SESSION).unwrap();
    assert_eq!(browser.sign_in("ada@example.com", PASSWORD).await.status, 200);
    let stale = Browser::of(&app);
    stale.set_cookie(SESSION, &before);
    assert_eq!(stale.get("/api/v2/userinfo/").await.status, 401);
    assert_eq!(browser.get("/api/v2/userinfo/").await.status, 200);
}

/// A user has 25 sessions at most: one more ends the oldest one.
#[tokio::test]
async fn one_session_more_ends_the_oldest_one() {
    let app = TestApp::spawn().await;
    let (_, first) = app.signed_in("ada@example.com").await;
    let mut browsers = Vec::new();
    for _ in 0..24 {
        let browser = Browser::of(&app);
        assert_eq!(browser.sign_in("ada@example.com", PASSWORD).await.status, 200);
        browsers.push(browser);
    }
    assert_eq!(first.get("/api/v2/userinfo/").await.status, 200);
    let last = Browser::of(&app);
    assert_eq!(last.sign_in("ada@example.com", PASSWORD).await.status, 200);
    assert_eq!(first.get("/api/v2/userinfo/").await.status, 401);
    assert_eq!(browsers[0].get("/api/v2/userinfo/").await.status, 200);
    let sessions = last.get("/api/v2/users/sessions").await.json();
    assert_eq!(sessions["results"].as_array().unwrap().len(), 25);
    let reasons: Vec<String> =
        app.db_value("select array_agg(end_reason) from sessions where ended_at is not null").await;
    assert_eq!(reasons, ["too_many"]);
    let ended = app.owner.get("/api/v2/audit/events?action=session.end").await.json()["results"][0].clone();
    assert_eq!((&ended["target_kind"], &ended["details"]["reason"]), (&json!("session"), &json!("too_many")));
}

/// S-48: who can sign in as an owner is decided by a recent sign-in, or by a key that is not limited to scopes.
#[tokio::test]
async fn the_way_in_of_an_owner_is_changed_by_a_recent_sign_in_or_a_full_key_only() {
    let app = TestApp::spawn().await;
    let (_, browser) = app.signed_in("boss@example.com").await;
    app.db_execute(
        "update collaborators set permission_level = 'owner'
         where user_id = (select user_id from users where email = 'boss@example.com')",
    )
    .await;
    let (other, _) = app.person("other@example.com", PermissionLevel::Owner).await;
    let (plain, _) = app.person("plain@example.com", PermissionLevel::Collaborator).await;
    let made =
        app.owner.post("/api/v2/api_keys", &json!({"name": "ci", "scopes": ["users:read", "users:write"]})).await;
    let limited = app.owner.with_token(made.json()["result"]["token"].as_str().unwrap());
    app.db_execute("update sessions set authenticated_at = authenticated_at - interval '1 hour'").await;
    app.app.holders.clear();

    let path = |user: &str| format!("/api/v2/users/{user}");
    let edits = [json!({"email": "thief@example.com"}), json!({"is_sso_user": false})];
    for edit in &edits {
        let answer = browser.send(browser.request("PATCH", &path(&other)).json(edit)).await;
        let code = answer.error()["code"].clone();
        assert_eq!((answer.status, &code), (403, &json!("reauthentication_needed")), "{edit}: {}", answer.text);
        let answer = Actor::send(limited.request("PATCH", &path(&other)).json(edit)).await;
        let detail = "not permitted: `owner.update` requires an API key that is not limited to scopes";
        assert_eq!((answer.status, &answer.error()["detail"]), (403, &json!(detail)), "{edit}");
        let mut row = edit.clone();
        row["user"] = json!(other);
        assert_eq!(limited.post("/api/v2/users/admin_batch_update", &json!([row])).await.status, 403, "{edit}");
        // Those of others can be changed.
        let answer = Actor::send(limited.request("PATCH", &path(&plain)).json(edit)).await;
        assert_eq!(answer.status, 200, "{edit}: {}", answer.text);
    }
    let link = json!({"users": [{"user": "boss@example.com"}]});
    let answer = limited.post("/api/v2/users/password_links", &link).await;
    let detail = "not permitted: `password_link.create_for_owner` requires an API key that is not limited to scopes";
    assert_eq!((answer.status, &answer.error()["detail"]), (403, &json!(detail)));
    let mut owner = sso("new@example.com");
    owner["permission_level"] = json!("owner");
    let answer = limited.create(&json!([owner])).await;
    let code = &answer.error()["rows"][0]["code"];
    assert_eq!((answer.status, code), (422, &json!("permission_level_forbidden")), "{}", answer.text);
    assert_eq!(limited.post("/api/v2/users/sessions/end_all", &json!({})).await.status, 403);
    let edit = json!({"email": "another@example.com"});
    let sure = Actor::send(app.owner.request("PATCH", &path(&other)).json(&edit)).await;
    assert_eq!(sure.status, 200, "{}", sure.text);
}
