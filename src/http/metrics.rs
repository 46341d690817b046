//! `/metrics`, on a port of its own.
//!
//! # Decisions
//!
//! *Metrics have a server of their own, with one thread*: they matter most when all HTTP workers are busy. There is no
//! authentication; restrict access to the port instead.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE};
use actix_web::{App as HttpApp, HttpRequest, HttpResponse, HttpServer, web};

use crate::metrics::{Format, Metrics};

/// Serves metrics on a bound listener until the server is stopped.
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
            tracing::error!(%error, "failed to write metrics");
            HttpResponse::InternalServerError().finish()
        }
    }
}
