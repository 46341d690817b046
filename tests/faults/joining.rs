//! Requests without an `Idempotency-Key` that are sent again: they join the first one.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::support::gate::{Gate, eventually};
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, Answer, BATCH, db_counts, migrated_database, with_password};

fn users() -> Value {
    (0..3).map(|n| with_password(&format!("user{n}@example.com"), "kT9$wqzPlr")).collect()
}

fn command(database: &PgConnectOptions, gate: &Gate) -> Command {
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(database))
        .env("MUSTER_SECRETS__SERVER_KEY", "the same key on all instances, for tests")
        .envs([gate.variable()]);
    command
}

fn start(database: &PgConnectOptions, gate: &Gate) -> ServerProcess {
    ServerProcess::start(&mut command(database, gate))
}

/// Sends the users as the vendor's client does, and returns the connection.
fn send(server: &ServerProcess, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    let body = users().to_string();
    let length = body.len();
    write!(
        stream,
        "POST {BATCH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    stream
}

fn replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

async fn batches(owner: &Actor) -> Vec<Value> {
    owner.get("/api/v2/batches").await.json()["results"].as_array().unwrap().clone()
}

async fn counts(database: &PgConnectOptions) -> [i64; 5] {
    let mut connection = database.connect().await.unwrap();
    db_counts(&mut connection).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_waits_for_the_first_one_on_another_instance_and_gets_its_response() {
    let database = migrated_database().await;
    let (hashed, waiting) = (Gate::closed("batch::hashed"), Gate::closed("batch::waiting"));
    let (one, other) = (start(&database, &hashed), start(&database, &waiting));
    let key = one.key.clone().or_else(|| other.key.clone()).unwrap();
    let (first, second) = (one.actor(&key), other.actor(&key));
    let create = |actor: &Actor| {
        let actor = actor.clone();
        tokio::spawn(async move { actor.create(&users()).await })
    };
    let sent = create(&first);
    hashed.reached().await;
    // The batch can be followed before it exists.
    let listed = batches(&second).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["state"], &listed[0]["user_count"], &listed[0]["hash_count"]),
        (&json!("running"), &json!(3), &json!(3))
    );
    let again = create(&second);
    waiting.reached().await;
    waiting.release();
    hashed.release();
    let (sent, again) = (sent.await.unwrap(), again.await.unwrap());
    assert_eq!((sent.status, replayed(&sent)), (200, false), "{}", sent.text);
    assert_eq!((again.status, replayed(&again)), (200, true), "{}", again.text);
    assert_eq!(again.text, sent.text);
    assert_eq!(counts(&database).await, [3, 3, 3, 1, 4]);
    // Another list is not the same request, and the response was delivered.
    for actor in [&first, &second] {
        let refused = actor.create(&users()).await;
        assert_eq!((refused.status, refused.error()["code"].as_str()), (409, Some("batch_conflict")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_could_not_be_delivered_is_returned_once_to_the_same_request() {
    let (database, gate) = (migrated_database().await, Gate::open("batch::committed"));
    let log = tempfile::NamedTempFile::new().unwrap();
    let server = ServerProcess::start(command(&database, &gate).stderr(log.reopen().unwrap()));
    let owner = server.actor(&server.key.clone().unwrap());
    for expired in [false, true] {
        gate.close();
        let stream = send(&server, owner.token());
        gate.reached().await;
        // As a killed client, or a proxy whose timeout expires.
        drop(stream);
        eventually("the server notices that the client left", async || {
            std::fs::read_to_string(log.path()).unwrap().matches("status=499").count() == 1 + usize::from(expired)
        })
        .await;
        gate.release();
        if expired {
            let mut connection = database.connect().await.unwrap();
            sqlx::query("update batches set key_expires_at = now() where idempotency_key is not null")
                .execute(&mut connection)
                .await
                .unwrap();
        } else {
            let again = owner.create(&users()).await;
            assert_eq!((again.status, replayed(&again)), (200, true), "{}", again.text);
            assert_eq!(again.json()["metadata"]["total"], 3);
        }
        let refused = owner.create(&users()).await;
        assert_eq!((refused.status, refused.error()["code"].as_str()), (409, Some("batch_conflict")));
        let [created, _, hashes, ..] = counts(&database).await;
        assert_eq!([created, hashes], [3, 3]);
        let batch = batches(&owner).await[0]["batch_id"].as_str().unwrap().to_owned();
        let undo = owner.request("POST", &format!("/api/v2/batches/{batch}/undo"));
        assert_eq!(Actor::send(undo).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_client_left_while_hashing_fails_and_the_same_request_starts_again() {
    let (database, gate) = (migrated_database().await, Gate::closed("batch::hashing"));
    let server = start(&database, &gate);
    let owner = server.actor(&server.key.clone().unwrap());
    let stream = send(&server, owner.token());
    gate.reached().await;
    drop(stream);
    eventually("the batch fails", async || batches(&owner).await[0]["state"] == "failed").await;
    gate.release();
    let failed = &batches(&owner).await[0];
    assert_eq!(
        failed["error"],
        json!({
            "code": "disconnected",
            "detail": "the client closed the connection before its users were created; nothing was written",
        })
    );
    let again = owner.create(&users()).await;
    assert_eq!((again.status, replayed(&again)), (200, false), "{}", again.text);
    assert_eq!(counts(&database).await, [3, 3, 3, 2, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_batch_ends_the_requests_that_wait_for_it_and_can_be_sent_again() {
    let database = migrated_database().await;
    let (hashing, waiting) = (Gate::closed("batch::hashing"), Gate::closed("batch::waiting"));
    let (one, other) = (start(&database, &hashing), start(&database, &waiting));
    let key = one.key.clone().or_else(|| other.key.clone()).unwrap();
    let (first, second) = (one.actor(&key), other.actor(&key));
    let sent = tokio::spawn(async move { first.create(&users()).await });
    hashing.reached().await;
    let again = tokio::spawn({
        let second = second.clone();
        async move { second.create(&users()).await }
    });
    waiting.reached().await;
    let batch = batches(&second).await[0]["batch_id"].as_str().unwrap().to_owned();
    let cancelled = Actor::send(second.request("POST", &format!("/api/v2/batches/{batch}/cancel"))).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    waiting.release();
    for answer in [again.await.unwrap(), sent.await.unwrap()] {
        assert_eq!(answer.status, 409);
        assert_eq!(
            answer.error(),
            json!({"code": "conflict", "detail": format!("batch {batch} was cancelled; nothing was written")})
        );
    }
    hashing.release();
    assert_eq!(second.create(&users()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_request_that_is_sent_again_gets_the_same_batch_while_it_runs() {
    let (database, gate) = (migrated_database().await, Gate::closed("batch::hashing"));
    let server = start(&database, &gate);
    let owner = server.actor(&server.key.clone().unwrap());
    let send = async || {
        Actor::send(owner.request("POST", BATCH).header("prefer", "respond-async").body(users().to_string())).await
    };
    let first = send().await;
    assert_eq!(first.status, 202, "{}", first.text);
    let second = send().await;
    assert_eq!((second.status, second.header("location")), (202, first.header("location")), "{}", second.text);
    gate.release();
    eventually("the batch is created", async || batches(&owner).await[0]["state"] == "created").await;
    let third = send().await;
    assert_eq!((third.status, third.error()["code"].as_str()), (409, Some("batch_conflict")), "{}", third.text);
    assert_eq!(counts(&database).await, [3, 3, 3, 1, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_an_asynchronous_request_was_told_of_can_be_read_after_it_was_rejected() {
    let (database, gate) = (migrated_database().await, Gate::closed("lease::releasing"));
    let server = start(&database, &gate);
    let owner = server.actor(&server.key.clone().unwrap());
    let request = |prefer: &'static str| {
        let request = owner.request("POST", BATCH).header("idempotency-key", "one").header("prefer", prefer);
        request.body(json!([{"name": "", "email": "a@example.com", "is_sso_user": true}]).to_string())
    };
    let first = tokio::spawn(Actor::send(request("wait=100")));
    gate.reached().await;
    let accepted = Actor::send(request("respond-async")).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    gate.release();
    assert_eq!(first.await.unwrap().status, 422);
    let path = format!("/api/v2/batches/{}", accepted.json()["result"]["batch_id"].as_str().unwrap());
    let batch = owner.get(&path).await.json()["result"].clone();
    let error = &batch["error"];
    assert_eq!((&batch["state"], &error["code"]), (&json!("failed"), &json!("batch_rejected")), "{batch}");
    assert_eq!((&error["rows"][0]["index"], &error["rows"][0]["field"]), (&json!(0), &json!("name")), "{batch}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_an_asynchronous_request_has_joined_continues_without_its_first_client() {
    let (database, gate) = (migrated_database().await, Gate::closed("batch::hashing"));
    let log = tempfile::NamedTempFile::new().unwrap();
    let one = ServerProcess::start(command(&database, &gate).stderr(log.reopen().unwrap()));
    let other = start(&database, &Gate::open("batch::waiting"));
    let key = one.key.clone().unwrap();
    let owner = one.actor(&key);
    for (n, joined) in [&one, &other].into_iter().enumerate() {
        gate.close();
        let stream = send(&one, owner.token());
        gate.reached().await;
        let request = joined.actor(&key).request("POST", BATCH).header("prefer", "respond-async");
        let accepted = Actor::send(request.body(users().to_string())).await;
        assert_eq!(accepted.status, 202, "{}", accepted.text);
        let batch_id = accepted.json()["result"]["batch_id"].as_str().unwrap().to_owned();
        drop(stream);
        eventually("the server notices that the client left", async || {
            std::fs::read_to_string(log.path()).unwrap().matches("status=499").count() == 1 + n
        })
        .await;
        gate.release();
        let path = format!("/api/v2/batches/{batch_id}");
        eventually("the batch ends", async || owner.get(&path).await.json()["result"]["state"] != "running").await;
        let batch = owner.get(&path).await.json()["result"].clone();
        assert_eq!((&batch["state"], &batch["user_count"]), (&json!("created"), &json!(3)), "{batch}");
        let undone = owner.post(&format!("{path}/undo"), &Value::Null).await;
        assert_eq!(undone.status, 200, "{}", undone.text);
    }
}
