//! API keys, invitations and flags through the routes of the vendor's client.

use chrono::{DateTime, Duration, Utc};
use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::{Actor, Answer, TestApp, sso};

const OWN: &str = "/api/v2/users/api_keys";
const ALL: &str = "/api/v2/users/admin/api_keys";
const EXPIRATION: &str = "/api/v2/organizations/api_key_expiration";
const INVITATIONS: &str = "/api/v2/organization_invitations/";
const UNKNOWN: &str = "key_01k9h6m3x0e8wbz1v5n7q2r4t6";

fn refused(answer: &Answer, status: u16, code: &str, detail: &str) {
    assert_eq!((answer.status, answer.error()), (status, json!({"code": code, "detail": detail})));
}

async fn put(actor: &Actor, path: &str, body: &Value) -> Answer {
    Actor::send(actor.request("PUT", path).body(body.to_string())).await
}

/// Creates a key: its fields, and the actor that uses it.
async fn key(actor: &Actor, body: &Value) -> (Value, Actor) {
    let made = actor.post("/api/v2/api_keys", body).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let key = made.json()["result"].clone();
    let holder = actor.with_token(key["token"].as_str().unwrap());
    (key, holder)
}

async fn names(actor: &Actor, path: &str) -> Vec<String> {
    let answer = actor.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    let body = answer.json();
    body["results"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect()
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn keys_are_listed_in_the_vendors_format() {
    let app = TestApp::spawn().await;
    let (ada_id, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let (second, _) = key(&ada, &json!({"name": "second"})).await;
    assert_eq!(names(&ada, OWN).await, ["test", "second"]);
    assert_eq!(names(&ada, &format!("{OWN}?name=second")).await, ["second"]);
    // Of an owner, too, only the owner's own.
    assert_eq!(names(&app.owner, OWN).await, ["first key"]);
    assert_eq!(names(&app.owner, ALL).await, ["first key", "test", "second"]);
    assert_eq!(names(&app.owner, &format!("{ALL}?user_id={ada_id}")).await, ["test", "second"]);
    assert_eq!(names(&app.owner, &format!("{ALL}?name=second")).await, ["second"]);
    let creator = second["created_by"].as_str().unwrap();
    assert_eq!(names(&app.owner, &format!("{ALL}?created_by={creator}")).await, ["second"]);

    let page = app.owner.get(&format!("{ALL}?count=2")).await.json();
    let token = page["metadata"]["next_paging_token"].as_str().unwrap();
    let next = app.owner.get(&format!("{ALL}?count=2&paging_token={token}")).await.json();
    assert_eq!(
        next,
        json!({
            "results": [{
                "hex_hashed_id": second["key_id"], "display_id": second["key_id"], "name": "second",
                "created_at": second["created_at"], "created_by": creator, "expires_at": second["expires_at"],
                "last_used_at": null, "revoked_at": null,
            }],
            "metadata": {"total": null, "next_paging_token": null},
        })
    );
    let others = "not permitted: `key.others` requires an owner's API key";
    refused(&ada.get(ALL).await, 403, "forbidden", others);
    refused(&ada.get(&format!("{ALL}?user_id={ada_id}")).await, 403, "forbidden", others);
    let detail = "`created_by` is not an ID; expected `key_` and 26 characters";
    refused(&app.owner.get(&format!("{ALL}?created_by=ada")).await, 400, "invalid_request", detail);
    // A key without a user lists itself.
    let alone = app.actor(PermissionLevel::Owner).await;
    assert_eq!(names(&alone, OWN).await, ["test"]);
}

#[tokio::test]
async fn a_key_is_revoked_by_its_user_or_by_an_owner() {
    let app = TestApp::spawn().await;
    let (_, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let (second, holder) = key(&ada, &json!({"name": "second"})).await;
    let (third, third_holder) = key(&ada, &json!({"name": "third"})).await;
    let path = |base: &str, id: &Value| format!("{base}/{}", id.as_str().unwrap());
    let detail = format!("there is no API key {}", second["key_id"].as_str().unwrap());
    refused(&app.owner.delete(&path(OWN, &second["key_id"])).await, 404, "not_found", &detail);
    let others = "not permitted: `key.others` requires an owner's API key";
    refused(&ada.delete(&path(ALL, &second["key_id"])).await, 403, "forbidden", others);
    assert_eq!(holder.get("/api/v2/userinfo/").await.status, 200);

    let answer = ada.delete(&path(OWN, &second["key_id"])).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!(holder.get("/api/v2/userinfo/").await.error()["detail"], "the API key is revoked");
    let detail = format!("API key {} is already revoked", second["key_id"].as_str().unwrap());
    refused(&ada.delete(&path(OWN, &second["key_id"])).await, 409, "conflict", &detail);
    let answer = app.owner.delete(&path(ALL, &third["key_id"])).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!(third_holder.get("/api/v2/userinfo/").await.status, 401);
    for base in [OWN, ALL] {
        let detail = format!("there is no API key {UNKNOWN}");
        refused(&app.owner.delete(&format!("{base}/{UNKNOWN}")).await, 404, "not_found", &detail);
        let detail = "no such API key; an ID is `key_` and 26 characters";
        refused(&app.owner.delete(&format!("{base}/x")).await, 404, "not_found", detail);
    }
    let log = app.owner.get("/api/v2/audit/events?action=key.revoke").await.json();
    let revoked: Vec<&Value> = log["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["outcome"] == "success")
        .map(|event| &event["target_id"])
        .collect();
    assert_eq!(revoked, [&third["key_id"], &second["key_id"]]);
}

#[tokio::test]
async fn a_list_of_keys_is_revoked_one_by_one_and_the_key_in_use_last() {
    let app = TestApp::spawn().await;
    let (_, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let in_use = ada.get(OWN).await.json()["results"][0]["hex_hashed_id"].clone();
    let (second, _) = key(&ada, &json!({"name": "second"})).await;
    let (gone, _) = key(&ada, &json!({"name": "gone"})).await;
    assert_eq!(ada.delete(&format!("{OWN}/{}", gone["key_id"].as_str().unwrap())).await.status, 204);
    let foreign = app.owner.get(OWN).await.json()["results"][0]["hex_hashed_id"].clone();

    let list = json!({"api_key_ids": [in_use, foreign, "x", gone["key_id"], second["key_id"]]});
    let answer = ada.post(&format!("{OWN}/revoke"), &list).await;
    let failed = |id: &Value, error: String| json!({"api_key_id": id, "error": error});
    assert_eq!(
        (answer.status, answer.json()),
        (
            200,
            json!({"result": {
                "success_count": 2, "failed_count": 3, "total_requested": 5,
                "failed_keys": [
                    failed(&foreign, format!("there is no API key {}", foreign.as_str().unwrap())),
                    failed(&json!("x"), "no such API key".to_owned()),
                    failed(&gone["key_id"], format!("API key {} is already revoked", gone["key_id"].as_str().unwrap())),
                ],
            }})
        )
    );
    assert_eq!(ada.get("/api/v2/userinfo/").await.status, 401);
    assert_eq!(app.owner.get("/api/v2/userinfo/").await.status, 200);

    let (_, grace) = app.person("grace@example.com", PermissionLevel::Collaborator).await;
    let hers = grace.get(OWN).await.json()["results"][0]["hex_hashed_id"].clone();
    let others = "not permitted: `key.others` requires an owner's API key";
    refused(&grace.post(&format!("{ALL}/revoke"), &json!({"api_key_ids": [hers]})).await, 403, "forbidden", others);
    let answer = app.owner.post(&format!("{ALL}/revoke"), &json!({"api_key_ids": [hers]})).await.json();
    assert_eq!((&answer["result"]["success_count"], &answer["result"]["failed_keys"]), (&json!(1), &json!([])));
    assert_eq!(grace.get("/api/v2/userinfo/").await.status, 401);

    let many: Value = (0..101).map(|_| json!(UNKNOWN)).collect();
    let answer = app.owner.post(&format!("{OWN}/revoke"), &json!({"api_key_ids": many})).await;
    let detail = answer.error()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.starts_with("invalid request body: `api_key_ids` has more than 100 items at line 1 column "),
        "{detail}"
    );
    let empty = app.owner.post(&format!("{OWN}/revoke"), &json!({"api_key_ids": []})).await.json();
    assert_eq!(
        empty["result"],
        json!({"success_count": 0, "failed_count": 0, "failed_keys": [], "total_requested": 0})
    );
}

#[tokio::test]
async fn an_organization_limits_the_lifetime_of_its_keys() {
    let app = TestApp::spawn_with(|config| config.keys.default_days = 90).await;
    let (before, _) = key(&app.owner, &json!({"name": "before"})).await;
    assert_eq!(app.owner.get(EXPIRATION).await.json(), json!({"result": {"max_api_key_expiration_days": null}}));
    let answer = put(&app.owner, EXPIRATION, &json!({"max_api_key_expiration_days": 30})).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"result": {"max_api_key_expiration_days": 30}})));
    assert_eq!(app.owner.get(EXPIRATION).await.json(), answer.json());
    let log = app.owner.get("/api/v2/audit/events?action=key.expiration_set").await.json();
    assert_eq!(log["results"][0]["details"], json!({"max_days": 30}));

    // Created: by default, explicitly, by the vendor's route, by a login.
    let lifetime = |key: &Value| time(&key["expires_at"]) - time(&key["created_at"]);
    let (default, _) = key(&app.owner, &json!({"name": "default"})).await;
    assert_eq!(lifetime(&default), Duration::days(30));
    let (longest, _) = key(&app.owner, &json!({"name": "longest", "expires_in_seconds": 30 * 86_400})).await;
    assert_eq!(lifetime(&longest), Duration::days(30));
    let longer = json!({"name": "longer", "expires_in_seconds": 30 * 86_400 + 1});
    let detail = "an API key's lifetime must be positive and at most 30 days (the maximum of the organization)";
    refused(&app.owner.post("/api/v2/api_keys", &longer).await, 400, "invalid_request", detail);
    let bot = app.owner.post("/api/v2/users/service_accounts?name=bot", &Value::Null).await.json();
    let vendors = json!({"duration": 3_153_600_000_i64, "user_id": bot["result"]["user_id"]});
    let made = app.owner.post("/api/v2/users/create_api_key", &vendors).await.json();
    let path = format!("/api/v2/api_keys/{}", made["result"]["key_id"].as_str().unwrap());
    assert_eq!(lifetime(&app.owner.get(&path).await.json()["result"]), Duration::days(30));
    let otp =
        app.anonymous().get("/api/v2/users/create_otp_token?duration_seconds=0").await.json()["result"]["otp"].clone();
    assert_eq!(app.owner.post("/api/v2/users/approve_otp_token", &json!({"otp": otp})).await.status, 200);
    let fetched = app.anonymous().get(&format!("/api/v2/users/request_otp_token/{}", otp.as_str().unwrap())).await;
    assert_eq!(fetched.json()["result"]["valid"], true);
    let login = app
        .owner
        .get("/api/v2/users/api_keys?name=login%20of%20administrator%40muster.invalid%20from%20127.0.0.1")
        .await
        .json()["results"][0]
        .clone();
    assert_eq!(lifetime(&login), Duration::days(30));

    // An earlier key keeps its expiration until it is rotated.
    let one = format!("/api/v2/api_keys/{}", before["key_id"].as_str().unwrap());
    assert_eq!(app.owner.get(&one).await.json()["result"]["expires_at"], before["expires_at"]);
    let rotated = app.owner.post(&format!("{one}/rotate"), &json!({})).await.json()["result"].clone();
    assert_eq!(time(&rotated["expires_at"]) - time(&rotated["rotated_at"]), Duration::days(30));
    assert_eq!(app.owner.get(&one).await.json()["result"]["expires_at"], rotated["expires_at"]);
    let log = app.owner.get("/api/v2/audit/events?action=key.rotate&count=1").await.json();
    assert_eq!(log["results"][0]["details"]["expires_at"], rotated["expires_at"]);
    let again = app.owner.post(&format!("{one}/rotate"), &json!({})).await.json()["result"].clone();
    assert_eq!(again["expires_at"], rotated["expires_at"], "a rotation never extends");
    let log = app.owner.get("/api/v2/audit/events?action=key.rotate&count=1").await.json();
    assert_eq!(log["results"][0]["details"].get("expires_at"), None);

    // The server's maximum limits a longer one. `null`, or no field, removes it.
    assert_eq!(put(&app.owner, EXPIRATION, &json!({"max_api_key_expiration_days": 36_500})).await.status, 200);
    let detail = "an API key's lifetime must be positive and at most 365 days (setting `keys.max_days`)";
    let years = json!({"name": "years", "expires_in_seconds": 366 * 86_400});
    refused(&app.owner.post("/api/v2/api_keys", &years).await, 400, "invalid_request", detail);
    for body in [json!({}), json!({"max_api_key_expiration_days": null})] {
        let answer = put(&app.owner, EXPIRATION, &body).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"result": {"max_api_key_expiration_days": null}})));
    }
    let (default, _) = key(&app.owner, &json!({"name": "default"})).await;
    assert_eq!(lifetime(&default), Duration::days(90));
}

#[tokio::test]
async fn the_maximum_lifetime_is_set_by_owners_within_its_bounds() {
    let app = TestApp::spawn().await;
    let rule = "the maximum lifetime of API keys must be 1 to 36500 days, or `null` for no maximum of the organization";
    for days in [0, 36_501] {
        let answer = put(&app.owner, EXPIRATION, &json!({"max_api_key_expiration_days": days})).await;
        refused(&answer, 400, "invalid_request", rule);
    }
    for body in
        [json!({"max_api_key_expiration_days": -1}), json!({"max_api_key_expiration_days": 1.5}), json!({"days": 1})]
    {
        let answer = put(&app.owner, EXPIRATION, &body).await;
        assert_eq!((answer.status, &answer.error()["code"]), (400, &json!("invalid_request")), "{body}");
    }
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    let detail = |action: &str| format!("not permitted: `{action}` requires an owner's API key");
    refused(&collaborator.get(EXPIRATION).await, 403, "forbidden", &detail("key.expiration_get"));
    let answer = put(&collaborator, EXPIRATION, &json!({"max_api_key_expiration_days": 1})).await;
    refused(&answer, 403, "forbidden", &detail("key.expiration_set"));
    let reader = key(&app.owner, &json!({"name": "reader", "scopes": ["keys:read"]})).await.1;
    assert_eq!(reader.get(EXPIRATION).await.status, 200);
    let answer = put(&reader, EXPIRATION, &json!({"max_api_key_expiration_days": 1})).await;
    let detail = "not permitted: `key.expiration_set` requires an API key with the scope `keys:write`";
    refused(&answer, 403, "forbidden", detail);
    // Another organization has its own.
    assert_eq!(put(&app.owner, EXPIRATION, &json!({"max_api_key_expiration_days": 1})).await.status, 200);
    let other = crate::tenants::other_owner(&app).await;
    assert_eq!(other.get(EXPIRATION).await.json()["result"]["max_api_key_expiration_days"], Value::Null);
}

#[tokio::test]
async fn one_person_is_invited_and_the_invitation_read() {
    let app = TestApp::spawn().await;
    assert_eq!(app.owner.create(&json!([sso("member@example.com")])).await.status, 200);
    let answer = app.owner.post(INVITATIONS, &json!({"email": "ada@example.com"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let made = answer.json()["result"].clone();
    assert_eq!((&made["email"], &made["permission_level"]), (&json!("ada@example.com"), &json!("collaborator")));
    assert!(made["link"].as_str().unwrap().starts_with(&format!("http://{}/invitations/ami_", app.address)));
    let one = format!("{INVITATIONS}{}", made["id"].as_str().unwrap());
    let listed = app.owner.get(INVITATIONS).await.json()["results"][0].clone();
    let got = app.owner.get(&one).await;
    assert_eq!((got.status, &got.json()["result"]), (200, &listed));
    assert_eq!(
        (&listed["id"], &listed["accepted_at"], listed.get("invalidated_at")),
        (&made["id"], &Value::Null, None)
    );
    assert_eq!(Actor::send(app.owner.request("POST", &format!("{one}/invalidate"))).await.status, 200);
    let revoked = app.owner.get(&one).await.json()["result"].clone();
    assert!(revoked["invalidated_at"].as_str().unwrap().ends_with('Z'), "{revoked}");
    for (body, status, code, detail) in [
        (
            json!({"email": "Member@example.com"}),
            409,
            "email_taken",
            "Member@example.com is already a member of the organization",
        ),
        (json!({"email": "x"}), 400, "invalid_request", "`x`: not a valid e-mail address"),
        (json!({"email": ""}), 400, "invalid_request", "the address must not be empty"),
    ] {
        refused(&app.owner.post(INVITATIONS, &body).await, status, code, detail);
    }
    let unknown = "orginv_01k9h6m3x0e8wbz1v5n7q2r4t6";
    let detail = format!("there is no invitation {unknown}");
    refused(&app.owner.get(&format!("{INVITATIONS}{unknown}")).await, 404, "not_found", &detail);
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    let detail = "not permitted: `invitation.batch_create` requires an owner's API key";
    refused(&collaborator.post(INVITATIONS, &json!({"email": "eve@example.com"})).await, 403, "forbidden", detail);
    let detail = "not permitted: `invitation.list` requires an owner's API key";
    refused(&collaborator.get(&one).await, 403, "forbidden", detail);
}

#[tokio::test]
async fn no_feature_flag_of_the_vendor_is_on() {
    let app = TestApp::spawn().await;
    let path = "/api/v2/userinfo/check_is_feature_flag_on?flag_key=cloud-isolation";
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    for actor in [&app.owner, &collaborator] {
        let answer = actor.get(path).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"result": {"is_on": false}})));
    }
    assert_eq!(app.anonymous().get(path).await.status, 401);
}

#[tokio::test]
async fn groups_and_policies_are_for_owners() {
    let app = TestApp::spawn().await;
    let group = app.owner.post("/api/v2/user_groups/", &json!({"name": "team"})).await.json()["result"]["id"].clone();
    let group = group.as_str().unwrap();
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    for (path, action) in [
        ("/api/v2/user_groups/".to_owned(), "group.list"),
        (format!("/api/v2/user_groups/{group}"), "group.list"),
        (format!("/api/v2/user_groups/{group}/members"), "group.list"),
        ("/api/v2/user_groups/ug_01k9h6m3x0e8wbz1v5n7q2r4t6".to_owned(), "group.list"),
        ("/api/v2/user_groups/memberships/list".to_owned(), "group.list"),
        ("/api/v2/policy/organization/_".to_owned(), "policy.get"),
        ("/api/v2/policy/cloud/cld_1".to_owned(), "policy.get"),
        ("/api/v2/policy/clouds".to_owned(), "policy.get"),
        ("/api/v2/policy/projects".to_owned(), "policy.get"),
    ] {
        let detail = format!("not permitted: `{action}` requires an owner's API key");
        refused(&collaborator.get(&path).await, 403, "forbidden", &detail);
    }
}
