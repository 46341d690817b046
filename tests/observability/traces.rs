//! Exported traces.

use std::collections::BTreeMap;
use std::fs::File;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::{Value, json};

use crate::receiver::{Receiver, attribute};
use crate::support::{Actor, BATCH, file, sso, with_password};
use crate::watched::Watched;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_continues_the_trace_of_its_traceparent_in_response_log_and_export() {
    let receiver = Receiver::start();
    let headers = file(b"authorization: Bearer canary-of-the-collector\n\nx-scope: muster\n", ".txt");
    let log = tempfile::NamedTempFile::new().unwrap();
    let watched = Watched::start(|command| {
        command
            .env("MUSTER_TRACES__ENDPOINT", format!("http://{}/", receiver.address))
            .env("MUSTER_TRACES__HEADERS_FILE", headers.path())
            .env("MUSTER_LOG__FORMAT", "json")
            .env("MUSTER_LOG__LEVEL", "info")
            .stderr(File::create(log.path()).unwrap());
    })
    .await;
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let answer = Actor::send(watched.owner.request("GET", "/api/v2/userinfo/").header("traceparent", parent)).await;
    assert_eq!((answer.status, answer.header("x-trace-id")), (200, TRACE));

    let spans = receiver.trace(TRACE, 2).await;
    assert_eq!(spans.len(), 2);
    let request = named(&spans, "GET /api/v2/userinfo/");
    assert_eq!(hex::encode(&request.parent_span_id), SPAN);
    assert_eq!(request.kind, SpanKind::Server as i32);
    let key_id = watched.owner.token();
    let caller = attribute(&request.attributes, "muster.caller").unwrap();
    assert!(caller.starts_with("key_") && !key_id.contains(&caller), "{caller}");
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/api/v2/userinfo/"),
        ("http.response.status_code", "200"),
        ("muster.request_id", answer.header("x-request-id")),
    ] {
        assert_eq!(attribute(&request.attributes, key).as_deref(), Some(value), "{key}");
    }
    assert!(request.end_time_unix_nano > request.start_time_unix_nano);
    let step = named(&spans, "key.authenticate");
    assert_eq!(step.parent_span_id, request.span_id);
    assert!(step.end_time_unix_nano <= request.end_time_unix_nano);

    let received = receiver.received().remove(0);
    let header = |name: &str| received.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(header("authorization"), Some("Bearer canary-of-the-collector"));
    assert_eq!((header("x-scope"), header("content-type")), (Some("muster"), Some("application/x-protobuf")));
    let resource = received.message.resource_spans[0].resource.clone().unwrap().attributes;
    assert_eq!(attribute(&resource, "service.name").as_deref(), Some("muster"));
    assert_eq!(attribute(&resource, "service.version").as_deref(), Some("0.1.0"));
    assert_eq!(attribute(&resource, "service.instance.id").map(|id| id.len()), Some(16));

    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(!text.contains("canary"), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = lines.iter().find(|line| line["route"] == "/api/v2/userinfo/").unwrap();
    assert_eq!(
        (line["trace_id"].as_str(), line["request_id"].as_str()),
        (Some(TRACE), Some(answer.header("x-request-id")))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_all_zero_span_id_starts_a_trace_and_an_unsampled_trace_is_not_recorded() {
    let receiver = Receiver::start();
    let mut watched = Watched::start(|command| {
        command.env("MUSTER_TRACES__ENDPOINT", format!("http://{}/v1/traces", receiver.address));
    })
    .await;
    let ask = async |parent: &str| {
        let request = watched.owner.request("GET", "/livez");
        let request = if parent.is_empty() { request } else { request.header("traceparent", parent) };
        Actor::send(request).await.header("x-trace-id").to_owned()
    };
    let other = "0af7651916cd43dd8448eb211c80319c";
    // The vendor's client sends this.
    assert_eq!(ask(&format!("00-{TRACE}-0000000000000000-01")).await, TRACE);
    assert_eq!(ask(&format!("00-{other}-{SPAN}-00")).await, other);
    let own = ask("").await;
    let junk = ask("00-junk").await;
    // Queued spans are exported at shutdown.
    watched.server.signal("-TERM");
    assert!(watched.server.wait().success());
    let spans: BTreeMap<String, Span> =
        receiver.spans().into_iter().map(|span| (hex::encode(&span.trace_id), span)).collect();
    let mut expected = vec![TRACE.to_owned(), own, junk];
    expected.sort();
    assert_eq!(spans.keys().cloned().collect::<Vec<_>>(), expected);
    for span in spans.values() {
        assert_eq!((span.name.as_str(), span.parent_span_id.as_slice()), ("GET /livez", &[][..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_a_batch_are_in_its_trace_also_when_it_is_detached() {
    let receiver = Receiver::start();
    let watched = Watched::start(|command| {
        command.env("MUSTER_TRACES__ENDPOINT", format!("http://{}", receiver.address));
    })
    .await;
    let owner = &watched.owner;
    let send = async |n: usize, users: Value| {
        let request = owner.request("POST", BATCH).header("idempotency-key", format!("key-{n}"));
        Actor::send(request.body(users.to_string())).await
    };
    let users =
        json!([with_password("canary-address@example.com", "canary-pass-kT9$wqzPlr"), sso("canary-b@example.com")]);
    let created = send(0, users.clone()).await;
    assert_eq!(created.status, 200);
    let spans = receiver.trace(created.header("x-trace-id"), 9).await;
    let mut names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    let request = "POST /api/v2/users/admin_batch_create";
    assert_eq!(
        names,
        [
            request,
            "batch.check",
            "batch.check_passwords",
            "batch.find_taken",
            "batch.hash",
            "batch.write",
            "change.begin",
            "change.commit",
            "key.authenticate"
        ]
    );
    let (request, write) = (named(&spans, request), named(&spans, "batch.write"));
    assert_eq!(attribute(&request.attributes, "muster.rows").as_deref(), Some("2"));
    assert_eq!(named(&spans, "batch.hash").parent_span_id, request.span_id);
    assert_eq!(named(&spans, "change.commit").parent_span_id, write.span_id);

    let refused = send(1, users).await;
    assert_eq!(refused.status, 409);
    let spans = receiver.trace(refused.header("x-trace-id"), 4).await;
    let request = named(&spans, "POST /api/v2/users/admin_batch_create");
    assert_eq!(attribute(&request.attributes, "muster.code").as_deref(), Some("batch_conflict"));
    assert_eq!(request.status.clone().unwrap_or_default().code, StatusCode::Unset as i32, "a client error");

    owner.get("/api/v2/canary-path").await;
    let sent = watched.read().await.get(r#"muster_trace_spans_total{outcome="sent"}"#);
    assert!(sent >= 12.0, "{sent}");
    for received in receiver.received() {
        let text = String::from_utf8_lossy(&received.bytes).into_owned();
        assert!(!text.contains("canary") && !text.contains(owner.token()), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_the_sampling_limit_are_served_but_not_recorded() {
    let receiver = Receiver::start();
    let mut watched = Watched::start(|command| {
        command
            .env("MUSTER_TRACES__ENDPOINT", format!("http://{}", receiver.address))
            .env("MUSTER_TRACES__PER_SECOND", "5");
    })
    .await;
    let start = std::time::Instant::now();
    for _ in 0..300 {
        assert_eq!(watched.owner.get("/livez").await.status, 200);
    }
    let seconds = start.elapsed().as_secs() + 1;
    watched.server.signal("-TERM");
    assert!(watched.server.wait().success());
    let recorded = receiver.spans().len() as u64;
    // The server counts seconds of its own, so one more may have started.
    assert!((5..=5 * (seconds + 1)).contains(&recorded) && recorded < 300, "{recorded} in {seconds} s");
}
