//! Sign-ins through a provider that race with the end of an account, an identity or the provider; two instances; clients that leave.

use muster::clock::Clock;
use muster::secret::Secret;
use muster::sso;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::gate::{Gate, eventually};
use crate::support::idp::{CALLBACK, Idp, START, configure_for_sso, operator};
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, TestApp, migrated_database, sso as sso_user};

const SERVER_KEY: &str = "a server key that is long enough for the tests";

/// An instance that is held before a session is written, another one, and a provider.
async fn held() -> (Gate, ServerProcess, TestApp, Idp) {
    let (database, gate) = (migrated_database().await, Gate::open("sso::matched"));
    let other = TestApp::spawn_on(database.clone(), Clock::System, |config| {
        configure_for_sso(config);
        config.secrets.server_key = Secret::new(SERVER_KEY);
    })
    .await;
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(&database))
        .env("MUSTER_SERVER__PUBLIC_URL", &other.app.config.server.public_url)
        .env("MUSTER_SECRETS__SEAL_KEY", other.app.config.secrets.seal_key.expose())
        .env("MUSTER_SECRETS__SERVER_KEY", SERVER_KEY)
        .envs([gate.variable()]);
    let held = ServerProcess::start(&mut command);
    let idp = Idp::start().await;
    idp.add_to(&other, |_| {}).await;
    (gate, held, other, idp)
}

async fn live_sessions(app: &TestApp) -> i64 {
    app.db_value("select count(*) from sessions where ended_at is null").await
}

/// S-3, S-71: what ends at another instance after a person was recognized gives no session.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_while_a_person_is_recognized_gives_no_session() {
    let (gate, held, other, idp) = held().await;
    for end in ["suspend", "delete", "password", "unbind", "off", "disable", "remove"] {
        let email = format!("{end}@example.com");
        assert_eq!(other.owner.create(&json!([sso_user(&email)])).await.status, 200);
        idp.script().claims = json!({ "sub": end, "email": email });
        let bound = Browser::at_address(held.address);
        assert_eq!(bound.sign_in_at(&idp).await.status, 303, "{end}");
        let user_id = bound.get("/api/v2/userinfo/").await.json()["result"]["id"].as_str().unwrap().to_owned();
        other.db_execute("update sessions set ended_at = now(), end_reason = 'test' where ended_at is null").await;

        gate.close();
        let late = Browser::at_address(held.address);
        let location = late.depart(START).await;
        let query = idp.agree(&location);
        let arriving = tokio::spawn({
            let late = late.clone();
            async move { late.get(&format!("{CALLBACK}?{query}")).await }
        });
        gate.reached().await;
        let path = format!("/api/v2/users/{user_id}");
        let send = async |method: &str, path: &str, body: Value| {
            Actor::send(other.owner.request(method, path).json(&body)).await.status
        };
        let operator = operator(&other).await;
        let status = match end {
            "suspend" => other.owner.post(&format!("{path}/suspend"), &Value::Null).await.status,
            "delete" => other.owner.delete(&path).await.status,
            "password" => send("PATCH", &path, json!({ "is_sso_user": false })).await,
            "unbind" => {
                let identities = other.owner.get(&format!("{path}/sso_identities")).await.json();
                let id = identities["results"][0]["identity_id"].as_str().unwrap().to_owned();
                other.owner.delete(&format!("{path}/sso_identities/{id}")).await.status
            }
            "off" => send("PUT", "/api/v2/organizations/sign_in_policy", json!({ "sso_mode": "off" })).await,
            "disable" => {
                let disable = |settings: &mut sso::ProviderSettings| settings.enabled = false;
                sso::update(&other.app, &operator, "one", disable, |_| {}).await.unwrap();
                200
            }
            _ => {
                sso::remove(&other.app, &operator, "one").await.unwrap();
                200
            }
        };
        assert!([200, 204].contains(&status), "{end}: {status}");
        gate.release();
        let answer = arriving.await.unwrap();
        assert_eq!((answer.status, answer.headers.get("location")), (403, None), "{end}: {}", answer.text);
        assert_eq!(live_sessions(&other).await, 0, "{end}");
        assert_eq!(late.get("/api/v2/userinfo/").await.status, 401, "{end}");

        let optional = json!({ "sso_mode": "optional" });
        assert_eq!(send("PUT", "/api/v2/organizations/sign_in_policy", optional).await, 200);
        if end == "disable" {
            let enable = |settings: &mut sso::ProviderSettings| settings.enabled = true;
            sso::update(&other.app, &operator, "one", enable, |_| {}).await.unwrap();
        }
    }
}

/// S-65: a response that one instance has taken is refused by another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_taken_by_one_instance() {
    let (_gate, held, other, idp) = held().await;
    assert_eq!(other.owner.create(&json!([sso_user("ada@example.com")])).await.status, 200);
    let here = Browser::at_address(held.address);
    let location = here.depart(START).await;
    let there = here.at(other.address);
    let query = idp.agree(&location);
    assert_eq!(here.get(&format!("{CALLBACK}?{query}")).await.status, 303);
    // The provider gives a token for the same response once more.
    assert_eq!(there.get(&format!("{CALLBACK}?{}", idp.agree(&location))).await.status, 400);
    assert_eq!(live_sessions(&other).await, 1);
}

/// A client that leaves while it is recognized leaves no connection behind, and signs in the next time.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_leave_on_the_way_back_do_no_harm() {
    let (gate, held, other, idp) = held().await;
    assert_eq!(other.owner.create(&json!([sso_user("ada@example.com")])).await.status, 200);
    for _ in 0..5 {
        gate.close();
        let late = Browser::at_address(held.address);
        let query = idp.agree(&late.depart(START).await);
        let arriving = tokio::spawn(async move { late.get(&format!("{CALLBACK}?{query}")).await });
        gate.reached().await;
        arriving.abort();
        let _ = arriving.await;
        gate.release();
    }
    eventually("the connections are free", async || {
        let busy = "select count(*) from pg_stat_activity
                    where state like 'idle in transaction%' and datname = current_database()";
        other.db_value::<i64>(busy).await == 0
    })
    .await;
    assert_eq!(Browser::at_address(held.address).sign_in_at(&idp).await.status, 303);
}
