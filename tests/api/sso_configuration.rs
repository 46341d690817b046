//! Owners configure identity providers and bind identities over HTTP.

use muster::caller::PermissionLevel;
use muster::config::Config;
use muster::secret::Secret;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::idp::{Idp, SECRET, spawn_for_sso};
use crate::support::{Actor, Answer, TestApp, sso as sso_user, with_password};

const PROVIDERS: &str = "/api/v2/sso/providers";

async fn spawn() -> TestApp {
    TestApp::spawn_with(|config: &mut Config| {
        config.server.public_url = "http://127.0.0.1".to_owned();
        config.secrets.seal_key = Secret::new("a seal key that is long enough for the tests");
        config.sso.owners_may_configure = true;
    })
    .await
}

fn provider(idp: &Idp) -> Value {
    json!({"name": "one", "issuer": idp.issuer, "client_id": "muster", "client_secret": SECRET, "domains": ["example.com"]})
}

async fn patch(actor: &Actor, change: &Value) -> Answer {
    Actor::send(actor.request("PATCH", "/api/v2/sso/providers/one").body(change.to_string())).await
}

/// Creates a user: the ID.
async fn user_id(app: &TestApp, user: Value) -> String {
    let created = app.owner.create(&json!([user])).await;
    assert_eq!(created.status, 200, "{}", created.text);
    created.json()["results"][0]["user_id"].as_str().unwrap().to_owned()
}

/// S-53, S-54: an owner adds, reads, changes, tests and removes a provider, and never sees its secret.
#[actix_web::test]
async fn an_owner_configures_a_provider_whose_secret_is_never_shown() {
    let (app, idp) = (spawn().await, Idp::start().await);
    let added = app.owner.post(PROVIDERS, &provider(&idp)).await;
    assert_eq!(added.status, 200, "{}", added.text);
    let mut shown = added.json()["result"].clone();
    for name in ["provider_id", "created_at"] {
        assert!(shown.as_object_mut().unwrap().remove(name).is_some());
    }
    let expected = json!({
        "name": "one", "title": "one", "issuer": idp.issuer, "client_id": "muster", "token_auth": "auto",
        "scopes": "openid email profile", "domains": ["example.com"], "subject_claim": "sub", "email_claim": "email",
        "email_proof": "email_verified", "required_claims": {}, "creates": false, "max_age": null, "logout": false,
        "enabled": true, "client_secrets": 1, "redirect_uri": "http://127.0.0.1/sso/default/one/callback",
    });
    assert_eq!(shown, expected);
    let again = app.owner.post(PROVIDERS, &provider(&idp)).await;
    assert_eq!(
        (again.status, again.error()),
        (409, json!({"code": "conflict", "detail": "there is an identity provider `one` already"}))
    );

    let changed =
        patch(&app.owner, &json!({"title": "Ours", "second_client_secret": "the next one", "max_age": 600})).await;
    let result = &changed.json()["result"];
    assert_eq!(
        (&result["title"], &result["client_secrets"], &result["max_age"], &result["issuer"]),
        (&json!("Ours"), &json!(2), &json!(600), &json!(idp.issuer)),
        "{}",
        changed.text
    );
    let changed = patch(&app.owner, &json!({"second_client_secret": null, "max_age": null})).await.json();
    assert_eq!((&changed["result"]["client_secrets"], &changed["result"]["max_age"]), (&json!(1), &json!(null)));
    let tested = app.owner.post("/api/v2/sso/providers/one/test", &Value::Null).await;
    assert_eq!(tested.json()["result"]["algorithms"], json!(["RS256"]), "{}", tested.text);
    let listed = app.owner.get(PROVIDERS).await;
    assert_eq!(
        (&listed.json()["results"][0]["title"], &listed.json()["metadata"]),
        (&json!("Ours"), &json!({"total": 1, "next_paging_token": null}))
    );
    let read = app.owner.get("/api/v2/sso/providers/one").await;
    for answer in [&added, &listed, &read] {
        assert!(!answer.text.contains("s3cret") && !answer.text.contains("seal"), "{}", answer.text);
    }
    // The stored secret is the right one.
    user_id(&app, sso_user("ada@example.com")).await;
    assert_eq!(Browser::of(&app).sign_in_at(&idp).await.status, 303);

    assert_eq!(app.owner.delete("/api/v2/sso/providers/one").await.status, 204);
    let gone = app.owner.get("/api/v2/sso/providers/one").await;
    assert_eq!(
        (gone.status, gone.error()),
        (404, json!({"code": "not_found", "detail": "there is no identity provider one"}))
    );
}

/// S-53: what can't work is said, and nothing is written.
#[actix_web::test]
async fn a_provider_that_can_not_work_is_rejected() {
    let (app, idp) = (spawn().await, Idp::start().await);
    let with = |change: Value| {
        let mut provider = provider(&idp);
        provider.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        provider
    };
    for (change, detail) in [
        (json!({"name": "One"}), "a provider's name has 1 to 32 lower-case letters, digits and `-`"),
        (json!({"preset": "ping"}), "`preset` must be one of entra, google, okta, keycloak"),
        (json!({"token_auth": "jwt"}), "`token_auth` must be one of auto, basic, post, none"),
        (json!({"email_proof": "trust"}), "`email_proof` must be one of email_verified, xms_edov, issuer"),
        (json!({"client_secret": "a\nb"}), "a client secret must be one line with 1 to 4096 bytes"),
        (json!({"client_secret": ""}), "a client secret must be one line with 1 to 4096 bytes"),
        (json!({"scopes": "email"}), "the scopes must be words with a space between them, and contain `openid`"),
        (
            json!({"preset": "google", "domains": []}),
            "Google: name one domain of your organization; make a provider for each other one",
        ),
    ] {
        let answer = app.owner.post(PROVIDERS, &with(change)).await;
        assert_eq!((answer.status, answer.error()), (400, json!({"code": "invalid_request", "detail": detail})));
    }
    idp.script().status = 500;
    let away = app.owner.post(PROVIDERS, &provider(&idp)).await;
    let detail = format!("{0}/.well-known/openid-configuration answered 500", idp.issuer);
    assert_eq!((away.status, away.error()), (409, json!({"code": "conflict", "detail": detail})));
    assert_eq!(app.owner.get(PROVIDERS).await.json()["results"], json!([]));
}

/// S-53: without the setting, owners read providers, and the operator configures them.
#[actix_web::test]
async fn owners_configure_providers_only_if_the_operator_lets_them() {
    let (app, idp) = (spawn_for_sso().await, Idp::start().await);
    idp.add_to(&app, |_| {}).await;
    assert_eq!(app.owner.get(PROVIDERS).await.json()["results"][0]["name"], "one");
    assert_eq!(app.owner.get("/api/v2/sso/providers/one").await.status, 200);
    for (method, path, action) in [
        ("POST", PROVIDERS, "sso_provider.create"),
        ("PATCH", "/api/v2/sso/providers/one", "sso_provider.update"),
        ("DELETE", "/api/v2/sso/providers/one", "sso_provider.delete"),
        ("POST", "/api/v2/sso/providers/one/test", "sso_provider.test"),
    ] {
        let mut body = provider(&idp);
        if method == "PATCH" {
            body.as_object_mut().unwrap().remove("name");
        }
        let answer = Actor::send(app.owner.request(method, path).body(body.to_string())).await;
        let detail = format!(
            "not permitted: `{action}` requires the setting `sso.owners_may_configure`, which is off on this server; its operator \
             can run `muster sso provider`"
        );
        assert_eq!((answer.status, answer.error()), (403, json!({"code": "forbidden", "detail": detail})), "{action}");
        let denied = app.owner.get(&format!("/api/v2/audit/events?action={action}")).await.json();
        assert_eq!(denied["results"][0]["outcome"], "denied", "{denied}");
    }
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    assert_eq!(collaborator.get(PROVIDERS).await.status, 403);
    assert_eq!(idp.requests("/.well-known/openid-configuration"), 1, "of the operator");
}

/// S-48: a session needs a recent sign-in for what lets people in.
#[actix_web::test]
async fn a_session_needs_a_recent_sign_in_to_configure_and_to_bind() {
    let (app, idp) = (spawn().await, Idp::start().await);
    let ada = user_id(&app, sso_user("ada@example.com")).await;
    let mut boss = with_password("boss@example.com", "");
    boss["permission_level"] = json!("owner");
    user_id(&app, boss).await;
    let boss = app.signed_in_by_link("boss@example.com").await;
    let added = boss.post(PROVIDERS, &provider(&idp)).await;
    assert_eq!(added.status, 200, "{}", added.text);
    app.db_execute("update sessions set authenticated_at = authenticated_at - interval '16 minutes'").await;
    app.app.holders.clear();
    let identity = json!({"provider": "one", "subject": "ada-1"});
    let denied = [
        boss.post(PROVIDERS, &provider(&idp)).await,
        boss.post(&format!("/api/v2/users/{ada}/sso_identities"), &identity).await,
        boss.send(boss.request("DELETE", "/api/v2/sso/providers/one")).await,
    ];
    for answer in denied {
        assert_eq!(
            (answer.status, &answer.error()["code"]),
            (403, &json!("reauthentication_needed")),
            "{}",
            answer.text
        );
    }
    assert_eq!(boss.get(PROVIDERS).await.status, 200);
}

/// S-71: an owner binds an identity, sees the address that the provider names, and unbinds it.
#[actix_web::test]
async fn an_owner_binds_lists_and_unbinds_identities() {
    let (app, idp) = (spawn_for_sso().await, Idp::start().await);
    idp.add_to(&app, |_| {}).await;
    let ada = user_id(&app, sso_user("ada@example.com")).await;
    let path = format!("/api/v2/users/{ada}/sso_identities");
    let bound = app.owner.post(&path, &json!({"provider": "one", "subject": "a-1"})).await;
    assert_eq!(bound.status, 200, "{}", bound.text);
    let identity = bound.json()["results"][0].clone();
    assert_eq!(
        (&identity["provider"], &identity["subject"], &identity["bound_how"], &identity["email_seen"]),
        (&json!("one"), &json!("a-1"), &json!("owner"), &json!(null))
    );
    idp.script().claims = json!({ "sub": "a-1", "email": "ada@elsewhere.example" });
    let browser = Browser::of(&app);
    assert_eq!(browser.sign_in_at(&idp).await.status, 303);
    let listed = app.owner.get(&path).await.json();
    assert_eq!(listed["results"][0]["email_seen"], "ada@elsewhere.example");

    let ben = user_id(&app, with_password("ben@example.com", "tidal-anchor-Plum-91")).await;
    let taken = "not bound: the user is not one of single sign-on (`muster sso set-sso`), or the user or the subject is bound at `one` \
                 already";
    for (user, subject) in [(&ben, "b-1"), (&ada, "a-2")] {
        let path = format!("/api/v2/users/{user}/sso_identities");
        let answer = app.owner.post(&path, &json!({"provider": "one", "subject": subject})).await;
        assert_eq!((answer.status, answer.error()), (409, json!({"code": "conflict", "detail": taken})));
    }
    let answer = app.owner.post(&path, &json!({"provider": "two", "subject": "a-1"})).await;
    assert_eq!(
        (answer.status, answer.error()),
        (404, json!({"code": "not_found", "detail": "there is no identity provider two"}))
    );
    let answer = app.owner.post(&path, &json!({"provider": "t\u{0}", "subject": "a-1"})).await;
    assert_eq!(answer.error()["detail"], "there is no identity provider t\\0", "{}", answer.text);
    let unknown = "/api/v2/users/usr_01k9h6m3x0e8wbz1v5n7q2r4t6/sso_identities";
    assert_eq!(app.owner.get(unknown).await.status, 404);
    assert_eq!(app.owner.post(unknown, &json!({"provider": "one", "subject": "x"})).await.status, 404);
    assert_eq!(app.owner.get(&format!("/api/v2/users/{ben}/sso_identities")).await.json()["results"], json!([]));

    let id = identity["identity_id"].as_str().unwrap();
    assert_eq!(app.owner.delete(&format!("/api/v2/users/{ben}/sso_identities/{id}")).await.status, 404);
    assert_eq!(app.owner.delete(&format!("{path}/{id}")).await.status, 204);
    assert_eq!(browser.get("/api/v2/userinfo/").await.status, 401);
    assert_eq!(app.owner.delete(&format!("{path}/{id}")).await.status, 404);
}

/// S-46: the vendor's route for trying single sign-on does not exist here.
#[tokio::test]
async fn the_vendors_test_of_single_sign_on_is_not_found() {
    let app = TestApp::spawn().await;
    assert_eq!(app.owner.get("/api/v2/users/sso_login_test").await.status, 404);
}
