//! Limits that apply to every request before routing, and the tracking of responses until they are sent.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, web};
use bytes::Bytes;

use super::connection::{ConnState, RequestGuard, ResponseGuard};
use super::{error, security_headers, sender};
use crate::app::App;
use crate::error::{Code, Error, Result};

/// The largest number of headers in a request; the HTTP/1.1 parser has the same limit.
const MAX_HEADERS: usize = 96;

/// Rejects requests over a limit, and adds the security headers to every response.
pub(super) async fn apply(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> std::result::Result<ServiceResponse<TrackedBody>, actix_web::Error> {
    let app = request.app_data::<web::Data<App>>().cloned();
    let app = app.ok_or_else(|| actix_web::error::ErrorInternalServerError("no app"))?;
    let is_https = sender::is_https(request.request());
    let (mut response, guard) = match admit(&app, request.request()) {
        Ok(guard) => (app.in_runtime(next.call(request)).await?.map_into_boxed_body(), guard),
        Err(error) => {
            let response = error::rejection(request.request(), &error);
            (request.into_response(response), None)
        }
    };
    security_headers::add(response.headers_mut(), is_https);
    let guard = guard.and_then(|guard| guard.into_response(response.request().version()));
    Ok(response.map_body(|_, body| TrackedBody { body, rest: Bytes::new(), guard, app }))
}

/// Checks the limits. A connection that did not come through [`super::connection`], as in unit tests, has no guard.
fn admit(app: &App, request: &HttpRequest) -> Result<Option<RequestGuard>> {
    let limits = &app.config.server.limits;
    let guard = match request.conn_data::<Rc<ConnState>>() {
        Some(state) => Some(state.begin_request(limits.http2_requests).ok_or_else(|| {
            let max = limits.http2_requests;
            Error::new(Code::Overloaded, format!("more than {max} concurrent requests on this connection"))
        })?),
        None => None,
    };
    let headers = request.headers();
    // The HTTP/1.1 parser rejects this itself (RFC 9112, section 6.3).
    if headers.get_all(CONTENT_LENGTH).nth(1).is_some() {
        return Err(Error::invalid("the request has more than one `Content-Length` header"));
    }
    let length = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    let size = request.uri().path().len() + request.query_string().len() + headers.iter().map(length).sum::<usize>();
    if size > limits.header_bytes || headers.len() > MAX_HEADERS {
        let detail = format!(
            "the request line and headers are longer than {} bytes, or there are more than {MAX_HEADERS} headers",
            limits.header_bytes
        );
        return Err(Error::new(Code::HeadersTooLarge, detail));
    }
    Ok(guard)
}

/// The largest piece of a tracked body that is handed to the HTTP library at once, in bytes: one HTTP/2 frame. Each
/// request for a piece shows that the client takes data.
const PIECE: usize = 16 * 1024;

/// A response body that keeps its [`ResponseGuard`] until it is sent.
pub(super) struct TrackedBody {
    body: BoxBody,
    /// The part of the current chunk that was not handed out yet.
    rest: Bytes,
    guard: Option<ResponseGuard>,
    app: web::Data<App>,
}

impl MessageBody for TrackedBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<std::result::Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let _context = this.app.runtime().enter();
        let Some(guard) = &this.guard else { return Pin::new(&mut this.body).poll_next(cx) };
        guard.note_progress();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_next(cx)) {
                Some(Ok(bytes)) => this.rest = bytes,
                end => return Poll::Ready(end),
            }
        }
        Poll::Ready(Some(Ok(this.rest.split_to(this.rest.len().min(PIECE)))))
    }
}
