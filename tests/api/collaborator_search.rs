//! Searching by parts of names and addresses, with and without the index.

use muster::caller::PermissionLevel;
use muster::clock::Clock;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::collaborators::owner_by_group;
use crate::support::gate::eventually;
use crate::support::{Actor, TestApp, empty_database};
use crate::user::send;

const PATH: &str = "/api/v2/organization_collaborators/search";

const INDEX: &str = "select count(*) from pg_index where indexrelid = to_regclass('users_search_text') and indisvalid";

/// 30,000 users that no search of this test matches.
const MANY: &str = "
    with made as (
        insert into users (organization_id, user_id, email, email_key, email_key_version, name, is_sso_user, status,
            created_at, updated_at)
        select organization_id, gen_random_uuid(), n || '@q.invalid', n || '@q.invalid', 1, 'Q', true, 'active', now(), now()
        from organizations, generate_series(1, 30000) n
        returning organization_id, user_id
    )
    insert into collaborators (organization_id, user_id, identity_id, permission_level, granted_by_kind, granted_at)
    select organization_id, user_id, gen_random_uuid(), 'collaborator', 'operator', now() from made";

async fn app_with_users(app: TestApp) -> TestApp {
    let user = |name: &str, lastname: &str, email: &str| json!({"name": name, "lastname": lastname, "email": email, "is_sso_user": true});
    let users = json!([
        user("Ada", "Lovelace", "ada.l@example.com"),
        user("Grace", "", "Grace@Example.com"),
        user("100% Zoë_Ä", "O'Neil \\ \"Q\"", "zoe@xn--bcher-kva.example"),
        user("Adam", "Ada", "adam@test.example"),
        {"name": "Robot", "email": "nightly-build@example.com", "is_sso_user": true},
    ]);
    let created = app.owner.create(&users).await;
    assert_eq!(created.status, 200, "{}", created.text);
    app.db_execute("update users set is_service_account = true where name = 'Robot'").await;
    app.db_execute("update users set status = 'suspended' where name = 'Adam'").await;
    owner_by_group(&app).await;
    app
}

async fn found(actor: &Actor, body: &Value) -> Vec<String> {
    let answer = send(actor, "POST", PATH, body).await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.text);
    let body = answer.json();
    assert_eq!(body["metadata"]["next_paging_token"], Value::Null);
    body["results"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap().to_owned()).collect()
}

async fn assert_searches(app: &TestApp) {
    let everybody = ["Administrator", "Ada", "Grace", "100% Zoë_Ä", "Adam", "Robot"];
    // A PostgreSQL that was built without ICU ignores the case of ASCII letters only.
    let folds_all_letters: bool =
        app.db_value("select exists (select from pg_collation where collname = 'und-x-icu')").await;
    let only = |query: &str, field: &str, value: Value| json!({"query": query, field: value});
    let plain = |query: &str| json!({"query": query});
    for (body, expected) in [
        (plain("ada"), vec!["Ada", "Adam"]),
        (plain("ADA LOVE"), vec!["Ada"]),
        (plain("Lovelace ada"), vec![]),
        (plain("grace "), vec![]),
        (plain("grace@EXAMPLE"), vec!["Grace"]),
        (plain("m"), vec!["Administrator", "Ada", "Grace", "100% Zoë_Ä", "Adam", "Robot"]),
        (plain("ad"), vec!["Administrator", "Ada", "Adam"]),
        (plain("%"), vec!["100% Zoë_Ä"]),
        (plain("_"), vec!["100% Zoë_Ä"]),
        (plain("\\"), vec!["100% Zoë_Ä"]),
        (plain("o'neil \\ \""), vec!["100% Zoë_Ä"]),
        (plain("ZOË_ä"), if folds_all_letters { vec!["100% Zoë_Ä"] } else { vec![] }),
        (plain("' or ''='"), vec![]),
        (plain("xn--bcher"), vec!["100% Zoë_Ä"]),
        (plain(&"a".repeat(200)), vec![]),
        (only("m", "is_service_account", json!(true)), vec!["Robot"]),
        (only("m", "is_service_account", json!(false)), everybody[..5].to_vec()),
        (only("m", "collaborator_type", json!("only_service_accounts")), vec!["Robot"]),
        (only("m", "collaborator_type", json!("only_user_accounts")), everybody[..5].to_vec()),
        (only("m", "collaborator_type", json!("all_accounts")), everybody.to_vec()),
        (only("m", "status", json!("suspended")), vec!["Adam"]),
        (only("ada", "status", json!("active")), vec!["Ada"]),
        (only("m", "permission_level", json!("owner")), vec!["Administrator", "Grace"]),
        (only("ada", "permission_level", json!("owner")), vec![]),
        (only("m", "permission_level", json!("collaborator")), vec!["Ada", "100% Zoë_Ä", "Adam", "Robot"]),
        (json!({"query": "m", "collaborator_type": "only_user_accounts", "is_service_account": true}), vec![]),
    ] {
        assert_eq!(found(&app.owner, &body).await, expected, "{body}");
    }
}

#[tokio::test]
async fn with_the_extension_searches_use_an_index() {
    let app = app_with_users(TestApp::spawn().await).await;
    assert_eq!(app.db_value::<i64>(INDEX).await, 1);
    assert_searches(&app).await;
    // With so many rows, PostgreSQL uses the index.
    app.db_execute(MANY).await;
    app.db_execute("vacuum analyze users").await;
    assert_searches(&app).await;
    app.served.close().await;
    let used = "select count(*) from pg_stat_user_indexes where indexrelname = 'users_search_text' and idx_scan > 0";
    eventually("the index was used", async || app.db_value::<i64>(used).await > 0).await;
}

#[tokio::test]
async fn without_the_extension_searches_return_the_same_and_the_next_start_creates_the_index() {
    let database = empty_database().await;
    let name = database.get_database().unwrap().to_owned();
    let mut connection = database.connect().await.unwrap();
    // A role that does not own the database can't create extensions.
    for statement in
        [format!("create role poor_{name} login"), format!("grant create, usage on schema public to poor_{name}")]
    {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    let poor = database.clone().username(&format!("poor_{name}"));
    let app = app_with_users(TestApp::spawn_on(poor.clone(), Clock::System, |_| {}).await).await;
    assert_eq!(app.db_value::<i64>(INDEX).await, 0);
    assert_searches(&app).await;
    sqlx::query("create extension pg_trgm").execute(&mut connection).await.unwrap();
    let next = TestApp::spawn_on(poor, Clock::System, |_| {}).await;
    assert_eq!(next.db_value::<i64>(INDEX).await, 1);
    assert_searches(&next).await;
}

#[tokio::test]
async fn an_incomplete_index_is_rebuilt() {
    let app = TestApp::spawn().await;
    app.db_execute("update pg_index set indisvalid = false where indexrelid = to_regclass('users_search_text')").await;
    assert_eq!(app.db_value::<i64>(INDEX).await, 0);
    let next = TestApp::spawn_on(app.database.clone(), Clock::System, |_| {}).await;
    assert_eq!(next.db_value::<i64>(INDEX).await, 1);
}

#[tokio::test]
async fn search_results_are_paged() {
    let app = TestApp::spawn().await;
    let users: Value = (0..30).map(|n| crate::support::sso(&format!("user{n}@example.com"))).collect();
    assert_eq!(app.owner.create(&users).await.status, 200);
    let (mut seen, mut token) = (Vec::new(), Value::Null);
    for page in 1.. {
        let answer =
            send(&app.owner, "POST", PATH, &json!({"query": "USER", "count": 7, "paging_token": token})).await.json();
        seen.extend(answer["results"].as_array().unwrap().iter().map(|user| user["email"].clone()));
        token = answer["metadata"]["next_paging_token"].clone();
        if token.is_null() {
            assert_eq!(page, 5);
            break;
        }
    }
    assert_eq!(json!(seen), (0..30).map(|n| json!(format!("user{n}@example.com"))).collect::<Value>());
}

#[tokio::test]
async fn invalid_searches_are_rejected() {
    let app = TestApp::spawn().await;
    let reader = app.actor(PermissionLevel::Collaborator).await;
    let query = "`query` must be 1 to 200 characters long, without control characters";
    let count = "`count` must be a number from 1 to 50";
    let token = "`paging_token` must be the `next_paging_token` of the previous page";
    for (body, detail) in [
        (json!({"query": ""}), query),
        (json!({"query": "a".repeat(201)}), query),
        (json!({"query": "a".repeat(10_000)}), query),
        (json!({"query": "a\u{0}"}), query),
        (json!({"query": "a\nb"}), query),
        (json!({"query": "a", "count": 0}), count),
        (json!({"query": "a", "count": 51}), count),
        (json!({"query": "a", "paging_token": ""}), token),
        (json!({"query": "a", "paging_token": "usr_tampered"}), token),
        (json!({"query": "a", "status": "gone"}), "invalid `status`; expected `active` or `suspended`"),
        (
            json!({"query": "a", "permission_level": "x"}),
            "invalid `permission_level`; expected `owner` or `collaborator`",
        ),
        (
            json!({"query": "a", "collaborator_type": "robots"}),
            "invalid `collaborator_type`; expected `all_accounts`, `only_service_accounts` or `only_user_accounts`",
        ),
        (json!({"permission_level": "owner"}), "invalid request body: missing field `query`"),
        (json!({"query": 7}), "invalid request body: expected a string at line 1 column 10"),
        (
            json!({"query": "a", "is_service_account": "True"}),
            "invalid request body: expected a boolean at line 1 column 27",
        ),
    ] {
        let answer = send(&reader, "POST", PATH, &body).await;
        let error = json!({"code": "invalid_request", "detail": detail});
        if body.get("is_service_account").is_some() {
            let found = answer.error()["detail"].as_str().unwrap().to_owned();
            assert!(found.starts_with("invalid request body: expected a boolean at line 1 column "), "{found}");
        } else {
            assert_eq!((answer.status, answer.error()), (400, error), "{body}");
        }
    }
    for (path, body, code) in [
        (format!("{PATH}?query=a"), "{\"query\": \"a\"}", "invalid_request"),
        (PATH.to_owned(), "query", "invalid_json"),
    ] {
        let answer = Actor::send(reader.request("POST", &path).body(body)).await;
        assert_eq!((answer.status, answer.error()["code"].as_str()), (400, Some(code)));
    }
}
