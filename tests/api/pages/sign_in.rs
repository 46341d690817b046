use std::sync::{Arc, Mutex};

use chrono::{Duration, Utc};
use muster::clock::Clock;

use super::{Browser, PASSWORD, SESSION, event, form, heading, spawn, title, user};
use crate::support::{Answer, TestApp};

const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// S-40, S-41, S-43, section 0: a person without a session ends where they wanted to go.
#[tokio::test]
async fn a_person_signs_in_and_comes_to_the_page_they_wanted() {
    let app = spawn().await;
    user(&app, "ada@example.com", "collaborator").await;
    let browser = Browser::of(&app);
    let home = browser.get("/").await;
    assert_eq!((home.status, home.header("location")), (303, "account"));
    let account = browser.get("/account").await;
    assert_eq!((account.status, account.header("location")), (303, "sign-in?return_to=%2Faccount"));

    let page = browser.get("/sign-in?return_to=/account").await;
    assert_eq!((page.status, heading(&page), title(&page)), (200, "Sign in", "Sign in · muster"));
    // With `no-referrer`, browsers send `Origin: null` with the form.
    assert_eq!(page.header("referrer-policy"), "same-origin");
    assert_eq!((page.header("cache-control"), page.header("content-security-policy")), ("no-store", POLICY));
    for part in [
        "<html lang=\"en\">",
        "autocomplete=\"username\"",
        "autocomplete=\"current-password\"",
        "name=\"return_to\" value=\"/account\"",
        "<bdi>Default organization</bdi>",
        "href=\"password/forgot\"",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    assert!(!page.text.contains("<script") && !page.text.contains("id=\"organization\""));
    assert!(page.text.len() < 12 * 1024);

    let answer = browser
        .submit("/sign-in", &[("email", "ADA@example.com"), ("password", PASSWORD), ("return_to", "/account")])
        .await;
    assert_eq!((answer.status, answer.header("location")), (303, "sign-in/check?return_to=%2Faccount"));
    assert_eq!(browser.cookie_names(), ["__Host-Http-muster", "__Host-Http-muster-device"]);
    let check = browser.get("/sign-in/check?return_to=%2Faccount").await;
    assert_eq!((check.status, check.header("location")), (303, "/account"));
    let account = browser.get("/account").await;
    assert_eq!((account.status, heading(&account)), (200, "<bdi>Ada Lovelace</bdi>"));
    // S-45: back to the sign-in page leads forward again.
    let again = browser.get("/sign-in?return_to=/account").await;
    assert_eq!((again.status, again.header("location")), (303, "/account"));
}

/// S-6: all refusals have the same page, except for the address that was entered.
#[tokio::test]
async fn all_refusals_are_one_page_without_the_password() {
    let app = spawn().await;
    user(&app, "ada@example.com", "collaborator").await;
    let suspended = user(&app, "grace@example.com", "collaborator").await;
    assert_eq!(app.owner.post(&format!("/api/v2/users/{suspended}/suspend"), &serde_json::json!({})).await.status, 200);
    let mut pages = Vec::new();
    for (email, password) in [
        ("ada@example.com", "wrong password"),
        ("nobody@example.com", PASSWORD),
        ("grace@example.com", PASSWORD),
        ("no address", ""),
    ] {
        let browser = Browser::of(&app);
        let page =
            browser.submit("/sign-in", &[("email", email), ("password", password), ("return_to", "/login/x")]).await;
        assert_eq!((page.status, title(&page)), (401, "Error: Sign in · muster"));
        for part in [
            "role=\"alert\"",
            "Address or password is wrong.",
            "aria-invalid=\"true\" autofocus",
            "aria-describedby=\"problem\"",
            "name=\"return_to\" value=\"/login/x\"",
        ] {
            assert!(page.text.contains(part), "{part} in {}", page.text);
        }
        assert!(password.is_empty() || !page.text.contains(password));
        assert!(page.text.contains(&format!("value=\"{email}\"")) && browser.cookie_names().is_empty());
        pages.push(page.text.replace(email, ""));
    }
    assert!(pages.iter().all(|page| *page == pages[0]));
}

/// S-13, S-16: the page says after what time to try again.
#[tokio::test]
async fn too_many_attempts_are_told_how_long_to_wait() {
    let app = TestApp::spawn().await;
    let browser = Browser::of(&app);
    let fields = [("email", "ada@example.com"), ("password", "wrong")];
    for _ in 0..10 {
        assert_eq!(browser.submit("/sign-in", &fields).await.status, 401);
    }
    let page = browser.submit("/sign-in", &fields).await;
    assert_eq!(page.status, 429);
    let wait: i64 = page.header("retry-after").parse().unwrap();
    let says = format!("Try again in about {wait} second{}.", if wait == 1 { "" } else { "s" });
    assert!(page.text.contains(&says), "{says} in {}", page.text);
    assert!(page.text.contains("Too many attempts.") && page.text.contains("name=\"password\""));
}

/// S-23: no form where browsers would not keep the session.
#[tokio::test]
async fn over_plain_http_under_another_name_there_is_no_form() {
    let app = TestApp::spawn_with(|config| config.server.public_url = "https://muster.example.org".to_owned()).await;
    let browser = Browser::of(&app);
    for (path, host, status) in [
        ("/sign-in", "muster.internal:8080", 403),
        ("/password/aml_x", "10.0.0.7", 403),
        ("/sign-in", "localhost:8080", 200),
        ("/sign-in", "127.0.0.1", 200),
    ] {
        let page = browser.send(browser.bare("GET", path).header("host", host)).await;
        assert_eq!(page.status, status, "{host}");
        assert_eq!(page.text.contains("<form"), status == 200, "{host}");
        if status == 403 {
            assert_eq!(heading(&page), "Sign-in needs HTTPS");
            assert!(page.text.contains("href=\"https://muster.example.org/sign-in\""), "{}", page.text);
        }
    }
    let request =
        form(browser.bare("POST", "/sign-in").header("host", "muster.internal"), &[("email", "a"), ("password", "b")]);
    assert_eq!(browser.send(request).await.status, 403);
}

/// S-25: another site can't sign a browser in, nor act with its session.
#[tokio::test]
async fn forms_of_other_sites_are_rejected() {
    let app = spawn().await;
    user(&app, "ada@example.com", "collaborator").await;
    let browser = Browser::of(&app);
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    let own = format!("http://{}", app.address);
    let fields = [("email", "ada@example.com"), ("password", PASSWORD)];
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
        ("origin", "https://elsewhere.example"),
        ("origin", "null"),
        ("x-none", ""),
    ] {
        for path in ["/sign-in", "/sign-out", "/account/password"] {
            let page = browser.send(form(browser.bare("POST", path).header(name, value), &fields)).await;
            assert_eq!((page.status, heading(&page)), (403, "The request came from another site"), "{path} {name}");
        }
    }
    assert_eq!(browser.get("/account").await.status, 200, "still signed in");
    // Without `Sec-Fetch-Site`, as over plain HTTP, the origin decides.
    let request = form(browser.bare("POST", "/sign-in").header("origin", &own), &fields);
    assert_eq!(browser.send(request).await.status, 303);
    // Only forms.
    let request = browser.bare("POST", "/sign-in").header("origin", &own).header("content-type", "text/plain");
    assert_eq!(browser.send(request.body("email=a&password=b")).await.status, 415);
}

/// S-44: nothing expires with the form.
#[tokio::test]
async fn a_form_that_was_open_for_an_hour_signs_in() {
    let time = Arc::new(Mutex::new(Utc::now()));
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&time)), |config| config.passwords.must_change = false).await;
    user(&app, "ada@example.com", "collaborator").await;
    let browser = Browser::of(&app);
    assert!(browser.get("/sign-in").await.text.contains("<form"));
    *time.lock().unwrap() += Duration::hours(1);
    assert_eq!(browser.sign_in_on_page("ada@example.com", PASSWORD, "").await, "../");
}

/// S-41: no page leads to another host.
#[tokio::test]
async fn return_addresses_of_other_hosts_are_ignored() {
    let app = spawn().await;
    user(&app, "ada@example.com", "collaborator").await;
    let browser = Browser::of(&app);
    assert_eq!(
        browser.sign_in_on_page("ada@example.com", PASSWORD, "/login/x?a=b&c=%20d").await,
        "/login/x?a=b&c=%20d"
    );
    // With 2,048 bytes.
    let longest = format!("/{}", "x".repeat(2047));
    assert_eq!(browser.sign_in_on_page("ada@example.com", PASSWORD, &longest).await, longest);
    let long = format!("/{}", "x".repeat(2048));
    // What a browser resolves stays on this host.
    let own = reqwest::Url::parse(&format!("http://{}/sign-in/check", app.address)).unwrap();
    for odd in [
        "/@evil.example",
        "/%09/evil.example",
        "/%5cevil.example",
        "/.//evil.example",
        "/..//evil.example",
        "/;//@evil.example",
    ] {
        let location = browser.sign_in_on_page("ada@example.com", PASSWORD, odd).await;
        assert_eq!(own.join(&location).unwrap().origin(), own.origin(), "{odd}");
    }
    for bad in [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/a\n//evil.example",
        "\t//evil.example",
        "/\u{7f}evil.example",
        "\\/evil.example",
        "///evil.example",
        "https:evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "evil.example",
        "",
        "/a b",
        "/é",
        &long,
    ] {
        let encoded = percent_encoding::utf8_percent_encode(bad, percent_encoding::NON_ALPHANUMERIC);
        for path in ["/sign-in", "/sign-in/check"] {
            let answer = browser.get(&format!("{path}?return_to={encoded}")).await;
            let own = if path == "/sign-in" { "./" } else { "../" };
            assert_eq!((answer.status, answer.header("location")), (303, own), "{bad}");
        }
    }
}

/// The cookie did not come back: one page that explains it, and no loop.
#[tokio::test]
async fn a_browser_that_keeps_no_cookies_gets_an_explanation() {
    let app = spawn().await;
    user(&app, "ada@example.com", "collaborator").await;
    let browser = Browser::of(&app);
    browser.submit("/sign-in", &[("email", "ada@example.com"), ("password", PASSWORD)]).await;
    browser.clear_cookies();
    let page = browser.get("/sign-in/check?return_to=%2Faccount").await;
    assert_eq!((page.status, heading(&page)), (400, "Sign-in did not work"));
    assert!(page.text.contains("Cookies are off") && !page.text.contains("No HTTPS"), "{}", page.text);
    let page = browser.send(browser.bare("GET", "/sign-in/check").header("host", "muster.internal")).await;
    assert!(page.text.contains("No HTTPS"), "{}", page.text);
}

/// S-48: signing in again is for the same account, and makes the session fresh.
#[tokio::test]
async fn an_old_session_is_confirmed_with_the_password_of_its_user() {
    let time = Arc::new(Mutex::new(Utc::now()));
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&time)), |config| config.passwords.must_change = false).await;
    user(&app, "ada@example.com", "collaborator").await;
    user(&app, "grace@example.com", "owner").await;
    let browser = Browser::of(&app);
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    *time.lock().unwrap() += Duration::minutes(16);
    let page = browser.get("/sign-in?again=1&return_to=/login/x").await;
    assert_eq!((page.status, heading(&page)), (200, "Confirm that it’s you"));
    for part in ["value=\"ada@example.com\"", "readonly", "name=\"again\" value=\"1\"", "value=\"/login/x\""] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    let wrong =
        browser.submit("/sign-in", &[("again", "1"), ("email", "ada@example.com"), ("password", "wrong")]).await;
    assert_eq!((wrong.status, heading(&wrong)), (401, "Confirm that it’s you"));
    let before = browser.cookie(SESSION).unwrap();
    // Another account is not possible, whatever is sent.
    let answer =
        browser.submit("/sign-in", &[("again", "1"), ("email", "grace@example.com"), ("password", PASSWORD)]).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert!(browser.get("/account").await.text.contains("ada@<wbr>example.com"));
    // The session from before has ended.
    let old = Browser::of(&app);
    old.set_cookie(SESSION, &before);
    assert_eq!(old.get("/account").await.status, 303);
    assert_eq!(app.db_value::<i64>("select count(*) from sessions where ended_at is null").await, 1);
}

/// A session that has ended: its cookie is cleared, and the person is told once.
#[tokio::test]
async fn a_person_whose_session_has_ended_is_told_so_once() {
    let app = spawn().await;
    user(&app, "ada@example.com", "collaborator").await;
    let browser = Browser::of(&app);
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    app.db_execute("update sessions set ended_at = now(), end_reason = 'ended'").await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let answer = browser.get("/account").await;
    assert_eq!((answer.status, answer.header("location")), (303, "sign-in?return_to=%2Faccount"));
    assert!(browser.get("/sign-in").await.text.contains("Your session has ended."));
    assert!(!browser.get("/sign-in").await.text.contains("Your session has ended."));
}

/// Several organizations: the form asks for one, by its name or short name; a link fills it in.
#[tokio::test]
async fn with_several_organizations_the_form_asks_which() {
    let app = spawn().await;
    user(&app, "ada@example.com", "collaborator").await;
    let operator = muster::organizations::operator(&app.app).await.unwrap();
    muster::organizations::create(&app.app, &operator, "Second", &"second".parse().unwrap()).await.unwrap();
    let browser = Browser::of(&app);
    let page = browser.get("/sign-in").await;
    assert!(
        page.text.contains("name=\"organization\"") && !page.text.contains("Default organization"),
        "{}",
        page.text
    );
    let focused = |page: &Answer| {
        let field = page.text.split_once(" autofocus").unwrap().0.rsplit_once(" id=\"").unwrap().1;
        field.split('"').next().unwrap().to_owned()
    };
    assert_eq!(focused(&page), "organization");
    let page = browser.get("/sign-in?organization=default").await;
    assert!(page.text.contains("name=\"organization\" value=\"default\""), "{}", page.text);
    assert_eq!(focused(&page), "email");
    let fields = |organization| [("email", "ada@example.com"), ("password", PASSWORD), ("organization", organization)];
    let refused = browser.submit("/sign-in", &fields("second")).await;
    assert_eq!(refused.status, 401);
    assert!(refused.text.contains("name=\"organization\" value=\"second\""), "{}", refused.text);
    let missing = browser.submit("/sign-in", &fields("")).await;
    assert_eq!((missing.status, heading(&missing)), (400, "Sign in"));
    assert_eq!(focused(&missing), "organization");
    for named in ["default", "Default", "Default organization", " default ORGANIZATION "] {
        assert_eq!(browser.submit("/sign-in", &fields(named)).await.status, 303, "{named}");
    }
    // The short name of one is the display name of another: the short name counts.
    muster::organizations::create(&app.app, &operator, "default", &"third".parse().unwrap()).await.unwrap();
    assert_eq!(browser.submit("/sign-in", &fields("default")).await.status, 303);
    // Two with one name.
    muster::organizations::create(&app.app, &operator, "Default Organization", &"fourth".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(browser.submit("/sign-in", &fields("Default organization")).await.status, 401);
}

/// S-27: GET only asks; POST ends the session; it succeeds without one.
#[tokio::test]
async fn signing_out_asks_first_and_ends_the_session() {
    let app = spawn().await;
    let user_id = user(&app, "ada@example.com", "collaborator").await;
    let browser = Browser::of(&app);
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    let cookie = browser.cookie(SESSION).unwrap();
    let page = browser.get("/sign-out").await;
    assert_eq!((page.status, heading(&page)), (200, "Sign out?"));
    assert_eq!(browser.get("/account").await.status, 200);
    let answer = browser.submit("/sign-out", &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "sign-out"));
    assert!(browser.cookie(SESSION).is_none());
    let ended = event(&app, "session.end").await;
    assert_eq!((&ended["details"]["user_id"], &ended["actor_kind"]), (&user_id.into(), &"session".into()));
    // The cookie is worth nothing.
    browser.set_cookie(SESSION, &cookie);
    assert_eq!(browser.get("/account").await.status, 303);
    assert_eq!(browser.submit("/sign-out", &[]).await.status, 303);
    assert_eq!(browser.submit("/sign-out", &[]).await.status, 303);
    let page = browser.get("/sign-out").await;
    assert_eq!((page.status, heading(&page)), (200, "You are signed out"));
}

/// Without the database, pages say so.
#[tokio::test]
async fn without_the_database_pages_say_so() {
    let app = spawn().await;
    app.served.close().await;
    let browser = Browser::of(&app);
    let page = browser.get("/sign-in").await;
    assert_eq!((page.status, heading(&page)), (503, "Please try again in a moment"));
    assert_eq!(page.header("retry-after"), "2");
    assert_eq!(browser.get("/password/forgot").await.status, 200);
}
