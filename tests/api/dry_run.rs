//! `?dry_run=true`, and plans.

use serde_json::{Value, json};

use crate::support::{Actor, Answer, BATCH, TestApp, sso, with_password};

async fn dry_run(actor: &Actor, users: &Value) -> Answer {
    Actor::send(actor.request("POST", &format!("{BATCH}?dry_run=true")).body(users.to_string())).await
}

async fn planned(actor: &Actor, plan: &str, users: &Value) -> Answer {
    Actor::send(actor.request("POST", BATCH).header("muster-plan", plan).body(users.to_string())).await
}

fn plan(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["plan"].as_str().unwrap().to_owned()
}

fn people() -> Value {
    json!([
        {"name": "Ada", "lastname": "Lovelace", "title": "Countess", "email": "ada@example.com", "is_sso_user": true},
        {"name": "Grace", "email": "grace@example.com", "is_sso_user": false, "password": "kT9$wqzPlr", "permission_level": "owner"},
    ])
}

#[tokio::test]
async fn a_dry_run_previews_the_users_and_writes_only_an_audit_event() {
    let app = TestApp::spawn().await;
    let answer = dry_run(&app.owner, &people()).await;
    let mut body = answer.json();
    let plan = body.as_object_mut().unwrap().remove("plan").unwrap();
    assert!(plan.as_str().unwrap().starts_with("plan1_"), "{plan}");
    assert_eq!(
        body,
        json!({
            "results": [
                {"name": "Ada", "lastname": "Lovelace", "title": "Countess", "email": "ada@example.com", "is_sso_user": true, "permission_level": "collaborator", "credential": "sso"},
                {"name": "Grace", "email": "grace@example.com", "is_sso_user": false, "permission_level": "owner", "credential": "password"},
            ],
            "metadata": {"total": 2, "next_paging_token": null},
        })
    );
    assert_eq!(app.db_counts().await, [0, 0, 0, 0, 0]);
    let entries = app.owner.get("/api/v2/audit/events?action=user.batch_dry_run").await.json();
    assert_eq!(entries["results"].as_array().unwrap().len(), 1);
    assert_eq!(entries["results"][0]["outcome"], "success");
    assert_eq!(entries["results"][0]["details"], json!({"users": 2}));
    // The vendor's client writes it like this.
    let request = app.owner.request("POST", &format!("{BATCH}?dry_run=True")).body(people().to_string());
    assert_eq!(Actor::send(request).await.status, 200);
}

#[tokio::test]
async fn a_dry_run_has_the_same_report_as_the_request() {
    let app = TestApp::spawn().await;
    assert_eq!(app.owner.create(&json!([sso("taken@example.com")])).await.status, 200);
    for users in [
        json!([sso("taken@example.com"), sso("new@example.com")]),
        json!([sso("taken@example.com"), with_password("a@example.com", "short"), 7]),
        json!([]),
        json!({}),
    ] {
        let (dry, real) = (dry_run(&app.owner, &users).await, app.owner.create(&users).await);
        assert_eq!(dry.status, real.status);
        assert_eq!(dry.error(), real.error());
    }
    assert_eq!(app.db_counts().await, [1, 1, 0, 1, 2]);
    let entries = app.owner.get("/api/v2/audit/events?action=user.batch_dry_run").await.json();
    assert_eq!(entries["results"].as_array().unwrap().len(), 4);
    assert!(entries["results"].as_array().unwrap().iter().all(|entry| entry["outcome"] == "rejected"));
}

#[tokio::test]
async fn a_dry_run_hashes_nothing() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    let users: Vec<Value> = (0..400).map(|n| with_password(&format!("user{n}@example.com"), "kT9$wqzPlr")).collect();
    assert_eq!(dry_run(&app.owner, &json!(users)).await.status, 200);
    held.assert_held();
    assert!(held.is_alone(), "passwords of the dry run are queued");
}

#[tokio::test]
async fn a_valid_plan_is_executed() {
    let app = TestApp::spawn().await;
    let plan = plan(&dry_run(&app.owner, &people()).await);
    let answer = planned(&app.owner, &plan, &people()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(app.db_counts().await[0], 2);
}

#[tokio::test]
async fn a_plan_does_not_apply_to_another_list() {
    let app = TestApp::spawn().await;
    let plan = plan(&dry_run(&app.owner, &people()).await);
    let mut other = people();
    other[1]["password"] = json!("kT9$wqzPlR");
    let answer = planned(&app.owner, &plan, &other).await;
    assert_eq!(answer.status, 409);
    assert_eq!(
        answer.error(),
        json!({
            "code": "plan_changed",
            "detail": "the list differs from the planned one; nothing was written, so make a new dry run",
        })
    );
    assert_eq!(app.db_counts().await, [0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn an_outdated_plan_reports_the_addresses_taken_since() {
    let app = TestApp::spawn().await;
    let plan = plan(&dry_run(&app.owner, &people()).await);
    assert_eq!(app.owner.create(&json!([sso("Grace@example.com")])).await.status, 200);
    let answer = planned(&app.owner, &plan, &people()).await;
    assert_eq!(answer.status, 409);
    assert_eq!(
        answer.error(),
        json!({
            "code": "plan_changed",
            "detail": "the plan no longer applies; nothing was written: 1 of 2 users can't be created: users[1].email (grace@example.com): already exists",
            "rows": [{"index": 1, "field": "email", "code": "email_taken", "message": "already exists"}],
        })
    );
    assert_eq!(app.db_counts().await[0], 1);
}

#[tokio::test]
async fn a_plan_does_not_apply_with_other_settings_or_on_another_server() {
    let key = "a key for fingerprints that both servers have";
    let (mild, strict) = (
        TestApp::spawn_with(|config| config.secrets.server_key = muster::secret::Secret::new(key)).await,
        TestApp::spawn_with(|_| {}).await,
    );
    let plan = plan(&dry_run(&mild.owner, &people()).await);
    let answer = planned(&strict.owner, &plan, &people()).await;
    assert_eq!((answer.status, answer.error()["code"].as_str()), (409, Some("plan_changed")));
    let other = TestApp::spawn_on(mild.database.clone(), muster::clock::Clock::System, |config| {
        config.secrets.server_key = muster::secret::Secret::new(key);
        config.passwords.must_change = false;
    })
    .await;
    let answer = planned(&other.at(&mild.owner), &plan, &people()).await;
    assert_eq!(answer.status, 409);
    assert_eq!(
        answer.error()["detail"],
        "the list is the planned one, but would create different accounts: it was planned in another organization, or \
         the server's password settings have changed; nothing was written, so make a new dry run"
    );
}

#[tokio::test]
async fn a_malformed_plan_is_rejected() {
    let app = TestApp::spawn().await;
    for plan in ["plan1_", "x", "plan1_00_00_00"] {
        let answer = planned(&app.owner, plan, &people()).await;
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.error(),
            json!({"code": "invalid_request", "detail": "`Muster-Plan` must be the `plan` of a dry run"})
        );
    }
    let both = app
        .owner
        .request("POST", &format!("{BATCH}?dry_run=true"))
        .header("muster-plan", plan(&dry_run(&app.owner, &people()).await));
    let answer = Actor::send(both.body(people().to_string())).await;
    assert_eq!((answer.status, answer.error()["code"].as_str()), (400, Some("invalid_request")));
    let answer = Actor::send(app.owner.request("POST", &format!("{BATCH}?dry_run=perhaps")).body("[]")).await;
    assert_eq!(answer.status, 400);
    assert_eq!(app.db_counts().await, [0, 0, 0, 0, 0]);
}
