//! Properties of every response.

use serde_json::json;

use crate::support::{Actor, TestApp};

#[tokio::test]
async fn every_response_has_a_request_id_and_a_trace_id() {
    let app = TestApp::spawn().await;
    for path in [
        "/livez",
        "/readyz",
        "/openapi.json",
        "/docs/",
        "/api/v2/userinfo/",
        "/nowhere",
        "/api/v2/audit/events?count=x",
    ] {
        let answer = app.owner.get(path).await;
        assert!(answer.header("x-request-id").starts_with("req_"), "{path}");
        assert_eq!(answer.header("x-trace-id").len(), 32, "{path}");
    }
    // The vendor's client sends an all-zero span ID.
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = app.owner.request("GET", "/livez").header("traceparent", format!("00-{trace}-0000000000000000-01"));
    assert_eq!(Actor::send(request).await.header("x-trace-id"), trace);
    for junk in ["", "x", "00-00000000000000000000000000000000-0000000000000000-01", "00-XYZ-0-01"] {
        let answer = Actor::send(app.owner.request("GET", "/livez").header("traceparent", junk)).await;
        assert_eq!(answer.header("x-trace-id").len(), 32);
    }
}

#[tokio::test]
async fn an_unknown_path_gets_an_error_in_the_usual_format() {
    let app = TestApp::spawn().await;
    for path in ["/nowhere", "/api/v2/users", "/api/v2/userinfo", "/api/v2/organization_collaborators"] {
        let answer = app.anonymous().get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.error(), json!({"code": "not_found", "detail": "no such route; see /docs"}));
    }
}

/// A person who mistypes an address gets a page; other clients, and all of them below `/api/`, get JSON.
#[tokio::test]
async fn a_browser_gets_a_page_for_an_unknown_path() {
    let app = TestApp::spawn().await;
    let browsers = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for path in ["/nowhere", "/login", "/password", "/sso", "/sso/default/x"] {
        let page = Actor::send(app.anonymous().request("GET", path).header("accept", browsers)).await;
        assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"), "{path}");
        for part in ["<h1>Page not found</h1>", "There is no page at this address.", "sign-in\">Sign in</a>"] {
            assert!(page.text.contains(part), "{part} in {}", page.text);
        }
    }
    let not_found = json!({"code": "not_found", "detail": "no such route; see /docs"});
    for (method, path, accept) in [
        ("GET", "/api/v2/nowhere", browsers),
        ("POST", "/nowhere", browsers),
        ("GET", "/nowhere", "*/*"),
        ("GET", "/nowhere", "application/json"),
    ] {
        let answer = Actor::send(app.anonymous().request(method, path).header("accept", accept)).await;
        assert_eq!((answer.status, answer.error()), (404, not_found.clone()), "{method} {path} {accept}");
    }
}

#[tokio::test]
async fn a_doubled_slash_is_accepted() {
    let app = TestApp::spawn().await;
    assert_eq!(app.owner.get("//api/v2/userinfo/").await.status, 200);
    assert_eq!(app.owner.get("//api/v2/organization_collaborators/?count=1").await.status, 200);
    let request = app.owner.request("POST", "//api/v2/users/admin_batch_create").body("[]");
    assert_eq!(Actor::send(request).await.error()["code"], "empty_batch");
}

#[tokio::test]
async fn usage_reports_are_accepted_and_discarded() {
    let app = TestApp::spawn().await;
    for body in [r#"{"flags_used": ["--email=a@b"]}"#, "not JSON", ""] {
        let answer = Actor::send(app.anonymous().request("POST", "/api/v2/cli_usage/").body(body)).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    }
}

#[tokio::test]
async fn health_checks_distinguish_liveness_from_readiness() {
    let app = TestApp::spawn().await;
    assert_eq!(app.anonymous().get("/livez").await.text, r#"{"status":"ok"}"#);
    assert_eq!(app.anonymous().get("/readyz").await.text, r#"{"status":"ok"}"#);
    app.db_execute("delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)").await;
    let answer = app.anonymous().get("/readyz").await;
    assert_eq!(
        (answer.status, answer.error()),
        (503, json!({"code": "unavailable", "detail": "the database schema is outdated; run `muster migrate`"}))
    );
    app.served.close().await;
    let answer = app.anonymous().get("/readyz").await;
    assert_eq!((answer.status, answer.error()["detail"].as_str()), (503, Some("the database can't be reached")));
    assert_eq!(app.anonymous().get("/livez").await.status, 200);
}

#[tokio::test]
async fn without_the_database_requests_get_503_with_retry_after() {
    let app = TestApp::spawn().await;
    app.served.close().await;
    for path in ["/api/v2/userinfo/", "/api/v2/organization_collaborators/"] {
        let answer = app.owner.get(path).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), "2");
        assert_eq!(
            answer.error(),
            json!({"code": "unavailable", "detail": "the database can't be reached; nothing was written"})
        );
    }
}

#[tokio::test]
async fn every_get_route_accepts_head() {
    let app = TestApp::spawn().await;
    for path in ["/livez", "/readyz", "/openapi.json", "/docs/", "/api/v2/userinfo/"] {
        let answer = Actor::send(app.owner.request("HEAD", path)).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, ""), "{path}");
    }
}

/// Requirement U-4.
#[tokio::test]
async fn assets_are_cached_for_a_year_under_names_with_their_digest() {
    let app = TestApp::spawn().await;
    let page = app.anonymous().get("/invitations/x").await;
    for (start, kind) in
        [("href=\"../assets/app.", "text/css; charset=utf-8"), ("href=\"../assets/icon.", "image/svg+xml")]
    {
        let (_, rest) = page.text.split_once(start).unwrap();
        let path = format!("{}{}", start.trim_start_matches("href=\".."), rest.split('"').next().unwrap());
        let asset = app.anonymous().get(&path).await;
        assert_eq!((asset.status, asset.header("content-type")), (200, kind), "{path}");
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(asset.header("x-content-type-options"), "nosniff");
        assert_eq!(Actor::send(app.anonymous().request("HEAD", &path)).await.status, 200);
        let digest = rest.split('.').next().unwrap();
        let other = app.anonymous().get(&path.replace(digest, "000000000000")).await;
        assert_eq!((other.status, &other.error()["code"]), (404, &json!("not_found")));
    }
}

/// Requirement S-42.
#[tokio::test]
async fn errors_below_the_addresses_of_pages_are_pages_with_the_request_id() {
    let app = TestApp::spawn().await;
    for (method, path, status, heading) in [
        ("GET", "/invitations/x/y", 404, "Page not found"),
        ("DELETE", "/invitations/x", 405, "This request is not valid"),
    ] {
        let page = Actor::send(app.anonymous().request(method, path)).await;
        assert_eq!((page.status, page.header("content-type")), (status, "text/html; charset=utf-8"), "{path}");
        assert!(page.text.contains(&format!("<h1>{heading}</h1>")), "{}", page.text);
        assert!(page.text.contains(page.header("x-request-id")), "{}", page.text);
    }
}

const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Asserts the headers that every response has.
const PROTECTED: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

#[tokio::test]
async fn every_response_has_the_security_headers() {
    let app = TestApp::spawn().await;
    let owner = &app.owner;
    let long = "y".repeat(40_000);
    for (status, request) in [
        (200, owner.request("GET", "/livez")),
        (200, owner.request("HEAD", "/api/v2/userinfo/")),
        (204, owner.request("POST", "/api/v2/cli_usage/")),
        (400, owner.request("POST", crate::support::BATCH).body("no JSON")),
        (401, app.anonymous().request("GET", "/api/v2/userinfo/")),
        (404, owner.request("GET", "/nowhere")),
        (405, owner.request("DELETE", "/livez")),
        (405, owner.request("TRACE", "/livez")),
        (405, owner.request("TRACE", "/nowhere")),
        (413, owner.request("POST", "/api/v2/organization_invitations/accept").body("x".repeat(5000))),
        (422, owner.request("POST", crate::support::BATCH).body(json!([{"email": 1}]).to_string())),
        (431, owner.request("GET", "/livez").header("x", long)),
        (200, owner.request("GET", "/docs/")),
        (404, owner.request("GET", "/invitations/x")),
    ] {
        let answer = Actor::send(request).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        // Pages have their own policy, but never allow framing.
        let is_page = answer.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; ") && policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert!(is_page || policy == POLICY, "{policy}");
        for (name, value) in PROTECTED {
            assert_eq!(answer.header(name), value, "{status}");
        }
        assert!(!answer.headers.contains_key("strict-transport-security"), "the request did not use HTTPS");
        assert!(!answer.headers.contains_key("server"), "no banner");
    }
}

#[tokio::test]
async fn cross_origin_requests_get_no_cors_headers() {
    let app = TestApp::spawn().await;
    for method in ["OPTIONS", "GET", "POST"] {
        let request = app.owner.request(method, "/api/v2/userinfo/");
        let request =
            request.header("origin", "https://elsewhere.example").header("access-control-request-method", "GET");
        let answer = Actor::send(request).await;
        assert_eq!(answer.status, if method == "GET" { 200 } else { 405 }, "{method}");
        let opened = answer.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
        assert_eq!(opened, None, "{method}");
    }
}
