//! One client connection and its timeouts.
//!
//! # Decisions
//!
//! *The stream itself enforces timeouts*, against slowloris and slow-read attacks: the HTTP library bounds only the head of
//! the first request on a connection. While no request is in progress, the next head must arrive in time; while a
//! response is being sent, the client must read some of it in time. `body` bounds request bodies.
//!
//! *HTTP/2 connections end here at shutdown*, once nothing was sent on them for a second: the library ends only idle HTTP/1.1
//! connections, and an idle HTTP/2 connection would delay the shutdown until its timeout.
//!
//! *Requests are counted per connection* against HTTP/2 rapid reset (CVE-2023-44487): the library keeps handling a request
//! that the client has reset. Requests over the limit are rejected without any work, and a client that continues
//! loses the connection. A response counts until it is sent, so that a client with a flow-control window of 0
//! can't make the server buffer any number of responses; such a client loses the connection after the send
//! timeout, even if it keeps sending data.

use std::cell::{Cell, RefCell};
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::Protocol;
use actix_server::GracefulShutdownSignal;
use actix_web::http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::bare_lf::BareLfFilter;
use super::client_addresses::OpenConnection;
use crate::config;
use crate::tls::{HTTP_2, Tls};

/// The number of rejected requests after which a connection is closed.
const MAX_REJECTED: usize = 1_000;

/// How long an HTTP/2 connection stays open after the last data sent, once the server is shutting down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// The timeouts of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// For the head of a request, and for the TLS handshake.
    pub(super) head: Duration,
    /// For the start of the next request.
    pub(super) idle: Duration,
    /// For the client to take some of a response.
    send: Duration,
}

impl Timeouts {
    pub(super) const fn new(config: &config::Server) -> Self {
        Self {
            head: config.limits.header_timeout,
            idle: Duration::from_secs(config.keep_alive_seconds),
            send: config.limits.send_timeout,
        }
    }
}

/// The state that a connection shares with its requests.
#[derive(Debug)]
pub(super) struct ConnState {
    pub(super) is_tls: bool,
    /// Cloned by each request in progress.
    requests: Rc<()>,
    /// Cloned by each HTTP/2 response that is being sent.
    responses: Rc<()>,
    /// The request whose head is arriving.
    head: RefCell<Option<PartialHead>>,
    rejected: Cell<usize>,
    /// When the client last took some of a response, or the first response began.
    progress_at: Cell<Instant>,
    /// Cancelled when the connection ends. For HTTP/2 only: HTTP/1.1 drops the handler with the connection.
    closed: Option<CancellationToken>,
}

#[derive(Debug)]
struct PartialHead {
    since: Instant,
    filter: BareLfFilter,
}

/// A request in progress.
pub(super) struct RequestGuard {
    state: Rc<ConnState>,
    _count: Rc<()>,
}

/// An HTTP/2 response that is being sent.
pub(super) struct ResponseGuard {
    state: Rc<ConnState>,
    _count: Rc<()>,
}

impl ConnState {
    fn new(is_tls: bool, is_http_2: bool) -> Self {
        Self {
            is_tls,
            requests: Rc::default(),
            responses: Rc::default(),
            head: RefCell::default(),
            rejected: Cell::new(0),
            progress_at: Cell::new(Instant::now()),
            closed: is_http_2.then(CancellationToken::new),
        }
    }

    /// Waits until the connection ends.
    pub(super) async fn closed(&self) {
        match &self.closed {
            Some(closed) => closed.cancelled().await,
            None => std::future::pending().await,
        }
    }

    fn requests(&self) -> usize {
        // Without the one in `self`.
        Rc::strong_count(&self.requests) - 1
    }

    fn responses(&self) -> usize {
        Rc::strong_count(&self.responses) - 1
    }

    /// Counts a request, or rejects it if `max` requests are in progress or their responses are being sent.
    pub(super) fn begin_request(self: &Rc<Self>, max: usize) -> Option<RequestGuard> {
        self.head.take();
        if self.requests() + self.responses() >= max {
            self.rejected.set(self.rejected.get().saturating_add(1));
            return None;
        }
        Some(RequestGuard { state: Rc::clone(self), _count: Rc::clone(&self.requests) })
    }

    /// Scans received bytes for the head of the next request. Pipelined requests count as one: proxies send none.
    fn receive(&self, bytes: &mut [u8]) {
        if self.requests() == 0 {
            let mut head = self.head.borrow_mut();
            let new = || PartialHead { since: Instant::now(), filter: BareLfFilter::default() };
            head.get_or_insert_with(new).filter.scan(bytes);
        }
    }
}

impl RequestGuard {
    /// Turns the request into a response that is being sent. HTTP/1.1 sends one at a time, and the stream itself bounds it.
    pub(super) fn into_response(self, version: Version) -> Option<ResponseGuard> {
        (version == Version::HTTP_2).then(|| {
            let state = self.state;
            if state.responses() == 0 {
                state.progress_at.set(Instant::now());
            }
            let count = Rc::clone(&state.responses);
            ResponseGuard { state, _count: count }
        })
    }
}

impl ResponseGuard {
    /// Notes that the client takes more of the response.
    pub(super) fn note_progress(&self) {
        self.state.progress_at.set(Instant::now());
    }
}

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        self.note_progress();
    }
}

/// A client connection, with or without TLS.
pub(super) struct Connection {
    socket: Socket,
    /// Counts the connection of the client's address.
    _open: OpenConnection,
    state: Rc<ConnState>,
    timeouts: Timeouts,
    is_http_2: bool,
    /// When something was last sent, or the connection was opened.
    sent_at: Instant,
    /// Since when the client has read nothing of the data to be sent.
    blocked_since: Option<Instant>,
    /// For HTTP/2 only.
    shutdown: Option<Shutdown>,
    read_deadline: Deadline,
    write_deadline: Deadline,
}

enum Shutdown {
    Pending(Pin<Box<dyn Future<Output = ()>>>),
    Since(Instant),
}

type Socket = Either<TcpStream, Box<TlsStream<TcpStream>>>;

impl Connection {
    /// Accepts a connection, after the TLS handshake if there is one.
    ///
    /// # Errors
    /// When the handshake fails or times out.
    pub(super) async fn accept(
        stream: TcpStream,
        open: OpenConnection,
        tls: Option<&Tls>,
        timeouts: Timeouts,
        shutdown: GracefulShutdownSignal,
    ) -> Result<(Self, Protocol, Option<SocketAddr>)> {
        let peer = stream.peer_addr().ok();
        // A response in several writes must not wait for acknowledgements (Nagle's algorithm).
        stream.set_nodelay(true)?;
        let (socket, is_http_2) = match tls {
            None => (Either::Left(stream), false),
            Some(tls) => {
                // Boxed: otherwise every connection keeps the memory of a handshake for its lifetime.
                let handshake = Box::pin(timeout(timeouts.head, tls.acceptor().accept(stream))).await;
                let stream = handshake.map_err(|_| Error::from(ErrorKind::TimedOut))?.inspect_err(log_tls_error)?;
                let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
                (Either::Right(Box::new(stream)), is_http_2)
            }
        };
        let connection = Self {
            socket,
            _open: open,
            state: Rc::new(ConnState::new(tls.is_some(), is_http_2)),
            timeouts,
            is_http_2,
            sent_at: Instant::now(),
            blocked_since: None,
            shutdown: is_http_2.then(|| Shutdown::Pending(Box::pin(async move { shutdown.notified().await }))),
            read_deadline: Deadline(None),
            write_deadline: Deadline(None),
        };
        Ok((connection, if is_http_2 { Protocol::Http2 } else { Protocol::Http1 }, peer))
    }

    pub(super) const fn state(&self) -> &Rc<ConnState> {
        &self.state
    }

    /// When the next bytes must be received; none while requests are in progress and no response is being sent.
    fn receive_by(&mut self, cx: &mut Context<'_>) -> Option<Instant> {
        if self.state.responses() > 0 {
            return Some(self.state.progress_at.get() + self.timeouts.send);
        }
        if self.state.requests() > 0 {
            return None;
        }
        if let Some(Shutdown::Pending(signal)) = &mut self.shutdown
            && signal.as_mut().poll(cx).is_ready()
        {
            self.shutdown = Some(Shutdown::Since(Instant::now()));
        }
        if let Some(Shutdown::Since(since)) = self.shutdown {
            return Some(self.sent_at.max(since) + SHUTDOWN_GRACE);
        }
        let next = self.sent_at + self.timeouts.idle + self.timeouts.head;
        let head = self.state.head.borrow();
        Some(head.as_ref().map_or(next, |head| next.min(head.since + self.timeouts.head)))
    }

    /// Notes the outcome of a write, and turns it into an error when the client has taken nothing for too long.
    fn written<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<Result<T>>) -> Poll<Result<T>> {
        if outcome.is_ready() {
            self.blocked_since = None;
            self.sent_at = Instant::now();
            return outcome;
        }
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        ready!(self.write_deadline.poll(cx, since + self.timeouts.send));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(closed) = &self.state.closed {
            closed.cancel();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        if this.state.rejected.get() > MAX_REJECTED {
            return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.socket).poll_read(cx, buffer);
        if read.is_pending()
            && let Some(due) = this.receive_by(cx)
        {
            ready!(this.read_deadline.poll(cx, due));
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        // HTTP/2 frames are binary, and other frames than requests may arrive at any time.
        if !this.is_http_2
            && let Some(bytes) = buffer.filled_mut().get_mut(before..).filter(|bytes| !bytes.is_empty())
        {
            this.state.receive(bytes);
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.written(cx, written)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(cx, parts);
        this.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        match &mut this.socket {
            // A TCP socket has no buffer of its own.
            Either::Left(_) => Poll::Ready(Ok(())),
            Either::Right(stream) => {
                let flushed = Pin::new(stream).poll_flush(cx);
                if flushed.is_ready() && this.blocked_since.is_none() {
                    return flushed;
                }
                this.written(cx, flushed)
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

/// Logs a rejected TLS handshake, such as one without a valid client certificate. Aborted handshakes and plaintext are not
/// logged: port probes cause them, and the health check of muster itself.
fn log_tls_error(error: &Error) {
    let cause = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    if cause.is_some_and(|error| !matches!(error, rustls::Error::InvalidMessage(_))) {
        tracing::info!(%error, "TLS handshake failed");
    }
}

/// A timer for a deadline that moves with every request. It is reset only when it fires too early, or would fire too late.
struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    fn poll(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_responses_count_until_their_guards_are_dropped() {
        let state = Rc::new(ConnState::new(true, true));
        let one = state.begin_request(2).unwrap();
        let two = state.begin_request(2).unwrap();
        assert!(state.begin_request(2).is_none());
        let response = one.into_response(Version::HTTP_2).unwrap();
        assert_eq!((state.requests(), state.responses()), (1, 1));
        assert!(two.into_response(Version::HTTP_11).is_none());
        drop(response);
        assert_eq!((state.requests(), state.responses(), state.rejected.get()), (0, 0, 1));
    }
}
