//! Sign-ins, passwords, links and sessions while the database is away: 503, nothing half done, and the next attempt succeeds.

use muster::postgres::EmbeddedPostgres;
use serde_json::{Value, json};
use sqlx::ConnectOptions;

use crate::database_away::stop;
use crate::support::browser::{Browser, PASSWORD};
use crate::support::gate::{Gate, eventually};
use crate::support::idp::{CALLBACK, Idp, SECRET, START};
use crate::support::server::{ServerProcess, muster};
use crate::support::{Actor, Answer, file, sso, with_password};

const OTHER: &str = "another-Harbor-Quill-27";
const LOGIN: &str = "/api/v2/users/login";
const CHANGE: &str = "/api/v2/users/change_password";
const RESET: &str = "/api/v2/users/reset_password";
const LINKS: &str = "/api/v2/users/password_links";
const END_ALL: &str = "/api/v2/users/sessions/end_all";

/// A server that can be held at a step, and its database, which can be stopped. Ada has chosen [`PASSWORD`], Lin signs in through the
/// identity provider.
struct Scene {
    gate: Gate,
    server: ServerProcess,
    cluster: EmbeddedPostgres,
    owner: Actor,
    idp: Idp,
    _dir: tempfile::TempDir,
}

impl Scene {
    async fn held_at(step: &'static str) -> Self {
        let (gate, idp) = (Gate::open(step), Idp::start().await);
        let dir = tempfile::Builder::new().prefix("muster-away-").tempdir_in("/tmp").unwrap();
        let path = std::env::var("PATH").unwrap();
        let cluster = EmbeddedPostgres::open(dir.path(), &path, &[("fsync", "off")]).await.unwrap();
        let socket = dir.path().join("run").to_str().unwrap().replace('/', "%2F");
        let command = || {
            let mut command = muster();
            command
                .env("MUSTER_DATABASE__URL", format!("postgres://muster@{socket}:5432/muster"))
                .env("MUSTER_SERVER__PUBLIC_URL", "http://127.0.0.1")
                .env("MUSTER_SECRETS__SEAL_KEY", "a seal key that is long enough for the tests")
                .envs([gate.variable()]);
            command
        };
        let server = ServerProcess::start(&mut command());
        let secret = file(SECRET.as_bytes(), ".secret");
        let added = command()
            .args(["sso", "provider", "add", "one", "--issuer", &idp.issuer, "--client-id", "muster"])
            .args(["--domain", "example.com", "--client-secret-file", secret.path().to_str().unwrap()])
            .output()
            .unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let owner = server.actor(&server.key.clone().unwrap());
        let people = json!([with_password("ada@example.com", ""), sso("lin@example.com")]);
        assert_eq!(owner.create(&people).await.status, 200);
        idp.script().claims = json!({ "sub": "lin-1", "email": "lin@example.com" });
        let scene = Self { gate, server, cluster, owner, idp, _dir: dir };
        let used = scene.browser().post(RESET, &json!({"token": scene.link().await, "new_password": PASSWORD})).await;
        assert_eq!(used.status, 200, "{}", used.text);
        scene
    }

    fn browser(&self) -> Browser {
        Browser::at_address(self.server.address)
    }

    /// A browser in which Ada is signed in.
    async fn ada(&self) -> Browser {
        let browser = self.browser();
        assert_eq!(browser.sign_in("ada@example.com", PASSWORD).await.status, 200);
        browser
    }

    async fn link(&self) -> String {
        let made = self.owner.post(LINKS, &json!({"users": [{"user": "ada@example.com"}]})).await.json();
        made["results"][0]["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    }

    /// Stops the database while the request is at the step, and starts it again after the response.
    async fn cut(&self, request: impl Future<Output = Answer> + Send + 'static) -> Answer {
        let before = self.state().await;
        self.gate.close();
        let asking = tokio::spawn(request);
        self.gate.reached().await;
        stop(&self.cluster).await;
        self.gate.release();
        let answer = asking.await.unwrap();
        self.restart().await;
        assert_eq!(self.state().await, before);
        answer
    }

    async fn end(self) {
        drop(self.server);
        self.cluster.close().await.unwrap();
    }

    async fn restart(&self) {
        self.cluster.keep_running().await.unwrap();
        eventually("the server is ready again", async || self.owner.get("/readyz").await.status == 200).await;
    }

    /// Sessions, passwords, links, identities, used responses of the provider, and successes in the audit log.
    async fn state(&self) -> Vec<String> {
        let mut connection = self.cluster.connect_options().connect().await.unwrap();
        sqlx::query_scalar(
            "select 'session ' || session_id || coalesce(end_reason, '') || encode(secret_sha256, 'hex') from sessions
             union all select 'password ' || user_id || phc from passwords
             union all select 'link ' || link_id || coalesce(used_at::text, '') || coalesce(revoked_at::text, '') from password_links
             union all select 'identity ' || identity_id from sso_identities
             union all select 'used ' || encode(digest, 'hex') from used_once
             union all select 'event ' || event_id from audit_events where outcome = 'success'
             order by 1",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap()
    }

    /// The tokens that are missing from the buckets: all of them return within this many minutes.
    async fn minutes_to_full_buckets(&self) -> i64 {
        let mut connection = self.cluster.connect_options().connect().await.unwrap();
        sqlx::query_scalar(
            "select coalesce(ceil(extract(epoch from max(full_at) - now()) / 60)::int8, 0) from throttles",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap()
    }
}

fn assert_unavailable(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 503, "{what}: {}", answer.text);
    assert_eq!(answer.header("retry-after"), "2", "{what}");
    assert!(
        !answer.headers.get_all("set-cookie").iter().any(|cookie| cookie.to_str().unwrap().contains("=ams_")),
        "{what}"
    );
    match answer.header("content-type") {
        "application/json" => {
            // The last one: the caller's access was confirmed before, so that only the commit was left.
            let due = [
                "the database can't be reached; nothing was written",
                "the database did not respond in time; nothing was written",
                "the database connection was lost during the commit; check whether the change was made before you retry",
            ]
            .map(|detail| json!({"code": "unavailable", "detail": detail}));
            assert!(due.contains(&answer.error()), "{what}: {}", answer.text);
        }
        _ => assert!(answer.text.contains("<h1>Please try again in a moment</h1>"), "{what}: {}", answer.text),
    }
}

/// Before the session of a password is written; on the page, too. A retry succeeds, and no token of the throttle is lost for long.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_whose_database_stops_after_the_hash_succeeds_later() {
    let scene = Scene::held_at("sign_in::verified").await;
    let login = json!({"email": "ada@example.com", "password": PASSWORD});
    let browser = scene.browser();
    let answer = scene
        .cut({
            let login = login.clone();
            async move { browser.post(LOGIN, &login).await }
        })
        .await;
    assert_unavailable(&answer, "login");
    let browser = scene.browser();
    let fields = [("email", "ada@example.com"), ("password", PASSWORD)];
    let answer = scene.cut(async move { browser.submit("/sign-in", &fields).await }).await;
    assert_unavailable(&answer, "/sign-in");
    // Two tokens of a day's 100, at most.
    assert!(scene.minutes_to_full_buckets().await <= 30);
    assert_eq!(scene.browser().post(LOGIN, &login).await.status, 200);
    scene.end().await;
}

/// Before a changed password is written: the session and the password stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_change_whose_database_stops_after_the_hash_changes_nothing() {
    let scene = Scene::held_at("password::hashed").await;
    let ada = scene.ada().await;
    let change = json!({"current_password": PASSWORD, "new_password": OTHER});
    let answer = scene
        .cut({
            let (ada, change) = (ada.clone(), change.clone());
            async move { ada.post(CHANGE, &change).await }
        })
        .await;
    assert_unavailable(&answer, CHANGE);
    let fields = [("current_password", PASSWORD), ("new_password", OTHER)];
    let answer = scene
        .cut({
            let ada = ada.clone();
            async move { ada.submit("/account/password", &fields).await }
        })
        .await;
    assert_unavailable(&answer, "/account/password");
    assert_eq!(ada.post(CHANGE, &change).await.status, 200);
    assert_eq!(scene.browser().sign_in("ada@example.com", OTHER).await.status, 200);
    scene.end().await;
}

/// Before the password of a link is written: the link stays open.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_whose_database_stops_after_the_hash_stays_open() {
    let scene = Scene::held_at("link::hashed").await;
    let token = scene.link().await;
    let (browser, using) = (scene.browser(), json!({"token": token, "new_password": OTHER}));
    let answer = scene
        .cut({
            let using = using.clone();
            async move { browser.post(RESET, &using).await }
        })
        .await;
    assert_unavailable(&answer, RESET);
    let (browser, path) = (scene.browser(), format!("/password/{token}"));
    let answer = scene.cut(async move { browser.submit(&path, &[("password", OTHER)]).await }).await;
    assert_unavailable(&answer, "/password/…");
    assert_eq!(scene.browser().post(RESET, &using).await.status, 200);
    assert_eq!(scene.browser().sign_in("ada@example.com", OTHER).await.status, 200);
    scene.end().await;
}

/// After the provider has told who signs in: neither the identity is bound nor the response used up.
#[tokio::test(flavor = "multi_thread")]
async fn a_callback_whose_database_stops_binds_nothing() {
    let scene = Scene::held_at("sso::matched").await;
    let browser = scene.browser();
    let callback = format!("{CALLBACK}?{}", scene.idp.agree(&browser.depart(START).await));
    let answer = scene
        .cut({
            let browser = browser.clone();
            async move { browser.get(&callback).await }
        })
        .await;
    assert_unavailable(&answer, CALLBACK);
    let again = browser.sign_in_at(&scene.idp).await;
    assert_eq!(again.status, 303, "{}", again.text);
    assert_eq!(browser.get("/api/v2/userinfo/").await.status, 200);
    scene.end().await;
}

/// Everything is written, and not committed.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_before_the_database_stops_is_rolled_back() {
    let scene = Scene::held_at("change::written").await;
    let (ada, token) = (scene.ada().await, scene.link().await);
    let posts = [
        (scene.browser(), LOGIN, json!({"email": "ada@example.com", "password": PASSWORD})),
        (ada.clone(), END_ALL, json!({"keep_this": true})),
        (ada.clone(), CHANGE, json!({"current_password": PASSWORD, "new_password": OTHER})),
        (scene.browser(), RESET, json!({"token": token, "new_password": PASSWORD})),
    ];
    for (browser, path, body) in &posts {
        let (browser, path, body) = (browser.clone(), *path, body.clone());
        let answer = scene.cut(async move { browser.post(path, &body).await }).await;
        assert_unavailable(&answer, path);
    }
    let links = json!({"users": [{"user": "ada@example.com"}]});
    // A list is retried for a second.
    let owner = scene.owner.clone();
    let answer = scene
        .cut({
            let links = links.clone();
            async move { owner.post(LINKS, &links).await }
        })
        .await;
    assert_unavailable(&answer, LINKS);
    let browser = scene.browser();
    let callback = format!("{CALLBACK}?{}", scene.idp.agree(&browser.depart(START).await));
    let answer = scene.cut(async move { browser.get(&callback).await }).await;
    assert_unavailable(&answer, CALLBACK);

    for (browser, path, body) in posts {
        let answer = browser.post(path, &body).await;
        // The link is revoked by the change of the password before.
        let due = if path == RESET { 404 } else { 200 };
        assert_eq!(answer.status, due, "{path}: {}", answer.text);
    }
    assert_eq!(scene.owner.post(LINKS, &links).await.status, 200);
    assert_eq!(scene.browser().sign_in_at(&scene.idp).await.status, 303);
    scene.end().await;
}

/// Nothing can be read: no request waits for long, and no token is taken.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_every_way_to_sign_in_is_unavailable() {
    let scene = Scene::held_at("none").await;
    let (ada, token) = (scene.ada().await, scene.link().await);
    let browser = scene.browser();
    let callback = format!("{CALLBACK}?{}", scene.idp.agree(&browser.depart(START).await));
    let before = scene.state().await;
    stop(&scene.cluster).await;
    // The session is forgotten after a second.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let posts = [
        (scene.browser(), LOGIN, json!({"email": "ada@example.com", "password": PASSWORD})),
        (ada.clone(), CHANGE, json!({"current_password": PASSWORD, "new_password": OTHER})),
        (ada.clone(), END_ALL, Value::Null),
        (ada.clone(), "/api/v2/users/logout", Value::Null),
        (scene.browser(), RESET, json!({"token": token, "new_password": OTHER})),
    ];
    let password_page = format!("/password/{token}");
    let forms = [
        (scene.browser(), "/sign-in", &[("email", "ada@example.com"), ("password", PASSWORD)][..]),
        (ada.clone(), "/account/password", &[("current_password", PASSWORD), ("new_password", OTHER)]),
        (ada.clone(), "/sign-out", &[]),
        (scene.browser(), password_page.as_str(), &[("password", OTHER)]),
    ];
    let api = futures_util::future::join_all(posts.iter().map(async |(browser, path, body)| {
        assert_unavailable(&browser.post(path, body).await, path);
    }));
    let pages = futures_util::future::join_all(forms.iter().map(async |(browser, path, fields)| {
        assert_unavailable(&browser.submit(path, fields).await, path);
    }));
    let gets = [callback.as_str(), "/account", "/sign-in/check", &password_page];
    let gets = futures_util::future::join_all(gets.map(|path| {
        let browser = if path == "/account" || path == "/sign-in/check" { &ada } else { &browser };
        async move { assert_unavailable(&browser.get(path).await, path) }
    }));
    tokio::join!(api, pages, gets);
    scene.restart().await;
    assert_eq!(scene.state().await, before);
    assert_eq!(ada.get("/account").await.status, 200, "still signed in");
    assert_eq!(ada.post(CHANGE, &json!({"current_password": PASSWORD, "new_password": OTHER})).await.status, 200);
    assert_eq!(scene.browser().sign_in_at(&scene.idp).await.status, 303);
    scene.end().await;
}
