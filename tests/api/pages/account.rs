use serde_json::json;

use super::{Browser, PASSWORD, SESSION, event, heading, spawn, user};

/// S-26: the account page shows who one is and where one is signed in, and ends sessions.
#[tokio::test]
async fn the_account_page_shows_and_ends_sessions() {
    let app = spawn().await;
    let user_id = user(&app, "ada@example.com", "owner").await;
    let (browser, elsewhere) = (Browser::of(&app), Browser::of(&app));
    elsewhere.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    let page = browser.get("/account").await;
    assert_eq!((page.status, heading(&page)), (200, "<bdi>Ada Lovelace</bdi>"));
    for part in [
        "ada@<wbr>example.com",
        "<bdi>Default organization</bdi>",
        "<span class=\"tag owner\">Owner</span>",
        &user_id,
        "Change password</a>",
        "You have none.",
        "with password from network 127.0.0.0/24 · since&nbsp;",
        "<strong><bdi>Firefox on Linux</bdi></strong> <span class=\"tag\">this browser</span>",
        "aria-label=\"End the session of Firefox on Linux since ",
        "End all other sessions",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    // Tokens are not shown.
    assert!(!page.text.contains("ams_"));
    let ending = page.text.split("action=\"").map(|rest| rest.split('"').next().unwrap());
    let ending: Vec<&str> = ending.filter(|action| action.starts_with("account/sessions/ses_")).collect();
    // Not this session.
    assert_eq!(ending.len(), 1, "{}", page.text);
    let action = ending[0].to_owned();
    let answer = browser.submit(&format!("/{action}"), &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "../../../account?done=session"));
    assert!(browser.get("/account?done=session").await.text.contains("The session has ended."));
    assert_eq!(elsewhere.get("/account").await.status, 303);
    assert_eq!(event(&app, "session.end").await["details"]["reason"], "ended");
    // Again: nothing happens.
    assert_eq!(browser.submit(&format!("/{action}"), &[]).await.status, 303);
}

/// All other sessions end at once, and this one with one click.
#[tokio::test]
async fn all_other_sessions_end_and_signing_out_needs_no_question() {
    let app = spawn().await;
    user(&app, "ada@example.com", "collaborator").await;
    user(&app, "eve@example.com", "collaborator").await;
    let (browser, elsewhere, eve) = (Browser::of(&app), Browser::of(&app), Browser::of(&app));
    elsewhere.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    eve.sign_in_on_page("eve@example.com", PASSWORD, "").await;
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    let page = browser.get("/account").await;
    assert!(page.text.contains("action=\"account/sessions/end\""), "{}", page.text);
    let answer = browser.submit("/account/sessions/end", &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "../../account?done=sessions"));
    let page = browser.get("/account?done=sessions").await;
    assert!(page.text.contains("All your other sessions have ended."), "{}", page.text);
    assert!(!page.text.contains("account/sessions/"), "nothing is left to end: {}", page.text);
    assert_eq!(elsewhere.get("/account").await.status, 303);
    assert_eq!(eve.get("/account").await.status, 200);
    // A collaborator without API keys has no use for the commands.
    assert!(!page.text.contains("API keys"), "{}", page.text);
    // In the navigation and beside this session.
    assert_eq!(page.text.matches("<form method=\"post\" action=\"sign-out\">").count(), 2);
    assert_eq!(browser.submit("/sign-out", &[]).await.status, 303);
    assert_eq!(browser.get("/account").await.status, 303);
}

/// Sessions of others are not found, as unknown ones.
#[tokio::test]
async fn sessions_of_others_are_not_found() {
    let app = spawn().await;
    user(&app, "ada@example.com", "collaborator").await;
    user(&app, "eve@example.com", "collaborator").await;
    let (ada, eve) = (Browser::of(&app), Browser::of(&app));
    ada.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    eve.sign_in_on_page("eve@example.com", PASSWORD, "").await;
    let page = ada.get("/account").await;
    assert!(!page.text.contains("account/sessions/") && page.text.contains("Collaborator"), "{}", page.text);
    let answer = app.owner.get("/api/v2/audit/events?action=session.start&count=10").await.json();
    assert_eq!(answer["results"].as_array().unwrap().len(), 2);
    let session: String = app
        .db_value("select session_id::text from sessions s join users u using (organization_id, user_id) where u.email = 'ada@example.com'")
        .await;
    let id = muster::id::Id::<muster::id::Session>::from_uuid(session.parse().unwrap());
    for id in [id.to_string(), "ses_01k9h6m3x0e8wbz1v5n7q2r4t6".to_owned(), "x".to_owned()] {
        let page = eve.submit(&format!("/account/sessions/{id}/end"), &[]).await;
        assert_eq!((page.status, heading(&page)), (404, "Page not found"), "{id}");
    }
    assert_eq!(ada.get("/account").await.status, 200);
    // Nobody is signed in: to the sign-in page.
    let answer = Browser::of(&app).submit(&format!("/account/sessions/{id}/end"), &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "../../../sign-in?return_to=%2Faccount"));
}

/// S-24: with an API key, cookies do not count; an API key opens no page.
#[tokio::test]
async fn an_api_key_opens_no_page() {
    let app = spawn().await;
    user(&app, "ada@example.com", "collaborator").await;
    let browser = Browser::of(&app);
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    let request = browser.bare("GET", "/account").bearer_auth(app.owner.token());
    assert_eq!(browser.send(request).await.status, 303);
    // Two session cookies: one was planted.
    let cookie = browser.cookie(SESSION).unwrap();
    let planted = Browser::of(&app);
    let twice = format!("__Host-Http-muster={cookie}; __Host-Http-muster={cookie}");
    let request = planted.bare("GET", "/account").header("cookie", twice);
    assert_eq!(planted.send(request).await.status, 303);
}

/// U-7, U-8: names appear as text.
#[tokio::test]
async fn names_appear_as_text() {
    let app = spawn().await;
    let name = "<b>\"Ada\"&'</b>";
    let user =
        json!([{"name": name, "lastname": "", "email": "ada@example.com", "password": PASSWORD, "is_sso_user": false}]);
    assert_eq!(app.owner.create(&user).await.status, 200);
    let browser = Browser::of(&app);
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    let page = browser.get("/account").await;
    assert_eq!(heading(&page), "<bdi>&#60;b&#62;&#34;Ada&#34;&#38;&#39;&#60;/b&#62;</bdi>");
}
