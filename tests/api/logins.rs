//! Logging in with a one-time password that another user approves.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Duration, Utc};
use muster::caller::PermissionLevel;
use muster::clock::Clock;
use serde_json::{Value, json};

use crate::support::{Actor, Answer, TestApp};

pub const APPROVE: &str = "/api/v2/users/approve_otp_token";

/// Starts a login: its one-time password and its page.
pub async fn started(app: &TestApp, seconds: u64) -> (String, String) {
    let answer = app.anonymous().get(&format!("/api/v2/users/create_otp_token?duration_seconds={seconds}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let result = answer.json()["result"].clone();
    (result["otp"].as_str().unwrap().to_owned(), result["url"].as_str().unwrap().to_owned())
}

async fn fetched(app: &TestApp, otp: &str) -> Answer {
    app.anonymous().get(&format!("/api/v2/users/request_otp_token/{otp}")).await
}

const ALREADY_FETCHED: &str = "the API key of the login was already fetched; if the person who started the login did not \
                               fetch it, revoke the key and start a new login";

fn pending() -> Value {
    json!({"result": {"valid": false, "server_session_id": ""}})
}

fn refused(answer: &Answer, status: u16, code: &str, detail: &str) {
    assert_eq!((answer.status, answer.error()), (status, json!({"code": code, "detail": detail})));
}

#[tokio::test]
async fn a_login_gets_one_key_that_acts_as_the_approver() {
    let app = TestApp::spawn().await;
    let (user_id, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let before: i64 = app.db_value("select count(*) from audit_events").await;
    let (otp, url) = started(&app, 604_800).await;
    assert_eq!(url, format!("http://{}/login/{otp}", app.address));
    let answer = fetched(&app, &otp).await;
    assert_eq!((answer.status, answer.json(), answer.header("cache-control")), (200, pending(), "no-store"));
    // An unauthenticated start writes nothing.
    assert_eq!(app.db_value::<i64>("select count(*) from audit_events").await, before);
    assert_eq!(app.db_value::<i64>("select count(*) from login_approvals").await, 0);

    let approved = ada.post(APPROVE, &json!({"otp": otp})).await;
    assert_eq!(approved.status, 200, "{}", approved.text);
    let mut approved = approved.json()["result"].clone();
    assert!(approved.as_object_mut().unwrap().remove("expires_at").unwrap().is_string());
    assert_eq!(approved, json!({"user_id": user_id, "permission_level": "collaborator"}));
    let again = ada.post(APPROVE, &json!({"otp": otp})).await;
    refused(&again, 409, "conflict", "the login is already approved; start a new one");
    // Reading the page does not use the password up.
    let head = Actor::send(app.anonymous().request("HEAD", &format!("/api/v2/users/request_otp_token/{otp}"))).await;
    assert_eq!(head.status, 200);

    let answer = fetched(&app, &otp).await.json()["result"].clone();
    assert_eq!(answer["valid"], true);
    let holder = app.anonymous().with_token(answer["server_session_id"].as_str().unwrap());
    let me = holder.get("/api/v2/userinfo/").await.json()["result"].clone();
    assert_eq!((&me["id"], &me["organization_permission_level"]), (&json!(user_id), &json!("collaborator")));
    // A used password can be neither fetched nor approved again.
    refused(&fetched(&app, &otp).await, 409, "conflict", ALREADY_FETCHED);
    let again = app.owner.post(APPROVE, &json!({"otp": otp})).await;
    refused(&again, 409, "conflict", "the login is already approved; start a new one");

    let keys = ada.get("/api/v2/api_keys").await.json();
    let key = &keys["results"][1];
    let time = |field: &str| key[field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!((&key["name"], time("expires_at") - time("created_at")), (&json!("login"), Duration::days(7)));
    let made = app.owner.get("/api/v2/audit/events?action=key.create&count=1").await.json();
    // The approver is the key's creator; the address is the fetching client's.
    assert_eq!(
        (&made["results"][0]["actor_id"], &made["results"][0]["source_address"]),
        (&keys["results"][0]["key_id"], &json!("127.0.0.1"))
    );
    let approvals = app.owner.get("/api/v2/audit/events?action=login.approve").await.json();
    let approvals = approvals["results"].as_array().unwrap();
    let ends: Vec<_> = approvals.iter().map(|event| (&event["outcome"], &event["target_id"])).collect();
    // The target of each approval is the user of its caller.
    let rejected = json!("rejected");
    assert_eq!(
        ends,
        [(&rejected, &approvals[0]["target_id"]), (&rejected, &json!(user_id)), (&json!("success"), &json!(user_id))]
    );
    assert_ne!(approvals[0]["target_id"], json!(user_id));
}

#[tokio::test]
async fn keys_without_a_user_and_with_scopes_pass_on_their_own_permissions() {
    let app = TestApp::spawn().await;
    let nobody = app.actor(PermissionLevel::Owner).await;
    let narrow = json!({"name": "narrow", "scopes": ["keys:write", "audit:read"]});
    let narrow = nobody.post("/api/v2/api_keys", &narrow).await.json()["result"]["token"].as_str().unwrap().to_owned();
    let narrow = nobody.with_token(&narrow);
    let (otp, _) = started(&app, 0).await;
    let approved = narrow.post(APPROVE, &json!({"otp": otp})).await.json();
    assert_eq!((approved["result"].get("user_id"), &approved["result"]["permission_level"]), (None, &json!("owner")));
    let token = fetched(&app, &otp).await.json()["result"]["server_session_id"].as_str().unwrap().to_owned();
    let holder = nobody.with_token(&token);
    assert_eq!(holder.get("/api/v2/audit/events").await.status, 200);
    assert_eq!(holder.get("/api/v2/organization_collaborators/").await.status, 403);
    // The maximum lifetime.
    let longest = "select extract(day from expires_at - created_at)::bigint from api_keys where name = 'login'";
    assert_eq!(app.db_value::<i64>(longest).await, 365);

    let reader = json!({"name": "reader", "scopes": ["users:read"]});
    let reader = nobody.post("/api/v2/api_keys", &reader).await.json()["result"]["token"].as_str().unwrap().to_owned();
    let (otp, _) = started(&app, 0).await;
    let sentence = "not permitted: `login.approve` requires an API key with the scope `keys:write`";
    refused(&nobody.with_token(&reader).post(APPROVE, &json!({"otp": otp})).await, 403, "forbidden", sentence);
}

#[tokio::test]
async fn of_concurrent_fetches_one_gets_the_key() {
    let app = TestApp::spawn().await;
    let (otp, _) = started(&app, 60).await;
    assert_eq!(app.owner.post(APPROVE, &json!({"otp": otp})).await.status, 200);
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let (anybody, path) = (app.anonymous(), format!("/api/v2/users/request_otp_token/{otp}"));
            tokio::spawn(async move { anybody.get(&path).await })
        })
        .collect();
    let mut given = 0;
    for asked in asking {
        let answer = asked.await.unwrap();
        if answer.status == 200 {
            given += u32::from(answer.json()["result"]["valid"] == true);
        } else {
            refused(&answer, 409, "conflict", ALREADY_FETCHED);
        }
    }
    assert_eq!(given, 1);
    assert_eq!(app.db_value::<i64>("select count(*) from api_keys where name = 'login'").await, 1);
}

#[tokio::test]
async fn of_concurrent_approvals_one_succeeds() {
    let app = TestApp::spawn().await;
    let (otp, _) = started(&app, 60).await;
    // From two organizations.
    let operator = muster::organizations::operator(&app.app).await.unwrap();
    let identifier = "other".parse().unwrap();
    let (_, key) = muster::organizations::create(&app.app, &operator, "Other", &identifier).await.unwrap();
    let owners = [app.owner.clone(), app.owner.with_token(key.token.expose())];
    let approving: Vec<_> = (0..6)
        .map(|n| {
            let (owner, body) = (owners[n % 2].clone(), json!({"otp": otp}));
            tokio::spawn(async move { owner.post(APPROVE, &body).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for approved in approving {
        statuses.push(approved.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn a_forged_or_expired_one_time_password_ends_the_login() {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let clock = Arc::new(Mutex::new(now));
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&clock)), |_| {}).await;
    let (otp, url) = started(&app, 60).await;
    let unknown = "unknown one-time password; check that the whole password was copied";
    let other = if otp.ends_with('0') { "1" } else { "0" };
    for wrong in [
        format!("{}{other}", &otp[..71]),
        otp[..71].to_owned(),
        "otp_x".to_owned(),
        "%25_%27".to_owned(),
        "x".repeat(8_000),
    ] {
        refused(&fetched(&app, &wrong).await, 404, "not_found", unknown);
        refused(&app.owner.post(APPROVE, &json!({"otp": wrong})).await, 404, "not_found", unknown);
        assert_eq!(app.anonymous().get(&format!("/login/{wrong}")).await.status, 404);
    }
    assert_eq!(app.owner.post(APPROVE, &json!({"otp": otp})).await.status, 200);
    *clock.lock().unwrap() = now + Duration::minutes(10);
    let expired = "the one-time password has expired; start the login again";
    refused(&fetched(&app, &otp).await, 404, "not_found", expired);
    refused(&app.owner.post(APPROVE, &json!({"otp": otp})).await, 404, "not_found", expired);
    let page = app.anonymous().get(url.strip_prefix(&format!("http://{}", app.address)).unwrap()).await;
    assert_eq!(page.status, 404);
    assert!(page.text.contains("<p>This code has expired. Start the login again.</p>"), "{}", page.text);
    // The next approval deletes expired approvals.
    let (otp, _) = started(&app, 60).await;
    assert_eq!(app.owner.post(APPROVE, &json!({"otp": otp})).await.status, 200);
    assert_eq!(app.db_value::<i64>("select count(*) from login_approvals").await, 1);
}

#[tokio::test]
async fn an_approval_by_a_user_without_access_gives_no_key() {
    let app = TestApp::spawn().await;
    let (_, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let gone = "the access of the login's approver has ended; start a new login and have another person approve it";
    let (otp, _) = started(&app, 60).await;
    let (other, _) = started(&app, 60).await;
    assert_eq!(ada.post(APPROVE, &json!({"otp": otp})).await.status, 200);
    assert_eq!(ada.post(APPROVE, &json!({"otp": other})).await.status, 200);
    app.db_execute("update users set status = 'suspended' where email = 'ada@example.com'").await;
    refused(&fetched(&app, &otp).await, 409, "conflict", gone);
    app.db_execute("update users set status = 'active' where email = 'ada@example.com'").await;
    assert_eq!(fetched(&app, &otp).await.json()["result"]["valid"], true);
    let key_id = ada.get("/api/v2/api_keys").await.json()["results"][0]["key_id"].as_str().unwrap().to_owned();
    assert_eq!(ada.delete(&format!("/api/v2/api_keys/{key_id}")).await.status, 200);
    refused(&fetched(&app, &other).await, 409, "conflict", gone);
    assert_eq!(app.db_value::<i64>("select count(*) from api_keys where name = 'login'").await, 1);

    // A deleted user's approvals yield no key.
    let (grace_id, grace) = app.person("grace@example.com", PermissionLevel::Collaborator).await;
    let (otp, _) = started(&app, 60).await;
    let (leftover, _) = started(&app, 60).await;
    assert_eq!(grace.post(APPROVE, &json!({"otp": otp})).await.status, 200);
    assert_eq!(app.owner.delete(&format!("/api/v2/users/{grace_id}")).await.status, 204);
    refused(&fetched(&app, &otp).await, 409, "conflict", gone);
    let operator = muster::organizations::operator(&app.app).await.unwrap();
    let ada_id = app.person("ada.king@example.com", PermissionLevel::Collaborator).await.0;
    muster::device_logins::approve(&app.app, &operator, &leftover, Some(ada_id.parse().unwrap())).await.unwrap();
    assert_eq!(app.owner.delete(&format!("/api/v2/users/{ada_id}")).await.status, 204);
    refused(&fetched(&app, &leftover).await, 409, "conflict", gone);
}

#[tokio::test]
async fn an_approval_ends_with_the_secret_that_made_it() {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let clock = Arc::new(Mutex::new(now));
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&clock)), |_| {}).await;
    let (first, key) = app.actor_for(PermissionLevel::Owner, Duration::days(1)).await;
    let key_id = key.key.key_id;
    let approved = async |secret: &Actor| {
        let (otp, _) = started(&app, 60).await;
        assert_eq!(secret.post(APPROVE, &json!({"otp": otp})).await.status, 200);
        otp
    };
    let rotated = async |secret: &Actor, overlap: u32| {
        let body = json!({"overlap_seconds": overlap});
        let answer = secret.post(&format!("/api/v2/api_keys/{key_id}/rotate"), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        app.anonymous().with_token(answer.json()["result"]["token"].as_str().unwrap())
    };
    let gone = "the access of the login's approver has ended; start a new login and have another person approve it";
    let valid = async |otp: &str| assert_eq!(fetched(&app, otp).await.json()["result"]["valid"], true);

    let before = [approved(&first).await, approved(&first).await];
    let second = rotated(&first, 60).await;
    let (during, with_second) = (approved(&first).await, approved(&second).await);
    valid(&before[0]).await;
    *clock.lock().unwrap() = now + Duration::seconds(60);
    for ended in [&before[1], &during] {
        refused(&fetched(&app, ended).await, 409, "conflict", gone);
    }
    valid(&with_second).await;

    let leaked = approved(&second).await;
    let third = rotated(&second, 0).await;
    refused(&fetched(&app, &leaked).await, 409, "conflict", gone);
    valid(&approved(&third).await).await;
    assert_eq!(app.db_value::<i64>("select count(*) from api_keys where name = 'login'").await, 3);
}

#[tokio::test]
async fn the_page_shows_the_code_without_scripts_and_is_not_cached() {
    let app = TestApp::spawn().await;
    let (otp, _) = started(&app, 60).await;
    let page = app.anonymous().get(&format!("/login/{otp}")).await;
    assert_eq!(page.status, 200);
    for (header, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        (
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ] {
        assert_eq!(page.header(header), value);
    }
    assert!(page.text.contains(&format!("<pre>muster login approve {otp}</pre>")), "{}", page.text);
    assert!(page.text.contains("<strong>Approve only a login that you started yourself, just now.</strong>"));
    for what in ["<script", "http:", "https:", "src=", "href="] {
        assert!(!page.text.contains(what), "{what}");
    }
    // The error does not repeat the request.
    let page = app.anonymous().get("/login/%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert_eq!(page.status, 404);
    assert!(!page.text.contains("script") && page.text.contains("Unknown code."), "{}", page.text);
}

#[tokio::test]
async fn a_link_starts_with_the_public_url() {
    let app = TestApp::spawn_with(|config| config.server.public_url = "https://muster.example.org/x/".to_owned()).await;
    let (otp, url) = started(&app, 60).await;
    assert_eq!(url, format!("https://muster.example.org/x/login/{otp}"));
    let app = TestApp::spawn().await;
    let request = app.anonymous().request("GET", "/api/v2/users/create_otp_token").header("host", "muster.internal:80");
    // The request must not determine where users are sent.
    let request = request.header("x-forwarded-host", "evil.example").header("forwarded", "host=evil.example");
    let started = Actor::send(request).await.json()["result"].clone();
    let due = format!("http://muster.internal:80/login/{}", started["otp"].as_str().unwrap());
    assert_eq!(started["url"], due.as_str());
}

#[tokio::test]
async fn invalid_parameters_are_reported() {
    let app = TestApp::spawn().await;
    let whole = "invalid `duration_seconds`; expected a whole number";
    let long = format!("?duration_seconds={}", "9".repeat(10_000));
    for (query, detail) in [
        ("?duration_seconds=-1", "`duration_seconds` must be 0 (the maximum) or positive"),
        ("?duration_seconds=", whole),
        ("?duration_seconds=1.5", whole),
        ("?duration_seconds=%25", whole),
        (&long, whole),
        ("?otp=x", "invalid query string: unknown field `otp`, expected `duration_seconds`"),
    ] {
        let answer = app.anonymous().get(&format!("/api/v2/users/create_otp_token{query}")).await;
        refused(&answer, 400, "invalid_request", detail);
    }
    let most = format!("/api/v2/users/create_otp_token?duration_seconds={}", i64::MAX);
    assert_eq!(app.anonymous().get(&most).await.status, 200);
    for body in [json!({}), json!({"otp": 1}), json!({"otp": "x", "user_id": "x"}), json!([])] {
        let answer = app.owner.post(APPROVE, &body).await;
        assert_eq!((answer.status, answer.error()["code"].as_str()), (400, Some("invalid_request")), "{body}");
    }
}
