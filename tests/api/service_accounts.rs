//! Service accounts and their keys, as the vendor's client uses them.

use chrono::{DateTime, Duration, Utc};
use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::{Actor, Answer, TestApp, sso};

const PATH: &str = "/api/v2/users/service_accounts";
const KEY: &str = "/api/v2/users/create_api_key";

async fn made(app: &TestApp, name: &str) -> Value {
    let answer = app.owner.post(&format!("{PATH}?name={name}"), &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["result"].clone()
}

fn rotation(user_id: &Value) -> String {
    format!("/api/v2/organization_collaborators/rotate_api_key_for_user/{}", user_id.as_str().unwrap())
}

fn refused(answer: &Answer, status: u16, code: &str, detail: &str) {
    assert_eq!((answer.status, answer.error()), (status, json!({"code": code, "detail": detail})));
}

#[tokio::test]
async fn a_service_account_has_an_address_with_a_valid_host() {
    let app = TestApp::spawn().await;
    // As the vendor's client sends it: a content type without a body.
    let request =
        app.owner.request("POST", &format!("{PATH}?name=ci-Bot_2.eu")).header("content-type", "application/json");
    let answer = Actor::send(request.header("content-length", "0")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut account = answer.json()["result"].clone();
    let organization = app.owner.get("/api/v2/userinfo/").await.json()["result"]["organization_ids"][0].clone();
    let fields = account.as_object_mut().unwrap();
    let user_id = fields.remove("user_id").unwrap();
    assert!(user_id.as_str().unwrap().starts_with("usr_"));
    assert!(fields.remove("identity_id").unwrap().as_str().unwrap().starts_with("ide_"));
    assert!(fields.remove("created_at").unwrap().as_str().unwrap().ends_with('Z'));
    let host = organization.as_str().unwrap().replace('_', "-");
    assert_eq!(
        account,
        json!({
            "name": "ci-Bot_2.eu", "organization_id": organization, "permission_level": "collaborator",
            "email": format!("ci-Bot_2.eu@{host}.serviceaccount.com"),
        })
    );
    let row = "select is_service_account and not is_sso_user and status = 'active' and batch_id is null from users where name = 'ci-Bot_2.eu'";
    assert!(app.db_value::<bool>(row).await);
    assert_eq!(app.db_value::<i64>("select count(*) from passwords").await, 0);
    let events = app.owner.get("/api/v2/audit/events?action=service_account.create").await.json();
    assert_eq!((&events["results"][0]["target_id"], &events["results"][0]["outcome"]), (&user_id, &json!("success")));
}

#[tokio::test]
async fn a_name_that_is_taken_or_makes_no_address_is_rejected() {
    let app = TestApp::spawn().await;
    let ada = json!({"name": "Ada", "lastname": "", "email": "ada@example.com", "is_sso_user": true});
    assert_eq!(app.owner.create(&json!([ada])).await.status, 200);
    made(&app, "ci").await;
    let before: i64 = app.db_value("select count(*) from users").await;
    // Also in different case: the address would be the same.
    for name in ["ci", "CI", "Ada"] {
        let sentence = format!("a collaborator named `{name}` already exists; choose another name");
        refused(&app.owner.post(&format!("{PATH}?name={name}"), &Value::Null).await, 409, "conflict", &sentence);
    }
    let rule = "`name` of a service account must be 1 to 64 letters, digits, `.`, `-` and `_`, without a leading, \
                trailing or double `.`";
    let long = "a".repeat(65);
    let longer = "a".repeat(10_000);
    for query in [
        "",
        "?name=",
        "?name=.ci",
        "?name=a..b",
        "?name=a+b",
        "?name=%25",
        "?name=%C3%A4",
        "?name=%27%22",
        "?name=a%0Ab",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([format!("?name={long}"), format!("?name={longer}")])
    {
        refused(&app.owner.post(&format!("{PATH}{query}"), &Value::Null).await, 400, "invalid_request", rule);
    }
    let answer = app.owner.post(&format!("{PATH}?name=x&level=owner"), &Value::Null).await;
    assert_eq!(answer.status, 400);
    assert!(answer.error()["detail"].as_str().unwrap().starts_with("invalid query string: unknown field `level`"));
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    let sentence = "not permitted: `service_account.create` requires an owner's API key";
    refused(&collaborator.post(PATH, &Value::Null).await, 403, "forbidden", sentence);
    assert_eq!(app.db_value::<i64>("select count(*) from users").await, before);
}

#[tokio::test]
async fn of_concurrent_creates_with_the_same_name_one_succeeds() {
    let app = TestApp::spawn().await;
    let asking: Vec<_> = (0..6)
        .map(|_| {
            let owner = app.owner.clone();
            tokio::spawn(async move { owner.post(&format!("{PATH}?name=ci"), &Value::Null).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for asked in asking {
        statuses.push(asked.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn the_vendors_hundred_years_are_cut_to_the_maximum_and_recorded() {
    let app = TestApp::spawn().await;
    let user_id = made(&app, "ci").await["user_id"].clone();
    let answer = app.owner.post(KEY, &json!({"duration": 3_153_600_000_i64, "user_id": user_id})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let session = answer.json()["result"].clone();
    let expires_at: DateTime<Utc> = session["expires_at"].as_str().unwrap().parse().unwrap();
    let days = (expires_at - app.app.clock.now() + Duration::minutes(1)).num_days();
    assert_eq!(days, 365);
    let holder = app.anonymous().with_token(session["server_session_id"].as_str().unwrap());
    let me = holder.get("/api/v2/userinfo/").await.json()["result"].clone();
    assert_eq!(
        (&me["id"], &me["name"], &me["organization_permission_level"]),
        (&user_id, &json!("ci"), &json!("collaborator"))
    );
    let events = app.owner.get("/api/v2/audit/events?action=key.create&count=1").await.json();
    let event = &events["results"][0];
    assert_eq!(event["target_id"], session["key_id"]);
    assert_eq!(
        event["details"],
        json!({"permission_level": "collaborator", "expires_at": session["expires_at"], "user_id": user_id, "asked_for_seconds": 3_153_600_000_i64})
    );
    // Within the limits, the lifetime is as requested.
    let answer = app.owner.post(KEY, &json!({"duration": 60, "user_id": user_id, "name": "short"})).await.json();
    let key = app.owner.get(&format!("/api/v2/api_keys/{}", answer["result"]["key_id"].as_str().unwrap())).await.json();
    let time = |field: &str| key["result"][field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!(
        (time("expires_at") - time("created_at"), &key["result"]["name"]),
        (Duration::seconds(60), &json!("short"))
    );
    let events = app.owner.get("/api/v2/audit/events?action=key.create&count=1").await.json();
    assert_eq!(events["results"][0]["details"].get("asked_for_seconds"), None);
}

#[tokio::test]
async fn no_key_is_created_for_the_caller_instead_of_the_requested_account() {
    let app = TestApp::spawn().await;
    let before: i64 = app.db_value("select count(*) from api_keys").await;
    let sentence = "missing `user_id`; for a key of your own, set your own `user_id` or use POST /api/v2/api_keys";
    for body in [json!({"duration": 3_153_600_000_i64}), json!({"duration": 60, "user_id": null, "name": "x"})] {
        refused(&app.owner.post(KEY, &body).await, 400, "invalid_request", sentence);
    }
    assert_eq!(app.db_value::<i64>("select count(*) from api_keys").await, before);
    let me = app.owner.get("/api/v2/userinfo/").await.json()["result"]["id"].clone();
    assert_eq!(app.owner.post(KEY, &json!({"duration": 60, "user_id": me})).await.status, 200);
}

#[tokio::test]
async fn owners_manage_keys_of_service_accounts_but_not_of_people() {
    let app = TestApp::spawn().await;
    let user_id = made(&app, "ci").await["user_id"].clone();
    let (ada_id, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let others = "not permitted: `key.others` requires an owner's API key";
    refused(&ada.post(KEY, &json!({"duration": 60, "user_id": user_id})).await, 403, "forbidden", others);
    let unknown = json!({"duration": 60, "user_id": "usr_01k9h6m3x0e8wbz1v5n7q2r4t6"});
    refused(&ada.post(KEY, &unknown).await, 403, "forbidden", others);
    refused(&app.owner.post(KEY, &unknown).await, 404, "not_found", "there is no user usr_01k9h6m3x0e8wbz1v5n7q2r4t6");
    let answer = app.owner.post(KEY, &json!({"duration": 60, "user_id": ada_id})).await;
    assert_eq!((answer.status, answer.error()["code"].as_str()), (403, Some("forbidden")));
    assert!(
        answer.error()["detail"].as_str().unwrap().starts_with("a key for another person would act as that person")
    );
    let days = "an API key's lifetime must be positive and at most 365 days (setting `keys.max_days`)";
    for duration in [0, -1, i64::MIN] {
        let body = json!({"duration": duration, "user_id": user_id});
        refused(&app.owner.post(KEY, &body).await, 400, "invalid_request", days);
    }
    let longest = json!({"duration": i64::MAX, "user_id": user_id});
    assert_eq!(app.owner.post(KEY, &longest).await.status, 200);
    for (body, detail) in [
        (json!({"user_id": user_id}), "invalid request body: missing field `duration` at line 1 column 44"),
        (json!({"duration": "x", "user_id": user_id}), "invalid request body: expected f64 at line 1 column 15"),
        (
            json!({"duration": 60, "user_id": "ide_01k9h6m3x0e8wbz1v5n7q2r4t6"}),
            "`user_id` is not an ID; expected `usr_` and 26 characters",
        ),
    ] {
        refused(&app.owner.post(KEY, &body).await, 400, "invalid_request", detail);
    }
}

#[tokio::test]
async fn rotating_revokes_every_key_of_the_account_and_no_other() {
    let app = TestApp::spawn().await;
    let (ci, other) = (made(&app, "ci").await["user_id"].clone(), made(&app, "other").await["user_id"].clone());
    let key = async |user_id: &Value| {
        let answer = app.owner.post(KEY, &json!({"duration": 60, "user_id": user_id})).await.json();
        app.anonymous().with_token(answer["result"]["server_session_id"].as_str().unwrap())
    };
    let holders = [key(&ci).await, key(&ci).await];
    let bystander = key(&other).await;
    let answer = app.owner.post(&rotation(&ci), &Value::Null).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"result": {"user_id": ci, "keys": 2}})));
    for holder in &holders {
        assert_eq!(holder.get("/api/v2/userinfo/").await.error()["detail"], "the API key is revoked");
    }
    assert_eq!(bystander.get("/api/v2/userinfo/").await.status, 200);
    let revoked = app.owner.get("/api/v2/audit/events?action=key.revoke").await.json();
    assert_eq!(revoked["results"].as_array().unwrap().len(), 2);
    let rotated = app.owner.get("/api/v2/audit/events?action=key.rotate_for_user").await.json();
    assert_eq!((&rotated["results"][0]["target_id"], &rotated["results"][0]["details"]), (&ci, &json!({"keys": 2})));

    let sentence = format!("user {} has no active API key; create one", ci.as_str().unwrap());
    refused(&app.owner.post(&rotation(&ci), &Value::Null).await, 409, "conflict", &sentence);
    let unknown = json!("usr_01k9h6m3x0e8wbz1v5n7q2r4t6");
    let sentence = "there is no user usr_01k9h6m3x0e8wbz1v5n7q2r4t6";
    refused(&app.owner.post(&rotation(&unknown), &Value::Null).await, 404, "not_found", sentence);
    let sentence = "no such user; an ID is `usr_` and 26 characters";
    for id in ["ide_01k9h6m3x0e8wbz1v5n7q2r4t6", "%25", "x"] {
        refused(&app.owner.post(&rotation(&json!(id)), &Value::Null).await, 404, "not_found", sentence);
    }
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    let sentence = "not permitted: `key.rotate_for_user` requires an owner's API key";
    refused(&collaborator.post(&rotation(&other), &Value::Null).await, 403, "forbidden", sentence);
}

#[tokio::test]
async fn a_batch_cannot_use_the_address_of_a_service_account() {
    let app = TestApp::spawn().await;
    let email = made(&app, "ci").await["email"].as_str().unwrap().to_owned();
    let answer = app.owner.create(&json!([sso(&email)])).await;
    assert_eq!((answer.status, answer.error()["code"].as_str()), (409, Some("batch_conflict")));
}

#[tokio::test]
async fn the_key_in_use_cannot_revoke_itself_by_rotation() {
    let app = TestApp::spawn().await;
    let (me, owner) = app.person("ada@example.com", PermissionLevel::Owner).await;
    let sentence = "the API key in use is among the keys to revoke; revoke or rotate your own keys one by one";
    refused(&owner.post(&rotation(&json!(me)), &Value::Null).await, 409, "conflict", sentence);
    assert_eq!(owner.get("/api/v2/userinfo/").await.status, 200);
}

#[tokio::test]
async fn a_list_instead_of_an_object_is_rejected() {
    let app = TestApp::spawn().await;
    let sentence = "the request body must be a JSON object, not an array";
    for (path, body) in [
        ("/api/v2/api_keys", json!(["key", null, "owner", null, 60])),
        ("/api/v2/user_groups/", json!(["group"])),
        (KEY, json!([60, "usr_01k9h6m3x0e8wbz1v5n7q2r4t6", null])),
    ] {
        refused(&app.owner.post(path, &body).await, 400, "invalid_request", sentence);
    }
    let policy = app.owner.request("PUT", "/api/v2/policy/organization/_").body("[[]]");
    refused(&Actor::send(policy).await, 400, "invalid_request", sentence);
    let sentence = "invalid request body: expected an object";
    refused(&app.owner.post("/api/v2/api_keys", &Value::Null).await, 400, "invalid_request", sentence);
}
