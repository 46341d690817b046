//! Reading, changing and ending memberships.

use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::collaborators::owner_by_group;
use crate::support::{Actor, TestApp, sso};
use crate::user::send;

async fn member(app: &TestApp, email: &str) -> Value {
    let email = email.replace('@', "%40").replace('+', "%2B");
    app.owner.get(&format!("/api/v2/organization_collaborators/?email={email}")).await.json()["results"][0].clone()
}

fn path(member: &Value) -> String {
    format!("/api/v2/organization_collaborators/{}", member["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_member_is_promoted_and_demoted() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([sso("ada@example.com")])).await;
    let ada = member(&app, "ada@example.com").await;
    let path = path(&ada);
    let found = app.owner.get(&path).await;
    assert_eq!((found.status, found.header("etag"), found.json()["result"].clone()), (200, "\"1\"", ada.clone()));
    for (level, tag) in [("owner", "\"2\""), ("owner", "\"2\""), ("collaborator", "\"3\"")] {
        let answer = send(&app.owner, "PUT", &path, &json!({"permission_level": level})).await;
        assert_eq!((answer.status, answer.header("etag")), (200, tag), "{}", answer.text);
        let mut expected = ada.clone();
        expected["permission_level"] = json!(level);
        expected["base_role"] = json!(level);
        assert_eq!(answer.json()["result"], expected);
    }
    let events = app.owner.get("/api/v2/audit/events?action=collaborator.update").await.json();
    let details: Vec<Value> =
        events["results"].as_array().unwrap().iter().map(|event| event["details"].clone()).collect();
    assert_eq!(
        json!(details),
        json!([{"from": "owner", "to": "collaborator"}, {"from": "collaborator", "to": "owner"}])
    );
    assert!(events["results"][0]["target_id"] == ada["user_id"]);
    let user = app.owner.get(&format!("/api/v2/users/{}", ada["user_id"].as_str().unwrap())).await;
    assert_eq!(user.header("etag"), "\"3\"");
}

#[tokio::test]
async fn permissions_from_a_group_remain() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([{"name": "Grace", "email": "Grace@Example.com", "is_sso_user": true}])).await;
    owner_by_group(&app).await;
    let grace = member(&app, "grace@example.com").await;
    for level in ["owner", "collaborator"] {
        let answer = send(&app.owner, "PUT", &path(&grace), &json!({"permission_level": level})).await;
        let result = answer.json()["result"].clone();
        assert_eq!((&result["permission_level"], &result["base_role"]), (&json!("owner"), &json!(level)));
    }
    // With another owner through a group, the direct owner can be demoted.
    let me = member(&app, "administrator@muster.invalid").await;
    let answer = send(&app.owner, "PUT", &path(&me), &json!({"permission_level": "collaborator"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn an_invalid_level_is_rejected() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([sso("ada@example.com")])).await;
    let path = path(&member(&app, "ada@example.com").await);
    for (body, code, detail) in [
        (
            r#"{"permission_level": "admin"}"#,
            "invalid_request",
            "invalid `permission_level`; expected `owner` or `collaborator`",
        ),
        (
            r#"{"permission_level": ""}"#,
            "invalid_request",
            "invalid `permission_level`; expected `owner` or `collaborator`",
        ),
        ("{}", "invalid_request", "invalid request body: missing field `permission_level` at line 1 column 2"),
        (
            r#"{"permission_level": "owner", "role": 1}"#,
            "invalid_request",
            "invalid request body: unknown field `role`, expected `permission_level` at line 1 column 36",
        ),
        ("owner", "invalid_json", "the request body is not valid JSON: expected value at line 1 column 1"),
    ] {
        let answer = Actor::send(app.owner.request("PUT", &path).body(body)).await;
        assert_eq!((answer.status, answer.error()), (400, json!({"code": code, "detail": detail})), "{body}");
    }
    let reader = app.actor(PermissionLevel::Collaborator).await;
    assert_eq!(reader.get(&path).await.status, 200);
    for method in ["PUT", "DELETE"] {
        let answer = Actor::send(reader.request(method, &path)).await;
        assert_eq!((answer.status, answer.error()["code"].as_str()), (403, Some("forbidden")));
    }
    let stale = app.owner.request("PUT", &path).header("if-match", "\"7\"").body(r#"{"permission_level": "owner"}"#);
    assert_eq!(Actor::send(stale).await.status, 412);
    let stale = Actor::send(app.owner.request("DELETE", &path).header("if-match", "\"7\"")).await;
    assert_eq!(stale.status, 412);
}

#[tokio::test]
async fn a_removed_member_has_no_account() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([sso("ada@example.com"), sso("robot@example.com")])).await;
    app.db_execute("update users set is_service_account = true where email = 'robot@example.com'").await;
    for email in ["ada@example.com", "robot@example.com"] {
        let found = member(&app, email).await;
        let answer = send(&app.owner, "DELETE", &path(&found), &Value::Null).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        let user = app.owner.get(&format!("/api/v2/users/{}", found["user_id"].as_str().unwrap())).await;
        assert_eq!(user.status, 404);
        assert_eq!(send(&app.owner, "DELETE", &path(&found), &Value::Null).await.status, 404);
        for action in ["user.delete", "collaborator.remove"] {
            let events = app.owner.get(&format!("/api/v2/audit/events?action={action}&count=1")).await.json();
            assert_eq!(events["results"][0]["target_id"], found["user_id"], "{action}");
        }
    }
}

#[tokio::test]
async fn of_two_owners_who_demote_each_other_one_remains() {
    let app = TestApp::spawn().await;
    let bo = json!({"name": "Bo", "email": "bo@example.com", "is_sso_user": true, "permission_level": "owner"});
    app.owner.create(&json!([bo])).await;
    let key = app.actor(PermissionLevel::Owner).await;
    let paths =
        [path(&member(&app, "administrator@muster.invalid").await), path(&member(&app, "bo@example.com").await)];
    let (collaborator, owner) = (json!({"permission_level": "collaborator"}), json!({"permission_level": "owner"}));
    for round in 0..25 {
        let (one, other) =
            tokio::join!(send(&key, "PUT", &paths[0], &collaborator), send(&key, "PUT", &paths[1], &collaborator));
        let mut ends = [(one.status, &paths[0], &one), (other.status, &paths[1], &other)];
        ends.sort_by_key(|end| end.0);
        assert_eq!([ends[0].0, ends[1].0], [200, 409], "{round}: {} {}", one.text, other.text);
        assert_eq!(ends[1].2.error()["code"], "last_owner");
        let owners: i64 = app.db_value("select count(*) from collaborators where permission_level = 'owner'").await;
        assert_eq!(owners, 1);
        assert_eq!(send(&key, "PUT", ends[0].1, &owner).await.status, 200);
    }
}
