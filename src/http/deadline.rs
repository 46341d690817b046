//! The deadline of read-only requests.
//!
//! # Decisions
//!
//! *A read is abandoned shortly after the timeout for acquiring a connection.* Reads of a locked table would wait without
//! limit and use up all connections, and later requests would get 503 after waiting for a connection. With the deadline,
//! all of them get 503. Their statements end when the lock is released.
//!
//! *PostgreSQL's `lock_timeout` is not used*: it is session state, which a connection pooler would pass on to other clients
//! ([`crate::change`]). Only reads have the deadline, because an abandoned write may have been committed. In a request that
//! writes, only authentication has it.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web;

use crate::app::App;

/// Responds with 503 if the handler does not finish in time.
pub(super) async fn read(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(app) = request.app_data::<web::Data<App>>().cloned() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let original = request.request().clone();
    match app.in_time(next.call(request)).await {
        Ok(response) => Ok(response?.map_into_boxed_body()),
        Err(error) => Ok(ServiceResponse::from_err(error, original)),
    }
}
