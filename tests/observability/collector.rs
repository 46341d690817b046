//! A real OpenTelemetry collector between the server and the receiver.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

use crate::receiver::{Receiver, attribute};
use crate::support::gate::eventually;
use crate::support::{Actor, BATCH, sso, with_password};
use crate::watched::Watched;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A `rotel` process, killed on drop.
struct Collector {
    child: Child,
    address: SocketAddr,
}

impl Collector {
    /// Starts a collector that receives OTLP over HTTP and forwards it to `to`.
    async fn start(to: SocketAddr) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/observability/collector.sh");
        let found = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(found.status.success());
        let [http, grpc] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [address, grpc] = [http, grpc].map(|listener| listener.local_addr().unwrap());
        let child = Command::new(String::from_utf8(found.stdout).unwrap().trim())
            .args(["start", "--otlp-http-endpoint", &address.to_string(), "--otlp-grpc-endpoint", &grpc.to_string()])
            .args(["--exporter", "otlp", "--otlp-exporter-protocol", "http"])
            .args(["--otlp-exporter-endpoint", &format!("http://{to}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let connects = async || tokio::net::TcpStream::connect(address).await.is_ok();
        eventually("the collector listens", connects).await;
        Self { child, address }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The spans whose parent is not among these spans.
fn roots(spans: &[Span]) -> Vec<&Span> {
    spans.iter().filter(|span| spans.iter().all(|other| other.span_id != span.parent_span_id)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_collector_accepts_and_forwards_the_traces_unchanged() {
    let receiver = Receiver::start();
    let collector = Collector::start(receiver.address).await;
    let mut watched = Watched::start(|command| {
        command.env("MUSTER_TRACES__ENDPOINT", format!("http://{}", collector.address));
    })
    .await;
    let owner = &watched.owner;
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let asked = Actor::send(owner.request("GET", "/api/v2/userinfo/").header("traceparent", parent)).await;
    assert_eq!((asked.status, asked.header("x-trace-id")), (200, TRACE));
    let users = json!([with_password("ada@example.com", "kT9$wqzPlr-1815"), sso("grace@example.com")]);
    let created = Actor::send(owner.request("POST", BATCH).body(users.to_string())).await;
    assert_eq!(created.status, 200);

    let spans = receiver.trace(TRACE, 2).await;
    let [request] = roots(&spans)[..] else { panic!("{spans:#?}") };
    assert_eq!((spans.len(), request.name.as_str()), (2, "GET /api/v2/userinfo/"));
    assert_eq!((hex::encode(&request.parent_span_id).as_str(), request.kind), (SPAN, SpanKind::Server as i32));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/api/v2/userinfo/"),
        ("http.response.status_code", "200"),
        ("muster.request_id", asked.header("x-request-id")),
    ] {
        assert_eq!(attribute(&request.attributes, key).as_deref(), Some(value), "{key}");
    }

    let spans = receiver.trace(created.header("x-trace-id"), 8).await;
    let [request] = roots(&spans)[..] else { panic!("{spans:#?}") };
    assert_eq!(request.name, "POST /api/v2/users/admin_batch_create");
    assert_eq!(attribute(&request.attributes, "muster.rows").as_deref(), Some("2"));
    assert!(spans.iter().any(|span| span.name == "batch.hash"), "{spans:#?}");

    let resource = receiver.received()[0].message.resource_spans[0].resource.clone().unwrap().attributes;
    assert_eq!(attribute(&resource, "service.name").as_deref(), Some("muster"));
    assert_eq!(attribute(&resource, "service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    let values = watched.read().await;
    assert_eq!(values.get("muster_trace_spans_total{outcome=\"failed\"}"), 0.0);

    // Queued spans are exported at shutdown.
    let last = Actor::send(watched.owner.request("GET", "/livez")).await;
    watched.server.signal("-TERM");
    assert!(watched.server.wait().success());
    let spans = receiver.trace(last.header("x-trace-id"), 1).await;
    assert_eq!(spans[0].name, "GET /livez");
}
