//! Clients that close the connection before they get the response: the handler is dropped, and the log has status 499.
//!
//! A dropped handler ends its work: passwords that are not hashed yet leave the queue, after the batch's row says so, and a
//! transaction is rolled back unless it is being committed. Work that must continue runs in a task ([`App::start_job`](crate::app::App::start_job)).
//!
//! # Decisions
//!
//! *A client that closes its sending side (FIN) has left.* A client that is killed, a proxy whose read timeout expires and
//! an interrupted command close in this way; only a client with unread data sends a reset. TCP allows half-closed
//! connections (RFC 9293, section 3.6), but no known HTTP client sends a request, closes its sending side and waits for
//! the response; nginx and HAProxy drop such requests, too. Requests that were received before are not lost if their
//! response needs no waiting.
//!
//! *HTTP/1.1 handlers are dropped by the HTTP library, HTTP/2 handlers here.* The library runs the latter in tasks of
//! their own. It does not report a stream that was reset: that request ends with the connection.

use std::rc::Rc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, web};

use super::connection::ConnState;
use super::log;
use crate::app::App;
use crate::error::Error;

/// Drops the handler when the connection ends, and logs a request whose handler was dropped.
pub(super) async fn cancel<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let connection = request.request().conn_data::<Rc<ConnState>>().cloned();
    let mut handled = Handled { request: request.request().clone(), is_over: false };
    let closed = async {
        match connection {
            Some(connection) => connection.closed().await,
            None => std::future::pending().await,
        }
    };
    let response = tokio::select! {
        biased;
        response = next.call(request) => response,
        () = closed => return Err(Error::internal("the client closed the connection").into()),
    };
    handled.is_over = true;
    response
}

/// A request that is being handled.
struct Handled {
    request: HttpRequest,
    is_over: bool,
}

impl Drop for Handled {
    fn drop(&mut self) {
        let Some(app) = self.request.app_data::<web::Data<App>>() else { return };
        // The other reasons to drop a handler are a panic and the end of the shutdown timeout.
        if !self.is_over && !std::thread::panicking() && !app.stopping.is_cancelled() {
            log::abandoned(app, &self.request, false);
        }
    }
}
