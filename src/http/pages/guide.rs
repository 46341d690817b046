//! `/v2/api-keys`, a page to which the vendor's client refers people. It says what to do next. Other clients get the usual 404.

use actix_web::http::StatusCode;
use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::{Frame, respond};
use crate::error::Result;
use crate::http::error;

#[derive(Template)]
#[template(path = "guide_api_keys.html")]
pub(super) struct ApiKeys {
    pub(super) frame: Frame,
}

/// `/v2/api-keys`, to which the vendor's client refers when it has no valid key.
pub(in crate::http) async fn api_keys(request: HttpRequest) -> Result<HttpResponse> {
    let page = ApiKeys { frame: Frame::of(&request) };
    show(request, &page).await
}

/// Shows a page to a browser, which asks for HTML. Scripts and scanners get 404, as for any unknown path.
async fn show(request: HttpRequest, page: &impl Template) -> Result<HttpResponse> {
    let accepted = request.headers().get_all(ACCEPT).filter_map(|accepted| accepted.to_str().ok());
    if accepted.flat_map(|accepted| accepted.split(',')).any(|range| range.trim_start().starts_with("text/html")) {
        return Ok(respond(StatusCode::OK, page));
    }
    error::not_found(request).await
}
