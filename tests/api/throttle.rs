//! Limits of attempts to sign in: S-10 to S-17 of the sign-in contract that HTTP shows.

use std::sync::Arc;

use muster::clock::Clock;
use muster::secret::Secret;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::browser::{Browser, DEVICE, PASSWORD};
use crate::support::gate::eventually;
use crate::support::{Answer, TestApp};

/// The number of single passwords that can be queued.
const PLACES: usize = 64;

/// S-10: with too many passwords ahead, a sign-in is refused with the time to come back, and its tokens are given back.
#[tokio::test]
async fn a_sign_in_that_finds_no_place_costs_nothing() {
    let app = TestApp::spawn_with(|config| config.passwords.threads = 1).await;
    app.signed_in("ada@example.com").await;
    // The token of her link.
    app.db_execute("delete from throttles").await;
    // Each takes as long as an imported hash may: one is verified, and the others have all places.
    let costly = format!("$argon2id$v=19$m=262144,t=10,p=1${}${}", "A".repeat(22), "A".repeat(43));
    let hasher = &app.app.hasher;
    let mut verifying = JoinSet::new();
    eventually("all places are taken", async || {
        while verifying.len() <= PLACES {
            let (hasher, stored) = (Arc::clone(hasher), costly.clone());
            verifying.spawn(async move { hasher.verify(Secret::new("a password"), stored).await });
        }
        tokio::task::yield_now().await;
        // Those that found no place.
        while verifying.try_join_next().is_some() {}
        verifying.len() == PLACES + 1 && hasher.waiting().singles == PLACES
    })
    .await;
    let answer = Browser::of(&app).sign_in("ada@example.com", PASSWORD).await;
    verifying.shutdown().await;
    assert_eq!((answer.status, &answer.error()["code"]), (503, &json!("overloaded")), "{}", answer.text);
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(
        answer.error()["detail"]
            .as_str()
            .unwrap()
            .starts_with("the password hashing queue is full; nothing was written; ")
    );
    assert_eq!(app.db_value::<i64>("select count(*) from throttles where full_at > clock_timestamp()").await, 0);
}

/// S-12, S-13, S-16: 40 guesses at once are 10 hashes, an unknown account is throttled alike, and a success gives its token back.
#[tokio::test]
async fn guesses_at_an_account_are_throttled() {
    let app = TestApp::spawn().await;
    app.signed_in("ada@example.com").await;
    for _ in 0..12 {
        assert_eq!(Browser::of(&app).sign_in("ada@example.com", PASSWORD).await.status, 200);
    }
    for email in ["ada@example.com", "nobody@example.com"] {
        let guesses = (0..40).map(|n| {
            let browser = Browser::of(&app);
            async move { browser.sign_in(email, &format!("guess {n}")).await }
        });
        let answers = futures_util::future::join_all(guesses).await;
        let refused = answers.iter().filter(|answer| answer.status == 401).count();
        let throttled: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 429).collect();
        assert_eq!((refused, throttled.len()), (10, 30), "{email}");
        let first = throttled[0];
        assert_eq!(first.error()["code"], "throttled");
        let wait: u64 = first.header("retry-after").parse().unwrap();
        assert!((1..=30).contains(&wait), "{wait}");
    }
    // The right password does not help a stranger's browser now.
    assert_eq!(Browser::of(&app).sign_in("ada@example.com", PASSWORD).await.status, 429);
}

/// S-12: tokens that were taken while the database's clock was ahead don't lock anybody out once it is right.
#[tokio::test]
async fn a_clock_of_the_database_that_was_ahead_locks_nobody_out() {
    let app = TestApp::spawn().await;
    app.signed_in("ada@example.com").await;
    assert_eq!(Browser::of(&app).sign_in("ada@example.com", "guess").await.status, 401);
    app.db_execute("update throttles set full_at = full_at + interval '10 days'").await;
    assert_eq!(Browser::of(&app).sign_in("ada@example.com", PASSWORD).await.status, 200);
    // The limit is that of any other day.
    let mut statuses = Vec::new();
    for _ in 0..11 {
        statuses.push(Browser::of(&app).sign_in("ada@example.com", "guess").await.status);
    }
    assert_eq!(statuses, [&[401; 10][..], &[429]].concat());
}

/// S-15: a browser in which the user has signed in has buckets of its own, until the password changes.
#[tokio::test]
async fn a_known_device_is_not_locked_out() {
    let app = TestApp::spawn().await;
    let (_, known) = app.signed_in("ada@example.com").await;
    for _ in 0..10 {
        assert_eq!(Browser::of(&app).sign_in("ada@example.com", "guess").await.status, 401);
    }
    assert_eq!(Browser::of(&app).sign_in("ada@example.com", PASSWORD).await.status, 429);
    assert_eq!(known.sign_in("ada@example.com", PASSWORD).await.status, 200);
    let device = known.cookie(DEVICE).unwrap();
    // The cookie is of one account.
    app.signed_in("eve@example.com").await;
    for _ in 0..10 {
        Browser::of(&app).sign_in("eve@example.com", "guess").await;
    }
    let of_another = Browser::of(&app);
    of_another.set_cookie(DEVICE, &device);
    assert_eq!(of_another.sign_in("eve@example.com", PASSWORD).await.status, 429);
    app.signed_in_by_link("ada@example.com").await;
    let stale = Browser::of(&app);
    stale.set_cookie(DEVICE, &device);
    assert_eq!(stale.sign_in("ada@example.com", PASSWORD).await.status, 429);
}

/// S-12: two instances on one database share the buckets.
#[tokio::test]
async fn two_instances_throttle_together() {
    let app =
        TestApp::spawn_with(|config| config.secrets.server_key = muster::secret::Secret::new("k".repeat(32))).await;
    let other = TestApp::spawn_on(app.database.clone(), Clock::System, |config| {
        config.secrets.server_key = muster::secret::Secret::new("k".repeat(32));
    })
    .await;
    app.signed_in("ada@example.com").await;
    let guesses = (0..30).map(|n| {
        let browser = Browser::of(if n % 2 == 0 { &app } else { &other });
        async move { browser.sign_in("ada@example.com", &format!("guess {n}")).await.status }
    });
    let statuses = futures_util::future::join_all(guesses).await;
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10);
}

/// S-14: a network is throttled by failures only.
#[tokio::test]
async fn a_network_signs_in_as_often_as_it_likes_and_fails_some_times() {
    let app = TestApp::spawn_with(|config| config.sign_in.network_burst = 3).await;
    app.signed_in("ada@example.com").await;
    for _ in 0..5 {
        assert_eq!(Browser::of(&app).sign_in("ada@example.com", PASSWORD).await.status, 200);
    }
    for n in 0..3 {
        assert_eq!(Browser::of(&app).sign_in(&format!("{n}@example.com"), "guess").await.status, 401);
    }
    assert_eq!(Browser::of(&app).sign_in("ada@example.com", PASSWORD).await.status, 429);
}

/// S-17: the throttle can be switched off.
#[tokio::test]
async fn without_the_throttle_every_guess_is_hashed() {
    let app = TestApp::spawn_with(|config| config.sign_in.throttle = false).await;
    for _ in 0..12 {
        assert_eq!(Browser::of(&app).sign_in("nobody@example.com", "guess").await.status, 401);
    }
}
