//! `POST /api/v2/cli_usage/`: usage reports of the vendor's client.
//!
//! After each command the client reports its arguments and waits two seconds for a response. Arguments can contain
//! e-mail addresses, so the body is not read.

use actix_web::HttpResponse;

/// Accept and discard usage reports of the vendor's client
#[utoipa::path(post, path = "/api/v2/cli_usage/", operation_id = "cli_usage", tag = "client",
    responses((status = 204, description = "The report was discarded.")),
    security(()))]
pub(in crate::http) async fn post() -> HttpResponse {
    HttpResponse::NoContent().finish()
}
