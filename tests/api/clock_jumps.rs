//! The clock of an instance that jumps by an hour, as when a virtual machine resumes: the database's clock decides what has expired.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use muster::clock::Clock;
use muster::secret::Secret;
use serde_json::{Value, json};

use crate::support::browser::{Browser, DEVICE, PASSWORD, SESSION};
use crate::support::gate::eventually;
use crate::support::idp::{CALLBACK, Idp, START};
use crate::support::{Answer, TestApp, sso, with_password};

/// The difference between the server's clock and that of its machine, until the server reads the database's clock the next time.
struct Jump(Arc<AtomicI64>);

impl Jump {
    async fn spawn() -> (Self, TestApp) {
        let difference = Arc::<AtomicI64>::default();
        let app = TestApp::spawn_at(Clock::Database(Arc::clone(&difference)), |config| {
            config.server.public_url = "http://127.0.0.1".to_owned();
            config.secrets.seal_key = Secret::new("a seal key that is long enough for the tests");
        })
        .await;
        (Self(difference), app)
    }

    fn by(&self, jump: TimeDelta) {
        self.0.store(jump.num_microseconds().unwrap(), Ordering::Relaxed);
    }
}

/// Longer than a session may be idle.
const FORWARD: TimeDelta = TimeDelta::minutes(61);
const BACK: TimeDelta = TimeDelta::minutes(-61);

/// The lifetime of the session's cookie in seconds.
fn max_age(answer: &Answer) -> i64 {
    let cookies = answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    let session = cookies.into_iter().find(|cookie| cookie.starts_with(&format!("{SESSION}="))).unwrap();
    session.rsplit_once("Max-Age=").unwrap().1.parse().unwrap()
}

/// S-22: nobody is signed out by a jump, and no session lives longer by one.
#[tokio::test]
async fn sessions_end_by_the_clock_of_the_database() {
    let (jump, app) = Jump::spawn().await;
    let (_, browser) = app.signed_in("ada@example.com").await;
    for by in [FORWARD, BACK] {
        for path in ["/api/v2/userinfo/", "/account", "/api/v2/users/sessions"] {
            app.app.holders.clear();
            jump.by(by);
            let answer = browser.get(path).await;
            assert_eq!(answer.status, 200, "{by} {path}: {}", answer.text);
        }
        jump.by(by);
        let answer = browser.sign_in("ada@example.com", PASSWORD).await;
        assert!((86_390..=86_400).contains(&max_age(&answer)), "{by}: {}", max_age(&answer));
    }

    // The use of a session is recorded by the database's clock.
    app.db_execute("update sessions set last_seen_at = last_seen_at - interval '2 minutes'").await;
    app.app.holders.clear();
    jump.by(FORWARD);
    assert_eq!(browser.get("/api/v2/userinfo/").await.status, 200);
    eventually("the use is recorded", async || {
        app.db_value::<bool>("select bool_or(last_seen_at > now() - interval '1 minute') from sessions").await
    })
    .await;
    let later: i64 = app
        .db_value(
            "select count(*) from sessions where last_seen_at > now() or idle_expires_at > now() + interval '1 hour'",
        )
        .await;
    assert_eq!(later, 0);

    // Half an hour after its end, while the server's clock is before it.
    app.db_execute("update sessions set idle_expires_at = now() - interval '30 minutes'").await;
    app.app.holders.clear();
    jump.by(BACK);
    let over = browser.get("/api/v2/userinfo/").await;
    assert_eq!((over.status, over.error()["detail"].as_str()), (401, Some("the session has expired; sign in again")));
}

/// S-30, S-32: a link works until the database's clock says that it has expired.
#[tokio::test]
async fn links_end_by_the_clock_of_the_database() {
    let (jump, app) = Jump::spawn().await;
    app.owner.create(&json!([with_password("ada@example.com", "")])).await;
    for (left, by, status) in [("30 minutes", FORWARD, 200), ("-30 minutes", BACK, 404)] {
        let token = app.link("ada@example.com").await;
        let mut connection = sqlx::ConnectOptions::connect(&app.database).await.unwrap();
        sqlx::query(
            "update password_links set created_at = now() - interval '1 day', expires_at = now() + $1::text::interval",
        )
        .bind(left)
        .execute(&mut connection)
        .await
        .unwrap();
        jump.by(by);
        let shown = app.anonymous().get(&format!("/api/v2/users/reset_password/{token}")).await;
        assert_eq!(shown.status, status, "{left}: {}", shown.text);
        jump.by(by);
        let body = json!({"token": token, "new_password": PASSWORD});
        let used = Browser::of(&app).post("/api/v2/users/reset_password", &body).await;
        assert_eq!(used.status, status, "{left}: {}", used.text);
        if status == 200 {
            assert!((86_390..=86_400).contains(&max_age(&used)), "{}", max_age(&used));
        } else {
            assert_eq!(used.error()["detail"], "the link has expired; ask for a new one");
        }
    }
}

/// S-9: an initial password works for 168 hours of the database.
#[tokio::test]
async fn initial_passwords_end_by_the_clock_of_the_database() {
    let (jump, app) = Jump::spawn().await;
    for (email, by, status) in [("early@example.com", FORWARD, 200), ("late@example.com", BACK, 401)] {
        app.owner.create(&json!([with_password(email, PASSWORD)])).await;
        match status {
            200 => app.db_execute("update passwords set set_at = now() - interval '167 hours 30 minutes'").await,
            _ => app.db_execute("update passwords set set_at = now() - interval '168 hours 30 minutes'").await,
        }
        jump.by(by);
        let answer = Browser::of(&app).sign_in(email, PASSWORD).await;
        assert_eq!(answer.status, status, "{email}: {}", answer.text);
        if status == 200 {
            let left =
                answer.json()["result"]["expires_at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap() - Utc::now();
            assert!((9..=10).contains(&left.num_minutes()), "{left}");
        }
    }
}

/// S-12, S-15: a jump gives no tokens back, takes none, and makes no known browser unknown.
#[tokio::test]
async fn the_throttle_runs_by_the_clock_of_the_database() {
    let (jump, app) = Jump::spawn().await;
    let (_, known) = app.signed_in("ada@example.com").await;
    for (email, by) in [("ada@example.com", FORWARD), ("eve@example.com", BACK)] {
        let stranger = Browser::of(&app);
        for _ in 0..10 {
            jump.by(by);
            assert_eq!(stranger.sign_in(email, "guess").await.status, 401, "{by}");
        }
        jump.by(by);
        let throttled = stranger.sign_in(email, "guess").await;
        assert_eq!(throttled.status, 429, "{by}: {}", throttled.text);
        let wait: u64 = throttled.header("retry-after").parse().unwrap();
        assert!((1..=30).contains(&wait), "{by}: {wait}");
    }
    for by in [FORWARD, BACK] {
        assert!(known.cookie(DEVICE).is_some());
        jump.by(by);
        let answer = known.sign_in("ada@example.com", PASSWORD).await;
        assert_eq!(answer.status, 200, "{by}: {}", answer.text);
    }
}

/// S-62, S-64: a sign-in through a provider that a jump interrupts is refused with a page at most, and the next one succeeds.
#[actix_web::test]
async fn a_sign_in_through_a_provider_survives_a_jump_or_is_refused() {
    let (jump, app) = Jump::spawn().await;
    let idp = Idp::start().await;
    idp.add_to(&app, |_| {}).await;
    app.owner.create(&json!([sso("ada@example.com")])).await;
    for (at_start, at_the_end) in [(TimeDelta::zero(), FORWARD), (TimeDelta::zero(), BACK), (BACK, TimeDelta::zero())] {
        let browser = Browser::of(&app);
        jump.by(at_start);
        let location = browser.depart(START).await;
        jump.by(at_the_end);
        let answer = browser.get(&format!("{CALLBACK}?{}", idp.agree(&location))).await;
        // The clock is corrected by the first time of the database that muster sees.
        let has_survived = answer.status == 303;
        let is_refused = [400, 403].contains(&answer.status);
        assert!(has_survived || is_refused, "{at_start} {at_the_end}: {} {}", answer.status, answer.text);
        assert_eq!(browser.cookie(SESSION).is_some(), has_survived);
        assert!(!answer.text.contains(" -"), "a negative duration: {}", answer.text);
        jump.by(TimeDelta::zero());
        let again = browser.sign_in_at(&idp).await;
        assert_eq!(again.status, 303, "{}", again.text);
        assert_eq!(browser.get("/api/v2/userinfo/").await.json()["result"]["email"], Value::from("ada@example.com"));
    }
}
