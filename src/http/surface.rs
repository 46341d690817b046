//! What holds for every request and every answer, whatever the route.
//!
//! # Decisions
//!
//! *Every answer has the headers of OWASP's list for services*, errors and health checks too: a browser that is made to
//! open one of them runs nothing, frames nothing and tells nobody the address. Pages that need more say so themselves.
//!
//! *`Strict-Transport-Security` only where the client came by HTTPS*, to muster or to a proxy it trusts (RFC 6797, section
//! 7.2).
//!
//! *CORS is closed*: no answer has a header of it, and OPTIONS is a method like any other that a route doesn't have.
//!
//! *Bytes that are no request of HTTP are answered by the library*; `unheard` makes an answer like all others of that.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, web};
use bytes::Bytes;

use super::connection::{AtWork, Facts, Unsent};
use super::error;
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::proxies::{self, Sender};

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (OPENER_POLICY, "same-origin"),
    (RESOURCE_POLICY, "same-origin"),
];

/// Two years: what lists of sites that browsers reach by HTTPS only ask for.
const ONLY_HTTPS: &str = "max-age=63072000; includeSubDomains";

/// The most headers of a request. HTTP/1.1's parser has the same bound.
const MOST_HEADERS: usize = 96;

/// Refuses what no route has to see, and gives every answer its headers.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> std::result::Result<ServiceResponse<Sending>, actix_web::Error> {
    let app = request.app_data::<web::Data<App>>().cloned();
    let app = app.ok_or_else(|| actix_web::error::ErrorInternalServerError("no app"))?;
    let is_https = is_https(request.request());
    let (mut response, at_work) = match admit(&app, request.request()) {
        Ok(at_work) => (app.in_runtime(next.call(request)).await?.map_into_boxed_body(), at_work),
        Err(error) => {
            let response = error::rejection(request.request(), &error);
            (request.into_response(response), None)
        }
    };
    protect(response.headers_mut(), is_https);
    let unsent = at_work.and_then(|at_work| at_work.answered(response.request().version()));
    Ok(response.map_body(|_, body| Sending { body, rest: Bytes::new(), unsent, app }))
}

/// How much of an answer is sent at once where it is watched how it is taken, in bytes: a frame of HTTP/2.
const PIECE: usize = 16 * 1024;

/// The content of an answer, counted until it is sent.
pub(super) struct Sending {
    body: BoxBody,
    /// What of it has not been handed out.
    rest: Bytes,
    unsent: Option<Unsent>,
    app: web::Data<App>,
}

impl MessageBody for Sending {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<std::result::Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let _context = this.app.runtime().enter();
        let Some(unsent) = &this.unsent else { return Pin::new(&mut this.body).poll_next(cx) };
        unsent.is_taken();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_next(cx)) {
                Some(Ok(bytes)) => this.rest = bytes,
                end => return Poll::Ready(end),
            }
        }
        Poll::Ready(Some(Ok(this.rest.split_to(this.rest.len().min(PIECE)))))
    }
}

fn admit(app: &App, request: &HttpRequest) -> Result<Option<AtWork>> {
    let limits = &app.config.server.limits;
    let at_work = match request.conn_data::<Rc<Facts>>() {
        Some(facts) => Some(facts.begin(limits.http2_requests).ok_or_else(|| {
            let most = limits.http2_requests;
            Error::new(Code::Overloaded, format!("more than {most} requests at the same time on this connection"))
        })?),
        None => None,
    };
    let headers = request.headers();
    // The parser of HTTP/1.1 refuses this itself (RFC 9112, section 6.3).
    if headers.get_all(CONTENT_LENGTH).nth(1).is_some() {
        return Err(Error::invalid("the request has two headers `content-length`"));
    }
    let length = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    let size = request.uri().path().len() + request.query_string().len() + headers.iter().map(length).sum::<usize>();
    if size > limits.header_bytes || headers.len() > MOST_HEADERS {
        let sentence = format!(
            "the request line and headers are longer than {} bytes, or there are more than {MOST_HEADERS} headers",
            limits.header_bytes
        );
        return Err(Error::new(Code::HeadersTooLarge, sentence));
    }
    Ok(at_work)
}

fn protect(answer: &mut HeaderMap, is_https: bool) {
    for (name, value) in headers(is_https) {
        if !answer.contains_key(&name) {
            answer.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// What every answer has that doesn't say otherwise.
pub(super) fn headers(is_https: bool) -> impl Iterator<Item = (HeaderName, &'static str)> {
    HEADERS.into_iter().chain(is_https.then_some((STRICT_TRANSPORT_SECURITY, ONLY_HTTPS)))
}

/// Whether the client came by HTTPS.
pub(super) fn is_https(request: &HttpRequest) -> bool {
    request.conn_data::<Rc<Facts>>().is_some_and(|facts| facts.is_tls)
        || sender(request).is_some_and(|sender| sender.is_https)
}

/// Who sent the request. `None` when the connection is gone already.
pub(super) fn sender(request: &HttpRequest) -> Option<Sender> {
    let peer = request.peer_addr()?.ip();
    let config = &request.app_data::<web::Data<App>>()?.config.server;
    let values = |name: &'static str| request.headers().get_all(name).filter_map(|value| value.to_str().ok());
    Some(proxies::sender(peer, &config.trusted_proxies, config.forwarded_header, values))
}
