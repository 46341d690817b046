//! The HTTP server: workers, connections and their limits.
//!
//! # Decisions
//!
//! *The server is assembled from the parts of actix-web's `HttpServer`*, which accepts no custom stream type. The stream
//! type of muster enforces timeouts and reloads certificates without a restart.
//!
//! *HTTP/2 is available only over TLS*: reverse proxies use HTTP/1.1 to their upstreams, and browsers support no HTTP/2 in plain
//! text.
//!
//! *Malformed HTTP is logged and counted here*, as method `other` and route `-`, since it reaches no route. A head that
//! takes too long is neither: the library does not report its 408.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::{DispatchError, ParseError};
use actix_http::{HttpService, KeepAlive};
use actix_server::{Server, ServerBuilder};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::App as HttpApp;
use actix_web::dev::AppConfig;
use actix_web::middleware::{self, from_fn};
use actix_web::web;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpStream;

use super::client_addresses::ClientAddresses;
use super::connection::{Connection, Timeouts};
use super::{error, limits, log, routes};
use crate::app::App;
use crate::config;
use crate::error::Code;
use crate::tls::Tls;

/// File descriptors reserved for purposes other than client connections, such as database connections.
const OTHER_FILES: usize = 256;

/// How long the server waits for a client to close its side of a connection.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How much longer than the deadline of the shutdown the HTTP library may wait for requests.
const SHUTDOWN_MARGIN_SECONDS: u64 = 5;

/// Serves on a bound listener, with TLS if given, until the server is stopped through its handle; requests in flight
/// may then finish.
///
/// # Errors
/// When the listener can't be used.
pub fn serve(app: Arc<App>, listener: TcpListener, tls: Option<Arc<Tls>>) -> io::Result<Server> {
    let settings = app.config.server.clone();
    let threads = match settings.workers {
        0 => std::thread::available_parallelism()?.get(),
        workers => workers,
    };
    let builder = ServerBuilder::default();
    let stopping = builder.graceful_shutdown_signal();
    let timeouts = Timeouts::new(&settings);
    let connections = max_connections(&settings);
    let addresses = Arc::new(ClientAddresses::new(&settings, connections));
    // Called once on each worker thread.
    let worker = move || {
        let http = HttpApp::new()
            .app_data(web::Data::from(Arc::clone(&app)))
            .configure(routes)
            .default_service(web::to(error::not_found))
            // The last one is the outermost. Double slashes are merged before routing.
            .wrap(middleware::NormalizePath::new(middleware::TrailingSlash::MergeOnly))
            .wrap(from_fn(error::render))
            .wrap(from_fn(limits::apply))
            .wrap(from_fn(log::request));
        let http = http.into_factory().map_err(|error: actix_web::Error| error.error_response());
        let (tls, signal, stopping) = (tls.clone(), stopping.clone(), stopping.clone());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let signal = signal.clone();
                async move { signal.notified().await }
            })
            .keep_alive(KeepAlive::Timeout(timeouts.idle))
            .client_request_timeout(timeouts.head)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            // See the decisions of `disconnect`.
            .h1_allow_half_closed(false)
            .on_connect_ext(|connection: &Connection, data| drop(data.insert(Rc::clone(connection.state()))))
            .finish(map_config(http, |()| AppConfig::default()));
        let (app, metrics, addresses) = (Arc::clone(&app), Arc::clone(&app.metrics), Arc::clone(&addresses));
        fn_service(move |stream: TcpStream| {
            let (tls, stopping) = (tls.clone(), stopping.clone());
            let open = stream.peer_addr().map(|peer| addresses.open(peer.ip()));
            if matches!(open, Ok(None)) {
                metrics.requests.record_closed_connection();
            }
            async move {
                let open = open?.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
                Ok(Connection::accept(stream, open, tls.as_deref(), timeouts, stopping).await?)
            }
        })
        .and_then(http)
        .map_err(move |error: DispatchError| {
            if let DispatchError::Parse(error) = &error {
                record_malformed(&app, error);
            }
            error
        })
    };
    let connections = connections.div_ceil(threads);
    // The caller's deadline comes first: it reports what was aborted.
    let shutdown_timeout = settings.shutdown_timeout_seconds + SHUTDOWN_MARGIN_SECONDS;
    let builder = builder
        .workers(threads)
        .max_concurrent_connections(connections)
        .shutdown_timeout(shutdown_timeout)
        .disable_signals();
    Ok(builder.listen("muster", listener, worker)?.run())
}

/// Logs and counts a request that the HTTP library rejected. Its errors contain no bytes of the request.
fn record_malformed(app: &App, error: &ParseError) {
    let (status, code) = match error {
        ParseError::TooLarge => (431, Code::HeadersTooLarge),
        _ => (400, Code::InvalidRequest),
    };
    let code = code.as_str();
    tracing::info!(method = "other", route = "-", status, code, %error, "malformed request");
    app.metrics.requests.record_malformed(status, code);
}

/// The largest number of connections that the settings and the file descriptor limit allow.
fn max_connections(settings: &config::Server) -> usize {
    let wanted = settings.max_connections;
    let files = u64::try_from(wanted.saturating_add(OTHER_FILES)).unwrap_or(u64::MAX);
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    if soft >= files {
        return wanted;
    }
    let possible = match setrlimit(Resource::RLIMIT_NOFILE, files.min(hard), hard) {
        Ok(()) => files.min(hard),
        Err(_) => soft,
    };
    if possible >= files {
        return wanted;
    }
    let connections = usize::try_from(possible).unwrap_or(usize::MAX).saturating_sub(OTHER_FILES).max(1);
    tracing::warn!(
        connections,
        "the limit of {possible} open files allows fewer connections than `server.max_connections`; raise the limit \
         (`LimitNOFILE` in systemd, `ulimit -n`) or lower the setting"
    );
    connections
}
