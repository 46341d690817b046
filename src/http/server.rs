//! Listening: threads, connections, and what is bounded of both.
//!
//! # Decisions
//!
//! *Put together from the parts of actix-web's own `HttpServer`*, which takes no stream but its own; muster's bounds what a
//! connection may keep waiting, and takes a new certificate into use without a restart.
//!
//! *HTTP/2 over TLS only.* Proxies speak HTTP/1.1 to what is behind them, and nobody else asks for it in plain text.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, KeepAlive};
use actix_server::{Server, ServerBuilder};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::App as HttpApp;
use actix_web::dev::AppConfig;
use actix_web::middleware::{self, from_fn};
use actix_web::web;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpStream;

use super::connection::{Connection, Patience};
use super::{error, log, routes, surface};
use crate::app::App;
use crate::config;
use crate::tls::Tls;

/// Files that are open beside the connections of clients: those to the database, and a few of the program's own.
const OTHER_FILES: usize = 256;

/// How long a client may take to agree to the end of its connection.
const GOODBYE: Duration = Duration::from_secs(1);

/// Starts serving on a listener that is bound already; with TLS, if that is given. Runs until it is stopped through
/// its handle; then requests in flight may finish.
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
    let patience = Patience::new(&settings);
    let (head, idle) = (settings.limits.header_timeout, Duration::from_secs(settings.keep_alive_seconds));
    // Called on each of the threads.
    let on_thread = move || {
        let http = HttpApp::new()
            .app_data(web::Data::from(Arc::clone(&app)))
            .configure(routes)
            .default_service(web::to(error::not_found))
            // The first is the innermost: a doubled slash is mended before the route is chosen.
            .wrap(middleware::NormalizePath::new(middleware::TrailingSlash::MergeOnly))
            .wrap(from_fn(error::render))
            .wrap(from_fn(surface::guard))
            .wrap(from_fn(log::request));
        let http = http.into_factory().map_err(|error: actix_web::Error| error.error_response());
        let (tls, stopping, until) = (tls.clone(), stopping.clone(), stopping.clone());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(KeepAlive::Timeout(idle))
            .client_request_timeout(head)
            .client_disconnect_timeout(GOODBYE)
            .on_connect_ext(|connection: &Connection, data| drop(data.insert(Rc::clone(connection.facts()))))
            .finish(map_config(http, |()| AppConfig::default()));
        let app = Arc::clone(&app);
        fn_service(move |stream: TcpStream| {
            let (tls, until, app) = (tls.clone(), until.clone(), Arc::clone(&app));
            async move { Ok(Connection::accept(stream, tls.as_deref(), patience, until, app).await?) }
        })
        .and_then(http)
    };
    let connections = connections(&settings).div_ceil(threads);
    let builder = builder
        .workers(threads)
        .max_concurrent_connections(connections)
        .shutdown_timeout(settings.shutdown_timeout_seconds)
        .disable_signals();
    Ok(builder.listen("muster", listener, on_thread)?.run())
}

/// As many connections as the settings allow, and the system: each is an open file.
fn connections(settings: &config::Server) -> usize {
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
        "fewer connections than server.max_connections: the system lets this program open {possible} files; raise that \
         limit (LimitNOFILE of systemd, `ulimit -n`), or lower the setting"
    );
    connections
}
