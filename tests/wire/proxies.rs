//! Client addresses behind reverse proxies.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::serve;
use crate::support::gate::eventually;
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, BATCH, migrated_database, sso};

static N: AtomicUsize = AtomicUsize::new(0);

/// Creates a user with these request headers; returns the address in the audit log, and whether the response has HSTS.
async fn recorded(server: &ServerProcess, headers: &[(&str, &str)]) -> (Value, bool) {
    let owner = server.actor(server.key.as_deref().unwrap());
    let email = format!("user{}@example.com", N.fetch_add(1, Ordering::Relaxed));
    let mut request = owner.request("POST", BATCH).body(json!([sso(&email)]).to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let created = Actor::send(request).await;
    assert_eq!(created.status, 200);
    let events = owner.get("/api/v2/audit/events?count=1").await.json();
    assert_eq!(events["results"][0]["request_id"], created.header("x-request-id"));
    (events["results"][0]["source_address"].clone(), created.headers.contains_key("strict-transport-security"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_the_client_comes_from_trusted_proxies_only() {
    let (client, https) = (("x-forwarded-for", "203.0.113.9, 198.51.100.7"), ("x-forwarded-proto", "https"));
    let forwarded = ("forwarded", "for=192.0.2.1;proto=https");
    let server = serve(&[]).await;
    assert_eq!(recorded(&server, &[client, https, forwarded]).await, (json!("127.0.0.1"), false));
    let server = serve(&[("SERVER__TRUSTED_PROXIES", r#"["10.0.0.0/8", "127.0.0.1"]"#)]).await;
    assert_eq!(recorded(&server, &[client, https, forwarded]).await, (json!("198.51.100.7"), true));
    assert_eq!(recorded(&server, &[client]).await, (json!("198.51.100.7"), false));
    assert_eq!(recorded(&server, &[]).await, (json!("127.0.0.1"), false));
    let server =
        serve(&[("SERVER__TRUSTED_PROXIES", r#"["127.0.0.0/8"]"#), ("SERVER__FORWARDED_HEADER", "forwarded")]).await;
    assert_eq!(recorded(&server, &[client, https, forwarded]).await, (json!("192.0.2.1"), true));
    assert_eq!(recorded(&server, &[client, https]).await, (json!("127.0.0.1"), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_the_address_of_a_client_without_a_valid_key() {
    let (database, log) = (migrated_database().await, tempfile::NamedTempFile::new().unwrap());
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_SERVER__TRUSTED_PROXIES", r#"["127.0.0.1"]"#);
    let server = ServerProcess::start(command.stderr(Stdio::from(log.reopen().unwrap())));
    let owner = server.actor(server.key.as_deref().unwrap());
    for (actor, status) in [(owner.with_token("amk_forged"), 401), (owner, 200)] {
        let request = actor.request("GET", "/api/v2/userinfo/").header("x-forwarded-for", "198.51.100.7");
        assert_eq!(Actor::send(request).await.status, status);
        let line = format!("route=\"/api/v2/userinfo/\" status={status}");
        let logged = || {
            let log = std::fs::read_to_string(log.path()).unwrap();
            log.lines().find(|logged| logged.contains(&line)).map(str::to_owned)
        };
        eventually("the request is logged", async || logged().is_some()).await;
        assert_eq!(logged().unwrap().contains(" client=198.51.100.7 "), status == 401);
    }
}
