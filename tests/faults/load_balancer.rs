//! Three instances behind a real load balancer, with the examples of `deploy/load-balancer/`.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;

use crate::support::gate::{TIMEOUT, eventually};
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, Answer, BATCH, migrated_database, sso};

pub const NGINX: &str = include_str!("../../deploy/load-balancer/nginx.conf");
const HAPROXY: &str = include_str!("../../deploy/load-balancer/haproxy.cfg");

/// The lease of a batch, in seconds.
const LEASE: u64 = 2;

/// The number of clients, each of which sends one request after the other.
const CLIENTS: usize = 6;

/// How long an instance runs before it is stopped.
const PAUSE: Duration = Duration::from_millis(1500);

pub struct Balancer {
    process: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

impl Balancer {
    fn start(program: &str, config: &str, arguments: impl FnOnce(&Path) -> Vec<String>, address: SocketAddr) -> Self {
        let dir = tempfile::Builder::new().prefix("muster-balancer-").tempdir_in("/tmp").unwrap();
        // Started as root, nginx runs its workers as another user, who must be able to read the directory.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let file = dir.path().join("balancer.conf");
        std::fs::write(&file, config.replace("DIR", dir.path().to_str().unwrap())).unwrap();
        let process = Command::new(find(program)).args(arguments(&file)).stdin(Stdio::null()).spawn().unwrap();
        let balancer = Self { process, address, _dir: dir };
        let start = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < TIMEOUT, "{program} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        balancer
    }

    fn nginx(instances: &[SocketAddr; 3]) -> Self {
        let address = free_addresses::<1>()[0];
        let site = with_addresses(NGINX, instances).replace("listen 443 ssl http2", &format!("listen {address}"));
        // Omits only the certificate.
        let site: String = site
            .lines()
            .filter(|line| !line.trim_start().starts_with("ssl_certificate"))
            .map(|line| format!("{line}\n"))
            .collect();
        Self::nginx_with(&site, address)
    }

    /// nginx with the server blocks of a site, one of which listens on the address.
    pub fn nginx_with(site: &str, address: SocketAddr) -> Self {
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path DIR/{name};\n"))
            .concat();
        let config =
            format!("daemon off; pid DIR/pid; error_log stderr crit; events {{}}\nhttp {{\n{paths}\n{site}\n}}\n");
        let arguments = |file: &Path| {
            ["-e", "stderr", "-p", file.parent().unwrap().to_str().unwrap(), "-c", file.to_str().unwrap()]
                .map(str::to_owned)
                .to_vec()
        };
        Self::start("nginx", &config, arguments, address)
    }

    fn haproxy(instances: &[SocketAddr; 3]) -> Self {
        let address = free_addresses::<1>()[0];
        let config = with_addresses(HAPROXY, instances)
            .replace("bind :443 ssl crt /etc/haproxy/muster.pem alpn h2,http/1.1", &format!("bind {address}"));
        let arguments = |file: &Path| ["-q", "-db", "-f", file.to_str().unwrap()].map(str::to_owned).to_vec();
        Self::start("haproxy", &config, arguments, address)
    }
}

/// The example configuration with the addresses of these instances.
pub fn with_addresses(example: &str, instances: &[SocketAddr; 3]) -> String {
    let mut config = example.to_owned();
    for (instance, written) in instances.iter().zip(["10.0.0.11:8080", "10.0.0.12:8080", "10.0.0.13:8080"]) {
        assert!(config.contains(written), "the example has {written}");
        config = config.replace(written, &instance.to_string());
    }
    assert!(config.contains("443 ssl"), "the example uses TLS");
    config
}

/// A server program, which may not be on an ordinary user's PATH.
fn find(program: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{program} is missing: run scripts/prerequisites.sh"))
}

/// Free addresses.
pub fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

fn instance(database: &PgConnectOptions, address: SocketAddr, drain_delay: u64) -> ServerProcess {
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(database))
        .env("MUSTER_SECRETS__SERVER_KEY", "a key for fingerprints that all instances have")
        .env("MUSTER_BATCH__LEASE_SECONDS", LEASE.to_string())
        .env("MUSTER_LOG__LEVEL", "error")
        .env("MUSTER_METRICS__LISTEN", "127.0.0.1:0")
        .env("MUSTER_SERVER__DRAIN_DELAY_SECONDS", drain_delay.to_string());
    ServerProcess::start_at(&address.to_string(), &mut command)
}

/// The number of requests that the load balancer has sent to an instance, without its health checks.
async fn requests(server: &ServerProcess) -> u64 {
    let metrics = server.metrics().await;
    let counts =
        metrics.lines().filter(|line| line.starts_with("muster_http_requests_total{") && !line.contains("/readyz"));
    counts.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

/// The results of the clients.
#[derive(Default)]
struct Seen {
    /// The number of created batches.
    batches: i64,
    /// The number of lists read.
    lists: usize,
    /// When the first attempt of a request failed, and how.
    failures: Vec<(Instant, String)>,
}

/// One attempt. `Err`: retry it after the wait.
async fn attempt(request: reqwest::RequestBuilder) -> Result<Answer, String> {
    let response = request.send().await.map_err(|error| format!("{error:?}"))?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.map_err(|error| format!("{error:?}"))?;
    match status {
        200 => Ok(Answer { status, headers, text }),
        // 409: the instance that processed the request was killed, and its lease has not expired yet.
        409 | 502 | 503 | 504 => Err(format!("{status} {text}")),
        _ => panic!("{status}: {text}"),
    }
}

/// The number of requests that wait for their retry.
type Retrying = Arc<AtomicUsize>;

/// Sends a request, and retries it once.
async fn deliver(
    seen: &mut Seen,
    retrying: &Retrying,
    wait: Duration,
    request: impl Fn() -> reqwest::RequestBuilder,
) -> Answer {
    match attempt(request()).await {
        Ok(answer) => answer,
        Err(first) => {
            seen.failures.push((Instant::now(), first.clone()));
            retrying.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(wait).await;
            let second = attempt(request()).await;
            retrying.fetch_sub(1, Ordering::Relaxed);
            second.unwrap_or_else(|second| panic!("failed twice: {first}, then {second}"))
        }
    }
}

async fn send_requests_until(over: CancellationToken, retrying: Retrying, actor: Actor, client: usize) -> Seen {
    let mut seen = Seen::default();
    for n in 0.. {
        if over.is_cancelled() {
            break;
        }
        let name = format!("{client}-{n}");
        let users = json!([sso(&format!("a{name}@example.com")), sso(&format!("b{name}@example.com"))]).to_string();
        // By then the lease of a killed instance has expired.
        let after_the_lease = Duration::from_secs(LEASE + 1);
        let created = deliver(&mut seen, &retrying, after_the_lease, || {
            actor.request("POST", BATCH).header("idempotency-key", &name).body(users.clone())
        })
        .await;
        let addresses: Vec<Value> =
            created.json()["results"].as_array().unwrap().iter().map(|user| user["email"].clone()).collect();
        assert_eq!(addresses, [format!("a{name}@example.com"), format!("b{name}@example.com")]);
        seen.batches += 1;
        deliver(&mut seen, &retrying, Duration::from_millis(100), || {
            actor.request("GET", "/api/v2/organization_collaborators/?count=5")
        })
        .await;
        seen.lists += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    seen
}

/// When an instance got SIGTERM, and when it exited.
struct Stop {
    from: Instant,
    until: Instant,
}

/// Kills and restarts each instance, then stops and restarts it.
async fn stop_one_after_the_other(
    database: &PgConnectOptions,
    instances: &mut [ServerProcess; 3],
    drain_delay: u64,
    retrying: &Retrying,
) -> Vec<Stop> {
    let mut stops = Vec::new();
    for server in instances {
        for signal in ["-KILL", "-TERM"] {
            tokio::time::sleep(PAUSE).await;
            // A request is retried only once, so the next fault comes after the retries.
            eventually("requests are not retried any more", async || retrying.load(Ordering::Relaxed) == 0).await;
            let from = Instant::now();
            server.signal(signal);
            let (address, database) = (server.address, database.clone());
            let status = tokio::task::block_in_place(|| server.wait());
            if signal == "-TERM" {
                assert!(status.success(), "{status}");
                stops.push(Stop { from, until: Instant::now() });
            }
            *server = tokio::task::block_in_place(|| instance(&database, address, drain_delay));
            eventually("the load balancer uses the instance again", async || requests(server).await >= 10).await;
        }
    }
    stops
}

/// Runs the clients during a rolling restart. Returns their results, and when instances got SIGTERM.
async fn roll(start: impl FnOnce(&[SocketAddr; 3]) -> Balancer, drain_delay: u64) -> (Seen, Vec<Stop>) {
    let database = migrated_database().await;
    let addresses = free_addresses::<3>();
    let first = instance(&database, addresses[0], drain_delay);
    let key = first.key.clone().unwrap();
    let mut instances =
        [first, instance(&database, addresses[1], drain_delay), instance(&database, addresses[2], drain_delay)];
    let balancer = start(&addresses);
    let actor = Actor::new(balancer.address, Some(&key));
    while actor.get("/readyz").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (over, retrying) = (CancellationToken::new(), Retrying::default());
    let asking: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let actor = Actor::new(balancer.address, Some(&key));
            tokio::spawn(send_requests_until(over.clone(), Arc::clone(&retrying), actor, client))
        })
        .collect();
    let stops = stop_one_after_the_other(&database, &mut instances, drain_delay, &retrying).await;
    over.cancel();
    let mut seen = Seen::default();
    for asking in asking {
        let of_one = asking.await.unwrap();
        seen.batches += of_one.batches;
        seen.lists += of_one.lists;
        seen.failures.extend(of_one.failures);
    }
    assert_all_or_nothing(&database, &seen).await;
    assert_revoked_everywhere(&actor, &addresses).await;
    (seen, stops)
}

/// Each batch with a successful response exists once and as a whole, and no other.
async fn assert_all_or_nothing(database: &PgConnectOptions, seen: &Seen) {
    assert!(seen.batches > 20 && seen.lists > 20, "too few requests: {} batches", seen.batches);
    let mut connection = database.connect().await.unwrap();
    let counts: (i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from users where batch_id is not null),
                (select count(*) from batches where state = 'created' and user_count = 2),
                (select count(*) from batches where state in ('created', 'running') and user_count <> 2),
                (select count(*) from batches where state <> 'created' and exists (
                    select from users where users.batch_id = batches.batch_id))",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(counts, (2 * seen.batches, seen.batches, 0, 0));
}

/// Revokes, through the load balancer, a key that all instances have just accepted.
async fn assert_revoked_everywhere(owner: &Actor, addresses: &[SocketAddr; 3]) {
    let made = owner.post("/api/v2/api_keys", &json!({"name": "to be revoked"})).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let made = made.json()["result"].clone();
    let actors = addresses.map(|address| Actor::new(address, made["token"].as_str()));
    for actor in &actors {
        assert_eq!(actor.get("/api/v2/userinfo/").await.status, 200);
    }
    let revoked = owner.delete(&format!("/api/v2/api_keys/{}", made["key_id"].as_str().unwrap())).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
    let refused = actors.map(|actor| tokio::spawn(async move { actor.is_rejected_within_a_second().await }));
    for refused in refused {
        refused.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn behind_nginx_every_request_succeeds_after_one_retry_while_instances_are_killed_and_stopped() {
    let (seen, _) = roll(Balancer::nginx, 0).await;
    assert!(!seen.failures.is_empty(), "no request failed: the kills had no effect");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn behind_haproxy_no_request_fails_while_instances_are_stopped() {
    let (seen, stops) = roll(Balancer::haproxy, 10).await;
    for Stop { from, until } in stops {
        let failed: Vec<_> = seen.failures.iter().filter(|(at, _)| (from..until).contains(at)).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}
