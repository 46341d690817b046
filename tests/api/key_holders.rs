//! Holders of API keys are cached for less than a second: the queries that this saves, and the delays that it must not cause.

use std::time::{Duration, Instant};

use muster::caller::PermissionLevel;
use muster::clock::Clock;
use serde_json::{Value, json};

use crate::support::gate::{TIMEOUT, eventually};
use crate::support::{Actor, TestApp};

/// A route that needs the caller and nothing else.
const ME: &str = "/api/v2/userinfo/check_is_feature_flag_on";

/// The number of lookups of API keys by id, from PostgreSQL's statistics. Each backend buffers its counters, so the
/// backends of all connections are made to flush them.
async fn lookups(app: &TestApp) -> i64 {
    let mut connections = Vec::new();
    let pool = &app.served.reserved;
    for _ in 0..pool.size() {
        let mut connection = pool.acquire().await.unwrap();
        sqlx::query("select pg_stat_force_next_flush()").execute(&mut *connection).await.unwrap();
        connections.push(connection);
    }
    app.db_value("select idx_scan from pg_stat_user_indexes where indexrelname = 'api_keys_pkey'").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_use_is_looked_up_about_once_a_second_whatever_the_traffic() {
    let app = TestApp::spawn().await;
    assert_eq!(app.owner.get(ME).await.status, 200);
    let recorded = "select count(*) from api_keys where last_used_at is not null";
    eventually("the first use of the key is recorded", async || app.db_value::<i64>(recorded).await == 1).await;
    let before = lookups(&app).await;
    // A holder is cached for 0.95 s after it was requested.
    let lifetime = Duration::from_millis(950);
    let start = Instant::now();
    let (mut requests, mut least, mut looked_up_before) = (0_u32, 0_u32, None);
    while start.elapsed() < Duration::from_secs(3) || requests < 100 {
        let sent = Instant::now();
        assert_eq!(app.owner.get(ME).await.status, 200);
        requests += 1;
        // Between two requests that are so far apart, however long they took, the holder expired.
        if looked_up_before.is_none_or(|latest| sent.duration_since(latest) >= lifetime) {
            least += u32::from(looked_up_before.is_some());
            looked_up_before = Some(Instant::now());
        }
    }
    let most = start.elapsed().as_secs_f64() / lifetime.as_secs_f64() + 1.0;
    let made = u32::try_from(lookups(&app).await - before).unwrap();
    assert!(made >= least && f64::from(made) <= most, "{made} lookups, not {least} to {most}");
    assert!(least >= 1 && f64::from(requests) > 2.0 * most, "too few requests: {requests}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_rejected_here_at_once_and_on_another_instance_within_a_second() {
    let one = TestApp::spawn().await;
    let other = TestApp::spawn_on(one.database.clone(), Clock::System, |_| {}).await;
    for _ in 0..3 {
        let made = one.owner.post("/api/v2/api_keys", &json!({"name": "ci"})).await.json()["result"].clone();
        let here = one.anonymous().with_token(made["token"].as_str().unwrap());
        let there = other.at(&here);
        // Cached on both, and in use on the other throughout.
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let using = {
            let (there, stop) = (there.clone(), stop.clone());
            tokio::spawn(async move {
                let mut latest = Instant::now();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let asked = Instant::now();
                    if there.get(ME).await.status == 200 {
                        latest = asked;
                    }
                }
                latest
            })
        };
        assert_eq!(here.get(ME).await.status, 200);
        tokio::time::sleep(Duration::from_millis(700)).await;
        let path = format!("/api/v2/api_keys/{}", made["key_id"].as_str().unwrap());
        assert_eq!(one.owner.delete(&path).await.status, 200);
        let revoked = Instant::now();
        assert_eq!(here.get(ME).await.status, 401);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let latest = using.await.unwrap();
        assert!(latest.saturating_duration_since(revoked) < Duration::from_secs(1), "{:?}", latest - revoked);
        assert_eq!(there.get(ME).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_from_before_a_change_is_not_cached_after_the_change() {
    let app = TestApp::spawn().await;
    for n in 0..20 {
        let made = app.owner.post("/api/v2/api_keys", &json!({"name": "ci"})).await.json()["result"].clone();
        let holder = app.anonymous().with_token(made["token"].as_str().unwrap());
        let asking: Vec<_> = (0..4)
            .map(|_| {
                let holder = holder.clone();
                tokio::spawn(async move { holder.get(ME).await.status })
            })
            .collect();
        tokio::time::sleep(Duration::from_micros(n * 100)).await;
        let path = format!("/api/v2/api_keys/{}", made["key_id"].as_str().unwrap());
        assert_eq!(app.owner.delete(&path).await.status, 200);
        for asked in asking {
            asked.await.unwrap();
        }
        assert_eq!(holder.get(ME).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_cached_callers_are_served_for_less_than_a_second() {
    // On a busy machine, the holder may expire before the next request.
    eventually("a cached holder is served", async || served_without_the_database().await > 0).await;
}

/// The number of requests that a server serves without its database.
async fn served_without_the_database() -> u32 {
    let app = TestApp::spawn().await;
    assert_eq!(app.owner.get(ME).await.status, 200);
    let cached = Instant::now();
    app.served.close().await;
    let stranger = app.anonymous().with_token(&unknown(&app.owner));
    assert_eq!(stranger.get(ME).await.status, 503);
    let (mut served, mut latest) = (0, cached);
    loop {
        let asked = Instant::now();
        let answer = app.owner.get(ME).await;
        if answer.status != 200 {
            assert_eq!((answer.status, answer.error()["code"].as_str()), (503, Some("unavailable")));
            break;
        }
        (served, latest) = (served + 1, asked);
        assert!(cached.elapsed() < TIMEOUT, "the cached holder does not expire");
    }
    assert!(latest - cached < Duration::from_secs(1), "{served} in {:?}", latest - cached);
    served
}

/// A well-formed token of the same organization that was never issued.
fn unknown(actor: &Actor) -> String {
    let real = muster::keys::Token::parse(actor.token()).unwrap();
    muster::keys::Token::generate(real.organization_id, muster::id::Id::new(chrono::DateTime::UNIX_EPOCH))
        .text()
        .expose()
        .to_owned()
}

#[tokio::test]
async fn an_expired_key_is_rejected_at_once_even_if_its_holder_is_cached() {
    let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let clock = std::sync::Arc::new(std::sync::Mutex::new(now));
    let app = TestApp::spawn_at(Clock::Manual(std::sync::Arc::clone(&clock)), |_| {}).await;
    let (holder, _) = app.actor_for(PermissionLevel::Collaborator, chrono::Duration::seconds(60)).await;
    let look = async |at| {
        *clock.lock().unwrap() = at;
        holder.get(ME).await
    };
    assert_eq!(look(now).await.status, 200);
    assert_eq!(look(now + chrono::Duration::microseconds(59_999_999)).await.status, 200);
    let answer = look(now + chrono::Duration::seconds(60)).await;
    assert_eq!((answer.status, answer.error()["detail"].clone()), (401, Value::from("the API key has expired")));
}
