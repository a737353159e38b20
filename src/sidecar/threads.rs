//! The threads of a sidecar: serving threads with a runtime and a worker each, and one for the admin listener.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;

use ::http::{Request, Response};
use hyper::body::Incoming;
use tokio::runtime::LocalOptions;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::rustls::ServerConfig;

use crate::server::body::Body;
use crate::server::{
    Connections, Drain, Ended, H2Limits, Limits, Listener, drain, serve, serve_h2,
};

use super::RunError;
use super::admin::Admin;
use super::shared::{self, Shared};
use super::{grpc, http, opa};

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

/// What the serving threads listen on, and how.
pub(super) struct Listening {
    pub http: Vec<Listener>,
    pub tls: Option<Arc<ServerConfig>>,
    pub limits: Limits,
    pub grpc: Vec<Listener>,
    pub grpc_tls: Option<Arc<ServerConfig>>,
    pub h2_limits: H2Limits,
    pub max_message_bytes: usize,
}

impl Listening {
    /// The same sockets for another thread.
    fn try_clone(&self) -> std::io::Result<Self> {
        let clones = |listeners: &[Listener]| -> std::io::Result<Vec<_>> {
            listeners.iter().map(Listener::try_clone).collect()
        };
        Ok(Self {
            http: clones(&self.http)?,
            tls: self.tls.clone(),
            limits: self.limits,
            grpc: clones(&self.grpc)?,
            grpc_tls: self.grpc_tls.clone(),
            h2_limits: self.h2_limits,
            max_message_bytes: self.max_message_bytes,
        })
    }
}

/// What the doors of a serving thread share with those of the others.
#[derive(Clone)]
pub(super) struct Doors {
    pub shared: Arc<Shared>,
    pub opa: Arc<opa::Api>,
}

/// What the main listener answers with: one of its two doors.
enum Answer {
    Http(http::Answer),
    Opa(opa::Answer),
}

impl Future for Answer {
    type Output = Response<Body>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response<Body>> {
        match self.get_mut() {
            Self::Http(answer) => Pin::new(answer).poll(context),
            Self::Opa(answer) => Pin::new(answer).poll(context),
        }
    }
}

/// Starts `count` serving threads on clones of the listeners.
pub(super) fn data(
    count: usize,
    listening: &Listening,
    connections: &Connections,
    doors: &Doors,
) -> Result<DataPlane, RunError> {
    let mut handles = Vec::new();
    for index in 0..count {
        let own = listening.try_clone().map_err(RunError::Thread)?;
        let (connections, doors) = (connections.clone(), doors.clone());
        handles.push(spawn(format!("serve-{index}"), move || {
            serve_data(own, connections, doors)
        })?);
    }
    Ok(DataPlane {
        ended: join("join", handles)?,
    })
}

/// What one serving thread does: all doors, and one worker for them.
async fn serve_data(listening: Listening, connections: Connections, doors: Doors) -> Ended {
    let shared = doors.shared;
    let draining = shared.draining.clone();
    let worker = shared.worker();
    tokio::task::spawn_local(shared::release_retired(Rc::clone(&worker)));
    let http = Rc::new(http::Handler::new(Arc::clone(&shared), Rc::clone(&worker)));
    let opa = Rc::new(opa::Handler::new(
        Arc::clone(&shared),
        doors.opa,
        Rc::clone(&worker),
    ));
    let grpc = Rc::new(grpc::Handler::new(
        shared,
        worker,
        listening.max_message_bytes,
    ));
    let mut serving = JoinSet::new();
    for listener in listening.http {
        let (http, opa) = (Rc::clone(&http), Rc::clone(&opa));
        serving.spawn_local(serve(
            listener,
            listening.tls.clone(),
            listening.limits,
            connections.clone(),
            draining.clone(),
            move |request: Request<Incoming>, door| {
                if opa::owns(request.uri().path()) {
                    Answer::Opa(Rc::clone(&opa).handle(request, door))
                } else {
                    Answer::Http(Rc::clone(&http).handle(request, door))
                }
            },
        ));
    }
    for listener in listening.grpc {
        let grpc = Rc::clone(&grpc);
        serving.spawn_local(serve_h2(
            listener,
            listening.grpc_tls.clone(),
            listening.h2_limits,
            connections.clone(),
            draining.clone(),
            move |request, door| Rc::clone(&grpc).handle(request, door),
        ));
    }
    all_ended(serving).await
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
        let mut serving = JoinSet::new();
        for listener in listeners {
            let (admin, connections) = (Arc::clone(&admin), connections.clone());
            let answer = move |request, door| Box::pin(Arc::clone(&admin).handle(request, door));
            let draining = draining.clone();
            serving.spawn_local(serve(listener, None, limits, connections, draining, answer));
        }
        all_ended(serving).await
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
    thread::Builder::new()
        .name(name)
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => runtime.block_on(run()),
                Err(error) => {
                    tracing::error!(%error, "a thread has no runtime");
                    Ended::default()
                }
            }
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

async fn all_ended(mut serving: JoinSet<std::io::Result<Ended>>) -> Ended {
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
