//! `muster serve` and `muster migrate`.

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
use super::local::Local;
use super::{Exit, output};
use crate::app::App;
use crate::config::{self, Config};
use crate::keys::NewKey;
use crate::postgres::EmbeddedPostgres;
use crate::tls::Tls;
use crate::{http, jobs, telemetry};

/// How often it is checked whether the private PostgreSQL lives.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long batches have to say that they are given up, and the private PostgreSQL to hear that it is to stop, when
/// muster is to end at once.
const LAST_MOMENT: Duration = Duration::from_millis(200);

/// How long statements whose request was cut off may keep their connections to the database.
const GOODBYE: Duration = Duration::from_secs(2);

/// Where metrics are read if nobody says otherwise: the port that OpenTelemetry gives to Prometheus' format.
const METRICS: &str = "127.0.0.1:9464";

pub(super) async fn run(args: &ServeArgs) -> Result<(), Exit> {
    let server = Server::start(args.load()?).await?;
    server.announce()?;
    server.run().await
}

pub(super) async fn migrate(args: &ConfigArgs) -> Result<(), Exit> {
    let config = args.load()?;
    telemetry::start(&config.log).map_err(Exit::Usage)?;
    let local = Local::open(config, true).await?;
    let migrated = local.prepare().await;
    local.close().await;
    if let Some(key) = migrated? {
        announce_key(&key)?;
    }
    output::say("the database is up to date");
    Ok(())
}

/// A server that accepts connections.
pub(super) struct Server {
    pub(super) local: Local,
    pub(super) address: SocketAddr,
    pub(super) first_key: Option<NewKey>,
    running: actix_web::dev::Server,
    metrics: Option<(SocketAddr, actix_web::dev::Server)>,
    tls: Option<Arc<Tls>>,
    signals: Signals,
}

/// What asks it for something. From when this exists, a signal does not end the process by itself.
struct Signals {
    stop: Stop,
    reload: Option<Signal>,
}

/// What asks it to stop: SIGTERM and SIGINT.
struct Stop(mpsc::UnboundedReceiver<()>);

impl Signals {
    fn listen(tls: Option<&Tls>) -> std::io::Result<Self> {
        let stop = Stop::listen()?;
        // A terminal that closes is to end the program; a supervisor that asks for a reload is not.
        let is_reload = tls.is_some() || !std::io::stdin().is_terminal();
        let reload = if is_reload { Some(signal(SignalKind::hangup())?) } else { None };
        Ok(Self { stop, reload })
    }
}

impl Stop {
    /// A thread of its own hears the signals: to a runtime that is busy meanwhile, two soon after one another are one.
    fn listen() -> std::io::Result<Self> {
        let (heard, asked) = mpsc::unbounded_channel();
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
                if heard.send(()).is_err() {
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
        Ok(Self(asked))
    }

    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

impl Server {
    /// Takes the address, then the database, then starts.
    pub(super) async fn start(config: Config) -> Result<Self, Exit> {
        telemetry::start(&config.log).map_err(Exit::Usage)?;
        let tls = Tls::load(&config.server).map_err(Exit::usage)?;
        if let Some(sentence) = tls.as_ref().and_then(|tls| tls.validity_error()) {
            tracing::error!("{sentence}");
        }
        let listener = bind(&config.server.listen, "choose another with `--listen`")?;
        let address = listener.local_addr().map_err(Exit::usage)?;
        let metrics = bind_metrics(&config.metrics.listen)?;
        let local = Local::open(config, true).await?;
        let app = &local.app;
        if let Some(tls) = &tls {
            app.metrics.show_certificate(Arc::clone(tls));
        }
        let started = match local.prepare().await {
            Ok(first_key) => app.traces.start(&app.config, &app.metrics).map_err(Exit::usage).and_then(|()| {
                let started =
                    || Ok((serve_metrics(app, metrics)?, http::serve(Arc::clone(app), listener, tls.clone())?));
                started()
                    .map(|(metrics, running)| (first_key, metrics, running))
                    .map_err(|error: std::io::Error| Exit::Usage(format!("can't serve: {error}")))
            }),
            Err(exit) => Err(exit),
        };
        let signals = Signals::listen(tls.as_deref());
        let signals = signals.map_err(|error| Exit::Usage(format!("signals can't be received: {error}")));
        match started.and_then(|started| Ok((started, signals?))) {
            Ok(((first_key, metrics, running), signals)) => {
                Ok(Self { local, address, first_key, running, metrics, tls, signals })
            }
            Err(exit) => {
                local.close().await;
                Err(exit)
            }
        }
    }

    /// Says what was started, and where.
    pub(super) fn announce(&self) -> Result<(), Exit> {
        if self.local.app.fingerprints.is_passing() {
            tracing::warn!(
                "no key for fingerprints: a request that is sent again with its Idempotency-Key after a restart, or to \
                 another instance, can't be recognised and is refused; set secrets.fingerprint_key"
            );
        }
        output::print(&format!("muster {}", env!("CARGO_PKG_VERSION")))?;
        match &self.local.cluster {
            Some(cluster) => output::print(&format!(
                "database: private PostgreSQL {} in {}",
                cluster.major(),
                cluster.data_dir().display()
            ))?,
            None => output::print(&format!("database: {}", self.local.app.db.name_and_address()))?,
        }
        match &self.first_key {
            Some(key) => announce_key(key)?,
            None => output::print(
                "keys: shown when they are made, and never again; make another with `muster key create --name NAME --role \
                 owner`",
            )?,
        }
        if let Some((address, _)) = &self.metrics {
            output::print(&format!("metrics: http://{address}/metrics"))?;
        }
        output::print(&format!("listening on {0} (docs: {0}/docs/)", self.url()))
    }

    /// A handle that stops it.
    pub(super) fn running_handle(&self) -> ServerHandle {
        self.running.handle()
    }

    /// Where it is reached.
    pub(super) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Serves until a signal, then lets requests in flight finish and closes everything. A second signal ends it at once,
    /// whatever it is at.
    pub(super) async fn run(self) -> Result<(), Exit> {
        let Self { local, running, metrics, tls, signals, .. } = self;
        let Signals { mut stop, reload: asked } = signals;
        let (app, cluster) = (Arc::clone(&local.app), local.cluster.clone());
        // What goes on beside the requests, and ends with them.
        let mut beside = JoinSet::new();
        beside.spawn(jobs::run_housekeeping(Arc::clone(&app)));
        if let Some(cluster) = cluster.clone() {
            beside.spawn(supervise(cluster));
        }
        if let Some(asked) = asked {
            beside.spawn(reload(tls, asked));
        }
        let first = CancellationToken::new();
        let mut in_order = Box::pin(in_order(local, running, metrics, first.clone(), &mut beside));
        let second = async {
            stop.next().await;
            first.cancel();
            stop.next().await;
        };
        tokio::select! { ended = &mut in_order => return ended, () = second => () }
        let (requests, batches) = (app.metrics.requests.in_flight(), app.jobs_in_progress());
        app.abort_jobs(LAST_MOMENT).await;
        drop(in_order);
        beside.shutdown().await;
        if let Some(cluster) = cluster {
            // Told to stop, it does so by itself; nobody waits for that.
            let _ = tokio::time::timeout(LAST_MOMENT, cluster.close()).await;
        }
        tracing::warn!(requests, batches, "forced shutdown (second signal)");
        Ok(())
    }
}

/// Serves until `asked`, and ends in order.
async fn in_order(
    local: Local,
    running: actix_web::dev::Server,
    metrics: Option<(SocketAddr, actix_web::dev::Server)>,
    asked: CancellationToken,
    beside: &mut JoinSet<()>,
) -> Result<(), Exit> {
    let app = Arc::clone(&local.app);
    let handle = running.handle();
    let metrics = metrics.map(|(_, running)| (running.handle(), tokio::spawn(running)));
    let mut drain = tokio::spawn(drain(Arc::clone(&app), handle, asked.clone()));
    let (result, cut_off) = tokio::select! {
        // The demonstration stops it without a signal.
        result = running => (result, if asked.is_cancelled() { (&mut drain).await.ok() } else { None }),
        cut_off = &mut drain => (Ok(()), cut_off.ok()),
    };
    drain.abort();
    // To the end, or nobody would see how the last requests went.
    if let Some((handle, running)) = metrics {
        handle.stop(false).await;
        let _ = running.await;
    }
    let traces = Arc::clone(&app.traces);
    let _ = tokio::task::spawn_blocking(move || traces.stop()).await;
    // Waited for, or the database would still have a user.
    beside.shutdown().await;
    let _ = tokio::time::timeout(GOODBYE, app.db.close()).await;
    local.close_cluster().await;
    match cut_off.unwrap_or_default() {
        CutOff { requests: 0, batches: 0 } => tracing::info!("stopped"),
        CutOff { requests, batches } => {
            tracing::warn!(requests, batches, "shutdown timed out; in-flight work was aborted")
        }
    }
    result.map_err(|error| Exit::Usage(format!("serving ended: {error}")))
}

/// What did not end in time.
#[derive(Debug, Default)]
struct CutOff {
    requests: i64,
    batches: usize,
}

/// Once `asked`: is not ready any more, and serves on until a load balancer can have noticed; then takes no
/// new batches and finishes what is in flight, within the time for that.
async fn drain(app: Arc<App>, server: ServerHandle, asked: CancellationToken) -> CutOff {
    asked.cancelled().await;
    app.leave();
    tracing::info!("stopping: requests and batches in flight may finish; a second signal ends them");
    let (settings, now) = (&app.config.server, Instant::now());
    let deadline = now + Duration::from_secs(settings.shutdown_timeout_seconds);
    tokio::time::sleep_until(now + Duration::from_secs(settings.drain_delay_seconds)).await;
    let batches = app.drain(deadline).await;
    let is_late = tokio::time::timeout_at(deadline, server.stop(true)).await.is_err();
    CutOff { requests: if is_late { app.metrics.requests.in_flight() } else { 0 }, batches }
}

/// Has the private PostgreSQL run.
async fn supervise(cluster: Arc<EmbeddedPostgres>) {
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        if let Err(error) = cluster.keep_running().await {
            tracing::error!(%error, "the private PostgreSQL is gone");
        }
    }
}

/// What is read again while the program runs: the certificate.
async fn reload(tls: Option<Arc<Tls>>, mut asked: Signal) {
    match tls {
        Some(tls) => tls.keep_current(asked).await,
        None => {
            while asked.recv().await.is_some() {
                tracing::info!("SIGHUP: there is nothing to read again, since there is no certificate");
            }
        }
    }
}

fn bind(listen: &str, otherwise: &str) -> Result<TcpListener, Exit> {
    let address = config::resolve(listen).map_err(Exit::usage)?;
    TcpListener::bind(address).map_err(|error| {
        let problem = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("another program listens there; {otherwise}, or port 0 for a free one")
            }
            _ => error.to_string(),
        };
        Exit::Usage(format!("can't listen on {listen}: {problem}"))
    })
}

/// The listener for metrics, if there is to be one.
fn bind_metrics(listen: &str) -> Result<Option<TcpListener>, Exit> {
    match listen {
        "" => Ok(None),
        "auto" => Ok(TcpListener::bind(METRICS)
            .inspect_err(|error| {
                tracing::warn!(%error, "no metrics: {METRICS} can't be listened on; set metrics.listen to another address");
            })
            .ok()),
        listen => bind(listen, "set metrics.listen to another address").map(Some),
    }
}

fn serve_metrics(
    app: &Arc<App>,
    listener: Option<TcpListener>,
) -> std::io::Result<Option<(SocketAddr, actix_web::dev::Server)>> {
    let Some(listener) = listener else { return Ok(None) };
    Ok(Some((listener.local_addr()?, http::serve_metrics(Arc::clone(&app.metrics), listener)?)))
}

fn announce_key(key: &NewKey) -> Result<(), Exit> {
    output::print(&format!("owner key: {}", key.token.expose()))?;
    output::print(&format!(
        "           shown this once, works until {}; make another with `muster key create --name NAME --role owner`",
        output::time(key.expires_at)
    ))
}
