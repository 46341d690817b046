//! The server's log: one line for each request, without secrets and personal data.

use std::fs::File;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, migrated_database, sso, with_password};

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_one_line_without_bodies_addresses_tokens_or_passwords() {
    let database = migrated_database().await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(&database))
        .env("MUSTER_LOG__FORMAT", "json")
        .env("MUSTER_LOG__LEVEL", "trace")
        .stderr(File::create(log.path()).unwrap());
    let mut server = ServerProcess::start(&mut command);
    let key = server.key.clone().unwrap();
    let owner = server.actor(&key);
    let users = json!([with_password("canary-address@example.com", "canary-pass-kT9$wqzPlr")]);
    let created = owner.create(&users).await;
    assert_eq!(created.status, 200);
    assert_eq!(owner.create(&users).await.status, 409);
    owner.get("/api/v2/organization_collaborators/?email=canary-address%40example.com").await;
    owner.get("/api/v2/canary-path").await;
    server.actor("amk_canary-token").get("/api/v2/userinfo/").await;
    let usage = server.actor(&key).request("POST", "/api/v2/cli_usage/").body(r#"{"flags_used": ["--canary"]}"#);
    assert_eq!(Actor::send(usage).await.status, 204);
    server.signal("-TERM");
    server.wait();

    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(!text.contains("canary"), "{}", text.lines().find(|line| line.contains("canary")).unwrap());
    assert!(!text.contains(&key), "the owner's token is in the log");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["message"] == "request")
        .collect();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| {
            (line["method"].as_str().unwrap(), line["route"].as_str().unwrap(), line["status"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("POST", "/api/v2/users/admin_batch_create", 200),
            ("POST", "/api/v2/users/admin_batch_create", 409),
            ("GET", "/api/v2/organization_collaborators/", 200),
            ("GET", "-", 404),
            ("GET", "/api/v2/userinfo/", 401),
        ]
    );
    let first = &lines[0];
    assert_eq!(first["rows"], 1);
    assert!(first["ms"].is_u64());
    assert!(first["caller"].as_str().unwrap().starts_with("key_"));
    assert_eq!(first["request_id"], created.header("x-request-id"));
    assert_eq!(first["trace_id"], created.header("x-trace-id"));
    assert_eq!(lines[1]["code"], "batch_conflict");
    assert_eq!(lines[4].get("caller"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_log_pipe_does_not_stop_the_server() {
    let database = migrated_database().await;
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&database)).stderr(Stdio::piped());
    let mut server = ServerProcess::start(&mut command);
    drop(server.child.stderr.take());
    let owner = server.actor(&server.key.clone().unwrap());
    for n in 0..10 {
        let answer = owner.create(&json!([sso(&format!("user{n}@example.com"))])).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(owner.get("/nowhere").await.status, 404);
    }
    server.signal("-TERM");
    assert!(server.wait().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_http_method_is_not_logged_verbatim() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&migrated_database().await)).stderr(File::create(log.path()).unwrap());
    let mut server = ServerProcess::start(&mut command);
    let canary = Actor::new(server.address, None).request("amk_canary", "/livez");
    assert_eq!(Actor::send(canary).await.status, 405);
    server.signal("-TERM");
    server.wait();
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(text.contains("method=\"other\"") && !text.contains("canary"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shortened_lifetime_of_an_api_key_is_information_not_a_warning() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(&migrated_database().await))
        .env("MUSTER_LOG__FORMAT", "json")
        .stderr(File::create(log.path()).unwrap());
    let mut server = ServerProcess::start(&mut command);
    let owner = server.actor(&server.key.clone().unwrap());
    let account = owner.post("/api/v2/users/service_accounts?name=ci", &Value::Null).await.json();
    let body = json!({"duration": 3_153_600_000_i64, "user_id": account["result"]["user_id"]});
    assert_eq!(owner.post("/api/v2/users/create_api_key", &body).await.status, 200);
    server.signal("-TERM");
    server.wait();
    let text = std::fs::read_to_string(log.path()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = lines.iter().find(|line| line["message"] == "API key lifetime reduced to the maximum").unwrap();
    let shown = (&line["level"], &line["requested_seconds"], &line["max_days"]);
    assert_eq!(shown, (&json!("INFO"), &json!(3_153_600_000_i64), &json!(365)));
}

/// S-14 and S-17: what weakens the limits of sign-in is said once for each start.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_not_trusted_and_a_throttle_that_is_off_are_logged_once() {
    let database = migrated_database().await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(&database))
        .env("MUSTER_SIGN_IN__THROTTLE", "false")
        .stderr(File::create(log.path()).unwrap());
    let mut server = ServerProcess::start(&mut command);
    let anonymous = Actor::new(server.address, None);
    anonymous.get("/readyz").await;
    for _ in 0..2 {
        Actor::send(anonymous.request("GET", "/readyz").header("x-forwarded-for", "203.0.113.5")).await;
    }
    server.signal("-TERM");
    server.wait();
    let text = std::fs::read_to_string(log.path()).unwrap();
    for warning in ["`sign_in.throttle` is off", "but `server.trusted_proxies` is empty"] {
        assert_eq!(text.matches(warning).count(), 1, "{warning}: {text}");
    }
    assert!(!text.contains("203.0.113.5"), "a client can write anything into the header");
}
