//! How errors are answered. One shape, for all of them:
//! `{"error": {"code", "detail", "rows"?, "request_id"}}`.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError, Route, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::log::Note;
use crate::app::App;
use crate::error::{Code, Error};
use crate::report::{Finding, Report};

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    error: ErrorDetails,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
struct ErrorDetails {
    /// What kind of error, for programs; never changes.
    #[schema(example = "batch_rejected")]
    code: &'static str,
    /// What happened and what to do, for people: one line.
    #[schema(example = "1 of 40 users can't be created: users[3].email (ada@example.com): already exists")]
    detail: String,
    /// All findings on the rows of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<Finding>>,
    /// Names this request in muster's log and audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl ErrorBody {
    pub(super) fn new(error: &Error, request_id: Option<String>) -> Self {
        let rows = error.report().map(|report| report.findings().into_iter().cloned().collect());
        let details = ErrorDetails { code: error.code().as_str(), detail: error.to_string(), rows, request_id };
        Self { error: details }
    }
}

/// An error of a request, which is answered and logged under the request's id.
#[derive(Debug)]
pub struct Failure {
    error: Error,
    request_id: Option<String>,
}

impl Failure {
    /// An error that this request met.
    pub(super) fn new(request: &HttpRequest, error: Error) -> Self {
        let mut extensions = request.extensions_mut();
        let note = extensions.get_mut::<Note>();
        let request_id = note.map(|note| {
            note.error = error.chain();
            note.code = Some(error.code().as_str());
            note.rows = error.report().map(Report::total);
            note.request_id.to_string()
        });
        drop(extensions);
        Self { error, request_id }
    }
}

/// Notes what the database says is wrong with it, and says why it did not come in time, where it says so itself.
pub(super) async fn explain<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> std::result::Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let response = next.call(request).await?;
    let failure = response.response().error().and_then(actix_web::Error::as_error::<Failure>);
    let Some((failure, app)) = failure.zip(response.request().app_data::<web::Data<App>>()) else {
        return Ok(response.map_into_left_body());
    };
    if let Some(trouble) = failure.error.unavailable_reason() {
        app.db.note(trouble);
    }
    if !failure.error.is_unexplained() {
        return Ok(response.map_into_left_body());
    }
    let request_id = failure.request_id.clone();
    let Some(trouble) = app.db.trouble().await else { return Ok(response.map_into_left_body()) };
    app.db.note(trouble);
    let failure = Failure { error: Error::in_trouble(trouble), request_id };
    Ok(response.into_response(failure.error_response()).map_into_right_body())
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.error.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(after) = self.error.retry_after() {
            // Whole seconds: the vendor's client repeats without any pause after a fraction.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.insert_header((RETRY_AFTER, seconds.max(1).to_string()));
        }
        response.json(ErrorBody::new(&self.error, self.request_id.clone()))
    }
}

/// The answer for a path that is not in the URL table. TRACE is not taken there either: a proxy that looks for
/// it tries any address.
pub(super) async fn not_found(request: HttpRequest) -> Result<HttpResponse, Failure> {
    if *request.method() == Method::TRACE {
        return Ok(refuse_method(&request, "GET, HEAD, POST, PUT, PATCH, DELETE"));
    }
    Err(Failure::new(
        &request,
        Error::new(Code::NotFound, "there is nothing at this address; /docs lists what there is"),
    ))
}

/// The answer for a path that is, and a method that it doesn't take.
pub(super) fn method_not_allowed(allowed: &'static str) -> Route {
    web::to(move |request: HttpRequest| async move { refuse_method(&request, allowed) })
}

fn refuse_method(request: &HttpRequest, allowed: &'static str) -> HttpResponse {
    let sentence = format!("this address takes {allowed} only");
    let failure = Failure::new(request, Error::new(Code::MethodNotAllowed, sentence));
    let mut response = failure.error_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
