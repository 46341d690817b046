//! Creating batches.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::support::gate::eventually;
use crate::support::{TestApp, sso, with_password};

#[tokio::test]
async fn the_vendors_example_works_word_for_word() {
    let app = TestApp::spawn().await;
    let users = json!([
        {"name": "name1", "email": "test1@anyscale.com", "password": "", "is_sso_user": false, "lastname": "lastname1", "title": "title1"},
        {"name": "name2", "email": "test2@anyscale.com", "password": "", "is_sso_user": false, "lastname": "lastname2", "title": "title2"},
    ]);
    let answer = app.owner.create(&users).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    let batch_id = body["metadata"]["batch_id"].as_str().unwrap();
    assert!(batch_id.starts_with("bat_"));
    assert_eq!(body["metadata"], json!({"total": 2, "next_paging_token": null, "batch_id": batch_id}));
    let results = body["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for (n, result) in results.iter().enumerate() {
        let mut result = result.clone();
        let fields = result.as_object_mut().unwrap();
        assert!(fields.remove("user_id").unwrap().as_str().unwrap().starts_with("usr_"));
        let created_at: DateTime<Utc> = serde_json::from_value(fields.remove("created_at").unwrap()).unwrap();
        assert!((app.app.clock.now() - created_at).num_seconds() < 60);
        let n = n + 1;
        assert_eq!(
            result,
            json!({"name": format!("name{n}"), "email": format!("test{n}@anyscale.com"), "is_sso_user": false,
                   "lastname": format!("lastname{n}"), "title": format!("title{n}")})
        );
    }
    assert_eq!(app.db_counts().await, [2, 2, 0, 1, 3]);
}

#[tokio::test]
async fn an_account_with_an_empty_password_accepts_no_password() {
    let app = TestApp::spawn().await;
    let users =
        json!([with_password("a@example.com", ""), {"name": "B", "email": "b@example.com", "is_sso_user": false}]);
    assert_eq!(app.owner.create(&users).await.status, 200);
    assert_eq!(app.db_value::<i64>("select count(*) from passwords").await, 0);
}

#[tokio::test]
async fn results_have_the_order_of_the_request() {
    let app = TestApp::spawn().await;
    let emails: Vec<String> = (0..200).map(|n| format!("user{}@example.com", (n * 77) % 200)).collect();
    let users: Vec<_> = emails.iter().map(|email| sso(email)).collect();
    let body = app.owner.create(&json!(users)).await.json();
    let results = body["results"].as_array().unwrap();
    let back: Vec<&str> = results.iter().map(|user| user["email"].as_str().unwrap()).collect();
    assert_eq!(back, emails);
    let times: std::collections::HashSet<&str> =
        results.iter().map(|user| user["created_at"].as_str().unwrap()).collect();
    assert_eq!(times.len(), 1, "one batch, one time");
    let ids: std::collections::HashSet<&str> = results.iter().map(|user| user["user_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 200);
}

#[tokio::test]
async fn a_password_is_stored_as_argon2id_and_must_be_changed() {
    use argon2::{Argon2, PasswordHash, PasswordVerifier};
    let app = TestApp::spawn().await;
    // Composed and decomposed forms are the same password (NFC).
    let users = json!([
        with_password("a@example.com", "Zwölf Boxkämpfer jagen"),
        with_password("b@example.com", "Zwo\u{308}lf Boxka\u{308}mpfer jagen")
    ]);
    assert_eq!(app.owner.create(&users).await.status, 200);
    let phc: Vec<String> = app.db_value("select array_agg(phc) from passwords where must_change").await;
    assert_eq!(phc.len(), 2);
    for phc in phc {
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        let hash = PasswordHash::new(&phc).unwrap();
        assert!(Argon2::default().verify_password("Zwölf Boxkämpfer jagen".as_bytes(), &hash).is_ok());
        assert!(Argon2::default().verify_password("Zwölf Boxkämpfer jagen ".as_bytes(), &hash).is_err());
    }
}

#[tokio::test]
async fn an_sso_user_has_no_password_and_optional_fields_stay_absent() {
    let app = TestApp::spawn().await;
    let users =
        json!([{"name": "bare", "email": "bare@example.com", "is_sso_user": true, "password": null, "title": ""}]);
    let body = app.owner.create(&users).await.json();
    let user = body["results"][0].as_object().unwrap();
    assert_eq!(user["is_sso_user"], json!(true));
    assert!(!user.contains_key("lastname"), "absent in the request, absent in the response");
    assert_eq!(user["title"], json!(""), "empty comes back empty");
    assert!(!user.contains_key("password"));
    assert_eq!(app.db_value::<i64>("select count(*) from passwords").await, 0);
}

#[tokio::test]
async fn non_ascii_names_and_the_spelling_of_addresses_are_kept() {
    let app = TestApp::spawn().await;
    let users = json!([{"name": "Zoë Ωμέγα 😀", "email": " Zoe@Bücher.example ", "is_sso_user": true}]);
    let body = app.owner.create(&users).await.json();
    assert_eq!(body["results"][0]["name"], json!("Zoë Ωμέγα 😀"));
    assert_eq!(body["results"][0]["email"], json!("Zoe@Bücher.example"));
    assert_eq!(
        app.db_value::<String>("select email_key from users where batch_id is not null").await,
        "zoe@xn--bcher-kva.example"
    );
}

#[tokio::test]
async fn the_batch_records_the_kind_of_client() {
    let app = TestApp::spawn().await;
    let body = json!([sso("a@example.com")]).to_string();
    let request = app.owner.request("POST", crate::support::BATCH).header("x-anyscale-client", "CLI").body(body);
    let answer = crate::support::Actor::send(request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.db_value::<String>("select source from batches").await, "vendor_client");
    let request_id = app.db_value::<uuid::Uuid>("select request_id from batches").await;
    assert_eq!(muster::id::Id::<muster::id::Request>::from_uuid(request_id).to_string(), answer.header("x-request-id"));
}

#[tokio::test]
async fn the_largest_batch_allowed_is_created() {
    let app = TestApp::spawn().await;
    let users: Vec<_> = (0..10_000).map(|n| sso(&format!("user{n}@example.com"))).collect();
    let answer = app.owner.create(&json!(users)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.db_counts().await, [10_000, 10_000, 0, 1, 10_001]);
}

#[tokio::test]
async fn many_small_concurrent_batches_are_all_created() {
    let app = TestApp::spawn().await;
    let mut running = tokio::task::JoinSet::new();
    for n in 0..50 {
        let owner = app.owner.clone();
        running.spawn(async move { owner.create(&json!([sso(&format!("user{n}@example.com"))])).await.status });
    }
    assert_eq!(running.join_all().await, vec![200; 50]);
    assert_eq!(app.db_counts().await, [50, 50, 0, 50, 100]);
}

/// The rows and index entries that PostgreSQL has read once it has counted the insertion of so many users by batches.
async fn rows_read(app: &TestApp, users: i64) -> i64 {
    // The counters are late.
    eventually("the insertions are counted", async || {
        app.db_value::<i64>("select n_tup_ins from pg_stat_user_tables where relname = 'users'").await > users
    })
    .await;
    app.db_value(
        "select (select sum(seq_tup_read) from pg_stat_user_tables where relname in ('users', 'collaborators', 'batches'))::bigint
              + (select sum(idx_tup_read) from pg_stat_user_indexes)::bigint",
    )
    .await
}

#[tokio::test]
async fn a_long_list_is_not_slowed_down_by_query_plans_for_short_ones() {
    let app = TestApp::spawn_with(|config| config.database.batch_connections = 1).await;
    // Enough executions for PostgreSQL to cache generic plans, based on tiny tables.
    for (round, size) in [12; 10].into_iter().chain([2; 10]).enumerate() {
        let users: Vec<_> = (0..size).map(|n| sso(&format!("short{round}-{n}@example.com"))).collect();
        assert_eq!(app.owner.create(&json!(users)).await.status, 200);
        if round == 9 {
            app.db_execute("analyze").await;
        }
    }
    let users: Vec<_> = (0..10_000).map(|n| sso(&format!("user{n}@example.com"))).collect();
    let answer = app.owner.create(&json!(users)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let read = rows_read(&app, 10 * (12 + 2) + 10_000).await;
    // A plan that scans the table for each new row reads tens of millions.
    assert!(read < 100 * 10_000, "{read} rows and index entries were read");
}

#[tokio::test]
async fn in_a_new_database_the_cost_of_a_row_is_constant() {
    let app = TestApp::spawn_with(|config| config.database.batch_connections = 1).await;
    // PostgreSQL caches plans before it has statistics of the tables.
    let users: Vec<_> = (0..100).map(|n| sso(&format!("first{n}@example.com"))).collect();
    assert_eq!(app.owner.create(&json!(users)).await.status, 200);
    let users: Vec<_> = (0..2_000).map(|n| sso(&format!("user{n}@example.com"))).collect();
    assert_eq!(app.owner.create(&json!(users)).await.status, 200);
    let read = rows_read(&app, 2_100).await;
    // Each row has four references. With sequential scans, it was two million.
    assert!(read < 20 * 2_100, "{read} rows and index entries were read");
}
