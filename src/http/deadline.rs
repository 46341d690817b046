//! How long a request that only reads may take.
//!
//! # Decisions
//!
//! *It is given up a little after the time for which it may wait for a connection.* A table that somebody has locked
//! keeps whoever reads it waiting without an end, connection after connection: those who come later get 503
//! once they have waited for one, and so do those who have one. Their statements end when the lock does, and
//! their connections are of use again then.
//!
//! *Not by a `lock_timeout` of PostgreSQL's*: that would be state of a connection, which a pooler in between hands to
//! others ([`crate::change`]). And only reads: a write that is given up may have happened. Of a request that writes, it
//! is finding out who asks.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web;

use crate::app::App;

/// Answers 503 when there is no other answer in time.
pub(super) async fn read(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(app) = request.app_data::<web::Data<App>>().cloned() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let asked = request.request().clone();
    match app.in_time(next.call(request)).await {
        Ok(answer) => Ok(answer?.map_into_boxed_body()),
        Err(error) => Ok(ServiceResponse::from_err(error, asked)),
    }
}
