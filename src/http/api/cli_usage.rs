//! `POST /api/v2/cli_usage/`: the vendor's client tells after each command what was typed.
//!
//! Answered, because the client waits two seconds for an answer, and forgotten: arguments can
//! hold addresses. The body is not even read.

use actix_web::HttpResponse;

/// Usage reports of the vendor's client: accepted and thrown away unread
#[utoipa::path(post, path = "/api/v2/cli_usage/", operation_id = "cli_usage", tag = "client",
    responses((status = 204, description = "Nothing was kept.")))]
pub(in crate::http) async fn post() -> HttpResponse {
    HttpResponse::NoContent().finish()
}
