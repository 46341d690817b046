//! The page of an error that no other page explains.

use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use askama::Template;

use super::{Frame, respond_error, sentence, text};
use crate::error::{Code, Error};
use crate::http::log::Note;
use crate::http::session;

#[derive(Template)]
#[template(path = "error.html")]
pub(super) struct ErrorPage<'a> {
    pub(super) frame: Frame,
    pub(super) heading: &'a str,
    pub(super) detail: String,
    /// Whether the same request may succeed later.
    pub(super) is_transient: bool,
    /// Whether the way leads to the account, and not to the sign-in page.
    pub(super) is_signed_in: bool,
    pub(super) request_id: Option<String>,
}

/// The response to a request that failed.
pub(in crate::http) fn page(request: &HttpRequest, error: Error) -> HttpResponse {
    titled(request, heading(error.code()), error)
}

/// As [`page`], with a heading.
pub(super) fn titled(request: &HttpRequest, heading: &str, error: Error) -> HttpResponse {
    let page = describe(request, heading, &error);
    respond_error(error, &page)
}

/// The text of the page of an error.
pub(in crate::http) fn page_text(request: &HttpRequest, error: &Error) -> String {
    text(&describe(request, heading(error.code()), error))
}

fn describe<'a>(request: &HttpRequest, heading: &'a str, error: &Error) -> ErrorPage<'a> {
    let note = request.extensions().get::<Note>().map(|note| note.request_id.to_string());
    ErrorPage {
        frame: Frame::of(request),
        heading,
        detail: sentence(&error.to_string()),
        is_transient: error.retry_after().is_some(),
        // Perhaps no longer: the account asks to sign in then.
        is_signed_in: session::token(request).is_ok_and(|token| token.is_some()),
        request_id: note,
    }
}

pub(in crate::http) const fn heading(code: Code) -> &'static str {
    match code {
        Code::NotFound => "Page not found",
        Code::MethodNotAllowed | Code::InvalidRequest | Code::UnsupportedMediaType => "This request is not valid",
        Code::RateLimited | Code::Throttled => "Too many attempts",
        Code::Forbidden => "Not permitted",
        Code::CrossSite => "The request came from another site",
        Code::TooLarge | Code::HeadersTooLarge => "The request is too long",
        Code::Overloaded | Code::Unavailable | Code::RequestTimeout => "Please try again in a moment",
        _ => "Something went wrong",
    }
}
