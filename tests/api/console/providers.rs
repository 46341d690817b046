//! Identity providers: their state, testing, enabling and removing them.

use super::{Browser, PASSWORD, TestApp, heading, owner, user};
use crate::support::idp::{Idp, configure_for_sso};
use crate::support::sso;

const PATH: &str = "/console/providers";
const ONE: &str = "/console/providers/one";

/// A server on which owners configure providers, or not, with one provider.
async fn with_provider(may_configure: bool) -> (TestApp, Idp, Browser) {
    let app = TestApp::spawn_with(|config| {
        configure_for_sso(config);
        config.passwords.must_change = false;
        config.sso.owners_may_configure = may_configure;
    })
    .await;
    let idp = Idp::start().await;
    idp.add_to(&app, |_| {}).await;
    let owner = owner(&app).await;
    (app, idp, owner)
}

#[tokio::test]
async fn providers_are_listed_with_their_state_and_their_identities() {
    let app = super::spawn().await;
    let owner = owner(&app).await;
    let empty = owner.get(PATH).await;
    assert!(
        empty.text.contains("No identity provider yet") && empty.text.contains("muster sso provider add NAME"),
        "{}",
        empty.text
    );

    let (app, idp, owner) = with_provider(false).await;
    let page = owner.get(PATH).await;
    for part in ["<bdi>Our &#60;IdP&#62;</bdi>", "Not asked yet", "example.com", "<td class=\"num\">0</td>"] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    app.owner.create(&serde_json::json!([sso("ada@example.com")])).await;
    assert_eq!(Browser::of(&app).sign_in_at(&idp).await.status, 303);
    let page = owner.get(PATH).await;
    for part in [">Answers</span>", "<td class=\"num\">1</td>", "Today "] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    let one = owner.get(ONE).await;
    assert_eq!((one.status, heading(&one)), (200, "<bdi>Our &#60;IdP&#62;</bdi>"), "{}", one.text);
    for part in ["1 person</a>", "1 open session", "http://127.0.0.1/sso/default/one/callback", &idp.issuer] {
        assert!(one.text.contains(part), "{part} in {}", one.text);
    }
    assert!(!one.text.contains("s3cret"), "{}", one.text);
    // The number is that of the list behind it.
    let link = one.text.split_once("/people?provider=").unwrap().1.split_once('"').unwrap().0;
    let people = owner.get(&format!("/console/people?provider={link}")).await;
    assert_eq!(people.text.matches("<tr><td class=\"pick\">").count(), 1, "{}", people.text);
    // The page is found by ID, too.
    let found = owner.get(&format!("/console/find?q={link}")).await;
    assert_eq!(found.header("location"), format!("../console/providers/{link}"));
    assert_eq!(owner.get(&format!("{PATH}/{link}")).await.status, 200);
    for path in ["two", "one%00"] {
        assert_eq!(owner.get(&format!("{PATH}/{path}")).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_provider_that_does_not_answer_says_since_when_and_why() {
    let (app, idp, owner) = with_provider(false).await;
    app.owner.create(&serde_json::json!([sso("ada@example.com")])).await;
    idp.script().status = 500;
    assert_ne!(Browser::of(&app).get("/sso/default/one/start").await.status, 200);
    let one = owner.get(ONE).await;
    for part in [
        "Does not answer",
        " · since <time",
        "The last request failed",
        "/.well-known/openid-configuration answered 500",
    ] {
        assert!(one.text.contains(part), "{part} in {}", one.text);
    }
    assert!(owner.get(PATH).await.text.contains("Does not answer"));
}

/// Without the setting, the page has commands in place of buttons, and the addresses refuse.
#[tokio::test]
async fn owners_configure_providers_only_if_the_operator_lets_them() {
    let (app, _idp, owner) = with_provider(false).await;
    let one = owner.get(ONE).await;
    assert!(one.text.contains("muster sso provider test one"), "{}", one.text);
    for absent in ["<button type=\"submit\">Test", "one/disable", "one/remove"] {
        assert!(!one.text.contains(absent), "{absent} in {}", one.text);
    }
    for (doing, action) in [("disable", "sso_provider.update"), ("remove", "sso_provider.delete")] {
        let path = format!("{ONE}/{doing}");
        assert_eq!(owner.get(&path).await.status, 403, "{doing}");
        assert_eq!(owner.submit(&path, &[("confirm", "one")]).await.status, 403, "{doing}");
        let denied = app.owner.get(&format!("/api/v2/audit/events?action={action}")).await.json();
        assert_eq!(denied["results"][0]["outcome"], "denied", "{denied}");
    }
    assert_eq!(owner.submit(&format!("{ONE}/test"), &[("test", "yes")]).await.status, 403);
    assert_eq!(owner.get(ONE).await.status, 200);
}

#[tokio::test]
async fn a_provider_is_tested_disabled_enabled_and_removed() {
    let (app, idp, owner) = with_provider(true).await;
    app.owner.create(&serde_json::json!([sso("ada@example.com")])).await;
    let ada = Browser::of(&app);
    assert_eq!(ada.sign_in_at(&idp).await.status, 303);
    let tested = owner.submit(&format!("{ONE}/test"), &[("test", "yes")]).await;
    assert_eq!(tested.status, 200, "{}", tested.text);
    assert!(
        tested.text.contains("The provider answers") && tested.text.contains("It signs with RS256"),
        "{}",
        tested.text
    );
    idp.script().status = 500;
    let tested = owner.submit(&format!("{ONE}/test"), &[("test", "yes")]).await;
    assert_eq!(tested.status, 409, "{}", tested.text);
    assert!(
        tested.text.contains("The provider can’t be used") && tested.text.contains("answered 500"),
        "{}",
        tested.text
    );
    idp.script().status = 200;

    let disable = format!("{ONE}/disable");
    let review = owner.get(&disable).await;
    assert!(review.text.contains("<dt>session ends</dt><dd>1</dd>"), "{}", review.text);
    for _ in 0..2 {
        let done = owner.submit(&disable, &[("confirm", "")]).await;
        assert_eq!(
            (done.status, done.header("location")),
            (303, "../../../console/providers/one?done=disabled"),
            "{}",
            done.text
        );
    }
    assert_eq!(ada.get("/api/v2/userinfo/").await.status, 401);
    assert!(owner.get(PATH).await.text.contains("Disabled"));
    let events = app.owner.get("/api/v2/audit/events?action=sso_provider.update").await.json();
    assert_eq!(events["results"].as_array().map(Vec::len), Some(1), "{events}");
    let done = owner.submit(&format!("{ONE}/enable"), &[("confirm", "")]).await;
    assert_eq!(done.header("location"), "../../../console/providers/one?done=enabled", "{}", done.text);

    let remove = format!("{ONE}/remove");
    let review = owner.get(&remove).await;
    assert!(review.text.contains("<dt>identity is deleted</dt><dd>1</dd>"), "{}", review.text);
    let wrong = owner.submit(&remove, &[("confirm", "two")]).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);
    assert!(wrong.text.contains("Nothing was changed"), "{}", wrong.text);
    let done = owner.submit(&remove, &[("confirm", "one")]).await;
    assert_eq!(
        (done.status, done.header("location")),
        (303, "../../../console/providers?done=removed"),
        "{}",
        done.text
    );
    assert_eq!(owner.submit(&remove, &[("confirm", "one")]).await.status, 404);
    assert!(owner.get(&format!("{PATH}?done=removed")).await.text.contains("The identity provider is removed."));
}

/// S-48.
#[tokio::test]
async fn changing_a_provider_needs_a_recent_sign_in() {
    let (app, _idp, owner) = with_provider(true).await;
    app.db_execute("update sessions set authenticated_at = authenticated_at - interval '16 minutes'").await;
    app.app.holders.clear();
    for doing in ["disable", "remove"] {
        let asked = owner.get(&format!("{ONE}/{doing}")).await;
        let location = format!("../../../sign-in?return_to=%2Fconsole%2Fproviders%2Fone%2F{doing}&again=1");
        assert_eq!((asked.status, asked.header("location")), (303, location.as_str()), "{}", asked.text);
        let sent = owner.submit(&format!("{ONE}/{doing}"), &[("confirm", "one")]).await;
        assert_eq!((sent.status, sent.header("location")), (303, location.as_str()), "{}", sent.text);
    }
    assert_eq!(owner.get(ONE).await.status, 200);
    // A test gives nobody a way in.
    assert_eq!(owner.submit(&format!("{ONE}/test"), &[("test", "yes")]).await.status, 200);
    user(&app, "eve@example.com", "collaborator").await;
    let eve = Browser::of(&app);
    eve.sign_in_on_page("eve@example.com", PASSWORD, "").await;
    assert_eq!(eve.get(PATH).await.status, 403);
}
