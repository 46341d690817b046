//! Clients that disconnect: all users of their batch exist or none, and the database connections stay usable.

use std::io::Write;
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::ConnectOptions;

use crate::contention::waits_for_a_lock;
use crate::support::gate::{Gate, TIMEOUT, eventually};
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, BATCH, db_counts, migrated_database, sso, with_password};

/// Sends a batch and disconnects when the server has reached the gate's step.
async fn hang_up_at(gate: &Gate, server: &ServerProcess, token: &str, body: &str) {
    gate.close();
    let stream = send(server, token, "", body);
    gate.reached().await;
    hang_up(&stream);
    drop(stream);
    gate.release();
}

fn send(server: &ServerProcess, token: &str, header: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {BATCH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{header}Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    stream.flush().unwrap();
    stream
}

/// Makes dropping the stream send a reset (RST) instead of an orderly close (FIN).
fn hang_up(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

async fn a_hundred_requests_are_answered(actor: &Actor) {
    for n in 0..100 {
        let answer = if n % 2 == 0 {
            actor.get("/api/v2/organization_collaborators/?count=1").await
        } else {
            actor.create(&json!([sso(&format!("after{n}@example.com"))])).await
        };
        assert_eq!(answer.status, 200, "{n}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_during_hashing_leaves_no_partial_batch() {
    let (database, gate) = (migrated_database().await, Gate::open("batch::hashing"));
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_METRICS__LISTEN", "127.0.0.1:0");
    let server = ServerProcess::start(command.envs([gate.variable()]));
    let key = server.key.clone().unwrap();
    let passwords = |users: usize| -> serde_json::Value {
        (0..users).map(|n| with_password(&format!("user{n}@example.com"), "kT9$wqzPlr")).collect()
    };
    let body = passwords(100).to_string();
    for _ in 0..5 {
        hang_up_at(&gate, &server, &key, &body).await;
    }
    let owner = server.actor(&key);
    a_hundred_requests_are_answered(&owner).await;
    let mut connection = database.connect().await.unwrap();
    let [users, members, hashes, _, events] = db_counts(&mut connection).await;
    assert_eq!([users, members, hashes, events], [50, 50, 0, 100], "nothing of the five batches exists");
    eventually("the batches are marked as failed", async || {
        owner.get("/api/v2/batches?state=running").await.json()["results"] == json!([])
    })
    .await;
    // Hashing stops when the clients disconnect: no later batch waits for 500 hashes.
    assert_eq!(owner.create(&passwords(50)).await.status, 200);
    let metrics = server.metrics().await;
    let hashed = metrics.lines().find_map(|line| line.strip_prefix("muster_hash_duration_seconds_count "));
    let hashed: usize = hashed.unwrap().parse().unwrap();
    assert!((50..300).contains(&hashed), "{hashed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_during_the_transaction_does_not_abort_it() {
    for step in ["batch::begun", "batch::inserted", "change::audited"] {
        let (database, gate) = (migrated_database().await, Gate::open(step));
        let mut command = muster();
        command
            .env("MUSTER_DATABASE__URL", url(&database))
            .env("MUSTER_DATABASE__BATCH_CONNECTIONS", "1")
            .env("MUSTER_DATABASE__CONNECTIONS", "2")
            .envs([gate.variable()]);
        let server = ServerProcess::start(&mut command);
        let key = server.key.clone().unwrap();
        let body = json!([sso("gone@example.com")]).to_string();
        hang_up_at(&gate, &server, &key, &body).await;
        a_hundred_requests_are_answered(&server.actor(&key)).await;
        let mut connection = database.connect().await.unwrap();
        assert_eq!(db_counts(&mut connection).await, [51, 51, 0, 51, 102], "{step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_its_connection_while_a_list_is_applied_leaves_all_of_it_or_nothing() {
    let (database, gate) = (migrated_database().await, Gate::open("change::written"));
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(&database))
        .env("MUSTER_DATABASE__BATCH_CONNECTIONS", "1")
        .env("MUSTER_DATABASE__CONNECTIONS", "2")
        .envs([gate.variable()]);
    let server = ServerProcess::start(&mut command);
    let key = server.key.clone().unwrap();
    let owner = server.actor(&key);
    let people: Vec<_> = (0..20).map(|n| sso(&format!("user{n}@example.com"))).collect();
    assert_eq!(owner.create(&json!(people)).await.status, 200);
    let changed: Vec<_> = (0..30)
        .map(|n| json!({"email": format!("user{n}@example.com"), "name": "Ada", "is_sso_user": true, "title": "Boss"}))
        .collect();
    let body = json!(changed).to_string();
    gate.close();
    let mut stream = TcpStream::connect(server.address).unwrap();
    let (path, length) = ("/api/v2/users/admin_batch_apply", body.len());
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    gate.reached().await;
    drop(stream);
    gate.release();
    a_hundred_requests_are_answered(&owner).await;
    let mut connection = database.connect().await.unwrap();
    let mut bosses = async || -> [i64; 2] {
        let query = "select array[(select count(*) from users where title = 'Boss'),
            (select count(*) from audit_events where action in ('user.update', 'user.create')
                and request_id = (select request_id from audit_events where action = 'user.batch_apply'))]";
        sqlx::query_scalar::<_, Vec<i64>>(query).fetch_one(&mut connection).await.unwrap().try_into().unwrap()
    };
    let left = bosses().await;
    assert!(left == [0, 0] || left == [30, 30], "{left:?}");
    // The same list again ends in the wished state.
    let again = owner.post(path, &json!(changed)).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!(bosses().await[0], 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_a_key_continues_after_a_disconnect_and_a_retry_gets_its_response() {
    let database = migrated_database().await;
    let gate = Gate::closed("batch::hashing");
    let server = ServerProcess::start(muster().env("MUSTER_DATABASE__URL", url(&database)).envs([gate.variable()]));
    let key = server.key.clone().unwrap();
    let users: Vec<_> = (0..100).map(|n| with_password(&format!("user{n}@example.com"), "kT9$wqzPlr")).collect();
    let body = json!(users).to_string();
    let (stream, start) = (send(&server, &key, "Idempotency-Key: one\r\n", &body), Instant::now());
    gate.reached().await;
    hang_up(&stream);
    drop(stream);
    gate.release();
    let answer = loop {
        let request = server.actor(&key).request("POST", BATCH).header("idempotency-key", "one");
        let answer = Actor::send(request.body(body.clone())).await;
        if answer.status != 409 {
            break answer;
        }
        assert_eq!(answer.error()["code"], "idempotency_key_in_use");
        assert!(start.elapsed() < TIMEOUT);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("idempotency-replayed"), "true");
    let mut connection = database.connect().await.unwrap();
    assert_eq!(db_counts(&mut connection).await, [100, 100, 100, 1, 101]);
}

/// Delays the commit of a revocation until the advisory lock is free, without time limits.
const SLOW_COMMIT: &str = "
    create function slow_commit() returns trigger language plpgsql as $$ begin
        if tg_when = 'BEFORE' then
            perform set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true);
        else
            perform pg_advisory_xact_lock(1);
        end if;
        return new;
    end $$;
    create trigger no_timeouts before update of revoked_at on api_keys
        for each row execute function slow_commit();
    create constraint trigger slow_commit after update of revoked_at on api_keys deferrable initially deferred
        for each row execute function slow_commit();
    select pg_advisory_lock(1)";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rejected_at_once_although_its_revoker_disconnected_during_the_commit() {
    let (database, gate) = (migrated_database().await, Gate::open("change::committed"));
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&database)).envs([gate.variable()]);
    let server = ServerProcess::start(command.stderr(Stdio::from(log.reopen().unwrap())));
    let owner = server.actor(&server.key.clone().unwrap());
    let created = owner.post("/api/v2/api_keys", &json!({"name": "leaked"})).await.json()["result"].clone();
    let leaked = server.actor(created["token"].as_str().unwrap());
    let mut rival = database.connect().await.unwrap();
    sqlx::raw_sql(SLOW_COMMIT).execute(&mut rival).await.unwrap();
    gate.close();
    let mut stream = TcpStream::connect(server.address).unwrap();
    let (path, token) = (format!("/api/v2/api_keys/{}", created["key_id"].as_str().unwrap()), owner.token());
    write!(stream, "DELETE {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    waits_for_a_lock(&database, 1).await;
    hang_up(&stream);
    drop(stream);
    eventually("the server notices that the client left", async || {
        std::fs::read_to_string(log.path()).unwrap().contains("status=499")
    })
    .await;
    // The key is still valid, and its holder is cached.
    assert_eq!(leaked.get("/api/v2/userinfo/").await.status, 200);
    sqlx::query("select pg_advisory_unlock(1)").execute(&mut rival).await.unwrap();
    gate.reached().await;
    assert_eq!(leaked.get("/api/v2/userinfo/").await.status, 401);
    gate.release();
}

/// A server whose leases outlast the test, held at a step, and its log.
async fn with_long_leases(step: &'static str) -> (ServerProcess, Gate, tempfile::NamedTempFile) {
    let (database, gate) = (migrated_database().await, Gate::closed(step));
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(&database))
        .env("MUSTER_BATCH__LEASE_SECONDS", "3600")
        .envs([gate.variable()])
        .stderr(log.reopen().unwrap());
    (ServerProcess::start(&mut command), gate, log)
}

/// Waits until the log says that a request has ended with this status.
async fn has_ended(log: &tempfile::NamedTempFile, status: u16) {
    let line = format!("route=\"{BATCH}\" status={status}");
    eventually("the request ends", async || std::fs::read_to_string(log.path()).unwrap().contains(&line)).await;
}

/// Sends another list with the key.
async fn is_free(owner: &Actor, key: &str) {
    let users = json!([sso("corrected@example.com")]).to_string();
    eventually("the Idempotency-Key is free", async || {
        let request = owner.request("POST", BATCH).header("idempotency-key", key).body(users.clone());
        let answer = Actor::send(request).await;
        if answer.status != 200 {
            assert_eq!(answer.error()["code"], "idempotency_key_reused", "{}", answer.text);
        }
        answer.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_while_its_rejected_list_is_released_frees_its_key() {
    let (server, gate, log) = with_long_leases("lease::releasing").await;
    let owner = server.actor(&server.key.clone().unwrap());
    let rejected = json!([{"name": "", "email": "x"}]).to_string();
    let stream = send(&server, owner.token(), "Idempotency-Key: one\r\n", &rejected);
    gate.reached().await;
    drop(stream);
    has_ended(&log, 499).await;
    gate.release();
    is_free(&owner, "one").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_ends_while_it_claims_its_key_frees_it() {
    // The client disconnects, or the request times out.
    for status in [499, 503] {
        let (server, gate, log) = with_long_leases("batch::claimed").await;
        let owner = server.actor(&server.key.clone().unwrap());
        let users = json!([sso("a@example.com")]).to_string();
        let stream = send(&server, owner.token(), "Idempotency-Key: one\r\n", &users);
        gate.reached().await;
        let stream = (status == 503).then_some(stream);
        has_ended(&log, status).await;
        gate.release();
        is_free(&owner, "one").await;
        drop(stream);
    }
}
