//! Accounts that expire.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use muster::caller::PermissionLevel;
use muster::clock::Clock;
use serde_json::{Value, json};

use crate::support::gate::eventually;
use crate::support::{Actor, Answer, BATCH, TestApp};

const LISTS: &str = "/api/v2/users/admin_batch_";

/// A server whose clock only the test sets.
async fn at_noon() -> (TestApp, impl Fn(DateTime<Utc>), DateTime<Utc>) {
    let now: DateTime<Utc> = "2026-11-30T12:00:00Z".parse().unwrap();
    let clock = Arc::new(Mutex::new(now));
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&clock)), |_| {}).await;
    (app, move |time| *clock.lock().unwrap() = time, now)
}

async fn set_expiry(app: &TestApp, user_id: &str, expires_at: Value) -> Answer {
    let request = app.owner.request("PATCH", &format!("/api/v2/users/{user_id}"));
    Actor::send(request.body(json!({ "expires_at": expires_at }).to_string())).await
}

async fn user(app: &TestApp, user_id: &str) -> Value {
    app.owner.get(&format!("/api/v2/users/{user_id}")).await.json()["result"].clone()
}

/// Runs the background work until the user is suspended.
async fn until_suspended(app: &TestApp, user_id: &str) {
    let housekeeping = tokio::spawn(muster::jobs::run_housekeeping(app.app.clone()));
    eventually("the user is suspended", async || user(app, user_id).await["status"] == "suspended").await;
    housekeeping.abort();
}

#[tokio::test]
async fn a_user_is_created_with_an_expiry_that_is_shown_everywhere() {
    let app = TestApp::spawn().await;
    let people = json!([
        {"name": "Ada", "email": "ada@example.com", "is_sso_user": true, "expires_at": "2099-12-31"},
        {"name": "Eve", "email": "eve@example.com", "is_sso_user": true, "expires_at": null},
    ]);
    let planned =
        Actor::send(app.owner.request("POST", &format!("{BATCH}?dry_run=true")).body(people.to_string())).await;
    let expiry = json!("2099-12-31T23:59:59Z");
    assert_eq!(planned.json()["results"][0]["expires_at"], expiry, "{}", planned.text);
    let created = app.owner.create(&people).await.json();
    assert_eq!(created["results"][0]["expires_at"], expiry);
    assert!(created["results"][1].get("expires_at").is_none());
    let batch = created["metadata"]["batch_id"].as_str().unwrap();
    let results = app.owner.get(&format!("/api/v2/batches/{batch}/results")).await.json();
    assert_eq!(results["results"][0]["expires_at"], expiry);
    let ids = [0, 1].map(|n: usize| created["results"][n]["user_id"].as_str().unwrap().to_owned());
    assert_eq!(user(&app, &ids[0]).await["expires_at"], expiry);
    assert_eq!(user(&app, &ids[1]).await["expires_at"], Value::Null);

    let changed = set_expiry(&app, &ids[1], json!("2099-01-01T01:00:00+01:00")).await;
    assert_eq!((changed.status, &changed.json()["result"]["expires_at"]), (200, &json!("2099-01-01T00:00:00Z")));
    let rows = json!([{"user": ids[0], "expires_at": null}, {"user": "eve@example.com", "expires_at": "2099-06-30"}]);
    let answer = app.owner.post(&format!("{LISTS}update"), &rows).await.json();
    let change = |user: &str, before: &str, after: Value| json!({"user_id": user, "field": "expires_at", "before": before, "after": after});
    assert_eq!(
        answer["metadata"]["changes"],
        json!([
            change(&ids[0], "2099-12-31T23:59:59Z", Value::Null),
            change(&ids[1], "2099-01-01T00:00:00Z", json!("2099-06-30T23:59:59Z")),
        ])
    );
    let events = app.owner.get("/api/v2/audit/events?action=user.update&count=1").await.json();
    assert_eq!(events["results"][0]["details"], json!({"fields": ["expires_at"]}));
}

#[tokio::test]
async fn an_expiry_in_the_past_or_without_a_zone_is_rejected() {
    let app = TestApp::spawn().await;
    let with = |email: &str, expires_at: Value| json!({"name": "Ada", "email": email, "is_sso_user": true, "expires_at": expires_at});
    let people = json!([
        with("a@example.com", json!("2026-01-01")),
        with("b@example.com", json!("31.12.2099")),
        with("c@example.com", json!("2099-12-31T18:00:00")),
        with("d@example.com", json!(46022)),
    ]);
    let malformed = "must be a date (the last day of access, in UTC), such as 2027-12-31, or a time with its zone, such as \
                     2027-12-31T18:00:00+01:00";
    let past = "is in the past; to end the access of a user now, suspend the user";
    let row = |index: usize, code: &str, message: &str| json!({"index": index, "field": "expires_at", "code": code, "message": message});
    let expected = json!([
        row(0, "expires_at_past", past),
        row(1, "expires_at_malformed", &format!("{malformed}; did you mean 2099-12-31?")),
        row(2, "expires_at_malformed", malformed),
        row(3, "wrong_type", "must be text, not a number"),
    ]);
    let answer = app.owner.create(&people).await;
    assert_eq!((answer.status, &answer.error()["rows"]), (422, &expected));
    assert_eq!(app.db_counts().await[0], 0);

    let (id, _) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let answer = set_expiry(&app, &id, json!("2026-01-01")).await;
    assert_eq!((answer.status, &answer.error()["rows"][0]), (422, &row(0, "expires_at_past", past)));
    let account = app.owner.post("/api/v2/users/service_accounts?name=robot", &Value::Null).await.json();
    let answer = set_expiry(&app, account["result"]["user_id"].as_str().unwrap(), json!("2099-01-01")).await;
    assert_eq!((answer.status, &answer.error()["code"]), (409, &json!("conflict")));
}

#[tokio::test]
async fn access_ends_at_the_time_itself_and_the_user_is_suspended_by_the_service() {
    let (app, set_time, now) = at_noon().await;
    let other = TestApp::spawn_on(app.database.clone(), app.app.clock.clone(), |_| {}).await;
    let (id, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let (_, eve) = app.person("eve@example.com", PermissionLevel::Collaborator).await;
    let expires_at = now + TimeDelta::hours(1);
    assert_eq!(set_expiry(&app, &id, json!(expires_at)).await.status, 200);
    let status = async |actor: &Actor| actor.get("/api/v2/userinfo/").await.status;
    set_time(expires_at - TimeDelta::microseconds(1));
    assert_eq!((status(&ada).await, status(&other.at(&ada)).await), (200, 200), "both instances cache the holder");
    set_time(expires_at);
    for actor in [&ada, &other.at(&ada)] {
        let answer = actor.get("/api/v2/userinfo/").await;
        assert_eq!(
            (answer.status, &answer.error()["detail"]),
            (401, &json!("the account of the API key's user has expired"))
        );
    }
    assert_eq!(user(&app, &id).await["status"], "active", "without the background work");
    assert_eq!(status(&eve).await, 200);

    // Two instances, after a downtime of a day.
    set_time(expires_at + TimeDelta::days(1));
    let second = tokio::spawn(muster::jobs::run_housekeeping(other.app.clone()));
    until_suspended(&app, &id).await;
    second.abort();
    let revision = user(&app, &id).await["revision"].clone();
    let events = app.owner.get("/api/v2/audit/events?action=user.suspend").await.json();
    assert_eq!(events["results"].as_array().unwrap().len(), 1, "recorded once");
    let event = &events["results"][0];
    assert_eq!((&event["actor_kind"], &event["details"]), (&json!("system"), &json!({"reason": "expired"})), "{event}");
    assert_eq!(event["target_id"], json!(id), "{event}");
    let of_system = app.owner.get("/api/v2/audit/events?actor=system").await.json();
    assert_eq!(of_system["results"], events["results"]);
    assert_eq!(revision, json!(3));
    let answer = ada.get("/api/v2/userinfo/").await;
    assert_eq!((answer.status, &answer.error()["detail"]), (401, &json!("the user of the API key is suspended")));
}

#[tokio::test]
async fn an_expired_user_is_reactivated_only_with_another_expiry() {
    let (app, set_time, now) = at_noon().await;
    let (id, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    assert_eq!(set_expiry(&app, &id, json!("2026-11-30")).await.status, 200);
    set_time(now + TimeDelta::days(1));
    until_suspended(&app, &id).await;
    let detail = "the account has expired; set a later `expires_at` or remove it first";
    let reactivate = async || app.owner.post(&format!("/api/v2/users/{id}/reactivate"), &Value::Null).await;
    let answer = reactivate().await;
    assert_eq!((answer.status, answer.error()), (409, json!({"code": "conflict", "detail": detail})));
    let answer = app.owner.post(&format!("{LISTS}reactivate"), &json!([{"user": id}])).await;
    let row = json!({"index": 0, "field": "user", "code": "expired", "message": detail});
    assert_eq!((answer.status, &answer.error()["rows"]), (422, &json!([row])));
    for expiry in [json!("2026-12-31"), Value::Null] {
        assert_eq!(set_expiry(&app, &id, expiry).await.status, 200);
        assert_eq!(ada.get("/api/v2/userinfo/").await.status, 401, "a new expiry does not reactivate");
    }
    assert_eq!(reactivate().await.status, 200);
    assert_eq!(ada.get("/api/v2/userinfo/").await.status, 200);
}

#[tokio::test]
async fn the_last_permanent_owner_cannot_get_an_expiry() {
    let app = TestApp::spawn().await;
    let administrator = app.owner.get("/api/v2/organization_collaborators/").await.json()["results"][0].clone();
    let id = administrator["user_id"].as_str().unwrap();
    let answer = set_expiry(&app, id, json!("2099-12-31")).await;
    assert_eq!((answer.status, &answer.error()["code"]), (409, &json!("last_owner")), "{}", answer.text);
    let (ada, _) = app.person("ada@example.com", PermissionLevel::Owner).await;
    assert_eq!(set_expiry(&app, &ada, json!("2099-12-31")).await.status, 200, "an owner who is not the last one");
    // An owner whose account expires does not count.
    for answer in [
        set_expiry(&app, id, json!("2099-12-31")).await,
        app.owner.post(&format!("/api/v2/users/{id}/suspend"), &Value::Null).await,
        app.owner.post(&format!("{LISTS}update"), &json!([{"user": id, "expires_at": "2099-12-31"}])).await,
    ] {
        assert_eq!((answer.status, &answer.error()["code"]), (409, &json!("last_owner")), "{}", answer.text);
    }
    let (eve, _) = app.person("eve@example.com", PermissionLevel::Owner).await;
    let both = json!([{"user": id, "expires_at": "2099-12-31"}, {"user": eve, "expires_at": "2099-12-31"}, {"user": ada, "title": "x"}]);
    let answer = app.owner.post(&format!("{LISTS}update"), &both).await;
    let named: Vec<Value> = answer.error()["rows"].as_array().unwrap().iter().map(|row| row["index"].clone()).collect();
    assert_eq!((answer.status, named), (409, vec![json!(0), json!(1)]), "{}", answer.text);
    assert_eq!(set_expiry(&app, id, json!("2099-12-31")).await.status, 200);
}

#[tokio::test]
async fn a_login_that_an_expired_user_approved_is_not_fetched() {
    let (app, set_time, now) = at_noon().await;
    let (id, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    assert_eq!(set_expiry(&app, &id, json!(now + TimeDelta::minutes(1))).await.status, 200);
    let started = app.anonymous().get("/api/v2/users/create_otp_token").await.json();
    let otp = started["result"]["otp"].as_str().unwrap().to_owned();
    assert_eq!(ada.post("/api/v2/users/approve_otp_token", &json!({ "otp": otp })).await.status, 200);
    set_time(now + TimeDelta::minutes(1));
    let answer = app.anonymous().get(&format!("/api/v2/users/request_otp_token/{otp}")).await;
    assert_eq!(answer.status, 409, "{}", answer.text);
}

#[tokio::test]
async fn an_invited_person_gets_the_expiry_of_the_invitation() {
    let (app, _, now) = at_noon().await;
    let path = "/api/v2/organization_invitations/admin_batch_create";
    let invite = async |expires_at: Value| {
        app.owner.post(path, &json!([{"email": "ada@example.com", "expires_at": expires_at}])).await
    };
    let answer = invite(json!(now + TimeDelta::days(1))).await;
    let row = &answer.error()["rows"][0];
    assert_eq!((answer.status, &row["code"]), (422, &json!("expires_before_link")), "{}", answer.text);
    let answer = invite(json!("2027-03-31")).await;
    let link = answer.json()["results"][0]["link"].as_str().unwrap().to_owned();
    let token = link.rsplit('/').next().unwrap();
    let acceptance = json!({"token": token, "name": "Ada", "password": "tidal-anchor-Plum-91"});
    let accepted = app.anonymous().post("/api/v2/organization_invitations/accept", &acceptance).await;
    let id = accepted.json()["result"]["user_id"].as_str().unwrap().to_owned();
    assert_eq!(user(&app, &id).await["expires_at"], "2027-03-31T23:59:59Z");
}

#[tokio::test]
async fn an_export_with_an_expired_user_is_applied_without_a_change() {
    let (app, set_time, now) = at_noon().await;
    let (id, _) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    assert_eq!(set_expiry(&app, &id, json!("2026-11-30")).await.status, 200);
    set_time(now + TimeDelta::days(1));
    until_suspended(&app, &id).await;
    let apply = async |row: Value| app.owner.post(&format!("{LISTS}apply"), &json!([row])).await;
    let exported =
        json!({"user": id, "email": "ada@example.com", "expires_at": "2026-11-30T23:59:59Z", "status": "suspended"});
    let answer = apply(exported).await;
    assert_eq!((answer.status, &answer.json()["results"]), (200, &json!([])), "{}", answer.text);
    let answer = apply(json!({"user": id, "status": "active"})).await;
    assert_eq!((answer.status, &answer.error()["rows"][0]["code"]), (422, &json!("expired")), "{}", answer.text);
    let answer = apply(json!({"user": id, "status": "active", "expires_at": "2026-11-29"})).await;
    let codes: Vec<Value> = answer.error()["rows"].as_array().unwrap().iter().map(|row| row["code"].clone()).collect();
    assert_eq!((answer.status, codes), (422, vec![json!("expires_at_past"), json!("expired")]), "{}", answer.text);
    let answer = apply(json!({"user": id, "status": "active", "expires_at": "2026-12-31"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(user(&app, &id).await["status"], "active");
    let new = json!({"email": "bo@example.com", "name": "Bo", "is_sso_user": true, "expires_at": "2027-01-31"});
    let answer = apply(new).await.json();
    let changes = answer["results"][0]["changes"].as_array().unwrap();
    assert!(
        changes.iter().any(|change| change["field"] == "expires_at" && change["after"] == "2027-01-31T23:59:59Z"),
        "{answer}"
    );
}
