//! Denials that repeat are counted, and a network that keeps failing is limited.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use muster::caller::PermissionLevel;
use muster::clock::Clock;
use muster::id::Id;
use muster::{jobs, keys, organizations};
use serde_json::{Value, json};

use crate::support::gate::eventually;
use crate::support::{Actor, Answer, TestApp};

const ME: &str = "/api/v2/userinfo/";
const EVENTS: &str = "/api/v2/audit/events";

/// A server whose clock is at `start`, in the past: IDs are monotonic within the process.
async fn at() -> (TestApp, Arc<Mutex<DateTime<Utc>>>, DateTime<Utc>) {
    let start = (Utc::now() - TimeDelta::hours(1)).trunc_subsecs(3);
    let clock = Arc::new(Mutex::new(start));
    let trust = "127.0.0.0/8".parse().unwrap();
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&clock)), |config| {
        config.server.trusted_proxies.push(trust);
    })
    .await;
    (app, clock, start)
}

/// An actor with a key that has the right checksum, and an ID that the organization does not have.
async fn forger(app: &TestApp) -> Actor {
    let organization = organizations::first(&app.app).await.unwrap().unwrap();
    let unknown = keys::Token::generate(organization, Id::new(app.app.clock.now()));
    app.owner.with_token(unknown.text().expose())
}

async fn from(actor: &Actor, address: &str) -> Answer {
    Actor::send(actor.request("GET", ME).header("x-forwarded-for", address)).await
}

/// The denied events, newest first.
async fn denied(app: &TestApp) -> Vec<Value> {
    let mut query = format!("{EVENTS}?count=50");
    let mut denied = Vec::new();
    loop {
        let body = app.owner.get(&query).await.json();
        denied.extend(body["results"].as_array().unwrap().iter().filter(|event| event["outcome"] == "denied").cloned());
        match body["metadata"]["next_paging_token"].as_str() {
            Some(token) => query = format!("{EVENTS}?count=50&paging_token={token}"),
            None => return denied,
        }
    }
}

/// The denied events, once there are so many.
async fn denied_until(app: &TestApp, events: usize) -> Vec<Value> {
    eventually("the denials are recorded", async || denied(app).await.len() >= events).await;
    let denied = denied(app).await;
    assert_eq!(denied.len(), events);
    denied
}

/// Runs housekeeping until there are so many denied events.
async fn housekept(app: &TestApp, events: usize) -> Vec<Value> {
    let housekeeping = tokio::spawn(jobs::run_housekeeping(Arc::clone(&app.app)));
    let denied = denied_until(app, events).await;
    housekeeping.abort();
    denied
}

fn text(time: DateTime<Utc>) -> Value {
    json!(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[tokio::test]
async fn failed_authentications_are_counted_after_the_first_of_a_minute() {
    let (app, clock, start) = at().await;
    let forger = forger(&app).await;
    for second in 0..5 {
        *clock.lock().unwrap() = start + TimeDelta::seconds(second);
        // One network.
        let answer = from(&forger, &format!("203.0.113.{second}")).await;
        assert_eq!(
            (answer.status, answer.error()),
            (401, json!({"code": "unauthenticated", "detail": "unknown API key"}))
        );
    }
    let first = denied_until(&app, 1).await;
    assert_eq!((&first[0]["reason"], &first[0]["source_address"]), (&json!("unknown_key"), &json!("203.0.113.0")));
    assert_eq!(first[0]["details"], json!({}));
    *clock.lock().unwrap() = start + TimeDelta::seconds(60);
    let counted = housekept(&app, 2).await;
    assert_eq!(counted[1], first[0]);
    let event = &counted[0];
    assert_eq!(
        [&event["actor_kind"], &event["action"], &event["reason"], &event["source_address"], &event["request_id"]],
        [&json!("anonymous"), &json!("key.use"), &json!("unknown_key"), &Value::Null, &Value::Null]
    );
    assert_eq!(event["occurred_at"], text(start + TimeDelta::seconds(60)));
    assert_eq!(
        event["details"],
        json!({
            "repeated": 4, "network": "203.0.113.0/24",
            "first": text(start + TimeDelta::seconds(1)), "last": text(start + TimeDelta::seconds(4)),
        })
    );
    let of_anonymous = app.owner.get(&format!("{EVENTS}?actor=anonymous")).await.json();
    assert_eq!(of_anonymous["results"], json!(counted));
    // A new minute begins with a complete event, and another network has a count of its own.
    assert_eq!(from(&forger, "203.0.113.9").await.status, 401);
    assert_eq!(from(&forger, "2001:db8::1").await.status, 401);
    assert_eq!(from(&forger, "2001:db8::2").await.status, 401);
    denied_until(&app, 4).await;
    // The counts of a minute that has not ended are appended when the process ends.
    jobs::finish(&app.app).await;
    let last = denied(&app).await;
    assert_eq!((last.len(), &last[0]["details"]["network"]), (5, &json!("2001:db8::/64")));
    assert_eq!(last[0]["details"]["repeated"], 1);
}

#[tokio::test]
async fn denials_of_more_kinds_than_twenty_are_counted_together() {
    let (app, clock, start) = at().await;
    let forger = forger(&app).await;
    for network in 0..25 {
        assert_eq!(from(&forger, &format!("10.0.{network}.1")).await.status, 401);
    }
    denied_until(&app, 20).await;
    *clock.lock().unwrap() = start + TimeDelta::seconds(60);
    let event = &housekept(&app, 21).await[0];
    assert_eq!((&event["reason"], &event["details"]["repeated"]), (&json!("other"), &json!(5)));
    assert_eq!(event["details"]["network"], Value::Null);
}

#[tokio::test]
async fn denials_of_a_valid_key_are_complete_up_to_a_bound() {
    let (app, clock, start) = at().await;
    let (collaborator, key) = app.actor_for(PermissionLevel::Collaborator, TimeDelta::days(1)).await;
    for _ in 0..70 {
        assert_eq!(collaborator.get(EVENTS).await.status, 403);
    }
    assert_eq!(denied(&app).await.len(), 60);
    *clock.lock().unwrap() = start + TimeDelta::seconds(60);
    let event = &housekept(&app, 61).await[0];
    assert_eq!(
        [&event["actor_id"], &event["action"], &event["reason"], &event["details"]["repeated"]],
        [&json!(key.key.key_id), &json!("audit.list"), &json!("forbidden"), &json!(10)]
    );
}

#[tokio::test]
async fn a_network_with_too_many_invalid_credentials_gets_429_and_its_valid_keys_work() {
    let (app, clock, start) = at().await;
    let forger = forger(&app).await;
    let address = "203.0.113.7";
    for _ in 0..300 {
        assert_eq!(from(&forger, address).await.status, 401);
    }
    *clock.lock().unwrap() = start + TimeDelta::seconds(20);
    let limited = json!({
        "code": "rate_limited",
        "detail": "too many requests with unknown credentials from this network; correct them, then retry",
    });
    let answer = from(&forger, address).await;
    assert_eq!((answer.status, answer.error(), answer.header("retry-after")), (429, limited.clone(), "40"));
    // Links are credentials, too.
    let organization = organizations::first(&app.app).await.unwrap().unwrap();
    let link = muster::invitations::Token::generate(organization, Id::new(app.app.clock.now()));
    let path = format!("/invitations/{}", link.text().expose());
    let answer = Actor::send(app.anonymous().request("GET", &path).header("x-forwarded-for", address)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "40"));
    // A valid key that was never used before.
    let valid = app.actor(PermissionLevel::Collaborator).await;
    assert_eq!(from(&valid, address).await.status, 200);
    assert_eq!(from(&forger, "198.51.100.1").await.status, 401);
    *clock.lock().unwrap() = start + TimeDelta::seconds(60);
    assert_eq!(from(&forger, address).await.status, 401);
    eventually("the first denial of the new minute is recorded", async || {
        denied(&app).await.iter().filter(|event| event["reason"] == "unknown_key").count() == 2
    })
    .await;
}
