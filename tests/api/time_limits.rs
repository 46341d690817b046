//! Every statement on a pooled connection has a time limit.

use muster::caller::PermissionLevel;
use serde_json::json;

use crate::support::gate::eventually;
use crate::support::{Actor, TestApp, sso, with_password};

/// Policies that apply to the role that muster serves with: a statement without a time limit fails.
const REQUIRE_LIMITS: &str = "
do $$
declare
    name text;
begin
    create function has_limits() returns boolean language plpgsql as '
        begin
            if current_setting(''statement_timeout'') = ''0''
                or current_setting(''idle_in_transaction_session_timeout'') = ''0''
            then
                raise exception ''a statement without a time limit: %'', current_query();
            end if;
            return true;
        end';
    for name in select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy limits on %I using (has_limits()) with check (has_limits())', name);
    end loop;
end
$$";

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_without_a_time_limit_is_never_sent() {
    let app = TestApp::spawn_with(crate::coverage::with_mail).await;
    app.db_execute(REQUIRE_LIMITS).await;
    let housekeeping = tokio::spawn(muster::jobs::run_housekeeping(app.app.clone()));
    let mail = tokio::spawn(muster::mail::run(app.app.clone()));
    let (user_id, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let keyed = app.owner.request("POST", crate::support::BATCH).header("idempotency-key", "a");
    let list = json!([sso("b@example.com"), with_password("c@example.com", "correct horse battery staple")]);
    let answer = Actor::send(keyed.body(list.to_string())).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let batch = app.owner.get("/api/v2/batches").await.json()["results"][0]["batch_id"].as_str().unwrap().to_owned();
    for path in [
        "/readyz".to_owned(),
        "/api/v2/userinfo/".to_owned(),
        "/api/v2/organization_collaborators/".to_owned(),
        "/api/v2/organization_collaborators/?email=ada@example.com".to_owned(),
        "/api/v2/organization_collaborators/?status=active".to_owned(),
        format!("/api/v2/users/{user_id}"),
        format!("/api/v2/batches/{batch}"),
        format!("/api/v2/batches/{batch}/results"),
        "/api/v2/api_keys".to_owned(),
        "/api/v2/organization_invitations/".to_owned(),
        "/api/v2/user_groups/".to_owned(),
        "/api/v2/user_groups/memberships/list".to_owned(),
        "/api/v2/scim/list-user-permissions".to_owned(),
        "/api/v2/audit/events".to_owned(),
        "/api/v2/mails".to_owned(),
        "/api/v2/sso/providers".to_owned(),
        "/api/v2/sso/providers/one".to_owned(),
        format!("/api/v2/users/{user_id}/sso_identities"),
        "/api/v2/organizations/sign_in_policy".to_owned(),
    ] {
        let answer = app.owner.get(&path).await;
        assert!(answer.status < 500, "{path}: {}", answer.text);
    }
    for (path, body) in [
        ("/api/v2/organization_collaborators/search", json!({"query": "ada"})),
        ("/api/v2/user_groups/", json!({"name": "admins"})),
        ("/api/v2/api_keys", json!({"name": "ci"})),
        ("/api/v2/organization_invitations/batch_create", json!({"emails": ["d@example.com"]})),
        ("/api/v2/organization_invitations/admin_batch_create", json!([{"email": "f@example.com"}])),
        ("/api/v2/users/admin_batch_create?dry_run=true", json!([sso("e@example.com")])),
        ("/api/v2/users/admin_batch_create", json!([sso("b@example.com")])),
        ("/api/v2/users/admin_batch_apply?suspend_missing=true&dry_run=true", json!([sso("f@example.com")])),
        ("/api/v2/sso/providers", json!({"name": "one", "issuer": "http://127.0.0.1:9", "client_id": "muster"})),
    ] {
        let answer = app.owner.post(path, &body).await;
        assert!(answer.status < 500, "{path}: {}", answer.text);
    }
    let links = json!({"users": [{"user": "c@example.com"}], "send": true});
    let answer = app.owner.post("/api/v2/users/password_links", &links).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let is_tried = async || app.owner.get("/api/v2/mails").await.text.contains("\"last_error\":\"Connection error");
    eventually("the message is tried", is_tried).await;
    mail.abort();
    assert_eq!(ada.get("/api/v2/audit/events").await.status, 403);
    let answer = app.owner.post(&format!("/api/v2/batches/{batch}/undo"), &json!({})).await;
    assert!(answer.status < 500, "{}", answer.text);
    let denied: i64 = app.db_value("select count(*) from audit_events where outcome = 'denied'").await;
    assert_eq!(denied, 1, "the record of the denial has limits, too");
    assert!(!housekeeping.is_finished());
    housekeeping.abort();
    // The policies are in effect: a statement without limits fails.
    let mut connection = app.served.interactive.acquire().await.unwrap();
    sqlx::query("set statement_timeout = 0").execute(&mut *connection).await.unwrap();
    let error = sqlx::query("select from users").execute(&mut *connection).await.unwrap_err();
    assert!(error.to_string().contains("a statement without a time limit"), "{error}");
}
