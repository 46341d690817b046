//! `/metrics`, on a port of its own: for whoever watches muster, not for those who use it.
//!
//! # Decisions
//!
//! *A server of its own, with one thread*: the metrics of a server all of whose threads are busy are the ones that are
//! wanted most, and whoever may read them is decided by who reaches the port.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE};
use actix_web::{App as HttpApp, HttpRequest, HttpResponse, HttpServer, web};

use crate::metrics::{Format, Metrics};

/// Serves metrics on a listener that is bound already, until it is stopped.
///
/// # Errors
/// When the listener can't be used.
pub fn serve(metrics: Arc<Metrics>, listener: TcpListener) -> io::Result<Server> {
    let metrics = web::Data::from(metrics);
    let server =
        HttpServer::new(move || HttpApp::new().app_data(metrics.clone()).route("/metrics", web::get().to(read)))
            .workers(1)
            .max_connections(64)
            .client_request_timeout(Duration::from_secs(5))
            .disable_signals();
    Ok(server.listen(listener)?.run())
}

async fn read(request: HttpRequest, metrics: web::Data<Metrics>) -> HttpResponse {
    let accepts = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    let format = match accepts.into_iter().any(|value| value.contains("application/openmetrics-text")) {
        true => Format::OpenMetrics,
        false => Format::Text,
    };
    match metrics.write(format) {
        Ok(written) => HttpResponse::Ok().insert_header((CONTENT_TYPE, format.content_type())).body(written),
        Err(error) => {
            tracing::error!(%error, "metrics could not be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}
