//! Reading, changing, suspending, reactivating and deleting one user.

use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::{Actor, Answer, TestApp, sso};
use crate::tenants::other_owner;

/// Creates an account and returns its path.
pub async fn created(app: &TestApp, user: &Value) -> String {
    let created = app.owner.create(&json!([user])).await;
    assert_eq!(created.status, 200, "{}", created.text);
    format!("/api/v2/users/{}", created.json()["results"][0]["user_id"].as_str().unwrap())
}

pub async fn send(actor: &Actor, method: &str, path: &str, body: &Value) -> Answer {
    let request = actor.request(method, path);
    Actor::send(if body.is_null() { request } else { request.body(body.to_string()) }).await
}

async fn only_if(actor: &Actor, method: &str, path: &str, tag: &str, body: &Value) -> Answer {
    Actor::send(actor.request(method, path).header("if-match", tag).body(body.to_string())).await
}

/// A user without IDs and times.
fn without_times(answer: &Answer) -> Value {
    let mut user = answer.json()["result"].clone();
    let fields = user.as_object_mut().unwrap();
    assert!(fields.remove("user_id").unwrap().as_str().unwrap().starts_with("usr_"));
    assert!(fields.remove("identity_id").unwrap().as_str().unwrap().starts_with("ide_"));
    let (created, updated) = (fields.remove("created_at").unwrap(), fields.remove("updated_at").unwrap());
    assert_eq!(created == updated, fields["revision"] == 1, "{created} {updated}");
    user
}

#[tokio::test]
async fn a_user_is_changed_field_by_field() {
    let app = TestApp::spawn().await;
    let path = created(
        &app,
        &json!({"name": "Ada", "lastname": "Byron", "title": "Miss", "email": "ada@example.com", "is_sso_user": true}),
    )
    .await;
    let user = app.owner.get(&path).await;
    assert_eq!((user.status, user.header("etag")), (200, "\"1\""));
    let mut expected = json!({
        "email": "ada@example.com", "name": "Ada", "lastname": "Byron", "title": "Miss", "is_sso_user": true,
        "is_service_account": false, "status": "active", "permission_level": "collaborator", "revision": 1,
        "expires_at": null, "credential": "sso",
    });
    assert_eq!(without_times(&user), expected);
    for (revision, change) in [
        (2, json!({"lastname": "King"})),
        (3, json!({"title": null})),
        (4, json!({"name": "Augusta Ada", "email": "Ada.King@example.com"})),
        (5, json!({"email": "ADA.king@example.com"})),
    ] {
        let answer = send(&app.owner, "PATCH", &path, &change).await;
        assert_eq!(
            (answer.status, answer.header("etag")),
            (200, format!("\"{revision}\"").as_str()),
            "{}",
            answer.text
        );
        expected.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        expected["revision"] = json!(revision);
        assert_eq!(without_times(&answer), expected);
        assert_eq!(app.owner.get(&path).await.json(), answer.json());
    }
    let events = app.owner.get("/api/v2/audit/events?action=user.update").await.json();
    let fields: Vec<Value> =
        events["results"].as_array().unwrap().iter().map(|event| event["details"]["fields"].clone()).collect();
    assert_eq!(json!(fields), json!([["email"], ["name", "email"], ["title"], ["lastname"]]));
    let found = app.owner.get("/api/v2/organization_collaborators/?email=ada.king%40example.com").await.json();
    assert_eq!(found["results"][0]["full_name"], "Augusta Ada King");
}

#[tokio::test]
async fn a_change_to_the_current_values_writes_nothing() {
    let app = TestApp::spawn().await;
    let path = created(&app, &sso("ada@example.com")).await;
    let before: i64 = app.db_value("select count(*) from audit_events").await;
    for body in [json!({}), json!({"name": "Ada", "email": "ada@example.com", "lastname": null, "title": null})] {
        let answer = send(&app.owner, "PATCH", &path, &body).await;
        assert_eq!((answer.status, answer.header("etag")), (200, "\"1\""), "{}", answer.text);
        assert_eq!(answer.json(), app.owner.get(&path).await.json());
    }
    assert_eq!(app.db_value::<i64>("select count(*) from audit_events").await, before);
}

#[tokio::test]
async fn all_findings_about_a_change_are_reported_together() {
    let app = TestApp::spawn().await;
    let path = created(&app, &sso("ada@example.com")).await;
    let body = json!({"name": " ", "email": null, "lastname": 7, "title": "a\nb", "status": "suspended"});
    let answer = send(&app.owner, "PATCH", &path, &body).await;
    let row =
        |field: &str, code: &str, message: &str| json!({"index": 0, "field": field, "code": code, "message": message});
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert_eq!(
        answer.error(),
        json!({
            "code": "batch_rejected",
            "detail": "the user can't be changed: users[0].name: must not be empty; users[0].email: must be text, not null; \
                users[0].lastname: must be text, not a number; users[0].title: contains a line break (U+000A); users[0].status: is unknown; the known fields are name, email, is_sso_user, lastname, title, permission_level, expires_at, attributes",
            "rows": [
                row("name", "empty", "must not be empty"),
                row("email", "wrong_type", "must be text, not null"),
                row("lastname", "wrong_type", "must be text, not a number"),
                row("title", "control_character", "contains a line break (U+000A)"),
                row("status", "unknown_field", "is unknown; the known fields are name, email, is_sso_user, lastname, title, permission_level, expires_at, attributes"),
            ],
        })
    );
    for (body, status, code) in [
        ("", 400, "invalid_json"),
        ("{", 400, "invalid_json"),
        ("[]", 422, "batch_rejected"),
        ("7", 422, "batch_rejected"),
        ("{\"name\": \"a\", \"name\": \"b\"}", 422, "batch_rejected"),
    ] {
        let answer = Actor::send(app.owner.request("PATCH", &path).body(body)).await;
        assert_eq!((answer.status, answer.error()["code"].as_str()), (status, Some(code)), "{body}");
    }
    assert_eq!(app.owner.get(&path).await.header("etag"), "\"1\"");
}

#[tokio::test]
async fn the_address_of_another_user_is_rejected() {
    let app = TestApp::spawn().await;
    created(&app, &sso("grace@example.com")).await;
    let path = created(&app, &sso("ada@example.com")).await;
    let answer = send(&app.owner, "PATCH", &path, &json!({"email": "GRACE@example.com"})).await;
    assert_eq!(answer.status, 409);
    assert_eq!(
        answer.error(),
        json!({"code": "email_taken", "detail": "the e-mail address belongs to another account; nothing was written"})
    );
    assert_eq!(app.owner.get(&path).await.header("etag"), "\"1\"");
}

#[tokio::test]
async fn only_the_title_of_a_service_account_can_be_changed() {
    let app = TestApp::spawn().await;
    let path = created(&app, &sso("robot@example.com")).await;
    app.db_execute("update users set is_service_account = true where email = 'robot@example.com'").await;
    for body in [json!({"name": "x"}), json!({"email": "x@example.com"}), json!({"lastname": "x", "title": "t"})] {
        let answer = send(&app.owner, "PATCH", &path, &body).await;
        assert_eq!(answer.status, 409, "{body}");
        let detail = "only the title and the permission level of a service account can be changed; its address is derived from its name";
        assert_eq!(answer.error(), json!({"code": "conflict", "detail": detail}));
    }
    let answer = send(&app.owner, "PATCH", &path, &json!({"title": "Nightly build"})).await;
    assert_eq!((answer.status, answer.json()["result"]["title"].as_str()), (200, Some("Nightly build")));
}

#[tokio::test]
async fn a_change_can_require_a_revision() {
    let app = TestApp::spawn().await;
    let path = created(&app, &sso("ada@example.com")).await;
    let change = json!({"title": "Countess"});
    let answer = only_if(&app.owner, "PATCH", &path, "\"1\"", &change).await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"2\""));
    let suspend = format!("{path}/suspend");
    for (method, path, tag) in [
        ("PATCH", &path, "\"1\""),
        ("PATCH", &path, "W/\"2\""),
        ("PATCH", &path, "\"1\", \"3\""),
        ("POST", &suspend, "\"1\""),
        ("DELETE", &path, "\"1\""),
    ] {
        let answer = only_if(&app.owner, method, path, tag, &json!({"title": "Lady"})).await;
        assert_eq!(answer.status, 412, "{method} {tag}");
        let detail = "the user has changed since the revision in `If-Match`; read the user again and retry";
        assert_eq!(answer.error(), json!({"code": "precondition_failed", "detail": detail}));
    }
    for tag in ["2", "\"2", "é"] {
        let answer = only_if(&app.owner, "PATCH", &path, tag, &change).await;
        let detail = "`If-Match` must be `*` or the ETag of a response, in quotes: \"3\"";
        assert_eq!(
            (answer.status, answer.error()),
            (400, json!({"code": "invalid_request", "detail": detail})),
            "{tag}"
        );
    }
    for (tag, title) in [("*", "a"), ("\"9\", \"3\"", "b"), ("\"4\"", "c")] {
        let answer = only_if(&app.owner, "PATCH", &path, tag, &json!({"title": title})).await;
        assert_eq!(answer.status, 200, "{tag}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_suspended_users_key_is_rejected_until_they_are_reactivated_and_both_are_idempotent() {
    let app = TestApp::spawn().await;
    created(&app, &json!({"name": "Bo", "email": "bo@example.com", "is_sso_user": true, "permission_level": "owner"}))
        .await;
    let other = app.actor(PermissionLevel::Owner).await;
    let me = app.owner.get("/api/v2/userinfo/").await.json()["result"]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v2/users/{me}");
    let answer = send(&other, "POST", &format!("{path}/suspend"), &Value::Null).await;
    assert_eq!((answer.status, answer.json()["result"]["status"].as_str()), (200, Some("suspended")));
    assert_eq!(answer.header("etag"), "\"2\"");
    let refused = app.owner.get("/api/v2/userinfo/").await;
    assert_eq!(
        (refused.status, refused.error()),
        (401, json!({"code": "unauthenticated", "detail": "the user of the API key is suspended"}))
    );
    let again = send(&other, "POST", &format!("{path}/suspend"), &Value::Null).await;
    assert_eq!((again.status, again.json(), again.header("etag")), (200, answer.json(), "\"2\""));
    let answer = send(&other, "POST", &format!("{path}/reactivate"), &Value::Null).await;
    assert_eq!((answer.status, answer.json()["result"]["status"].as_str()), (200, Some("active")));
    assert_eq!(app.owner.get("/api/v2/userinfo/").await.status, 200);
    let again = send(&other, "POST", &format!("{path}/reactivate"), &Value::Null).await;
    assert_eq!((again.status, again.json(), again.header("etag")), (200, answer.json(), "\"3\""));
    for action in ["user.suspend", "user.reactivate"] {
        let events = other.get(&format!("/api/v2/audit/events?action={action}")).await.json();
        assert_eq!(events["results"].as_array().unwrap().len(), 1, "{events}");
    }
}

const LAST_OWNER: &str =
    "the change would leave the organization without an active owner; make another user an owner first";

/// Asserts that a list is rejected because one row would remove the last owner.
pub fn last_owner_in(answer: &Answer, index: usize, field: Option<&str>, who: &str) {
    let message = "is an owner, and no other active owner would be left";
    let place = field.map_or(format!("users[{index}]"), |field| format!("users[{index}].{field}"));
    let row = json!({"index": index, "field": field, "code": "last_owner", "message": message});
    let detail = format!("{LAST_OWNER}: {place} ({who}): {message}");
    assert_eq!((answer.status, answer.error()), (409, json!({"code": "last_owner", "detail": detail, "rows": [row]})));
}

#[tokio::test]
async fn the_last_owner_stays() {
    let app = TestApp::spawn().await;
    let robot = created(
        &app,
        &json!({"name": "Robot", "email": "r@example.com", "is_sso_user": true, "permission_level": "owner"}),
    )
    .await;
    app.db_execute("update users set is_service_account = true where email = 'r@example.com'").await;
    let suspended = json!({"name": "Bo", "email": "bo@example.com", "is_sso_user": true, "permission_level": "owner"});
    let suspended = created(&app, &suspended).await;
    let suspended_id = suspended.rsplit('/').next().unwrap();
    assert_eq!(send(&app.owner, "POST", &format!("{suspended}/suspend"), &Value::Null).await.status, 200);
    let me = app.owner.get("/api/v2/organization_collaborators/?count=1").await.json()["results"][0].clone();
    let user = format!("/api/v2/users/{}", me["user_id"].as_str().unwrap());
    let membership = format!("/api/v2/organization_collaborators/{}", me["id"].as_str().unwrap());
    for (method, path, body) in [
        ("POST", format!("{user}/suspend").as_str(), Value::Null),
        ("DELETE", &user, Value::Null),
        ("DELETE", &membership, Value::Null),
        ("PUT", &membership, json!({"permission_level": "collaborator"})),
    ] {
        let answer = send(&app.owner, method, path, &body).await;
        assert_eq!(
            (answer.status, answer.error()),
            (409, json!({"code": "last_owner", "detail": LAST_OWNER})),
            "{path}"
        );
    }
    // Rows that could be removed are not reported.
    let list = json!([{"user": suspended_id}, {"user": "r@example.com"}, {"user": me["user_id"]}]);
    for path in ["admin_batch_delete", "admin_batch_delete?dry_run=true"] {
        let answer = send(&app.owner, "POST", &format!("/api/v2/users/{path}"), &list).await;
        last_owner_in(&answer, 2, Some("user"), me["user_id"].as_str().unwrap());
    }
    let list = json!([{"user": "r@example.com"}, {"user": "administrator@muster.invalid"}]);
    let answer = send(&app.owner, "POST", "/api/v2/users/admin_batch_suspend", &list).await;
    last_owner_in(&answer, 1, Some("user"), "administrator@muster.invalid");
    let answer = app.owner.get(&user).await;
    assert_eq!((answer.header("etag"), answer.json()["result"]["status"].as_str()), ("\"1\"", Some("active")));
    // Owners that don't count can be removed.
    for path in [robot, suspended] {
        assert_eq!(send(&app.owner, "DELETE", &path, &Value::Null).await.status, 204);
    }
}

#[tokio::test]
async fn a_batch_with_the_last_owner_cannot_be_undone() {
    let app = TestApp::spawn().await;
    let created = app
        .owner
        .create(&json!([
            sso("ada@example.com"),
            {"name": "Bo", "email": "bo@example.com", "is_sso_user": true, "permission_level": "owner"},
        ]))
        .await;
    let batch = created.json()["metadata"]["batch_id"].as_str().unwrap().to_owned();
    let other = app.actor(PermissionLevel::Owner).await;
    let me = app.owner.get("/api/v2/userinfo/").await.json()["result"]["id"].as_str().unwrap().to_owned();
    assert_eq!(send(&other, "POST", &format!("/api/v2/users/{me}/suspend"), &Value::Null).await.status, 200);
    for query in ["?dry_run=true", ""] {
        let answer = send(&other, "POST", &format!("/api/v2/batches/{batch}/undo{query}"), &Value::Null).await;
        last_owner_in(&answer, 1, None, "bo@example.com");
    }
    assert_eq!(send(&other, "POST", &format!("/api/v2/users/{me}/reactivate"), &Value::Null).await.status, 200);
    let answer = send(&other, "POST", &format!("/api/v2/batches/{batch}/undo"), &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// A user of another organization, inserted directly.
async fn stranger(app: &TestApp) -> (String, String) {
    app.db_execute(
        "with org as (
            insert into organizations (organization_id, name, public_identifier, created_at)
            values ('01900000-0000-7000-8000-000000000001', 'Other', 'other', now())
        ), person as (
            insert into users (organization_id, user_id, email, email_key, email_key_version, name, is_sso_user, status,
                created_at, updated_at)
            values ('01900000-0000-7000-8000-000000000001', '01900000-0000-7000-8000-000000000002', 'o@other.example',
                'o@other.example', 1, 'Other', true, 'active', now(), now())
        )
        insert into collaborators (organization_id, user_id, identity_id, permission_level, granted_by_kind, granted_at)
        values ('01900000-0000-7000-8000-000000000001', '01900000-0000-7000-8000-000000000002',
            '01900000-0000-7000-8000-000000000003', 'owner', 'operator', now())",
    )
    .await;
    let user: uuid::Uuid = "01900000-0000-7000-8000-000000000002".parse().unwrap();
    let identity: uuid::Uuid = "01900000-0000-7000-8000-000000000003".parse().unwrap();
    (format!("usr_{}", muster::id::encode(user)), format!("ide_{}", muster::id::encode(identity)))
}

#[tokio::test]
async fn an_unknown_user_is_not_found_by_any_route() {
    let app = TestApp::spawn().await;
    let (user, identity) = stranger(&app).await;
    let me = app.owner.get("/api/v2/organization_collaborators/?count=1").await.json()["results"][0].clone();
    let unknown = |prefix: &str| format!("{prefix}_01k9h6m3x0e8wbz1v5n7q2r4t6");
    let rule = |kind: &str, prefix: &str| format!("no such {kind}; an ID is `{prefix}_` and 26 characters");
    let user_id = |id: String| (id.clone(), format!("there is no user {id}"));
    let identity_id = |id: String| (id.clone(), format!("there is no collaborator {id}"));
    let users = [
        user_id(user.clone()),
        user_id(unknown("usr")),
        (me["id"].as_str().unwrap().to_owned(), rule("user", "usr")),
        ("x".to_owned(), rule("user", "usr")),
    ];
    let members = [
        identity_id(identity.clone()),
        identity_id(unknown("ide")),
        (me["user_id"].as_str().unwrap().to_owned(), rule("collaborator", "ide")),
        ("%00".to_owned(), rule("collaborator", "ide")),
    ];
    // A member is read by the membership or the user.
    let read = [
        identity_id(identity.clone()),
        identity_id(unknown("ide")),
        user_id(user.clone()),
        ("%00".to_owned(), rule("collaborator", "ide")),
    ];
    let level = json!({"permission_level": "owner"});
    let routes = [
        ("/api/v2/users/{}", "GET", Value::Null, &users),
        ("/api/v2/users/{}", "PATCH", json!({"name": "x"}), &users),
        ("/api/v2/users/{}", "DELETE", Value::Null, &users),
        ("/api/v2/users/{}/suspend", "POST", Value::Null, &users),
        ("/api/v2/users/{}/reactivate", "POST", Value::Null, &users),
        ("/api/v2/organization_collaborators/{}", "GET", Value::Null, &read),
        ("/api/v2/organization_collaborators/{}", "PUT", level, &members),
        ("/api/v2/organization_collaborators/{}", "DELETE", Value::Null, &members),
    ];
    for (template, method, body, ids) in routes {
        for (id, detail) in ids {
            let answer = send(&app.owner, method, &template.replace("{}", id), &body).await;
            assert_eq!(
                (answer.status, answer.error()),
                (404, json!({"code": "not_found", "detail": detail})),
                "{method} {template} {id}"
            );
        }
        let path = template.replace("{}", &ids[1].0);
        let answer = send(&app.owner, method, &format!("{path}?force=true"), &body).await;
        assert_eq!((answer.status, answer.error()["code"].as_str()), (400, Some("invalid_request")), "{method} {path}");
    }
    let strangers: i64 =
        app.db_value("select count(*) from users where email = 'o@other.example' and revision = 1").await;
    assert_eq!(strangers, 1);
}

#[tokio::test]
async fn a_read_only_caller_cannot_change_users() {
    let app = TestApp::spawn().await;
    let path = created(&app, &sso("ada@example.com")).await;
    let reader = app.actor(PermissionLevel::Collaborator).await;
    assert_eq!(reader.get(&path).await.status, 200);
    for (method, path, action) in [
        ("PATCH", path.clone(), "user.update"),
        ("DELETE", path.clone(), "user.delete"),
        ("POST", format!("{path}/suspend"), "user.suspend"),
        ("POST", format!("{path}/reactivate"), "user.reactivate"),
    ] {
        let answer = send(&reader, method, &path, &Value::Null).await;
        let detail = format!("not permitted: `{action}` requires an owner's API key");
        assert_eq!((answer.status, answer.error()), (403, json!({"code": "forbidden", "detail": detail})));
    }
    assert_eq!(app.owner.get(&path).await.header("etag"), "\"1\"");
}

#[tokio::test]
async fn concurrent_reads_of_many_users_each_return_the_requested_user() {
    let app = TestApp::spawn_patient().await;
    let list: Vec<Value> = (0..150).map(|n| sso(&format!("ada{n}@example.com"))).collect();
    let created = app.owner.create(&json!(list)).await.json();
    let user = |n: usize| (created["results"][n]["user_id"].clone(), format!("ada{n}@example.com"));
    let (stranger, elsewhere) = {
        let other = other_owner(&app).await;
        let created = other.create(&json!([sso("ada0@example.com")])).await.json();
        (created["results"][0]["user_id"].clone(), other)
    };
    let nobody = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6";
    for _ in 0..3 {
        let asked = (0..600).map(|n| {
            let (owner, elsewhere, stranger) = (app.owner.clone(), elsewhere.clone(), stranger.clone());
            let (user_id, email) = user(n % 150);
            tokio::spawn(async move {
                match n % 10 {
                    8 => assert_eq!(owner.get(&format!("/api/v2/users/{nobody}")).await.status, 404),
                    9 => {
                        let path = format!("/api/v2/users/{}", stranger.as_str().unwrap());
                        assert_eq!(owner.get(&path).await.status, 404);
                        let found = elsewhere.get(&path).await;
                        assert_eq!((found.status, &found.json()["result"]["user_id"]), (200, &stranger));
                        let path = format!("/api/v2/users/{}", user_id.as_str().unwrap());
                        assert_eq!(elsewhere.get(&path).await.status, 404);
                    }
                    _ => {
                        let found = owner.get(&format!("/api/v2/users/{}", user_id.as_str().unwrap())).await;
                        let result = &found.json()["result"];
                        assert_eq!(
                            (found.status, &result["user_id"], &result["email"]),
                            (200, &user_id, &json!(email))
                        );
                    }
                }
            })
        });
        for asked in asked.collect::<Vec<_>>() {
            asked.await.unwrap();
        }
    }
}
