//! The control plane: a registry of policies, and the bundles made of them.
//!
//! A write commits a change, its number and a publication job in one transaction; a worker turns the
//! job into a signed bundle, verifies and loads its own output, and only then moves the tenant's pointer.
//!
//! | module | duty |
//! | --- | --- |
//! | [`config`] | what the control plane is told |
//! | `http` | the door: identity, permission, routes, answers |
//! | `access` | who may do what, decided by our own engine |
//! | `registry` | policies and versions; a write as one transaction |
//! | `publish` | jobs into bundles that proved themselves |
//! | `board` | which bundle is served, and who waits for the next |
//! | `store` | the database |

mod access;
mod board;
mod clock;
pub mod config;
mod http;
mod metrics;
mod publish;
mod registry;
mod start;
mod store;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_rustls::rustls::ServerConfig;

use crate::server::{self, Connections, Drain, Draining, Listener};

pub use config::{Authentication, BundleKey, Config, Limits, Tls};
pub use start::{ControlPlaneError, advance_number};

/// A control plane whose store is open and whose listener is bound.
#[derive(Debug)]
pub struct ControlPlane {
    listener: Listener,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    limits: Limits,
    router: axum::Router,
    worker: publish::Worker,
    store: store::Store,
    drain: Drain,
    draining: Draining,
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
            limits,
            router,
            worker,
            store,
            drain,
            draining,
        } = self;
        tracing::info!(listener = "control_plane", %address, "listening");
        let working = tokio::spawn(worker.run(draining.clone()));
        let mut serving = Box::pin(serve(listener, tls, limits, router, draining));
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
        worked.map_err(|error| ControlPlaneError::Ended(error.to_string()))?;
        served
    }
}

/// Serves on a thread of its own: connections stay on one thread, and the caller may be on any.
async fn serve(
    listener: Listener,
    tls: Option<Arc<ServerConfig>>,
    limits: Limits,
    router: axum::Router,
    draining: Draining,
) -> Result<(), ControlPlaneError> {
    let (sender, ended) = oneshot::channel();
    let failed = |error: std::io::Error| ControlPlaneError::Ended(error.to_string());
    let thread = std::thread::Builder::new()
        .name("control-plane".into())
        .spawn(move || {
            let served = serve_here(listener, tls, limits, router, draining);
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

fn serve_here(
    listener: Listener,
    tls: Option<Arc<ServerConfig>>,
    limits: Limits,
    router: axum::Router,
    draining: Draining,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let handler = move |request, _| http::answer(router.clone(), request);
    let ended = tokio::task::LocalSet::new().block_on(
        &runtime,
        server::serve(
            listener,
            tls,
            server::Limits {
                header_bytes: limits.header_bytes,
                header_timeout: limits.read_timeout,
                drain: limits.drain,
            },
            Connections::new(limits.connections),
            draining,
            handler,
        ),
    )?;
    if ended.aborted > 0 {
        tracing::warn!(connections = ended.aborted, "connections were cut off");
    }
    Ok(())
}
