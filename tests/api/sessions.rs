//! Sessions: the requirements S-21 to S-28.

use std::sync::{Arc, Mutex};

use muster::clock::Clock;
use serde_json::{Value, json};

use crate::support::browser::{Browser, PASSWORD, SESSION};
use crate::support::gate::eventually;
use crate::support::{Actor, TestApp};

const SESSIONS: &str = "/api/v2/users/sessions";

/// S-26: a person lists and ends their sessions; an owner those of others; nobody else.
#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let app = TestApp::spawn().await;
    let (user_id, here) = app.signed_in("ada@example.com").await;
    let elsewhere = Browser::of(&app);
    let login = json!({"email": "ada@example.com", "password": PASSWORD}).to_string();
    let request = elsewhere.request("POST", "/api/v2/users/login").header("content-type", "application/json");
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0";
    elsewhere.send(request.header("user-agent", agent).body(login)).await;
    let listed = here.get(SESSIONS).await.json();
    let sessions = listed["results"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let latest = &sessions[0];
    assert_eq!(
        (&latest["browser"], &latest["network"], &latest["method"], &latest["stage"], &latest["is_this"]),
        (&json!("Firefox on Linux"), &json!("127.0.0.0/24"), &json!("password"), &json!("full"), &json!(false))
    );
    assert_eq!((&sessions[1]["method"], &sessions[1]["is_this"]), (&json!("link"), &json!(true)));
    assert!(!listed.to_string().contains("ams_"));
    let path = format!("{SESSIONS}/{}", latest["id"].as_str().unwrap());
    // Another person can't see it.
    let (_, eve) = app.signed_in("eve@example.com").await;
    assert_eq!(eve.send(eve.request("DELETE", &path)).await.status, 404);
    assert_eq!(eve.get(&format!("{SESSIONS}?user_id={user_id}")).await.status, 403);
    assert_eq!(here.send(here.request("DELETE", &path)).await.status, 204);
    assert_eq!(here.send(here.request("DELETE", &path)).await.status, 204);
    assert_eq!(elsewhere.get("/api/v2/userinfo/").await.status, 401);
    let listed = app.owner.get(&format!("{SESSIONS}?user_id={user_id}")).await.json();
    assert_eq!(listed["results"].as_array().unwrap().len(), 1);
    let ended = app.owner.post(&format!("{SESSIONS}/end_all"), &json!({"user_id": user_id})).await.json();
    assert_eq!(ended, json!({"result": {"ended": 1}}));
    assert_eq!(here.get("/api/v2/userinfo/").await.status, 401);
}

/// Owners list the sessions of everybody page by page, and end all but their own.
#[tokio::test]
async fn the_sessions_of_everybody_are_listed_and_ended() {
    let app = TestApp::spawn().await;
    let (ada_id, ada) = app.signed_in("ada@example.com").await;
    let (_, eve) = app.signed_in("eve@example.com").await;
    let mut boss = crate::support::with_password("boss@example.com", "");
    boss["permission_level"] = json!("owner");
    app.owner.create(&json!([boss])).await;
    let boss = app.signed_in_by_link("boss@example.com").await;
    let emails = |listed: &Value| -> Vec<String> {
        listed["results"].as_array().unwrap().iter().map(|one| one["email"].as_str().unwrap().to_owned()).collect()
    };
    let first = boss.get(&format!("{SESSIONS}?everyone=true&count=2")).await.json();
    assert_eq!(emails(&first), ["boss@example.com", "eve@example.com"], "{first}");
    assert_eq!((&first["results"][0]["is_this"], &first["results"][1]["is_this"]), (&json!(true), &json!(false)));
    let next = first["metadata"]["next_paging_token"].as_str().unwrap();
    let second = boss.get(&format!("{SESSIONS}?everyone=true&count=2&paging_token={next}")).await.json();
    assert_eq!(
        (emails(&second), &second["metadata"]["next_paging_token"]),
        (vec!["ada@example.com".to_owned()], &json!(null))
    );
    assert_eq!(second["results"][0]["user_id"], json!(ada_id));
    let none = boss.get(&format!("{SESSIONS}?everyone=true&method=password")).await.json();
    assert_eq!(none["results"], json!([]));
    for (query, detail) in [
        ("everyone=yes", "`everyone` must be `true` or `false`"),
        ("everyone=true&method=x", "`method` must be one of password, sso, passkey, link, recovery"),
        ("everyone=true&user_id=usr_01k9h6m3x0e8wbz1v5n7q2r4t6", "`user_id` and `everyone` exclude each other"),
        ("count=5", "`method`, `count` and `paging_token` are for `everyone=true`"),
        ("everyone=true&count=51", "`count` must be a number from 1 to 50"),
    ] {
        let answer = boss.get(&format!("{SESSIONS}?{query}")).await;
        assert_eq!((answer.status, answer.error()["detail"].as_str()), (400, Some(detail)), "{query}");
    }
    // Only for owners.
    assert_eq!(eve.get(&format!("{SESSIONS}?everyone=true")).await.status, 403);
    let end_all = format!("{SESSIONS}/end_all");
    assert_eq!(eve.post(&end_all, &json!({"everyone": true})).await.status, 403);
    assert_eq!(boss.post(&end_all, &json!({"everyone": true, "user_id": ada_id})).await.status, 400);
    for ended in [2, 0] {
        let answer = boss.post(&end_all, &json!({"everyone": true})).await;
        assert_eq!(answer.json(), json!({"result": {"ended": ended}}), "{}", answer.text);
    }
    assert_eq!([ada.get("/api/v2/userinfo/").await.status, boss.get("/api/v2/userinfo/").await.status], [401, 200]);
}

/// S-27: signing out ends the session, and succeeds without one.
#[tokio::test]
async fn signing_out_ends_the_session() {
    let app = TestApp::spawn().await;
    let (_, browser) = app.signed_in("ada@example.com").await;
    let cookie = browser.cookie(SESSION).unwrap();
    let out = browser.post("/api/v2/users/logout", &Value::Null).await;
    assert_eq!((out.status, out.json()), (200, json!({"result": {"entra_logout_url": null}})));
    assert_eq!(browser.cookie(SESSION), None);
    let kept = Browser::of(&app);
    kept.set_cookie(SESSION, &cookie);
    assert_eq!(kept.get("/api/v2/userinfo/").await.status, 401);
    assert_eq!(kept.post("/api/v2/users/logout", &Value::Null).await.status, 200);
    assert_eq!(Browser::of(&app).post("/api/v2/users/logout", &Value::Null).await.status, 200);
    let log = app.owner.get("/api/v2/audit/events?action=session.end").await.json();
    let details = &log["results"][0]["details"];
    assert_eq!(details["reason"], "signed_out");
    assert_eq!(log["results"].as_array().unwrap().len(), 1);
}

/// S-22: an ended session, and one of a suspended user, is refused by another instance within a second.
#[tokio::test]
async fn other_instances_refuse_an_ended_session_within_a_second() {
    let app = TestApp::spawn().await;
    let other = TestApp::spawn_on(app.database.clone(), Clock::System, |_| {}).await;
    let (user_id, browser) = app.signed_in("ada@example.com").await;
    let there = browser.at(other.address);
    assert_eq!(there.get("/api/v2/userinfo/").await.status, 200);
    app.owner.post(&format!("/api/v2/users/{user_id}/suspend"), &Value::Null).await;
    assert_eq!(browser.get("/api/v2/userinfo/").await.status, 401);
    let start = std::time::Instant::now();
    loop {
        let sent_after = start.elapsed();
        if there.get("/api/v2/userinfo/").await.status == 401 {
            break;
        }
        assert!(sent_after < std::time::Duration::from_secs(1), "still accepted after {sent_after:?}");
    }
    // What ends what: reactivating brings no session back.
    app.owner.post(&format!("/api/v2/users/{user_id}/reactivate"), &Value::Null).await;
    assert_eq!(browser.get("/api/v2/userinfo/").await.status, 401);
    assert_eq!(Browser::of(&app).sign_in("ada@example.com", PASSWORD).await.status, 200);
}

/// S-22: a session ends without a request for an hour, and after a day in any case.
#[tokio::test]
async fn sessions_end_when_idle_and_in_any_case() {
    let time = Arc::new(Mutex::new(chrono::Utc::now()));
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&time)), |_| {}).await;
    let (_, browser) = app.signed_in("ada@example.com").await;
    let expiry = async |column: &'static str| app.db_value::<chrono::DateTime<chrono::Utc>>(column).await;
    let idle = expiry("select idle_expires_at from sessions").await;
    let end = expiry("select expires_at from sessions").await;
    let started = expiry("select created_at from sessions").await;
    assert_eq!(((idle - started).num_minutes(), (end - started).num_hours()), (60, 24));
    *time.lock().unwrap() += chrono::TimeDelta::minutes(59);
    assert_eq!(browser.get("/api/v2/userinfo/").await.status, 200);
    // The use is recorded in the background.
    eventually("the use is recorded", async || expiry("select idle_expires_at from sessions").await > idle).await;
    *time.lock().unwrap() += chrono::TimeDelta::minutes(61);
    let over = browser.get("/api/v2/userinfo/").await;
    assert_eq!((over.status, over.error()["detail"].as_str()), (401, Some("the session has expired; sign in again")));
}

/// S-24: with an API key, cookies are ignored; two session cookies are refused; a malformed one, too.
#[tokio::test]
async fn one_credential_counts() {
    let app = TestApp::spawn().await;
    let (_, browser) = app.signed_in("ada@example.com").await;
    let cookie = format!("{SESSION}={}", browser.cookie(SESSION).unwrap());
    let with = async |request: reqwest::RequestBuilder| Actor::send(request).await;
    let get =
        |actor: &Actor, cookie: &str| actor.request("GET", "/api/v2/userinfo/").header("cookie", cookie.to_owned());
    let both = with(get(&app.owner, &cookie)).await.json();
    assert_eq!(both["result"]["email"], "administrator@muster.invalid");
    let wrong_key = with(get(&app.anonymous().with_token("amk_wrong"), &cookie)).await;
    assert_eq!(wrong_key.status, 401);
    let cli = app.owner.token();
    let cli_cookie = with(get(&app.anonymous(), &format!("cli_token={cli}; {cookie}"))).await.json();
    assert_eq!(cli_cookie["result"]["email"], "administrator@muster.invalid");
    let two = with(get(&app.anonymous(), &format!("{cookie}; {SESSION}=planted"))).await;
    assert_eq!(two.status, 401);
    let malformed = with(get(&app.anonymous(), &format!("{SESSION}=ams_nonsense"))).await;
    assert_eq!(malformed.error()["detail"], "malformed session cookie; sign in again");
    let as_bearer =
        with(app.anonymous().with_token(&browser.cookie(SESSION).unwrap()).request("GET", "/api/v2/userinfo/")).await;
    assert_eq!(as_bearer.status, 401);
}

/// S-2: the cookie of before a sign-in, which somebody may have planted, never becomes that of the person who signs in.
#[tokio::test]
async fn a_planted_session_does_not_become_the_persons() {
    let app = TestApp::spawn().await;
    let (eve_id, _) = app.signed_in("eve@example.com").await;
    let (ada_id, _) = app.signed_in("ada@example.com").await;
    let fields = [("email", "ada@example.com"), ("password", PASSWORD)];
    let mut planted = String::new();
    for page in [false, true] {
        let eve = Browser::of(&app);
        eve.sign_in("eve@example.com", PASSWORD).await;
        assert_eq!(eve.get("/api/v2/userinfo/").await.json()["result"]["id"], json!(eve_id));
        planted = eve.cookie(SESSION).unwrap();
        let browser = Browser::of(&app);
        browser.set_cookie(SESSION, &planted);
        let answer = match page {
            true => browser.submit("/sign-in", &fields).await,
            false => browser.sign_in("ada@example.com", PASSWORD).await,
        };
        assert_eq!(answer.status, if page { 303 } else { 200 }, "{}", answer.text);
        assert_ne!(browser.cookie(SESSION).unwrap(), planted);
        assert_eq!(browser.get("/api/v2/userinfo/").await.json()["result"]["id"], json!(ada_id));
        // The session that is replaced ends.
        assert_eq!(eve.get("/api/v2/userinfo/").await.status, 401);
    }
    // A token that was made up, even with a valid checksum, is no session to be filled.
    let browser = Browser::of(&app);
    let parsed = muster::sessions::Token::parse(&planted).unwrap();
    let made_up = muster::sessions::Token::generate(parsed.organization_id, parsed.id);
    browser.set_cookie(SESSION, made_up.text().expose());
    assert_eq!(browser.sign_in("ada@example.com", PASSWORD).await.status, 200);
    assert_ne!(browser.cookie(SESSION).unwrap(), made_up.text().expose());
    browser.set_cookie(SESSION, made_up.text().expose());
    assert_eq!(browser.get("/api/v2/userinfo/").await.status, 401);
}

/// S-24: two session cookies, one of which was planted, sign nobody in: not in the API, nor on a page.
#[tokio::test]
async fn two_session_cookies_are_no_credential() {
    let app = TestApp::spawn().await;
    let (_, ada) = app.signed_in("ada@example.com").await;
    let (_, eve) = app.signed_in("eve@example.com").await;
    let [ada, eve] = [ada, eve].map(|browser| format!("{SESSION}={}", browser.cookie(SESSION).unwrap()));
    let own = format!("http://{}", app.address);
    let send = async |method: &str, path: &str, cookies: [&str; 2], body: &Value| {
        let request = app.anonymous().request(method, path).header("origin", &own);
        let request = request.header("content-type", "application/json").body(body.to_string());
        // In one header, as of HTTP/1.1, or in two, as of HTTP/2.
        let request = match cookies {
            [first, ""] => request.header("cookie", first),
            [first, second] => request.header("cookie", first).header("cookie", second),
        };
        Actor::send(request).await
    };
    let key = json!({"name": "laptop"});
    for cookies in [[&format!("{ada}; {eve}"), ""], [&*eve, &*ada], [&*ada, &*ada], [&format!("{ada}; {SESSION}="), ""]]
    {
        for (method, path) in [("GET", "/api/v2/userinfo/"), ("POST", "/api/v2/api_keys")] {
            let answer = send(method, path, cookies, &key).await;
            let detail = "two session cookies; clear the cookies of this site and sign in again";
            let due = json!({"code": "unauthenticated", "detail": detail});
            assert_eq!((answer.status, answer.error()), (401, due), "{path} {cookies:?}");
        }
        let page = send("GET", "/sign-out", cookies, &Value::Null).await;
        assert!(page.status == 200 && page.text.contains("You are signed out"), "{}", page.text);
        // Signing out clears the cookie of this host, and ends no session: nobody knows which one.
        let out = send("POST", "/api/v2/users/logout", cookies, &Value::Null).await;
        assert_eq!(out.status, 200, "{}", out.text);
        assert!(out.header("set-cookie").starts_with(&format!("{SESSION}=; ")), "{}", out.header("set-cookie"));
        let login = json!({"email": "ada@example.com", "password": PASSWORD});
        assert_eq!(send("POST", "/api/v2/users/login", cookies, &login).await.status, 200);
    }
    for one in [&ada, &eve] {
        assert_eq!(send("GET", "/api/v2/userinfo/", [one, ""], &Value::Null).await.status, 200);
    }
}

/// S-24: with a key, or any `Authorization`, the cookie of a session counts for nothing: it neither helps nor harms.
#[tokio::test]
async fn with_a_key_the_session_cookie_counts_for_nothing() {
    let app = TestApp::spawn().await;
    let (_, browser) = app.signed_in("ada@example.com").await;
    let session = format!("{SESSION}={}", browser.cookie(SESSION).unwrap());
    let key_cookie = format!("{session}; cli_token={}", app.owner.token());
    let change = |authorization: Option<&str>, cookie: &str| {
        let request = app.anonymous().request("POST", "/api/v2/user_groups/").header("cookie", cookie.to_owned());
        let request = authorization.into_iter().fold(request, |request, text| request.header("authorization", text));
        request.header("content-type", "application/json").body(json!({"name": "Ops"}).to_string())
    };
    // The key is the caller: a page of another site can't set the header.
    let bearer = format!("Bearer {}", app.owner.token());
    let request = change(Some(&bearer), &session).header("sec-fetch-site", "cross-site");
    assert_eq!(Actor::send(request).await.status, 200);
    // The cookie of the vendor's client is the caller, with its own rule for other sites.
    let answer = Actor::send(change(None, &key_cookie).header("sec-fetch-site", "cross-site")).await;
    assert!(answer.error()["detail"].as_str().unwrap().contains("the cookie `cli_token`"), "{}", answer.text);
    for authorization in ["", "Bearer", "Basic YWRhOng=", "Bearer amk_wrong"] {
        let request = change(Some(authorization), &session).header("sec-fetch-site", "same-origin");
        let answer = Actor::send(request).await;
        assert_eq!(answer.status, 401, "{authorization}: {}", answer.text);
        let page = browser.bare("GET", "/account").header("authorization", authorization);
        let page = browser.send(page).await;
        assert_eq!((page.status, page.header("location")), (303, "sign-in?return_to=%2Faccount"), "{authorization}");
    }
    let page = browser.send(browser.bare("GET", "/account").header("cookie", key_cookie)).await;
    assert_eq!(page.status, 303, "{}", page.text);
    assert_eq!(browser.get("/account").await.status, 200);
}

/// S-25: a change with the cookie must come from a page of this server, with JSON as JSON; reading is free.
#[tokio::test]
async fn a_page_of_another_site_can_not_use_the_cookie() {
    let app = TestApp::spawn().await;
    let (_, browser) = app.signed_in("ada@example.com").await;
    let post = || browser.bare("POST", "/api/v2/api_keys").header("content-type", "application/json");
    let body = json!({"name": "stolen"}).to_string();
    let status = async |request: reqwest::RequestBuilder| Actor::send(request.body(body.clone())).await.status;
    assert_eq!(status(post()).await, 403);
    assert_eq!(status(post().header("origin", "https://evil.example")).await, 403);
    assert_eq!(status(post().header("origin", "null")).await, 403);
    assert_eq!(status(post().header("sec-fetch-site", "same-site")).await, 403);
    let own = format!("http://{}", app.address);
    assert_eq!(status(post().header("origin", &own)).await, 200);
    assert_eq!(status(post().header("sec-fetch-site", "same-origin").header("origin", &own)).await, 200);
    let plain = browser.bare("POST", "/api/v2/api_keys").header("origin", &own).header("content-type", "text/plain");
    assert_eq!(status(plain).await, 415);
    let reading = browser.bare("GET", "/api/v2/userinfo/").header("sec-fetch-site", "cross-site");
    assert_eq!(Actor::send(reading).await.status, 200);
}

/// S-28: sessions that have been over for 30 days are deleted, with throttle rows that mean nothing.
#[tokio::test]
async fn old_sessions_are_deleted() {
    let app = TestApp::spawn().await;
    let (_, browser) = app.signed_in("ada@example.com").await;
    app.db_execute(
        "insert into sessions select organization_id, gen_random_uuid(), user_id, secret_sha256, stage, method, authenticated_at,
         created_at, last_seen_at, idle_expires_at, now() - interval '31 days', ended_at, end_reason, address, agent from sessions",
    )
    .await;
    app.db_execute(
        "insert into throttles select organization_id, decode(repeat('ab', 16), 'hex'), now() - interval '1 second' from organizations",
    )
    .await;
    let housekeeping = tokio::spawn(muster::jobs::run_housekeeping(app.app.clone()));
    eventually("what is over is deleted", async || {
        let left = "select (select count(*) from sessions) + (select count(*) from throttles where full_at < now())";
        app.db_value::<i64>(left).await == 1
    })
    .await;
    housekeeping.abort();
    assert_eq!(app.db_value::<i64>("select count(*) from sessions").await, 1);
    assert_eq!(browser.get("/api/v2/userinfo/").await.status, 200);
}
