//! Isolation of two organizations in one database.

use std::collections::BTreeSet;

use muster::organizations;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::coverage::{body, operations, with_ids, with_mail};
use crate::support::{Actor, TestApp};

/// The owner of another organization on the same server.
pub async fn other_owner(app: &TestApp) -> Actor {
    let operator = organizations::operator(&app.app).await.unwrap();
    let identifier = "other".parse().unwrap();
    let (_, key) = organizations::create(&app.app, &operator, "Other", &identifier).await.unwrap();
    app.owner.with_token(key.token.expose())
}

/// All rows of all tables as JSON, without volatile columns: last uses of keys, and heartbeats of batches.
async fn db_rows(app: &TestApp) -> Vec<Value> {
    let mut connection = app.database.connect().await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.columns
         where table_schema = 'public' and column_name = 'organization_id' order by table_name",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let query = format!(
            "select to_jsonb(t) - '{{last_used_at,lease_until,hashed,expected_at}}'::text[] as row
             from {table} t order by 1"
        );
        let of_table: Vec<Value> = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap();
        rows.extend(of_table);
    }
    rows
}

/// Every UUID in the rows of an organization, in the format of IDs.
fn ids_of<'a>(rows: &'a [Value], organization: &'a Value) -> BTreeSet<String> {
    let of_it = rows.iter().filter(|row| row["organization_id"] == *organization);
    let values = of_it.flat_map(|row| row.as_object().unwrap().values());
    values.filter_map(|value| Some(muster::id::encode(value.as_str()?.parse::<uuid::Uuid>().ok()?))).collect()
}

#[tokio::test]
async fn an_id_of_another_organization_is_unknown_to_every_route_that_takes_one() {
    let mut tried = Vec::new();
    for (method, template, id, secured) in operations() {
        if !secured || !template.contains("_id}") {
            continue;
        }
        // One server for each route, so that no request affects another. Slow hashing keeps the batch running during
        // the request.
        let app = TestApp::spawn_with(|config| {
            with_mail(config);
            config.passwords.iterations = 40;
        })
        .await;
        let other = other_owner(&app).await;
        let path = with_ids(&app, &template, &id).await;
        let request = |actor: &Actor| actor.request(&method, &path);
        let sent = if method == "GET" { String::new() } else { body(&app, &id).await };
        let before = db_rows(&app).await;
        let answer = Actor::send(request(&other).body(sent.clone())).await;
        assert_eq!(answer.status, 404, "{id}: {}", answer.text);
        assert_eq!(answer.error()["code"], "not_found", "{id}");
        let after = db_rows(&app).await;
        let changed: Vec<&Value> = after.iter().filter(|row| !before.contains(row)).collect();
        assert!(changed.is_empty() && after.len() == before.len(), "{id}: {changed:?}");
        // It still exists.
        let answer = Actor::send(request(&app.owner).body(sent)).await;
        assert!(answer.status < 300, "{id}: {}", answer.text);
        tried.push(id);
    }
    assert!(tried.contains(&"batch_undo".to_owned()) && tried.contains(&"invitation_invalidate".to_owned()));
}

#[tokio::test]
async fn no_list_contains_resources_of_another_organization() {
    let app = TestApp::spawn_with(with_mail).await;
    let other = other_owner(&app).await;
    // One resource of each kind.
    for (_, template, id, _) in operations() {
        with_ids(&app, &template, &id).await;
    }
    let rows = db_rows(&app).await;
    let mine = app.owner.get("/api/v2/userinfo/").await.json()["result"]["organization_ids"][0].clone();
    let mine: muster::id::Id<muster::id::Organization> = mine.as_str().unwrap().parse().unwrap();
    let organizations: BTreeSet<String> =
        rows.iter().map(|row| row["organization_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(organizations.len(), 2);
    let ids = ids_of(&rows, &json!(uuid::Uuid::from(mine).to_string()));
    let (mut lists, mut shown) = (0, 0);
    for (_, path, id, secured) in operations().into_iter().filter(|(method, ..)| method == "GET") {
        if !secured || path.contains('{') {
            continue;
        }
        lists += 1;
        let (of_other, of_mine) = (other.get(&path).await, app.owner.get(&path).await);
        assert_eq!((of_other.status, of_mine.status), (200, 200), "{id}");
        let seen: Vec<&String> = ids.iter().filter(|known| of_other.text.contains(known.as_str())).collect();
        assert!(seen.is_empty(), "{id} shows {seen:?}");
        shown += usize::from(ids.iter().any(|known| of_mine.text.contains(known.as_str())));
    }
    assert!(lists >= 5 && shown >= 4, "only {shown} of {lists} lists show resources");
}

#[tokio::test]
async fn two_organizations_have_people_with_the_same_addresses() {
    let app = TestApp::spawn().await;
    let other = other_owner(&app).await;
    let users = json!([crate::support::sso("ada@example.com")]);
    assert_eq!(app.owner.create(&users).await.status, 200);
    assert_eq!(other.create(&users).await.status, 200);
    assert_eq!(other.create(&users).await.status, 409);
    let list = other.get("/api/v2/organization_collaborators/").await.json();
    let emails: Vec<&str> =
        list["results"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect();
    assert_eq!(emails, ["administrator@muster.invalid", "ada@example.com"]);
}

#[tokio::test]
async fn only_the_local_operator_can_create_and_list_organizations() {
    let app = TestApp::spawn().await;
    let key = muster::keys::Token::parse(app.owner.token()).unwrap();
    let mut owner = organizations::operator(&app.app).await.unwrap();
    owner.principal = muster::caller::Principal::ApiKey {
        id: key.id,
        user_id: None,
        permission: muster::caller::PermissionLevel::Owner,
        scopes: muster::caller::Scopes::All,
        secret: None,
    };
    let identifier = "more".parse().unwrap();
    let error = organizations::create(&app.app, &owner, "More", &identifier).await.unwrap_err();
    assert_eq!(error.code().as_str(), "forbidden");
    assert_eq!(organizations::list(&app.app, &owner).await.unwrap_err().code().as_str(), "forbidden");
    assert_eq!(app.db_value::<i64>("select count(*) from organizations").await, 1);
}
