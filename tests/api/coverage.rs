//! Walks the OpenAPI description: exactly the described routes are served, every route denies callers without permission,
//! and every writing route records an audit event.

use std::sync::atomic::{AtomicU32, Ordering};

use muster::caller::PermissionLevel;
use muster::config::Config;
use muster::secret::Secret;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::browser::PASSWORD;
use crate::support::gate::eventually;
use crate::support::idp::Idp;
use crate::support::{Actor, BATCH, TestApp, sso, with_password};

/// Every operation: method, path, operation ID, whether it needs a key.
pub fn operations() -> Vec<(String, String, String, bool)> {
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

/// Routes without authentication. This list should only shrink.
const OPEN: [&str; 14] = [
    "cli_usage",
    "invitation_accept",
    "invitation_page",
    "invitation_page_accept",
    "livez",
    "login_fetch",
    "login_start",
    "password_link_get",
    "password_link_use",
    "password_reset_request",
    "readyz",
    "session_end_own",
    "session_start",
    "sso_login_info",
];

/// Routes that accept a body and write nothing; `session_end_own`: without a session.
const WRITES_NOTHING: [&str; 4] = ["cli_usage", "collaborator_search", "session_end_own", "sso_provider_test"];

/// Routes for owners only.
const OWNERS_ONLY: [&str; 66] = [
    "audit_list",
    "batch_cancel",
    "batch_get",
    "batch_list",
    "batch_results",
    "batch_undo",
    "collaborator_remove",
    "collaborator_update",
    "group_add_members",
    "group_add_members_by_id",
    "group_create",
    "group_delete",
    "group_get",
    "group_list",
    "group_members",
    "group_memberships",
    "group_remove_members",
    "group_remove_members_by_id",
    "group_update",
    "invitation_admin_batch_create",
    "invitation_batch_create",
    "invitation_create",
    "invitation_get",
    "invitation_invalidate",
    "invitation_list",
    "key_expiration_get",
    "key_expiration_set",
    // Keys of other users.
    "key_get",
    "key_list_all",
    "key_revoke",
    "key_revoke_any",
    "key_revoke_any_list",
    "key_rotate",
    "key_rotate_for_user",
    "password_link_create",
    "mail_list",
    "mail_retry",
    "permission_list",
    "policy_get",
    "policy_list_clouds",
    "policy_list_projects",
    "policy_set",
    "scim_migrate",
    "scim_migration_preview",
    "service_account_create",
    "sign_in_policy_get",
    "sign_in_policy_set",
    "sso_identity_bind",
    "sso_identity_list",
    "sso_identity_unbind",
    "sso_provider_create",
    "sso_provider_delete",
    "sso_provider_get",
    "sso_provider_list",
    "sso_provider_test",
    "sso_provider_update",
    "user_batch_apply",
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

/// A valid body for each route that accepts one. [`with_ids`] has created the resources that it refers to.
async fn writing_body(app: &TestApp, operation: &str) -> Value {
    match operation {
        "collaborator_search" => json!({"query": "ada"}),
        "collaborator_update" => json!({"permission_level": "owner"}),
        "user_update" => json!({"title": "Countess"}),
        "user_batch_update" => json!([{"user": format!("{operation}@example.com"), "title": "Countess"}]),
        "user_batch_apply" => json!([{"email": format!("{operation}@example.com"), "title": "Countess"}]),
        "user_batch_suspend" | "user_batch_reactivate" | "user_batch_delete" => {
            json!([{"user": format!("{operation}@example.com")}])
        }
        "collaborator_remove" | "user_delete" | "user_suspend" | "user_reactivate" => Value::Null,
        "user_batch_create" => json!([sso("written@example.com")]),
        "invitation_batch_create" => json!([{"email": "invited@example.com"}]),
        "invitation_admin_batch_create" => json!([{"email": "person@example.com"}]),
        "batch_cancel" | "batch_undo" | "invitation_invalidate" => Value::Null,
        "key_revoke" | "key_rotate_for_user" | "service_account_create" => Value::Null,
        "invitation_create" => json!({"email": "invited@example.com"}),
        "key_expiration_set" => json!({"max_api_key_expiration_days": 90}),
        "key_revoke_own" | "key_revoke_any" => Value::Null,
        "key_revoke_own_list" => json!({"api_key_ids": [own_key(app).await]}),
        "key_revoke_any_list" => json!({"api_key_ids": [key(app).await.0]}),
        "key_create" => json!({"name": "written"}),
        "key_create_for_user" => json!({"user_id": service_account(app).await, "duration": 60}),
        "key_rotate" => json!({}),
        "login_approve" => json!({"otp": otp(app).await}),
        "group_delete" | "scim_migrate" => Value::Null,
        "group_create" => json!({"name": "Written"}),
        "group_update" => json!({"name": "Written again"}),
        "group_add_members" | "group_remove_members" => json!([{"user": "administrator@muster.invalid"}]),
        "group_add_members_by_id" | "group_remove_members_by_id" => json!({"user_ids": [me(app).await]}),
        "policy_set" => json!({"bindings": []}),
        "sign_in_policy_set" => json!({"sso_mode": "off"}),
        "password_change" => {
            app.signed_in_by_link(&me(app).await).await;
            json!({"current_password": PASSWORD, "new_password": "another-Harbor-Quill-27"})
        }
        "password_link_create" => json!({"users": [{"user": with_account(app).await}]}),
        "mail_retry" | "session_end" | "sso_provider_delete" | "sso_provider_test" | "sso_identity_unbind" => {
            Value::Null
        }
        "sso_provider_create" => new_provider().await,
        "sso_provider_update" => json!({"title": "Written again"}),
        "sso_identity_bind" => json!({"provider": provider(app).await, "subject": "ada"}),
        "session_end_all" => {
            let email = with_account(app).await;
            let browser = app.signed_in_by_link(&email).await;
            json!({"user_id": browser.get("/api/v2/userinfo/").await.json()["result"]["id"]})
        }
        other => panic!("add a body for {other} here"),
    }
}

/// The body as text; creates what it refers to.
pub async fn body(app: &TestApp, operation: &str) -> String {
    match operation {
        "cli_usage" => String::new(),
        "invitation_accept" => {
            json!({"token": invite(app).await.1, "name": "Ada", "password": "kT9$wqzPlr"}).to_string()
        }
        "session_start" => {
            let email = with_account(app).await;
            app.signed_in_by_link(&email).await;
            json!({"email": email, "password": PASSWORD}).to_string()
        }
        "session_end_own" => String::new(),
        "password_reset_request" => json!({"email": with_account(app).await}).to_string(),
        "password_link_use" => {
            json!({"token": app.link(&with_account(app).await).await, "new_password": PASSWORD}).to_string()
        }
        "invitation_page_accept" => "name=Ada&lastname=&password=kT9%24wqzPlr".to_owned(),
        other => writing_body(app, other).await.to_string(),
    }
}

/// A request with a body of the type that the operation reads.
fn with_body(request: reqwest::RequestBuilder, operation: &str, body: String) -> reqwest::RequestBuilder {
    match operation {
        "invitation_page_accept" => request.header("content-type", "application/x-www-form-urlencoded").body(body),
        _ => request.body(body),
    }
}

/// The audit action of an operation.
fn audited_as(operation: &str) -> String {
    match operation {
        "invitation_page_accept" => "invitation.accept".to_owned(),
        "invitation_admin_batch_create" => "invitation.batch_create".to_owned(),
        "key_create_for_user" => "key.create".to_owned(),
        "key_revoke_own" | "key_revoke_any" | "key_revoke_own_list" | "key_revoke_any_list" => "key.revoke".to_owned(),
        "service_account_create" => "service_account.create".to_owned(),
        "password_link_create" | "password_link_use" => operation.replace("link_", "link."),
        "password_reset_request" => operation.replace("reset_", "reset."),
        "session_end_all" => "session.end".to_owned(),
        "sign_in_policy_set" => "sign_in_policy.set".to_owned(),
        "group_add_members_by_id" => "group.add_members".to_owned(),
        "group_remove_members_by_id" => "group.remove_members".to_owned(),
        other if other.starts_with("sso_provider_") => other.replace("provider_", "provider."),
        other if other.starts_with("sso_identity_") => other.replace("identity_", "identity."),
        other => other.replacen('_', ".", 1),
    }
}

/// The ID of the owner's user.
async fn me(app: &TestApp) -> String {
    app.owner.get("/api/v2/userinfo/").await.json()["result"]["id"].as_str().unwrap().to_owned()
}

/// Creates a user without a password: the address.
pub async fn with_account(app: &TestApp) -> String {
    let email = format!("person{}@example.com", number());
    app.owner.create(&json!([with_password(&email, "")])).await;
    email
}

/// A unique number.
fn number() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// Creates a service account without keys.
async fn service_account(app: &TestApp) -> String {
    let path = format!("/api/v2/users/service_accounts?name=program-{}", number());
    let made = app.owner.post(&path, &Value::Null).await.json();
    made["result"]["user_id"].as_str().unwrap().to_owned()
}

/// Creates a key of a service account: the IDs of the key and the account.
async fn key(app: &TestApp) -> (String, String) {
    let user_id = service_account(app).await;
    let made = app.owner.post("/api/v2/api_keys", &json!({"name": "made", "user_id": user_id})).await.json();
    (made["result"]["key_id"].as_str().unwrap().to_owned(), user_id)
}

/// Creates a key of the owner's own.
async fn own_key(app: &TestApp) -> String {
    let made = app.owner.post("/api/v2/api_keys", &json!({"name": "own"})).await.json();
    made["result"]["key_id"].as_str().unwrap().to_owned()
}

/// Starts a login.
async fn otp(app: &TestApp) -> String {
    let started = app.anonymous().get("/api/v2/users/create_otp_token").await.json();
    started["result"]["otp"].as_str().unwrap().to_owned()
}

/// Creates an invitation: its ID and the token of its link.
async fn invite(app: &TestApp) -> (String, String) {
    let invited = json!([{"email": format!("invited{}@example.com", number())}]);
    let request = app.owner.request("POST", "/api/v2/organization_invitations/batch_create");
    let answer = Actor::send(request.body(invited.to_string())).await.json()["results"][0]["data"].clone();
    let token = answer["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    (answer["id"].as_str().unwrap().to_owned(), token)
}

/// Sends a link by mail, which fails: the ID of the message.
async fn failed_mail(app: &TestApp) -> String {
    let links = json!({"users": [{"user": with_account(app).await}], "send": true});
    assert_eq!(app.owner.post("/api/v2/users/password_links", &links).await.status, 200);
    app.db_execute("update mails set state = 'failed' where state = 'queued'").await;
    app.owner.get("/api/v2/mails").await.json()["results"][0]["id"].as_str().unwrap().to_owned()
}

/// An identity provider with a name of its own, as an owner adds it.
async fn new_provider() -> Value {
    static IDP: OnceCell<Idp> = OnceCell::const_new();
    let idp = IDP.get_or_init(Idp::start).await;
    json!({"name": format!("provider-{}", number()), "issuer": idp.issuer, "client_id": "muster"})
}

/// Adds an identity provider: the name.
async fn provider(app: &TestApp) -> String {
    let added = app.owner.post("/api/v2/sso/providers", &new_provider().await).await;
    assert_eq!(added.status, 200, "{}", added.text);
    added.json()["result"]["name"].as_str().unwrap().to_owned()
}

/// Binds an identity to a user: the ID.
async fn identity(app: &TestApp, path: &str) -> String {
    let (path, _) = path.rsplit_once('/').unwrap();
    let body = json!({"provider": provider(app).await, "subject": "ada"});
    let bound = app.owner.post(path, &body).await;
    assert_eq!(bound.status, 200, "{}", bound.text);
    bound.json()["results"][0]["identity_id"].as_str().unwrap().to_owned()
}

/// The settings of mail, which nothing sends, and of single sign-on.
pub fn with_mail(config: &mut Config) {
    config.server.public_url = "http://127.0.0.1".to_owned();
    config.sso.owners_may_configure = true;
    config.mail.url = Secret::new("smtp://127.0.0.1:1");
    config.mail.from = "muster@example.org".to_owned();
    config.mail.plaintext = true;
    config.secrets.seal_key = Secret::new("a seal key of at least 32 characters");
}

/// Creates an empty group.
async fn group(app: &TestApp) -> String {
    let named = json!({"name": number().to_string()});
    let made = app.owner.post("/api/v2/user_groups/", &named).await.json();
    made["result"]["id"].as_str().unwrap().to_owned()
}

/// Creates a batch in the state that the operation needs.
async fn batch(app: &TestApp, operation: &str) -> String {
    let n = number();
    let users: Vec<Value> = match operation {
        // Long enough to be canceled.
        "batch_cancel" => (0..200).map(|m| with_password(&format!("{n}-{m}@example.com"), "kT9$wqzPlr")).collect(),
        _ => vec![sso(&format!("{n}@example.com"))],
    };
    let request = app.owner.request("POST", BATCH).body(json!(users).to_string());
    let answer = match operation {
        "batch_cancel" => Actor::send(request.header("prefer", "respond-async")).await.json()["result"].clone(),
        _ => Actor::send(request).await.json()["metadata"].clone(),
    };
    answer["batch_id"].as_str().unwrap().to_owned()
}

/// Replaces the parameters of a path by IDs of existing resources in the state that the operation needs.
pub async fn with_ids(app: &TestApp, path: &str, operation: &str) -> String {
    let mut path = path.to_owned();
    if path == "/api/v2/users/service_accounts" {
        return format!("{path}?name=written-{}", number());
    }
    if path.ends_with("/rotate_api_key_for_user/{user_id}") {
        return path.replace("{user_id}", &key(app).await.1);
    }
    if path.contains("{key_id}") {
        let key_id = if operation == "key_revoke_own" { own_key(app).await } else { key(app).await.0 };
        path = path.replace("{key_id}", &key_id);
    }
    if operation == "scim_migrate" {
        return format!("{path}?dry_run=False");
    }
    if path.contains("{resource_id}") {
        let me = app.owner.get("/api/v2/userinfo/").await.json();
        let organization = me["result"]["organization_ids"][0].as_str().unwrap();
        path = path.replace("{resource_type}", "organization").replace("{resource_id}", organization);
    }
    if path.contains("{group_id}") {
        path = path.replace("{group_id}", &group(app).await);
    }
    if path.contains("{otp}") {
        path = path.replace("{otp}", &otp(app).await);
    }
    if path.contains("{user_id}") || path.contains("{identity_id}") || operation.starts_with("user_batch_") {
        path = with_user(app, &path, operation).await;
    }
    if path.contains("{batch_id}") {
        path = path.replace("{batch_id}", &batch(app, operation).await);
    }
    if path.contains("{invitation_id}") {
        path = path.replace("{invitation_id}", &invite(app).await.0);
    }
    if path.contains("{mail_id}") {
        path = path.replace("{mail_id}", &failed_mail(app).await);
    }
    if path.contains("{sso_identity_id}") {
        path = path.replace("{sso_identity_id}", &identity(app, &path).await);
    }
    if path.contains("{provider}") {
        path = path.replace("{provider}", &provider(app).await);
    }
    if path.contains("{session_id}") {
        let browser = app.signed_in_by_link(&with_account(app).await).await;
        let sessions = browser.get("/api/v2/users/sessions").await.json();
        path = path.replace("{session_id}", sessions["results"][0]["id"].as_str().unwrap());
    }
    if operation == "password_link_get" {
        path = path.replace("{token}", &app.link(&with_account(app).await).await);
    }
    if path.contains("{token}") {
        path = path.replace("{token}", &invite(app).await.1);
    }
    assert!(!path.contains('{'), "add the creation of the resource in {path} here");
    path
}

/// Replaces the parameters of a path by the IDs of a new user in the state that the operation needs.
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
async fn every_described_route_is_served_with_no_other_methods() {
    let app = TestApp::spawn_with(with_mail).await;
    let all = operations();
    for (method, template, id, _) in &all {
        let path = with_ids(&app, template, id).await;
        let answer = Actor::send(app.owner.request(method, &path)).await;
        assert!(![404, 405].contains(&answer.status), "{id}: {}", answer.status);
        let methods: Vec<&str> =
            all.iter().filter(|(_, path, ..)| path == template).map(|(method, ..)| method.as_str()).collect();
        // In the order of this list; HEAD goes with GET.
        let known = ["GET", "POST", "PUT", "PATCH", "DELETE"].into_iter().filter(|method| methods.contains(method));
        let allowed =
            known.map(|method| if method == "GET" { "GET, HEAD" } else { method }).collect::<Vec<_>>().join(", ");
        for other in ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"] {
            if !methods.contains(&other) {
                let answer = Actor::send(app.owner.request(other, &path)).await;
                assert_eq!(answer.status, 405, "{other} {path}");
                assert_eq!(answer.header("allow"), allowed, "{path}");
                let detail = format!("method not allowed; allowed: {allowed}");
                if id.starts_with("invitation_page") {
                    assert!(answer.text.contains(&detail[1..]), "{}", answer.text);
                    continue;
                }
                assert_eq!(answer.error(), json!({"code": "method_not_allowed", "detail": detail}));
            }
        }
    }
}

#[test]
fn only_known_routes_work_without_a_key() {
    let mut open: Vec<String> =
        operations().into_iter().filter(|(.., secured)| !secured).map(|(_, _, id, _)| id).collect();
    open.sort();
    assert_eq!(open, OPEN);
}

#[tokio::test]
async fn every_route_denies_callers_without_permission() {
    let app = TestApp::spawn_with(with_mail).await;
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    let (gone, key) = app.actor_for(PermissionLevel::Owner, chrono::Duration::days(1)).await;
    app.revoke(&key).await;
    for (method, path, id, secured) in operations() {
        let path = with_ids(&app, &path, &id).await;
        let status = async |actor: &Actor| Actor::send(actor.request(&method, &path)).await.status;
        if !secured {
            let request = app.anonymous().request(&method, &path);
            let answer =
                Actor::send(if method == "GET" { request } else { with_body(request, &id, body(&app, &id).await) })
                    .await;
            assert!(answer.status < 300, "{id}: {}", answer.text);
            continue;
        }
        let answer = Actor::send(app.anonymous().request(&method, &path)).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer realm=\"muster\""), "{id}");
        assert_eq!(status(&gone).await, 401, "{id}");
        let expected_forbidden = OWNERS_ONLY.contains(&id.as_str());
        assert_eq!(status(&collaborator).await == 403, expected_forbidden, "{id}");
        assert!(![401, 403].contains(&status(&app.owner).await), "{id}");
    }
}

#[tokio::test]
async fn every_writing_route_records_an_event_and_no_reading_route_does() {
    let app = TestApp::spawn_with(with_mail).await;
    for (method, path, id, _) in operations() {
        let path = with_ids(&app, &path, &id).await;
        let writes = method != "GET" && !WRITES_NOTHING.contains(&id.as_str());
        let body = if method == "GET" { String::new() } else { body(&app, &id).await };
        let request = app.owner.request(&method, &path);
        let answer = Actor::send(if method == "GET" { request } else { with_body(request, &id, body) }).await;
        assert!(answer.status < 300, "{id}: {}", answer.text);
        // Filtered by request: a canceled batch records its end asynchronously, as a request for a link does all it does.
        let request_id = answer.header("x-request-id");
        let is_recorded = async || {
            let log = app.owner.get("/api/v2/audit/events").await.json();
            log["results"].as_array().unwrap().iter().any(|entry| entry["request_id"] == request_id)
        };
        match writes {
            true => eventually(&id, is_recorded).await,
            false => assert!(!is_recorded().await, "{id}"),
        }
        if writes {
            let dotted = audited_as(&id);
            let named = app.owner.get(&format!("/api/v2/audit/events?action={dotted}")).await.json();
            assert!(!named["results"].as_array().unwrap().is_empty(), "no event has the action {dotted}");
        }
    }
}
