//! Users link identities to their accounts.

use serde_json::{Value, json};

use crate::support::browser::{Browser, PASSWORD, SESSION};
use crate::support::idp::{CALLBACK, Idp, START, spawn_for_sso};
use crate::support::{Answer, TestApp};

const LINK: &str = "/account/identities/one/link";

/// A server with a provider, and ada@example.com, who has a password and is signed in.
async fn with_ada() -> (TestApp, Idp, Browser) {
    let (app, idp) = (spawn_for_sso().await, Idp::start().await);
    idp.add_to(&app, |_| {}).await;
    let (_, browser) = app.signed_in("ada@example.com").await;
    (app, idp, browser)
}

/// The address at the provider to which the page of the form leads.
async fn depart(browser: &Browser) -> String {
    let page = browser.submit(LINK, &[]).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let location = page.text.split_once("button primary\" href=\"").unwrap().1.split('"').next().unwrap();
    let location = location.replace("&#38;", "&");
    assert!(location.contains("&prompt=login"), "{location}");
    location
}

async fn link(browser: &Browser, idp: &Idp) -> Answer {
    let location = depart(browser).await;
    browser.get(&format!("{CALLBACK}?{}", idp.agree(&location))).await
}

async fn identities(app: &TestApp) -> i64 {
    app.db_value("select count(*) from sso_identities").await
}

/// The latest event of an action.
async fn event(app: &TestApp, action: &str) -> Value {
    app.owner.get(&format!("/api/v2/audit/events?action={action}")).await.json()["results"][0].clone()
}

fn assert_not_linked(page: &Answer, status: u16, text: &str) {
    assert_eq!((page.status, page.text.contains(text)), (status, true), "{}", page.text);
    assert!(page.text.contains("<h1>Not linked</h1>") && page.text.contains(">To your account</a>"), "{}", page.text);
}

/// S-71.3: a user with a password links an identity, signs in both ways, and removes it.
#[actix_web::test]
async fn a_user_links_an_identity_signs_in_with_it_and_removes_it() {
    let (app, idp, browser) = with_ada().await;
    idp.script().claims = json!({ "email": "private@elsewhere.example", "email_verified": false });
    let page = browser.get("/account").await;
    assert!(
        page.text.contains("<button type=\"submit\"><span>Link <bdi>Our &#60;IdP&#62;</bdi></span></button>"),
        "{}",
        page.text
    );
    let linked = link(&browser, &idp).await;
    assert_eq!((linked.status, linked.header("location")), (303, "../../../account?done=linked"), "{}", linked.text);
    let page = browser.get("/account?done=linked").await;
    for part in ["The identity is linked.", "there as <bdi dir=\"ltr\">private@<wbr>elsewhere.example</bdi>"] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    assert!(!page.text.contains("/one/link"), "{}", page.text);
    let bound = event(&app, "sso_identity.bind").await;
    assert_eq!((&bound["details"]["how"], &bound["actor_kind"]), (&json!("account"), &json!("session")));

    let elsewhere = Browser::of(&app);
    assert_eq!(elsewhere.sign_in_at(&idp).await.header("location"), "../../../sign-in/check");
    assert_eq!(elsewhere.get("/api/v2/userinfo/").await.json()["result"]["email"], "ada@example.com");
    assert_eq!(Browser::of(&app).sign_in("ada@example.com", PASSWORD).await.status, 200);

    let identity = page.text.split_once("account/identities/").unwrap().1;
    let action = format!("/account/identities/{}/unlink", identity.split('/').next().unwrap());
    // Of another user: as an unknown one.
    let (_, eve) = app.signed_in("eve@example.com").await;
    assert_eq!(eve.submit(&action, &[]).await.status, 404);
    assert_eq!(identities(&app).await, 1);
    let removed = browser.submit(&action, &[]).await;
    assert_eq!((removed.status, removed.header("location")), (303, "../../../account?done=unlinked"));
    assert!(browser.get("/account?done=unlinked").await.text.contains("The identity is removed."));
    assert_eq!(elsewhere.get("/api/v2/userinfo/").await.status, 401, "a session of the identity");
    let stranger = Browser::of(&app);
    assert_eq!(stranger.sign_in_at(&idp).await.status, 403);
    assert_eq!(event(&app, "sso_identity.unbind").await["actor_kind"], "session");
}

/// S-71: what begins in one session does not end in another one (login CSRF).
#[actix_web::test]
async fn an_identity_is_linked_only_to_the_account_that_asked_for_it() {
    let (app, idp, ada) = with_ada().await;
    let (_, eve) = app.signed_in("eve@example.com").await;
    idp.script().claims = json!({ "sub": "eve-2", "email": "eve@example.com" });
    // Eve begins, and has Ada's browser open the end: it has no cookie of it.
    let callback = format!("{CALLBACK}?{}", idp.agree(&depart(&eve).await));
    let answer = ada.get(&callback).await;
    assert_eq!((answer.status, answer.header("location")), (303, "../../../account"));
    assert_eq!((identities(&app).await, idp.requests("/token")), (0, 0));
    // Even with the cookie: Ada's session did not begin it.
    let planted = eve.at(app.address);
    planted.set_cookie(SESSION, &ada.cookie(SESSION).unwrap());
    assert_not_linked(&planted.get(&callback).await, 400, "does not belong to");
    // Nor does nobody's session.
    let signed_out = eve.at(app.address);
    let location = depart(&signed_out).await;
    signed_out.submit("/sign-out", &[]).await;
    let kept = signed_out.at(app.address);
    let ended = kept.get(&format!("{CALLBACK}?{}", idp.agree(&location))).await;
    assert_ne!(ended.status, 303, "{}", ended.text);
    // A sign-in is not taken for a link, nor a link for a sign-in.
    let sign_in = format!("{CALLBACK}?{}", idp.agree(&ada.depart(START).await));
    assert_eq!(ada.get(&sign_in).await.status, 403);
    assert_eq!((identities(&app).await, idp.requests("/token")), (0, 1));
}

/// S-71: each refusal has its page, and is in the audit log with the user.
#[actix_web::test]
async fn an_identity_that_is_not_free_is_not_linked() {
    let (app, idp, ada) = with_ada().await;
    assert_eq!(link(&ada, &idp).await.status, 303);
    // Ada has one of this provider; the other user's would be the same.
    idp.script().claims = json!({ "sub": "ada-2" });
    assert_not_linked(&link(&ada, &idp).await, 403, "belongs to an account already");
    idp.script().claims = json!({});
    let (eve_id, eve) = app.signed_in("eve@example.com").await;
    assert_not_linked(&link(&eve, &idp).await, 403, "belongs to an account already");
    let rejected = event(&app, "sso_identity.link").await;
    assert_eq!(
        (&rejected["outcome"], &rejected["reason"], &rejected["target_id"]),
        (&json!("rejected"), &json!("sso_already_linked"), &json!(eve_id)),
        "{rejected}"
    );
    idp.script().claims = json!({ "sub": "eve-2", "nonce": "another" });
    assert_not_linked(&link(&eve, &idp).await, 403, "could not be verified");
    idp.script().claims = json!({ "sub": "eve-2" });
    let location = depart(&eve).await;
    let callback = format!("{CALLBACK}?{}", idp.agree(&location));
    app.db_execute("update sso_providers set disabled_at = now()").await;
    assert_eq!(eve.get(&callback).await.status, 404);
    assert_eq!(eve.submit(LINK, &[]).await.status, 404);
    assert!(!eve.get("/account").await.text.contains("/one/link"));
    assert_eq!(identities(&app).await, 1);
}

/// S-25, S-48: only a form of this server links, shortly after the user has authenticated.
#[actix_web::test]
async fn linking_and_removing_need_a_recent_sign_in_and_a_form_of_this_server() {
    let (app, idp, ada) = with_ada().await;
    let foreign =
        ada.bare("POST", LINK).header("origin", "https://evil.example").header("sec-fetch-site", "cross-site");
    let foreign = ada.send(crate::support::browser::form(foreign, &[])).await;
    assert_eq!(foreign.status, 403, "{}", foreign.text);
    assert_eq!(Browser::of(&app).submit(LINK, &[]).await.header("location"), "../../../sign-in?return_to=%2Faccount");
    let callback = format!("{CALLBACK}?{}", idp.agree(&depart(&ada).await));
    app.db_execute("update sessions set authenticated_at = authenticated_at - interval '16 minutes'").await;
    app.app.holders.clear();
    let again = "../../../sign-in?return_to=%2Faccount&again=1";
    assert_eq!(ada.submit(LINK, &[]).await.header("location"), again);
    assert_eq!(ada.get(&callback).await.header("location"), again);
    assert_eq!(identities(&app).await, 0);
    let unlink = "/account/identities/sid_01k9h6m3x0e8wbz1v5n7q2r4t6/unlink";
    assert_eq!(ada.submit(unlink, &[]).await.header("location"), again);
}

/// S-80: a user of single sign-on has no other way in, which therefore stays.
#[actix_web::test]
async fn a_user_of_single_sign_on_neither_links_nor_removes() {
    let (app, idp) = (spawn_for_sso().await, Idp::start().await);
    idp.add_to(&app, |_| {}).await;
    app.owner.create(&json!([crate::support::sso("ada@example.com")])).await;
    let ada = Browser::of(&app);
    assert_eq!(ada.sign_in_at(&idp).await.status, 303);
    let page = ada.get("/account").await;
    assert!(
        page.text.contains("<strong><bdi>Our &#60;IdP&#62;</bdi></strong>")
            && !page.text.contains("account/identities/"),
        "{}",
        page.text
    );
    let id: String = app.db_value("select identity_id::text from sso_identities").await;
    let id = muster::id::Id::<muster::id::SsoIdentity>::from_uuid(id.parse().unwrap());
    let kept = ada.submit(&format!("/account/identities/{id}/unlink"), &[]).await;
    assert_eq!((kept.status, kept.text.contains("only way to sign in")), (409, true), "{}", kept.text);
    // At another provider, the user would be the same person without a password.
    app.db_execute("delete from sso_identities").await;
    assert_not_linked(&link(&ada, &idp).await, 403, "belongs to an account already");
    assert_eq!(identities(&app).await, 0);
}
