//! An unreachable collector: requests do not wait for it, and memory does not grow.

use std::fs::File;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::gate::eventually;
use crate::watched::Watched;

const REQUESTS: usize = 1_500;

/// The timeout of an export.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

async fn latency(watched: &Watched) -> Duration {
    let start = Instant::now();
    assert_eq!(watched.owner.get("/api/v2/userinfo/").await.status, 200);
    start.elapsed()
}

async fn send_requests(watched: &Watched) {
    for _ in 0..REQUESTS {
        latency(watched).await;
    }
}

async fn does_not_affect_requests(endpoint: String) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let start = Instant::now();
    let without = Watched::start(|_| {}).await;
    let mut with = Watched::start(|command| {
        command
            .env("MUSTER_TRACES__ENDPOINT", endpoint)
            .env("MUSTER_TRACES__PER_SECOND", "0")
            .env("MUSTER_SERVER__SHUTDOWN_TIMEOUT_SECONDS", "3600")
            .stderr(File::create(log.path()).unwrap());
    })
    .await;
    // In turn, so that the machine is equally busy for both.
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        times.push((latency(&without).await, latency(&with).await));
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[REQUESTS / 2]
    };
    let (usual, times): (Vec<_>, Vec<_>) = times.into_iter().unzip();
    let waited = times.iter().filter(|time| **time >= EXPORT_TIMEOUT).count();
    assert_eq!(waited, 0, "requests waited for an export");
    let (usual, median) = (median(usual), median(times));
    assert!(median < usual * 3, "{median:?}, and {usual:?} without traces");

    // The queue is full by now: 3,000 spans were started.
    let memory = async || with.read().await.get("process_resident_memory_bytes");
    let before = memory().await;
    send_requests(&with).await;
    send_requests(&with).await;
    let grown = memory().await - before;
    assert!(grown < 4e6, "{grown} bytes more after 6,000 spans more");

    let failed = async || with.read().await.get(r#"muster_trace_spans_total{outcome="failed"}"#);
    eventually("a span is counted as failed", async || failed().await > 0.0).await;
    // Each request has two spans, one of them for authentication. Spans not counted as lost are queued or being exported.
    let figures = with.read().await;
    let [sent, failed, dropped] = ["sent", "failed", "dropped"]
        .map(|outcome| figures.get(&format!(r#"muster_trace_spans_total{{outcome="{outcome}"}}"#)));
    assert_eq!(sent, 0.0);
    assert!(failed + dropped >= (3 * 2 * REQUESTS - 2_048 - 512) as f64, "{failed} failed, {dropped} dropped");
    with.server.signal("-TERM");
    // In less time than the shutdown timeout.
    assert!(with.server.wait().success());
    let said = std::fs::read_to_string(log.path()).unwrap();
    let warning = "traces can't be exported to `traces.endpoint` and are dropped; logged once a minute";
    let minutes = usize::try_from(start.elapsed().as_secs() / 60).unwrap();
    assert!((1..=minutes + 1).contains(&said.matches(warning).count()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_connections_does_not_affect_requests() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    does_not_affect_requests(format!("http://{gone}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_responds_does_not_affect_requests() {
    // The kernel accepts connections, but no program does.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    does_not_affect_requests(format!("http://{}", silent.local_addr().unwrap())).await;
}
