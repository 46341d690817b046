//! Pairs of requests of which each changes what the other one depends on, in both orders: one is held before its
//! commit until the other one waits for its locks.

use std::process::{Command, Output};

use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;

use crate::contention::waits_for_a_lock;
use crate::support::gate::Gate;
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, Answer, migrated_database, sso};

/// Two instances on one database, of which the first holds changes before their commit while the gate is closed.
struct Pair {
    database: PgConnectOptions,
    gate: Gate,
    held: ServerProcess,
    other: ServerProcess,
    token: String,
}

impl Pair {
    async fn start() -> Self {
        let (database, gate) = (migrated_database().await, Gate::open("change::audited"));
        let start = |command: &mut Command| ServerProcess::start(command.env("MUSTER_DATABASE__URL", url(&database)));
        let held = start(muster().envs([gate.variable()]));
        let other = start(&mut muster());
        let token = held.key.clone().unwrap();
        Self { database, gate, held, other, token }
    }

    /// The owner at the instance that holds changes.
    fn first(&self) -> Actor {
        self.held.actor(&self.token)
    }

    fn second(&self) -> Actor {
        self.other.actor(&self.token)
    }

    /// Sends `first`, and `second` when `first` is about to commit; `first` commits when `second` waits for it.
    async fn race<T: Send + 'static, U: Send + 'static>(
        &self,
        first: impl Future<Output = T> + Send + 'static,
        second: impl Future<Output = U> + Send + 'static,
    ) -> (T, U) {
        self.gate.close();
        let first = tokio::spawn(first);
        self.gate.reached().await;
        let second = tokio::spawn(second);
        waits_for_a_lock(&self.database, 1).await;
        self.gate.release();
        (first.await.unwrap(), second.await.unwrap())
    }

    /// Creates a batch of one user and returns the path that undoes it.
    async fn batch(&self) -> String {
        let created = self.second().create(&json!([sso("ada@example.com")])).await;
        assert_eq!(created.status, 200, "{}", created.text);
        format!("/api/v2/batches/{}/undo", created.json()["metadata"]["batch_id"].as_str().unwrap())
    }

    /// Creates a group and returns the path that adds members.
    async fn group(&self) -> String {
        let created = self.second().post("/api/v2/user_groups/", &json!({"name": "Ops"})).await;
        assert_eq!(created.status, 200, "{}", created.text);
        format!("/api/v2/user_groups/{}/members/add", created.json()["result"]["id"].as_str().unwrap())
    }

    async fn members(&self, add: &str) -> Value {
        self.second().get(add.trim_end_matches("/add")).await.json()["results"].clone()
    }

    async fn ada(&self) -> Value {
        self.second().get("/api/v2/organization_collaborators/?email=ada@example.com").await.json()["results"].clone()
    }

    /// The command that creates a key for the user.
    fn create_key(&self) -> Command {
        let mut command = muster();
        command.env("MUSTER_DATABASE__URL", url(&self.database));
        command.args(["key", "create", "--name", "ci", "--user", "ada@example.com"]);
        command
    }
}

async fn post(actor: Actor, path: String, body: Value) -> Answer {
    actor.post(&path, &body).await
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn in_use(code: &str, message: &str) -> Value {
    json!([{"index": 0, "field": null, "code": code, "message": message}])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_waits_for_a_user_to_join_a_group_keeps_the_user() {
    let pair = Pair::start().await;
    let (undo, add) = (pair.batch().await, pair.group().await);
    let add_ada = post(pair.first(), add.clone(), json!([{"user": "ada@example.com"}]));
    let (added, undone) = pair.race(add_ada, post(pair.second(), undo, Value::Null)).await;
    assert_eq!(added.status, 200, "{}", added.text);
    assert_eq!((undone.status, undone.error()["code"].as_str()), (409, Some("batch_in_use")), "{}", undone.text);
    assert_eq!(undone.error()["rows"], in_use("changed", "was changed since"));
    assert_eq!(pair.members(&add).await[0]["user_email"], "ada@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_removed_by_an_undo_does_not_join_a_group() {
    let pair = Pair::start().await;
    let (undo, add) = (pair.batch().await, pair.group().await);
    let add_ada = post(pair.second(), add.clone(), json!([{"user": "ada@example.com"}]));
    let (undone, added) = pair.race(post(pair.first(), undo, Value::Null), add_ada).await;
    assert_eq!(undone.status, 200, "{}", undone.text);
    assert_eq!((added.status, added.error()["code"].as_str()), (422, Some("batch_rejected")), "{}", added.text);
    assert_eq!(added.error()["rows"][0]["code"], "unknown_user", "{}", added.text);
    assert_eq!((pair.members(&add).await, pair.ada().await), (json!([]), json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_waits_for_an_api_key_keeps_its_user() {
    let pair = Pair::start().await;
    let undo = pair.batch().await;
    let mut create = pair.create_key();
    create.envs([pair.gate.variable()]);
    let (created, undone) = pair.race(run(create), post(pair.second(), undo, Value::Null)).await;
    assert!(created.status.success(), "{created:?}");
    assert_eq!((undone.status, undone.error()["code"].as_str()), (409, Some("batch_in_use")), "{}", undone.text);
    assert_eq!(undone.error()["rows"], in_use("in_use", "has an API key"));
    let key = pair.second().with_token(String::from_utf8(created.stdout).unwrap().trim());
    assert_eq!(key.get("/api/v2/userinfo/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_removed_by_an_undo_gets_no_api_key() {
    let pair = Pair::start().await;
    let undo = pair.batch().await;
    let (undone, created) = pair.race(post(pair.first(), undo, Value::Null), run(pair.create_key())).await;
    assert_eq!(undone.status, 200, "{}", undone.text);
    assert_eq!(created.status.code(), Some(1), "{created:?}");
    let message = String::from_utf8(created.stderr).unwrap();
    assert!(message.starts_with("error: there is no user usr_"), "{message}");
    assert_eq!(pair.ada().await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_all_keys_of_a_user_includes_the_one_that_a_key_is_creating() {
    let pair = Pair::start().await;
    pair.batch().await;
    let key = run(pair.create_key()).await;
    let ada = pair.held.actor(String::from_utf8(key.stdout).unwrap().trim());
    let user_id = pair.ada().await[0]["user_id"].as_str().unwrap().to_owned();
    let revoke = format!("/api/v2/organization_collaborators/rotate_api_key_for_user/{user_id}");
    let create = post(ada, "/api/v2/api_keys".to_owned(), json!({"name": "another"}));
    let (created, revoked) = pair.race(create, post(pair.second(), revoke, Value::Null)).await;
    assert_eq!(created.status, 200, "{}", created.text);
    assert_eq!((revoked.status, &revoked.json()["result"]["keys"]), (200, &json!(2)), "{}", revoked.text);
    let another = pair.second().with_token(created.json()["result"]["token"].as_str().unwrap());
    assert_eq!(another.get("/api/v2/userinfo/").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_deleted_with_its_user_is_not_reported_as_revoked() {
    let pair = Pair::start().await;
    pair.batch().await;
    assert!(run(pair.create_key()).await.status.success());
    let user_id = pair.ada().await[0]["user_id"].as_str().unwrap().to_owned();
    let keys = pair.second().get(&format!("/api/v2/api_keys?user_id={user_id}")).await.json();
    let path = format!("/api/v2/api_keys/{}", keys["results"][0]["key_id"].as_str().unwrap());
    let user = format!("/api/v2/users/{user_id}");
    let (first, second) = (pair.first(), pair.second());
    let delete = async move { first.delete(&user).await };
    let (deleted, revoked) = pair.race(delete, async move { second.delete(&path).await }).await;
    assert!([200, 204].contains(&deleted.status), "{}", deleted.text);
    assert_eq!((revoked.status, revoked.error()["code"].as_str()), (404, Some("not_found")), "{}", revoked.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_accepting_an_invitation_is_not_invited_again() {
    let pair = Pair::start().await;
    let (invite, list) = ("/api/v2/organization_invitations/batch_create", json!([{"email": "ada@example.com"}]));
    let invited = pair.second().post(invite, &list).await.json()["results"][0]["data"].clone();
    let token = invited["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let body = json!({"token": token, "name": "Ada", "password": "kT9$wqzPlr"});
    let accept = post(pair.first(), "/api/v2/organization_invitations/accept".to_owned(), body);
    let (accepted, again) = pair.race(accept, post(pair.second(), invite.to_owned(), list)).await;
    assert_eq!((accepted.status, again.status), (200, 200), "{}{}", accepted.text, again.text);
    let detail = "ada@example.com is already a member of the organization";
    assert_eq!(again.json()["results"][0]["error"]["detail"], detail, "{}", again.text);
    let open = pair.second().get("/api/v2/organization_invitations/").await;
    assert_eq!(open.json()["results"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_moves_to_another_user_adds_neither_of_them_to_a_group() {
    let pair = Pair::start().await;
    pair.batch().await;
    let add = pair.group().await;
    let rename = json!([{"user": "ada@example.com", "email": "countess@example.com"}]);
    let rename = post(pair.first(), "/api/v2/users/admin_batch_update".to_owned(), rename);
    let add_ada = post(pair.second(), add.clone(), json!([{"user": "ada@example.com"}]));
    let (renamed, added) = pair.race(rename, add_ada).await;
    assert_eq!(renamed.status, 200, "{}", renamed.text);
    assert_eq!((added.status, &added.error()["rows"][0]["code"]), (422, &json!("unknown_user")), "{}", added.text);
    assert_eq!(pair.members(&add).await, json!([]));
}
