//! An unreachable collector: requests do not wait for it, and memory does not grow.

use std::fs::File;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::watched::Watched;

const REQUESTS: usize = 1_500;

/// The median and the maximum latency of sequential requests.
async fn latencies(watched: &Watched) -> (Duration, Duration) {
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let start = Instant::now();
        assert_eq!(watched.owner.get("/api/v2/userinfo/").await.status, 200);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    (times[REQUESTS / 2], times[REQUESTS - 1])
}

async fn does_not_affect_requests(endpoint: String) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let without = Watched::start(|_| {}).await;
    let mut with = Watched::start(|command| {
        command
            .env("MUSTER_TRACES__ENDPOINT", endpoint)
            .env("MUSTER_TRACES__PER_SECOND", "0")
            .stderr(File::create(log.path()).unwrap());
    })
    .await;
    let (usual, _) = latencies(&without).await;
    let (median, longest) = latencies(&with).await;
    assert!(median < usual * 2, "{median:?}, and {usual:?} without traces");
    // Far less than the timeout of an export.
    assert!(longest < Duration::from_secs(2), "{longest:?}");

    // The queue is full by now: 3,000 spans were started.
    let memory = async || with.read().await.get("process_resident_memory_bytes");
    let before = memory().await;
    latencies(&with).await;
    latencies(&with).await;
    let grown = memory().await - before;
    assert!(grown < 4e6, "{grown} bytes more after 6,000 spans more");

    let start = Instant::now();
    while with.read().await.get(r#"muster_trace_spans_total{outcome="failed"}"#) == 0.0 {
        assert!(start.elapsed() < Duration::from_secs(15), "no span was counted as failed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Each request has two spans, one of them for authentication. Spans not counted as lost are queued or being exported.
    let figures = with.read().await;
    let [sent, failed, dropped] = ["sent", "failed", "dropped"]
        .map(|outcome| figures.get(&format!(r#"muster_trace_spans_total{{outcome="{outcome}"}}"#)));
    assert_eq!(sent, 0.0);
    assert!(failed + dropped >= (3 * 2 * REQUESTS - 2_048 - 512) as f64, "{failed} failed, {dropped} dropped");
    let start = Instant::now();
    with.server.signal("-TERM");
    assert!(with.server.wait().success());
    assert!(start.elapsed() < Duration::from_secs(10), "it took {:?} to end", start.elapsed());
    let said = std::fs::read_to_string(log.path()).unwrap();
    let warning = "traces can't be exported to `traces.endpoint` and are dropped; logged once a minute";
    assert_eq!(said.matches(warning).count(), 1, "{said}");
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
