//! The control plane: a registry of policies, and the bundles made of them.
//!
//! A write commits a change, its number and a publication job in one transaction; a worker turns the
//! job into a signed bundle, verifies and loads its own output, and only then moves the tenant's pointer.
//!
//! | module | duty |
//! | --- | --- |
//! | [`config`] | what the control plane is told |
//! | `http` | the registry's door: routes, answers |
//! | `grpc` | the policy engine's door |
//! | `gate` | who asks, by token and tenant, and whether they may |
//! | `access` | who may do what, decided by our own engine |
//! | `registry` | policies and versions; a write as one transaction |
//! | `publish` | jobs into bundles that proved themselves |
//! | `board` | which bundle is served, and who waits for the next |
//! | `store` | the database |

mod access;
mod board;
mod clock;
pub mod config;
mod gate;
mod grpc;
mod http;
mod idempotency;
mod metrics;
mod publish;
mod registry;
mod start;
mod store;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_rustls::rustls::ServerConfig;

use crate::server::grpc::Health;
use crate::server::{self, Connections, Drain, Draining, H2Limits, Listener};
use crate::spans::Exporting;

pub use config::{Authentication, BundleKey, Config, Limits, Tls};
pub use start::{ControlPlaneError, advance_number};

/// How often the store is asked whether it answers.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);
/// How often a gRPC connection is asked whether its client still lives, and how long the answer may take.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A control plane whose store is open and whose listener is bound.
#[derive(Debug)]
pub struct ControlPlane {
    listener: Listener,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    grpc: Option<GrpcDoor>,
    limits: Limits,
    router: axum::Router,
    worker: publish::Worker,
    store: store::Store,
    exporting: Option<Exporting>,
    drain: Drain,
    draining: Draining,
}

/// Where the policy engine's service is served, and by whom.
#[derive(Debug)]
struct GrpcDoor {
    listener: Listener,
    tls: Option<Arc<ServerConfig>>,
    engine: grpc::Engine,
    health: Health,
}

impl ControlPlane {
    /// Opens the store, reads the keys, binds the listener. Serves nothing yet.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from starting: configuration, keys, the store, the address.
    pub async fn build(config: Config) -> Result<Self, ControlPlaneError> {
        start::build(config).await
    }

    /// Where it listens (the real port, where the configuration said 0).
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the policy engine's gRPC service listens.
    #[must_use]
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc
            .as_ref()
            .and_then(|door| door.listener.bound().tcp())
    }

    /// Serves and publishes until `shutdown` completes, then drains: no new connections, running
    /// requests and the running publication end, the store closes.
    ///
    /// # Errors
    ///
    /// When the listener fails for good.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ControlPlaneError> {
        let Self {
            listener,
            address,
            tls,
            grpc,
            limits,
            router,
            worker,
            store,
            exporting,
            drain,
            draining,
        } = self;
        tracing::info!(listener = "control_plane", %address, "listening");
        let working = tokio::spawn(worker.run(draining.clone()));
        let grpc = grpc.map(|door| {
            let address = door.listener.bound();
            tracing::info!(listener = "control_plane_grpc", %address, "listening");
            tokio::spawn(watch(door.health, store.clone(), draining.clone()));
            (door.listener, door.tls, door.engine)
        });
        let mut serving = Box::pin(serve(Serving {
            listener,
            tls,
            router,
            grpc,
            limits,
            draining,
        }));
        let served = tokio::select! {
            served = &mut serving => served,
            () = shutdown => {
                drain.start();
                serving.await
            }
        };
        drain.start();
        let worked = working.await;
        store.close().await;
        if let Some(exporting) = exporting {
            exporting.finish().await;
        }
        worked.map_err(|error| ControlPlaneError::Ended(error.to_string()))?;
        served
    }
}

/// Tells whether the store answers, until the drain begins.
async fn watch(mut health: Health, store: store::Store, mut draining: Draining) {
    loop {
        health.tell(store.ping().await.is_ok()).await;
        tokio::select! {
            () = draining.started() => break,
            () = tokio::time::sleep(HEALTH_INTERVAL) => {}
        }
    }
    health.end().await;
}

/// Both doors, as one thread serves them.
struct Serving {
    listener: Listener,
    tls: Option<Arc<ServerConfig>>,
    router: axum::Router,
    grpc: Option<(Listener, Option<Arc<ServerConfig>>, grpc::Engine)>,
    limits: Limits,
    draining: Draining,
}

/// Serves on a thread of its own: connections stay on one thread, and the caller may be on any.
async fn serve(serving: Serving) -> Result<(), ControlPlaneError> {
    let (sender, ended) = oneshot::channel();
    let failed = |error: std::io::Error| ControlPlaneError::Ended(error.to_string());
    let thread = std::thread::Builder::new()
        .name("control-plane".into())
        .spawn(move || {
            let served = serve_here(serving);
            // Nobody waits any more only where the program ends anyway.
            let _ = sender.send(served);
        })
        .map_err(failed)?;
    let served = ended.await;
    if thread.join().is_err() {
        return Err(ControlPlaneError::Ended("its thread panicked".into()));
    }
    match served {
        Ok(served) => served.map_err(failed),
        Err(_) => Err(ControlPlaneError::Ended("its thread broke off".into())),
    }
}

fn serve_here(serving: Serving) -> std::io::Result<()> {
    let Serving {
        listener,
        tls,
        router,
        grpc,
        limits,
        draining,
    } = serving;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let connections = Connections::new(limits.connections);
    let handler = move |request, _| Box::pin(http::answer(router.clone(), request));
    let registry = server::serve(
        listener,
        tls,
        server::Limits {
            header_bytes: limits.header_bytes,
            header_timeout: limits.read_timeout,
            drain: limits.drain,
        },
        connections.clone(),
        draining.clone(),
        handler,
    );
    let engine = async {
        let Some((listener, tls, engine)) = grpc else {
            return Ok(server::Ended::default());
        };
        let handler = move |request, _| engine.clone().answer(request);
        server::serve_h2(
            listener,
            tls,
            h2_limits(&limits),
            connections,
            draining,
            handler,
        )
        .await
    };
    let both = async { tokio::try_join!(registry, engine) };
    let (registry, engine) = tokio::task::LocalSet::new().block_on(&runtime, both)?;
    let aborted = registry.aborted + engine.aborted;
    if aborted > 0 {
        tracing::warn!(connections = aborted, "connections were cut off");
    }
    Ok(())
}

fn h2_limits(limits: &Limits) -> H2Limits {
    H2Limits {
        handshake_timeout: limits.read_timeout,
        drain: limits.drain,
        keep_alive_interval: Some(KEEP_ALIVE),
        keep_alive_timeout: KEEP_ALIVE,
        concurrent_streams: 256,
        header_bytes: u32::try_from(limits.header_bytes).unwrap_or(u32::MAX),
        send_buffer_bytes: 1024 * 1024,
        stream_window_bytes: 1024 * 1024,
        connection_window_bytes: 4 * 1024 * 1024,
        pending_resets: 64,
        error_resets: 256,
    }
}
