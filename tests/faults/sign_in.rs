//! Sign-ins, links and sessions that race with a suspension, another password or the end of the session; clients that leave; a
//! database that is away.

use muster::caller::PermissionLevel;
use muster::clock::Clock;
use serde_json::{Value, json};

use crate::support::browser::{Browser, PASSWORD};
use crate::support::gate::{Gate, eventually};
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{TestApp, migrated_database};

const OTHER: &str = "another-Harbor-Quill-27";
const RESET: &str = "/api/v2/users/reset_password";

/// An instance that is held at a step, and another one.
pub(crate) async fn held_at(step: &'static str) -> (Gate, ServerProcess, TestApp) {
    let (database, gate) = (migrated_database().await, Gate::open(step));
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_METRICS__LISTEN", "127.0.0.1:0");
    let held = ServerProcess::start(command.envs([gate.variable()]));
    let other = TestApp::spawn_on(database, Clock::System, |_| {}).await;
    (gate, held, other)
}

/// Sessions that somebody could use.
async fn live_sessions(app: &TestApp) -> i64 {
    app.db_value("select count(*) from sessions where ended_at is null").await
}

/// S-3: a user who is suspended, deleted or gets another password between the verification and the session gets no session.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_while_a_password_is_verified_gives_no_session() {
    let (gate, held, other) = held_at("sign_in::verified").await;
    for end in ["suspend", "delete", "password", "sso"] {
        let email = format!("{end}@example.com");
        let (user_id, browser) = other.signed_in(&email).await;
        let path = format!("/api/v2/users/{user_id}");
        gate.close();
        let late = Browser::at_address(held.address);
        let signing_in = tokio::spawn({
            let (late, email) = (late.clone(), email.clone());
            async move { late.sign_in(&email, PASSWORD).await }
        });
        gate.reached().await;
        let status = match end {
            "suspend" => other.owner.post(&format!("{path}/suspend"), &Value::Null).await.status,
            "delete" => other.owner.delete(&path).await.status,
            "sso" => {
                let sso = other.owner.request("PATCH", &path).body(json!({"is_sso_user": true}).to_string());
                crate::support::Actor::send(sso).await.status
            }
            _ => {
                let new = json!({"current_password": PASSWORD, "new_password": OTHER});
                browser.post("/api/v2/users/change_password", &new).await.status
            }
        };
        assert!([200, 204].contains(&status), "{end}: {status}");
        gate.release();
        let answer = signing_in.await.unwrap();
        assert_eq!((answer.status, answer.error()["code"].as_str()), (401, Some("sign_in_refused")), "{end}");
        assert_eq!(late.get("/api/v2/userinfo/").await.status, 401, "{end}");
        let expected = if end == "password" { 1 } else { 0 };
        assert_eq!(live_sessions(&other).await, expected, "{end}");
        other.db_execute("update sessions set ended_at = now(), end_reason = 'test' where ended_at is null").await;
    }
}

/// S-32: a link that is replaced, used or revoked while the new password is hashed sets nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_ends_while_the_password_is_hashed_sets_nothing() {
    let (gate, held, other) = held_at("link::hashed").await;
    for end in ["replace", "use", "suspend"] {
        let email = format!("{end}@example.com");
        let (user_id, _) = other.signed_in(&email).await;
        let token = other.link(&email).await;
        gate.close();
        let late = Browser::at_address(held.address);
        let using = tokio::spawn({
            let (late, body) = (late.clone(), json!({"token": token, "new_password": OTHER}));
            async move { late.post(RESET, &body).await }
        });
        gate.reached().await;
        match end {
            "replace" => drop(other.link(&email).await),
            "use" => {
                let body = json!({"token": token, "new_password": PASSWORD});
                assert_eq!(Browser::of(&other).post(RESET, &body).await.status, 200);
            }
            _ => {
                let suspended = other.owner.post(&format!("/api/v2/users/{user_id}/suspend"), &Value::Null).await;
                assert_eq!(suspended.status, 200);
            }
        }
        gate.release();
        let answer = using.await.unwrap();
        assert_eq!(
            (answer.status, answer.error()),
            (404, json!({"code": "not_found", "detail": "the link was used, replaced or revoked meanwhile"})),
            "{end}"
        );
        if end == "suspend" {
            other.owner.post(&format!("/api/v2/users/{user_id}/reactivate"), &Value::Null).await;
        }
        assert_eq!(Browser::of(&other).sign_in(&email, OTHER).await.status, 401, "{end}");
        assert_eq!(Browser::of(&other).sign_in(&email, PASSWORD).await.status, 200, "{end}");
    }
}

/// S-22: a session that ends before the commit of a change undoes the change.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_before_the_commit_of_a_change_undoes_it() {
    let (gate, held, other) = held_at("change::written").await;
    let ended = "the session has ended; sign in again; nothing was written";
    for (end, detail, reason) in [
        ("end", ended, "ended_session"),
        ("suspend", ended, "ended_session"),
        ("delete", "unknown session; sign in; nothing was written", "unknown_session"),
    ] {
        let email = format!("{end}@example.com");
        let (user_id, _) = other.person(&email, PermissionLevel::Owner).await;
        other.db_execute("update users set is_sso_user = false").await;
        let browser = other.signed_in_by_link(&email).await;
        let session = browser.get("/api/v2/users/sessions").await.json()["results"][0]["id"].clone();
        gate.close();
        let making = tokio::spawn({
            let late = browser.at(held.address);
            async move { late.post("/api/v2/user_groups/", &json!({"name": "Ops"})).await }
        });
        gate.reached().await;
        let user = format!("/api/v2/users/{user_id}");
        let status = match end {
            "end" => other.owner.delete(&format!("/api/v2/users/sessions/{}", session.as_str().unwrap())).await.status,
            "suspend" => other.owner.post(&format!("{user}/suspend"), &Value::Null).await.status,
            _ => other.owner.delete(&user).await.status,
        };
        assert!([200, 204].contains(&status), "{end}: {status}");
        gate.release();
        let answer = making.await.unwrap();
        assert_eq!(
            (answer.status, answer.error()),
            (401, json!({"code": "unauthenticated", "detail": detail})),
            "{end}"
        );
        let log = other.owner.get("/api/v2/audit/events?action=group.create&count=1").await.json();
        assert_eq!(log["results"][0]["reason"], reason, "{end}");
    }
    assert_eq!(other.db_value::<i64>("select count(*) from user_groups").await, 0);
}

/// S-18: a session that ends while the new password is hashed changes nothing, and of two changes at once one wins.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_not_changed_by_a_session_that_ended_or_twice_at_once() {
    let (gate, held, other) = held_at("password::hashed").await;
    let path = "/api/v2/users/change_password";
    let new = json!({"current_password": PASSWORD, "new_password": OTHER});
    for end in ["end", "suspend", "change"] {
        let email = format!("{end}@example.com");
        let (user_id, browser) = other.signed_in(&email).await;
        gate.close();
        let changing = tokio::spawn({
            let (late, new) = (browser.at(held.address), new.clone());
            async move { late.post(path, &new).await }
        });
        gate.reached().await;
        let third = json!({"current_password": PASSWORD, "new_password": "third-Meadow-Lamp-58"});
        let status = match end {
            "end" => {
                let all = json!({"user_id": user_id});
                other.owner.post("/api/v2/users/sessions/end_all", &all).await.status
            }
            "suspend" => other.owner.post(&format!("/api/v2/users/{user_id}/suspend"), &Value::Null).await.status,
            _ => {
                let elsewhere = Browser::of(&other);
                assert_eq!(elsewhere.sign_in(&email, PASSWORD).await.status, 200);
                elsewhere.post(path, &third).await.status
            }
        };
        assert_eq!(status, 200, "{end}");
        gate.release();
        let answer = changing.await.unwrap();
        let due = if end == "change" { (409, "conflict") } else { (401, "unauthenticated") };
        assert_eq!((answer.status, answer.error()["code"].as_str().unwrap()), due, "{end}: {}", answer.text);
        if end == "suspend" {
            other.owner.post(&format!("/api/v2/users/{user_id}/reactivate"), &Value::Null).await;
        }
        let valid = if end == "change" { "third-Meadow-Lamp-58" } else { PASSWORD };
        assert_eq!(Browser::of(&other).sign_in(&email, OTHER).await.status, 401, "{end}");
        assert_eq!(Browser::of(&other).sign_in(&email, valid).await.status, 200, "{end}");
    }
}

/// A client that leaves while its new password is hashed leaves the link open, or has used it whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_while_it_uses_a_link_leaves_it_open() {
    let (gate, held, other) = held_at("link::hashed").await;
    other.signed_in("ada@example.com").await;
    let token = other.link("ada@example.com").await;
    gate.close();
    let late = Browser::at_address(held.address);
    let body = json!({"token": token, "new_password": OTHER});
    let using = tokio::spawn({
        let body = body.clone();
        async move { late.post(RESET, &body).await }
    });
    gate.reached().await;
    using.abort();
    let _ = using.await;
    // The server notices that the client has left while it waits at the step.
    eventually("the request ends", async || {
        held.metrics().await.lines().any(|line| line == "muster_http_requests_in_flight 0")
    })
    .await;
    gate.release();
    assert_eq!(Browser::of(&other).sign_in("ada@example.com", PASSWORD).await.status, 200);
    assert_eq!(Browser::of(&other).post(RESET, &body).await.status, 200);
    assert_eq!(Browser::of(&other).sign_in("ada@example.com", OTHER).await.status, 200);
}

/// A client that leaves while its password is verified gets a session that nobody has, or none; others are not disturbed.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_leave_in_the_middle_of_a_sign_in_do_no_harm() {
    let (gate, held, other) = held_at("sign_in::verified").await;
    other.signed_in("ada@example.com").await;
    for _ in 0..5 {
        gate.close();
        let late = Browser::at_address(held.address);
        let signing_in = tokio::spawn(async move { late.sign_in("ada@example.com", PASSWORD).await });
        gate.reached().await;
        signing_in.abort();
        let _ = signing_in.await;
        gate.release();
    }
    eventually("the connections are free", async || {
        let busy: i64 = other.db_value("select count(*) from pg_stat_activity where state like 'idle in transaction%' and datname = current_database()").await;
        busy == 0
    })
    .await;
    assert_eq!(Browser::at_address(held.address).sign_in("ada@example.com", PASSWORD).await.status, 200);
    assert!(live_sessions(&other).await >= 2);
}
