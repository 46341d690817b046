//! Walks the API's own description: nothing is served that is not described, nothing described
//! that is not served, every route refuses whoever may not use it, and every writing route leaves
//! an entry in the audit log.

use std::sync::atomic::{AtomicU32, Ordering};

use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::{Actor, BATCH, TestApp, sso, with_password};

/// Every operation: method, path, operation id, whether it wants a key.
fn operations() -> Vec<(String, String, String, bool)> {
    let document = serde_json::to_value(muster::http::openapi_document()).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            operations.push((method.to_uppercase(), path.clone(), id, !operation["security"].is_null()));
        }
    }
    operations
}

/// Routes that anybody may use: this list should only ever shrink.
const OPEN: [&str; 3] = ["cli_usage", "livez", "readyz"];

/// Routes for owners only.
const OWNERS_ONLY: [&str; 26] = [
    "audit_list",
    "batch_cancel",
    "batch_get",
    "batch_list",
    "batch_results",
    "batch_undo",
    "collaborator_remove",
    "collaborator_update",
    "group_add_members",
    "group_create",
    "group_delete",
    "group_remove_members",
    "group_update",
    "permission_list",
    "policy_set",
    "scim_migrate",
    "scim_migration_preview",
    "user_batch_create",
    "user_batch_delete",
    "user_batch_reactivate",
    "user_batch_suspend",
    "user_batch_update",
    "user_delete",
    "user_reactivate",
    "user_suspend",
    "user_update",
];

/// Routes that only read, though they take a body.
const READING_WITH_A_BODY: [&str; 1] = ["collaborator_search"];

/// What a caller who may sends to each route that takes a body, so that it does its work; [`with_ids`] has made
/// whom it is about.
fn body(operation: &str) -> Value {
    match operation {
        "collaborator_search" => json!({"query": "ada"}),
        "collaborator_update" => json!({"permission_level": "owner"}),
        "user_update" => json!({"title": "Countess"}),
        "user_batch_update" => json!([{"user": format!("{operation}@example.com"), "title": "Countess"}]),
        "user_batch_suspend" | "user_batch_reactivate" | "user_batch_delete" => {
            json!([{"user": format!("{operation}@example.com")}])
        }
        "collaborator_remove" | "user_delete" | "user_suspend" | "user_reactivate" => Value::Null,
        "user_batch_create" => json!([sso("written@example.com")]),
        "batch_cancel" | "batch_undo" | "group_delete" | "scim_migrate" => Value::Null,
        "group_create" => json!({"name": "Written"}),
        "group_update" => json!({"name": "Written again"}),
        "group_add_members" | "group_remove_members" => json!([{"email": "administrator@muster.invalid"}]),
        "policy_set" => json!({"bindings": []}),
        other => panic!("say here what {other} is sent"),
    }
}

/// A path with the ids of things that there are: something that the route can do its work on.
async fn with_ids(app: &TestApp, path: &str, operation: &str) -> String {
    if path.contains("{user_id}") || path.contains("{identity_id}") || operation.starts_with("user_batch_") {
        return with_user(app, path, operation).await;
    }
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let n = NUMBER.fetch_add(1, Ordering::Relaxed);
    if path.contains("{group_id}") {
        let request =
            app.owner.request("POST", "/api/v2/user_groups/").body(json!({"name": n.to_string()}).to_string());
        let group = Actor::send(request).await.json();
        return path.replace("{group_id}", group["result"]["id"].as_str().unwrap());
    }
    if operation == "scim_migrate" {
        return format!("{path}?dry_run=False");
    }
    let path = &path.replace("{resource_type}", "organization").replace("{resource_id}", "_");
    if !path.contains("{batch_id}") {
        return path.clone();
    }
    let users: Vec<Value> = match operation {
        // Long enough to be stopped.
        "batch_cancel" => (0..200).map(|m| with_password(&format!("{n}-{m}@example.com"), "kT9$wqzPlr")).collect(),
        _ => vec![sso(&format!("{n}@example.com"))],
    };
    let request = app.owner.request("POST", BATCH).body(json!(users).to_string());
    let answer = match operation {
        "batch_cancel" => Actor::send(request.header("prefer", "respond-async")).await.json()["result"].clone(),
        _ => Actor::send(request).await.json()["metadata"].clone(),
    };
    path.replace("{batch_id}", answer["batch_id"].as_str().unwrap())
}

/// A path with the ids of a user who is called after the operation, and in the state that it ends.
async fn with_user(app: &TestApp, path: &str, operation: &str) -> String {
    let email = format!("{operation}@example.com");
    app.owner.create(&json!([sso(&email)])).await;
    let found = app.owner.get(&format!("/api/v2/organization_collaborators/?email={email}")).await.json();
    let Some(user) = found["results"].get(0) else { return path.to_owned() };
    let user_id = user["user_id"].as_str().unwrap();
    if operation.ends_with("reactivate") {
        Actor::send(app.owner.request("POST", &format!("/api/v2/users/{user_id}/suspend"))).await;
    }
    path.replace("{user_id}", user_id).replace("{identity_id}", user["id"].as_str().unwrap())
}

#[tokio::test]
async fn every_described_route_is_served_and_no_other_method() {
    let app = TestApp::spawn().await;
    let all = operations();
    for (method, template, id, _) in &all {
        let path = with_ids(&app, template, id).await;
        let answer = Actor::send(app.owner.request(method, &path)).await;
        assert!(![404, 405].contains(&answer.status), "{id}: {}", answer.status);
        let methods: Vec<&str> =
            all.iter().filter(|(_, path, ..)| path == template).map(|(method, ..)| method.as_str()).collect();
        // In the order of this list, HEAD with GET.
        let known = ["GET", "POST", "PUT", "PATCH", "DELETE"].into_iter().filter(|method| methods.contains(method));
        let allowed =
            known.map(|method| if method == "GET" { "GET, HEAD" } else { method }).collect::<Vec<_>>().join(", ");
        for other in ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"] {
            if !methods.contains(&other) {
                let answer = Actor::send(app.owner.request(other, &path)).await;
                assert_eq!(answer.status, 405, "{other} {path}");
                assert_eq!(answer.header("allow"), allowed, "{path}");
                assert_eq!(
                    answer.error(),
                    json!({"code": "method_not_allowed", "detail": format!("this address takes {allowed} only")})
                );
            }
        }
    }
}

#[test]
fn only_the_known_routes_are_open() {
    let mut open: Vec<String> =
        operations().into_iter().filter(|(.., secured)| !secured).map(|(_, _, id, _)| id).collect();
    open.sort();
    assert_eq!(open, OPEN);
}

#[tokio::test]
async fn every_route_refuses_each_caller_who_may_not_use_it() {
    let app = TestApp::spawn().await;
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    let (gone, key) = app.actor_for(PermissionLevel::Owner, chrono::Duration::days(1)).await;
    app.revoke(&key).await;
    for (method, path, id, secured) in operations() {
        let path = with_ids(&app, &path, &id).await;
        let status = async |actor: &Actor| Actor::send(actor.request(&method, &path)).await.status;
        if !secured {
            assert!(status(&app.anonymous()).await < 300, "{id}");
            continue;
        }
        assert_eq!(status(&app.anonymous()).await, 401, "{id}");
        assert_eq!(status(&gone).await, 401, "{id}");
        let expected_forbidden = OWNERS_ONLY.contains(&id.as_str());
        assert_eq!(status(&collaborator).await == 403, expected_forbidden, "{id}");
        assert!(![401, 403].contains(&status(&app.owner).await), "{id}");
    }
}

#[tokio::test]
async fn every_writing_route_leaves_an_audit_entry_and_no_reading_one_does() {
    let app = TestApp::spawn().await;
    for (method, path, id, secured) in operations() {
        let path = with_ids(&app, &path, &id).await;
        let has_body = method != "GET" && secured;
        let writes = has_body && !READING_WITH_A_BODY.contains(&id.as_str());
        let request = app.owner.request(&method, &path);
        let answer = Actor::send(if has_body { request.body(body(&id).to_string()) } else { request }).await;
        assert!(answer.status < 300, "{id}: {}", answer.text);
        // By the request: a batch that was stopped records its end when it notices.
        let log = app.owner.get("/api/v2/audit/events").await.json();
        let request_id = answer.header("x-request-id");
        let is_recorded = log["results"].as_array().unwrap().iter().any(|entry| entry["request_id"] == request_id);
        assert_eq!(is_recorded, writes, "{id}");
        if writes {
            let dotted = id.replacen('_', ".", 1);
            let named = app.owner.get(&format!("/api/v2/audit/events?action={dotted}")).await.json();
            assert!(!named["results"].as_array().unwrap().is_empty(), "no entry is named {dotted}");
        }
    }
}
