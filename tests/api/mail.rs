//! S-37 to S-39, mail: links and notices that are queued with what they are about, and sent by a worker.

use std::sync::Arc;
use std::time::Duration;

use muster::app::App;
use muster::caller::PermissionLevel;
use muster::config::Config;
use muster::mail::Mailer;
use muster::secret::Secret;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::gate::eventually;
use crate::support::smtp::{Behavior, SmtpServer};
use crate::support::{Actor, Answer, TestApp, sso};

const LINKS: &str = "/api/v2/users/password_links";
const MAILS: &str = "/api/v2/mails";
const REQUEST_RESET: &str = "/api/v2/users/request_password_reset";
const PASSWORD: &str = "tidal-anchor-Plum-7";

fn configure(config: &mut Config, server: &SmtpServer) {
    config.mail.url = Secret::new(format!("smtp://{}", server.address));
    config.mail.from = "muster <muster@example.org>".to_owned();
    config.mail.plaintext = true;
    config.server.public_url = "https://muster.example.org".to_owned();
    config.secrets.seal_key = Secret::new("a seal key of at least 32 characters");
}

async fn spawn(server: &SmtpServer) -> TestApp {
    TestApp::spawn_with(|config| configure(config, server)).await
}

/// Runs the worker until the task is aborted.
fn work(app: &Arc<App>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(muster::mail::run(Arc::clone(app)))
}

fn user(email: &str) -> Value {
    json!({"name": "Ada", "email": email, "is_sso_user": false})
}

async fn create(app: &TestApp, users: &[Value]) {
    let created = app.owner.create(&json!(users)).await;
    assert_eq!(created.status, 200, "{}", created.text);
}

/// Sends links to users.
async fn send(app: &TestApp, emails: &[&str]) -> Vec<String> {
    let users: Vec<Value> = emails.iter().map(|email| json!({"user": email})).collect();
    let answer = app.owner.post(LINKS, &json!({"users": users, "send": true})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let links = answer.json()["results"].as_array().unwrap().clone();
    links.iter().map(|link| link["link"].as_str().unwrap().to_owned()).collect()
}

async fn mails(app: &TestApp, query: &str) -> Vec<Value> {
    let answer = app.owner.get(&format!("{MAILS}{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["results"].as_array().unwrap().clone()
}

/// Waits until the newest message is in a state, and returns it.
async fn newest(app: &TestApp, state: &str) -> Value {
    eventually(state, async || mails(app, "").await.first().is_some_and(|mail| mail["state"] == state)).await;
    mails(app, "").await.swap_remove(0)
}

async fn set_password(app: &TestApp, link: &str) -> Answer {
    let token = link.rsplit('/').next().unwrap();
    app.anonymous().post("/api/v2/users/reset_password", &json!({"token": token, "new_password": PASSWORD})).await
}

#[tokio::test]
async fn s_37_a_link_is_sent_and_the_database_has_no_secret_of_it() {
    let server = SmtpServer::start(Behavior::Accept).await;
    let app = spawn(&server).await;
    create(&app, &[user("ada@example.com")]).await;
    let links = send(&app, &["ada@example.com"]).await;
    let stored: String = app
        .db_value(
            "select (select row_to_json(m)::text from mails m) || (select row_to_json(l)::text from password_links l)",
        )
        .await;
    let secret = links[0].rsplit('_').next().unwrap();
    assert!(!stored.contains(&secret[..43]) && stored.contains("\"derived_key_id\":\"\\\\x"), "{stored}");
    assert_eq!(mails(&app, "").await[0]["state"], "queued", "before a worker runs");

    let worker = work(&app.app);
    let mail = newest(&app, "sent").await;
    let user_id = app.db_value::<String>("select user_id::text from mails").await.replace('-', "");
    assert_eq!((&mail["email"], &mail["kind"]), (&json!("ada@example.com"), &json!("link")));
    assert_eq!((&mail["attempts"], &mail["last_error"], &mail["next_at"]), (&json!(1), &Value::Null, &Value::Null));
    assert!(!user_id.is_empty() && mail["sent_at"].is_string() && mail["id"].as_str().unwrap().starts_with("mail_"));
    let received = server.received();
    assert_eq!((received.len(), received[0].to.as_str(), received[0].link()), (1, "ada@example.com", links[0].clone()));
    for header in [
        "From: muster <muster@example.org>\r\n",
        "To: ada@example.com\r\n",
        "Subject: Set your password\r\n",
        "Auto-Submitted: auto-generated\r\n",
        &format!("Message-ID: <{}@muster.example.org>\r\n", mail["id"].as_str().unwrap()),
    ] {
        assert!(received[0].message.contains(header), "{header}: {}", received[0].message);
    }

    assert_eq!(set_password(&app, &links[0]).await.status, 200);
    let notice = newest(&app, "sent").await;
    assert_eq!(notice["kind"], "password_changed");
    assert!(server.received()[1].message.contains("Subject: A new password was set\r\n"));
    assert!(!server.received()[1].text().contains("/password/"));
    worker.abort();
    let metrics = app.app.metrics.write(muster::metrics::Format::Text).unwrap();
    assert!(metrics.contains("muster_mails_total{outcome=\"sent\"} 2\n"), "{metrics}");
}

#[tokio::test]
async fn s_36_a_request_for_a_link_tells_nothing_and_only_people_with_passwords_get_one() {
    let server = SmtpServer::start(Behavior::Accept).await;
    let app = spawn(&server).await;
    create(&app, &[user("ada@example.com"), user("ben@example.com"), sso("cy@example.com")]).await;
    assert_eq!(
        app.owner.post("/api/v2/users/admin_batch_suspend", &json!([{"user": "ben@example.com"}])).await.status,
        200
    );
    let ask = async |email: &str| app.anonymous().post(REQUEST_RESET, &json!({"email": email})).await;
    let mut answers = Vec::new();
    for email in ["Ada@Example.com", "ben@example.com", "cy@example.com", "nobody@example.com", "no address", ""] {
        let answer = ask(email).await;
        answers.push((answer.status, answer.text));
    }
    let message = "if there is an account that can have a password, a link is on its way to its address";
    let expected = json!({"result": {"message": message}}).to_string();
    assert!(answers.iter().all(|answer| *answer == (202, expected.clone())), "{answers:?}");
    let worker = work(&app.app);
    let mail = newest(&app, "sent").await;
    assert_eq!((&mail["kind"], mails(&app, "").await.len()), (&json!("reset"), 1));
    let received = server.received();
    assert_eq!((received.len(), received[0].to.as_str()), (1, "ada@example.com"));
    let link = received[0].link();
    assert!(link.starts_with("https://muster.example.org/password/aml_"), "{link}");
    assert_eq!(set_password(&app, &link).await.status, 200);
    worker.abort();

    let events = app.owner.get("/api/v2/audit/events?action=password_reset.request").await.json();
    let events: Vec<Value> = events["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| json!([event["outcome"], event["reason"], event["actor_kind"]]))
        .collect();
    for event in [
        json!(["success", null, "system"]),
        json!(["denied", "suspended", "anonymous"]),
        json!(["denied", "sso_user", "anonymous"]),
        json!(["denied", "unknown_account", "anonymous"]),
    ] {
        assert!(events.contains(&event), "{event}: {events:?}");
    }

    // The throttle counts addresses, existing or not.
    for email in ["ada@example.com", "nobody@example.com"] {
        assert_eq!([ask(email).await.status, ask(email).await.status], [202, 202], "{email}");
        let answer = ask(email).await;
        assert_eq!((answer.status, &answer.error()["code"]), (429, &json!("throttled")), "{email}");
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=600).contains(&wait), "{wait}");
    }
}

#[tokio::test]
async fn s_36_without_mail_or_a_seal_key_nothing_is_promised() {
    let app = TestApp::spawn().await;
    create(&app, &[user("ada@example.com")]).await;
    let links = json!({"users": [{"user": "ada@example.com"}], "send": true});
    let reset = json!({"email": "ada@example.com"});
    for (actor, path, body) in [(&app.anonymous(), REQUEST_RESET, &reset), (&app.owner, LINKS, &links)] {
        let answer = actor.post(path, body).await;
        assert_eq!((answer.status, &answer.error()["code"]), (409, &json!("mail_not_configured")), "{path}");
    }
    assert_eq!(app.db_value::<i64>("select count(*) from password_links").await, 0);

    let server = SmtpServer::start(Behavior::Accept).await;
    let app = TestApp::spawn_with(|config| {
        configure(config, &server);
        config.secrets.seal_key = Secret::default();
    })
    .await;
    create(&app, &[user("ada@example.com")]).await;
    for (actor, path, body) in [(&app.anonymous(), REQUEST_RESET, &reset), (&app.owner, LINKS, &links)] {
        let answer = actor.post(path, body).await;
        assert_eq!((answer.status, &answer.error()["code"]), (409, &json!("seal_key_missing")), "{path}");
    }
}

#[tokio::test]
async fn s_38_a_failed_attempt_is_repeated_later_unless_the_server_says_never() {
    let server = SmtpServer::start(Behavior::Reply("RCPT", "451 4.7.1 greylisted")).await;
    let app = spawn(&server).await;
    create(&app, &[user("ada@example.com"), user("ben@example.com")]).await;
    let worker = work(&app.app);
    let link = send(&app, &["ada@example.com"]).await;
    let has_failed = async || mails(&app, "?state=queued").await.first().is_some_and(|mail| mail["attempts"] == 1);
    eventually("the first attempt", has_failed).await;
    let mail = mails(&app, "").await.swap_remove(0);
    let reason = mail["last_error"].as_str().unwrap();
    assert!(reason.contains("451") && reason.contains("greylisted"), "{reason}");
    let seconds = app.db_value::<f64>("select extract(epoch from next_at - now())::float8 from mails").await;
    assert!((30.0..=60.0).contains(&seconds), "{seconds}");
    // The credentials of muster are wrong: that is no reason to give a message up.
    server.set(Behavior::Reply("EHLO", "535 5.7.8 wrong"));
    app.db_execute("update mails set next_at = now()").await;
    eventually("the second attempt", async || {
        mails(&app, "?state=queued").await.first().is_some_and(|mail| mail["attempts"] == 2)
    })
    .await;
    let seconds = app.db_value::<f64>("select extract(epoch from next_at - now())::float8 from mails").await;
    assert!((270.0..=300.0).contains(&seconds), "{seconds}");

    server.set(Behavior::Reply("RCPT", "550 5.1.1 no such user"));
    app.db_execute("update mails set next_at = now()").await;
    let mail = newest(&app, "failed").await;
    assert!(mail["last_error"].as_str().unwrap().contains("no such user"), "{mail}");
    server.set(Behavior::Accept);
    let retry = format!("{MAILS}/{}/retry", mail["id"].as_str().unwrap());
    let answer = app.owner.post(&retry, &Value::Null).await;
    assert_eq!((answer.status, &answer.json()["result"]["attempts"]), (200, &json!(0)), "{}", answer.text);
    newest(&app, "sent").await;
    assert_eq!(server.received()[0].link(), link[0]);
    let answer = app.owner.post(&retry, &Value::Null).await;
    let detail = "the message is sent; only a failed one can be sent again";
    assert_eq!((answer.status, &answer.error()["detail"]), (409, &json!(detail)));
    assert_eq!(
        app.owner.post(&format!("{MAILS}/mail_01k9h6m3x0e8wbz1v5n7q2r4t6/retry"), &Value::Null).await.status,
        404
    );
    let answer = app.owner.get(&format!("{MAILS}?state=lost")).await;
    assert_eq!(
        (answer.status, &answer.error()["detail"]),
        (400, &json!("invalid `state`; expected one of queued, sending, sent, failed"))
    );
    let events = app.owner.get("/api/v2/audit/events?action=mail.retry&count=1").await.json();
    assert_eq!(events["results"][0]["outcome"], "rejected");
    worker.abort();
}

#[tokio::test]
async fn s_38_a_message_is_not_sent_once_its_link_is_over() {
    let server = SmtpServer::start(Behavior::Accept).await;
    let app = spawn(&server).await;
    create(&app, &[user("ada@example.com"), user("ben@example.com"), user("cy@example.com")]).await;
    let first = send(&app, &["ada@example.com"]).await;
    let second = send(&app, &["ada@example.com", "ben@example.com", "cy@example.com"]).await;
    assert_ne!(first[0], second[0]);
    assert_eq!(set_password(&app, &second[1]).await.status, 200);
    let suspended = app.owner.post("/api/v2/users/admin_batch_suspend", &json!([{"user": "cy@example.com"}])).await;
    assert_eq!(suspended.status, 200, "{}", suspended.text);
    let worker = work(&app.app);
    eventually("the queue is empty", async || {
        mails(&app, "?state=queued").await.is_empty() && mails(&app, "?state=sending").await.is_empty()
    })
    .await;
    worker.abort();
    let links: Vec<String> =
        server.received().iter().filter(|mail| mail.text().contains("/password/")).map(|mail| mail.link()).collect();
    assert_eq!(links, [second[0].clone()]);
    let failed = mails(&app, "?state=failed").await;
    assert_eq!(failed.len(), 3);
    let why = "the link has expired or was used, replaced or revoked before it was sent";
    assert!(failed.iter().all(|mail| mail["last_error"] == why), "{failed:?}");
    let retry = app.owner.post(&format!("{MAILS}/{}/retry", failed[0]["id"].as_str().unwrap()), &Value::Null).await;
    assert_eq!((retry.status, &retry.error()["code"]), (409, &json!("conflict")));
}

#[tokio::test]
async fn s_38_another_instance_sends_what_a_dead_one_has_leased_and_two_send_each_message_once() {
    let server = SmtpServer::start(Behavior::Accept).await;
    let app = spawn(&server).await;
    let other =
        TestApp::spawn_on(app.database.clone(), app.app.clock.clone(), |config| configure(config, &server)).await;
    let emails: Vec<String> = (0..25).map(|n| format!("user{n}@example.com")).collect();
    create(&app, &emails.iter().map(|email| user(email)).collect::<Vec<_>>()).await;
    let emails: Vec<&str> = emails.iter().map(String::as_str).collect();
    let links = send(&app, &emails).await;
    // Its instance died with the lease of one, and is sending another.
    app.db_execute(
        "update mails set state = 'sending', attempts = 1, lease_until = now() + case when to_address = 'user0@example.com' \
         then interval '-1 second' else interval '1 hour' end where to_address in ('user0@example.com', 'user1@example.com')",
    )
    .await;
    let workers = [work(&app.app), work(&other.app)];
    eventually("all messages are sent", async || server.received().len() >= 24).await;
    eventually("all are marked", async || {
        app.db_value::<i64>("select count(*) from mails where state = 'sent'").await == 24
    })
    .await;
    workers.iter().for_each(|worker| worker.abort());
    let mut sent: Vec<String> = server.received().iter().map(|mail| mail.link()).collect();
    let mut expected: Vec<String> =
        links.into_iter().enumerate().filter(|(n, _)| *n != 1).map(|(_, link)| link).collect();
    sent.sort();
    expected.sort();
    assert_eq!(sent, expected, "each once, and the same link from both instances");
}

#[tokio::test]
async fn s_39_a_hostile_server_gets_no_credentials_and_holds_nobody_up() {
    let mailer = |server: &SmtpServer, plaintext: bool| {
        let mut config = Config::built_in().unwrap();
        configure(&mut config, server);
        config.mail.url = Secret::new(format!("smtp://ada:hunter2@{}", server.address));
        config.mail.plaintext = plaintext;
        Mailer::new(&config).unwrap().unwrap()
    };
    let limit = Duration::from_secs(1);
    // Without STARTTLS.
    let server = SmtpServer::start(Behavior::Accept).await;
    let error = mailer(&server, false).send_test("ada@example.com").await.unwrap_err();
    assert!(error.to_string().contains("STARTTLS is not supported"), "{error}");
    assert!(!server.commands().iter().any(|command| command == "AUTH" || command == "MAIL"), "{:?}", server.commands());
    // One that says that it can, and continues in clear text.
    let server =
        SmtpServer::start(Behavior::Reply("EHLO", "250-mail.example.org\r\n250-AUTH PLAIN\r\n250 STARTTLS")).await;
    let error = mailer(&server, false).check(Duration::from_secs(5)).await.unwrap_err();
    assert!(!error.is_permanent, "{error}");
    assert!(!server.commands().iter().any(|command| command == "AUTH"), "{:?}", server.commands());
    for behavior in [Behavior::SilentAt(""), Behavior::SilentAt("EHLO")] {
        let server = SmtpServer::start(behavior).await;
        let error = mailer(&server, true).check(limit).await.unwrap_err();
        assert_eq!(error.to_string(), "the server did not respond within 1 seconds", "{behavior:?}");
    }
    for behavior in [
        Behavior::CloseAt(""),
        Behavior::CloseAt("EHLO"),
        Behavior::Reply("", "554 no"),
        Behavior::Reply("EHLO", "\u{7}\u{0}"),
        Behavior::Reply("EHLO", "999999999 what"),
    ] {
        let server = SmtpServer::start(behavior).await;
        let error = mailer(&server, true).check(limit).await.unwrap_err().to_string();
        assert!(
            !error.is_empty() && error.len() <= 900 && !error.contains(char::is_control),
            "{behavior:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn s_51_owners_are_told_that_a_recovery_link_was_used() {
    let server = SmtpServer::start(Behavior::Accept).await;
    let app = spawn(&server).await;
    app.person("olga@example.com", PermissionLevel::Owner).await;
    let (user_id, _) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let operator = muster::organizations::operator(&app.app).await.unwrap();
    let link = muster::links::recover(&app.app, &operator, user_id.parse().unwrap()).await.unwrap();
    let answer = set_password(&app, link.token.expose()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let worker = work(&app.app);
    eventually("both owners get mail", async || server.received().len() == 2).await;
    worker.abort();
    let mut to: Vec<String> = server.received().into_iter().map(|mail| mail.to).collect();
    to.sort();
    assert_eq!(to, ["administrator@muster.invalid", "olga@example.com"]);
}

#[tokio::test]
async fn only_owners_see_mail_and_old_messages_are_deleted() {
    let server = SmtpServer::start(Behavior::Accept).await;
    let app = spawn(&server).await;
    create(&app, &[user("ada@example.com"), user("ben@example.com")]).await;
    send(&app, &["ada@example.com", "ben@example.com"]).await;
    let collaborator: Actor = app.actor(PermissionLevel::Collaborator).await;
    assert_eq!(collaborator.get(MAILS).await.status, 403);
    let page = app.owner.get(&format!("{MAILS}?count=1")).await.json();
    let token = page["metadata"]["next_paging_token"].as_str().unwrap();
    assert_eq!(mails(&app, &format!("?count=1&paging_token={token}")).await[0]["email"], "ada@example.com");
    app.db_execute(
        "update mails set state = 'failed', next_at = now() - interval '31 days' where to_address = 'ada@example.com'",
    )
    .await;
    let housekeeping = tokio::spawn(muster::jobs::run_housekeeping(app.app.clone()));
    eventually("the old message is deleted", async || mails(&app, "").await.len() == 1).await;
    housekeeping.abort();
    let user_id = mails(&app, "").await[0]["user_id"].as_str().unwrap().to_owned();
    assert_eq!(app.owner.delete(&format!("/api/v2/users/{user_id}")).await.status, 204);
    assert_eq!(app.db_value::<i64>("select count(*) from mails").await, 0);
}

/// The page for a forgotten password asks for the organization only if the page before does not know it.
#[tokio::test]
async fn the_page_for_a_forgotten_password_knows_the_organization_of_the_sign_in_page() {
    let server = SmtpServer::start(Behavior::Accept).await;
    let app = spawn(&server).await;
    let browser = Browser::of(&app);
    let way =
        |page: &str| page.split_once(r#"<a href="password/forgot"#).unwrap().1.split_once('"').unwrap().0.to_owned();
    assert_eq!(way(&browser.get("/sign-in?organization=default").await.text), "");
    let operator = muster::organizations::operator(&app.app).await.unwrap();
    muster::organizations::create(&app.app, &operator, "Second & Co", &"second".parse().unwrap()).await.unwrap();
    assert_eq!(way(&browser.get("/sign-in").await.text), "");
    let named = "?organization=Second%20%26%20Co";
    assert_eq!(way(&browser.get(&format!("/sign-in{named}")).await.text), named);
    let fields = [("email", "ada@example.com"), ("password", "a guess"), ("organization", "Second & Co")];
    assert_eq!(way(&browser.submit("/sign-in", &fields).await.text), named);
    let form = browser.get(&format!("/password/forgot{named}")).await;
    assert!(form.text.contains(r#"name="organization" value="Second &#38; Co""#), "{}", form.text);
}

/// S-36, section 6: the page for a forgotten password sends a link, and says the same for an address that nobody has.
#[tokio::test]
async fn the_page_for_a_forgotten_password_sends_a_link() {
    let server = SmtpServer::start(Behavior::Accept).await;
    let app = spawn(&server).await;
    create(&app, &[user("ada@example.com")]).await;
    let browser = Browser::of(&app);
    let form = browser.get("/password/forgot").await;
    assert!(form.text.contains("Send a link"), "{}", form.text);
    let pages = [
        browser.submit("/password/forgot", &[("email", "ada@example.com")]).await,
        browser.submit("/password/forgot", &[("email", "nobody@example.com")]).await,
    ];
    for page in &pages {
        assert_eq!(page.status, 202, "{}", page.text);
        assert!(page.text.contains("If the address belongs to an account"), "{}", page.text);
    }
    eventually("a message is queued", async || !mails(&app, "").await.is_empty()).await;
    assert_eq!(mails(&app, "").await.len(), 1);
    for _ in 0..2 {
        browser.submit("/password/forgot", &[("email", "ada@example.com")]).await;
    }
    let throttled = browser.submit("/password/forgot", &[("email", "ada@example.com")]).await;
    assert_eq!(throttled.status, 429);
    assert!(throttled.text.contains("Too many requests."), "{}", throttled.text);
}

/// A link that anybody can ask for does not replace one that an administrator or the operator gave; a used one ends all.
#[tokio::test]
async fn asking_for_a_link_revokes_no_link_that_was_given() {
    let server = SmtpServer::start(Behavior::Accept).await;
    let app = spawn(&server).await;
    create(&app, &[user("ada@example.com")]).await;
    let given = app.link("ada@example.com").await;
    let ask = json!({"email": "ada@example.com"});
    for _ in 0..2 {
        assert_eq!(app.anonymous().post("/api/v2/users/request_password_reset", &ask).await.status, 202);
    }
    let open = async || {
        app.db_value::<Vec<String>>(
            "select coalesce(array_agg(purpose order by purpose desc), '{}') from password_links
             where used_at is null and revoked_at is null",
        )
        .await
    };
    eventually("two links are open", async || open().await == ["set", "reset"]).await;
    let used = Browser::of(&app)
        .post("/api/v2/users/reset_password", &json!({"token": given, "new_password": PASSWORD}))
        .await;
    assert_eq!(used.status, 200, "{}", used.text);
    assert!(open().await.is_empty());
}
