//! `muster serve`: the lifecycle of a server, from binding its sockets to graceful shutdown; and `muster migrate`.

use std::io::IsTerminal;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::args::{ConfigArgs, ServeArgs};
use super::config::check_contents;
use super::local::Local;
use super::{Exit, output};
use crate::app::App;
use crate::config::{self, Config};
use crate::keys::NewKey;
use crate::postgres::EmbeddedPostgres;
use crate::tls::Tls;
use crate::users::ADMINISTRATOR;
use crate::{http, jobs, mail, memory, sso, telemetry};

/// Interval between checks that the embedded PostgreSQL is running.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Timeout of a forced shutdown: for batches to record that they were aborted, and for telling the embedded PostgreSQL
/// to stop.
const FORCED_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(200);

/// How long statements of aborted requests may keep their database connections.
const DATABASE_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Default address of the metrics: OpenTelemetry's port for the Prometheus exporter.
const DEFAULT_METRICS_ADDRESS: &str = "127.0.0.1:9464";

pub(super) async fn run(args: &ServeArgs) -> Result<(), Exit> {
    let server = Server::start(args.load()?, args).await?;
    server.announce(true)?;
    server.run().await
}

/// The arguments of `muster migrate`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Grant this role what `muster serve` needs, and nothing else. For a database whose tables another role owns.
    #[arg(long, value_name = "ROLE")]
    grant_to: Option<String>,
}

pub(super) async fn migrate(args: &MigrateArgs) -> Result<(), Exit> {
    let config = args.config.load()?;
    telemetry::start(&config.log).map_err(Exit::Usage)?;
    check_contents(&config)?;
    let local = Local::open(config, true, None).await?;
    let prepared = local.prepare().await;
    let granted = match (&prepared, &args.grant_to) {
        (Ok(_), Some(role)) => local.grant(role).await,
        _ => Ok(()),
    };
    local.close().await;
    // The key is shown only once, so also if granting failed.
    if let Some(key) = prepared? {
        announce_first(&key, &args.config.for_shell())?;
    }
    granted?;
    output::say("the database is up to date");
    if let Some(role) = &args.grant_to {
        output::say(&format!("the privileges that `muster serve` needs were granted to {role}"));
    }
    Ok(())
}

/// A server that accepts connections.
pub(super) struct Server {
    pub(super) local: Local,
    url: String,
    pub(super) first_key: Option<NewKey>,
    /// The options with which commands of the local operator use the same database.
    pub(super) options: String,
    running: actix_web::dev::Server,
    metrics: Option<(SocketAddr, actix_web::dev::Server)>,
    tls: Option<Arc<Tls>>,
    signals: Signals,
}

/// The signals of the process. While this exists, the default actions of the signals, such as termination, are off.
struct Signals {
    stop: StopSignals,
    reload: Option<Signal>,
}

/// SIGTERM and SIGINT.
struct StopSignals(mpsc::UnboundedReceiver<()>);

impl Signals {
    fn listen(tls: Option<&Tls>) -> std::io::Result<Self> {
        let stop = StopSignals::listen()?;
        // On a terminal, SIGHUP means that the terminal was closed, and terminates the process.
        let is_reload = tls.is_some() || !std::io::stdin().is_terminal();
        let reload = if is_reload { Some(signal(SignalKind::hangup())?) } else { None };
        Ok(Self { stop, reload })
    }
}

impl StopSignals {
    /// Receives the signals on a thread of its own: a busy runtime would merge two signals in quick succession.
    fn listen() -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let listen = async move || {
            let (mut terminate, mut interrupt) =
                match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
                    (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
                    (Err(error), _) | (_, Err(error)) => return drop(ready.send(Err(error))),
                };
            let _ = ready.send(Ok(()));
            loop {
                tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
                if sender.send(()).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(listen());
            }
        })?;
        is_ready.recv().map_err(std::io::Error::other)??;
        Ok(Self(receiver))
    }

    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// Fails if the secret of an identity provider can't be opened; warns of messages that can't be made.
async fn check_seal_keys(app: &App) -> Result<(), Exit> {
    sso::check_seal_keys(app).await.map_err(Exit::usage)?;
    let messages = mail::count_unreadable(app).await.map_err(Exit::usage)?;
    if messages > 0 {
        tracing::warn!(
            messages,
            "queued messages need a seal key that is not in `secrets.seal_key`; add the key, or make their links again"
        );
    }
    Ok(())
}

impl Server {
    /// Binds the sockets, opens and migrates the database, and starts the server with the settings of `args`.
    pub(super) async fn start(config: Config, args: &ServeArgs) -> Result<Self, Exit> {
        telemetry::start(&config.log).map_err(Exit::Usage)?;
        check_contents(&config)?;
        let tls = Tls::load(&config.server).map_err(Exit::usage)?;
        if let Some(sentence) = tls.as_ref().and_then(|tls| tls.validity_error()) {
            tracing::error!("{sentence}");
        }
        let listener = bind(&config.server.listen, &other_address(&config))?;
        let address = listener.local_addr().map_err(Exit::usage)?;
        let options = args.for_shell(address);
        let metrics = bind_metrics(&config.metrics.listen)?;
        let url = url(address, tls.is_some());
        let local = Local::open(config, true, Some(&url)).await?;
        let app = &local.app;
        if let Some(tls) = &tls {
            app.metrics.show_certificate(Arc::clone(tls));
        }
        let (first_key, started) = match local.prepare().await {
            Ok(first_key) => {
                let is_readable = check_seal_keys(app).await;
                let traced =
                    is_readable.and_then(|()| app.traces.start(&app.config, &app.metrics).map_err(Exit::usage));
                let started = traced.and_then(|()| {
                    let started =
                        || Ok((serve_metrics(app, metrics)?, http::serve(Arc::clone(app), listener, tls.clone())?));
                    started().map_err(|error: std::io::Error| Exit::Usage(format!("can't start the server: {error}")))
                });
                (first_key, started)
            }
            Err(exit) => (None, Err(exit)),
        };
        let signals = Signals::listen(tls.as_deref());
        let signals = signals.map_err(|error| Exit::Usage(format!("can't receive signals: {error}")));
        match started.and_then(|started| Ok((started, signals?))) {
            Ok(((metrics, running), signals)) => {
                Ok(Self { local, url, first_key, options, running, metrics, tls, signals })
            }
            Err(exit) => {
                local.close().await;
                // The key is shown only once, so also if the server can't start.
                if let Some(key) = &first_key {
                    announce_first(key, &options)?;
                }
                Err(exit)
            }
        }
    }

    /// Prints the version, database, owner key and addresses, and, if `says_how_to_sign_in`, how the owner of a new database does.
    pub(super) fn announce(&self, says_how_to_sign_in: bool) -> Result<(), Exit> {
        if self.local.app.fingerprints.is_ephemeral() {
            tracing::warn!(
                "`secrets.server_key` is not set: requests retried with their Idempotency-Key after a restart or at \
                 another instance are rejected"
            );
        }
        if !self.local.app.config.sign_in.throttle {
            tracing::warn!("`sign_in.throttle` is off: attempts to sign in are not limited");
        }
        output::print(&format!("muster {}", env!("CARGO_PKG_VERSION")))?;
        match &self.local.cluster {
            Some(cluster) => output::print(&format!(
                "database: embedded PostgreSQL {} in {}",
                cluster.major(),
                cluster.data_dir().display()
            ))?,
            None => output::print(&format!("database: {}", self.local.app.db.name_and_address()))?,
        }
        match &self.first_key {
            Some(key) if says_how_to_sign_in => announce_first(key, &self.options)?,
            Some(key) => announce_key(key)?,
            None => output::print(
                "API keys are shown only once, when created; create another with `muster key create --name NAME --role \
                 owner`",
            )?,
        }
        if let Some((address, _)) = &self.metrics {
            output::print(&format!("metrics: http://{address}/metrics"))?;
        }
        output::print(&format!("listening on {0} (docs: {0}/docs/)", self.url()))
    }

    /// A handle that stops the server.
    pub(super) fn handle(&self) -> ServerHandle {
        self.running.handle()
    }

    /// The URL of the server.
    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// Serves until SIGTERM or SIGINT, then shuts down gracefully. A second signal forces the shutdown.
    pub(super) async fn run(self) -> Result<(), Exit> {
        let Self { local, running, metrics, tls, signals, .. } = self;
        let Signals { mut stop, reload: hangup } = signals;
        let (app, cluster) = (Arc::clone(&local.app), local.cluster.clone());
        let mut background = JoinSet::new();
        background.spawn(jobs::run_housekeeping(Arc::clone(&app)));
        background.spawn(mail::run(Arc::clone(&app)));
        background.spawn(memory::return_free_pages());
        if let Some(cluster) = cluster.clone() {
            background.spawn(supervise(cluster));
        }
        if let Some(hangup) = hangup {
            background.spawn(reload(tls, hangup));
        }
        let shutdown = CancellationToken::new();
        let mut graceful = Box::pin(serve_gracefully(local, running, metrics, shutdown.clone(), &mut background));
        let second_signal = async {
            stop.next().await;
            shutdown.cancel();
            stop.next().await;
        };
        tokio::select! { ended = &mut graceful => return ended, () = second_signal => () }
        let (requests, batches) = (app.metrics.requests.in_flight(), app.jobs_in_progress());
        app.abort_jobs(FORCED_SHUTDOWN_TIMEOUT).await;
        drop(graceful);
        background.shutdown().await;
        if let Some(cluster) = cluster {
            // PostgreSQL finishes its shutdown on its own once it has been signaled.
            let _ = tokio::time::timeout(FORCED_SHUTDOWN_TIMEOUT, cluster.close()).await;
        }
        tracing::warn!(requests, batches, "forced shutdown (second signal)");
        Ok(())
    }
}

/// Serves until `shutdown` is cancelled, then shuts down gracefully.
async fn serve_gracefully(
    local: Local,
    running: actix_web::dev::Server,
    metrics: Option<(SocketAddr, actix_web::dev::Server)>,
    shutdown: CancellationToken,
    background: &mut JoinSet<()>,
) -> Result<(), Exit> {
    let app = Arc::clone(&local.app);
    let handle = running.handle();
    let metrics = metrics.map(|(_, running)| (running.handle(), tokio::spawn(running)));
    let mut drain = tokio::spawn(drain(Arc::clone(&app), handle, shutdown.clone()));
    let (result, aborted) = tokio::select! {
        // `muster quickstart` stops the server without a signal.
        result = running => (result, if shutdown.is_cancelled() { (&mut drain).await.ok() } else { None }),
        aborted = &mut drain => (Ok(()), aborted.ok()),
    };
    drain.abort();
    // Metrics stay available to the end, so that the last requests are counted.
    if let Some((handle, running)) = metrics {
        handle.stop(false).await;
        let _ = running.await;
    }
    let traces = Arc::clone(&app.traces);
    let _ = tokio::task::spawn_blocking(move || traces.stop()).await;
    // Background tasks use the database: await them before it is closed.
    background.shutdown().await;
    app.finish_tasks(DATABASE_CLOSE_TIMEOUT).await;
    let _ = tokio::time::timeout(DATABASE_CLOSE_TIMEOUT, jobs::finish(&app)).await;
    let _ = tokio::time::timeout(DATABASE_CLOSE_TIMEOUT, app.db.close()).await;
    local.close_cluster().await;
    match aborted.unwrap_or_default() {
        Aborted { requests: 0, batches: 0 } => tracing::info!("stopped"),
        Aborted { requests, batches } => {
            tracing::warn!(requests, batches, "shutdown timed out; in-flight work was aborted")
        }
    }
    result.map_err(|error| Exit::Usage(format!("the server failed: {error}")))
}

/// The work that did not finish before the shutdown timeout.
#[derive(Debug, Default)]
struct Aborted {
    requests: i64,
    batches: usize,
}

/// When `shutdown` is cancelled: reports not ready and serves for the drain delay, so that load balancers notice; then
/// accepts no new batches, and finishes in-flight requests and batches within the shutdown timeout. A request in flight may
/// still start a batch, so batches are waited for again after the requests.
async fn drain(app: Arc<App>, server: ServerHandle, shutdown: CancellationToken) -> Aborted {
    shutdown.cancelled().await;
    app.leave();
    tracing::info!("graceful shutdown: waiting for in-flight requests and batches; a second signal forces it");
    let (settings, now) = (&app.config.server, Instant::now());
    let deadline = now + Duration::from_secs(settings.shutdown_timeout_seconds);
    tokio::time::sleep_until(now + Duration::from_secs(settings.drain_delay_seconds)).await;
    let mut batches = app.drain(deadline).await;
    let is_late = tokio::time::timeout_at(deadline, server.stop(true)).await.is_err();
    let requests = if is_late { app.metrics.requests.in_flight() } else { 0 };
    match is_late {
        true => app.abort_jobs(FORCED_SHUTDOWN_TIMEOUT).await,
        false => batches += app.drain(deadline).await,
    }
    Aborted { requests, batches }
}

/// Restarts the embedded PostgreSQL when it exits.
async fn supervise(cluster: Arc<EmbeddedPostgres>) {
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        if let Err(error) = cluster.keep_running().await {
            tracing::error!(%error, "the embedded PostgreSQL is down");
        }
    }
}

/// Reloads the TLS certificate on SIGHUP, and when its files change.
async fn reload(tls: Option<Arc<Tls>>, mut hangup: Signal) {
    match tls {
        Some(tls) => tls.keep_current(hangup).await,
        None => {
            while hangup.recv().await.is_some() {
                tracing::info!("SIGHUP ignored: TLS is not configured");
            }
        }
    }
}

fn url(address: SocketAddr, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// What to do if the address is in use.
fn other_address(config: &Config) -> String {
    let choose = "choose another address with `--listen`";
    match (config.database_options(), config.data_dir()) {
        (Ok(None), Ok(data_dir)) if EmbeddedPostgres::is_in_use(&data_dir) => {
            format!("`muster serve` is already running with the data directory {}; {choose}", data_dir.display())
        }
        _ => choose.to_owned(),
    }
}

fn bind(listen: &str, otherwise: &str) -> Result<TcpListener, Exit> {
    let address = config::resolve(listen).map_err(Exit::usage)?;
    TcpListener::bind(address).map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("address in use; {otherwise}, or use port 0 for a free port")
            }
            _ => error.to_string(),
        };
        Exit::Usage(format!("can't listen on {listen}: {reason}"))
    })
}

/// The listener for metrics, if they are enabled. The default address may be in use by another instance.
fn bind_metrics(listen: &str) -> Result<Option<TcpListener>, Exit> {
    match listen {
        "" => Ok(None),
        "auto" => Ok(TcpListener::bind(DEFAULT_METRICS_ADDRESS)
            .inspect_err(|error| {
                tracing::warn!(%error, "metrics disabled: can't listen on {DEFAULT_METRICS_ADDRESS}; set `metrics.listen` to another address");
            })
            .ok()),
        listen => bind(listen, "set `metrics.listen` to another address").map(Some),
    }
}

fn serve_metrics(
    app: &Arc<App>,
    listener: Option<TcpListener>,
) -> std::io::Result<Option<(SocketAddr, actix_web::dev::Server)>> {
    let Some(listener) = listener else { return Ok(None) };
    Ok(Some((listener.local_addr()?, http::serve_metrics(Arc::clone(&app.metrics), listener)?)))
}

/// Prints the owner key of a new database, and how its owner signs in.
fn announce_first(key: &NewKey, options: &str) -> Result<(), Exit> {
    announce_key(key)?;
    output::print(&format!(
        "browser:   `muster user link {ADMINISTRATOR} --recover{options}` prints a link to sign in with"
    ))
}

fn announce_key(key: &NewKey) -> Result<(), Exit> {
    output::print(&format!("owner key: {}", key.token.expose()))?;
    output::print(&format!(
        "           shown only once; expires at {}; create another with `muster key create --name NAME --role owner`",
        output::time(key.key.expires_at)
    ))
}
