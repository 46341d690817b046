//! One log line a request.
//!
//! | field | what |
//! |---|---|
//! | `method` | of HTTP, or `other`: a client can write anything there |
//! | `route` | the route's template, never the path itself: paths can name people |
//! | `status` | of the answer |
//! | `ms` | from the first byte of the request's head to the answer's |
//! | `caller` | the API key's id; absent when there was none or it opened nothing |
//! | `rows` | how many things the answer is about |
//! | `code` | the error's, if it was one |
//! | `error` | the cause of a 5xx |
//! | `request_id`, `trace_id` | as in the answer's headers |
//!
//! Never a body, a query, an e-mail address, a token or a password. `POST /api/v2/cli_usage/`
//! leaves no line at all: clients tell there what was typed.

use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, error, web};

use crate::app::App;
use crate::id::{ApiKey, Id, Request};
use crate::metrics::{Endpoint, known_method};
use crate::traces::{Answered, Parent, Recording};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// What the line will say, noted while the request is served.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) request_id: Id<Request>,
    pub(super) caller: Option<Id<ApiKey>>,
    pub(super) rows: Option<usize>,
    pub(super) code: Option<&'static str>,
    pub(super) error: Option<String>,
}

/// Notes how many things the answer is about.
pub(super) fn rows(request: &HttpRequest, rows: usize) {
    if let Some(note) = request.extensions_mut().get_mut::<Note>() {
        note.rows = Some(rows);
    }
}

/// Gives each request its id, and each answer its line.
pub(super) async fn request(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let start = Instant::now();
    let app = request.app_data::<web::Data<App>>().cloned();
    let app = app.ok_or_else(|| error::ErrorInternalServerError("no app"))?;
    let request_id = Id::new(app.clock.now());
    let parent = request.headers().get("traceparent").and_then(|value| Parent::read(value.to_str().ok()?));
    let trace = parent.map_or_else(|| request_id.uuid().into_bytes(), |parent| parent.trace_id);
    let trace_id = hex::encode(trace);
    request.extensions_mut().insert(Note { request_id, caller: None, rows: None, code: None, error: None });
    let _in_flight = app.metrics.requests.begin();
    let recording = app.traces.begin(trace, parent.as_ref());

    let mut response = match &recording {
        None => next.call(request).await?,
        Some(recording) => recording.over(next.call(request)).await?,
    };
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, header(&request_id.to_string()));
    headers.insert(TRACE_ID, header(&trace_id));
    let (status, not_routed) = (response.status().as_u16(), Endpoint::new("-"));
    // Beside the route: to find it again would cost as much as routing.
    let endpoint = response.request().app_data::<Endpoint>().unwrap_or(&not_routed);
    if endpoint.route != "/api/v2/cli_usage/" {
        line(response.request(), status, endpoint.route, start, &trace_id);
    }
    measure(&app, response.request(), &Answer { status, endpoint, took: start.elapsed() }, recording);
    Ok(response)
}

struct Answer<'a> {
    status: u16,
    endpoint: &'a Endpoint,
    took: Duration,
}

/// Counts it, and ends what is recorded of it.
fn measure(app: &App, request: &HttpRequest, answer: &Answer<'_>, recording: Option<Recording>) {
    let Answer { status, endpoint, took } = *answer;
    let extensions = request.extensions();
    let Some(Note { request_id, caller, rows, code, .. }) = extensions.get::<Note>() else { return };
    let (request_id, caller, rows, code) = (*request_id, *caller, *rows, *code);
    let method = known_method(request.method().as_str());
    app.metrics.requests.answered(endpoint, method, status, code, took);
    if let Some(recording) = recording {
        recording.answered(&Answered { method, route: endpoint.route, status, request_id, caller, rows, code });
    }
}

fn line(request: &HttpRequest, status: u16, route: &str, start: Instant, trace_id: &str) {
    let extensions = request.extensions();
    let Some(note) = extensions.get::<Note>() else { return };
    let Note { request_id, caller, rows, code, error } = note;
    let caller = caller.map(tracing::field::display);
    let (method, error) = (known_method(request.method().as_str()), error.as_deref());
    let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    if status == 503 {
        // Told to come again: nothing is broken here.
        tracing::warn!(method, route, status, ms, caller, rows, code, error, %request_id, trace_id, "request");
    } else if status >= 500 {
        tracing::error!(method, route, status, ms, caller, rows, code, error, %request_id, trace_id, "request");
    } else {
        tracing::info!(method, route, status, ms, caller, rows, code, %request_id, trace_id, "request");
    }
}

fn header(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static("-"))
}
