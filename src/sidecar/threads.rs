//! The threads of a sidecar: serving threads with a runtime and a worker each, and one for the admin listener.

use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio_rustls::rustls::ServerConfig;

use crate::server::{Connections, Drain, Draining, Ended, Limits, Listener, drain, serve};

use super::RunError;
use super::admin::Admin;
use super::http::{Handler, Shared};

/// Connections that the admin listener takes at a time.
const ADMIN_CONNECTIONS: usize = 256;

/// The serving threads.
pub(super) struct DataPlane {
    /// Completes when all have ended.
    pub ended: oneshot::Receiver<Ended>,
}

/// The admin thread.
pub(super) struct AdminThread {
    drain: Drain,
    ended: oneshot::Receiver<Ended>,
}

impl AdminThread {
    /// Ends it: health can be asked until everything else has stopped.
    pub(super) async fn stop(self) {
        self.drain.start();
        let _ = self.ended.await;
    }
}

/// Starts `count` serving threads on clones of the listeners.
pub(super) fn data(
    count: usize,
    listeners: &[Listener],
    tls: Option<&Arc<ServerConfig>>,
    limits: Limits,
    connections: &Connections,
    shared: &Arc<Shared>,
) -> Result<DataPlane, RunError> {
    let mut handles = Vec::new();
    for index in 0..count {
        let own = listeners
            .iter()
            .map(Listener::try_clone)
            .collect::<Result<Vec<_>, _>>()
            .map_err(RunError::Thread)?;
        let (tls, connections, shared) = (tls.cloned(), connections.clone(), Arc::clone(shared));
        let draining = shared.draining.clone();
        handles.push(spawn(format!("serve-{index}"), move || async move {
            let handler = Rc::new(Handler::new(shared));
            let releasing = Rc::clone(&handler);
            tokio::task::spawn_local(async move { releasing.release_retired().await });
            let answer = move |request, door| Rc::clone(&handler).handle(request, door);
            serve_all(own, tls, limits, connections, draining, answer).await
        })?);
    }
    Ok(DataPlane {
        ended: join("join", handles)?,
    })
}

/// Starts the admin thread.
pub(super) fn admin(
    listeners: Vec<Listener>,
    limits: Limits,
    admin: Arc<Admin>,
) -> Result<AdminThread, RunError> {
    let (drain, draining) = drain();
    let limits = Limits {
        drain: std::time::Duration::from_secs(1),
        ..limits
    };
    let handle = spawn("admin".to_owned(), move || async move {
        let connections = Connections::new(ADMIN_CONNECTIONS);
        let answer = move |request, door| Arc::clone(&admin).handle(request, door);
        serve_all(listeners, None, limits, connections, draining, answer).await
    })?;
    Ok(AdminThread {
        drain,
        ended: join("join-admin", vec![handle])?,
    })
}

/// A thread with a runtime of its own.
fn spawn<F, R>(name: String, run: F) -> Result<thread::JoinHandle<Ended>, RunError>
where
    F: FnOnce() -> R + Send + 'static,
    R: Future<Output = Ended>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::Thread)?;
    thread::Builder::new()
        .name(name)
        .spawn(move || {
            let local = LocalSet::new();
            local.block_on(&runtime, async { run().await })
        })
        .map_err(RunError::Thread)
}

/// Joins threads on another one, so that their end can be awaited.
fn join(
    name: &str,
    handles: Vec<thread::JoinHandle<Ended>>,
) -> Result<oneshot::Receiver<Ended>, RunError> {
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let mut total = Ended::default();
            for handle in handles {
                if let Ok(ended) = handle.join() {
                    total.aborted += ended.aborted;
                } else {
                    tracing::error!("a serving thread panicked");
                }
            }
            let _ = sender.send(total);
        })
        .map_err(RunError::Thread)?;
    Ok(receiver)
}

async fn serve_all<H, F>(
    listeners: Vec<Listener>,
    tls: Option<Arc<ServerConfig>>,
    limits: Limits,
    connections: Connections,
    draining: Draining,
    handler: H,
) -> Ended
where
    H: Fn(::http::Request<hyper::body::Incoming>, Rc<crate::server::Door>) -> F + Clone + 'static,
    F: Future<Output = ::http::Response<crate::server::body::Body>> + 'static,
{
    let mut serving = tokio::task::JoinSet::new();
    for listener in listeners {
        let (tls, handler) = (tls.clone(), handler.clone());
        let (connections, draining) = (connections.clone(), draining.clone());
        serving.spawn_local(serve(listener, tls, limits, connections, draining, handler));
    }
    let mut total = Ended::default();
    while let Some(ended) = serving.join_next().await {
        match ended {
            Ok(Ok(ended)) => total.aborted += ended.aborted,
            Ok(Err(error)) => tracing::error!(%error, "a listener ended"),
            Err(error) => tracing::error!(%error, "a listener panicked"),
        }
    }
    total
}
