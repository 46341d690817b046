//! What holds for every answer, whatever the route.

use serde_json::json;

use crate::support::{Actor, TestApp};

#[tokio::test]
async fn every_answer_has_a_request_id_and_a_trace_id() {
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
    // The vendor's client sends a span id of zeros.
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = app.owner.request("GET", "/livez").header("traceparent", format!("00-{trace}-0000000000000000-01"));
    assert_eq!(Actor::send(request).await.header("x-trace-id"), trace);
    for junk in ["", "x", "00-00000000000000000000000000000000-0000000000000000-01", "00-XYZ-0-01"] {
        let answer = Actor::send(app.owner.request("GET", "/livez").header("traceparent", junk)).await;
        assert_eq!(answer.header("x-trace-id").len(), 32);
    }
}

#[tokio::test]
async fn an_unknown_address_is_answered_in_the_usual_shape() {
    let app = TestApp::spawn().await;
    for path in ["/", "/api/v2/users", "/api/v2/userinfo", "/api/v2/organization_collaborators"] {
        let answer = app.anonymous().get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(
            answer.error(),
            json!({"code": "not_found", "detail": "there is nothing at this address; /docs lists what there is"})
        );
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
async fn usage_reports_are_answered_and_forgotten() {
    let app = TestApp::spawn().await;
    for body in [r#"{"flags_used": ["--email=a@b"]}"#, "not JSON", ""] {
        let answer = Actor::send(app.anonymous().request("POST", "/api/v2/cli_usage/").body(body)).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    }
}

#[tokio::test]
async fn health_tells_life_from_readiness() {
    let app = TestApp::spawn().await;
    assert_eq!(app.anonymous().get("/livez").await.text, r#"{"status":"ok"}"#);
    assert_eq!(app.anonymous().get("/readyz").await.text, r#"{"status":"ok"}"#);
    app.db_execute("delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)").await;
    let answer = app.anonymous().get("/readyz").await;
    assert_eq!(
        (answer.status, answer.error()),
        (503, json!({"code": "unavailable", "detail": "the database lacks migrations: run `muster migrate`"}))
    );
    app.app.db.close().await;
    let answer = app.anonymous().get("/readyz").await;
    assert_eq!((answer.status, answer.error()["detail"].as_str()), (503, Some("the database can't be reached")));
    assert_eq!(app.anonymous().get("/livez").await.status, 200);
}

#[tokio::test]
async fn with_the_database_away_requests_are_refused_with_the_time_to_come_again() {
    let app = TestApp::spawn().await;
    app.app.db.close().await;
    for path in ["/api/v2/userinfo/", "/api/v2/organization_collaborators/"] {
        let answer = app.owner.get(path).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), "2");
        assert_eq!(
            answer.error(),
            json!({"code": "unavailable", "detail": "the database can't be reached right now; this request wrote nothing"})
        );
    }
}

#[tokio::test]
async fn what_can_be_read_can_be_probed_with_head() {
    let app = TestApp::spawn().await;
    for path in ["/livez", "/readyz", "/openapi.json", "/docs/", "/api/v2/userinfo/"] {
        let answer = Actor::send(app.owner.request("HEAD", path)).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, ""), "{path}");
    }
}
