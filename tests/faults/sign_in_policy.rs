//! Sign-ins that race with a sign-in policy: no session outlives the policy that forbids it.

use serde_json::{Value, json};

use crate::sign_in::held_at;
use crate::support::browser::{Browser, PASSWORD};
use crate::support::{Actor, Answer, TestApp};

/// An owner who has just signed in through a provider, so that single sign-on can be required.
async fn with_sso_owner(app: &TestApp) {
    app.db_execute(
        "with provider as (
            insert into sso_providers
            select organization_id, gen_random_uuid(), 'one', 'One', 'https://idp.example.org', 'muster', null, null, 'auto',
                'openid', '{}', 'sub', 'email', 'email_verified', '{}', false, null, false, now(), now(), null
            from organizations
            returning organization_id, provider_id, issuer
        )
        insert into sso_identities
        select organization_id, gen_random_uuid(), provider_id, issuer, '1', user_id, now(), 'operator', now(), null
        from provider
        join (select distinct organization_id, user_id from effective_owners) as owner using (organization_id)",
    )
    .await;
}

async fn set(actor: Actor, sso_mode: &'static str) -> Answer {
    Actor::send(
        actor.request("PUT", "/api/v2/organizations/sign_in_policy").body(json!({"sso_mode": sso_mode}).to_string()),
    )
    .await
}

/// S-3, S-52: a policy that is set while a password is verified, or a link's new one is hashed, gives no session.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_set_while_a_password_is_verified_gives_no_session() {
    for step in ["sign_in::verified", "link::hashed"] {
        let (gate, held, other) = held_at(step).await;
        with_sso_owner(&other).await;
        other.signed_in("ben@example.com").await;
        let token = other.link("ben@example.com").await;
        gate.close();
        let late = Browser::at_address(held.address);
        let signing_in = tokio::spawn({
            let late = late.clone();
            async move {
                match step {
                    "sign_in::verified" => late.sign_in("ben@example.com", PASSWORD).await,
                    _ => {
                        let body = json!({"token": token, "new_password": "another-Harbor-Quill-27"});
                        late.post("/api/v2/users/reset_password", &body).await
                    }
                }
            }
        });
        gate.reached().await;
        let answer = set(other.at(&other.owner), "required").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        gate.release();
        let answer = signing_in.await.unwrap();
        let expected = if step == "link::hashed" { (404, "not_found") } else { (401, "sign_in_refused") };
        assert_eq!((answer.status, answer.error()["code"].as_str().unwrap()), expected, "{step}: {}", answer.text);
        assert_eq!(late.get("/api/v2/userinfo/").await.status, 401);
        assert_eq!(other.db_value::<i64>("select count(*) from sessions where ended_at is null").await, 0);
        assert_eq!(other.db_value::<i64>("select count(*) from password_links where used_at is not null").await, 1);
    }
}

/// S-52: a policy waits for a session that is being started, and ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_waits_for_a_session_that_is_being_started_and_ends_it() {
    let (gate, held, other) = held_at("change::written").await;
    with_sso_owner(&other).await;
    let (_, first) = other.signed_in("ben@example.com").await;
    first.post("/api/v2/users/logout", &Value::Null).await;
    gate.close();
    let late = Browser::at_address(held.address);
    let signing_in = tokio::spawn({
        let late = late.clone();
        async move { late.sign_in("ben@example.com", PASSWORD).await }
    });
    gate.reached().await;
    let setting = tokio::spawn(set(other.at(&other.owner), "required"));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!setting.is_finished(), "the policy did not wait");
    gate.release();
    assert_eq!(signing_in.await.unwrap().status, 200);
    let answer = setting.await.unwrap();
    assert_eq!((answer.status, &answer.json()["result"]["ended_sessions"]), (200, &json!(1)), "{}", answer.text);
    assert_eq!(Browser::clone(&late).at(other.address).get("/api/v2/userinfo/").await.status, 401);
}
