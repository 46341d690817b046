//! Retried requests: on other instances, after processes were killed or suspended.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::contention::waits_for_a_lock;
use crate::support::gate::{Gate, TIMEOUT, eventually};
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, Answer, BATCH, db_counts, migrated_database, sso, with_password};

const FINGERPRINT_KEY: &str = "a key for fingerprints that all instances have";

/// One of several instances on one database, with short leases.
fn instance(database: &PgConnectOptions) -> ServerProcess {
    ServerProcess::start(&mut command(database, "2"))
}

/// An instance that a test holds at a step.
fn held(database: &PgConnectOptions, gate: &Gate, lease_seconds: &str) -> ServerProcess {
    ServerProcess::start(command(database, lease_seconds).envs([gate.variable()]))
}

fn command(database: &PgConnectOptions, lease_seconds: &str) -> Command {
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(database))
        .env("MUSTER_SECRETS__SERVER_KEY", FINGERPRINT_KEY)
        .env("MUSTER_BATCH__LEASE_SECONDS", lease_seconds);
    command
}

async fn keyed(actor: &Actor, key: &str, users: &Value) -> Result<Answer, reqwest::Error> {
    let request = actor.request("POST", BATCH).header("idempotency-key", key).body(users.to_string());
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, text: response.text().await? })
}

/// Retries until the request is no longer in progress elsewhere.
async fn keyed_until_answered(actor: &Actor, key: &str, users: &Value) -> Answer {
    let start = Instant::now();
    loop {
        let answer = keyed(actor, key, users).await.unwrap();
        if answer.status != 409 || answer.error()["code"] != "idempotency_key_in_use" {
            return answer;
        }
        assert!(start.elapsed() < TIMEOUT, "{}", answer.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_identical_requests_on_three_instances_create_once() {
    let database = migrated_database().await;
    let first = instance(&database);
    let key = first.key.clone().unwrap();
    let instances = [first, instance(&database), instance(&database)];
    let users = json!([with_password("a@example.com", "kT9$wqzPlr"), sso("b@example.com")]);
    let mut running = tokio::task::JoinSet::new();
    for n in 0..50 {
        let (actor, users) = (instances[n % 3].actor(&key), users.clone());
        running.spawn(async move { keyed(&actor, "one", &users).await.unwrap() });
    }
    let answers = running.join_all().await;
    let mut bodies: Vec<&str> = Vec::new();
    let mut created = 0;
    for answer in &answers {
        match answer.status {
            200 => {
                bodies.push(&answer.text);
                created += usize::from(!answer.headers.contains_key("idempotency-replayed"));
            }
            409 => assert_eq!(answer.error()["code"], "idempotency_key_in_use", "{}", answer.text),
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert_eq!(created, 1);
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "all clients got the same response");
    let mut connection = database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await[..4], [2, 2, 1, 1]);
    for instance in &instances {
        let again = keyed(&instance.actor(&key), "one", &users).await.unwrap();
        assert_eq!((again.status, again.text.as_str()), (200, bodies[0]));
    }
}

/// A hundred users with passwords: hashing takes long enough to suspend a process in the middle.
fn many() -> Value {
    (0..100).map(|n| with_password(&format!("user{n}@example.com"), "kT9$wqzPlr")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_suspended_for_longer_than_its_lease_rolls_back() {
    let (database, gate) = (migrated_database().await, Gate::closed("batch::hashing"));
    let still = held(&database, &gate, "2");
    let key = still.key.clone().unwrap();
    let other = instance(&database);
    let users = many();
    let first = tokio::spawn({
        let (actor, users) = (still.actor(&key), users.clone());
        async move { keyed(&actor, "one", &users).await.unwrap() }
    });
    gate.reached().await;
    still.signal("-STOP");
    let taken_over = keyed_until_answered(&other.actor(&key), "one", &users).await;
    still.signal("-CONT");
    gate.release();
    let first = first.await.unwrap();
    assert_eq!(taken_over.status, 200, "{}", taken_over.text);
    assert_eq!(first.status, 409, "{}", first.text);
    assert!(
        first.error()["detail"].as_str().unwrap().contains("lost its lease while in progress; nothing was written")
    );
    let mut connection = database.connect().await.unwrap();
    let counts = db_counts(&mut connection).await;
    assert_eq!(counts[..3], [100, 100, 100]);
    // The batch that lost its lease is listed as failed.
    let states: Vec<String> =
        sqlx::query_scalar("select state from batches order by batch_id").fetch_all(&mut connection).await.unwrap();
    assert_eq!(states, ["failed", "created"]);
    assert_eq!(keyed(&still.actor(&key), "one", &users).await.unwrap().text, taken_over.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_suspended_alone_resumes_its_batch() {
    // No other instance takes the batch over, so an expired lease has no effect.
    let (database, gate) = (migrated_database().await, Gate::closed("batch::hashing"));
    let still = held(&database, &gate, "60");
    let key = still.key.clone().unwrap();
    let first = tokio::spawn({
        let (actor, users) = (still.actor(&key), many());
        async move { keyed(&actor, "one", &users).await.unwrap() }
    });
    gate.reached().await;
    still.signal("-STOP");
    tokio::time::sleep(Duration::from_millis(1000)).await;
    still.signal("-CONT");
    gate.release();
    let first = first.await.unwrap();
    assert_eq!(first.status, 200, "{}", first.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_process_was_killed_fails_and_no_user_exists() {
    let (database, gate) = (migrated_database().await, Gate::closed("batch::hashing"));
    let mut doomed = held(&database, &gate, "2");
    let key = doomed.key.clone().unwrap();
    let request = doomed.actor(&key).request("POST", BATCH).header("prefer", "respond-async").body(many().to_string());
    let accepted = Actor::send(request).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let location = accepted.header("location").to_owned();
    doomed.signal("-KILL");
    doomed.wait();

    let other = instance(&database);
    let start = Instant::now();
    let batch = loop {
        let batch = other.actor(&key).get(&location).await.json()["result"].clone();
        if batch["state"] != "running" {
            break batch;
        }
        assert!(start.elapsed() < TIMEOUT, "{batch}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(batch["state"], "failed");
    assert_eq!(
        batch["error"],
        json!({
            "code": "interrupted",
            "detail": "batch interrupted: the process exited, stalled or lost the database for longer than \
                `batch.lease_seconds`; nothing was written, so retry the request",
        })
    );
    let mut connection = database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await[..3], [0, 0, 0]);
    let entries = other.actor(&key).get("/api/v2/audit/events?action=user.batch_create").await.json();
    assert_eq!(entries["results"][0]["reason"], "interrupted");
    assert_eq!(entries["results"][0]["batch_id"], batch["batch_id"]);
    assert_eq!(entries["results"][0]["request_id"], accepted.header("x-request-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_batch_fails_without_a_request_for_it() {
    let (database, gate) = (migrated_database().await, Gate::closed("batch::hashing"));
    let mut doomed = held(&database, &gate, "2");
    let key = doomed.key.clone().unwrap();
    let other = instance(&database);
    let request = doomed.actor(&key).request("POST", BATCH).header("prefer", "respond-async").body(many().to_string());
    assert_eq!(Actor::send(request).await.status, 202);
    doomed.signal("-KILL");
    doomed.wait();
    let start = Instant::now();
    while other.actor(&key).get("/api/v2/batches?state=failed").await.json()["results"] == json!([]) {
        assert!(start.elapsed() < TIMEOUT);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_in_progress_cannot_be_cancelled() {
    let database = migrated_database().await;
    let gate = Gate::open("change::audited");
    let server = held(&database, &gate, "60");
    let key = server.key.clone().unwrap();
    let owner = server.actor(&key);
    gate.close();
    let request =
        owner.request("POST", BATCH).header("prefer", "respond-async").body(json!([sso("a@example.com")]).to_string());
    let accepted = Actor::send(request).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let location = accepted.header("location").to_owned();
    gate.reached().await;
    let cancel = tokio::spawn(Actor::send(owner.request("POST", &format!("{location}/cancel"))));
    waits_for_a_lock(&database, 1).await;
    gate.release();
    let cancelled = cancel.await.unwrap();
    assert_eq!(cancelled.status, 409, "{}", cancelled.text);
    assert!(
        cancelled.error()["detail"].as_str().unwrap().ends_with(" is created; only a running batch can be cancelled")
    );
    // The audit events: the batch, its user, and the rejected cancellation.
    let mut connection = database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await, [1, 1, 0, 1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_finishes_batches() {
    let (database, gate) = (migrated_database().await, Gate::closed("batch::hashing"));
    let mut server = ServerProcess::start(
        command(&database, "60").env("MUSTER_SERVER__SHUTDOWN_TIMEOUT_SECONDS", "300").envs([gate.variable()]),
    );
    let key = server.key.clone().unwrap();
    let owner = server.actor(&key);
    let request = owner.request("POST", BATCH).header("prefer", "respond-async").body(many().to_string());
    assert_eq!(Actor::send(request).await.status, 202);
    server.signal("-TERM");
    eventually("the server is not ready", async || owner.get("/readyz").await.status == 503).await;
    let refused = owner.create(&json!([sso("late@example.com")])).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(
        refused.error(),
        json!({"code": "unavailable", "detail": "the server is shutting down; nothing was written, so retry the request"})
    );
    assert_eq!((owner.get("/readyz").await.status, owner.get("/api/v2/userinfo/").await.status), (503, 200));
    gate.release();
    assert!(server.wait().success());
    let mut connection = database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await, [100, 100, 100, 1, 101]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_exceeds_the_shutdown_timeout_fails_at_once() {
    let database = migrated_database().await;
    let gate = Gate::closed("batch::hashing");
    let mut server = ServerProcess::start(
        command(&database, "60").env("MUSTER_SERVER__SHUTDOWN_TIMEOUT_SECONDS", "1").envs([gate.variable()]),
    );
    let key = server.key.clone().unwrap();
    let request = server.actor(&key).request("POST", BATCH).header("prefer", "respond-async").body(many().to_string());
    let accepted = Actor::send(request).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    server.signal("-TERM");
    assert!(server.wait().success());
    let other = ServerProcess::start_on(&database);
    let batch = other.actor(&key).get(accepted.header("location")).await.json()["result"].clone();
    assert_eq!(batch["state"], "failed");
    assert_eq!(
        batch["error"],
        json!({"code": "unavailable", "detail": "the server is shutting down; nothing was written, so retry the request"})
    );
    let mut connection = database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await[..3], [0, 0, 0]);
}

/// The number of kills; `MUSTER_TEST_KILLS=1000` for a long run.
fn kills() -> usize {
    std::env::var("MUSTER_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(100)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_retried_after_random_kills_is_executed_once() {
    const STREAMS: usize = 5;
    let database = migrated_database().await;
    let first = instance(&database);
    let key = first.key.clone().unwrap();
    let start = Instant::now();
    let undisturbed =
        keyed(&first.actor(&key), "first", &json!([with_password("first@example.com", "kT9$wqzPlr")])).await;
    assert_eq!(undisturbed.unwrap().status, 200);
    // The streams share the machine: each request takes longer than this one alone.
    let usual = start.elapsed() * 2;
    drop(first);
    let mut streams = tokio::task::JoinSet::new();
    for stream in 0..STREAMS {
        let (database, key) = (database.clone(), key.clone());
        streams.spawn(async move {
            let least = kills().div_ceil(STREAMS);
            let (mut rounds, mut lost_answers, mut usual) = (0, 0, usual);
            // A kill after the answer proves nothing: at least a quarter have to come before it.
            while rounds < least || lost_answers < least.div_ceil(4) {
                let lost = kill_and_repeat(&database, &key, usual, stream, rounds).await;
                // About half of the kills come in time, however fast the machine is.
                usual = usual.mul_f64(if lost { 1.25 } else { 0.8 });
                lost_answers += usize::from(lost);
                rounds += 1;
            }
            rounds
        });
    }
    let rounds: usize = streams.join_all().await.into_iter().sum();
    let mut connection = database.connect().await.unwrap();
    let partial: i64 = sqlx::query_scalar(
        "select count(*) from batches where state <> 'created'
             and exists (select from users where users.batch_id = batches.batch_id)
             or state = 'created' and user_count <> (select count(*) from users where users.batch_id = batches.batch_id)",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(partial, 0, "a batch is partial");
    let rounds = i64::try_from(rounds).unwrap();
    let counts = db_counts(&mut connection).await;
    assert_eq!(counts[..3], [rounds * 3 + 1, rounds * 3 + 1, rounds + 1], "users, memberships, passwords");
    connection.close().await.unwrap();
}

/// Kills a server during a batch and retries the batch on the next one. Returns whether the first response was lost.
async fn kill_and_repeat(database: &PgConnectOptions, key: &str, usual: Duration, stream: usize, round: usize) -> bool {
    let users = json!([
        with_password(&format!("p{stream}-{round}@example.com"), "kT9$wqzPlr"),
        sso(&format!("s{stream}-{round}@example.com")),
        sso(&format!("t{stream}-{round}@example.com")),
    ]);
    let name = format!("key-{stream}-{round}");
    let mut doomed = tokio::task::spawn_blocking({
        let database = database.clone();
        move || instance(&database)
    })
    .await
    .unwrap();
    let actor = doomed.actor(key);
    let answer = tokio::spawn({
        let (actor, name, users) = (actor.clone(), name.clone(), users.clone());
        async move { keyed(&actor, &name, &users).await }
    });
    tokio::time::sleep(usual.mul_f64(rand::random_range(0.0..1.5))).await;
    doomed.signal("-KILL");
    doomed.wait();
    let acknowledged = answer.await.unwrap().ok();
    let next = tokio::task::spawn_blocking({
        let database = database.clone();
        move || instance(&database)
    })
    .await
    .unwrap();
    let again = keyed_until_answered(&next.actor(key), &name, &users).await;
    assert_eq!(again.status, 200, "{}", again.text);
    if let Some(first) = &acknowledged {
        assert_eq!((first.status, &first.text), (200, &again.text), "an acknowledged batch exists");
    }
    acknowledged.is_none()
}
