//! Policies: binding groups to roles, and the effective permissions.

use std::time::{Duration, Instant};

use muster::caller::PermissionLevel;
use muster::clock::Clock;
use serde_json::{Value, json};

use crate::groups::{NO_GROUPS, PATH as GROUPS, group, send};
use crate::support::{Actor, Answer, TestApp, sso};
use crate::user::last_owner_in;

const PATH: &str = "/api/v2/policy/organization/_";

async fn set(actor: &Actor, bindings: &Value) -> Answer {
    send(actor, "PUT", PATH, &json!({ "bindings": bindings })).await
}

/// A server with the user Ada in a group.
async fn app_with_ada_in(name: &str) -> (TestApp, String) {
    let app = TestApp::spawn().await;
    assert_eq!(app.owner.create(&json!([sso("ada@example.com")])).await.status, 200);
    let id = group(&app, name).await;
    assert_eq!(change_ada(&app.owner, &id, "add").await.status, 200);
    (app, id)
}

async fn change_ada(actor: &Actor, group_id: &str, what: &str) -> Answer {
    let ada = json!([{"user": "ada@example.com"}]);
    send(actor, "POST", &format!("{GROUPS}{group_id}/members/{what}"), &ada).await
}

/// Ada, with a key that has all her permissions.
async fn ada(app: &TestApp) -> Actor {
    let ada = app.actor(PermissionLevel::Owner).await;
    app.db_execute(
        "update api_keys set user_id = (select user_id from users where email = 'ada@example.com')
         where key_id = (select key_id from api_keys order by key_id desc limit 1)",
    )
    .await;
    ada
}

/// The level of a caller: as reported, and as enforced.
async fn level(actor: &Actor) -> String {
    let told = actor.get("/api/v2/userinfo/").await.json()["result"]["organization_permission_level"].clone();
    let may = if actor.get("/api/v2/batches").await.status == 200 { "owner" } else { "collaborator" };
    assert_eq!(told, may);
    may.to_owned()
}

async fn owners(app: &TestApp) -> Vec<String> {
    let actor = app.actor(PermissionLevel::Owner).await;
    let body = actor.get("/api/v2/scim/list-user-permissions").await.json();
    let owners = body["result"]["org_owners"].as_array().unwrap().iter();
    owners.map(|owner| owner["user_email"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_policy_is_replaced_as_a_whole_and_read_back() {
    let app = TestApp::spawn().await;
    let empty = json!({"result": {"bindings": [], "sync_status": "success"}});
    assert_eq!(app.owner.get(PATH).await.json(), empty);
    let (one, two, three) = (group(&app, "one").await, group(&app, "two").await, group(&app, "three").await);
    let bindings = json!([
        {"role_name": "collaborator", "principals": [two, one]},
        {"role_name": "owner", "principals": [three, two]},
    ]);
    let shown = json!({"result": {
        "bindings": [
            {"role_name": "owner", "principals": [two, three]},
            {"role_name": "collaborator", "principals": [one, two]},
        ],
        "sync_status": "success",
    }});
    let answer = set(&app.owner, &bindings).await;
    assert_eq!((answer.status, answer.json()), (200, shown.clone()));
    let organization = app.owner.get("/api/v2/userinfo/").await.json()["result"]["organization_ids"][0].clone();
    let by_id = format!("/api/v2/policy/organization/{}", organization.as_str().unwrap());
    assert_eq!(app.owner.get(&by_id).await.json(), shown);
    // A group shows its highest role.
    let groups = app.owner.get(GROUPS).await.json();
    let roles: Vec<&Value> =
        groups["results"].as_array().unwrap().iter().map(|group| &group["organization_permissions"]).collect();
    let owner = json!({"base_role": "owner", "additional_roles": []});
    assert_eq!(roles, [&json!({"base_role": "collaborator", "additional_roles": []}), &owner, &owner]);

    let answer = set(&app.owner, &json!([{"role_name": "owner", "principals": []}])).await;
    assert_eq!((answer.status, answer.json()), (200, empty.clone()));
    assert_eq!(app.owner.get(PATH).await.json(), empty);
    let log = app.owner.get("/api/v2/audit/events?action=policy.set").await.json();
    let details: Vec<&Value> = log["results"].as_array().unwrap().iter().map(|entry| &entry["details"]).collect();
    assert_eq!(
        details,
        [&json!({"owner": [], "collaborator": []}), &json!({"owner": [three, two], "collaborator": [two, one]})]
    );
}

#[tokio::test]
async fn members_of_a_bound_group_are_owners_until_the_binding_ends() {
    let (app, id) = app_with_ada_in("owners").await;
    let ada = ada(&app).await;
    let other = TestApp::spawn_on(app.database.clone(), Clock::System, |_| {}).await;
    let there = other.at(&ada);
    assert_eq!((level(&ada).await.as_str(), level(&there).await.as_str()), ("collaborator", "collaborator"));

    let bound = json!([{"role_name": "owner", "principals": [id]}]);
    let deed = async |makes_owner: bool, answer: Answer| {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let done = Instant::now();
        let expected = if makes_owner { "owner" } else { "collaborator" };
        assert_eq!(level(&ada).await, expected);
        // Another instance may use its cache for a second. It decides after the request was sent, however late.
        let mut sent_after = Duration::ZERO;
        while there.get("/api/v2/userinfo/").await.json()["result"]["organization_permission_level"] != expected {
            assert!(sent_after < Duration::from_secs(1), "not {expected} after {sent_after:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            sent_after = done.elapsed();
        }
        let listed = ada.get("/api/v2/organization_collaborators/?email=ada%40example.com").await.json();
        assert_eq!(listed["results"][0]["permission_level"], expected);
        let mut all = vec!["administrator@muster.invalid"];
        all.extend(makes_owner.then_some("ada@example.com"));
        assert_eq!(owners(&app).await, all);
    };
    deed(true, set(&app.owner, &bound).await).await;
    deed(false, change_ada(&app.owner, &id, "remove").await).await;
    deed(true, change_ada(&app.owner, &id, "add").await).await;
    deed(false, set(&app.owner, &json!([{"role_name": "collaborator", "principals": [id]}])).await).await;
    deed(true, set(&app.owner, &bound).await).await;
    deed(false, Actor::send(app.owner.request("DELETE", &format!("{GROUPS}{id}"))).await).await;
    assert_eq!(app.owner.get(PATH).await.json()["result"]["bindings"], json!([]));
}

#[tokio::test]
async fn every_invalid_role_and_group_is_reported_and_nothing_changes() {
    let app = TestApp::spawn().await;
    let id = group(&app, "one").await;
    let before = json!([{"role_name": "collaborator", "principals": [id]}]);
    assert_eq!(set(&app.owner, &before).await.status, 200);
    let answer = set(
        &app.owner,
        &json!([
            {"role_name": "owner", "principals": [id, NO_GROUPS[0], id]},
            {"role_name": "readonly", "principals": [NO_GROUPS[1]]},
            {"role_name": "owner", "principals": [NO_GROUPS[2]]},
        ]),
    )
    .await;
    let row = |index, field: &str, code: &str, message: &str| json!({"index": index, "field": field, "code": code, "message": message});
    let no_group = "there is no such group";
    assert_eq!(
        (answer.status, answer.error()),
        (
            422,
            json!({
                "code": "policy_rejected",
                "detail": "the policy can't be set; nothing was written: bindings[0].principals[2]: duplicates \
                           principals[0]; bindings[0].principals[1]: there is no such group; bindings[1].role_name: \
                           must be `owner` or `collaborator`; bindings[1].principals[0]: there is no such group; \
                           bindings[2].role_name: duplicates the role of bindings[0]; and 1 more",
                "rows": [
                    row(0, "principals[2]", "duplicate_group", "duplicates principals[0]"),
                    row(0, "principals[1]", "group_not_found", no_group),
                    row(1, "role_name", "unknown_role", "must be `owner` or `collaborator`"),
                    row(1, "principals[0]", "group_not_found", no_group),
                    row(2, "role_name", "duplicate_role", "duplicates the role of bindings[0]"),
                    row(2, "principals[0]", "group_not_found", no_group),
                ],
            })
        )
    );
    assert_eq!(app.owner.get(PATH).await.json()["result"]["bindings"], before);
    for (body, code) in [
        ("", "invalid_json"),
        ("{}", "invalid_request"),
        (r#"{"bindings": [{"role_name": "owner"}]}"#, "invalid_request"),
        (r#"{"bindings": [], "sync_status": "success"}"#, "invalid_request"),
    ] {
        let answer = Actor::send(app.owner.request("PUT", PATH).body(body)).await;
        assert_eq!((answer.status, answer.error()["code"].as_str()), (400, Some(code)), "{body}");
    }
}

#[tokio::test]
async fn only_the_callers_organization_has_a_policy() {
    let app = TestApp::spawn().await;
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    for (path, detail) in [
        ("organization/org_01k9h6m3x0e8wbz1v5n7q2r4t6", "no such organization; `_` is the caller's own"),
        ("organization/usr_01k9h6m3x0e8wbz1v5n7q2r4t6", "no such organization; `_` is the caller's own"),
        ("organization/%25", "no such organization; `_` is the caller's own"),
        ("cloud/cld_1", "no such cloud; only the organization has a policy"),
        ("project/prj_1", "no such project; only the organization has a policy"),
        ("planet/earth", "unknown resource type; only the organization has a policy: `/api/v2/policy/organization/_`"),
    ] {
        let path = format!("/api/v2/policy/{path}");
        let expected = (404, json!({"code": "not_found", "detail": detail}));
        let got = app.owner.get(&path).await;
        assert_eq!((got.status, got.error()), expected, "{path}");
        let put = send(&app.owner, "PUT", &path, &json!({"bindings": []})).await;
        assert_eq!((put.status, put.error()), expected, "{path}");
        assert_eq!(collaborator.get(&path).await.status, 403, "{path}");
        assert_eq!(send(&collaborator, "PUT", &path, &json!({"bindings": []})).await.status, 403, "{path}");
    }
    for path in ["/api/v2/policy/clouds", "/api/v2/policy/projects"] {
        let none = json!({"results": [], "metadata": {"total": 0, "next_paging_token": null}});
        assert_eq!(app.owner.get(path).await.json(), none);
    }
}

#[tokio::test]
async fn the_last_owner_cannot_be_lost_through_a_group() {
    let (app, id) = app_with_ada_in("owners").await;
    let operator = app.actor(PermissionLevel::Owner).await;
    assert_eq!(set(&operator, &json!([{"role_name": "owner", "principals": [id]}])).await.status, 200);
    app.db_execute("update collaborators set permission_level = 'collaborator'").await;
    let last_owner = json!({
        "code": "last_owner",
        "detail": "the change would leave the organization without an active owner; make another user an owner first",
    });
    for answer in [
        set(&operator, &json!([])).await,
        set(&operator, &json!([{"role_name": "collaborator", "principals": [id]}])).await,
        Actor::send(operator.request("DELETE", &format!("{GROUPS}{id}"))).await,
    ] {
        assert_eq!((answer.status, answer.error()), (409, last_owner.clone()));
    }
    last_owner_in(&change_ada(&operator, &id, "remove").await, 0, Some("user"), "ada@example.com");
    assert_eq!(owners(&app).await, ["ada@example.com"]);
}

#[tokio::test]
async fn of_two_last_owners_who_leave_their_groups_concurrently_one_remains() {
    let app = TestApp::spawn().await;
    let operator = app.actor(PermissionLevel::Owner).await;
    assert_eq!(app.owner.create(&json!([sso("a@example.com"), sso("b@example.com")])).await.status, 200);
    let (one, two) = (group(&app, "one").await, group(&app, "two").await);
    assert_eq!(set(&operator, &json!([{"role_name": "owner", "principals": [one, two]}])).await.status, 200);
    app.db_execute("update collaborators set permission_level = 'collaborator'").await;
    for round in 0..10 {
        let change = async |group_id: &str, what: &str, email: &str| {
            let path = format!("{GROUPS}{group_id}/members/{what}");
            send(&operator, "POST", &path, &json!([{ "user": email }])).await.status
        };
        assert_eq!(change(&one, "add", "a@example.com").await, 200);
        assert_eq!(change(&two, "add", "b@example.com").await, 200);
        let left = tokio::join!(change(&one, "remove", "a@example.com"), change(&two, "remove", "b@example.com"));
        assert!(left == (200, 409) || left == (409, 200), "round {round}: {left:?}");
    }
}

#[tokio::test]
async fn a_key_without_permission_to_grant_owner_grants_none_through_a_group() {
    let (app, id) = app_with_ada_in("owners").await;
    let policies = app.actor(PermissionLevel::Owner).await;
    app.db_execute(
        "update api_keys set scopes = '{policies:write}'
         where key_id = (select key_id from api_keys order by key_id desc limit 1)",
    )
    .await;
    let groups = app.actor(PermissionLevel::Owner).await;
    app.db_execute(
        "update api_keys set scopes = '{groups:write}'
         where key_id = (select key_id from api_keys order by key_id desc limit 1)",
    )
    .await;
    let refused = json!({
        "code": "forbidden",
        "detail": "not permitted: `owner.grant` requires an API key that is not limited to scopes",
    });
    let bound = json!([{"role_name": "owner", "principals": [id]}]);
    let answer = set(&policies, &bound).await;
    assert_eq!((answer.status, answer.error()), (403, refused.clone()));
    assert_eq!(change_ada(&groups, &id, "remove").await.status, 200);
    assert_eq!(change_ada(&groups, &id, "add").await.status, 200);
    assert_eq!(set(&policies, &json!([{"role_name": "collaborator", "principals": [id]}])).await.status, 200);

    assert_eq!(set(&app.owner, &bound).await.status, 200);
    // Existing owners stay owners.
    assert_eq!(set(&policies, &bound).await.status, 200);
    assert_eq!(change_ada(&groups, &id, "remove").await.status, 200);
    let answer = change_ada(&groups, &id, "add").await;
    assert_eq!((answer.status, answer.error()), (403, refused));
    assert_eq!(set(&groups, &bound).await.status, 403);
    assert_eq!(change_ada(&policies, &id, "remove").await.status, 403);
}

async fn planned(app: &TestApp, bindings: &Value) -> Value {
    let answer = send(&app.owner, "PUT", &format!("{PATH}?dry_run=true"), &json!({ "bindings": bindings })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["result"]["changes"].clone()
}

async fn set_as_planned(app: &TestApp, bindings: &Value, plan: &Value) -> Answer {
    let request = app.owner.request("PUT", PATH).header("muster-plan", plan.as_str().unwrap());
    Actor::send(request.body(json!({ "bindings": bindings }).to_string())).await
}

#[tokio::test]
async fn a_dry_run_shows_who_gains_and_who_loses_what_and_writes_nothing() {
    let (app, id) = app_with_ada_in("owners").await;
    let bound = json!([{"role_name": "owner", "principals": [id]}]);
    let events = async || app.db_value::<i64>("select count(*) from audit_events").await;
    let before = events().await;
    let changes = planned(&app, &bound).await;
    let ada = |user: &Value| (user["email"].clone(), user["groups"].clone());
    assert_eq!(
        changes["gained"].as_array().unwrap().iter().map(ada).collect::<Vec<_>>(),
        [(json!("ada@example.com"), json!(["owners"]))]
    );
    assert_eq!(changes["lost"], json!([]));
    assert_eq!(app.owner.get(PATH).await.json()["result"]["bindings"], json!([]));
    assert_eq!(events().await, before);

    let answer = set_as_planned(&app, &bound, &changes["plan"]).await;
    assert_eq!((answer.status, &answer.json()["result"]["changes"]), (200, &changes));
    let unchanged = planned(&app, &bound).await;
    assert_eq!((&unchanged["gained"], &unchanged["lost"]), (&json!([]), &json!([])));
    let changes = planned(&app, &json!([])).await;
    assert_eq!(changes["gained"], json!([]));
    assert_eq!(
        changes["lost"].as_array().unwrap().iter().map(ada).collect::<Vec<_>>(),
        [(json!("ada@example.com"), json!(["owners"]))]
    );
    // An owner by their own level neither gains nor loses anything.
    app.db_execute("update collaborators set permission_level = 'owner'").await;
    assert_eq!(planned(&app, &json!([])).await["lost"], json!([]));
}

#[tokio::test]
async fn a_planned_policy_is_rejected_if_it_would_change_something_else() {
    let (app, id) = app_with_ada_in("owners").await;
    let other = group(&app, "others").await;
    let bound = json!([{"role_name": "owner", "principals": [id]}]);
    let plan = planned(&app, &bound).await["plan"].clone();
    let changed = json!({
        "code": "plan_changed",
        "detail": "the policy would change other permissions than planned, because bindings, groups or users have changed; \
                   nothing was written, so make a new dry run",
    });
    let rejected = async || {
        let answer = set_as_planned(&app, &bound, &plan).await;
        assert_eq!((answer.status, answer.error()), (409, changed.clone()));
    };
    assert_eq!(change_ada(&app.owner, &id, "remove").await.status, 200);
    rejected().await;
    assert_eq!(change_ada(&app.owner, &id, "add").await.status, 200);
    assert_eq!(set(&app.owner, &json!([{"role_name": "collaborator", "principals": [other]}])).await.status, 200);
    rejected().await;
    assert_eq!(set(&app.owner, &json!([])).await.status, 200);
    assert_eq!(set_as_planned(&app, &json!([]), &plan).await.error(), changed);
    assert_eq!(set_as_planned(&app, &bound, &plan).await.status, 200);

    let invalid = json!("plan1_0");
    let answer = set_as_planned(&app, &bound, &invalid).await;
    assert_eq!(
        (answer.status, &answer.error()["detail"]),
        (400, &json!("`Muster-Plan` must be the `plan` of a dry run of the policy"))
    );
}

#[tokio::test]
async fn the_list_of_permissions_says_where_each_owner_has_them_from() {
    let (app, id) = app_with_ada_in("Admins").await;
    assert_eq!(set(&app.owner, &json!([{"role_name": "owner", "principals": [id]}])).await.status, 200);
    let reasons = async || {
        let body = app.owner.get("/api/v2/scim/list-user-permissions").await.json();
        let owners = body["result"]["org_owners"].as_array().unwrap().clone();
        owners.iter().map(|owner| (owner["is_own_level"].clone(), owner["groups"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(reasons().await, [(json!(true), json!([])), (json!(false), json!(["Admins"]))]);
    app.db_execute("update collaborators set permission_level = 'owner'").await;
    assert_eq!(reasons().await, [(json!(true), json!([])), (json!(true), json!(["Admins"]))]);
}
