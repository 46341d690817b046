//! Rejected writes: each leaves one audit event and nothing else.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::groups::{self, group};
use crate::invitations::{self, accept, ada, invite};
use crate::logins::{APPROVE, started};
use crate::support::{Actor, Answer, TestApp, sso};
use crate::user::{created, send};

const EVENTS: &str = "/api/v2/audit/events";
const POLICY: &str = "/api/v2/policy/organization/_";
const SERVICE_ACCOUNTS: &str = "/api/v2/users/service_accounts";

/// A write that is rejected.
struct Refused {
    method: &'static str,
    path: String,
    body: Value,
    status: u16,
    action: &'static str,
    reason: &'static str,
    /// `null` if the target would have been created.
    target: Value,
    details: Value,
}

fn refused(method: &'static str, path: impl Into<String>, body: Value, ends: (u16, &'static str)) -> Refused {
    let (status, reason) = ends;
    Refused { method, path: path.into(), body, status, action: "", reason, target: Value::Null, details: json!({}) }
}

impl Refused {
    fn named(self, action: &'static str, target: &Value) -> Self {
        Self { action, target: target.clone(), ..self }
    }

    fn with(self, details: Value) -> Self {
        Self { details, ..self }
    }
}

/// All tables except the audit log as text, without the last use of keys and the count of attempts to accept an invitation.
async fn all_else(app: &TestApp) -> Vec<(String, Option<String>)> {
    let mut connection = app.database.connect().await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables
         where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> 'audit_events' order by 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut all = Vec::new();
    for table in tables {
        let rows = format!(
            "select string_agg((to_jsonb(t) - array['last_used_at', 'attempts', 'attempts_since'])::text, ' ' order by t::text)
             from {table} t"
        );
        let rows = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(&mut connection).await.unwrap();
        all.push((table, rows));
    }
    connection.close().await.unwrap();
    all
}

async fn count(app: &TestApp) -> i64 {
    app.db_value("select count(*) from audit_events").await
}

fn ok(answer: Answer) -> Value {
    assert!(answer.status < 300, "{}", answer.text);
    if answer.text.is_empty() { Value::Null } else { answer.json() }
}

/// Sends each write and checks its audit event.
async fn assert_one_event_each(app: &TestApp, actor: &Actor, kind: &str, cases: Vec<Refused>) {
    for case in cases {
        let name = format!("{} {}", case.method, case.path);
        let (before, entries) = (all_else(app).await, count(app).await);
        let answer = send(actor, case.method, &case.path, &case.body).await;
        assert_eq!(
            (answer.status, answer.error()["code"].as_str()),
            (case.status, Some(case.reason)),
            "{name}: {}",
            answer.text
        );
        assert_eq!(count(app).await, entries + 1, "{name}");
        assert_eq!(all_else(app).await, before, "{name}");
        let mut event = app.owner.get(&format!("{EVENTS}?count=1")).await.json()["results"][0].clone();
        let fields = event.as_object_mut().unwrap();
        assert!(fields.remove("event_id").unwrap().as_str().unwrap().starts_with("evt_"));
        assert!(fields.remove("occurred_at").unwrap().is_string());
        let (actor_id, actor_name) = (fields.remove("actor_id").unwrap(), fields.remove("actor_name").unwrap());
        let of_kind = if kind == "api_key" { ("key_", json!("first key")) } else { ("orginv_", Value::Null) };
        assert_eq!((actor_id.as_str().unwrap().starts_with(of_kind.0), actor_name), (true, of_kind.1), "{name}");
        // The person who invites has a user, the one who is invited has none yet.
        assert_eq!(fields.remove("actor_user_id").unwrap().is_string(), kind == "api_key", "{name}");
        let kind_of_target = match case.target.as_str().map(|id| id.split('_').next().unwrap()) {
            None => Value::Null,
            Some("usr") => json!("user"),
            Some("ug") => json!("group"),
            Some("orginv") => json!("invitation"),
            Some("key") => json!("api_key"),
            Some("bat") => json!("batch"),
            Some(other) => json!(if other == "org" { "organization" } else { other }),
        };
        let batch_id = if kind_of_target == "batch" { case.target.clone() } else { Value::Null };
        assert_eq!(
            event,
            json!({
                "actor_kind": kind, "client": "http", "action": case.action, "outcome": "rejected", "reason": case.reason,
                "target_kind": kind_of_target, "target_id": case.target, "batch_id": batch_id, "file_name": null,
                "request_id": answer.header("x-request-id"), "source_address": "127.0.0.1", "details": case.details,
            }),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_rejected_change_of_a_user_records_one_event_and_nothing_else() {
    let app = TestApp::spawn().await;
    let me = ok(app.owner.get("/api/v2/organization_collaborators/?count=1").await)["results"][0].clone();
    let (user, membership) = (
        format!("/api/v2/users/{}", me["user_id"].as_str().unwrap()),
        format!("/api/v2/organization_collaborators/{}", me["id"].as_str().unwrap()),
    );
    created(&app, &sso("grace@example.com")).await;
    let ada = created(&app, &sso("ada@example.com")).await;
    let ada_id = json!(ada.rsplit('/').next());
    let robot = ok(app.owner.post(&format!("{SERVICE_ACCOUNTS}?name=robot"), &Value::Null).await)["result"].clone();
    let robot_id = robot["user_id"].clone();
    let robot = format!("/api/v2/users/{}", robot_id.as_str().unwrap());
    let collaborator = json!({"permission_level": "collaborator"});
    let (last_owner, conflict) = ((409, "last_owner"), (409, "conflict"));
    let cases = vec![
        refused("POST", format!("{user}/suspend"), Value::Null, last_owner).named("user.suspend", &me["user_id"]),
        refused("DELETE", &user, Value::Null, last_owner).named("user.delete", &me["user_id"]),
        refused("PUT", &membership, collaborator, last_owner).named("collaborator.update", &me["user_id"]),
        refused("DELETE", &membership, Value::Null, last_owner).named("collaborator.remove", &me["user_id"]),
        refused("PATCH", &ada, json!({"email": "Grace@example.com"}), (409, "email_taken"))
            .named("user.update", &ada_id),
        refused("PATCH", &robot, json!({"name": "Other"}), conflict).named("user.update", &robot_id),
        refused("POST", format!("{SERVICE_ACCOUNTS}?name=robot"), Value::Null, conflict)
            .named("service_account.create", &Value::Null),
    ];
    assert_one_event_each(&app, &app.owner, "api_key", cases).await;

    let entries = count(&app).await;
    for (method, path, action) in [
        ("PATCH", &ada, "user.update"),
        ("POST", &format!("{ada}/suspend"), "user.suspend"),
        ("DELETE", &ada, "user.delete"),
        ("DELETE", &membership, "collaborator.remove"),
    ] {
        let request = app.owner.request(method, path).header("if-match", "\"7\"");
        assert_eq!(Actor::send(request.body(json!({"title": "Lady"}).to_string())).await.status, 412, "{path}");
        let event = app.owner.get(&format!("{EVENTS}?count=1")).await.json()["results"][0].clone();
        let target = if path.starts_with(&ada) { &ada_id } else { &me["user_id"] };
        assert_eq!(
            (&event["action"], &event["outcome"], &event["reason"], &event["target_id"]),
            (&json!(action), &json!("rejected"), &json!("precondition_failed"), target)
        );
    }
    assert_eq!(count(&app).await, entries + 4);
    let log = app.owner.get(EVENTS).await.text;
    assert!(!log.contains("example.com") && !log.contains("Other"), "no personal data: {log}");
}

#[tokio::test]
async fn a_rejected_change_of_groups_policies_keys_and_batches_records_one_event_and_nothing_else() {
    let app = TestApp::spawn().await;
    let organization = ok(app.owner.get("/api/v2/userinfo/").await)["result"]["organization_ids"][0].clone();
    let (ours, theirs) = (group(&app, "ours").await, group(&app, "theirs").await);
    app.db_execute("update user_groups set source = 'scim' where name = 'theirs'").await;
    let (ours_path, theirs_path) = (format!("{}{ours}", groups::PATH), format!("{}{theirs}", groups::PATH));
    let robot = ok(app.owner.post(&format!("{SERVICE_ACCOUNTS}?name=robot"), &Value::Null).await)["result"].clone();
    let robot = robot["user_id"].clone();
    let key = ok(app.owner.post("/api/v2/api_keys", &json!({"name": "k", "user_id": robot})).await)["result"].clone();
    let key = key["key_id"].clone();
    let key_path = format!("/api/v2/api_keys/{}", key.as_str().unwrap());
    ok(app.owner.delete(&key_path).await);
    let batch = ok(app.owner.create(&json!([sso("ada@example.com")])).await)["metadata"]["batch_id"].clone();
    let batch_path = format!("/api/v2/batches/{}", batch.as_str().unwrap());
    ok(app.owner.post(&format!("{batch_path}/undo"), &Value::Null).await);
    let (otp, _) = started(&app, 60).await;
    let me = ok(app.owner.get("/api/v2/userinfo/").await)["result"]["id"].clone();
    ok(app.owner.post(APPROVE, &json!({"otp": otp})).await);
    let rotation = format!("/api/v2/organization_collaborators/rotate_api_key_for_user/{}", robot.as_str().unwrap());
    let unknown = json!([{"user": "nobody@example.com"}, {"user": "usr_01k9h6m3x0e8wbz1v5n7q2r4t6"}]);
    let policy = json!({"bindings": [{"role_name": "king", "principals": ["ug_01k9h6m3x0e8wbz1v5n7q2r4t6"]}]});
    let conflict = (409, "conflict");
    let cases = vec![
        refused("POST", groups::PATH, json!({"name": "OURS"}), conflict).named("group.create", &Value::Null),
        refused("PATCH", &ours_path, json!({"name": "Theirs"}), conflict).named("group.update", &json!(ours)),
        refused("PATCH", &theirs_path, json!({"name": "x"}), conflict).named("group.update", &json!(theirs)),
        refused("DELETE", &theirs_path, Value::Null, conflict).named("group.delete", &json!(theirs)),
        refused("POST", format!("{ours_path}/members/add"), unknown.clone(), (422, "batch_rejected"))
            .named("group.add_members", &json!(ours))
            .with(json!({"rows": 2, "findings": {"unknown_user": 2}})),
        refused("POST", format!("{theirs_path}/members/remove"), unknown, conflict)
            .named("group.remove_members", &json!(theirs)),
        refused("PUT", POLICY, policy, (422, "policy_rejected"))
            .named("policy.set", &organization)
            .with(json!({"rows": 1, "findings": {"group_not_found": 1, "unknown_role": 1}})),
        refused("POST", "/api/v2/scim/migrate-permissions?dry_run=false", Value::Null, (409, "last_owner"))
            .named("scim.migrate", &organization),
        refused("DELETE", &key_path, Value::Null, conflict).named("key.revoke", &key),
        refused("POST", format!("{key_path}/rotate"), json!({}), conflict).named("key.rotate", &key),
        refused("POST", rotation, Value::Null, conflict).named("key.rotate_for_user", &robot),
        refused("POST", format!("{batch_path}/undo"), Value::Null, conflict).named("batch.undo", &batch),
        refused("POST", format!("{batch_path}/cancel"), Value::Null, conflict).named("batch.cancel", &batch),
        refused("POST", APPROVE, json!({"otp": otp}), conflict).named("login.approve", &me),
    ];
    assert_one_event_each(&app, &app.owner, "api_key", cases).await;
}

#[tokio::test]
async fn a_rejected_change_of_an_invitation_records_one_event_and_nothing_else() {
    let app = TestApp::spawn().await;
    let (ended, _) = invite(&app, "grace@example.com").await;
    let path = format!("{}{ended}/invalidate", invitations::PATH);
    ok(app.owner.post(&path, &Value::Null).await);
    let case = refused("POST", &path, Value::Null, (409, "conflict")).named("invitation.invalidate", &json!(ended));
    assert_one_event_each(&app, &app.owner, "api_key", vec![case]).await;

    let (open, token) = invite(&app, "ada@example.com").await;
    ok(app.owner.create(&json!([sso("ada@example.com")])).await);
    let path = format!("{}accept", invitations::PATH);
    let case = refused("POST", path, ada(&token), (409, "email_taken")).named("invitation.accept", &json!(open));
    assert_one_event_each(&app, &app.anonymous(), "invitation", vec![case]).await;
    assert_eq!(accept(&app, &ada(&token)).await.status, 409, "the invitation stays open");
}

#[tokio::test]
async fn malformed_requests_and_unknown_targets_record_no_event() {
    let app = TestApp::spawn().await;
    let me = ok(app.owner.get("/api/v2/userinfo/").await)["result"]["id"].as_str().unwrap().to_owned();
    let user = format!("/api/v2/users/{me}");
    let ours = group(&app, "ours").await;
    let add = format!("{}{ours}/members/add", groups::PATH);
    app.db_execute("update user_groups set source = 'scim'").await;
    let entries = count(&app).await;
    let nobody = "/api/v2/users/usr_01k9h6m3x0e8wbz1v5n7q2r4t6";
    for (method, path, body, status) in [
        ("POST", format!("{nobody}/suspend"), Value::Null, 404),
        ("PATCH", nobody.to_owned(), json!({"title": "Lady"}), 404),
        ("PATCH", user.clone(), json!({"email": 7}), 422),
        ("PATCH", user.clone(), json!({}), 200),
        ("POST", "/api/v2/user_groups/".to_owned(), json!({"name": ""}), 400),
        ("POST", format!("{add}?dry_run=true"), json!([{"user": me}]), 409),
        ("POST", "/api/v2/users/admin_batch_suspend?dry_run=true".to_owned(), json!([{"user": me}]), 409),
    ] {
        let answer = send(&app.owner, method, &path, &body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert_eq!(count(&app).await, entries, "{path}");
    }
}

#[tokio::test]
async fn an_internal_error_records_no_event() {
    let app = TestApp::spawn().await;
    let path = created(&app, &sso("ada@example.com")).await;
    for (state, status, code) in
        [("XX000", 500, "internal"), ("40001", 503, "overloaded"), ("53100", 503, "unavailable")]
    {
        let mut connection = app.database.connect().await.unwrap();
        let fail = format!(
            "create or replace function fail() returns trigger language plpgsql as
                 $$ begin raise exception 'no' using errcode = '{state}'; end $$;
             create or replace trigger fail before update on users execute function fail()"
        );
        sqlx::raw_sql(AssertSqlSafe(fail)).execute(&mut connection).await.unwrap();
        let entries = count(&app).await;
        let answer = send(&app.owner, "PATCH", &path, &json!({"title": "Lady"})).await;
        assert_eq!((answer.status, answer.error()["code"].as_str()), (status, Some(code)), "{}", answer.text);
        assert_eq!(count(&app).await, entries, "{state}");
    }
}

#[tokio::test]
async fn recording_a_rejection_needs_no_second_connection() {
    let app = TestApp::spawn_with(|config| {
        config.database.connections = 1;
        config.database.batch_connections = 1;
    })
    .await;
    let me = ok(app.owner.get("/api/v2/userinfo/").await)["result"]["id"].as_str().unwrap().to_owned();
    let suspend = format!("/api/v2/users/{me}/suspend");
    let entries = count(&app).await;
    let ask = || send(&app.owner, "POST", &suspend, &Value::Null);
    let answers = tokio::join!(ask(), ask(), ask(), ask(), ask(), ask(), ask(), ask());
    let statuses: [u16; 8] = <[Answer; 8]>::from(answers).map(|answer| answer.status);
    assert_eq!((statuses, count(&app).await), ([409; 8], entries + 8));

    // A rejection in the middle of a change leaves no trace either.
    let narrow = json!({"name": "narrow", "scopes": ["policies:write"]});
    let narrow = ok(app.owner.post("/api/v2/api_keys", &narrow).await)["result"]["token"].clone();
    let narrow = app.owner.with_token(narrow.as_str().unwrap());
    let owners = json!({"bindings": [{"role_name": "owner", "principals": [group(&app, "owners").await]}]});
    let entries = count(&app).await;
    let answer = send(&narrow, "PUT", POLICY, &owners).await;
    let detail = "not permitted: `owner.grant` requires an API key that is not limited to scopes";
    assert_eq!((answer.status, answer.error()), (403, json!({"code": "forbidden", "detail": detail})));
    let event = app.owner.get(&format!("{EVENTS}?count=1")).await.json()["results"][0].clone();
    assert_eq!(
        (&event["action"], &event["outcome"], &event["reason"], count(&app).await),
        (&json!("owner.grant"), &json!("denied"), &json!("forbidden"), entries + 1)
    );
}
