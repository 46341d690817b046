//! Signing in through an identity provider, which may be hostile.

use muster::secret::Secret;
use muster::sso::{self, ClientSecrets, ProviderSettings};
use serde_json::{Value, json};

use crate::support::browser::{Browser, SESSION};
use crate::support::gate::eventually;
use crate::support::idp::{CALLBACK, Idp, SECRET, START, configure_for_sso, operator, spawn_for_sso};
use crate::support::{Actor, Answer, TestApp, sso as sso_user, with_password};

/// A server with a provider and an account of single sign-on, ada@example.com.
async fn with_ada() -> (TestApp, Idp) {
    let (app, idp) = (spawn_for_sso().await, Idp::start().await);
    idp.add_to(&app, |_| {}).await;
    let created = app.owner.create(&json!([sso_user("Ada@example.com")])).await;
    assert_eq!(created.status, 200, "{}", created.text);
    (app, idp)
}

fn assert_signed_in(answer: &Answer) {
    assert_eq!((answer.status, answer.header("location")), (303, "../../../sign-in/check"), "{}", answer.text);
}

/// Asserts that a sign-in failed with a page, without a session, and that the audit log has the reason.
async fn assert_refused(app: &TestApp, browser: &Browser, answer: &Answer, reason: &str) {
    let location = answer.headers.get("location");
    assert!(answer.status >= 400 && location.is_none(), "{reason}: {} {location:?}", answer.status);
    assert!(answer.header("content-type").starts_with("text/html"), "{reason}");
    assert_eq!(browser.cookie(SESSION), None, "{reason}");
    assert!(!answer.text.contains("<IdP>"), "{}", answer.text);
    // The record is written after the response.
    eventually(reason, async || {
        let text = app.owner.get("/api/v2/audit/events?action=session.start").await.text;
        text.contains(&format!("\"{reason}\""))
    })
    .await;
}

/// S-61, S-64 to S-66, S-71: the first sign-in binds the identity by address, later ones need no address.
#[actix_web::test]
async fn a_person_signs_in_and_is_recognized_by_the_subject_from_then_on() {
    let (app, idp) = with_ada().await;
    let browser = Browser::of(&app);
    assert_signed_in(&browser.sign_in_at(&idp).await);
    let me = browser.get("/api/v2/userinfo/").await;
    assert_eq!(me.json()["result"]["email"], "Ada@example.com", "{}", me.text);
    let sessions = browser.get("/api/v2/users/sessions").await.json();
    assert_eq!(sessions["results"][0]["method"], "sso", "{sessions}");
    let names: Vec<String> = app
        .db_value::<Vec<String>>("select array_agg(action order by event_id) from audit_events where action like 's%'")
        .await;
    assert_eq!(names, ["sso_provider.create", "session.start", "sso_identity.bind"]);

    // Another address, unverified, and another user with the old one: nothing of it matters.
    idp.script().claims = json!({ "email": "other@evil.example", "email_verified": "true", "given_name": ["x"] });
    let other = Browser::of(&app);
    assert_signed_in(&other.sign_in_at(&idp).await);
    assert_eq!(other.get("/api/v2/userinfo/").await.json()["result"]["email"], "Ada@example.com");
    let seen: String = app.db_value("select email_seen from sso_identities").await;
    assert_eq!(seen, "other@evil.example");
    assert_eq!(app.db_value::<i64>("select count(*) from used_once").await, 2);
}

/// S-71: somebody else with a recycled address does not get the account.
#[actix_web::test]
async fn another_subject_with_the_same_address_is_refused() {
    let (app, idp) = with_ada().await;
    assert_signed_in(&Browser::of(&app).sign_in_at(&idp).await);
    idp.script().claims = json!({ "sub": "eve-2" });
    let browser = Browser::of(&app);
    let answer = browser.sign_in_at(&idp).await;
    assert_refused(&app, &browser, &answer, "sso_no_account").await;
}

/// A person who comes with the wrong account at the provider sees which one it is, and can use another one.
#[actix_web::test]
async fn after_a_refusal_another_account_can_be_used() {
    let (app, idp) = with_ada().await;
    app.owner.create(&json!([with_password("grace@example.com", "")])).await;
    let cases = [
        (json!({ "email": "<b>\u{5d0}@example.com" }), "sso_not_proved"),
        (json!({ "email": "nobody@example.com" }), "sso_no_account"),
        (json!({ "email": "grace@example.com" }), "sso_password_user"),
    ];
    for (claims, reason) in cases {
        idp.script().claims = claims.clone();
        let browser = Browser::of(&app);
        let answer = browser.sign_in_at(&idp).await;
        assert_refused(&app, &browser, &answer, reason).await;
        let email = claims["email"].as_str().unwrap().replace('<', "&#60;").replace('>', "&#62;");
        let shown = format!("reported the address <strong><bdi>{email}</bdi></strong>");
        assert!(answer.text.contains(&shown), "{shown} in {}", answer.text);
        assert!(answer.text.contains("href=\"../../../sso/default/one/start?another=1\""), "{}", answer.text);
        let location = browser.depart(&format!("{START}?another=1")).await;
        assert!(location.ends_with("&prompt=login"), "{location}");
        idp.script().claims = json!({});
        // At the provider, the person chooses Ada's account.
        let callback = format!("{CALLBACK}?{}", idp.agree(&location));
        assert_signed_in(&browser.get(&callback).await);
        app.db_execute("delete from sso_identities").await;
    }
    let browser = Browser::of(&app);
    assert!(!browser.depart(START).await.contains("prompt="));
    // The page for which the person came is kept, whichever way is next.
    idp.script().claims = json!({ "email": "nobody@example.com" });
    let location = browser.depart(&format!("{START}?return_to=%2Flogin%2Fx")).await;
    let answer = browser.get(&format!("{CALLBACK}?{}", idp.agree(&location))).await;
    for way in ["sso/default/one/start?return_to=%2Flogin%2Fx&#38;another=1", "sign-in?return_to=%2Flogin%2Fx"] {
        assert!(answer.text.contains(&format!("href=\"../../../{way}\"")), "{way} in {}", answer.text);
    }
    let location = browser.depart(&format!("{START}?return_to=%2Flogin%2Fx&another=1")).await;
    let canceled = idp.agree(&location).replace("code=", "error=access_denied&x=");
    let denied = browser.get(&format!("{CALLBACK}?{canceled}")).await;
    assert!(denied.text.contains("href=\"../../../sso/default/one/start?return_to=%2Flogin%2Fx\""), "{}", denied.text);
    // Of another tenant.
    app.db_execute(r#"update sso_providers set required_claims = '{"hd": "example.com"}'"#).await;
    idp.script().claims = json!({ "hd": "evil.example", "email": "ada@evil.example" });
    let answer = browser.sign_in_at(&idp).await;
    assert_refused(&app, &browser, &answer, "sso_wrong_tenant").await;
    assert!(
        answer.text.contains("<bdi>ada@evil.example</bdi>") && answer.text.contains("?another=1"),
        "{}",
        answer.text
    );
}

/// S-67 to S-69, S-72 and S-73 through the real door; the unit tests have more cases. The names are those of the conformance suite.
#[actix_web::test]
async fn hostile_tokens_are_refused_with_their_class() {
    let (app, idp) = with_ada().await;
    let now = chrono::Utc::now().timestamp();
    let cases: Vec<(&str, Value, &str)> = vec![
        ("oidcc-client-test-invalid-iss", json!({ "iss": "https://evil.example" }), "sso_bad_token"),
        ("oidcc-client-test-missing-sub", json!({ "sub": null }), "sso_bad_token"),
        ("oidcc-client-test-invalid-aud", json!({ "aud": "another-client" }), "sso_bad_token"),
        ("empty aud", json!({ "aud": [] }), "sso_bad_token"),
        ("several aud", json!({ "aud": ["muster", "another"] }), "sso_bad_token"),
        ("azp", json!({ "azp": "another-client" }), "sso_bad_token"),
        ("oidcc-client-test-missing-iat", json!({ "iat": null }), "sso_bad_token"),
        ("iat as text", json!({ "iat": now.to_string() }), "sso_bad_token"),
        ("oidcc-client-test-nonce-invalid", json!({ "nonce": "another" }), "sso_bad_token"),
        ("missing nonce", json!({ "nonce": null }), "sso_bad_token"),
        ("at_hash", json!({ "at_hash": "AAAA" }), "sso_bad_token"),
        ("expired", json!({ "exp": now - 120 }), "sso_clock"),
        ("future", json!({ "iat": now + 600 }), "sso_clock"),
        ("not proved", json!({ "email_verified": false }), "sso_not_proved"),
        ("email_verified as text", json!({ "email_verified": "true" }), "sso_not_proved"),
        ("guest", json!({ "acct": 1 }), "sso_not_proved"),
        ("unknown domain", json!({ "email": "ada@evil.example" }), "sso_no_account"),
        ("subdomain", json!({ "email": "ada@x.example.com" }), "sso_no_account"),
        ("unknown person", json!({ "email": "nobody@example.com" }), "sso_no_account"),
        ("full-width", json!({ "email": "\u{ff41}da@example.com" }), "sso_not_proved"),
    ];
    for (name, claims, reason) in cases {
        idp.script().claims = claims;
        let browser = Browser::of(&app);
        let answer = browser.sign_in_at(&idp).await;
        assert!(answer.status >= 400, "{name} was accepted");
        assert_refused(&app, &browser, &answer, reason).await;
        if reason == "sso_clock" {
            assert!(answer.text.contains("minutes") || answer.text.contains("seconds"), "{name}: {}", answer.text);
        }
    }
    assert_eq!(app.db_value::<i64>("select count(*) from sso_identities").await, 0);
    assert_eq!(app.db_value::<i64>("select count(*) from used_once").await, 0);
}

/// S-67, `oidcc-client-test-idtoken-sig-none`, `-invalid-sig-rs256`: the header of a token decides nothing.
#[actix_web::test]
async fn tokens_with_another_algorithm_or_signature_are_refused() {
    let (app, idp) = with_ada().await;
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256", "kid": "key-0" }),
        json!({ "alg": "RS256", "kid": "key-0", "crit": ["exp"] }),
        json!({ "alg": "RS256", "kid": "key-0", "typ": "at+jwt" }),
    ] {
        idp.script().header = header;
        let browser = Browser::of(&app);
        let answer = browser.sign_in_at(&idp).await;
        assert_refused(&app, &browser, &answer, "sso_bad_token").await;
    }
    idp.script().header = json!({ "alg": "RS256", "kid": "key-0" });
    idp.script().breaks_signatures = true;
    let browser = Browser::of(&app);
    let answer = browser.sign_in_at(&idp).await;
    assert_refused(&app, &browser, &answer, "sso_bad_token").await;
}

/// S-59, `oidcc-client-test-signing-key-rotation`: a new key is fetched once, and not again for half a minute.
#[actix_web::test]
async fn a_rotated_key_is_fetched_and_invented_keys_do_not_lead_to_a_flood() {
    let (app, idp) = with_ada().await;
    assert_signed_in(&Browser::of(&app).sign_in_at(&idp).await);
    // The first fetch was that of `add`, in another process as it were; the second that of the sign-in.
    let fetched = idp.requests("/jwks");
    {
        let mut script = idp.script();
        (script.signer, script.published) = (1, vec![0, 1]);
        script.header = json!({ "alg": "RS256", "kid": "key-1" });
    }
    assert_signed_in(&Browser::of(&app).sign_in_at(&idp).await);
    assert_eq!(idp.requests("/jwks"), fetched + 1);
    idp.script().header = json!({ "alg": "RS256", "kid": "invented" });
    for _ in 0..3 {
        let browser = Browser::of(&app);
        assert_eq!(browser.sign_in_at(&idp).await.status, 403);
    }
    assert_eq!(idp.requests("/jwks"), fetched + 1);
    // S-60: without a key ID, all keys are tried (`oidcc-client-test-kid-absent-multiple-jwks`).
    idp.script().header = json!({ "alg": "RS256" });
    assert_signed_in(&Browser::of(&app).sign_in_at(&idp).await);
}

/// S-64, S-65: a response is taken once, in the browser that began, at the provider that was asked.
#[actix_web::test]
async fn a_response_belongs_to_one_browser_and_one_sign_in() {
    let (app, idp) = with_ada().await;
    let (ada, eve) = (Browser::of(&app), Browser::of(&app));
    let callback = format!("{CALLBACK}?{}", idp.agree(&ada.depart(START).await));
    // In another browser: forged sign-ins (login CSRF) and stolen codes.
    let answer = eve.get(&callback).await;
    assert_refused(&app, &eve, &answer, "sso_bad_state").await;
    let foreign = eve.depart(START).await;
    let answer = eve.get(&callback).await;
    assert_refused(&app, &eve, &answer, "sso_bad_state").await;
    drop(foreign);
    // Cookies of the sign-in, kept for a replay.
    let replayed = ada.at(app.address);
    assert_signed_in(&ada.get(&callback).await);
    let answer = replayed.get(&callback).await;
    assert!(answer.status >= 400, "the code is used up");
    // Going back: the person is signed in already (S-45).
    assert_eq!(ada.get(&callback).await.header("location"), "../../../account");
    for query in ["", "code=c", "state=s", "state=s&code=c", "state=s&state=s&code=c&code=d", "error=access_denied"] {
        let browser = Browser::of(&app);
        let answer = browser.get(&format!("{CALLBACK}?{query}")).await;
        assert_refused(&app, &browser, &answer, "sso_bad_state").await;
    }
}

/// S-65: of two responses with one state at once, one wins, even if the provider gives a token for both.
#[actix_web::test]
async fn a_state_is_used_once() {
    let (app, idp) = with_ada().await;
    assert_signed_in(&Browser::of(&app).sign_in_at(&idp).await);
    let browser = Browser::of(&app);
    let location = browser.depart(START).await;
    let callback = format!("{CALLBACK}?{}", idp.agree(&location));
    let twin = browser.at(app.address);
    assert_signed_in(&browser.get(&callback).await);
    idp.agree(&location);
    let answer = twin.get(&callback).await;
    assert_refused(&app, &twin, &answer, "sso_bad_state").await;
}

/// S-64: the parameter `iss` is checked, and required if the provider says that it sends it (RFC 9207).
#[actix_web::test]
async fn a_response_of_another_issuer_is_refused() {
    let (app, idp) = with_ada().await;
    for change in ["", "&iss=https%3A%2F%2Fevil.example"] {
        let browser = Browser::of(&app);
        let query = idp.agree(&browser.depart(START).await);
        let without = query.split("&iss=").next().unwrap();
        let answer = browser.get(&format!("{CALLBACK}?{without}{change}")).await;
        assert_refused(&app, &browser, &answer, "sso_provider_error").await;
        assert_eq!(idp.requests("/token"), 0, "the code was not sent");
    }
}

/// S-62: several tabs end well, and the oldest sign-in is given up for a sixth.
#[actix_web::test]
async fn several_tabs_sign_in_at_once() {
    let (app, idp) = with_ada().await;
    let browser = Browser::of(&app);
    let mut tabs = Vec::new();
    for _ in 0..6 {
        tabs.push(idp.agree(&browser.depart(START).await));
    }
    let mut outcomes = Vec::new();
    for tab in tabs.iter().rev() {
        let tab = format!("{CALLBACK}?{tab}");
        let other = browser.at(app.address);
        outcomes.push(other.get(&tab).await.status);
    }
    outcomes.sort_unstable();
    assert_eq!(outcomes, [303, 303, 303, 303, 303, 400]);
}

/// S-72: what the provider says about an error is neither in the page nor in a header.
#[actix_web::test]
async fn errors_of_the_provider_have_a_page() {
    let (app, idp) = with_ada().await;
    for (error, reason) in
        [("access_denied", "sso_denied"), ("server_error", "sso_provider_error"), ("%3Cb%3E", "sso_provider_error")]
    {
        let browser = Browser::of(&app);
        let query = idp.agree(&browser.depart(START).await);
        let state = query.split('&').find(|part| part.starts_with("state=")).unwrap();
        let issuer = query.split('&').find(|part| part.starts_with("iss=")).unwrap();
        let answer = browser
            .get(&format!(
                "{CALLBACK}?{state}&{issuer}&error={error}&error_description=%3Cscript%3Ealert(1)%0D%0ASet-Cookie:x"
            ))
            .await;
        assert_refused(&app, &browser, &answer, reason).await;
        assert!(!answer.text.contains("alert(1)") && !answer.text.contains("<b>"), "{}", answer.text);
    }
}

/// S-66, S-79: the token endpoint.
#[actix_web::test]
async fn a_second_client_secret_is_tried_and_other_answers_are_refused() {
    let (app, idp) = with_ada().await;
    idp.script().secrets = vec!["the new secret".to_owned()];
    let browser = Browser::of(&app);
    let answer = browser.sign_in_at(&idp).await;
    assert_refused(&app, &browser, &answer, "sso_provider_error").await;
    let set_second = |secrets: &mut ClientSecrets| secrets.second = Some(Secret::new("the new secret"));
    sso::update(&app.app, &operator(&app).await, "one", |_| {}, set_second).await.unwrap();
    assert_signed_in(&Browser::of(&app).sign_in_at(&idp).await);
    for (status, body) in [
        (200, json!({ "token_type": "Bearer" })),
        (200, json!({ "token_type": "mac", "id_token": "a.b.c" })),
        (200, json!("text")),
    ] {
        idp.script().token = Some((status, body));
        let browser = Browser::of(&app);
        let answer = browser.sign_in_at(&idp).await;
        assert_refused(&app, &browser, &answer, "sso_bad_token").await;
    }
    idp.script().token = Some((503, json!({})));
    let browser = Browser::of(&app);
    let answer = browser.sign_in_at(&idp).await;
    assert_refused(&app, &browser, &answer, "sso_unreachable").await;
    assert_eq!(answer.status, 503);
}

/// S-70, `oidcc-client-test-userinfo-invalid-sub`, `-scope-userinfo-claims`: claims that only userinfo has.
#[actix_web::test]
async fn userinfo_is_read_for_unknown_people_only_and_must_be_about_them() {
    let (app, idp) = with_ada().await;
    idp.script().claims = json!({ "email": null, "email_verified": null });
    let userinfo = |sub: &str| Some(json!({ "sub": sub, "email": "ada@example.com", "email_verified": true }));
    idp.script().userinfo = userinfo("eve-2");
    let browser = Browser::of(&app);
    let answer = browser.sign_in_at(&idp).await;
    assert_refused(&app, &browser, &answer, "sso_bad_token").await;
    idp.script().userinfo = None;
    let answer = browser.sign_in_at(&idp).await;
    assert_refused(&app, &browser, &answer, "sso_not_proved").await;
    idp.script().userinfo = userinfo("ada-1");
    assert_signed_in(&browser.sign_in_at(&idp).await);
    let asked = idp.requests("/userinfo");
    idp.script().userinfo = None;
    assert_signed_in(&Browser::of(&app).sign_in_at(&idp).await);
    assert_eq!(idp.requests("/userinfo"), asked);
}

/// S-59, S-78: a provider that is away has a page, is asked again after ten seconds at the earliest, and keeps nobody else out.
#[actix_web::test]
async fn a_provider_that_is_away_does_not_affect_anybody_else() {
    let (app, idp) = with_ada().await;
    let (_, ben) = app.signed_in("ben@example.com").await;
    idp.script().status = 500;
    let browser = Browser::of(&app);
    for _ in 0..3 {
        let answer = browser.get(START).await;
        assert_eq!(answer.status, 503);
        assert!(answer.text.contains("does not respond"), "{}", answer.text);
        assert_refused(&app, &browser, &answer, "sso_unreachable").await;
    }
    assert_eq!(idp.requests("/.well-known/openid-configuration"), 2, "one of `add`, one of the sign-ins");
    assert_eq!(ben.get("/api/v2/userinfo/").await.status, 200);
}

/// The value of a metric.
fn metric(app: &TestApp, series: &str) -> u64 {
    let text = app.app.metrics.write(muster::metrics::Format::Text).unwrap();
    let line = text.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("{series} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Requests to providers are counted by endpoint and outcome, and reads of keys by their reason.
#[actix_web::test]
async fn requests_to_providers_are_counted() {
    let (app, idp) = with_ada().await;
    let failed = |endpoint: &str| {
        metric(&app, &format!("muster_sso_requests_total{{endpoint=\"{endpoint}\",outcome=\"failed\"}}"))
    };
    let ok =
        |endpoint: &str| metric(&app, &format!("muster_sso_requests_total{{endpoint=\"{endpoint}\",outcome=\"ok\"}}"));
    let refreshed = |why: &str| metric(&app, &format!("muster_sso_jwks_refreshes_total{{why=\"{why}\"}}"));
    // That of `add`.
    assert_eq!((ok("discovery"), ok("jwks"), ok("token"), failed("token"), refreshed("first")), (1, 1, 0, 0, 0));
    assert_signed_in(&Browser::of(&app).sign_in_at(&idp).await);
    assert_eq!((ok("discovery"), ok("jwks"), ok("token"), refreshed("first")), (2, 2, 1, 1));
    idp.script().token = Some((503, json!({})));
    assert_eq!(Browser::of(&app).sign_in_at(&idp).await.status, 503);
    idp.script().token = None;
    idp.script().secrets = Vec::new();
    assert_eq!(Browser::of(&app).sign_in_at(&idp).await.status, 403);
    let rejected = metric(&app, "muster_sso_requests_total{endpoint=\"token\",outcome=\"rejected\"}");
    assert_eq!((failed("token"), rejected, ok("token")), (1, 1, 1));
    idp.script().secrets = vec![SECRET.to_owned()];
    idp.script().header = json!({ "alg": "RS256", "kid": "invented" });
    assert_eq!(Browser::of(&app).sign_in_at(&idp).await.status, 403);
    assert_eq!((refreshed("unknown_key"), refreshed("expired"), ok("userinfo")), (1, 0, 0));
    assert_eq!(metric(&app, "muster_sso_request_duration_seconds_count{endpoint=\"token\"}"), 4);
}

/// S-58: no redirects.
#[actix_web::test]
async fn redirects_are_not_followed() {
    let (app, idp) = (spawn_for_sso().await, Idp::start().await);
    idp.script().status = 302;
    let settings = ProviderSettings::new("One", &idp.issuer, "muster");
    let made =
        sso::create(&app.app, &operator(&app).await, &"one".parse().unwrap(), settings, &ClientSecrets::default())
            .await;
    let why = made.unwrap_err().to_string();
    assert!(why.contains("answered 302; redirects are not followed"), "{why}");
    assert_eq!(idp.requests("/elsewhere"), 0);
}

/// S-56, `oidcc-client-test-discovery-issuer-mismatch`; S-53: nothing is added that does not work.
#[actix_web::test]
async fn a_provider_with_another_issuer_is_not_added() {
    let (app, idp) = (spawn_for_sso().await, Idp::start().await);
    let add = async |issuer: String| {
        let settings = ProviderSettings::new("One", &issuer, "muster");
        let made =
            sso::create(&app.app, &operator(&app).await, &"one".parse().unwrap(), settings, &ClientSecrets::default())
                .await;
        made.map(|_| ()).map_err(|error| error.to_string())
    };
    let why = add(format!("{}/", idp.issuer)).await.unwrap_err();
    assert!(
        why.contains(&format!("set to \"{}/\"", idp.issuer))
            && why.contains(&format!("calls itself \"{}\"", idp.issuer)),
        "{why}"
    );
    idp.script().published = Vec::new();
    assert!(add(idp.issuer.clone()).await.unwrap_err().contains("has no key that muster can use"));
    idp.script().published = vec![0];
    idp.script().metadata = json!({ "token_endpoint": "http://evil.example/" });
    assert!(add(idp.issuer.clone()).await.unwrap_err().contains("must begin with https://"));
    idp.script().metadata = json!({});
    assert!(add("http://169.254.169.254".to_owned()).await.unwrap_err().contains("must begin with https://"));
    assert!(
        add("https://169.254.169.254".to_owned()).await.unwrap_err().contains("is not allowed for identity providers")
    );
    add(idp.issuer.clone()).await.unwrap();
    assert!(add(idp.issuer.clone()).await.unwrap_err().contains("there is an identity provider `one` already"));
}

/// S-57, S-83: what is needed before a provider is added.
#[actix_web::test]
async fn a_provider_needs_a_public_url_and_a_seal_key() {
    let idp = Idp::start().await;
    let add = async |app: &TestApp| {
        let settings = ProviderSettings::new("One", &idp.issuer, "muster");
        let secrets = ClientSecrets { first: Some(Secret::new(SECRET)), second: None };
        let made = sso::create(&app.app, &operator(app).await, &"one".parse().unwrap(), settings, &secrets).await;
        made.unwrap_err()
    };
    let without = TestApp::spawn().await;
    assert!(add(&without).await.to_string().contains("needs `server.public_url`"));
    let unsealed = TestApp::spawn_with(|config| config.server.public_url = "http://127.0.0.1".to_owned()).await;
    assert_eq!(add(&unsealed).await.code().as_str(), "seal_key_missing");
    let (app, _) = with_ada().await;
    let sealed: Vec<u8> = app.db_value("select secret_sealed from sso_providers").await;
    assert!(!sealed.windows(6).any(|part| part == b"s3cret"));
}

/// S-71: accounts with a password are not taken over; accounts are created if the provider does that.
#[actix_web::test]
async fn a_user_with_a_password_is_not_bound_and_unknown_people_can_be_created() {
    let (app, idp) = (spawn_for_sso().await, Idp::start().await);
    idp.add_to(&app, |settings| settings.creates = true).await;
    let made = app.owner.create(&json!([with_password("ada@example.com", "tidal-anchor-Plum-91")])).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let browser = Browser::of(&app);
    let answer = browser.sign_in_at(&idp).await;
    assert_refused(&app, &browser, &answer, "sso_password_user").await;
    idp.script().claims = json!({ "sub": "new-1", "email": "new@example.com" });
    assert_signed_in(&browser.sign_in_at(&idp).await);
    let me = browser.get("/api/v2/userinfo/").await.json()["result"].clone();
    assert_eq!(
        (&me["email"], &me["name"], &me["lastname"]),
        (&json!("new@example.com"), &json!("Ada"), &json!("Lovelace")),
        "{me}"
    );
    let created: (i64,) = (app
        .db_value("select count(*) from audit_events where action = 'user.create' and actor_kind = 'session'")
        .await,);
    assert_eq!(created.0, 1);
    idp.script().claims = json!({ "sub": "new-2", "email": "new@evil.example" });
    let other = Browser::of(&app);
    let answer = other.sign_in_at(&idp).await;
    assert_refused(&app, &other, &answer, "sso_no_account").await;
}

/// S-80: a user who becomes one with a password loses the identities, by whichever request.
#[actix_web::test]
async fn a_user_who_is_no_longer_one_of_single_sign_on_loses_the_identities() {
    let (app, idp) = with_ada().await;
    let ada: String = {
        let browser = Browser::of(&app);
        assert_signed_in(&browser.sign_in_at(&idp).await);
        browser.get("/api/v2/userinfo/").await.json()["result"]["id"].as_str().unwrap().to_owned()
    };
    let to_password = json!({ "is_sso_user": false });
    let back = json!({ "is_sso_user": true });
    let path = format!("/api/v2/users/{ada}");
    let one = async |edit: &Value| Actor::send(app.owner.request("PATCH", &path).json(edit)).await.status;
    let list = async |edit: &Value| {
        let mut row = edit.clone();
        row["user"] = json!(ada);
        app.owner.post("/api/v2/users/admin_batch_update", &json!([row])).await.status
    };
    for is_list in [false, true] {
        let edit = async |edit| if is_list { list(edit).await } else { one(edit).await };
        assert_eq!(edit(&to_password).await, 200);
        assert_eq!(app.db_value::<i64>("select count(*) from sso_identities").await, 0);
        let browser = Browser::of(&app);
        let answer = browser.sign_in_at(&idp).await;
        assert_refused(&app, &browser, &answer, "sso_password_user").await;
        assert_eq!(edit(&back).await, 200);
        assert_signed_in(&Browser::of(&app).sign_in_at(&idp).await);
    }
}

/// S-71: who has lost access does not sign in.
#[actix_web::test]
async fn a_suspended_user_is_refused() {
    let (app, idp) = with_ada().await;
    assert_signed_in(&Browser::of(&app).sign_in_at(&idp).await);
    let user_id: String = app.owner.get("/api/v2/organization_collaborators/?email=ada@example.com").await.json()["results"][0]["user_id"].as_str().unwrap().to_owned();
    let suspended = app.owner.post(&format!("/api/v2/users/{user_id}/suspend"), &json!({})).await;
    assert_eq!(suspended.status, 200, "{}", suspended.text);
    let browser = Browser::of(&app);
    let answer = browser.sign_in_at(&idp).await;
    assert_refused(&app, &browser, &answer, "sso_suspended").await;
}

/// S-74: groups and roles of a token give nothing, and so many groups that the provider leaves them out change nothing.
#[actix_web::test]
async fn groups_and_roles_of_the_provider_are_not_read() {
    let (app, idp) = with_ada().await;
    app.owner.post("/api/v2/user_groups", &json!({"name": "admins"})).await;
    for claims in [
        json!({ "groups": ["admins", "owner"], "roles": ["owner"], "role": "owner", "permission_level": "owner" }),
        json!({ "hasgroups": true, "_claim_names": {"groups": "src1"},
            "_claim_sources": {"src1": {"endpoint": "https://graph.example.com/groups"}} }),
        json!({ "groups": [1, null], "roles": "owner" }),
    ] {
        idp.script().claims = claims;
        let browser = Browser::of(&app);
        assert_signed_in(&browser.sign_in_at(&idp).await);
        let me = browser.get("/api/v2/userinfo/").await.json()["result"].clone();
        assert_eq!(me["organization_permission_level"], "collaborator", "{me}");
    }
    assert_eq!(app.db_value::<i64>("select count(*) from user_group_members").await, 0);
}

/// S-54, S-55: required claims.
#[actix_web::test]
async fn a_person_of_another_tenant_is_refused() {
    let (app, idp) = (spawn_for_sso().await, Idp::start().await);
    idp.add_to(&app, |settings| drop(settings.required_claims.insert("tid".to_owned(), json!("ours")))).await;
    app.owner.create(&json!([sso_user("ada@example.com")])).await;
    let browser = Browser::of(&app);
    let answer = browser.sign_in_at(&idp).await;
    assert_refused(&app, &browser, &answer, "sso_wrong_tenant").await;
    idp.script().claims = json!({ "tid": "ours" });
    assert_signed_in(&browser.sign_in_at(&idp).await);
}

/// S-63: a third party can ask to begin a sign-in, and a response without our state is never taken.
#[actix_web::test]
async fn a_sign_in_can_begin_at_the_provider() {
    let (app, idp) = with_ada().await;
    let browser = Browser::of(&app);
    let issuer = idp.issuer.replace(':', "%3A").replace('/', "%2F");
    let location = browser
        .depart(&format!("{START}?iss={issuer}&login_hint=ada&target_link_uri=http%3A%2F%2F127.0.0.1%2Flogin%2Fx"))
        .await;
    assert!(location.contains("login_hint=ada"), "{location}");
    let answer = browser.get(&format!("{CALLBACK}?{}", idp.agree(&location))).await;
    assert_eq!((answer.status, answer.header("location")), (303, "../../../sign-in/check?return_to=%2Flogin%2Fx"));
    for start in [format!("{START}?iss=https%3A%2F%2Fevil.example"), format!("{START}?iss={issuer}&iss={issuer}")] {
        assert_eq!(Browser::of(&app).get(&start).await.status, 400, "{start}");
    }
    let posted = browser.submit(START, &[("iss", &idp.issuer)]).await;
    assert_eq!(posted.status, 303, "{}", posted.text);
    assert_eq!(browser.submit(START, &[("iss", "https://evil.example")]).await.status, 400);
    assert_eq!(browser.submit(START, &[("return_to", "/account")]).await.status, 400);
}

/// S-41: the page to return to is one of this server.
#[actix_web::test]
async fn a_sign_in_does_not_lead_to_another_site() {
    let (app, idp) = with_ada().await;
    for evil in
        ["https://evil.example", "//evil.example", "/%5Cevil.example", "%09//evil.example", "https:evil.example"]
    {
        let browser = Browser::of(&app);
        let location = browser.depart(&format!("{START}?return_to={evil}")).await;
        let answer = browser.get(&format!("{CALLBACK}?{}", idp.agree(&location))).await;
        assert_signed_in(&answer);
    }
}

/// S-48: authenticating again must be by the same person.
#[actix_web::test]
async fn authenticating_again_is_asked_for_and_must_be_by_the_same_person() {
    let (app, idp) = with_ada().await;
    app.owner.create(&json!([sso_user("eve@example.com")])).await;
    let browser = Browser::of(&app);
    assert_signed_in(&browser.sign_in_at(&idp).await);
    let before = browser.cookie(SESSION);
    idp.script().claims = json!({ "sub": "eve-2", "email": "eve@example.com" });
    let location = browser.depart(&format!("{START}?again=1")).await;
    assert!(location.contains("prompt=login") && location.contains("max_age=0"), "{location}");
    let answer = browser.get(&format!("{CALLBACK}?{}", idp.agree(&location))).await;
    // The session of Ada is kept.
    assert_eq!(answer.header("location"), "../../../account");
    assert_eq!(browser.cookie(SESSION), before);
    idp.script().claims = json!({ "auth_time": chrono::Utc::now().timestamp() - 3_600 });
    let location = browser.depart(&format!("{START}?again=1")).await;
    let answer = browser.get(&format!("{CALLBACK}?{}", idp.agree(&location))).await;
    assert_eq!(answer.status, 403, "{}", answer.text);
    idp.script().claims = json!({});
    let location = browser.depart(&format!("{START}?again=1")).await;
    assert_signed_in(&browser.get(&format!("{CALLBACK}?{}", idp.agree(&location))).await);
    assert_ne!(browser.cookie(SESSION), before);
}

/// S-46: where to sign in.
#[actix_web::test]
async fn the_address_of_the_sign_in_can_be_looked_up() {
    let (app, _idp) = with_ada().await;
    let info = app.anonymous().get("/api/v2/users/sso_login_info?organization_id=default&return_to=%2Flogin%2Fx").await;
    let start = "http://127.0.0.1/sso/default/one/start?return_to=%2Flogin%2Fx";
    assert_eq!(info.json(), json!({ "result": { "saml_idp_url": start, "sso_required": false } }));
    let unknown = app.anonymous().get("/api/v2/users/sso_login_info?organization_id=nowhere").await;
    assert_eq!(unknown.json(), json!({ "result": { "saml_idp_url": null, "sso_required": false } }));
    for path in ["/sso/default/two/start", "/sso/nowhere/one/start", "/sso/default/two/callback?code=c&state=s"] {
        assert_eq!(app.anonymous().get(path).await.status, 404, "{path}");
    }
}

/// Proxies such as nginx take a response with 4 KiB of headers by default, whatever page to return to was asked for.
#[actix_web::test]
async fn the_redirect_to_the_provider_has_less_than_4_kib_of_headers() {
    let (app, idp) = with_ada().await;
    let browser = Browser::of(&app);
    for length in [1024, 1025, 2048] {
        let return_to = format!("/{}", "reports/2026-11_final.v2/".repeat(82).split_at(length - 1).0);
        let encoded = percent_encoding::utf8_percent_encode(&return_to, percent_encoding::NON_ALPHANUMERIC);
        let start = format!("{START}?return_to={encoded}&login_hint={}", "x".repeat(254));
        // More tabs than fit: the cookie of the oldest one is cleared.
        let mut started = browser.get(&start).await;
        for _ in 0..5 {
            started = browser.get(&start).await;
        }
        assert_eq!(
            (started.status, started.headers.get_all("set-cookie").iter().count()),
            (303, 2),
            "{}",
            started.text
        );
        let headers: usize = started.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        assert!(headers < 3500, "{length}: {headers}");
        let back = browser.get(&format!("{CALLBACK}?{}", idp.agree(started.header("location")))).await;
        assert_eq!(back.status, 303, "{}", back.text);
        let check = browser.get(&format!("/{}", back.header("location").trim_start_matches("../"))).await;
        let due = if length == 1024 { &*return_to } else { "../" };
        assert_eq!((check.status, check.header("location")), (303, due), "{length}");
    }
}

/// A refusal is recorded with the user and the provider, also at the start; the log has no addresses.
#[actix_web::test]
async fn refusals_name_the_user_and_the_provider() {
    let (app, idp) = with_ada().await;
    let ada: String = app.db_value("select user_id::text from users where email = 'Ada@example.com'").await;
    app.db_execute("update users set status = 'suspended' where email = 'Ada@example.com'").await;
    let browser = Browser::of(&app);
    assert_refused(&app, &browser, &browser.sign_in_at(&idp).await, "sso_suspended").await;
    let log = app.owner.get("/api/v2/audit/events?action=session.start").await.json();
    let refused = &log["results"][0];
    assert_eq!((&refused["reason"], &refused["details"]["provider"]), (&json!("sso_suspended"), &json!("one")));
    let target: String = app.db_value("select target_id::text from audit_events where reason = 'sso_suspended'").await;
    assert_eq!(target, ada);
}

/// S-13: responses that a provider refuses are limited for each network, since each costs requests to the provider.
#[actix_web::test]
async fn refused_responses_are_limited_for_a_network() {
    let app = TestApp::spawn_with(|config| {
        configure_for_sso(config);
        (config.sign_in.network_burst, config.sign_in.network_per_minute) = (3, 1);
    })
    .await;
    let idp = Idp::start().await;
    idp.add_to(&app, |_| {}).await;
    idp.script().token = Some((400, json!({ "error": "invalid_grant" })));
    for status in [403, 403, 403, 429] {
        assert_eq!(Browser::of(&app).sign_in_at(&idp).await.status, status);
    }
    // HEAD takes no response.
    let head = Browser::of(&app);
    assert_eq!(head.send(head.request("HEAD", CALLBACK)).await.status, 405);
}
