//! `Idempotency-Key`: a retried request is executed once.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{Actor, Answer, BATCH, TestApp, sso, with_password};

/// Sends a batch with a raw idempotency key.
async fn keyed(actor: &Actor, key: &str, users: &Value) -> Answer {
    let request = actor.request("POST", BATCH).header("idempotency-key", key);
    Actor::send(request.body(users.to_string())).await
}

fn replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

#[tokio::test]
async fn a_retry_gets_the_same_bytes_and_creates_no_users() {
    let app = TestApp::spawn().await;
    let users = json!([with_password("a@example.com", "kT9$wqzPlr"), sso("Zoë@example.com")]);
    let first = keyed(&app.owner, "one", &users).await;
    assert_eq!((first.status, replayed(&first)), (200, false), "{}", first.text);
    assert_eq!(app.db_counts().await, [2, 2, 1, 1, 3]);
    // Later changes of the user don't change the stored response.
    app.db_execute("update users set name = 'Changed'").await;
    for key in ["one", "\"one\""] {
        let again = keyed(&app.owner, key, &users).await;
        assert_eq!((again.status, replayed(&again)), (200, true));
        assert_eq!(again.text, first.text);
    }
    assert_eq!(app.db_counts().await, [2, 2, 1, 1, 3]);
}

#[tokio::test]
async fn a_key_reused_for_a_changed_request_is_rejected_without_details() {
    let app = TestApp::spawn().await;
    let users = json!([with_password("a@example.com", "kT9$wqzPlr")]);
    assert_eq!(keyed(&app.owner, "one", &users).await.status, 200);
    let before = app.db_counts().await;
    let other = keyed(&app.owner, "one", &json!([with_password("a@example.com", "kT9$wqzPlR")])).await;
    assert_eq!(other.status, 422);
    assert_eq!(
        other.error(),
        json!({
            "code": "idempotency_key_reused",
            "detail": "this Idempotency-Key was used for a different request; use a new key",
        })
    );
    assert_eq!(app.db_counts().await, before);
}

#[tokio::test]
async fn idempotency_keys_are_scoped_to_the_caller() {
    let app = TestApp::spawn().await;
    let other = app.actor(muster::caller::PermissionLevel::Owner).await;
    let users = json!([sso("a@example.com")]);
    assert_eq!(keyed(&app.owner, "one", &users).await.status, 200);
    let answer = keyed(&other, "one", &users).await;
    assert_eq!((answer.status, answer.error()["code"].as_str()), (409, Some("batch_conflict")));
}

#[tokio::test]
async fn a_rejected_request_does_not_use_its_key_up() {
    let app = TestApp::spawn().await;
    for (users, status) in [(json!([sso("no address")]), 422), (json!([]), 400), (json!({}), 400)] {
        assert_eq!(keyed(&app.owner, "one", &users).await.status, status);
    }
    assert_eq!(app.db_counts().await, [0, 0, 0, 0, 0]);
    assert_eq!(keyed(&app.owner, "one", &json!([sso("a@example.com")])).await.status, 200);
    // A conflict is not stored either: the address may become available.
    assert_eq!(keyed(&app.owner, "two", &json!([sso("a@example.com")])).await.status, 409);
    app.db_execute("delete from users where email = 'a@example.com'").await;
    assert_eq!(keyed(&app.owner, "two", &json!([sso("a@example.com")])).await.status, 200);
}

#[tokio::test]
async fn a_malformed_key_is_rejected() {
    let app = TestApp::spawn().await;
    let users = json!([sso("a@example.com")]);
    let long = "k".repeat(256);
    for key in ["", "\"\"", "a b", "\"open", "a\tb", &long] {
        let answer = keyed(&app.owner, key, &users).await;
        assert_eq!(answer.status, 400, "{key:?}");
        assert_eq!(
            answer.error(),
            json!({
                "code": "invalid_request",
                "detail": "`Idempotency-Key` must be 1 to 255 visible ASCII characters, such as a UUID",
            }),
            "{key:?}"
        );
    }
    let latin = reqwest::header::HeaderValue::from_bytes(b"k\xe4y").unwrap();
    let request = app.owner.request("POST", BATCH).header("idempotency-key", latin).body(users.to_string());
    assert_eq!(Actor::send(request).await.status, 400);
    let twice = app.owner.request("POST", BATCH).header("idempotency-key", "a").header("idempotency-key", "b");
    let twice = Actor::send(twice.body(users.to_string())).await;
    assert_eq!((twice.status, twice.error()["detail"].as_str()), (400, Some("header `Idempotency-Key` is repeated")));
    assert_eq!(app.db_counts().await, [0, 0, 0, 0, 0]);
    assert_eq!(keyed(&app.owner, &"k".repeat(255), &users).await.status, 200);
}

#[tokio::test]
async fn a_request_in_progress_is_distinguished_from_a_conflict() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    let users: Vec<Value> = (0..150).map(|n| with_password(&format!("user{n}@example.com"), "kT9$wqzPlr")).collect();
    let users = json!(users);
    let first = tokio::spawn({
        let (owner, users) = (app.owner.clone(), users.clone());
        async move { keyed(&owner, "one", &users).await }
    });
    while app.owner.get("/api/v2/batches?state=running").await.json()["results"] == json!([]) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let second = keyed(&app.owner, "one", &users).await;
    assert_eq!((second.status, second.error()["code"].as_str()), (409, Some("idempotency_key_in_use")));
    assert_eq!(second.header("retry-after"), "1");
    drop(held);
    let first = first.await.unwrap();
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(keyed(&app.owner, "one", &users).await.text, first.text);
}

#[tokio::test]
async fn stored_fingerprints_do_not_allow_guessing_the_request() {
    use sha2::{Digest, Sha256};
    let app = TestApp::spawn().await;
    let users = json!([with_password("a@example.com", "kT9$wqzPlr")]).to_string();
    let file = b"the file";
    let request = app
        .owner
        .request("POST", BATCH)
        .header("idempotency-key", "one")
        .header("muster-file-sha256", hex(&Sha256::digest(file)));
    assert_eq!(Actor::send(request.body(users.clone())).await.status, 200);
    let row: String = app.db_value("select batches::text from batches").await;
    for guess in [Sha256::digest(users.as_bytes()), Sha256::digest(file), Sha256::digest(b"kT9$wqzPlr")] {
        assert!(!row.contains(&hex(&guess)), "{row}");
    }
    assert!(!row.contains("kT9$wqzPlr"));
    // Servers with different keys store different fingerprints.
    let other = TestApp::spawn().await;
    assert_eq!(keyed(&other.owner, "one", &serde_json::from_str(&users).unwrap()).await.status, 200);
    let kept = "select encode(fingerprint, 'hex') from batches";
    assert_ne!(app.db_value::<String>(kept).await, other.db_value::<String>(kept).await);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_key_expires() {
    let clock = std::sync::Arc::new(std::sync::Mutex::new(Utc::now()));
    let app = TestApp::spawn_at(muster::clock::Clock::Manual(clock.clone()), |_| {}).await;
    let users = json!([sso("a@example.com")]);
    assert_eq!(keyed(&app.owner, "one", &users).await.status, 200);
    let forward = |hours| *clock.lock().unwrap() += TimeDelta::hours(hours);
    forward(23);
    assert!(replayed(&keyed(&app.owner, "one", &users).await));
    forward(2);
    // Now a new request, which conflicts with its own users.
    assert_eq!(keyed(&app.owner, "one", &users).await.error()["code"], "batch_conflict");
    assert_eq!(keyed(&app.owner, "one", &json!([sso("b@example.com")])).await.status, 200);
    assert_eq!(app.db_value::<i64>("select count(*) from batches where response is not null").await, 1);
}

#[tokio::test]
async fn a_retry_does_not_recreate_an_undone_batch() {
    let app = TestApp::spawn().await;
    let users = json!([sso("a@example.com")]);
    let first = keyed(&app.owner, "one", &users).await.json();
    let batch = first["metadata"]["batch_id"].as_str().unwrap().to_owned();
    let undo = app.owner.request("POST", &format!("/api/v2/batches/{batch}/undo"));
    assert_eq!(Actor::send(undo).await.status, 200);
    let again = keyed(&app.owner, "one", &users).await;
    assert_eq!(again.status, 409);
    assert_eq!(
        again.error(),
        json!({
            "code": "conflict",
            "detail": format!("batch {batch} of this Idempotency-Key is undone; use a new key to create it again"),
        })
    );
    assert_eq!(keyed(&app.owner, "two", &users).await.status, 200);
}

#[tokio::test]
async fn an_old_fingerprint_key_is_accepted_while_it_is_listed() {
    let (old, new) = ("an old key that has been in use for long", "a new key that came in its place today..");
    let database = crate::support::migrated_database().await;
    let app = |keys: String| {
        let database = database.clone();
        async move {
            TestApp::spawn_on(database, muster::clock::Clock::System, |config| {
                config.secrets.server_key = muster::secret::Secret::new(keys);
            })
            .await
        }
    };
    let users = json!([sso("a@example.com")]);
    let first = app(old.to_owned()).await;
    let answer = keyed(&first.owner, "one", &users).await;
    assert_eq!(answer.status, 200);
    let both = app(format!("{new}\n{old}")).await;
    let owner = both.at(&first.owner);
    assert_eq!(keyed(&owner, "one", &users).await.text, answer.text);
    let only_new = app(new.to_owned()).await;
    let refused = keyed(&only_new.at(&first.owner), "one", &users).await;
    assert_eq!((refused.status, refused.error()["code"].as_str()), (422, Some("idempotency_key_reused")));
    assert!(refused.text.contains("secrets.server_key"), "{}", refused.text);
}

#[tokio::test]
async fn a_retry_does_not_restart_a_canceled_batch() {
    let app = TestApp::spawn().await;
    let users: Value = (0..200).map(|n| with_password(&format!("user{n}@example.com"), "kT9$wqzPlr")).collect();
    let request = app.owner.request("POST", BATCH).header("prefer", "respond-async").header("idempotency-key", "one");
    let accepted = Actor::send(request.body(users.to_string())).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let cancel = app.owner.request("POST", &format!("{}/cancel", accepted.header("location")));
    let cancelled = Actor::send(cancel).await;
    assert_eq!(cancelled.status, 200);
    let batch = cancelled.json()["result"]["batch_id"].as_str().unwrap().to_owned();
    for prefer in ["respond-async", "return=minimal"] {
        let request = app.owner.request("POST", BATCH).header("prefer", prefer).header("idempotency-key", "one");
        let again = Actor::send(request.body(users.to_string())).await;
        assert_eq!(again.status, 409);
        assert_eq!(
            again.error(),
            json!({
                "code": "conflict",
                "detail": format!("batch {batch} of this Idempotency-Key is cancelled; use a new key to create it again"),
            })
        );
    }
    assert_eq!(app.db_counts().await[0], 0);
    assert_eq!(keyed(&app.owner, "two", &json!([sso("a@example.com")])).await.status, 200);
}

#[tokio::test]
async fn a_keyed_request_can_be_read_while_its_client_waits() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    let users: Value = (0..150).map(|n| with_password(&format!("user{n}@example.com"), "kT9$wqzPlr")).collect();
    let waiting = tokio::spawn({
        let owner = app.owner.clone();
        async move { keyed(&owner, "one", &users).await.status }
    });
    let seen = loop {
        let running = app.owner.get("/api/v2/batches?state=running").await.json()["results"].clone();
        if running[0]["user_count"].as_u64().is_some_and(|count| count > 0) {
            break running[0].clone();
        }
        assert!(!waiting.is_finished());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    assert_eq!((seen["user_count"].as_u64(), seen["hash_count"].as_u64()), (Some(150), Some(150)));
    drop(held);
    assert_eq!(waiting.await.unwrap(), 200);
}
