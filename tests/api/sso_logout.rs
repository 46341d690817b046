//! Sessions that a provider or an operator ends, and identities.

use muster::sso;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::idp::{Idp, START, operator, spawn_for_sso};
use crate::support::{Answer, TestApp, sso as sso_user};

const LOGOUT: &str = "/sso/default/one/backchannel-logout";

async fn with_ada() -> (TestApp, Idp, Browser) {
    let (app, idp) = (spawn_for_sso().await, Idp::start().await);
    idp.add_to(&app, |settings| settings.logout = true).await;
    app.owner.create(&json!([sso_user("ada@example.com")])).await;
    let browser = Browser::of(&app);
    assert_eq!(browser.sign_in_at(&idp).await.status, 303);
    (app, idp, browser)
}

fn claims(idp: &Idp) -> Value {
    let now = chrono::Utc::now().timestamp();
    json!({
        "iss": idp.issuer, "aud": "muster", "iat": now, "exp": now + 120, "jti": "one", "sub": "ada-1", "sid": "idp-session",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    })
}

async fn log_out(app: &TestApp, idp: &Idp, claims: &Value) -> Answer {
    let token = idp.sign(&json!({ "alg": "RS256", "kid": "key-0", "typ": "logout+jwt" }), claims);
    let answer = Browser::of(app).submit(LOGOUT, &[("logout_token", &token)]).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    answer
}

async fn is_signed_in(browser: &Browser) -> bool {
    browser.get("/api/v2/userinfo/").await.status == 200
}

/// S-77: the provider ends a session, once.
#[actix_web::test]
async fn a_logout_token_ends_the_sessions_of_its_provider_session() {
    let (app, idp, browser) = with_ada().await;
    idp.script().claims = json!({ "sid": "another" });
    let other = Browser::of(&app);
    assert_eq!(other.sign_in_at(&idp).await.status, 303);
    let ended = log_out(&app, &idp, &claims(&idp)).await;
    assert_eq!((ended.status, ended.text.as_str()), (200, ""));
    assert!(!is_signed_in(&browser).await && is_signed_in(&other).await);
    let again = log_out(&app, &idp, &claims(&idp)).await;
    assert_eq!(again.status, 400);
    assert_eq!(again.json()["error"], "invalid_request");
    // Without `sid`, all sessions of the person.
    let mut claims = claims(&idp);
    claims["jti"] = json!("two");
    claims.as_object_mut().unwrap().remove("sid");
    assert_eq!(log_out(&app, &idp, &claims).await.status, 200);
    assert!(!is_signed_in(&other).await);
    let recorded: i64 = app.db_value("select count(*) from audit_events where action = 'sso.logout'").await;
    assert_eq!(recorded, 2);
}

/// S-77: everything that section 2.6 requires.
#[actix_web::test]
async fn an_invalid_logout_token_ends_nothing() {
    let (app, idp, browser) = with_ada().await;
    for (name, value) in [
        ("nonce", json!("n")),
        ("events", json!({})),
        ("iss", json!("https://evil.example")),
        ("aud", json!("another")),
        ("exp", json!(1)),
        ("jti", json!(null)),
    ] {
        let mut claims = claims(&idp);
        claims[name] = value;
        assert_eq!(log_out(&app, &idp, &claims).await.status, 400, "{name}");
    }
    idp.script().signer = 1;
    assert_eq!(log_out(&app, &idp, &claims(&idp)).await.status, 400);
    idp.script().signer = 0;
    let of_type = |typ: &str| idp.sign(&json!({ "alg": "RS256", "kid": "key-0", "typ": typ }), &claims(&idp));
    let log_out_with = async |token: String| Browser::of(&app).submit(LOGOUT, &[("logout_token", &token)]).await.status;
    assert_eq!(log_out_with(of_type("at+jwt")).await, 400);
    assert_eq!(Browser::of(&app).submit(LOGOUT, &[]).await.status, 400);
    assert!(is_signed_in(&browser).await);
    // The type of earlier versions of Keycloak.
    assert_eq!(log_out_with(of_type("JWT")).await, 200);
    assert!(!is_signed_in(&browser).await);
}

/// S-76: signing out leads to the provider, too.
#[actix_web::test]
async fn signing_out_names_the_address_at_the_provider() {
    let (_app, idp, browser) = with_ada().await;
    let out = browser.post("/api/v2/users/logout", &json!({})).await;
    let url = out.json()["result"]["entra_logout_url"].as_str().unwrap().to_owned();
    let expected = "/logout?client_id=muster&post_logout_redirect_uri=http%3A%2F%2F127.0.0.1%2Fsign-in&logout_hint=ada%40example.com";
    assert_eq!(url, format!("{}{expected}", idp.issuer));
    assert!(!is_signed_in(&browser).await);
}

/// Section 4, "what ends what": a provider that is disabled or removed.
#[actix_web::test]
async fn disabling_or_removing_a_provider_ends_its_sessions() {
    let (app, idp, browser) = with_ada().await;
    let operator = operator(&app).await;
    sso::update(&app.app, &operator, "one", |settings| settings.enabled = false, |_| {}).await.unwrap();
    assert_eq!(browser.get(START).await.status, 404);
    let sessions: i64 = app.db_value("select count(*) from sessions where ended_at is null").await;
    assert_eq!(sessions, 0);
    sso::update(&app.app, &operator, "one", |settings| settings.enabled = true, |_| {}).await.unwrap();
    assert_eq!(browser.sign_in_at(&idp).await.status, 303);
    let removed = sso::remove(&app.app, &operator, "one").await.unwrap();
    assert_eq!((removed.identities, removed.sessions), (1, 1));
    assert_eq!(app.db_value::<i64>("select count(*) from sso_identities").await, 0);
}

/// S-80: an identity is bound by command, and a user becomes one with a password again.
#[actix_web::test]
async fn identities_are_bound_by_command_and_gone_when_the_user_gets_a_password() {
    let (app, idp, _) = with_ada().await;
    let operator = operator(&app).await;
    let ben = app.owner.create(&json!([sso_user("ben@elsewhere.example")])).await;
    let ben: muster::id::Id<muster::id::User> = ben.json()["results"][0]["user_id"].as_str().unwrap().parse().unwrap();
    // The subject of Ada is taken.
    assert!(sso::bind(&app.app, &operator, ben, "one", "ada-1").await.is_err());
    let bound = sso::bind(&app.app, &operator, ben, "one", "ben-1").await.unwrap();
    assert_eq!((bound.len(), bound[0].bound_how.as_str()), (1, "operator"));
    assert!(sso::bind(&app.app, &operator, ben, "one", "ben-2").await.is_err(), "one identity at a provider");
    idp.script().claims = json!({ "sub": "ben-1", "email": null });
    let browser = Browser::of(&app);
    assert_eq!(browser.sign_in_at(&idp).await.status, 303);
    assert!(is_signed_in(&browser).await);
    assert!(sso::set_sso(&app.app, &operator, ben, false).await.unwrap());
    assert!(!sso::set_sso(&app.app, &operator, ben, false).await.unwrap());
    let sessions: i64 = app.db_value("select count(*) from sessions s join users u using (organization_id, user_id) where s.ended_at is null and u.email like 'ben%'").await;
    assert_eq!(sessions, 0);
    assert!(sso::identities(&app.app, &operator, ben).await.unwrap().is_empty());
    assert!(
        sso::bind(&app.app, &operator, ben, "one", "ben-1").await.is_err(),
        "the user is not one of single sign-on"
    );
}
