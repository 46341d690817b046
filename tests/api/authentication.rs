//! Authentication and its audit events.

use chrono::Duration;
use muster::caller::PermissionLevel;
use serde_json::json;
use sqlx::ConnectOptions;

use crate::support::gate::eventually;
use crate::support::{Actor, TestApp, sso};

/// The challenge for a request without a credential, and for one with an invalid credential (RFC 6750, section 3).
const REQUIRED: &str = r#"Bearer realm="muster""#;
const INVALID: &str = r#"Bearer realm="muster", error="invalid_token""#;

const ROUTES: [(&str, &str); 4] = [
    ("GET", "/api/v2/userinfo/"),
    ("GET", "/api/v2/organization_collaborators/"),
    ("GET", "/api/v2/audit/events"),
    ("POST", "/api/v2/users/admin_batch_create"),
];

async fn rejected_everywhere(app: &TestApp, actor: &Actor, sentence: &str, challenge: &str) {
    let before = app.db_counts().await;
    for (method, path) in ROUTES {
        let answer = Actor::send(actor.request(method, path).body(json!([sso("a@example.com")]).to_string())).await;
        assert_eq!(answer.status, 401, "{method} {path}");
        assert_eq!(answer.error(), json!({"code": "unauthenticated", "detail": sentence}), "{method} {path}");
        assert_eq!(answer.header("www-authenticate"), challenge, "{method} {path}");
    }
    assert_eq!(app.db_counts().await, before);
}

#[tokio::test]
async fn a_request_without_a_key_is_rejected() {
    let app = TestApp::spawn().await;
    let sentence = "an API key is required, as `Authorization: Bearer …` or as cookie `cli_token`";
    rejected_everywhere(&app, &app.anonymous(), sentence, REQUIRED).await;
    // A scheme that muster does not support is no credential.
    let basic = app.anonymous().request("GET", "/api/v2/userinfo/").basic_auth("ada", Some("x"));
    let answer = Actor::send(basic).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, REQUIRED));
    let cookie = app.anonymous().request("GET", "/api/v2/userinfo/").header("cookie", "cli_token=aph0_wrong");
    let answer = Actor::send(cookie).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, INVALID));
    assert!(!app.owner.get("/nowhere").await.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn a_malformed_key_is_rejected_without_a_query() {
    let app = TestApp::spawn().await;
    let token = app.owner.token();
    let sentence = "malformed API key; check that the whole key was copied";
    for wrong in ["aph0_wrong", &token[..token.len() - 1], &token.replace("amk_", "bmk_"), &format!("{token}x")] {
        rejected_everywhere(&app, &app.owner.with_token(wrong), sentence, INVALID).await;
    }
    // Rejected as malformed even without a database.
    app.served.close().await;
    assert_eq!(app.owner.with_token("aph0_wrong").get("/api/v2/userinfo/").await.status, 401);
    assert_eq!(app.owner.get("/api/v2/userinfo/").await.status, 503);
}

#[tokio::test]
async fn unknown_expired_and_revoked_keys_are_rejected_and_recorded() {
    let app = TestApp::spawn().await;
    let organization = muster::organizations::first(&app.app).await.unwrap().unwrap();
    let unknown = muster::keys::Token::generate(organization, muster::id::Id::new(app.app.clock.now()));
    rejected_everywhere(&app, &app.owner.with_token(unknown.text().expose()), "unknown API key", INVALID).await;

    let (expired, _) = app.actor_for(PermissionLevel::Owner, Duration::milliseconds(1)).await;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    rejected_everywhere(&app, &expired, "the API key has expired", INVALID).await;

    let (revoked, key) = app.actor_for(PermissionLevel::Owner, Duration::days(1)).await;
    assert_eq!(revoked.get("/api/v2/userinfo/").await.status, 200);
    app.revoke(&key).await;
    rejected_everywhere(&app, &revoked, "the API key is revoked", INVALID).await;

    // Of each, the first in a minute; the others are counted.
    eventually("the denials are recorded", async || denials(&app).await.len() == 3).await;
    let mut denials = denials(&app).await;
    denials.sort_unstable();
    assert_eq!(denials, ["denied: expired_key", "denied: revoked_key", "denied: unknown_key"]);
}

/// The events about the use of keys: outcomes and reasons.
async fn denials(app: &TestApp) -> Vec<String> {
    let events = app.owner.get("/api/v2/audit/events?action=key.use").await.json();
    let show = |event: &serde_json::Value| {
        format!("{}: {}", event["outcome"].as_str().unwrap(), event["reason"].as_str().unwrap())
    };
    events["results"].as_array().unwrap().iter().map(show).collect()
}

/// The response time must not tell whether an organization exists.
#[tokio::test]
async fn the_response_to_a_forged_key_does_not_wait_for_the_record_that_only_existing_organizations_get() {
    let app = TestApp::spawn().await;
    let organization = muster::organizations::first(&app.app).await.unwrap().unwrap();
    // Holds up records of denials.
    let mut holder = app.database.connect().await.unwrap();
    for statement in ["begin", "lock table audit_events in share mode"] {
        sqlx::query(statement).execute(&mut holder).await.unwrap();
    }
    let id = muster::id::Id::new(app.app.clock.now());
    for organization in [muster::id::Id::new(app.app.clock.now()), organization] {
        let forged = muster::keys::Token::generate(organization, id);
        let answer = app.owner.with_token(forged.text().expose()).get("/api/v2/userinfo/").await;
        assert_eq!((answer.status, answer.error()["detail"].as_str()), (401, Some("unknown API key")));
    }
    let recorded = "select count(*) from audit_events where outcome = 'denied'";
    assert_eq!(app.db_value::<i64>(recorded).await, 0, "both responses came before the record");
    sqlx::query("rollback").execute(&mut holder).await.unwrap();
    eventually("the denial is recorded", async || app.db_value::<i64>(recorded).await == 1).await;
}

#[tokio::test]
async fn a_valid_id_with_a_wrong_secret_is_an_unknown_key() {
    let app = TestApp::spawn().await;
    let real = muster::keys::Token::parse(app.owner.token()).unwrap();
    let forged = muster::keys::Token::generate(real.organization_id, real.id);
    let answer = app.owner.with_token(forged.text().expose()).get("/api/v2/userinfo/").await;
    assert_eq!((answer.status, answer.error()["detail"].as_str()), (401, Some("unknown API key")));
}

#[tokio::test]
async fn a_collaborators_key_can_read_but_not_create_and_the_denial_is_recorded() {
    let app = TestApp::spawn().await;
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    assert_eq!(collaborator.get("/api/v2/userinfo/").await.status, 200);
    assert_eq!(collaborator.get("/api/v2/organization_collaborators/").await.status, 200);
    let before = app.db_counts().await;
    let answer = collaborator.create(&json!([sso("a@example.com")])).await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.error(),
        json!({"code": "forbidden", "detail": "not permitted: `user.batch_create` requires an owner's API key"})
    );
    // Rejected before the body is read.
    assert_eq!(collaborator.create_raw("not JSON").await.status, 403);
    assert_eq!(app.db_counts().await, before);
    let events = app.owner.get("/api/v2/audit/events?action=user.batch_create").await.json();
    let event = &events["results"][1];
    assert_eq!(
        (&event["outcome"], &event["reason"], &event["actor_name"]),
        (&json!("denied"), &json!("forbidden"), &json!("test"))
    );
    assert_eq!(event["request_id"], answer.header("x-request-id"));
    assert_eq!(event["source_address"], "127.0.0.1");
}

#[tokio::test]
async fn the_vendors_cookie_and_the_bearer_header_are_equivalent() {
    let app = TestApp::spawn().await;
    let token = app.owner.token();
    for cookie in [format!("cli_token={token}"), format!("a=b; cli_token={token}; c=d")] {
        let answer = Actor::send(app.anonymous().request("GET", "/api/v2/userinfo/").header("cookie", cookie)).await;
        assert_eq!(answer.status, 200);
    }
    // The header takes precedence over the cookie.
    let request = app
        .anonymous()
        .request("GET", "/api/v2/userinfo/")
        .bearer_auth("aph0_wrong")
        .header("cookie", format!("cli_token={token}"));
    assert_eq!(Actor::send(request).await.status, 401);
}

#[tokio::test]
async fn the_last_use_of_a_key_is_recorded() {
    let app = TestApp::spawn().await;
    assert_eq!(app.db_value::<i64>("select count(*) from api_keys where last_used_at is not null").await, 0);
    app.owner.get("/api/v2/userinfo/").await;
    let recorded = "select count(*) from api_keys where last_used_at is not null";
    eventually("the use is recorded", async || app.db_value::<i64>(recorded).await == 1).await;
}

#[tokio::test]
async fn userinfo_has_all_fields_that_the_vendors_client_requires() {
    let app = TestApp::spawn().await;
    let body = app.owner.get("/api/v2/userinfo/").await.json();
    let info = body["result"].as_object().unwrap();
    for (field, kind) in [
        ("id", "string"),
        ("email", "string"),
        ("name", "string"),
        ("username", "string"),
        ("verified", "boolean"),
        ("organization_permission_level", "string"),
        ("organization_ids", "array"),
        ("organizations", "array"),
        ("ld_hash", "string"),
        ("ld_hash_fields", "array"),
        ("pylon_hash", "string"),
    ] {
        let value = &info[field];
        let found = if value.is_string() {
            "string"
        } else if value.is_boolean() {
            "boolean"
        } else if value.is_array() {
            "array"
        } else {
            "?"
        };
        assert_eq!(found, kind, "{field}");
    }
    assert_eq!(info["name"], "Administrator");
    assert_eq!(info["email"], "administrator@muster.invalid");
    assert!(info["id"].as_str().unwrap().starts_with("usr_"));
    assert_eq!(info["organization_permission_level"], "owner");
    let organization = info["organizations"][0].as_object().unwrap();
    assert_eq!(organization["name"], "Default organization");
    assert_eq!(organization["id"], info["organization_ids"][0]);
    for field in ["is_general_platform_enabled", "is_private_endpoints_enabled", "is_usage_blocked"] {
        assert_eq!(organization[field], json!(false));
    }
    assert!(organization["public_identifier"].is_string());
}

#[tokio::test]
async fn userinfo_of_a_key_without_a_user_describes_the_key() {
    let app = TestApp::spawn().await;
    let (actor, key) = app.actor_for(PermissionLevel::Collaborator, Duration::days(1)).await;
    let body = actor.get("/api/v2/userinfo/").await.json();
    let info = &body["result"];
    assert_eq!(info["id"], json!(key.key.key_id));
    assert_eq!(info["name"], "test");
    assert_eq!(info["email"], format!("{}@api-key.invalid", key.key.key_id));
    assert_eq!(info["organization_permission_level"], "collaborator");
}
