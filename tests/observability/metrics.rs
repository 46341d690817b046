//! `/metrics`.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::gate::eventually;
use crate::support::{Actor, sso, with_password};
use crate::watched::Watched;

#[tokio::test(flavor = "multi_thread")]
async fn requests_batches_and_hashes_are_counted_exactly() {
    let watched = Watched::start(|_| {}).await;
    let owner = &watched.owner;
    let before = watched.read().await;
    for _ in 0..3 {
        assert_eq!(owner.get("/api/v2/userinfo/").await.status, 200);
    }
    assert_eq!(Actor::send(owner.request("HEAD", "/api/v2/userinfo/")).await.status, 200);
    let users = json!([with_password("a@example.com", "kT9$wqzPlr-1"), sso("b@example.com")]);
    let created = owner.create(&users).await;
    assert_eq!(created.status, 200);
    assert_eq!(owner.create(&users).await.status, 409);
    let keyed = owner.request("POST", crate::support::BATCH).header("idempotency-key", "one");
    let keyed = Actor::send(keyed.body(json!([sso("c@example.com")]).to_string())).await;
    assert_eq!(keyed.status, 200);
    let batch = keyed.json()["metadata"]["batch_id"].as_str().unwrap().to_owned();
    assert_eq!(owner.post(&format!("/api/v2/batches/{batch}/undo"), &json!({})).await.status, 200);
    assert_eq!(owner.with_token("junk").get("/api/v2/userinfo/").await.status, 401);
    assert_eq!(owner.get("/api/v2/nothing/here").await.status, 404);

    let after = watched.read().await;
    for (series, count) in [
        (r#"muster_http_requests_total{method="GET",route="/api/v2/userinfo/",status="200"}"#, 3.0),
        (r#"muster_http_requests_total{method="HEAD",route="/api/v2/userinfo/",status="200"}"#, 1.0),
        (r#"muster_http_request_duration_seconds_count{method="HEAD",route="/api/v2/userinfo/"}"#, 1.0),
        (r#"muster_http_requests_total{method="GET",route="/api/v2/userinfo/",status="401"}"#, 1.0),
        (r#"muster_http_requests_total{method="POST",route="/api/v2/users/admin_batch_create",status="200"}"#, 2.0),
        (r#"muster_http_requests_total{method="POST",route="/api/v2/users/admin_batch_create",status="409"}"#, 1.0),
        (r#"muster_http_requests_total{method="GET",route="-",status="404"}"#, 1.0),
        (r#"muster_http_request_duration_seconds_count{method="GET",route="/api/v2/userinfo/"}"#, 4.0),
        (r#"muster_http_request_duration_seconds_bucket{method="GET",route="/api/v2/userinfo/",le="+Inf"}"#, 4.0),
        ("muster_http_requests_in_flight", 0.0),
        ("muster_http_connections_over_limit_total", 0.0),
        (r#"muster_refusals_total{code="batch_conflict"}"#, 1.0),
        (r#"muster_refusals_total{code="unauthenticated"}"#, 1.0),
        (r#"muster_refusals_total{code="not_found"}"#, 1.0),
        (r#"muster_refusals_total{code="internal"}"#, 0.0),
        (r#"muster_batches_total{state="running"}"#, 2.0),
        (r#"muster_batches_total{state="created"}"#, 2.0),
        (r#"muster_batches_total{state="undone"}"#, 1.0),
        (r#"muster_batches_total{state="failed"}"#, 0.0),
        (r#"muster_batches_total{state="cancelled"}"#, 0.0),
        ("muster_batches_running", 0.0),
        ("muster_hash_duration_seconds_count", 1.0),
        (r#"muster_hash_wait_seconds_count{lane="batch"}"#, 1.0),
        (r#"muster_hash_wait_seconds_count{lane="single"}"#, 0.0),
        (r#"muster_hash_queue_length{lane="batch"}"#, 0.0),
        (r#"muster_hash_queue_length{lane="single"}"#, 0.0),
        (r#"muster_build_info{version="0.1.0"}"#, 1.0),
        (r#"muster_trace_spans_total{outcome="sent"}"#, 0.0),
    ] {
        assert_eq!(after.get(series), count, "{series}");
    }
    assert_eq!(after.get("muster_users_created_total") - before.get("muster_users_created_total"), 3.0);
    assert!(after.get("muster_hash_duration_seconds_sum") > 0.0);
    assert!(after.get("muster_hash_threads") >= 1.0);
    for (pool, max) in [("reserved", 4.0), ("interactive", 10.0), ("batch", 16.0)] {
        assert_eq!(after.get(&format!("muster_database_connections_max{{pool=\"{pool}\"}}")), max);
        let of = |state| after.get(&format!("muster_database_connections{{pool=\"{pool}\",state=\"{state}\"}}"));
        assert!((1.0..=max).contains(&(of("idle") + of("in_use"))), "{pool}");
    }
    assert!(after.get("process_cpu_seconds_total") > 0.0);
    assert!(after.get("process_start_time_seconds") > 1.7e9);
    if cfg!(target_os = "linux") {
        assert!(after.get("process_resident_memory_bytes") > 1e6);
        assert!(after.get("process_open_fds") > 3.0 && after.get("process_max_fds") > 3.0);
        assert!(after.get("process_threads") > 2.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_batch_counts_as_running_until_it_is_cancelled_and_not_as_failed() {
    // Hashing takes minutes.
    let watched = Watched::start(|command| {
        command.env("MUSTER_PASSWORDS__THREADS", "1");
        command.env("MUSTER_PASSWORDS__ITERATIONS", "10").env("MUSTER_PASSWORDS__MEMORY_KIB", "131072");
    })
    .await;
    let users: Vec<_> =
        (0..400).map(|n| with_password(&format!("u{n}@example.com"), &format!("kT9$wqzPlr-{n}"))).collect();
    let request = watched.owner.request("POST", crate::support::BATCH).header("prefer", "respond-async");
    let taken = Actor::send(request.body(json!(users).to_string())).await;
    assert_eq!(taken.status, 202, "{}", taken.text);
    let values = watched.read().await;
    assert_eq!(values.get("muster_batches_running"), 1.0);
    assert!((1.0..=400.0).contains(&values.get(r#"muster_hash_queue_length{lane="batch"}"#)));
    let batch = taken.header("location").to_owned();
    assert_eq!(watched.owner.post(&format!("{batch}/cancel"), &json!({})).await.status, 200);
    let running = async || watched.read().await.get("muster_batches_running");
    eventually("the batch is no longer running", async || running().await == 0.0).await;
    let values = watched.read().await;
    assert_eq!(values.get(r#"muster_hash_queue_length{lane="batch"}"#), 0.0);
    for (state, count) in [("running", 1.0), ("cancelled", 1.0), ("failed", 0.0), ("created", 0.0)] {
        assert_eq!(values.get(&format!("muster_batches_total{{state=\"{state}\"}}")), count, "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_cannot_create_series_and_no_series_contains_personal_data() {
    let watched = Watched::start(|_| {}).await;
    let owner = &watched.owner;
    owner.create(&json!([with_password("canary-address@example.com", "canary-pass-kT9$wqzPlr")])).await;
    owner.get("/api/v2/organization_collaborators/?email=canary-address%40example.com").await;
    let ask = async |n: usize| {
        let (path, unknown) = (format!("/api/v2/canary-{n}"), format!("/api/v2/users/canary-{n}"));
        owner.get(&path).await;
        owner.get(&unknown).await;
        owner.with_token(&format!("amk_canary_{n}")).get("/api/v2/userinfo/").await;
        Actor::send(owner.request(&format!("CANARY{n}"), "/livez").header("user-agent", &path)).await;
        Actor::send(owner.request("GET", "/livez").header("host", format!("canary-{n}.example.com"))).await;
    };
    ask(0).await;
    let few = watched.read().await;
    for n in 1..100 {
        ask(n).await;
    }
    let answer = watched.get("/metrics").await;
    let many = crate::watched::Values::of(&answer.text);
    assert_eq!(few.0.keys().collect::<Vec<_>>(), many.0.keys().collect::<Vec<_>>());
    assert_eq!(many.get(r#"muster_http_requests_total{method="other",route="/livez",status="405"}"#), 100.0);
    assert!(!answer.text.to_lowercase().contains("canary"), "{}", answer.text);
    let key = owner.token();
    assert!(key.split('_').all(|part| part == "amk" || !answer.text.contains(part)), "contains a part of the key");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_exposition_formats_are_valid() {
    let watched = Watched::start(|_| {}).await;
    watched.owner.get("/api/v2/userinfo/").await;
    let text = watched.get("/metrics").await;
    assert_eq!(text.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let request = Actor::new(watched.metrics, None).request("GET", "/metrics");
    let open =
        Actor::send(request.header("accept", "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1")).await;
    assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.text.ends_with("\n# EOF\n"), "{}", open.text);
    assert_eq!(watched.get("/").await.status, 404);
    assert_eq!(watched.get("/api/v2/userinfo/").await.status, 404);

    let mut promtool = Command::new("promtool");
    let mut child = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
