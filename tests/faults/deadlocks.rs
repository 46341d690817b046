//! Deadlocks with a concurrent transaction: the change is retried, and the client does not notice.

use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::contention::waits_for_a_lock;
use crate::support::gate::eventually;
use crate::support::server::ServerProcess;
use crate::support::{Actor, Answer, migrated_database, sso};

/// Sends a list of two users, while a rival transaction locks the second user, then the first one.
async fn deadlocked(database: &PgConnectOptions, owner: &Actor, method: &'static str, path: String) -> Answer {
    let users = json!([{"user": "a@example.com"}, {"user": "b@example.com"}]);
    let mut rival = database.connect().await.unwrap();
    // Only the server looks for deadlocks.
    sqlx::query("set deadlock_timeout = '600s'").execute(&mut rival).await.unwrap();
    let mut transaction = rival.begin().await.unwrap();
    let lock = "select from users where email_key = $1 for update";
    sqlx::query(lock).bind("b@example.com").execute(&mut *transaction).await.unwrap();
    let owner = owner.clone();
    let list = tokio::spawn(async move { Actor::send(owner.request(method, &path).body(users.to_string())).await });
    waits_for_a_lock(database, 1).await;
    sqlx::query(lock).bind("a@example.com").execute(&mut *transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    eventually("PostgreSQL has counted the deadlock", async || {
        let count = "select deadlocks from pg_stat_database where datname = current_database()";
        sqlx::query_scalar::<_, i64>(count).fetch_one(&mut rival).await.unwrap() > 0
    })
    .await;
    list.await.unwrap()
}

/// A server with two users, whose IDs are in the order of their addresses.
async fn server_with_users() -> (PgConnectOptions, ServerProcess, Actor) {
    let database = migrated_database().await;
    let server = ServerProcess::start_on(&database);
    let owner = server.actor(&server.key.clone().unwrap());
    let created = owner.create(&json!([sso("a@example.com"), sso("b@example.com")])).await;
    assert_eq!(created.status, 200, "{}", created.text);
    (database, server, owner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_list_is_retried() {
    let (database, _server, owner) = server_with_users().await;
    let answer = deadlocked(&database, &owner, "POST", "/api/v2/users/admin_batch_suspend".to_owned()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_group_members_is_retried() {
    let (database, _server, owner) = server_with_users().await;
    let group: Value = owner.post("/api/v2/user_groups/", &json!({"name": "Readers"})).await.json();
    let path = format!("/api/v2/user_groups/{}/members/add", group["result"]["id"].as_str().unwrap());
    let answer = deadlocked(&database, &owner, "POST", path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let members = owner.get(&format!("/api/v2/user_groups/{}/members", group["result"]["id"].as_str().unwrap())).await;
    assert_eq!(members.json()["results"].as_array().map(Vec::len), Some(2), "{}", members.text);
}
