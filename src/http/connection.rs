//! One connection, and how long it may keep the server waiting.
//!
//! # Decisions
//!
//! *The HTTP library bounds the head of the first request only.* On a connection that is kept, a client could send a
//! letter of the next one and stay for ever; or ask for much and take nothing of it. So the stream itself has two bounds:
//! while no request is being answered, the next head has to arrive; while an answer is being sent, something of it has
//! to be taken. Bodies have their own bound, in `body`.
//!
//! *The library ends unused connections of HTTP/1.1 when the server stops*, and leaves those of HTTP/2, which would keep
//! the server for as long as stopping may take. Those end here, once nothing was sent on them for a moment.
//!
//! *HTTP/2 gives a client as many requests at once as it likes*, and the library answers each in a task that goes on when
//! the client has taken the request back (CVE-2023-44487). So requests are counted by connection: above the bound they
//! are refused without any work, and a client that goes on all the same loses the connection. An answer counts until
//! all of it is sent: a client that asks and takes nothing (a window of 0) would otherwise have the server keep as many
//! answers as it likes. And if nothing of any is taken for as long as that may take, the connection ends, whatever else
//! the client says.

use std::cell::Cell;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::Protocol;
use actix_server::GracefulShutdownSignal;
use actix_web::http::Version;
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_rustls::server::TlsStream;

use super::head::Head;
use super::unheard;
use crate::app::App;
use crate::config;
use crate::tls::{HTTP_2, Tls};

/// How many requests over the bound are refused before the connection ends.
const REFUSALS: usize = 1_000;

/// How long nothing is sent on a connection of HTTP/2 before it ends with the server.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a connection may keep the server waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the head of a request, or the handshake of TLS.
    head: Duration,
    /// For the next request.
    idle: Duration,
    /// For taking some of an answer.
    send: Duration,
}

impl Patience {
    pub(super) const fn new(config: &config::Server) -> Self {
        Self {
            head: config.limits.header_timeout,
            idle: Duration::from_secs(config.keep_alive_seconds),
            send: config.limits.send_timeout,
        }
    }
}

/// What is known of a connection, also to its requests.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) is_tls: bool,
    /// Requests that are being answered.
    at_work: Cell<usize>,
    /// Requests that were begun.
    begun: Cell<usize>,
    refused: Cell<usize>,
    /// Answers of HTTP/2 that are being sent.
    unsent: Cell<usize>,
    /// When some of them was last taken, or the first of them came.
    taken_at: Cell<Instant>,
    /// Whether a body broke off, and whoever read it has answered for that.
    body_broke: Cell<bool>,
}

/// A request that is being answered.
pub(super) struct AtWork(Rc<Facts>);

/// An answer that is being sent.
pub(super) struct Unsent(Rc<Facts>);

impl Facts {
    fn new(is_tls: bool) -> Self {
        Self {
            is_tls,
            at_work: Cell::new(0),
            begun: Cell::new(0),
            refused: Cell::new(0),
            unsent: Cell::new(0),
            taken_at: Cell::new(Instant::now()),
            body_broke: Cell::new(false),
        }
    }

    /// Notes that a body broke off, for which there will be an answer.
    pub(super) fn note_broken_body(&self) {
        self.body_broke.set(true);
    }

    /// Counts a request; none if there are `most` already.
    pub(super) fn begin(self: &Rc<Self>, most: usize) -> Option<AtWork> {
        self.begun.set(self.begun.get().wrapping_add(1));
        if self.at_work.get() + self.unsent.get() >= most {
            self.refused.set(self.refused.get().saturating_add(1));
            return None;
        }
        self.at_work.set(self.at_work.get() + 1);
        Some(AtWork(Rc::clone(self)))
    }
}

impl AtWork {
    /// The answer is there: from now on it is being sent. Of HTTP/1.1 there is one at a time, and the bound for that is
    /// in the stream.
    pub(super) fn answered(self, version: Version) -> Option<Unsent> {
        (version == Version::HTTP_2).then(|| {
            let facts = &self.0;
            if facts.unsent.replace(facts.unsent.get() + 1) == 0 {
                facts.taken_at.set(Instant::now());
            }
            Unsent(Rc::clone(facts))
        })
    }
}

impl Unsent {
    /// Notes that there is room for more of it.
    pub(super) fn is_taken(&self) {
        self.0.taken_at.set(Instant::now());
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.is_taken();
        self.0.unsent.set(self.0.unsent.get().saturating_sub(1));
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.at_work.set(self.0.at_work.get().saturating_sub(1));
    }
}

/// A stream to a client.
pub(super) struct Connection {
    socket: Socket,
    facts: Rc<Facts>,
    patience: Patience,
    is_http_2: bool,
    /// When something was last sent, or the connection began.
    quiet_since: Instant,
    /// The head of the next request, once some of it has arrived.
    next: Option<Next>,
    /// Since when nothing that is to be sent is taken.
    blocked_since: Option<Instant>,
    /// For HTTP/2: whether the server is stopping.
    stopping: Option<Stopping>,
    reading: Alarm,
    writing: Alarm,
    app: Arc<App>,
    /// What is left of an answer instead of the library's own.
    unheard: Option<Bytes>,
}

enum Stopping {
    NotYet(Pin<Box<dyn Future<Output = ()>>>),
    Since(Instant),
}

/// A request whose head is arriving.
struct Next {
    /// After so many requests.
    begun: usize,
    since: Instant,
    head: Head,
}

enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Takes over a connection, after TLS's handshake if there is one.
    ///
    /// # Errors
    /// When there is no handshake, or it takes too long.
    pub(super) async fn accept(
        stream: TcpStream,
        tls: Option<&Tls>,
        patience: Patience,
        stopping: GracefulShutdownSignal,
        app: Arc<App>,
    ) -> Result<(Self, Protocol, Option<SocketAddr>)> {
        let peer = stream.peer_addr().ok();
        // An answer in several parts is not to wait for acknowledgements.
        stream.set_nodelay(true)?;
        let (socket, is_http_2) = match tls {
            None => (Socket::Plain(stream), false),
            Some(tls) => {
                // Boxed: what a handshake needs would be kept for the life of each connection, with TLS or without.
                let shaken = Box::pin(timeout(patience.head, tls.acceptor().accept(stream))).await;
                let stream = shaken.map_err(|_| Error::from(ErrorKind::TimedOut))?.inspect_err(refused)?;
                let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
                (Socket::Tls(Box::new(stream)), is_http_2)
            }
        };
        let connection = Self {
            socket,
            facts: Rc::new(Facts::new(tls.is_some())),
            patience,
            is_http_2,
            quiet_since: Instant::now(),
            next: None,
            blocked_since: None,
            stopping: is_http_2.then(|| Stopping::NotYet(Box::pin(async move { stopping.notified().await }))),
            reading: Alarm(None),
            writing: Alarm(None),
            app,
            unheard: None,
        };
        Ok((connection, if is_http_2 { Protocol::Http2 } else { Protocol::Http1 }, peer))
    }

    pub(super) const fn facts(&self) -> &Rc<Facts> {
        &self.facts
    }

    /// Looks at what arrived. Requests that are sent without waiting for answers are seen as one: proxies send none such.
    fn heard(&mut self, bytes: &mut [u8]) {
        // In HTTP/2 it may be anything; there only the time without requests counts.
        if self.is_http_2 || self.facts.at_work.get() > 0 {
            return;
        }
        let begun = self.facts.begun.get();
        if self.next.as_ref().is_none_or(|next| next.begun != begun) {
            self.next = Some(Next { begun, since: Instant::now(), head: Head::default() });
        }
        if let Some(next) = &mut self.next {
            next.head.check(bytes);
        }
    }

    /// Until when the head of a request has to be there.
    fn head_due(&mut self, cx: &mut Context<'_>) -> Instant {
        if let Some(Stopping::NotYet(signal)) = &mut self.stopping
            && signal.as_mut().poll(cx).is_ready()
        {
            self.stopping = Some(Stopping::Since(Instant::now()));
        }
        if let Some(Stopping::Since(since)) = self.stopping {
            return self.quiet_since.max(since) + LAST_WORDS;
        }
        let next = self.quiet_since + self.patience.idle + self.patience.head;
        match &self.next {
            Some(Next { begun, since, .. }) if *begun == self.facts.begun.get() => {
                next.min(*since + self.patience.head)
            }
            _ => next,
        }
    }

    /// Until when some of the answers that wait to be sent has to be taken.
    fn taking_due(&self) -> Option<Instant> {
        (self.facts.unsent.get() > 0).then(|| self.facts.taken_at.get() + self.patience.send)
    }

    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.sent(cx, written)
    }

    /// Writes muster's answer to what was no request, instead of all of the library's. None to a body that broke off, if
    /// there has been one.
    fn write_instead(&mut self, cx: &mut Context<'_>, theirs: &[u8]) -> Poll<Result<usize>> {
        if self.facts.body_broke.get() {
            return Poll::Ready(Ok(theirs.len()));
        }
        let (is_https, took) = (self.facts.is_tls, self.quiet_since.elapsed());
        let mut rest = self.unheard.take().unwrap_or_else(|| unheard::answer(&self.app, theirs, is_https, took));
        while !rest.is_empty() {
            match self.write(cx, &rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => rest.advance(written),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.unheard = Some(rest);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(theirs.len()))
    }

    /// Notes how sending went.
    fn sent<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<Result<T>>) -> Poll<Result<T>> {
        if outcome.is_ready() {
            self.blocked_since = None;
            self.quiet_since = Instant::now();
            return outcome;
        }
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        ready!(self.writing.poll(cx, since + self.patience.send));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        if this.facts.refused.get() > REFUSALS {
            return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        let read = match &mut this.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if read.is_pending() && (this.facts.at_work.get() == 0 || this.facts.unsent.get() > 0) {
            let due = this.taking_due().unwrap_or_else(|| this.head_due(cx));
            ready!(this.reading.poll(cx, due));
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        if let Some(bytes) = buffer.filled_mut().get_mut(before..).filter(|bytes| !bytes.is_empty()) {
            this.heard(bytes);
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        match if this.is_http_2 { None } else { unheard::find(bytes) } {
            None => this.write(cx, bytes),
            Some(0) => this.write_instead(cx, bytes),
            // First what comes before it.
            Some(start) => this.write(cx, bytes.get(..start).unwrap_or(bytes)),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        };
        this.sent(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(stream) => stream.is_write_vectored(),
            Socket::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        match &mut this.socket {
            // There is nothing between this and the system.
            Socket::Plain(_) => Poll::Ready(Ok(())),
            Socket::Tls(stream) => {
                let flushed = Pin::new(stream).poll_flush(cx);
                if flushed.is_ready() && this.blocked_since.is_none() {
                    return flushed;
                }
                this.sent(cx, flushed)
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Logs that the handshake of TLS was refused, as for a client's certificate. Not that it was broken off, or was none, as
/// from whatever only looks whether somebody answers: muster's own health check does.
fn refused(error: &Error) {
    let refusal = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    if refusal.is_some_and(|error| !matches!(error, rustls::Error::InvalidMessage(_))) {
        tracing::info!(%error, "TLS refused");
    }
}

/// A clock that rings when something is due. What is due moves with every request; the clock is set again only when it
/// rings too early, or would ring too late.
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
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
