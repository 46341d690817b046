//! Long and stalled request bodies: their memory is bounded for all clients together, and others are served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::gate::{Gate, eventually};
use crate::support::server::ServerProcess;
use crate::support::{Actor, BATCH, sso};
use crate::{connect, drip, serve};

const MIB: usize = 1024 * 1024;

/// The default of `server.body_budget`, in MiB.
const BUDGET: usize = 256;

/// How much more memory the server may take than when it was idle and the budget, in MiB.
const MARGIN: usize = 64;

const KEYS: &str = "/api/v2/api_keys";
const SEARCH: &str = "/api/v2/organization_collaborators/search";
const SUSPEND: &str = "/api/v2/users/admin_batch_suspend";
const INVITE: &str = "/api/v2/organization_invitations/batch_create";

/// A value of the process in MiB: `VmRSS`, its memory, or `VmHWM`, the most that it had.
fn memory(server: &ServerProcess, name: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() / 1024
}

/// 31 MiB: `start`, as often as possible `item`, and `end`.
fn long(start: &str, item: &str, end: &str) -> Vec<u8> {
    let mut body = start.as_bytes().to_vec();
    body.extend_from_slice(item.repeat((31 * MIB - start.len() - end.len()) / item.len()).as_bytes());
    body.extend_from_slice(end.as_bytes());
    body
}

/// A list with 31 MiB of white space.
fn blank() -> &'static [u8] {
    static BLANK: OnceLock<Vec<u8>> = OnceLock::new();
    BLANK.get_or_init(|| long("[", " ", "]"))
}

fn owner(server: &ServerProcess) -> Actor {
    server.actor(server.key.as_deref().unwrap())
}

/// Sends a request without the last `missing` bytes of its body, as far as the server reads it.
fn withhold(server: &ServerProcess, path: &str, body: &[u8], missing: usize) -> TcpStream {
    let mut stream = connect(server);
    let (token, length) = (server.key.as_deref().unwrap(), body.len());
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let _ = stream.write_all(&body[..length - missing]);
    stream
}

/// The response to a withheld body, if there is one: a server that reads the body does not respond before its end.
fn response(mut stream: &TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let (mut said, mut some) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut some) {
        said.extend_from_slice(&some[..read]);
        if said.ends_with(b"}}") {
            break;
        }
    }
    (!said.is_empty()).then(|| String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_withheld_take_no_more_than_the_budget_and_others_are_served() {
    // Long enough that none of them times out.
    let server = serve(&[("TEST_LIMITS", "body_interval=600 body_timeout=600")]).await;
    let owner = owner(&server);
    assert_eq!(owner.get("/api/v2/userinfo/").await.status, 200);
    let idle = memory(&server, "VmRSS");
    for path in [KEYS, SEARCH] {
        for _ in 0..40 {
            let said = response(&withhold(&server, path, blank(), 1)).expect("rejected because of its length");
            assert!(said.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{said}");
            assert!(said.contains(r#""detail":"the request body exceeds 65536 bytes""#), "{said}");
        }
    }
    let withheld: Vec<TcpStream> = (0..40).map(|_| withhold(&server, SUSPEND, blank(), 1)).collect();
    let said: Vec<Option<String>> = withheld.iter().map(response).collect();
    let refused: Vec<&String> = said.iter().flatten().collect();
    assert!(!refused.is_empty() && refused.len() < 40, "{} of 40", refused.len());
    for said in refused {
        assert!(said.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{said}");
        assert!(said.contains("\r\nretry-after: 10\r\n"), "{said}");
        let detail = "too many long requests at once (setting `server.body_budget`); nothing was written; retry in about 10 seconds";
        assert!(said.contains(&format!(r#"{{"error":{{"code":"overloaded","detail":"{detail}","#)), "{said}");
    }
    // Others are served meanwhile, with short bodies too.
    assert_eq!(owner.get("/api/v2/userinfo/").await.status, 200);
    assert_eq!(owner.post(KEYS, &json!({"name": "other"})).await.status, 200);
    let users: Value = (0..100).map(|n| sso(&format!("{n}@example.com"))).collect();
    assert_eq!(owner.create(&users).await.status, 200);
    let most = memory(&server, "VmHWM");
    assert!(most <= idle + BUDGET + MARGIN, "{most} MiB, {idle} MiB when idle");
    // A body that is held is answered once it is complete.
    let (mut held, _) = withheld.iter().zip(&said).find(|(_, said)| said.is_none()).unwrap();
    held.write_all(b"]").unwrap();
    held.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut status = [0; 24];
    held.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 400 Bad Request");
    // Connections that end return their part: a body of this length is read again.
    drop(withheld);
    eventually("a long body is read again", async || {
        let answer = Actor::send(owner.request("POST", SUSPEND).body(blank())).await;
        assert!([400, 503].contains(&answer.status), "{}", answer.text);
        answer.status == 400
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_body_loses_its_memory() {
    let server = serve(&[("TEST_LIMITS", "body_interval=1")]).await;
    let slow = r#""detail":"the request body arrives too slowly: fewer than 10240 bytes in 1 seconds""#;
    for byte in [&b""[..], b" "] {
        let mut stream = withhold(&server, SUSPEND, &blank()[..MIB], 1000);
        let said = drip(&mut stream, byte);
        assert!(said.starts_with("HTTP/1.1 408 Request Timeout\r\n") && said.contains(slow), "{said}");
    }
    // The one whose body is held, and those that the budget rejects because of it.
    let withheld: Vec<TcpStream> = (0..3).map(|_| withhold(&server, SUSPEND, blank(), 1)).collect();
    eventually("a long body is read again", async || {
        Actor::send(owner(&server).request("POST", SUSPEND).body(blank())).await.status == 400
    })
    .await;
    drop(withheld);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_takes_a_bounded_multiple_of_its_length() {
    let server = serve(&[]).await;
    let owner = owner(&server);
    assert_eq!(owner.get("/api/v2/userinfo/").await.status, 200);
    let idle = memory(&server, "VmRSS");
    for (start, item, end) in [
        ("[1", ",1", "]"),
        ("[", "[", ""),
        ("[[1", ",1", "]]"),
        (r#"[{"name": ["#, "[],", "1]}]"),
        (r#"[{"user": [1"#, ",1", "]}]"),
        (r#"[{"name": {"a": "#, r#"1,"b":"#, "1}}]"),
        (r#"[{"email": "#, "[", "}]"),
        (r#"[{"user": ""#, "x", r#""}]"#),
        (r#"[{"email": ""#, r"\u0041", r#""}]"#),
        (r#"[{""#, "x", r#"": 1}]"#),
        (r#"[{"#, r#""x":1,"#, r#""x":1}]"#),
        ("[{}", ",{}", "]"),
        (r#"[{"name":1,"name":1,"x":1,"y":1}"#, r#",{"name":1,"name":1,"x":1,"y":1}"#, "]"),
    ] {
        let body = long(start, item, end);
        for path in [BATCH, INVITE] {
            let answer = Actor::send(owner.request("POST", path).body(body.clone())).await;
            assert!([200, 400, 413, 422].contains(&answer.status), "{path} {start}: {} {}", answer.status, answer.text);
            let most = memory(&server, "VmHWM");
            assert!(most <= idle + BUDGET + MARGIN, "{path} {start}: {most} MiB, {idle} MiB when idle");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_requests_are_served_while_a_long_body_is_parsed() {
    let gate = Gate::open("list::parsing");
    let (name, value) = gate.variable();
    let server = serve(&[("SERVER__WORKERS", "1"), (name.strip_prefix("MUSTER_").unwrap(), &value)]).await;
    let owner = owner(&server);
    let group = owner.post("/api/v2/user_groups/", &json!({"name": "team"})).await.json();
    let members = format!("/api/v2/user_groups/{}/members/add", group["result"]["id"].as_str().unwrap());
    for path in [BATCH, SUSPEND, &members, INVITE] {
        gate.close();
        let request = owner.request("POST", path).body(blank());
        let sent = tokio::spawn(Actor::send(request));
        gate.reached().await;
        // The only worker thread serves others.
        assert_eq!(owner.get("/livez").await.status, 200);
        assert_eq!(owner.get("/api/v2/userinfo/").await.status, 200);
        gate.release();
        let answer = sent.await.unwrap();
        assert_eq!((answer.status, &answer.error()["code"]), (400, &json!("empty_batch")), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_returns_to_the_system_after_the_largest_requests() {
    let server = serve(&[("BATCH__MAX_USERS", "100000")]).await;
    let owner = owner(&server);
    assert_eq!(owner.get("/api/v2/userinfo/").await.status, 200);
    let idle = memory(&server, "VmRSS");
    // 31 MiB, by their number and by their length.
    for (users, length) in [(100_000, 150), (9_000, 900)] {
        let title = "é".repeat(length / 4);
        let rows: Vec<Value> = (0..users)
            .map(|n| json!({"name": title, "lastname": title, "email": format!("{users}-{n}@example.com"), "title": title, "is_sso_user": true}))
            .collect();
        let body = json!(rows).to_string();
        assert!(body.len() < 32 * MIB, "{}", body.len());
        for path in [&format!("{BATCH}?dry_run=true"), BATCH] {
            // On a busy machine, a statement can take longer than its limit: 503, and nothing was written.
            eventually("the list is accepted", async || {
                let answer = Actor::send(owner.request("POST", path).body(body.clone())).await;
                assert!([200, 503].contains(&answer.status), "{}", answer.text);
                answer.status == 200
            })
            .await;
        }
    }
    // Rejected with a finding for each row.
    let twice: Value = (0..10_000).map(|_| sso("twice@example.com")).collect();
    assert_eq!(owner.create(&twice).await.status, 422);
    eventually("the memory returns", async || memory(&server, "VmRSS") <= idle + MARGIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_end_early_take_no_more_memory_than_was_sent() {
    let server = serve(&[]).await;
    let owner = owner(&server);
    assert_eq!(owner.get("/api/v2/userinfo/").await.status, 200);
    let idle = memory(&server, "VmRSS");
    let sent = 128 * 1024;
    let streams: Vec<TcpStream> = (0..100).map(|_| withhold(&server, BATCH, blank(), blank().len() - sent)).collect();
    drop(streams);
    for _ in 0..100 {
        assert_eq!(owner.get("/api/v2/userinfo/").await.status, 200);
    }
    let peak = memory(&server, "VmHWM");
    assert!(peak < idle + MARGIN, "{idle} MiB, then up to {peak} MiB");
}
