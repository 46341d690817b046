//! `muster serve` and `muster migrate`.

use std::io::IsTerminal;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::local::Local;
use super::{ConfigArgs, Exit, ServeArgs, output};
use crate::app::App;
use crate::config::{self, Config};
use crate::keys::NewKey;
use crate::tls::Tls;
use crate::{batches, http, telemetry};

/// How often it is checked whether the private PostgreSQL lives.
const CHECK_EVERY: Duration = Duration::from_secs(1);

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

/// What asks it to stop.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen(tls: Option<&Tls>) -> std::io::Result<Self> {
        let stop = Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        // A terminal that closes is to end the program; a supervisor that asks for a reload is not.
        let is_reload = tls.is_some() || !std::io::stdin().is_terminal();
        let reload = if is_reload { Some(signal(SignalKind::hangup())?) } else { None };
        Ok(Self { stop, reload })
    }
}

impl Stop {
    async fn next(&mut self) {
        tokio::select! { _ = self.terminate.recv() => (), _ = self.interrupt.recv() => () }
    }
}

impl Server {
    /// Takes the address, then the database, then starts.
    pub(super) async fn start(config: Config) -> Result<Self, Exit> {
        telemetry::start(&config.log).map_err(Exit::Usage)?;
        let tls = Tls::load(&config.server).map_err(Exit::usage)?;
        if let Some(sentence) = tls.as_ref().and_then(|tls| tls.untimely()) {
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
        if let Some(key) = &self.first_key {
            announce_key(key)?;
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

    /// Serves until a signal, then lets requests in flight finish and closes everything.
    pub(super) async fn run(self) -> Result<(), Exit> {
        tokio::spawn(stop_on_signal(Arc::clone(&self.local.app), self.running.handle(), self.signals.stop));
        let supervisor = self.local.cluster.clone().map(|cluster| {
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(CHECK_EVERY).await;
                    if let Err(error) = cluster.keep_running().await {
                        tracing::error!(%error, "the private PostgreSQL is gone");
                    }
                }
            })
        });
        if let Some(asked) = self.signals.reload {
            tokio::spawn(reload(self.tls, asked));
        }
        let housekeeping = tokio::spawn(batches::keep_house(Arc::clone(&self.local.app)));
        let metrics = self.metrics.map(|(_, running)| (running.handle(), tokio::spawn(running)));
        let result = self.running.await;
        // To the end, or nobody would see how the last requests went.
        if let Some((handle, running)) = metrics {
            handle.stop(false).await;
            let _ = running.await;
        }
        let traces = Arc::clone(&self.local.app.traces);
        let _ = tokio::task::spawn_blocking(move || traces.stop()).await;
        // Waited for, or the database would still have a user.
        housekeeping.abort();
        let _ = housekeeping.await;
        if let Some(supervisor) = supervisor {
            supervisor.abort();
            let _ = supervisor.await;
        }
        self.local.close().await;
        result.map_err(|error| Exit::Usage(format!("serving ended: {error}")))
    }
}

/// The first signal: is not ready any more, and serves on until a load balancer can have noticed; then takes no
/// new batches, finishes what is in flight, within the time for that, and ends. The second: ends now.
async fn stop_on_signal(app: Arc<App>, server: ServerHandle, mut signals: Stop) {
    signals.next().await;
    app.leave();
    tracing::info!("stopping: requests and batches in flight may finish");
    let (settings, now) = (&app.config.server, Instant::now());
    let deadline = now + Duration::from_secs(settings.shutdown_timeout_seconds);
    let stopping = async {
        tokio::time::sleep_until(now + Duration::from_secs(settings.drain_delay_seconds)).await;
        app.drain(deadline).await;
        let _ = tokio::time::timeout_at(deadline, server.stop(true)).await;
    };
    tokio::select! { () = stopping => (), () = signals.next() => app.give_up_jobs().await }
    server.stop(false).await;
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
