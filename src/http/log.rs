//! One log line per request.
//!
//! | field | value |
//! |---|---|
//! | `method` | the HTTP method; unknown methods become `other`, as a client may send any token |
//! | `route` | the template of the route, never the path: a path may name a person |
//! | `status` | the status of the response; 499: the client closed the connection before it |
//! | `ms` | the time from the head of the request to the head of the response |
//! | `caller` | the ID of the API key or the session; absent if there was none or it was invalid |
//! | `client` | the address of the client of a request with status 401 or 429 |
//! | `rows` | the number of items in the response |
//! | `code` | the error code of an error response |
//! | `error` | the cause of a 5xx |
//! | `request_id`, `trace_id` | the values of the response headers |
//!
//! A line never contains a body, a query, an e-mail address, a token or a password. `POST /api/v2/cli_usage/` is not
//! logged: its body holds command lines that users typed.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, error, web};
use uuid::Uuid;

use super::sender;
use crate::app::App;
use crate::batches::Response;
use crate::id::{ApiKey, Id, Request, Session};
use crate::metrics::known_method;
use crate::traces::{Outcome, Parent, Recording};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// The status in the log of a request whose client closed the connection before the response, as in nginx's log.
const CLIENT_CLOSED: u16 = 499;

/// The path of a route as written in the URL table, stored with the route.
#[derive(Clone, Copy)]
pub(super) struct RouteTemplate(pub(super) &'static str);

/// The fields of the log line, collected while the request is handled.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) request_id: Id<Request>,
    start: Instant,
    trace: [u8; 16],
    pub(super) caller: Option<Id<ApiKey>>,
    pub(super) session: Option<Id<Session>>,
    pub(super) rows: Option<usize>,
    pub(super) code: Option<&'static str>,
    pub(super) error: Option<String>,
}

/// Notes the number of items in the response.
pub(super) fn rows(request: &HttpRequest, rows: usize) {
    if let Some(note) = request.extensions_mut().get_mut::<Note>() {
        note.rows = Some(rows);
    }
}

/// Assigns the request ID, logs the response, and records it in metrics and traces.
pub(super) async fn request(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let start = Instant::now();
    let app = request.app_data::<web::Data<App>>().cloned();
    let app = app.ok_or_else(|| error::ErrorInternalServerError("no app"))?;
    let request_id = Id::new(app.clock.now());
    let parent = request.headers().get("traceparent").and_then(|value| Parent::parse(value.to_str().ok()?));
    let trace = parent.as_ref().map_or_else(|| Uuid::from(request_id).into_bytes(), Parent::trace_id);
    let trace_id = hex::encode(trace);
    request.extensions_mut().insert(Note {
        request_id,
        start,
        trace,
        caller: None,
        session: None,
        rows: None,
        code: None,
        error: None,
    });
    let _in_flight = app.metrics.requests.begin();
    let recording = app.traces.begin(trace, parent.as_ref());

    let mut response = match &recording {
        None => next.call(request).await?,
        Some(recording) => recording.run(next.call(request)).await?,
    };
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, header(&request_id.to_string()));
    headers.insert(TRACE_ID, header(&trace_id));
    finish(&app, &response, start, &trace_id, recording);
    Ok(response)
}

/// Logs and counts the response, and ends the span of the request.
fn finish<B>(app: &App, response: &ServiceResponse<B>, start: Instant, trace_id: &str, recording: Option<Recording>) {
    let request = response.request();
    let extensions = request.extensions();
    let Some(note) = extensions.get::<Note>() else { return };
    let status = response.status().as_u16();
    let RouteTemplate(route) = request.app_data().copied().unwrap_or(RouteTemplate("-"));
    let (method, took) = (known_method(request.method().as_str()), start.elapsed());
    let Note { request_id, caller, session, rows, code, error, .. } = note;
    if route != "/api/v2/cli_usage/" {
        let caller = caller.map(|id| id.to_string()).or_else(|| session.map(|id| id.to_string()));
        let caller = caller.map(tracing::field::display);
        let error = error.as_deref();
        // Without a caller, only the address tells who tries keys.
        let client = matches!(status, 401 | 429).then(|| sender::address(request)).flatten();
        let client = client.map(tracing::field::display);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if status == 503 {
            // A temporary condition: the client retries.
            tracing::warn!(method, route, status, ms, caller, rows, code, error, %request_id, trace_id, "request");
        } else if status >= 500 {
            tracing::error!(method, route, status, ms, caller, rows, code, error, %request_id, trace_id, "request");
        } else {
            tracing::info!(method, route, status, ms, caller, client, rows, code, %request_id, trace_id, "request");
        }
    }
    app.metrics.requests.record(route, method, status, *code, took);
    if let Some(recording) = recording {
        let (request_id, caller, rows, code) = (*request_id, *caller, *rows, *code);
        recording.finish(&Outcome { method, route, status, request_id, caller, rows, code });
    }
}

/// Logs the outcome of a batch whose response had begun before.
pub(super) fn slow_response(request: &HttpRequest, created: &crate::error::Result<Response>) {
    let extensions = request.extensions();
    let Some(Note { request_id, .. }) = extensions.get::<Note>() else { return };
    match created {
        Ok(created) => {
            tracing::info!(batch_id = %created.batch_id, rows = created.users, %request_id, "batch created; sending its response")
        }
        Err(error) => {
            let (code, cause) = (error.code().as_str(), error.chain());
            tracing::warn!(code, error = cause, %request_id, "batch failed after its response had begun; connection closed: {error}");
        }
    }
}

/// Logs a request whose client closed the connection before the end of the response, and counts it, unless that was
/// done when the response began.
pub(super) fn abandoned(app: &App, request: &HttpRequest, has_begun: bool) {
    let extensions = request.extensions();
    let Some(Note { request_id, start, trace, caller, .. }) = extensions.get::<Note>() else { return };
    let RouteTemplate(route) = request.app_data().copied().unwrap_or(RouteTemplate("-"));
    let (method, took) = (known_method(request.method().as_str()), start.elapsed());
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let (caller, trace_id) = (caller.map(tracing::field::display), hex::encode(trace));
    if route != "/api/v2/cli_usage/" {
        tracing::info!(method, route, status = CLIENT_CLOSED, ms, caller, %request_id, trace_id, "request");
    }
    if !has_begun {
        app.metrics.requests.record(route, method, CLIENT_CLOSED, None, took);
    }
}

fn header(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static("-"))
}
