//! Links to set passwords: the requirements S-29 to S-34, and S-51.

use std::sync::{Arc, Mutex};

use muster::caller::PermissionLevel;
use muster::clock::Clock;
use muster::links;
use serde_json::{Value, json};

use crate::support::browser::{Browser, PASSWORD, SESSION};
use crate::support::{Answer, TestApp, sso, with_password};

const LINKS: &str = "/api/v2/users/password_links";
const RESET: &str = "/api/v2/users/reset_password";

async fn set(app: &TestApp, token: &str) -> Answer {
    Browser::of(app).post(RESET, &json!({"token": token, "new_password": PASSWORD})).await
}

/// S-29, S-32: links are made for a list, in its order; using one sets the password, signs in, and works once.
#[tokio::test]
async fn a_link_sets_a_password_once() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([with_password("ada@example.com", ""), with_password("bob@example.com", "")])).await;
    let made = app
        .owner
        .post(
            LINKS,
            &json!({"users": [{"user": "bob@example.com"}, {"user": "ada@example.com"}], "expires_in_hours": 1}),
        )
        .await;
    assert_eq!(made.status, 200, "{}", made.text);
    let body = made.json();
    assert_eq!(
        body["metadata"],
        json!({
            "total": 2, "skipped": 0, "with_password": 0, "next_paging_token": null,
            "warning": format!("the links begin with `http://{}`, which only this machine can open; set `server.public_url` to the address for everybody", app.address),
        })
    );
    let emails: Vec<&Value> = body["results"].as_array().unwrap().iter().map(|link| &link["email"]).collect();
    assert_eq!(emails, ["bob@example.com", "ada@example.com"]);
    let link = body["results"][1]["link"].as_str().unwrap();
    let token = link.strip_prefix(&format!("http://{}/password/", app.address)).unwrap();
    assert!(token.starts_with("aml_"));
    // S-31: reading consumes nothing.
    for _ in 0..3 {
        let shown = app.anonymous().get(&format!("{RESET}/{token}")).await;
        assert_eq!((shown.status, &shown.json()["result"]["email"]), (200, &json!("ada@example.com")));
    }
    let weak = Browser::of(&app).post(RESET, &json!({"token": token, "new_password": "ada@example.com"})).await;
    assert_eq!((weak.status, weak.error()["code"].as_str()), (422, Some("password_rejected")));
    let browser = Browser::of(&app);
    let used = browser.post(RESET, &json!({"token": token, "new_password": PASSWORD})).await;
    assert_eq!((used.status, &used.json()["result"]["stage"]), (200, &json!("full")));
    assert_eq!(browser.get("/api/v2/userinfo/").await.json()["result"]["email"], "ada@example.com");
    let again = set(&app, token).await;
    assert_eq!(
        (again.status, again.error()["detail"].as_str()),
        (404, Some("the link has been used; sign in with the password that was set, or ask for a new link"))
    );
    assert!(!app.db_value::<bool>("select must_change from passwords").await);
    let log = app.owner.get("/api/v2/audit/events?action=password_link.use").await.json();
    let success =
        log["results"].as_array().unwrap().iter().find(|event| event["outcome"] == "success").unwrap().clone();
    assert_eq!(success["details"]["ended_sessions"], 0);
    assert!(!log.to_string().contains("aml_") && !log.to_string().contains("ada@"));
}

/// S-29: all or none, with a finding for each user who can't use a link.
#[tokio::test]
async fn who_can_not_use_a_link_is_a_finding() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([with_password("ada@example.com", ""), sso("sso@example.com")])).await;
    let (suspended, _) = app.signed_in("suspended@example.com").await;
    app.owner.post(&format!("/api/v2/users/{suspended}/suspend"), &Value::Null).await;
    app.owner.post("/api/v2/users/service_accounts?name=robot", &Value::Null).await;
    let robot: String = app.db_value("select email from users where is_service_account").await;
    let users = json!({"users": [
        {"user": "ada@example.com"}, {"user": "sso@example.com"}, {"user": "nobody@example.com"}, {"user": "ADA@example.com"},
        {"user": "suspended@example.com"}, {"user": robot}, {"user": "no reference"},
    ]});
    let rejected = app.owner.post(LINKS, &users).await;
    assert_eq!(rejected.status, 422, "{}", rejected.text);
    let error = rejected.error();
    let found: Vec<(u64, &str)> = error["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["index"].as_u64().unwrap(), row["code"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            (1, "sso_user"),
            (2, "unknown_user"),
            (3, "user_duplicate"),
            (4, "suspended"),
            (5, "service_account"),
            (6, "user_invalid")
        ]
    );
    assert_eq!(
        app.db_value::<i64>("select count(*) from password_links where revoked_at is null and used_at is null").await,
        0
    );
    let empty = app.owner.post(LINKS, &json!({"users": []})).await;
    assert_eq!(empty.error()["code"], "empty_batch");
    let neither = app.owner.post(LINKS, &json!({})).await;
    assert_eq!(neither.error()["detail"], "name either `users` or `batch_id`");
    let long = app.owner.post(LINKS, &json!({"users": [{"user": "ada@example.com"}], "expires_in_hours": 721})).await;
    assert_eq!(long.error()["detail"], "`expires_in_hours` must be from 1 to 720");
}

/// S-29: for a batch, its users who can use a link get one, until they have chosen a password.
#[tokio::test]
async fn a_batch_gets_links_for_those_who_need_one() {
    let app = TestApp::spawn().await;
    let mut imported = with_password("eve@example.com", "");
    imported["password_hash"] = json!("$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW");
    let users = json!([
        with_password("ada@example.com", ""),
        sso("sso@example.com"),
        with_password("bob@example.com", PASSWORD),
        imported
    ]);
    let batch = app.owner.create(&users).await.json()["metadata"]["batch_id"].clone();
    let make = async || {
        let made = app.owner.post(LINKS, &json!({"batch_id": batch})).await;
        let links = made.json()["results"].as_array().cloned().unwrap_or_default();
        let emails: Vec<String> = links.iter().map(|link| link["email"].as_str().unwrap().to_owned()).collect();
        let metadata = &made.json()["metadata"];
        (emails, metadata["skipped"].clone(), metadata["with_password"].clone(), links)
    };
    let (emails, skipped, with_password, links) = make().await;
    assert_eq!(emails, ["ada@example.com", "bob@example.com"], "an initial password is no password of one's own");
    assert_eq!((skipped, with_password), (json!(1), json!(1)));
    let choose = async |link: &Value| {
        let token = link["link"].as_str().unwrap().rsplit('/').next().unwrap();
        let body = json!({"token": token, "new_password": "tidal-anchor-Plum-91"});
        assert_eq!(app.anonymous().post(RESET, &body).await.status, 200);
    };
    choose(&links[1]).await;
    let (emails, skipped, with_password, links) = make().await;
    assert_eq!(emails, ["ada@example.com"]);
    assert_eq!((skipped, with_password), (json!(1), json!(2)));
    choose(&links[0]).await;
    let nobody = app.owner.post(LINKS, &json!({"batch_id": batch})).await;
    assert_eq!(
        (nobody.status, nobody.error()["detail"].as_str()),
        (
            409,
            Some(
                "no user of the batch needs a link and can use one: they have a password, sign in through the identity provider, \
                 are suspended, have expired, or were deleted"
            )
        )
    );
    let unknown = app.owner.post(LINKS, &json!({"batch_id": "bat_01k9h6m3x0e8wbz1v5n7q2r4t6"})).await;
    assert_eq!(unknown.status, 404);
}

/// S-30: a new link replaces the open one; expired, revoked and unknown links say so, the last to nobody.
#[tokio::test]
async fn only_the_latest_link_works() {
    let time = Arc::new(Mutex::new(chrono::Utc::now()));
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&time)), |_| {}).await;
    app.owner.create(&json!([with_password("ada@example.com", "")])).await;
    let (first, second) = (app.link("ada@example.com").await, app.link("ada@example.com").await);
    let detail = async |token: &str| {
        let answer = app.anonymous().get(&format!("{RESET}/{token}")).await;
        assert_eq!(answer.status, 404);
        answer.error()["detail"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        detail(&first).await,
        "the link was revoked or replaced by a newer one; use the latest link or ask for a new one"
    );
    let wrong = muster::links::Token::generate(
        muster::links::Token::parse(&second).unwrap().organization_id,
        muster::links::Token::parse(&second).unwrap().id,
    );
    assert_eq!(detail(wrong.text().expose()).await, "unknown link; check that the whole link was copied");
    assert_eq!(detail("aml_nonsense").await, "invalid link; check that the whole link was copied");
    *time.lock().unwrap() += chrono::TimeDelta::hours(73);
    assert_eq!(detail(&second).await, "the link has expired; ask for a new one");
}

/// S-31: a scanner of mail that opens a link again and again, also at once, leaves it open.
#[tokio::test]
async fn a_link_that_scanners_opened_still_works() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([with_password("ada@example.com", "")])).await;
    let token = app.link("ada@example.com").await;
    let before: String = app.db_value("select l::text from password_links l").await;
    let opened = (0..20).flat_map(|_| ["GET", "HEAD"]).flat_map(|method| {
        [format!("/password/{token}"), format!("{RESET}/{token}")].map(|path| {
            let scanner = app.anonymous();
            async move { crate::support::Actor::send(scanner.request(method, &path)).await.status }
        })
    });
    let statuses = futures_util::future::join_all(opened).await;
    assert_eq!(statuses, [200; 80]);
    assert_eq!(app.db_value::<String>("select l::text from password_links l").await, before);
    assert_eq!(set(&app, &token).await.status, 200);
}

/// A link is of one organization: with the right secret and another organization, or the link of another, it is unknown.
#[tokio::test]
async fn a_link_of_another_organization_is_unknown() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([with_password("ada@example.com", "")])).await;
    let token = app.link("ada@example.com").await;
    let operator = muster::organizations::operator(&app.app).await.unwrap();
    muster::organizations::create(&app.app, &operator, "Second", &"second".parse().unwrap()).await.unwrap();
    let mut moved = links::Token::parse(&token).unwrap();
    let second: uuid::Uuid =
        app.db_value("select organization_id from organizations where public_identifier = 'second'").await;
    moved.organization_id = muster::id::Id::from_uuid(second);
    let answer = set(&app, moved.text().expose()).await;
    let due = json!({"code": "not_found", "detail": "unknown link; check that the whole link was copied"});
    assert_eq!((answer.status, answer.error()), (404, due));
    assert_eq!(set(&app, &token).await.status, 200);
}

/// S-32: of two at once, one wins, and the password is that one's.
#[tokio::test]
async fn a_link_is_used_once_by_concurrent_requests() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([with_password("ada@example.com", "")])).await;
    let token = app.link("ada@example.com").await;
    let passwords =
        ["tidal-anchor-Plum-91", "another-Harbor-Quill-27", "third-Meadow-Lamp-58", "fourth-Copper-Sail-33"];
    let uses = passwords.map(|password| {
        let (browser, body) = (Browser::of(&app), json!({"token": token, "new_password": password}));
        async move { browser.post(RESET, &body).await.status }
    });
    let statuses = futures_util::future::join_all(uses).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    let winner = statuses.iter().position(|status| *status == 200).unwrap();
    for (place, password) in passwords.iter().enumerate() {
        let status = Browser::of(&app).sign_in("ada@example.com", password).await.status;
        assert_eq!(status, if place == winner { 200 } else { 401 });
    }
}

/// S-30, what ends what: a suspension, a new address and a switch to single sign-on revoke the open link.
#[tokio::test]
async fn a_link_ends_with_what_it_rests_on() {
    let app = TestApp::spawn().await;
    let revoked = "the link was revoked or replaced by a newer one; use the latest link or ask for a new one";
    for (change, why) in [
        ("suspend", "the account is suspended; ask an administrator"),
        ("address", revoked),
        ("sso", "the account signs in through the organization's identity provider; sign in there"),
    ] {
        let email = format!("{change}@example.com");
        let (user_id, browser) = app.signed_in(&email).await;
        let token = app.link(&email).await;
        let path = format!("/api/v2/users/{user_id}");
        let patch = |body: Value| app.owner.request("PATCH", &path).body(body.to_string());
        let changed = match change {
            "suspend" => app.owner.request("POST", &format!("{path}/suspend")),
            "address" => patch(json!({"email": "moved@example.com"})),
            _ => patch(json!({"is_sso_user": true})),
        };
        assert_eq!(crate::support::Actor::send(changed).await.status, 200, "{change}");
        let over = set(&app, &token).await;
        assert_eq!((over.status, over.error()["detail"].as_str()), (404, Some(why)), "{change}");
        let mut guessed = links::Token::parse(&token).unwrap();
        guessed = links::Token::generate(guessed.organization_id, guessed.id);
        let unknown = set(&app, guessed.text().expose()).await;
        assert_eq!(unknown.error()["detail"], "unknown link; check that the whole link was copied", "{change}");
        let session = browser.get("/api/v2/userinfo/").await.status;
        assert_eq!(session, if change == "address" { 200 } else { 401 }, "{change}");
    }
}

/// S-29, S-48: only owners make links; those of owners need a recent sign-in.
#[tokio::test]
async fn links_of_owners_need_a_recent_sign_in() {
    let app = TestApp::spawn().await;
    app.person("boss@example.com", PermissionLevel::Owner).await;
    app.db_execute("update users set is_sso_user = false where email = 'boss@example.com'").await;
    let (_, ada) = app.signed_in("ada@example.com").await;
    let of = |email: &str| json!({"users": [{"user": email}]});
    assert_eq!(ada.post(LINKS, &of("ada@example.com")).await.status, 403);
    let boss = app.signed_in_by_link("boss@example.com").await;
    assert_eq!(boss.post(LINKS, &of("boss@example.com")).await.status, 200);
    app.db_execute("update sessions set authenticated_at = authenticated_at - interval '16 minutes'").await;
    app.app.holders.clear();
    assert_eq!(boss.post(LINKS, &of("ada@example.com")).await.status, 200);
    let denied = boss.post(LINKS, &of("boss@example.com")).await;
    assert_eq!((denied.status, denied.error()["code"].as_str()), (403, Some("reauthentication_needed")));
}

/// S-51: a link of the local operator lets a user with single sign-on in, for an hour, without a password.
#[tokio::test]
async fn the_operator_lets_a_user_with_single_sign_on_back_in() {
    let app = TestApp::spawn().await;
    let (user_id, _) = app.person("boss@example.com", PermissionLevel::Owner).await;
    let operator = muster::organizations::operator(&app.app).await.unwrap();
    let link = links::recover(&app.app, &operator, user_id.parse().unwrap()).await.unwrap();
    assert_eq!((link.expires_at - chrono::Utc::now()).num_minutes(), 14);
    let browser = Browser::of(&app);
    let used = browser.post(RESET, &json!({"token": link.token.expose(), "new_password": ""})).await;
    assert_eq!(used.status, 200, "{}", used.text);
    assert_eq!(browser.get("/api/v2/audit/events").await.status, 200);
    assert!(browser.cookie(SESSION).is_some());
    let row: String = app.db_value("select method || ' ' || (expires_at - created_at)::text from sessions").await;
    assert_eq!(row, "recovery 01:00:00");
    assert_eq!(app.db_value::<i64>("select count(*) from passwords").await, 0);
    let log = app.owner.get("/api/v2/audit/events?action=session.start").await.json();
    assert_eq!(log["results"][0]["details"], json!({"method": "recovery", "stage": "full"}));
}

/// Attempts with one link are limited, on two instances together: each makes muster check a password. Correct ones, too.
#[tokio::test]
async fn attempts_with_a_link_are_limited() {
    let key = |config: &mut muster::config::Config| {
        config.secrets.server_key = muster::secret::Secret::new("k".repeat(32));
    };
    let app = TestApp::spawn_with(key).await;
    let other = TestApp::spawn_on(app.database.clone(), Clock::System, key).await;
    app.owner.create(&json!([with_password("ada@example.com", ""), with_password("bob@example.com", "")])).await;
    let (token, another) = (app.link("ada@example.com").await, app.link("bob@example.com").await);
    let weak = json!({"token": token, "new_password": "ada@example.com"});
    for n in 0..10 {
        let browser = Browser::of(if n % 2 == 0 { &app } else { &other });
        assert_eq!(browser.post(RESET, &weak).await.status, 422);
    }
    let limited = Browser::of(&other).post(RESET, &json!({"token": token, "new_password": PASSWORD})).await;
    assert_eq!((limited.status, limited.error()["code"].as_str()), (429, Some("throttled")));
    assert!((1..=6).contains(&limited.header("retry-after").parse::<u64>().unwrap()));
    // Looking is free, and another link is not affected.
    assert_eq!(app.anonymous().get(&format!("{RESET}/{token}")).await.status, 200);
    assert_eq!(set(&app, &another).await.status, 200);
}
