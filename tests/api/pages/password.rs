use muster::caller::PermissionLevel;
use muster::keys::KeySpec;
use serde_json::json;

use super::{Browser, PASSWORD, SESSION, event, heading, link, spawn, title, user};
use crate::support::{TestApp, sso};

const NEW: &str = "seven purple walrus lanterns";

/// S-29 to S-33: opening changes nothing; a new password uses the link up, ends other sessions and signs in.
#[tokio::test]
async fn a_link_sets_a_password_once_and_signs_in() {
    let app = spawn().await;
    let user_id = user(&app, "ada@example.com", "collaborator").await;
    let elsewhere = Browser::of(&app);
    elsewhere.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    let path = link(&app, "ada@example.com").await;
    let browser = Browser::of(&app);
    for method in ["GET", "HEAD", "GET"] {
        let page = browser.send(browser.bare(method, &path)).await;
        assert_eq!(page.status, 200);
        assert_eq!((page.header("referrer-policy"), page.header("cache-control")), ("same-origin", "no-store"));
    }
    let page = browser.get(&path).await;
    assert_eq!(heading(&page), "Choose a password");
    for part in
        ["value=\"ada@example.com\"", "autocomplete=\"new-password\"", "At least 8 characters and hard to guess"]
    {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    let page = browser.submit(&path, &[("password", "ada@example.com")]).await;
    assert_eq!((page.status, title(&page)), (422, "Error: Choose a password · muster"));
    let why = "Too easy to guess: common, a pattern, or your name or address; use several unrelated words.";
    for part in ["role=\"alert\"", why, "aria-describedby=\"rule problem\" aria-invalid=\"true\""] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    assert!(!page.text.contains("value=\"\""), "no password comes back");

    let answer = browser.submit(&path, &[("password", NEW)]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "../sign-in/check"));
    let check = browser.get("/sign-in/check").await;
    assert_eq!((check.status, check.header("location")), (303, "../"));
    assert!(browser.get("/account").await.text.contains("with a link"));
    assert_eq!(elsewhere.get("/account").await.status, 303, "the other session has ended");
    assert_eq!(event(&app, "password_link.use").await["target_id"], user_id);
    let page = browser.submit(&path, &[("password", NEW)]).await;
    assert_eq!((page.status, heading(&page)), (404, "This link can’t be used"));
    assert!(page.text.contains("The link has been used"), "{}", page.text);
    assert_eq!(Browser::of(&app).sign_in_on_page("ada@example.com", NEW, "").await, "../");
}

/// S-30: a link that is over says why, only with its secret.
#[tokio::test]
async fn a_link_that_is_over_says_why() {
    let app = spawn().await;
    user(&app, "ada@example.com", "collaborator").await;
    let browser = Browser::of(&app);
    let replaced = link(&app, "ada@example.com").await;
    let expired = link(&app, "ada@example.com").await;
    app.db_execute("update password_links set created_at = created_at - interval '9 days', expires_at = now() - interval '1 day' where revoked_at is null").await;
    let mut forged = expired.clone();
    forged.pop();
    for (path, says) in [
        (replaced.as_str(), "was revoked or replaced by a newer one"),
        (&expired, "The link has expired; ask for a new one."),
        (&forged, "Invalid link; check that the whole link was copied."),
        ("/password/x", "Invalid link"),
    ] {
        let page = browser.get(path).await;
        assert_eq!((page.status, heading(&page)), (404, "This link can’t be used"), "{path}");
        assert!(page.text.contains(says), "{says} in {}", page.text);
        assert!(!page.text.contains("<form") && page.text.contains("href=\"../sign-in\""));
        assert!(!page.text.contains("ada@"), "{}", page.text);
    }
    // S-42: other paths are pages, too.
    let page = browser.get("/password/x/y").await;
    assert_eq!((page.status, heading(&page)), (404, "Page not found"));
}

/// S-36: without mail, the page says whom to ask.
#[tokio::test]
async fn without_mail_a_forgotten_password_needs_an_administrator() {
    let app = spawn().await;
    let browser = Browser::of(&app);
    let page = browser.get("/password/forgot").await;
    assert_eq!((page.status, heading(&page)), (200, "Ask for a link"));
    assert!(page.text.contains("An administrator of your organization can give you a link"), "{}", page.text);
    assert_eq!(browser.submit("/password/forgot", &[("email", "ada@example.com")]).await.status, 409);
}

/// S-1, S-18: a password that somebody else set has to be changed first; nothing else opens.
#[tokio::test]
async fn an_initial_password_is_changed_before_anything_else() {
    let app = TestApp::spawn().await;
    user(&app, "ada@example.com", "collaborator").await;
    let browser = Browser::of(&app);
    let location = browser.sign_in_on_page("ada@example.com", PASSWORD, "/login/x").await;
    assert_eq!(location, "../account/password?return_to=%2Flogin%2Fx");
    let account = browser.get("/account").await;
    assert_eq!((account.status, account.header("location")), (303, "account/password?return_to=%2Faccount"));
    let page = browser.get("/account/password?return_to=%2Flogin%2Fx").await;
    assert_eq!((page.status, heading(&page)), (200, "Choose your own password"));
    assert!(page.text.contains("Your password was set for you.") && !page.text.contains("href=\"../account\""));
    let cookie = browser.cookie(SESSION).unwrap();

    // The session was started with the current password a moment ago.
    assert!(!page.text.contains("current_password"), "{}", page.text);
    let change = |new| [("new_password", new), ("return_to", "/login/x")];
    let page = browser.submit("/account/password", &change(PASSWORD)).await;
    assert_eq!(page.status, 422);
    assert!(page.text.contains("The same as the current password."), "{}", page.text);
    let answer = browser.submit("/account/password", &change(NEW)).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/login/x"));
    assert_ne!(browser.cookie(SESSION).unwrap(), cookie, "S-2: the secret is a new one");
    assert_eq!(browser.get("/account").await.status, 200);
    browser.set_cookie(SESSION, &cookie);
    assert_eq!(browser.get("/account/password").await.status, 303);
}

/// S-18: changing the password ends other sessions and, if asked, the API keys.
#[tokio::test]
async fn a_changed_password_ends_other_sessions_and_on_request_api_keys() {
    let app = spawn().await;
    let user_id = user(&app, "ada@example.com", "collaborator").await;
    let operator = muster::organizations::operator(&app.app).await.unwrap();
    let spec =
        KeySpec { user_id: Some(user_id.parse().unwrap()), ..KeySpec::new("laptop", PermissionLevel::Collaborator) };
    let key = muster::keys::create(&app.app, &operator, spec).await.unwrap();
    let (browser, elsewhere) = (Browser::of(&app), Browser::of(&app));
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    elsewhere.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    let page = browser.get("/account/password").await;
    assert!(page.text.contains("Also revoke my API key<"), "{}", page.text);
    let page = browser.submit("/account/password", &[("current_password", "wrong"), ("new_password", NEW)]).await;
    assert_eq!((page.status, title(&page)), (403, "Error: Change password · muster"));
    assert!(page.text.contains("The current password is wrong."), "{}", page.text);
    assert_eq!(elsewhere.get("/account").await.status, 200, "nothing was changed");
    let fields = [("current_password", PASSWORD), ("new_password", NEW), ("revoke_api_keys", "true")];
    let answer = browser.submit("/account/password", &fields).await;
    assert_eq!((answer.status, answer.header("location")), (303, "../account?done=password"));
    let account = browser.get("/account?done=password").await;
    assert!(
        account.text.contains("Your password is changed.") && !account.text.contains("API keys"),
        "{}",
        account.text
    );
    assert_eq!(elsewhere.get("/account").await.status, 303);
    assert_eq!(app.anonymous().with_token(key.token.expose()).get("/api/v2/userinfo/").await.status, 401);
}

/// S-51: the page of a recovery link says that it is one, and the account when the session ends.
#[tokio::test]
async fn a_recovery_link_of_a_user_with_a_password_says_so() {
    let app = spawn().await;
    let user_id = user(&app, "ada@example.com", "owner").await;
    let operator = muster::organizations::operator(&app.app).await.unwrap();
    let link = muster::links::recover(&app.app, &operator, user_id.parse().unwrap()).await.unwrap();
    let path = format!("/password/{}", link.token.expose());
    let browser = Browser::of(&app);
    let page = browser.get(&path).await;
    assert_eq!(heading(&page), "Choose a password");
    assert!(
        page.text.contains("This is a recovery link: the session that it starts ends after an hour."),
        "{}",
        page.text
    );
    let ordinary = browser.get(&self::link(&app, "ada@example.com").await).await;
    assert!(!ordinary.text.contains("recovery"), "{}", ordinary.text);
    let link = muster::links::recover(&app.app, &operator, user_id.parse().unwrap()).await.unwrap();
    let path = format!("/password/{}", link.token.expose());
    assert_eq!(browser.submit(&path, &[("password", NEW)]).await.status, 303);
    let ends: String = app
        .db_value("select to_char(expires_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') from sessions")
        .await;
    let account = browser.get("/account").await;
    assert!(account.text.contains(&format!(" · until&nbsp;<time datetime=\"{ends}\">")), "{ends} in {}", account.text);
}

/// S-51: a link of the operator lets a user with single sign-on in without a password.
#[tokio::test]
async fn a_recovery_link_signs_an_sso_user_in() {
    let app = spawn().await;
    let created = app.owner.create(&json!([sso("ada@example.com")])).await;
    let user_id = created.json()["results"][0]["user_id"].as_str().unwrap().parse().unwrap();
    let operator = muster::organizations::operator(&app.app).await.unwrap();
    let link = muster::links::recover(&app.app, &operator, user_id).await.unwrap();
    let path = format!("/password/{}", link.token.expose());
    let browser = Browser::of(&app);
    let page = browser.get(&path).await;
    assert_eq!((page.status, heading(&page)), (200, "Sign in with a recovery link"));
    assert!(!page.text.contains("type=\"password\""), "{}", page.text);
    assert_eq!(browser.submit(&path, &[]).await.status, 303);
    let account = browser.get("/account").await;
    assert!(
        account.text.contains("with a recovery link") && !account.text.contains("Change password"),
        "{}",
        account.text
    );
    let page = browser.get("/account/password").await;
    assert_eq!((page.status, heading(&page)), (409, "You have no password here"));
    assert!(page.text.contains("href=\"../account\">To your account</a>"), "{}", page.text);
}
