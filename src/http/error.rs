//! The error body, the same from every route: `{"error": {"code", "detail", "rows"?, "request_id"}}`.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError, Route, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::log::Note;
use super::pages::Policy;
use super::{console, extract, pages};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::report::{Finding, Report};

/// The body of every error response.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody<'a> {
    error: ErrorDetails<'a>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
struct ErrorDetails<'a> {
    /// The stable, machine-readable error code.
    #[schema(example = "batch_rejected")]
    code: &'static str,
    /// What happened and what to do about it, in one line for people.
    #[schema(example = "1 of 40 users can't be created: users[3].email (ada@example.com): already exists")]
    detail: String,
    /// The findings about the rows of a list, up to the server setting `batch.max_findings`.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<&'a Finding>>,
    /// The number of further findings; absent if `rows` has all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 5)]
    more_findings: Option<usize>,
    /// The batch of this API key that created all users of a rejected list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "bat_…")]
    batch_id: Option<String>,
    /// Identifies this request in the server log and the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl<'a> ErrorBody<'a> {
    pub(super) fn new(error: &'a Error, request_id: Option<String>) -> Self {
        let rows = error.report().map(Report::findings);
        let more_findings = error.report().and_then(Report::more_findings);
        let (code, detail) = (error.code().as_str(), error.to_string());
        let batch_id = error.batch().map(|batch| batch.to_string());
        let details = ErrorDetails { code, detail, rows, more_findings, batch_id, request_id };
        Self { error: details }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Status and headers. `render` adds the body, which contains the request ID.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(after) = self.retry_after() {
            // Rounded up to whole seconds: the vendor's client retries without any delay after a fraction.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.insert_header((RETRY_AFTER, seconds.max(1).to_string()));
        }
        response.finish()
    }
}

/// Gives the response of a failed handler its body, JSON or a page, and notes the error for the log. A page of the handler is
/// kept.
///
/// When the database did not respond in time, its own explanation replaces the timeout, if it has one.
pub(super) async fn render<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> std::result::Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let mut response = next.call(request).await?;
    if response.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static(extract::challenge(response.request()));
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    let Some(error) = response.response().error().and_then(actix_web::Error::as_error::<Error>) else {
        return Ok(response.map_into_left_body());
    };
    let request_id = note(response.request(), error);
    let explanation = explain(response.request(), error).await;
    if response.headers().contains_key(CONTENT_TYPE) {
        return Ok(response.map_into_left_body());
    }
    let explanation = explanation.as_ref().unwrap_or(error);
    if pages::is_page(response.request().path()) {
        let (text, policy) = match console::error_text(response.request(), explanation).await {
            Some(text) => (text, Policy::Console),
            None => (pages::error::page_text(response.request(), explanation), Policy::Page),
        };
        pages::set_headers(response.headers_mut(), &text, policy);
        return Ok(response.map_body(|_, _| EitherBody::right(BoxBody::new(text))));
    }
    let body = json(&ErrorBody::new(explanation, request_id));
    // RFC 9110, section 15.5.16: tells an unsupported encoding from an unsupported media type.
    let is_encoded = response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE
        && response.request().headers().contains_key(CONTENT_ENCODING);
    let mut response = response.map_body(|_, _| EitherBody::right(body));
    if is_encoded {
        response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The error response to a request that is rejected before [`render`] sees it.
pub(super) fn rejection(request: &HttpRequest, error: &Error) -> HttpResponse {
    let request_id = note(request, error);
    let mut response = error.error_response().set_body(json(&ErrorBody::new(error, request_id)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn json(body: &ErrorBody<'_>) -> BoxBody {
    // Serializing strings and numbers to memory does not fail.
    BoxBody::new(serde_json::to_vec(body).unwrap_or_default())
}

/// Notes the error for the log and returns the request ID.
fn note(request: &HttpRequest, error: &Error) -> Option<String> {
    let mut extensions = request.extensions_mut();
    let note = extensions.get_mut::<Note>()?;
    note.error = error.chain();
    note.code = Some(error.code().as_str());
    note.rows = error.report().map(Report::total);
    Some(note.request_id.to_string())
}

/// Records what the database reports about its own state. If an error does not say why the database failed to respond in
/// time, queries the state.
async fn explain(request: &HttpRequest, error: &Error) -> Option<Error> {
    let app = request.app_data::<web::Data<App>>()?;
    app.db.observe(error);
    if !error.is_unexplained() {
        return None;
    }
    app.db.diagnose().await.map(Error::unavailable_because)
}

/// The response for a path that is not in the URL table: a page if a person opened it. TRACE is not allowed on any path: scanners try it
/// on arbitrary paths and expect 405.
pub(super) async fn not_found(request: HttpRequest) -> Result<HttpResponse> {
    if *request.method() == Method::TRACE {
        return Ok(not_allowed("GET, HEAD, POST, PUT, PATCH, DELETE"));
    }
    let error = |message: &str| Error::new(Code::NotFound, message);
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let is_of_browser = matches!(*request.method(), Method::GET | Method::HEAD) && accept.contains("text/html");
    if pages::is_page(request.path()) || (is_of_browser && !request.path().starts_with("/api/")) {
        return Ok(pages::error::page(&request, error("there is no page at this address")));
    }
    Err(error("no such route; see /docs"))
}

/// The response for a path in the URL table and a method that the path does not allow.
pub(super) fn method_not_allowed(allow: String) -> Route {
    web::to(move || std::future::ready(not_allowed(&allow)))
}

fn not_allowed(allow: &str) -> HttpResponse {
    let error = Error::new(Code::MethodNotAllowed, format!("method not allowed; allowed: {allow}"));
    let mut response = HttpResponse::from_error(error);
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}
