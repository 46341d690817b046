//! How the people of an organization sign in: the policy, whom it binds, and what keeps a way in for an owner.

use muster::caller::PermissionLevel;
use muster::secret::Secret;
use muster::sso;
use serde_json::{Value, json};

use crate::support::browser::{Browser, PASSWORD, SESSION};
use crate::support::gate::eventually;
use crate::support::idp::{Idp, START, operator, spawn_for_sso};
use crate::support::{Actor, Answer, TestApp, sso as sso_user, with_password};

const POLICY: &str = "/api/v2/organizations/sign_in_policy";

/// A server with a provider, and Ada, an owner with single sign-on who has not signed in.
async fn with_ada() -> (TestApp, Idp, String) {
    let (app, idp) = (spawn_for_sso().await, Idp::start().await);
    idp.add_to(&app, |_| {}).await;
    let mut ada = sso_user("Ada@example.com");
    ada["permission_level"] = json!("owner");
    let created = app.owner.create(&json!([ada])).await;
    assert_eq!(created.status, 200, "{}", created.text);
    let user_id = created.json()["results"][0]["user_id"].as_str().unwrap().to_owned();
    (app, idp, user_id)
}

/// As [`with_ada`], after Ada has signed in, with her browser.
async fn with_ada_signed_in() -> (TestApp, Idp, String, Browser) {
    let (app, idp, user_id) = with_ada().await;
    let browser = Browser::of(&app);
    signs_in(&browser, &idp).await;
    (app, idp, user_id, browser)
}

async fn signs_in(browser: &Browser, idp: &Idp) {
    let answer = browser.sign_in_at(idp).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
}

async fn put(actor: &Actor, policy: &Value) -> Answer {
    Actor::send(actor.request("PUT", POLICY).body(policy.to_string())).await
}

/// Sets the policy: the number of sessions that ended.
async fn set(app: &TestApp, sso_mode: &str, owners_sso: &str) -> Value {
    let answer = put(&app.owner, &json!({"sso_mode": sso_mode, "owners_sso": owners_sso})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["result"]["ended_sessions"].clone()
}

fn error(answer: &Answer) -> (u16, String, String) {
    let error = answer.error();
    (answer.status, error["code"].as_str().unwrap().to_owned(), error["detail"].as_str().unwrap().to_owned())
}

/// What a client can see of a refused sign-in, without what differs in each.
fn visible(answer: &Answer) -> (u16, Value, Vec<(String, String)>) {
    let mut body = answer.json();
    body["error"].as_object_mut().unwrap().remove("request_id");
    let headers =
        answer.headers.iter().filter(|(name, _)| !["date", "x-request-id", "x-trace-id"].contains(&name.as_str()));
    let mut headers: Vec<(String, String)> =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    headers.sort();
    (answer.status, body, headers)
}

/// The number of hashes so far.
fn hashes(app: &TestApp) -> u64 {
    let metrics = app.app.metrics.write(muster::metrics::Format::Text).unwrap();
    let count = metrics.lines().find_map(|line| line.strip_prefix("muster_hash_duration_seconds_count "));
    count.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

/// Waits until the audit log has a refusal with this reason: it is written after the response.
async fn is_audited(app: &TestApp, action: &str, reason: &str) {
    eventually(reason, async || {
        let text = app.owner.get(&format!("/api/v2/audit/events?action={action}")).await.text;
        text.contains(&format!("\"{reason}\""))
    })
    .await;
}

const LAST_OWNER: &str = "the change would leave the organization without an active owner who can sign in; give another owner a \
                          password or an identity first";

/// S-48, S-52: owners read and set the policy, a session only after a recent sign-in; both policies are in the audit log.
#[actix_web::test]
async fn owners_read_and_set_the_policy() {
    let (app, _idp, _, ada) = with_ada_signed_in().await;
    let default = json!({"result": {"sso_mode": "optional", "owners_sso": "optional", "changed_at": null}});
    let shown = app.owner.get(POLICY).await;
    assert_eq!((shown.status, shown.json()), (200, default));
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    assert_eq!(
        (collaborator.get(POLICY).await.status, put(&collaborator, &json!({"sso_mode": "off"})).await.status),
        (403, 403)
    );
    for (policy, detail) in [
        (json!({"sso_mode": "on"}), "`sso_mode` must be one of off, optional, required"),
        (json!({"sso_mode": "required", "owners_sso": "off"}), "`owners_sso` must be one of optional, required"),
        (
            json!({"sso_mode": "optional", "owners_sso": "required"}),
            "`owners_sso` can be `required` only if `sso_mode` is `required`",
        ),
    ] {
        let answer = put(&app.owner, &policy).await;
        assert_eq!(error(&answer), (400, "invalid_request".to_owned(), detail.to_owned()));
    }
    let required = json!({"sso_mode": "required", "owners_sso": "required"});
    let by_ada = async || {
        ada.send(ada.request("PUT", POLICY).header("content-type", "application/json").body(required.to_string())).await
    };
    app.db_execute("update sessions set authenticated_at = authenticated_at - interval '16 minutes'").await;
    assert_eq!((by_ada().await.status, ada.get(POLICY).await.status), (403, 200));
    app.db_execute("update sessions set authenticated_at = authenticated_at + interval '16 minutes'").await;
    app.app.holders.clear();
    let answer = by_ada().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut result = answer.json()["result"].clone();
    assert!(result["changed_at"].is_string(), "{result}");
    result["changed_at"] = Value::Null;
    assert_eq!(
        result,
        json!({"sso_mode": "required", "owners_sso": "required", "changed_at": null, "ended_sessions": 0})
    );
    // The same again writes nothing.
    assert_eq!(set(&app, "required", "required").await, 0);
    set(&app, "required", "optional").await;
    let events = app.owner.get("/api/v2/audit/events?action=sign_in_policy.set").await.json();
    let events = events["results"].as_array().unwrap().iter().filter(|event| event["outcome"] == "success");
    let details: Vec<&Value> = events.map(|event| &event["details"]).collect();
    let (optional, owners) = (
        json!({"sso_mode": "optional", "owners_sso": "optional"}),
        json!({"sso_mode": "required", "owners_sso": "required"}),
    );
    assert_eq!(
        details,
        [
            &json!({"from": owners, "to": {"sso_mode": "required", "owners_sso": "optional"}, "ended_sessions": 0}),
            &json!({"from": optional, "to": owners, "ended_sessions": 0}),
        ]
    );
    let document: Value = app.anonymous().get("/openapi.json").await.json();
    assert_eq!(document["paths"][POLICY]["put"]["operationId"], "sign_in_policy_set");
}

/// S-52: single sign-on is required only after an owner has used it within 30 days, through a provider that is still enabled.
#[actix_web::test]
async fn sso_is_required_only_after_an_owner_has_used_it() {
    let (app, idp, _) = with_ada().await;
    app.owner.create(&json!([sso_user("ben@example.com")])).await;
    let refused = async |why: &str| {
        for owners_sso in ["optional", "required"] {
            let answer = put(&app.owner, &json!({"sso_mode": "required", "owners_sso": owners_sso})).await;
            let detail = "no active owner has signed in through an enabled identity provider in the last 30 days; sign in through \
                          it as an owner first, then require it";
            assert_eq!(error(&answer), (409, "would_lock_out".to_owned(), detail.to_owned()), "{why}");
        }
    };
    refused("nobody has signed in").await;
    idp.script().claims = json!({"sub": "ben-1", "email": "ben@example.com"});
    signs_in(&Browser::of(&app), &idp).await;
    refused("a collaborator has").await;
    idp.script().claims = json!({});
    signs_in(&Browser::of(&app), &idp).await;
    app.db_execute("update sso_identities set last_used_at = last_used_at - interval '31 days'").await;
    refused("an owner has, long ago").await;
    app.db_execute("update sso_identities set last_used_at = last_used_at + interval '31 days'").await;
    app.db_execute("update sso_providers set disabled_at = now()").await;
    refused("the provider is disabled").await;
    app.db_execute("update sso_providers set disabled_at = null").await;
    app.db_execute("update users set status = 'suspended' where email = 'Ada@example.com'").await;
    refused("the owner is suspended").await;
    app.db_execute("update users set status = 'active' where email = 'Ada@example.com'").await;
    set(&app, "required", "optional").await;
    // Owners are bound only after the same check.
    app.db_execute("update sso_identities set last_used_at = last_used_at - interval '31 days'").await;
    let answer = put(&app.owner, &json!({"sso_mode": "required", "owners_sso": "required"})).await;
    assert_eq!((answer.status, answer.error()["code"].as_str()), (409, Some("would_lock_out")));
    // Asking for less needs no check.
    set(&app, "optional", "optional").await;
}

/// S-52, S-6: a bound person's right password is refused as a wrong one, and their sessions end; API keys and other people stay.
#[actix_web::test]
async fn required_sso_refuses_passwords_of_collaborators_like_wrong_ones() {
    let (app, _idp, _, ada) = with_ada_signed_in().await;
    let (_, ben) = app.signed_in("ben@example.com").await;
    let by_password = Browser::of(&app);
    assert_eq!(by_password.sign_in("ben@example.com", PASSWORD).await.status, 200);
    let (_, key) = app.person("carl@example.com", PermissionLevel::Collaborator).await;
    let mut olga = with_password("olga@example.com", "");
    olga["permission_level"] = json!("owner");
    assert_eq!(app.owner.create(&json!([olga])).await.status, 200);
    let olga = app.signed_in_by_link("olga@example.com").await;
    let wrong = visible(&Browser::of(&app).sign_in("ben@example.com", "wrong-Password-17").await);
    assert_eq!(wrong.0, 401);

    assert_eq!(set(&app, "required", "optional").await, 2);
    assert_eq!(
        (ben.get("/api/v2/userinfo/").await.status, by_password.get("/api/v2/userinfo/").await.status),
        (401, 401)
    );
    assert_eq!((ada.get("/api/v2/userinfo/").await.status, olga.get("/api/v2/userinfo/").await.status), (200, 200));
    assert_eq!(key.get("/api/v2/userinfo/").await.status, 200);
    let ended: String = app.db_value("select distinct end_reason from sessions where ended_at is not null").await;
    assert_eq!(ended, "sso_required");

    let (browser, hashed) = (Browser::of(&app), hashes(&app));
    assert_eq!(visible(&browser.sign_in("ben@example.com", PASSWORD).await), wrong);
    assert_eq!(hashes(&app), hashed + 1);
    assert_eq!(
        (browser.cookie(SESSION), visible(&browser.sign_in("ben@example.com", "wrong-Password-17").await)),
        (None, wrong)
    );
    is_audited(&app, "session.start", "sso_required").await;
    assert_eq!(Browser::of(&app).sign_in("olga@example.com", PASSWORD).await.status, 200);

    // With owners bound, too, their sessions with passwords end.
    assert_eq!(set(&app, "required", "required").await, 2);
    assert_eq!((olga.get("/api/v2/userinfo/").await.status, ada.get("/api/v2/userinfo/").await.status), (401, 200));
    assert_eq!(Browser::of(&app).sign_in("olga@example.com", PASSWORD).await.status, 401);
    // Back to the default, passwords work; the sessions stay ended.
    set(&app, "optional", "optional").await;
    assert_eq!(Browser::of(&app).sign_in("ben@example.com", PASSWORD).await.status, 200);
    assert_eq!(ben.get("/api/v2/userinfo/").await.status, 401);
}

/// S-33, S-36, S-51, S-52: links are neither made for bound people nor work for them, except those of the local operator.
#[actix_web::test]
async fn required_sso_closes_links_and_password_changes_but_not_recovery() {
    let (app, _idp, _, _) = with_ada_signed_in().await;
    let created =
        app.owner.create(&json!([with_password("ben@example.com", ""), with_password("eve@example.com", "")])).await;
    let (batch_id, ben) = (
        created.json()["metadata"]["batch_id"].clone(),
        created.json()["results"][0]["user_id"].as_str().unwrap().to_owned(),
    );
    let token = app.link("ben@example.com").await;
    let reset = json!({"token": token, "new_password": PASSWORD});
    set(&app, "required", "optional").await;

    let detail = "the organization requires single sign-on; sign in through its identity provider";
    let shown = app.anonymous().get(&format!("/api/v2/users/reset_password/{token}")).await;
    assert_eq!(error(&shown), (404, "not_found".to_owned(), detail.to_owned()));
    let browser = Browser::of(&app);
    assert_eq!(
        error(&browser.post("/api/v2/users/reset_password", &reset).await),
        (404, "not_found".to_owned(), detail.to_owned())
    );
    let page = browser.get(&format!("/password/{token}")).await;
    assert_eq!((page.status, page.text.contains("requires single sign-on")), (404, true), "{}", page.text);
    is_audited(&app, "password_link.use", "sso_required").await;

    let made = app.owner.post("/api/v2/users/password_links", &json!({"users": [{"user": "ben@example.com"}]})).await;
    assert_eq!(made.status, 422, "{}", made.text);
    let finding = &made.error()["rows"][0];
    assert_eq!(
        (finding["code"].as_str(), finding["message"].as_str()),
        (Some("sso_required"), Some("must sign in through the identity provider: the organization requires it")),
        "{}",
        made.text
    );
    let made = app.owner.post("/api/v2/users/password_links", &json!({"batch_id": batch_id})).await;
    assert_eq!(made.status, 409, "{}", made.text);

    // The local operator lets Ben back in. His session stays when the policy is set again, but his password can't be changed.
    let link = muster::links::recover(&app.app, &operator(&app).await, ben.parse().unwrap()).await.unwrap();
    let recovered = Browser::of(&app);
    let reset = json!({"token": link.token.expose(), "new_password": PASSWORD});
    let used = recovered.post("/api/v2/users/reset_password", &reset).await;
    assert_eq!(used.status, 200, "{}", used.text);
    let new = json!({"current_password": PASSWORD, "new_password": "another-Harbor-Quill-27"});
    let detail = "your organization requires single sign-on: passwords don't sign in, and nothing was changed";
    assert_eq!(
        error(&recovered.post("/api/v2/users/change_password", &new).await),
        (409, "conflict".to_owned(), detail.to_owned())
    );
    assert_eq!(recovered.get("/account/password").await.status, 409);
    let account = recovered.get("/account").await;
    assert!(account.text.contains("since your organization requires single sign-on"), "{}", account.text);
    assert_eq!(set(&app, "required", "required").await, 0);
    assert_eq!(recovered.get("/api/v2/userinfo/").await.status, 200);
    // The link that was refused works again without the policy.
    set(&app, "optional", "optional").await;
    assert_eq!(
        app.anonymous().get(&format!("/api/v2/users/reset_password/{token}")).await.status,
        404,
        "Ben's new password revoked it"
    );
    let eve = app.link("eve@example.com").await;
    set(&app, "required", "optional").await;
    assert_eq!(app.anonymous().get(&format!("/api/v2/users/reset_password/{eve}")).await.status, 404);
    set(&app, "optional", "optional").await;
    assert_eq!(app.anonymous().get(&format!("/api/v2/users/reset_password/{eve}")).await.status, 200);
}

/// S-36, S-52: a request for a link makes nothing for a person who is bound, and the response does not tell.
#[actix_web::test]
async fn a_request_for_a_link_of_a_bound_person_makes_nothing() {
    let app = TestApp::spawn_with(|config| {
        config.server.public_url = "http://127.0.0.1".to_owned();
        config.secrets.seal_key = Secret::new("a seal key that is long enough for the tests");
        config.mail.url = Secret::new("smtp://127.0.0.1:9");
        config.mail.from = "muster <muster@example.org>".to_owned();
        config.mail.plaintext = true;
    })
    .await;
    let idp = Idp::start().await;
    idp.add_to(&app, |_| {}).await;
    let mut ada = sso_user("Ada@example.com");
    ada["permission_level"] = json!("owner");
    app.owner.create(&json!([ada, with_password("ben@example.com", "")])).await;
    signs_in(&Browser::of(&app), &idp).await;
    set(&app, "required", "optional").await;
    let ask = async |email: &str| {
        let answer = app.anonymous().post("/api/v2/users/request_password_reset", &json!({"email": email})).await;
        (answer.status, answer.text)
    };
    assert_eq!(ask("ben@example.com").await, ask("nobody@example.com").await);
    is_audited(&app, "password_reset.request", "sso_required").await;
    assert_eq!(
        app.db_value::<i64>("select (select count(*) from password_links) + (select count(*) from mails)").await,
        0
    );
}

/// S-52: with `off`, sessions through providers end, and no provider starts another one.
#[actix_web::test]
async fn off_ends_sso_sessions_and_refuses_providers_with_a_page() {
    let (app, idp, _, ada) = with_ada_signed_in().await;
    let mut olga = with_password("olga@example.com", "");
    olga["permission_level"] = json!("owner");
    assert_eq!(app.owner.create(&json!([olga])).await.status, 200);
    let olga = app.signed_in_by_link("olga@example.com").await;
    let pending = Browser::of(&app);
    let location = pending.depart(START).await;
    assert_eq!(set(&app, "off", "optional").await, 1);
    assert_eq!((ada.get("/api/v2/userinfo/").await.status, olga.get("/api/v2/userinfo/").await.status), (401, 200));

    let start = Browser::of(&app).get(START).await;
    let returned = pending.get(&format!("{}?{}", crate::support::idp::CALLBACK, idp.agree(&location))).await;
    for answer in [&start, &returned] {
        assert_eq!(answer.status, 403, "{}", answer.text);
        assert!(answer.text.contains("Single sign-on is off"), "{}", answer.text);
    }
    assert_eq!((pending.cookie(SESSION), idp.requests("/token")), (None, 1));
    is_audited(&app, "session.start", "sso_off").await;
    let page = app.anonymous().get("/sign-in").await;
    assert!(!page.text.contains("/sso/"), "{}", page.text);
    let info = app.anonymous().get("/api/v2/users/sso_login_info").await;
    assert_eq!(info.json()["result"], json!({"saml_idp_url": null, "sso_required": false}));
    assert_eq!(Browser::of(&app).sign_in("olga@example.com", PASSWORD).await.status, 200);
    set(&app, "optional", "optional").await;
    signs_in(&Browser::of(&app), &idp).await;
}

/// S-46: clients see whether single sign-on is required, before and after the sign-in.
#[actix_web::test]
async fn clients_see_the_policy() {
    let (app, _idp, _, ada) = with_ada_signed_in().await;
    let (_, ben) = app.signed_in("ben@example.com").await;
    let provider = sso::get(&app.app, &operator(&app).await, "one").await.unwrap().provider_id.to_string();
    let seen = async |browser: &Browser| {
        let me = browser.get("/api/v2/userinfo/").await.json()["result"].clone();
        let organization = me["organizations"][0].clone();
        assert_eq!(organization["sso_config_id"], json!(provider));
        (me["has_password"].clone(), organization["sso_required"].clone(), organization["sso_mode"].clone())
    };
    assert_eq!(seen(&ada).await, (json!(false), json!(false), json!("optional")));
    assert_eq!(seen(&ben).await, (json!(true), json!(false), json!("optional")));
    let of_key = app.owner.get("/api/v2/userinfo/").await.json()["result"].clone();
    assert_eq!(of_key["has_password"], json!(false));
    let required = async || {
        let info = app.anonymous().get("/api/v2/users/sso_login_info?organization_id=default").await.json();
        let alone = app.anonymous().get("/api/v2/users/sso_login_info").await.json();
        assert_eq!(info, alone);
        info["result"]["sso_required"].clone()
    };
    assert_eq!(required().await, false);
    set(&app, "required", "optional").await;
    assert_eq!(seen(&ada).await, (json!(false), json!(true), json!("required")));
    assert_eq!(required().await, true);
    let unknown = app.anonymous().get("/api/v2/users/sso_login_info?organization_id=other").await.json();
    assert_eq!(unknown["result"], json!({"saml_idp_url": null, "sso_required": false}));
}

/// S-52: with single sign-on required, the sign-in page begins with the providers; the form is for owners, if they may use it.
#[actix_web::test]
async fn the_sign_in_page_follows_the_policy() {
    let (app, idp, _, _) = with_ada_signed_in().await;
    let page = async || app.anonymous().get("/sign-in").await.text;
    let place = |page: &str, text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not in {page}"));
    let optional = page().await;
    assert!(
        place(&optional, "id=\"password\"") < place(&optional, "sso/default/one/start")
            && !optional.contains("<details")
    );
    set(&app, "required", "optional").await;
    let disclosed = page().await;
    let summary = place(&disclosed, "<summary>Owners and recovery</summary>");
    assert!(place(&disclosed, "sso/default/one/start") < summary && summary < place(&disclosed, "id=\"password\""));
    assert!(disclosed.contains("<details>"), "{disclosed}");
    let refused = Browser::of(&app).submit("/sign-in", &[("email", "olga@example.com"), ("password", "wrong")]).await;
    assert!(refused.status == 401 && refused.text.contains("<details open>"), "{}", refused.text);
    set(&app, "required", "required").await;
    let absent = page().await;
    assert!(
        absent.contains("sso/default/one/start") && !absent.contains("<form") && !absent.contains("password/forgot"),
        "{absent}"
    );
    signs_in(&Browser::of(&app), &idp).await;
}

/// S-52: nothing takes the last way in of the owners. Ada is the only one who can sign in.
#[actix_web::test]
async fn the_last_way_in_of_the_owners_stays() {
    let (app, idp, ada, _) = with_ada_signed_in().await;
    let operator = operator(&app).await;
    let is_last = |result: Result<(), muster::error::Error>, what: &str| {
        let error = result.expect_err(what);
        assert_eq!((error.code().as_str(), error.to_string().as_str()), ("last_owner", LAST_OWNER), "{what}");
    };
    let ada_id = ada.parse().unwrap();
    let identity = sso::identities(&app.app, &operator, ada_id).await.unwrap()[0].identity_id;
    let off = put(&app.owner, &json!({"sso_mode": "off"})).await;
    assert_eq!(error(&off), (409, "last_owner".to_owned(), LAST_OWNER.to_owned()));
    is_last(sso::remove(&app.app, &operator, "one").await.map(drop), "removing the provider");
    let disabled = sso::update(&app.app, &operator, "one", |settings| settings.enabled = false, |_| {}).await;
    is_last(disabled.map(drop), "disabling the provider");
    is_last(sso::unbind(&app.app, &operator, ada_id, identity).await, "unbinding the identity");

    // With an owner who has a password, each of it is allowed; then it is hers that stays.
    let mut olga = with_password("olga@example.com", "");
    olga["permission_level"] = json!("owner");
    let created = app.owner.create(&json!([olga])).await;
    let olga = created.json()["results"][0]["user_id"].as_str().unwrap().to_owned();
    is_last(sso::remove(&app.app, &operator, "one").await.map(drop), "while the other owner has no password yet");
    app.signed_in_by_link("olga@example.com").await;
    sso::unbind(&app.app, &operator, ada_id, identity).await.unwrap();
    is_last(
        sso::set_sso(&app.app, &operator, olga.parse().unwrap(), true).await.map(drop),
        "converting the only one with a password",
    );
    let path = format!("/api/v2/users/{olga}");
    let patched = Actor::send(app.owner.request("PATCH", &path).body(r#"{"is_sso_user": true}"#)).await;
    assert_eq!(error(&patched), (409, "last_owner".to_owned(), LAST_OWNER.to_owned()));
    let listed =
        app.owner.post("/api/v2/users/admin_batch_update", &json!([{"user": olga, "is_sso_user": true}])).await;
    assert_eq!((listed.status, listed.error()["code"].as_str()), (409, Some("last_owner")), "{}", listed.text);
    assert_eq!(Browser::of(&app).sign_in("olga@example.com", PASSWORD).await.status, 200);
    signs_in(&Browser::of(&app), &idp).await;
    assert!(sso::set_sso(&app.app, &operator, olga.parse().unwrap(), true).await.unwrap());
}

/// S-52: of two changes at once that each leave the other's way in as the last one, one is rejected.
#[actix_web::test]
async fn two_changes_at_once_do_not_take_both_ways_in() {
    let (app, _idp, ada, _) = with_ada_signed_in().await;
    let mut olga = with_password("olga@example.com", "");
    olga["permission_level"] = json!("owner");
    let created = app.owner.create(&json!([olga])).await;
    let olga = created.json()["results"][0]["user_id"].as_str().unwrap().to_owned();
    app.signed_in_by_link("olga@example.com").await;
    let operator = operator(&app).await;
    let identity = sso::identities(&app.app, &operator, ada.parse().unwrap()).await.unwrap()[0].identity_id;
    let path = format!("/api/v2/users/{olga}");
    let by_patch = Actor::send(app.owner.request("PATCH", &path).body(r#"{"is_sso_user": true}"#));
    let unbinding = sso::unbind(&app.app, &operator, ada.parse().unwrap(), identity);
    let (patched, unbound) = tokio::join!(by_patch, unbinding);
    let outcomes = [patched.status == 200, unbound.is_ok()];
    assert!(outcomes[0] != outcomes[1], "{} {unbound:?}", patched.text);
    let code = if outcomes[0] {
        unbound.unwrap_err().code().as_str().to_owned()
    } else {
        patched.error()["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code, "last_owner");
    assert_eq!(app.db_value::<i64>("select count(*) from owners_who_sign_in").await, 1);
}

/// An organization that only API keys manage stays free to change its providers and its policy.
#[actix_web::test]
async fn without_owners_who_sign_in_nothing_is_kept() {
    let (app, _idp) = (spawn_for_sso().await, Idp::start().await);
    _idp.add_to(&app, |_| {}).await;
    set(&app, "off", "optional").await;
    sso::remove(&app.app, &operator(&app).await, "one").await.unwrap();
}
