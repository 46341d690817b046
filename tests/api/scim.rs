//! Effective permissions, and migrating them to a directory's groups.

use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::groups::{group, send};
use crate::support::{Actor, TestApp, sso};

const PERMISSIONS: &str = "/api/v2/scim/list-user-permissions";
const PREVIEW: &str = "/api/v2/scim/scim-migration-preview";
const MIGRATE: &str = "/api/v2/scim/migrate-permissions";

async fn organization(app: &TestApp) -> Value {
    app.owner.get("/api/v2/userinfo/").await.json()["result"]["organization_ids"][0].clone()
}

async fn user_id(app: &TestApp, email: &str) -> String {
    let path = format!("/api/v2/organization_collaborators/?email={}", email.replace('@', "%40"));
    app.owner.get(&path).await.json()["results"][0]["user_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn permissions_have_the_vendors_shape() {
    let app = TestApp::spawn().await;
    assert_eq!(app.owner.create(&json!([sso("ada@example.com")])).await.status, 200);
    let (administrator, ada) =
        (user_id(&app, "administrator@muster.invalid").await, user_id(&app, "ada@example.com").await);
    // The last two fields are muster's own; the vendor's client ignores them.
    let owner = json!({
        "user_id": administrator, "user_email": "administrator@muster.invalid", "is_service_account": false,
        "is_own_level": true, "groups": [],
    });
    let user = |user_id: &str, email: &str| json!({"user_id": user_id, "user_email": email, "is_service_account": false, "clouds": []});
    let all = json!({"result": {
        "organization_id": organization(&app).await,
        "org_owners": [owner],
        "users": [user(&administrator, "administrator@muster.invalid"), user(&ada, "ada@example.com")],
    }});
    for query in ["", "?user_id="] {
        let answer = app.owner.get(&format!("{PERMISSIONS}{query}")).await;
        assert_eq!((answer.status, answer.json()), (200, all.clone()), "{query}");
    }
    let answer = app.owner.get(&format!("{PERMISSIONS}?user_id={ada}")).await;
    assert_eq!(answer.json()["result"]["users"], json!([user(&ada, "ada@example.com")]));
    assert_eq!(answer.json()["result"]["org_owners"], json!([owner]));
}

#[tokio::test]
async fn permissions_of_an_unknown_user_are_not_found() {
    let app = TestApp::spawn().await;
    for id in ["usr_01k9h6m3x0e8wbz1v5n7q2r4t6", "ug_01k9h6m3x0e8wbz1v5n7q2r4t6", "%25", "'", &"x".repeat(10_000)] {
        let answer = app.owner.get(&format!("{PERMISSIONS}?user_id={id}")).await;
        let expected = json!({"code": "not_found", "detail": "there is no such user in this organization"});
        assert_eq!((answer.status, answer.error()), (404, expected), "{id}");
    }
    for query in ["?email=x", "?user_id=%00", "?user_id=a&user_id=b"] {
        assert_eq!(app.owner.get(&format!("{PERMISSIONS}{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn permissions_are_listed_completely() {
    let app = TestApp::spawn_patient().await;
    let users: Vec<Value> = (0..2500).map(|n| sso(&format!("user{n}@example.com"))).collect();
    assert_eq!(app.owner.create(&json!(users)).await.status, 200);
    let id = group(&app, "owners").await;
    let half: Vec<Value> = (0..2500).step_by(2).map(|n| json!({"user": format!("user{n}@example.com")})).collect();
    let path = format!("/api/v2/user_groups/{id}/members/add");
    assert_eq!(send(&app.owner, "POST", &path, &json!(half)).await.status, 200);
    let bound = json!({"bindings": [{"role_name": "owner", "principals": [id]}]});
    assert_eq!(send(&app.owner, "PUT", "/api/v2/policy/organization/_", &bound).await.status, 200);

    let body = app.owner.get(PERMISSIONS).await.json();
    let emails = |list: &str| -> Vec<String> {
        let list = body["result"][list].as_array().unwrap().iter();
        list.map(|user| user["user_email"].as_str().unwrap().to_owned()).collect()
    };
    let expected = |step| -> Vec<String> {
        let users = (0..2500).step_by(step).map(|n| format!("user{n}@example.com"));
        std::iter::once("administrator@muster.invalid".to_owned()).chain(users).collect()
    };
    assert_eq!(emails("users"), expected(1));
    assert_eq!(emails("org_owners"), expected(2));
}

#[tokio::test]
async fn without_directory_groups_there_is_nothing_to_migrate() {
    let app = TestApp::spawn().await;
    group(&app, "made here").await;
    let organization = organization(&app).await;
    assert_eq!(
        app.owner.get(PREVIEW).await.json(),
        json!({"result": {"organization_id": organization, "users_with_changes": [], "users_to_remove": []}})
    );
    for (query, dry_run) in [("", true), ("?dry_run=True", true), ("?dry_run=False", false), ("?dry_run=false", false)]
    {
        let answer = Actor::send(app.owner.request("POST", &format!("{MIGRATE}{query}"))).await;
        assert_eq!(
            (answer.status, answer.json()),
            (
                200,
                json!({"result": {
                    "organization_id": organization, "total_users_processed": 0, "users_migrated": [], "errors": [],
                    "users_to_remove": [], "dry_run": dry_run,
                }})
            ),
            "{query}"
        );
    }
    for query in ["?dry_run=yes", "?dry_run=", "?force=true"] {
        let answer = Actor::send(app.owner.request("POST", &format!("{MIGRATE}{query}"))).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    assert_eq!(owners(&app).await, ["administrator@muster.invalid"]);
}

async fn owners(app: &TestApp) -> Vec<String> {
    let actor = app.actor(PermissionLevel::Owner).await;
    let body = actor.get(PERMISSIONS).await.json();
    let owners = body["result"]["org_owners"].as_array().unwrap().iter();
    owners.map(|owner| owner["user_email"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn owners_without_an_owner_group_in_the_directory_become_collaborators() {
    let app = TestApp::spawn().await;
    let operator = app.actor(PermissionLevel::Owner).await;
    let mut users = [sso("ada@example.com"), sso("grace@example.com")];
    for user in &mut users {
        user["permission_level"] = json!("owner");
    }
    assert_eq!(app.owner.create(&json!(users)).await.status, 200);
    let id = group(&app, "directory").await;
    app.db_execute("update user_groups set source = 'scim'").await;
    // The directory has no owners: all owners would lose their permission.
    let refused = Actor::send(operator.request("POST", &format!("{MIGRATE}?dry_run=False"))).await;
    assert_eq!((refused.status, refused.error()["code"].as_str()), (409, Some("last_owner")));

    app.db_execute(
        "insert into user_group_members (organization_id, group_id, user_id, added_at)
         select organization_id, group_id, user_id, now() from user_groups join users using (organization_id)
         where email = 'grace@example.com'",
    )
    .await;
    let bound = json!({"bindings": [{"role_name": "owner", "principals": [id]}]});
    assert_eq!(send(&operator, "PUT", "/api/v2/policy/organization/_", &bound).await.status, 200);
    let organization = organization(&app).await;
    let ada = user_id(&app, "ada@example.com").await;
    let preview = operator.get(PREVIEW).await.json();
    let changes = preview["result"]["users_with_changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2);
    assert_eq!(changes[0]["user_email"], "administrator@muster.invalid");
    assert_eq!(
        changes[1],
        json!({
            "user_id": ada, "user_email": "ada@example.com", "cloud_changes": [], "project_changes": [],
            "org_role_change": {
                "resource_id": organization, "resource_name": "Default organization", "old_role": "owner",
                "new_role": "collaborator",
            },
        })
    );
    let all = ["administrator@muster.invalid", "ada@example.com", "grace@example.com"];
    let planned = Actor::send(operator.request("POST", MIGRATE)).await.json();
    assert_eq!(owners(&app).await, all);
    let done = Actor::send(operator.request("POST", &format!("{MIGRATE}?dry_run=False"))).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(done.json()["result"]["users_migrated"], planned["result"]["users_migrated"]);
    assert_eq!(done.json()["result"]["total_users_processed"], 2);
    let migrated = &done.json()["result"]["users_migrated"][1];
    assert!(migrated["identity_id"].as_str().unwrap().starts_with("ide_"));
    assert_eq!((&migrated["user_id"], &migrated["org_owner_demoted"]), (&json!(ada), &json!(true)));
    assert_eq!(owners(&app).await, ["grace@example.com"]);
    let levels: i64 = app.db_value("select count(*) from collaborators where permission_level = 'owner'").await;
    assert_eq!(levels, 1);
    let revision: i64 = app.db_value("select revision from users where email = 'ada@example.com'").await;
    assert_eq!(revision, 2);
    let log = operator.get("/api/v2/audit/events?action=collaborator.update").await.json();
    assert_eq!(log["results"].as_array().unwrap().len(), 2);
    assert_eq!(log["results"][0]["details"], json!({"from": "owner", "to": "collaborator"}));
    let log = operator.get("/api/v2/audit/events?action=scim.migrate").await.json();
    assert_eq!(log["results"][0]["details"], json!({"users": 2}));
}
