use std::sync::{Arc, Mutex};

use chrono::{Duration, Utc};
use muster::clock::Clock;
use serde_json::{Value, json};

use super::{Browser, PASSWORD, event, heading, spawn, user};
use crate::support::{Actor, TestApp};

/// Starts a login: its one-time password and the path of its page.
async fn start(app: &TestApp) -> (String, String) {
    let request = app
        .anonymous()
        .request("GET", "/api/v2/users/create_otp_token?machine=laptop")
        .header("user-agent", "muster/1");
    let otp = Actor::send(request).await.json()["result"]["otp"].as_str().unwrap().to_owned();
    let path = format!("/login/{otp}");
    (otp, path)
}

async fn fetch(app: &TestApp, otp: &str) -> (u16, Value) {
    let answer = app.anonymous().get(&format!("/api/v2/users/request_otp_token/{otp}")).await;
    (answer.status, answer.json())
}

/// Answers, and follows the redirect. Returns the heading of the page.
async fn decide(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> String {
    let answer = browser.submit(path, fields).await;
    assert_eq!((answer.status, answer.header("location")), (303, "?done"), "{}", answer.text);
    heading(&browser.get(&format!("{path}?done")).await).to_owned()
}

/// S-47: a fresh session approves a login on its page; the key acts as the user.
#[tokio::test]
async fn a_login_is_approved_on_its_page() {
    let app = spawn().await;
    let user_id = user(&app, "ada@example.com", "collaborator").await;
    let (otp, path) = start(&app).await;
    let browser = Browser::of(&app);
    let page = browser.get(&path).await;
    assert_eq!((page.status, heading(&page)), (200, "Approve a login"));
    // Strangers see the code only.
    assert!(!page.text.contains("<form") && !page.text.contains("laptop"), "{}", page.text);
    let sign_in = format!("href=\"../sign-in?return_to=%2Flogin%2F{otp}\"");
    assert!(page.text.contains(&sign_in), "{sign_in} in {}", page.text);
    assert_eq!(browser.sign_in_on_page("ada@example.com", PASSWORD, &path).await, path);

    let page = browser.get(&path).await;
    assert_eq!(page.header("referrer-policy"), "same-origin");
    let code: String =
        app.db_value("select left(user_code, 4) || '-' || right(user_code, 4) from login_requests").await;
    for part in [
        &*code,
        "<bdi>laptop</bdi>",
        "<bdi>muster/1</bdi>",
        "127.0.0.0/24",
        "value=\"approve\"",
        "value=\"deny\"",
        "ada@<wbr>example.com",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    // The same network: nothing to tick.
    assert!(!page.text.contains("type=\"checkbox\""));
    assert_eq!(fetch(&app, &otp).await.1["result"]["valid"], false, "opening the page approves nothing");
    assert_eq!(decide(&browser, &path, &[("answer", "approve")]).await, "Approved");
    let approved = event(&app, "login.approve").await;
    assert_eq!((&approved["actor_kind"], &approved["target_id"]), (&json!("session"), &json!(user_id)));
    let (status, fetched) = fetch(&app, &otp).await;
    assert_eq!((status, &fetched["result"]["valid"]), (200, &json!(true)));
    let token = fetched["result"]["server_session_id"].as_str().unwrap();
    let info = app.anonymous().with_token(token).get("/api/v2/userinfo/").await.json();
    assert_eq!(
        (&info["result"]["id"], &info["result"]["organization_permission_level"]),
        (&json!(user_id), &json!("collaborator"))
    );
    for page in [browser.get(&path).await, browser.submit(&path, &[("answer", "approve")]).await] {
        assert_eq!(heading(&page), "This login was approved already");
    }
}

/// An approval ends with the session that gave it, and with the user's access.
#[tokio::test]
async fn a_login_gives_no_key_once_its_approver_has_signed_out_or_was_suspended() {
    let app = spawn().await;
    for end in ["sign-out", "suspend"] {
        let email = format!("{end}@example.com");
        let user_id = user(&app, &email, "collaborator").await;
        let (otp, path) = start(&app).await;
        let browser = Browser::of(&app);
        browser.sign_in_on_page(&email, PASSWORD, "").await;
        assert_eq!(decide(&browser, &path, &[("answer", "approve")]).await, "Approved");
        match end {
            "sign-out" => assert_eq!(browser.submit("/sign-out", &[]).await.status, 303),
            _ => {
                let suspended = app.owner.post(&format!("/api/v2/users/{user_id}/suspend"), &Value::Null).await;
                assert_eq!(suspended.status, 200);
            }
        }
        let (status, body) = fetch(&app, &otp).await;
        assert_eq!((status, body["error"]["code"].as_str()), (409, Some("conflict")), "{end}: {body}");
    }
    assert_eq!(app.db_value::<i64>("select count(*) from api_keys where name like 'login of %'").await, 0);
}

/// S-47: "Not me" voids the code for everybody, and is audited.
#[tokio::test]
async fn a_login_that_is_denied_gives_nobody_a_key() {
    let app = spawn().await;
    let user_id = user(&app, "ada@example.com", "collaborator").await;
    let (otp, path) = start(&app).await;
    let browser = Browser::of(&app);
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    assert_eq!(decide(&browser, &path, &[("answer", "deny")]).await, "The login is denied");
    let denied = event(&app, "login.deny").await;
    assert_eq!((&denied["actor_kind"], &denied["target_id"]), (&json!("session"), &json!(user_id)));
    let (status, answer) = fetch(&app, &otp).await;
    let detail = "the login was denied; if you started it yourself, start a new one";
    assert_eq!((status, &answer["error"]["detail"]), (409, &json!(detail)));
    let approved = app.owner.post("/api/v2/users/approve_otp_token", &json!({"otp": otp})).await;
    assert_eq!(approved.status, 409, "{}", approved.text);
    assert_eq!(browser.submit(&path, &[("answer", "approve")]).await.status, 409);
    assert_eq!(heading(&browser.get(&path).await), "The login is denied");
    assert_eq!(app.db_value::<i64>("select count(*) from api_keys where name like 'login%'").await, 0);
}

/// S-47: an old session has to be confirmed first.
#[tokio::test]
async fn an_old_session_signs_in_again_before_it_approves() {
    let time = Arc::new(Mutex::new(Utc::now()));
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&time)), |config| config.passwords.must_change = false).await;
    user(&app, "ada@example.com", "collaborator").await;
    let browser = Browser::of(&app);
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    *time.lock().unwrap() += Duration::minutes(16);
    let (otp, path) = start(&app).await;
    let page = browser.get(&path).await;
    let again = format!("href=\"../sign-in?again=1&amp;return_to=%2Flogin%2F{otp}\"");
    assert!(page.text.contains(&again) && !page.text.contains("<form"), "{}", page.text);
    let answer = browser.submit(&path, &[("answer", "approve")]).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert!(
        answer.header("location").starts_with("../sign-in?return_to=%2Flogin%2Fotp_"),
        "{}",
        answer.header("location")
    );
    assert!(answer.header("location").ends_with("&again=1"));
    assert_eq!(fetch(&app, &otp).await.1["result"]["valid"], false);
    browser.submit("/sign-in", &[("again", "1"), ("password", PASSWORD), ("return_to", &path)]).await;
    assert_eq!(decide(&browser, &path, &[("answer", "approve")]).await, "Approved");
}

/// S-47: from another network, the person has to say that they started it there.
#[tokio::test]
async fn a_program_on_another_network_needs_a_tick() {
    let app = spawn().await;
    user(&app, "ada@example.com", "collaborator").await;
    let (otp, path) = start(&app).await;
    app.db_execute("update login_requests set client_address = '203.0.113.9'").await;
    let browser = Browser::of(&app);
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    let page = browser.get(&path).await;
    for part in ["203.0.113.0/24", "<strong>another network</strong>", "type=\"checkbox\""] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    let page = browser.submit(&path, &[("answer", "approve")]).await;
    assert_eq!(page.status, 422);
    assert!(page.text.contains("Nothing was approved.") && page.text.contains("autofocus"), "{}", page.text);
    assert_eq!(fetch(&app, &otp).await.1["result"]["valid"], false);
    assert_eq!(decide(&browser, &path, &[("answer", "approve"), ("elsewhere", "yes")]).await, "Approved");
    // A login without a row: its network is not known.
    let (_, path) = start(&app).await;
    app.db_execute("delete from login_requests").await;
    let page = browser.get(&path).await;
    assert!(
        page.text.contains("<strong>not known</strong>") && page.text.contains("type=\"checkbox\""),
        "{}",
        page.text
    );
}

/// S-25, S-42: malformed and foreign answers change nothing.
#[tokio::test]
async fn malformed_answers_are_rejected() {
    let app = spawn().await;
    user(&app, "ada@example.com", "collaborator").await;
    let (otp, path) = start(&app).await;
    let browser = Browser::of(&app);
    let answer = browser.submit(&path, &[("answer", "approve")]).await;
    assert_eq!((answer.status, answer.header("location").starts_with("../sign-in")), (303, true));
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    for fields in [&[][..], &[("answer", "maybe")], &[("answer", "approve"), ("level", "owner")]] {
        let page = browser.submit(&path, fields).await;
        assert_eq!((page.status, heading(&page)), (400, "This request is not valid"), "{fields:?}");
    }
    let request =
        super::form(browser.bare("POST", &path).header("sec-fetch-site", "cross-site"), &[("answer", "approve")]);
    assert_eq!(browser.send(request).await.status, 403);
    assert_eq!(fetch(&app, &otp).await.1["result"]["valid"], false);
    let page = browser.submit("/login/otp_x", &[("answer", "approve")]).await;
    assert_eq!((page.status, heading(&page)), (404, "Unknown code"));
    assert!(page.text.contains("href=\"../account\">To your account</a>"), "{}", page.text);
}
