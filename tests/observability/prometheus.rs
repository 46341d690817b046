//! A real Prometheus that scrapes a real server, and the files in `deploy/observability`.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::gate::{TIMEOUT, eventually};
use crate::support::{Actor, sso, with_password};
use crate::watched::Watched;

fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/observability").join(name)
}

/// A `prometheus` process, killed on drop.
struct Prometheus {
    child: Child,
    api: Actor,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts a Prometheus that scrapes the server twice a second.
    async fn start(watched: &Watched) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = std::fs::read_to_string(deployed("prometheus.yml")).unwrap();
        let settings = settings
            .replace("scrape_interval: 15s", "scrape_interval: 500ms\n  evaluation_interval: 500ms")
            .replace("127.0.0.1:9464", &watched.metrics.to_string())
            .replace("alerts.yml", deployed("alerts.yml").to_str().unwrap());
        std::fs::write(folder.path().join("prometheus.yml"), settings).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={free}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let connects = async || tokio::net::TcpStream::connect(free).await.is_ok();
        eventually("prometheus listens", connects).await;
        let api = Actor::new(free, None);
        eventually("prometheus is ready", async || api.get("/-/ready").await.status == 200).await;
        Self { child, api, _folder: folder }
    }

    /// The result of a PromQL query.
    async fn query(&self, query: &str) -> Vec<Value> {
        let encoded = percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
        let answer = self.api.get(&format!("/api/v1/query?query={encoded}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        answer.json()["data"]["result"].as_array().unwrap().clone()
    }

    /// Waits until a query returns a single series with this value.
    async fn becomes(&self, query: &str, value: &str) {
        let start = Instant::now();
        loop {
            let result = self.query(query).await;
            if result.len() == 1 && result[0]["value"][1] == value {
                return;
            }
            assert!(start.elapsed() < TIMEOUT, "{query}: {result:?}, not {value}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_the_server_and_evaluates_rules_and_panels() {
    let watched = Watched::start(|_| {}).await;
    let prometheus = Prometheus::start(&watched).await;
    prometheus.becomes(r#"up{job="muster"}"#, "1").await;
    // The first owner.
    prometheus.becomes("sum(muster_users_created_total)", "1").await;
    let users = json!([with_password("a@example.com", "kT9$wqzPlr-1"), sso("b@example.com"), sso("c@example.com")]);
    assert_eq!(watched.owner.create(&users).await.status, 200);
    assert_eq!(watched.owner.create(&users).await.status, 409);
    prometheus.becomes("sum(muster_users_created_total)", "4").await;
    prometheus.becomes(r#"muster_batches_total{state="created"}"#, "1").await;
    let created = r#"sum by (route) (muster_http_requests_total{status=~"[24].."})"#;
    prometheus.becomes(created, "2").await;
    assert_eq!(prometheus.query(created).await[0]["metric"]["route"], crate::support::BATCH);
    prometheus.becomes(r#"sum(increase(muster_refusals_total{code="batch_conflict"}[1m])) > bool 0"#, "1").await;
    // A rate needs a series that existed before.
    for count in ["1", "2"] {
        assert_eq!(watched.owner.get("/api/v2/userinfo/").await.status, 200);
        prometheus.becomes(r#"muster_http_requests_total{route="/api/v2/userinfo/"}"#, count).await;
    }
    let median =
        "histogram_quantile(0.5, sum by (le) (rate(muster_http_request_duration_seconds_bucket[1m]))) > bool 0";
    prometheus.becomes(median, "1").await;

    // Every alert rule is valid, and none fires for a healthy server.
    let rules = prometheus.api.get("/api/v1/rules").await.json();
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
    assert_eq!(rules.len(), 24);
    for rule in rules {
        assert_eq!((rule["health"].as_str(), rule["state"].as_str()), (Some("ok"), Some("inactive")), "{rule}");
    }

    // Every panel of the dashboard shows data.
    for (title, expression) in panels() {
        let expression = expression.replace("$__rate_interval", "30s").replace("$__range", "30s");
        let result = prometheus.query(&expression.replace("$instance", ".*")).await;
        let may_be_empty = ["Errors by code", "Certificate expires in"].contains(&title.as_str());
        assert!(!result.is_empty() || may_be_empty, "{title}: {expression} gives nothing");
    }

    let mut watched = watched;
    watched.server.signal("-KILL");
    watched.server.wait();
    prometheus.becomes(r#"up{job="muster"}"#, "0").await;
    prometheus.becomes(r#"ALERTS{alertname="MusterDown", alertstate="pending"}"#, "1").await;
}

/// The titles and queries of the panels.
fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_slice(&std::fs::read(deployed("dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels
        .flat_map(|panel| {
            let targets = panel["targets"].as_array().cloned().unwrap_or_default();
            let title = panel["title"].as_str().unwrap().to_owned();
            targets.into_iter().map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
        })
        .collect()
}

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let own = words.filter(|word| word.starts_with("muster_") || word.starts_with("process_"));
    own.map(base).filter(|name| !name.ends_with('_')).collect()
}

/// The name without the suffix of a histogram series.
fn base(name: &str) -> String {
    let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    histogram.unwrap_or(name).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_dashboard_use_existing_metrics_and_the_readme_lists_all() {
    let watched = Watched::start(|_| {}).await;
    watched.owner.get("/api/v2/userinfo/").await;
    // A metric with labels appears with its first event.
    let newer =
        watched.owner.request("GET", "/api/v2/organization_collaborators/?new=1").header("x-anyscale-client", "CLI");
    assert_eq!(crate::support::Actor::send(newer).await.status, 200);
    let values = watched.read().await;
    let with_tls = crate::certificate::watched(&crate::certificate::Files::new(90)).await.read().await;
    let there: BTreeSet<String> = values.names().into_iter().chain(with_tls.names()).map(base).collect();
    for file in ["alerts.yml", "alerts_test.yml", "dashboard.json"] {
        let unknown: Vec<_> =
            named(&std::fs::read_to_string(deployed(file)).unwrap()).difference(&there).cloned().collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
    let manual = std::fs::read_to_string(deployed("README.md")).unwrap();
    let table: String =
        manual.lines().filter(|line| line.starts_with("| `muster_") || line.starts_with("| `process_")).collect();
    assert_eq!(named(&table), there);
}

#[test]
fn promtool_accepts_rules_unit_tests_and_configuration() {
    for arguments in
        [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"], ["check", "config", "prometheus.yml"]]
    {
        let output = Command::new("promtool").args(arguments).current_dir(deployed("")).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("SUCCESS"), "{arguments:?}: {said}");
    }
}
