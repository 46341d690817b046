//! The strength of passwords is checked by the hash pool: others are served meanwhile, and the work ends with its client.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::gate::{Gate, eventually};
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, Answer, BATCH, migrated_database, with_password};

const INVITATIONS: &str = "/api/v2/organization_invitations/";

/// A server whose only hash thread is held when it checks a password.
struct Held {
    server: ServerProcess,
    gate: Gate,
    owner: Actor,
}

impl Held {
    async fn start() -> Self {
        let (database, gate) = (migrated_database().await, Gate::closed("pool::check"));
        let mut command = muster();
        command.env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_METRICS__LISTEN", "127.0.0.1:0");
        command.env("MUSTER_PASSWORDS__THREADS", "1").env("MUSTER_BATCH__MAX_WAIT_SECONDS", "1");
        let server = ServerProcess::start(command.envs([gate.variable()]));
        let owner = server.actor(server.key.as_deref().unwrap());
        Self { server, gate, owner }
    }

    /// The number of passwords of lists that wait to be checked.
    async fn unchecked(&self) -> usize {
        let metrics = self.server.metrics().await;
        let line = metrics.lines().find_map(|line| line.strip_prefix(r#"muster_hash_queue_length{lane="check"} "#));
        line.unwrap().parse().unwrap()
    }

    async fn serves_others(&self) {
        for path in ["/livez", "/readyz", "/api/v2/userinfo/"] {
            assert_eq!(self.owner.get(path).await.status, 200, "{path}");
        }
    }
}

/// Substitutions of letters: without bounds, its strength takes seconds to estimate.
fn crafted() -> String {
    "@4({[<1!|7$5+69".repeat(16)
}

fn users(count: usize) -> Value {
    (0..count).map(|n| with_password(&format!("user{n}@example.com"), &crafted())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_while_the_strength_of_a_password_is_checked() {
    let held = Held::start().await;
    let invited = held.owner.post(&format!("{INVITATIONS}batch_create"), &json!([{"email": "ada@example.com"}])).await;
    let link = invited.json()["results"][0]["data"]["link"].as_str().unwrap().to_owned();
    let token = link.rsplit('/').next().unwrap();
    let anonymous = Actor::new(held.server.address, None);
    let acceptance = json!({"token": token, "name": "Ada", "password": crafted()});
    let lists = [format!("{BATCH}?dry_run=true"), BATCH.to_owned()].map(|path| (held.owner.clone(), path, users(1)));
    let page = (anonymous.clone(), format!("/invitations/{token}"), json!(null));
    for (actor, path, body) in lists.into_iter().chain([page, (anonymous, format!("{INVITATIONS}accept"), acceptance)])
    {
        held.gate.close();
        let body = if body.is_null() { "name=Ada&password=ada@example.com".to_owned() } else { body.to_string() };
        let media_type =
            if path.starts_with("/invitations/") { "application/x-www-form-urlencoded" } else { "application/json" };
        let request = actor.request("POST", &path).header("content-type", media_type).body(body);
        let answer = tokio::spawn(Actor::send(request));
        held.gate.reached().await;
        held.serves_others().await;
        assert!(!answer.is_finished(), "{path} waits for the pool");
        held.gate.release();
        let Answer { status, text, .. } = answer.await.unwrap();
        let expected = if path.starts_with("/invitations/") { 400 } else { 200 };
        assert_eq!(status, expected, "{path}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_passwords_of_a_dry_run_whose_client_left_are_not_checked() {
    let held = Held::start().await;
    let (token, body) = (held.owner.token(), users(40).to_string());
    let length = body.len();
    let mut stream = TcpStream::connect(held.server.address).unwrap();
    write!(
        stream,
        "POST {BATCH}?dry_run=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    held.gate.reached().await;
    assert_eq!(held.unchecked().await, 39);
    drop(stream);
    // The only thread is held at the first of them.
    eventually("the others leave the queue", async || held.unchecked().await == 0).await;
    held.gate.release();
    assert_eq!(held.owner.create(&users(1)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overload_is_reported_before_passwords_are_checked() {
    let held = Held::start().await;
    // 2 seconds of hashes, of which nothing has been measured.
    let request = held.owner.request("POST", BATCH).body(users(100).to_string());
    let first = tokio::spawn(Actor::send(request));
    held.gate.reached().await;
    let before = held.unchecked().await;
    let other = json!([with_password("other@example.com", "password")]);
    let answer = held.owner.create(&other).await;
    let detail = "the password hashing queue is full; nothing was written; retry in about 2 seconds";
    assert_eq!((answer.status, answer.error()), (503, json!({"code": "overloaded", "detail": detail})));
    assert_eq!(answer.header("retry-after"), "2");
    assert_eq!((before, held.unchecked().await), (99, 99));
    // A dry run waits for the checks only.
    let dry_run = held.owner.request("POST", &format!("{BATCH}?dry_run=true")).body(other.to_string());
    let dry_run = tokio::spawn(Actor::send(dry_run));
    eventually("the dry run is queued", async || held.unchecked().await == 100).await;
    held.gate.release();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(dry_run.await.unwrap().status, 422);
}
