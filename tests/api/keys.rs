//! API keys: permissions to create, read, rotate and revoke them, and their properties.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Duration, Utc};
use muster::caller::PermissionLevel;
use muster::clock::Clock;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection};

use crate::support::{Actor, Answer, BATCH, TestApp, sso, with_password};

const PATH: &str = "/api/v2/api_keys";

/// Creates a key as `actor`; returns it with its actor.
async fn made(app: &TestApp, actor: &Actor, wanted: Value) -> (Value, Actor) {
    let answer = actor.post(PATH, &wanted).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let key = answer.json()["result"].clone();
    let holder = app.anonymous().with_token(key["token"].as_str().unwrap());
    (key, holder)
}

async fn service_account(app: &TestApp, name: &str) -> String {
    let answer = app.owner.post(&format!("/api/v2/users/service_accounts?name={name}"), &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["result"]["user_id"].as_str().unwrap().to_owned()
}

fn one(key: &Value) -> String {
    format!("{PATH}/{}", key["key_id"].as_str().unwrap())
}

/// The ID of an actor's key.
fn key_of(actor: &Actor) -> String {
    muster::keys::Token::parse(actor.token()).unwrap().id.to_string()
}

fn rotation(key: &Value) -> String {
    format!("{}/rotate", one(key))
}

fn refused(answer: &Answer, status: u16, code: &str, detail: &str) {
    assert_eq!((answer.status, answer.error()), (status, json!({"code": code, "detail": detail})));
}

async fn status(actor: &Actor) -> u16 {
    actor.get("/api/v2/userinfo/").await.status
}

/// The names of all listed keys.
async fn names(actor: &Actor, query: &str) -> Vec<String> {
    let answer = actor.get(&format!("{PATH}{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let results = answer.json()["results"].clone();
    results.as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect()
}

const NO_OTHERS: &str = "not permitted: `key.others` requires an owner's API key";

#[tokio::test]
async fn a_user_creates_reads_and_revokes_an_own_key() {
    let app = TestApp::spawn().await;
    let (user_id, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let (mut key, holder) = made(&app, &ada, json!({"name": " ci ", "expires_in_seconds": 3600})).await;
    assert_eq!(holder.get("/api/v2/userinfo/").await.json()["result"]["id"], user_id.as_str());
    let time = |field: &str| key[field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!(time("expires_at") - time("created_at"), Duration::hours(1));
    let token = key.as_object_mut().unwrap().remove("token").unwrap();

    let shown = ada.get(&one(&key)).await;
    assert!(!shown.text.contains(token.as_str().unwrap()));
    let mut shown = shown.json()["result"].clone();
    shown.as_object_mut().unwrap().remove("last_used_at");
    assert_eq!(shown.as_object_mut().unwrap().remove("user_status").unwrap(), "active");
    assert_eq!(shown, key);
    for field in ["key_id", "created_at", "expires_at"] {
        assert!(key.as_object_mut().unwrap().remove(field).unwrap().is_string(), "{field}");
    }
    assert_eq!(
        key,
        json!({
            "user_id": user_id, "name": "ci", "permission_level": "collaborator", "scopes": null, "status": "active",
            "created_by": key_of(&ada),
        })
    );
    // Created by the local operator.
    let first = app.owner.get(&format!("{PATH}/{}", key_of(&app.owner))).await.json()["result"].clone();
    assert_eq!((&first["name"], first.get("created_by")), (&json!("first key"), None));
    let listed = ada.get(PATH).await.json()["results"].clone();
    let makers: Vec<Option<&Value>> = listed.as_array().unwrap().iter().map(|key| key.get("created_by")).collect();
    assert_eq!(makers, [None, Some(&json!(key_of(&ada)))]);

    let revoked = ada.delete(&one(&shown)).await;
    assert_eq!((revoked.status, &revoked.json()["result"]["status"]), (200, &json!("revoked")));
    assert!(revoked.json()["result"]["revoked_at"].is_string());
    assert_eq!(holder.get("/api/v2/userinfo/").await.error()["detail"], "the API key is revoked");
    let sentence = format!("API key {} is already revoked", shown["key_id"].as_str().unwrap());
    refused(&ada.delete(&one(&shown)).await, 409, "conflict", &sentence);
}

#[tokio::test]
async fn a_key_never_creates_a_key_with_more_permissions() {
    let app = TestApp::spawn().await;
    let (_, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let level = "an API key with the collaborator level can't create or rotate a key with more permissions";
    let scopes = "an API key can't create or rotate a key with scopes that it does not have itself";
    refused(&ada.post(PATH, &json!({"name": "x", "permission_level": "owner"})).await, 403, "forbidden", level);

    let (narrow, holder) =
        made(&app, &app.owner, json!({"name": "narrow", "scopes": ["keys:write", "audit:read"]})).await;
    assert_eq!(narrow["scopes"], json!(["keys:write", "audit:read"]));
    for wanted in
        [json!({"name": "x", "scopes": ["keys:write", "users:read"]}), json!({"name": "x", "scopes": ["keys:read"]})]
    {
        refused(&holder.post(PATH, &wanted).await, 403, "forbidden", scopes);
    }
    // Unspecified permissions are inherited, not granted.
    let (inherited, heir) = made(&app, &holder, json!({"name": "heir"})).await;
    assert_eq!((&inherited["scopes"], &inherited["permission_level"]), (&narrow["scopes"], &json!("owner")));
    assert_eq!(heir.get("/api/v2/audit/events").await.status, 200);
    refused(
        &heir.get("/api/v2/organization_collaborators/").await,
        403,
        "forbidden",
        "not permitted: `collaborator.list` requires an API key with the scope `users:read`",
    );
    // Nor can it rotate a key with more permissions, because that would hand over the new secret.
    let (wide, _) = made(&app, &app.owner, json!({"name": "wide"})).await;
    refused(&holder.post(&rotation(&wide), &json!({})).await, 403, "forbidden", scopes);
    let denied = app.owner.get("/api/v2/audit/events?action=key.create").await.json();
    let denied = denied["results"].as_array().unwrap().iter().filter(|event| event["outcome"] == "denied").count();
    assert_eq!(denied, 3);
}

#[tokio::test]
async fn a_key_without_key_scopes_can_only_revoke_itself() {
    let app = TestApp::spawn().await;
    let (key, holder) = made(&app, &app.owner, json!({"name": "reader", "scopes": ["users:read"]})).await;
    let needs =
        |action: &str, scope: &str| format!("not permitted: `{action}` requires an API key with the scope `{scope}`");
    refused(&holder.post(PATH, &json!({"name": "x"})).await, 403, "forbidden", &needs("key.create", "keys:write"));
    refused(&holder.get(PATH).await, 403, "forbidden", &needs("key.list", "keys:read"));
    refused(&holder.post(&rotation(&key), &json!({})).await, 403, "forbidden", &needs("key.rotate", "keys:write"));
    let (other, _) = made(&app, &app.owner, json!({"name": "other"})).await;
    refused(&holder.delete(&one(&other)).await, 403, "forbidden", &needs("key.revoke", "keys:write"));
    assert_eq!(holder.delete(&one(&key)).await.status, 200);
    assert_eq!(status(&holder).await, 401);
}

#[tokio::test]
async fn only_the_user_can_create_a_key_that_acts_as_the_user() {
    let app = TestApp::spawn().await;
    let (ada_id, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let (grace_id, grace) = app.person("grace@example.com", PermissionLevel::Collaborator).await;
    let (key, holder) = made(&app, &ada, json!({"name": "ada's", "user_id": ada_id})).await;

    // Another collaborator can't even tell whether the key exists.
    let unknown = format!("{PATH}/key_01k9h6m3x0e8wbz1v5n7q2r4t6");
    for path in [&one(&key), &unknown] {
        refused(&grace.get(path).await, 403, "forbidden", NO_OTHERS);
        refused(&grace.delete(path).await, 403, "forbidden", NO_OTHERS);
        refused(&grace.post(&format!("{path}/rotate"), &json!({})).await, 403, "forbidden", NO_OTHERS);
    }
    for user_id in [ada_id.as_str(), "usr_01k9h6m3x0e8wbz1v5n7q2r4t6"] {
        refused(&grace.post(PATH, &json!({"name": "x", "user_id": user_id})).await, 403, "forbidden", NO_OTHERS);
        refused(&grace.get(&format!("{PATH}?user_id={user_id}")).await, 403, "forbidden", NO_OTHERS);
    }
    assert_eq!(names(&grace, "").await, ["test"]);
    assert_eq!(names(&grace, &format!("?user_id={grace_id}")).await, ["test"]);

    // An owner can read and revoke the key, but not rotate it.
    let person = "a key for another person would act as that person, who can create one with `muster login` or with \
                  an API key of their own";
    refused(&app.owner.post(PATH, &json!({"name": "x", "user_id": ada_id})).await, 403, "forbidden", person);
    let rotating = "the new secret of another person's API key would act as that person; revoke the key instead";
    refused(&app.owner.post(&rotation(&key), &json!({})).await, 403, "forbidden", rotating);
    assert_eq!(names(&app.owner, &format!("?user_id={ada_id}")).await, ["test", "ada's"]);
    assert_eq!(app.owner.get(&one(&key)).await.status, 200);
    assert_eq!(app.owner.delete(&one(&key)).await.status, 200);
    assert_eq!(status(&holder).await, 401);
    refused(&app.owner.get(&unknown).await, 404, "not_found", "there is no API key key_01k9h6m3x0e8wbz1v5n7q2r4t6");
}

#[tokio::test]
async fn a_key_has_no_access_to_another_organization() {
    let app = TestApp::spawn().await;
    app.db_execute(
        "insert into organizations (organization_id, name, public_identifier, created_at)
         values ('01990000-0000-7000-8000-000000000001', 'Other', 'other', now());
         ",
    )
    .await;
    app.db_execute(
        "insert into api_keys (organization_id, key_id, name, secret_sha256, permission_level, created_by_kind, created_at, expires_at)
         values ('01990000-0000-7000-8000-000000000001', '01990000-0000-7000-8000-000000000002', 'theirs',
                 sha256('x'), 'owner', 'operator', now(), now() + interval '1 day')",
    )
    .await;
    let id: muster::id::Id<muster::id::ApiKey> =
        muster::id::Id::from_uuid(app.db_value("select key_id from api_keys where name = 'theirs'").await);
    let (path, sentence) = (format!("{PATH}/{id}"), format!("there is no API key {id}"));
    refused(&app.owner.get(&path).await, 404, "not_found", &sentence);
    refused(&app.owner.delete(&path).await, 404, "not_found", &sentence);
    refused(&app.owner.post(&format!("{path}/rotate"), &json!({})).await, 404, "not_found", &sentence);
    assert!(!names(&app.owner, "").await.contains(&"theirs".to_owned()));
}

#[tokio::test]
async fn a_key_without_a_user_creates_keys_without_a_user() {
    let app = TestApp::spawn().await;
    let nobody = app.actor(PermissionLevel::Collaborator).await;
    let (key, holder) = made(&app, &nobody, json!({"name": "child"})).await;
    assert_eq!(key.get("user_id"), None);
    assert_eq!(names(&holder, "").await, ["child"]);
    assert_eq!(holder.get(&one(&key)).await.status, 200);
    assert_eq!(names(&nobody, "").await, ["test"]);
}

#[tokio::test]
async fn invalid_keys_are_rejected() {
    let app = TestApp::spawn().await;
    let days = "an API key's lifetime must be positive and at most 365 days (setting `keys.max_days`)";
    let name = "an API key's name must be one line of 1 to 100 visible characters";
    let scopes = "invalid `scopes`; expected one or more of users:read, users:write, invitations:read, invitations:write, \
                  groups:read, groups:write, policies:read, policies:write, keys:read, keys:write, audit:read, or no \
                  `scopes` for those of the calling key";
    for (wanted, detail) in [
        (json!({"name": " "}), name),
        (json!({"name": "a\nb"}), name),
        (json!({"name": "x".repeat(101)}), name),
        (json!({"name": "x", "expires_in_seconds": 0}), days),
        (json!({"name": "x", "expires_in_seconds": -1}), days),
        (json!({"name": "x", "expires_in_seconds": 365 * 86400 + 1}), days),
        (json!({"name": "x", "expires_in_seconds": i64::MAX}), days),
        (json!({"name": "x", "expires_in_seconds": i64::MIN}), days),
        (
            json!({"name": "x", "permission_level": "root"}),
            "invalid `permission_level`; expected `owner` or `collaborator`",
        ),
        (json!({"name": "x", "scopes": []}), scopes),
        (json!({"name": "x", "scopes": ["users:*"]}), scopes),
        (json!({"name": "x", "scopes": ["users:read", "x".repeat(10_000)]}), scopes),
        (
            json!({"name": "x", "user_id": "key_01k9h6m3x0e8wbz1v5n7q2r4t6"}),
            "`user_id` is not an ID; expected `usr_` and 26 characters",
        ),
        (json!({}), "invalid request body: missing field `name` at line 1 column 2"),
    ] {
        refused(&app.owner.post(PATH, &wanted).await, 400, "invalid_request", detail);
    }
    let answer = app.owner.post(PATH, &json!({"name": "x", "role": "owner"})).await;
    assert_eq!(answer.status, 400);
    assert!(answer.error()["detail"].as_str().unwrap().starts_with("invalid request body: unknown field `role`"));
    let answer = Actor::send(app.owner.request("POST", PATH).body("{")).await;
    assert_eq!((answer.status, answer.error()["code"].as_str()), (400, Some("invalid_json")));
    let nobody = json!({"name": "x", "user_id": "usr_01k9h6m3x0e8wbz1v5n7q2r4t6"});
    let sentence = "there is no user usr_01k9h6m3x0e8wbz1v5n7q2r4t6";
    refused(&app.owner.post(PATH, &nobody).await, 404, "not_found", sentence);
    for id in ["usr_01k9h6m3x0e8wbz1v5n7q2r4t6", "x", "%25_"] {
        let sentence = "no such API key; an ID is `key_` and 26 characters";
        refused(&app.owner.get(&format!("{PATH}/{id}")).await, 404, "not_found", sentence);
        refused(&app.owner.delete(&format!("{PATH}/{id}")).await, 404, "not_found", sentence);
        refused(&app.owner.post(&format!("{PATH}/{id}/rotate"), &json!({})).await, 404, "not_found", sentence);
    }
    // The maximum lifetime is accepted.
    made(&app, &app.owner, json!({"name": "é".repeat(100), "expires_in_seconds": 365 * 86400})).await;
}

#[tokio::test]
async fn keys_are_paged_and_invalid_parameters_are_reported() {
    let app = TestApp::spawn().await;
    let user_id = service_account(&app, "ci").await;
    for n in 0..5 {
        made(&app, &app.owner, json!({"name": format!("key {n}"), "user_id": user_id})).await;
    }
    let mut seen = Vec::new();
    let mut query = format!("{PATH}?user_id={user_id}&count=2");
    loop {
        let body = app.owner.get(&query).await.json();
        seen.extend(body["results"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()));
        let Some(token) = body["metadata"]["next_paging_token"].as_str() else { break };
        query = format!("{PATH}?user_id={user_id}&count=2&paging_token={token}");
    }
    assert_eq!(seen, ["key 0", "key 1", "key 2", "key 3", "key 4"]);
    assert_eq!(names(&app.owner, "?user_id=usr_01k9h6m3x0e8wbz1v5n7q2r4t6").await, [""; 0]);
    let count = "`count` must be a number from 1 to 50";
    let token = "`paging_token` must be the `next_paging_token` of the previous page";
    let user = "`user_id` is not an ID; expected `usr_` and 26 characters";
    let long = format!("?user_id={}", "x".repeat(10_000));
    for (query, detail) in [
        ("?count=0", count),
        ("?count=51", count),
        ("?count=", count),
        ("?paging_token=", token),
        ("?paging_token=usr_01k9h6m3x0e8wbz1v5n7q2r4t6", token),
        ("?user_id=", user),
        ("?user_id=%25", user),
        ("?user_id=_", user),
        ("?user_id=%27%22", user),
        (&long, user),
        ("?user_id=%00", "invalid query string: contains a NUL byte"),
        ("?name=x", "invalid query string: unknown field `name`, expected one of `user_id`, `paging_token`, `count`"),
    ] {
        refused(&app.owner.get(&format!("{PATH}{query}")).await, 400, "invalid_request", detail);
    }
}

#[tokio::test]
async fn a_rotated_key_accepts_both_secrets_until_the_overlap_ends() {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let clock = Arc::new(Mutex::new(now));
    let set = |time| *clock.lock().unwrap() = time;
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&clock)), |_| {}).await;
    let (key, old) = made(&app, &app.owner, json!({"name": "ci"})).await;
    assert_eq!(status(&old).await, 200);
    // The key rotates itself.
    let rotated = old.post(&rotation(&key), &json!({"overlap_seconds": 60})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let rotated = rotated.json()["result"].clone();
    assert_eq!((&rotated["key_id"], &rotated["expires_at"]), (&key["key_id"], &key["expires_at"]));
    let time = |field: &str| rotated[field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!((time("rotated_at"), time("previous_expires_at")), (now, now + Duration::seconds(60)));
    let new = app.anonymous().with_token(rotated["token"].as_str().unwrap());
    set(now + Duration::milliseconds(59_999));
    assert_eq!((status(&old).await, status(&new).await), (200, 200));
    // Cached or not, the overlap ends on time.
    set(now + Duration::seconds(60));
    assert_eq!(old.get("/api/v2/userinfo/").await.error()["detail"], "the API key has expired");
    assert_eq!(status(&new).await, 200);
    assert_eq!(app.owner.get(&one(&key)).await.json()["result"].get("previous_expires_at"), None);
}

#[tokio::test]
async fn a_key_has_at_most_two_secrets_and_one_without_overlap() {
    let app = TestApp::spawn().await;
    let (key, first) = made(&app, &app.owner, json!({"name": "ci"})).await;
    let rotate = async |body: Value| {
        let answer = app.owner.post(&rotation(&key), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        (
            app.anonymous().with_token(answer.json()["result"]["token"].as_str().unwrap()),
            answer.json()["result"].clone(),
        )
    };
    let (second, shown) = rotate(json!({})).await;
    let time = |field: &str| shown[field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!(time("previous_expires_at") - time("rotated_at"), Duration::hours(24));
    let (third, _) = rotate(json!({"overlap_seconds": 7 * 86400})).await;
    assert_eq!((status(&first).await, status(&second).await, status(&third).await), (401, 200, 200));
    let (fourth, shown) = rotate(json!({"overlap_seconds": 0})).await;
    assert_eq!(shown.get("previous_expires_at"), None);
    assert_eq!((status(&second).await, status(&third).await, status(&fourth).await), (401, 401, 200));
    let rule = "the previous secret can stay valid for 0 to 7 days after a rotation";
    for seconds in [-1, 7 * 86400 + 1, i64::MAX, i64::MIN] {
        refused(
            &app.owner.post(&rotation(&key), &json!({"overlap_seconds": seconds})).await,
            400,
            "invalid_request",
            rule,
        );
    }
    assert_eq!(app.owner.delete(&one(&key)).await.status, 200);
    let id = key["key_id"].as_str().unwrap();
    let sentence = format!("API key {id} is revoked or expired and can't be rotated; create a new one");
    refused(&app.owner.post(&rotation(&key), &json!({})).await, 409, "conflict", &sentence);
    assert_eq!(status(&fourth).await, 401);
}

#[tokio::test]
async fn concurrent_rotations_leave_two_valid_secrets() {
    let app = TestApp::spawn().await;
    let (key, first) = made(&app, &app.owner, json!({"name": "ci"})).await;
    let rotating: Vec<_> = (0..6)
        .map(|_| {
            let (owner, path) = (app.owner.clone(), rotation(&key));
            tokio::spawn(async move { owner.post(&path, &json!({})).await })
        })
        .collect();
    let mut holders = vec![first];
    for rotated in rotating {
        let answer = rotated.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        holders.push(app.anonymous().with_token(answer.json()["result"]["token"].as_str().unwrap()));
    }
    let mut open = 0;
    for holder in &holders {
        open += u32::from(status(holder).await == 200);
    }
    assert_eq!((holders.len(), open), (7, 2));
    let events = app.owner.get("/api/v2/audit/events?action=key.rotate").await.json();
    assert_eq!(events["results"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn a_key_has_at_most_the_permissions_of_its_user() {
    let app = TestApp::spawn().await;
    let (_, ada) = app.person("ada@example.com", PermissionLevel::Owner).await;
    let (key, holder) = made(&app, &ada, json!({"name": "ada's"})).await;
    assert_eq!(key["permission_level"], "owner");
    assert_eq!(holder.get("/api/v2/audit/events").await.status, 200);
    app.db_execute("update collaborators set permission_level = 'collaborator' where user_id = (select user_id from users where email = 'ada@example.com')").await;
    app.app.holders.clear();
    assert_eq!(holder.get("/api/v2/audit/events").await.status, 403);
    assert_eq!(holder.get("/api/v2/userinfo/").await.json()["result"]["organization_permission_level"], "collaborator");
    app.db_execute("update users set status = 'suspended' where email = 'ada@example.com'").await;
    app.app.holders.clear();
    assert_eq!(holder.get("/api/v2/userinfo/").await.error()["detail"], "the user of the API key is suspended");
}

#[tokio::test]
async fn a_key_that_may_only_write_gets_the_result_of_what_it_wrote() {
    let app = TestApp::spawn().await;
    let (_, writer) =
        made(&app, &app.owner, json!({"name": "ci", "permission_level": "owner", "scopes": ["users:write"]})).await;
    let users: Value = (0..200).map(|n| with_password(&format!("user{n}@example.com"), "kT9$wqzPlr")).collect();
    let request = writer.request("POST", BATCH).header("prefer", "respond-async");
    let accepted = Actor::send(request.body(users.to_string())).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let path = format!("/api/v2/batches/{}", accepted.json()["result"]["batch_id"].as_str().unwrap());
    let cancelled = Actor::send(writer.request("POST", &format!("{path}/cancel"))).await;
    assert_eq!((cancelled.status, cancelled.json()["result"]["state"].as_str()), (200, Some("cancelled")));

    assert_eq!(writer.create(&json!([sso("ada@example.com")])).await.status, 200);
    let ada =
        app.owner.get("/api/v2/organization_collaborators/?email=ada@example.com").await.json()["results"][0].clone();
    let path = format!("/api/v2/organization_collaborators/{}", ada["id"].as_str().unwrap());
    let set_level = async |level: &str| {
        Actor::send(writer.request("PUT", &path).body(json!({"permission_level": level}).to_string())).await
    };
    let updated = set_level("collaborator").await;
    assert_eq!(
        (updated.status, updated.json()["result"]["permission_level"].as_str()),
        (200, Some("collaborator")),
        "{}",
        updated.text
    );
    // An owner could create a key without scopes.
    let refused = set_level("owner").await;
    let detail = "not permitted: `owner.grant` requires an API key that is not limited to scopes";
    assert_eq!((refused.status, &refused.error()["detail"]), (403, &json!(detail)));
    // Reading is still denied.
    assert_eq!((writer.get(&path).await.status, writer.get("/api/v2/batches").await.status), (403, 403));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_active_keys_of_a_user_are_bounded() {
    let app = TestApp::spawn_with(|config| config.keys.per_user = 3).await;
    let (user_id, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let create = async || ada.post("/api/v2/api_keys", &json!({"name": "ci"})).await;
    // The key in use is the first. Of concurrent requests, only as many succeed as there is room for.
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let ada = ada.clone();
        asking.spawn(async move { ada.post("/api/v2/api_keys", &json!({"name": "ci"})).await.status });
    }
    let mut statuses = asking.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 409, 409, 409, 409, 409, 409]);
    let full = json!({
        "code": "conflict",
        "detail": format!(
            "user {user_id} has 3 active API keys, and at most 3 are allowed (setting `keys.per_user`); revoke one that is \
             no longer used"
        ),
    });
    let answer = create().await;
    assert_eq!((answer.status, answer.error()), (409, full.clone()));
    // A device login creates a key.
    let (otp, _) = crate::logins::started(&app, 604_800).await;
    assert_eq!(ada.post(crate::logins::APPROVE, &json!({"otp": otp})).await.status, 200);
    let answer = app.anonymous().get(&format!("/api/v2/users/request_otp_token/{otp}")).await;
    assert_eq!((answer.status, answer.error()), (409, full));
    // A rotation adds no key, and a revoked key makes room.
    let listed = ada.get("/api/v2/api_keys").await.json();
    let last = listed["results"][2]["key_id"].as_str().unwrap();
    let rotated = ada.post(&format!("/api/v2/api_keys/{last}/rotate"), &json!({})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    assert_eq!(ada.delete(&format!("/api/v2/api_keys/{last}")).await.status, 200);
    assert_eq!(create().await.status, 200);
    assert_eq!(create().await.status, 409);
}

#[tokio::test]
async fn collaborators_without_a_user_share_the_bound() {
    let app = TestApp::spawn_with(|config| config.keys.per_user = 3).await;
    let program = app.actor(PermissionLevel::Collaborator).await;
    for name in ["a", "b"] {
        assert_eq!(program.post("/api/v2/api_keys", &json!({"name": name})).await.status, 200);
    }
    let answer = program.post("/api/v2/api_keys", &json!({"name": "c"})).await;
    let detail = "the organization has, without a user, 3 active API keys, and at most 3 are allowed (setting \
                  `keys.per_user`); revoke one that is no longer used";
    assert_eq!((answer.status, answer.error()), (409, json!({"code": "conflict", "detail": detail})));
    // Owners decide for themselves.
    let owner = app.actor(PermissionLevel::Owner).await;
    assert_eq!(owner.post("/api/v2/api_keys", &json!({"name": "d"})).await.status, 200);
}

#[tokio::test]
async fn a_key_is_created_while_a_long_list_holds_the_lock_of_owners() {
    let app = TestApp::spawn().await;
    let mut connection = app.database.connect().await.unwrap();
    let mut list = connection.begin().await.unwrap();
    sqlx::query("select from organizations for no key update").execute(&mut *list).await.unwrap();
    assert_eq!(app.owner.post("/api/v2/api_keys", &json!({"name": "ci"})).await.status, 200);
    list.rollback().await.unwrap();
}
