//! The life of an HTTP/2 connection, as gRPC needs it: one connection stays on one thread, with bounds on everything
//! that a client can make it hold.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::body::BoxError;
use super::drain::Draining;
use super::listen::{Listener, Stream};
use super::serve::{Connections, Door, Ended, accept};

/// Bytes that every HTTP/2 client sends first.
const PREFACE: usize = 24;

/// Bounds of HTTP/2 connections.
#[derive(Clone, Copy, Debug)]
pub struct H2Limits {
    /// For a new connection's first bytes to arrive.
    pub handshake_timeout: Duration,
    /// How long requests may finish after the drain began.
    pub drain: Duration,
    /// How often a connection is asked whether its client still lives; None = never.
    pub keep_alive_interval: Option<Duration>,
    /// For the answer to that.
    pub keep_alive_timeout: Duration,
    /// Requests at a time on one connection; more are refused.
    pub concurrent_streams: u32,
    /// Bytes of a request's header list.
    pub header_bytes: u32,
    /// Bytes that are held for a client that does not read, per request.
    pub send_buffer_bytes: usize,
    /// Bytes of bodies that may be under way to us, per request and per connection.
    pub stream_window_bytes: u32,
    pub connection_window_bytes: u32,
    /// Requests that were reset before anybody looked at them; more end the connection.
    pub pending_resets: usize,
    /// Requests that we reset because they broke the protocol; more end the connection.
    pub error_resets: usize,
}

/// Serves HTTP/2 (and nothing else) on the current thread's `LocalSet` until the drain ends it.
///
/// # Errors
///
/// When the runtime cannot take the socket.
pub async fn serve_h2<H, F, B>(
    listener: Listener,
    tls: Option<Arc<ServerConfig>>,
    limits: H2Limits,
    connections: Connections,
    draining: Draining,
    handler: H,
) -> io::Result<Ended>
where
    H: Fn(Request<Incoming>, Rc<Door>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: http_body::Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    let tls = tls.map(TlsAcceptor::from);
    let life = draining.clone();
    accept(
        listener,
        limits.drain,
        connections,
        draining,
        move |stream, door| {
            let (handler, tls, draining) = (handler.clone(), tls.clone(), life.clone());
            async move {
                let through = |door: Rc<Door>| {
                    let handler = handler.clone();
                    move |request| handler(request, Rc::clone(&door))
                };
                match (stream, tls) {
                    (Stream::Unix(stream), _) => {
                        connection(stream, limits, draining, through(door)).await;
                    }
                    (Stream::Tcp(stream), None) => {
                        connection(stream, limits, draining, through(door)).await;
                    }
                    (Stream::Tcp(stream), Some(tls)) => {
                        let handshake = tls.accept(stream);
                        match tokio::time::timeout(limits.handshake_timeout, handshake).await {
                            Ok(Ok(stream)) => {
                                let door = door.shown(stream.get_ref().1);
                                connection(stream, limits, draining, through(door)).await;
                            }
                            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                            Err(_) => tracing::debug!("TLS handshake took too long"),
                        }
                    }
                }
            }
        },
    )
    .await
}

async fn connection<I, H, F, B>(io: I, limits: H2Limits, mut draining: Draining, service: H)
where
    I: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>> + 'static,
    B: http_body::Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    let service = service_fn(|request| {
        // Boxed: hyper and tokio move what they run around many times, the whole of it.
        let answer = Box::pin(service(request));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let received = Rc::new(Cell::new(0));
    let io = Counted {
        io,
        received: Rc::clone(&received),
    };
    let mut connection = pin!(
        http2::Builder::new(SameThread)
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.keep_alive_interval)
            .keep_alive_timeout(limits.keep_alive_timeout)
            .max_concurrent_streams(limits.concurrent_streams)
            .max_header_list_size(limits.header_bytes)
            .max_send_buf_size(limits.send_buffer_bytes)
            .initial_stream_window_size(limits.stream_window_bytes)
            .initial_connection_window_size(limits.connection_window_bytes)
            .max_pending_accept_reset_streams(limits.pending_resets)
            .max_local_error_reset_streams(limits.error_resets)
            .serve_connection(TokioIo::new(io), service)
    );
    // Keep-alive begins after the handshake, so that one has a limit of its own.
    tokio::select! {
        result = &mut connection => return ended(result),
        () = draining.started() => connection.as_mut().graceful_shutdown(),
        () = tokio::time::sleep(limits.handshake_timeout) => {
            if received.get() < PREFACE {
                return;
            }
            tokio::select! {
                result = &mut connection => return ended(result),
                () = draining.started() => connection.as_mut().graceful_shutdown(),
            }
        }
    }
    ended(connection.await);
}

fn ended(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Runs what hyper spawns on the current thread: a request never leaves the thread of its connection.
#[derive(Clone, Copy, Debug)]
struct SameThread;

impl<F> Executor<F> for SameThread
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// A connection that counts what came in, as far as the preface.
///
/// It says that it does not write several buffers at once. h2 then copies answers of up to a kilobyte behind each other
/// and writes many at once; else every answer of 256 bytes or more, as most checks have, is a write of its own.
struct Counted<I> {
    io: I,
    received: Rc<Cell<usize>>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Counted<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.io).poll_read(context, buffer);
        if self.received.get() < PREFACE {
            let read = buffer.filled().len() - before;
            self.received.set(self.received.get() + read);
        }
        result
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Counted<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
