//! Requests that a browser sends for a page of another site.

use serde_json::{Value, json};

use crate::coverage::{body, operations, with_ids, with_mail};
use crate::support::{Actor, Answer, BATCH, TestApp, sso};

/// Sends a request of the owner that is authenticated by the cookie.
async fn by_cookie(app: &TestApp, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let cookie = format!("cli_token={}", app.owner.token());
    let mut request = app.anonymous().request(method, path).header("cookie", cookie);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Actor::send(if method == "GET" { request } else { request.body(body.to_string()) }).await
}

fn cross_site() -> Value {
    json!({
        "code": "cross_site",
        "detail": "not permitted: a page of another site sent this request with the cookie `cli_token`; use \
                   `Authorization: Bearer …`",
    })
}

#[tokio::test]
async fn a_change_with_the_cookie_from_a_page_of_another_site_is_denied_and_recorded() {
    let app = TestApp::spawn().await;
    let own = format!("http://{}", app.address);
    let before = app.db_counts().await;
    let others: [&[(&str, &str)]; 7] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site"), ("origin", &own)],
        &[("origin", "https://elsewhere.example")],
        &[("origin", "null")],
        &[("origin", &format!("{own}0"))],
        &[("origin", &format!("https://elsewhere.example/{}", app.address))],
    ];
    for headers in others {
        let headers = [headers, &[("content-type", "text/plain")]].concat();
        let answer = by_cookie(&app, "POST", BATCH, &headers, &json!([sso("a@example.com")])).await;
        assert_eq!((answer.status, answer.error()), (403, cross_site()), "{headers:?}");
    }
    assert_eq!(app.db_counts().await, before);
    let events = app.owner.get("/api/v2/audit/events?action=key.use").await.json();
    let event = &events["results"][0];
    assert_eq!((&event["outcome"], &event["reason"]), (&json!("denied"), &json!("cross_site")));
    assert_eq!(event["actor_kind"], "api_key");
    // The credential is checked first.
    let request = app.anonymous().request("POST", BATCH).header("cookie", "cli_token=aph0_wrong");
    assert_eq!(Actor::send(request.header("sec-fetch-site", "cross-site")).await.status, 401);
}

#[tokio::test]
async fn every_route_that_changes_something_denies_the_cookie_from_another_site() {
    let app = TestApp::spawn_with(with_mail).await;
    for (method, path, id, is_secured) in operations() {
        if is_secured && method != "GET" {
            let path = with_ids(&app, &path, &id).await;
            let answer = by_cookie(&app, &method, &path, &[("sec-fetch-site", "cross-site")], &Value::Null).await;
            assert_eq!((answer.status, answer.error()), (403, cross_site()), "{id}");
        }
    }
}

#[tokio::test]
async fn muster_s_own_pages_and_clients_that_are_no_browser_may_use_the_cookie() {
    let app =
        TestApp::spawn_with(|config| config.server.public_url = "https://muster.example.org/sub".to_owned()).await;
    let own = format!("http://{}", app.address);
    let json = ("content-type", "application/json");
    let allowed: [&[(&str, &str)]; 6] = [
        // The vendor's client.
        &[],
        &[("sec-fetch-site", "same-origin"), json],
        &[("sec-fetch-site", "none"), json],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://changed-by-a-proxy.example"), json],
        &[("origin", &own), json],
        &[("origin", "https://MUSTER.example.org"), json],
    ];
    for (n, headers) in allowed.into_iter().enumerate() {
        let created = by_cookie(&app, "POST", BATCH, headers, &json!([sso(&format!("{n}@example.com"))])).await;
        assert_eq!(created.status, 200, "{headers:?}: {}", created.text);
    }
    let other = [("sec-fetch-site", "cross-site"), ("origin", "https://elsewhere.example"), json];
    assert_eq!(by_cookie(&app, "GET", "/api/v2/userinfo/", &other, &Value::Null).await.status, 200);
    // A page can't set `Authorization` without a preflight.
    let mut request = app.owner.request("POST", BATCH).body(json!([sso("bearer@example.com")]).to_string());
    for (name, value) in other {
        request = request.header(name, value);
    }
    assert_eq!(Actor::send(request).await.status, 200);
}

#[tokio::test]
async fn a_browser_must_declare_json_as_json_and_other_clients_need_not() {
    let app = TestApp::spawn_with(with_mail).await;
    let document = serde_json::to_value(muster::http::openapi_document()).unwrap();
    let mut checked = 0;
    for (method, template, id, _) in operations() {
        let content = &document["paths"][&template][method.to_lowercase()]["requestBody"]["content"];
        // Usage reports are discarded unread.
        if content["application/json"].is_null() || id == "cli_usage" {
            continue;
        }
        checked += 1;
        let path = with_ids(&app, &template, &id).await;
        let text = body(&app, &id).await;
        for (browser, media_type) in [
            (("sec-fetch-site", "same-origin"), Some("text/plain")),
            (("sec-fetch-site", "none"), Some("application/x-www-form-urlencoded")),
            (("sec-fetch-site", "same-origin"), Some("text/json")),
            (("origin", "null"), Some("application/jsonp")),
            (("origin", "https://elsewhere.example"), None),
        ] {
            let mut request = app.owner.request(&method, &path).header(browser.0, browser.1).body(text.clone());
            if let Some(media_type) = media_type {
                request = request.header("content-type", media_type);
            }
            let answer = Actor::send(request).await;
            // They check where a request comes from whatever its credential: it would sign the visitor in, or send mail.
            if ["session_start", "password_link_use", "password_reset_request"].contains(&id.as_str())
                && browser.1 != "same-origin"
            {
                assert_eq!(
                    (answer.status, answer.error()["code"].as_str()),
                    (403, Some("cross_site")),
                    "{id} {browser:?}"
                );
                continue;
            }
            let expected = json!({
                "code": "unsupported_media_type",
                "detail": "a browser must send JSON with `Content-Type: application/json`",
            });
            assert_eq!((answer.status, answer.error()), (415, expected), "{id} {media_type:?}");
        }
    }
    assert!(checked > 15, "{checked}");
    for (n, media_type) in
        ["application/json", "application/json; charset=utf-8", "application/scim+json"].into_iter().enumerate()
    {
        let request = app.owner.request("POST", BATCH).header("sec-fetch-site", "same-origin");
        let request = request.header("content-type", media_type);
        let users = json!([sso(&format!("json{n}@example.com"))]);
        assert_eq!(Actor::send(request.body(users.to_string())).await.status, 200, "{media_type}");
    }
    // Without a body, there is nothing to declare.
    let key = app.owner.get("/api/v2/api_keys").await.json()["results"][0]["key_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v2/api_keys/{key}/rotate");
    let rotated = Actor::send(app.owner.request("POST", &path).header("sec-fetch-site", "same-origin")).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let plain = app.owner.request("POST", BATCH).header("content-type", "text/plain");
    assert_eq!(Actor::send(plain.body(json!([sso("plain@example.com")]).to_string())).await.status, 200);
}
