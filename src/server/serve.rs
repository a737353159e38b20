//! The accept loop and the life of a connection: HTTP/1.1 with limits and time-outs, drained on demand.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::body::Body;
use super::drain::Draining;
use super::life::{Life, Lives};
use super::listen::{Bound, Listener, Stream};
use super::tls;

/// The answer to a request whose head did not arrive in time.
const HEAD_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What is still read, and thrown away, of a connection that has got its last answer, and for how long.
const LINGER_BYTES: u64 = 64 << 20;
const LINGER: Duration = Duration::from_secs(2);

/// Bounds of connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's head: larger is 431.
    pub header_bytes: usize,
    /// For the head to arrive, and for an idle connection.
    pub header_timeout: Duration,
    /// How long requests may finish after the drain began.
    pub drain: Duration,
}

/// Counts connections over all threads.
#[derive(Clone, Debug)]
pub struct Connections {
    open: Arc<AtomicUsize>,
    limit: usize,
}

struct Open(Arc<AtomicUsize>);

impl Connections {
    /// At most `limit` at a time; more are closed at once.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            open: Arc::default(),
            limit,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn enter(&self) -> Option<Open> {
        let guard = Open(Arc::clone(&self.open));
        (self.open.fetch_add(1, Ordering::Relaxed) < self.limit).then_some(guard)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Connections that were still busy when the drain's time was up.
    pub aborted: usize,
}

/// What a handler is told beside the request.
#[derive(Debug)]
pub struct Door {
    pub bound: Bound,
    /// The other end of the connection, where that is an address.
    pub peer: Option<SocketAddr>,
    /// The SPIFFE id of the client's certificate, where the listener asks for one.
    pub peer_id: Option<Rc<str>>,
}

impl Door {
    /// The client by its verified certificate; empty where it showed none.
    #[must_use]
    pub fn principal(&self) -> &str {
        self.peer_id.as_deref().unwrap_or_default()
    }

    /// The same door, once the client has shown its certificate.
    pub(super) fn shown(self: Rc<Self>, connection: &rustls::ServerConnection) -> Rc<Self> {
        match tls::peer_id(connection) {
            None => self,
            Some(id) => Rc::new(Self {
                bound: self.bound.clone(),
                peer: self.peer,
                peer_id: Some(id),
            }),
        }
    }
}

/// Serves HTTP/1.1 on the current thread's `LocalSet` until the drain ends it.
///
/// # Errors
///
/// When the runtime cannot take the socket.
pub async fn serve<H, F>(
    listener: Listener,
    tls: Option<Arc<ServerConfig>>,
    limits: Limits,
    connections: Connections,
    draining: Draining,
    handler: H,
) -> std::io::Result<Ended>
where
    H: Fn(Request<Incoming>, Rc<Door>) -> F + Clone + 'static,
    F: Future<Output = Response<Body>> + Unpin + 'static,
{
    let tls = tls.map(TlsAcceptor::from);
    let lives = Lives::new(limits.header_timeout);
    let begun = lives.clone();
    let serving = accept(
        listener,
        limits.drain,
        connections,
        draining.clone(),
        move |stream, door| {
            let (handler, tls, life) = (handler.clone(), tls.clone(), begun.begin());
            async move { connect(stream, tls, limits, &life, door, handler).await }
        },
    );
    tokio::select! {
        ended = serving => ended,
        never = lives.watch(draining) => match never {},
    }
}

/// Runs `connect` for every connection of a listener until the drain ends it, and then for as long as they may finish.
pub(super) async fn accept<C, F>(
    listener: Listener,
    drain: Duration,
    connections: Connections,
    mut draining: Draining,
    connect: C,
) -> std::io::Result<Ended>
where
    C: Fn(Stream, Rc<Door>) -> F,
    F: Future<Output = ()> + 'static,
{
    let bound = listener.bound().clone();
    let accepting = listener.into_tokio()?;
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = draining.started() => break,
            Some(_) = running.join_next() => {}
            (stream, peer) = accepting.accept() => {
                let Some(open) = connections.enter() else {
                    continue;
                };
                let door = Door {
                    bound: bound.clone(),
                    peer,
                    peer_id: None,
                };
                let connection = connect(stream, Rc::new(door));
                running.spawn_local(async move {
                    connection.await;
                    drop(open);
                });
            }
        }
    }
    drop(accepting);
    let finished = tokio::time::timeout(drain, async {
        while running.join_next().await.is_some() {}
    });
    let aborted = if finished.await.is_ok() {
        0
    } else {
        running.len()
    };
    running.shutdown().await;
    Ok(Ended { aborted })
}

async fn connect<H, F>(
    stream: Stream,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    life: &Arc<Life>,
    door: Rc<Door>,
    handler: H,
) where
    H: Fn(Request<Incoming>, Rc<Door>) -> F,
    F: Future<Output = Response<Body>> + Unpin,
{
    let through = |door: Rc<Door>| {
        let handler = &handler;
        move |request| handler(request, Rc::clone(&door))
    };
    match (stream, tls) {
        (Stream::Unix(stream), _) => connection(stream, limits, life, through(door)).await,
        (Stream::Tcp(stream), None) => connection(stream, limits, life, through(door)).await,
        (Stream::Tcp(stream), Some(tls)) => {
            match tokio::time::timeout(limits.header_timeout, tls.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let door = door.shown(stream.get_ref().1);
                    connection(stream, limits, life, through(door)).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake took too long"),
            }
        }
    }
}

/// An answer under way, and the connection that it keeps busy.
struct Answering<'l, F> {
    answer: F,
    life: &'l Arc<Life>,
}

impl<F: Future<Output = Response<Body>> + Unpin> Future for Answering<'_, F> {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(response) = Pin::new(&mut self.answer).poll(context) else {
            return Poll::Pending;
        };
        Poll::Ready(Ok(if let Body::Stream(_) = response.body() {
            response.map(|body| match body {
                Body::Stream(stream) => Body::Watched(stream, self.life.busy()),
                body => body,
            })
        } else {
            self.life.wait();
            response
        }))
    }
}

async fn connection<I, H, F>(io: I, limits: Limits, life: &Arc<Life>, service: H)
where
    I: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Body>> + Unpin,
{
    let service = service_fn(|request| {
        life.work();
        Answering {
            answer: service(request),
            life,
        }
    });
    let mut connection = http1::Builder::new()
        .max_header_size(limits.header_bytes)
        // One flat write: replies are small, and gathering costs more than it saves.
        .writev(false)
        .half_close(false)
        .serve_connection(TokioIo::new(io), service);
    let (mut watched_by, mut told) = (None::<Waker>, false);
    let expired = poll_fn(|context| {
        if !watched_by
            .as_ref()
            .is_some_and(|waker| waker.will_wake(context.waker()))
        {
            life.watched_by(context.waker());
            watched_by = Some(context.waker().clone());
        }
        if life.is_draining() && !told {
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        match Pin::new(&mut connection).poll(context) {
            Poll::Ready(_) => Poll::Ready(false),
            Poll::Pending if life.has_expired() => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        }
    });
    let expired = expired.await;
    let parts = connection.into_parts();
    let (mut io, was_sending) = (parts.io.into_inner(), !parts.read_buf.is_empty());
    if !expired {
        linger(io, was_sending).await;
    } else if was_sending {
        // An idle connection is closed in silence; half a head gets an answer.
        let answer = async {
            let _ = io.write_all(HEAD_TIMEOUT).await;
            let _ = io.shutdown().await;
        };
        // Somebody who does not read either is not waited for.
        let _ = tokio::time::timeout(Duration::from_secs(1), answer).await;
    }
}

/// Lets a client that is still sending, such as a body that was refused, finish and read its answer: closing at once
/// would reset the connection, and the answer with it. The writing half is closed already.
async fn linger<I: AsyncRead + Unpin>(mut io: I, was_sending: bool) {
    let is_sending = poll_fn(|context| {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let read = Pin::new(&mut io).poll_read(context, &mut buffer);
        Poll::Ready(read.is_ready() && !buffer.filled().is_empty())
    });
    if is_sending.await || was_sending {
        let (mut rest, mut nowhere) = (io.take(LINGER_BYTES), tokio::io::sink());
        let thrown_away = tokio::io::copy(&mut rest, &mut nowhere);
        let _ = tokio::time::timeout(LINGER, thrown_away).await;
    }
}
