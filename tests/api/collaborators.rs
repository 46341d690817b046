//! Listing collaborators: the filters of the vendor's client, and paging.

use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::{Actor, TestApp};

const PATH: &str = "/api/v2/organization_collaborators/";

async fn app_with_users() -> (TestApp, Actor) {
    let app = TestApp::spawn().await;
    let users = json!([
        {"name": "Ada", "lastname": "Lovelace", "email": "ada+x@example.com", "is_sso_user": true},
        {"name": "Grace Hopper", "email": "Grace@Example.com", "is_sso_user": false},
        {"name": "Ada", "lastname": "", "email": "ada2@example.com", "is_sso_user": true},
    ]);
    assert_eq!(app.owner.create(&users).await.status, 200);
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    (app, collaborator)
}

async fn emails(actor: &Actor, query: &str) -> Vec<String> {
    let answer = actor.get(&format!("{PATH}{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    let body = answer.json();
    body["results"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_queries_of_the_vendors_client_are_answered() {
    let (_app, actor) = app_with_users().await;
    let all = ["administrator@muster.invalid", "ada+x@example.com", "Grace@Example.com", "ada2@example.com"];
    let none: [&str; 0] = [];
    for (query, expected) in [
        ("", &all[..]),
        ("?count=50", &all),
        ("?is_service_account=False&count=50", &all),
        ("?is_service_account=True&count=50", &none),
        ("?collaborator_type=all_accounts", &all),
        ("?collaborator_type=only_user_accounts", &all),
        ("?collaborator_type=only_service_accounts", &none),
        ("?email=ada%2Bx%40example.com&is_service_account=False&count=1", &all[1..2]),
        ("?email=ADA%2BX%40EXAMPLE.COM", &all[1..2]),
        ("?email=grace%40example.com", &all[2..3]),
        ("?email=nobody%40example.com", &none),
        ("?email=&is_service_account=False&count=50", &none),
        ("?email=%25", &none),
        ("?name=", &none),
        ("?name=%27+or+%27%27%3D%27", &none),
        ("?name=_da", &none),
        ("?name=Grace+Hopper", &all[2..3]),
        ("?name=Ada+Lovelace", &all[1..2]),
        ("?name=ada", &none),
        ("?name=A%25", &none),
        (
            "?name=Ada&email=ada2%40example.com&collaborator_type=only_user_accounts&is_service_account=False&count=50",
            &all[3..],
        ),
    ] {
        assert_eq!(emails(&actor, query).await, expected, "{query}");
    }
    assert_eq!(emails(&actor, "?name=Ada").await, ["ada+x@example.com", "ada2@example.com"]);
}

#[tokio::test]
async fn service_accounts_and_people_are_distinguished() {
    let (app, actor) = app_with_users().await;
    app.db_execute("update users set is_service_account = true where email = 'ada2@example.com'").await;
    let all = ["administrator@muster.invalid", "ada+x@example.com", "Grace@Example.com", "ada2@example.com"];
    let none: [&str; 0] = [];
    for (query, expected) in [
        ("", &all[..]),
        ("?collaborator_type=all_accounts", &all),
        ("?is_service_account=False", &all[..3]),
        ("?collaborator_type=only_user_accounts", &all[..3]),
        ("?is_service_account=True", &all[3..]),
        ("?collaborator_type=only_service_accounts", &all[3..]),
        ("?collaborator_type=all_accounts&is_service_account=true", &all[3..]),
        ("?collaborator_type=only_service_accounts&is_service_account=true", &all[3..]),
        ("?collaborator_type=only_service_accounts&is_service_account=false", &none),
        ("?collaborator_type=only_user_accounts&is_service_account=true", &none),
        ("?name=Ada&is_service_account=True", &all[3..]),
        ("?name=Ada&is_service_account=False", &all[1..2]),
        ("?email=ada2%40example.com&is_service_account=True", &all[3..]),
        ("?email=ada2%40example.com&is_service_account=False", &none),
    ] {
        assert_eq!(emails(&actor, query).await, expected, "{query}");
    }
    let row = actor.get(&format!("{PATH}?is_service_account=True")).await.json()["results"][0].clone();
    assert_eq!(row["is_service_account"], true);
}

#[tokio::test]
async fn people_with_the_same_name_are_paged() {
    let app = TestApp::spawn().await;
    let user = |n: usize| {
        let (name, lastname) = [("Ada", "King"), ("Ada", "Byron"), ("Ada King", "")][n % 3];
        json!({"name": name, "email": format!("{n}@example.com"), "lastname": lastname, "is_sso_user": true})
    };
    assert_eq!(app.owner.create(&(0..40).map(user).collect()).await.status, 200);
    let expected = |fits: fn(usize) -> bool| -> Vec<String> {
        (0..40).filter(|n| fits(*n)).map(|n| format!("{n}@example.com")).collect()
    };
    for (name, fits) in [("Ada", (|n| n % 3 != 2) as fn(usize) -> bool), ("Ada+King", |n| n % 3 != 1)] {
        let (mut seen, mut query) = (Vec::new(), format!("?name={name}&count=5"));
        loop {
            seen.extend(emails(&app.owner, &query).await);
            let page = app.owner.get(&format!("{PATH}{query}")).await.json();
            match page["metadata"]["next_paging_token"].as_str() {
                Some(token) => query = format!("?name={name}&count=5&paging_token={token}"),
                None => break,
            }
        }
        assert_eq!(seen, expected(fits), "{name}");
    }
}

#[tokio::test]
async fn suspended_users_and_owners_through_groups_are_listed_as_such() {
    let (app, actor) = app_with_users().await;
    app.db_execute("update users set status = 'suspended' where email = 'ada2@example.com'").await;
    owner_by_group(&app).await;
    let body = actor.get(PATH).await.json();
    let shown: Vec<Value> = body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!([row["email"], row["permission_level"], row["base_role"], row["status"]]))
        .collect();
    assert_eq!(
        json!(shown),
        json!([
            ["administrator@muster.invalid", "owner", "owner", "active"],
            ["ada+x@example.com", "collaborator", "collaborator", "active"],
            ["Grace@Example.com", "owner", "collaborator", "active"],
            ["ada2@example.com", "collaborator", "collaborator", "suspended"],
        ])
    );
}

/// Makes Grace an owner through a group.
pub async fn owner_by_group(app: &TestApp) {
    app.db_execute(
        "with made as (
            insert into user_groups (organization_id, group_id, name, name_key, source, created_at, updated_at)
            select organization_id, gen_random_uuid(), 'Owners', 'owners', 'user', now(), now() from organizations
            returning organization_id, group_id
        ), bound as (
            insert into organization_policy_bindings (organization_id, role_name, group_id, bound_at)
            select organization_id, 'owner', group_id, now() from made
        )
        insert into user_group_members (organization_id, group_id, user_id, added_at)
        select organization_id, group_id, user_id, now() from made join users using (organization_id)
        where email = 'Grace@Example.com'",
    )
    .await;
}

#[tokio::test]
async fn a_row_has_all_fields_that_the_vendors_client_requires() {
    let (_app, actor) = app_with_users().await;
    let body = actor.get(&format!("{PATH}?name=Ada+Lovelace")).await.json();
    let mut row = body["results"][0].clone();
    let fields = row.as_object_mut().unwrap();
    assert!(fields.remove("id").unwrap().as_str().unwrap().starts_with("ide_"));
    assert!(fields.remove("user_id").unwrap().as_str().unwrap().starts_with("usr_"));
    assert!(fields.remove("created_at").unwrap().as_str().unwrap().ends_with('Z'));
    assert_eq!(
        row,
        json!({
            "name": "Ada", "full_name": "Ada Lovelace", "email": "ada+x@example.com", "permission_level": "collaborator",
            "base_role": "collaborator", "additional_roles": [], "is_service_account": false, "status": "active",
            "lastname": "Lovelace", "is_sso_user": true,
        })
    );
}

#[tokio::test]
async fn pages_continue_until_the_token_is_null() {
    let app = TestApp::spawn().await;
    let users: Vec<Value> = (0..120).map(|n| crate::support::sso(&format!("user{n}@example.com"))).collect();
    assert_eq!(app.owner.create(&json!(users)).await.status, 200);
    for (count, pages) in [(50, 3), (40, 4), (11, 11)] {
        let mut seen = Vec::new();
        let mut query = format!("{PATH}?count={count}");
        for page in 1.. {
            let body = app.owner.get(&query).await.json();
            seen.extend(
                body["results"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap().to_owned()),
            );
            match &body["metadata"]["next_paging_token"] {
                Value::Null => {
                    assert_eq!(page, pages);
                    break;
                }
                token => query = format!("{PATH}?paging_token={}&count={count}", token.as_str().unwrap()),
            }
        }
        assert_eq!(seen[0], "administrator@muster.invalid");
        assert_eq!(seen[1..], (0..120).map(|n| format!("user{n}@example.com")).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn invalid_parameters_are_reported() {
    let (_app, actor) = app_with_users().await;
    for (query, detail) in [
        ("?count=0", "`count` must be a number from 1 to 50"),
        ("?count=51", "`count` must be a number from 1 to 50"),
        ("?count=many", "`count` must be a number from 1 to 50"),
        ("?paging_token=", "`paging_token` must be the `next_paging_token` of the previous page"),
        ("?paging_token=usr_tampered", "`paging_token` must be the `next_paging_token` of the previous page"),
        ("?name=%00", "invalid query string: contains a NUL byte"),
        ("?is_service_account=maybe", "`is_service_account` must be `true` or `false`"),
        (
            "?collaborator_type=robots",
            "invalid `collaborator_type`; expected `all_accounts`, `only_service_accounts` or `only_user_accounts`",
        ),
    ] {
        let answer = actor.get(&format!("{PATH}{query}")).await;
        assert_eq!(
            (answer.status, answer.error()),
            (400, json!({"code": "invalid_request", "detail": detail})),
            "{query}"
        );
    }
    for parameter in ["email", "name"] {
        let answer = actor.get(&format!("{PATH}?{parameter}={}", "a".repeat(10_000))).await;
        assert_eq!((answer.status, answer.json()["results"].clone()), (200, json!([])), "{parameter}");
    }
    let answer = actor.get(&format!("{PATH}?sort=name")).await;
    assert_eq!(answer.status, 400);
    let detail = answer.error()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("invalid query string: unknown field `sort`, expected one of `email`"), "{detail}");
}
