//! A server of this process that forwards everything.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lictor::resilience::BreakerStatus;
use lictor::sidecar::forward::{Forwarder, Settings};
use prometheus::{Registry, TextEncoder};
use tokio::runtime::Runtime;

pub struct Door {
    pub address: SocketAddr,
    forwarder: Forwarder,
    registry: Registry,
    runtime: Option<Runtime>,
}

impl Door {
    /// Forwards to `upstream`; `adjust` changes the settings.
    pub fn open(upstream: SocketAddr, adjust: impl FnOnce(&mut Settings)) -> Self {
        lictor::wire::install_provider();
        let mut settings = Settings {
            name: "control_plane",
            base: format!("http://{upstream}").parse().unwrap(),
            deadline: Duration::from_secs(20),
            in_flight: 16,
            breaker: lictor::resilience::BreakerSettings::default(),
            client: lictor::wire::Settings::default(),
            spans: None,
        };
        adjust(&mut settings);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let registry = Registry::new();
        let forwarder = Forwarder::new(&settings, runtime.handle(), &registry).unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let serving = forwarder.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let forwarder = serving.clone();
                let service = service_fn(move |request| {
                    let forwarder = forwarder.clone();
                    async move { Ok::<_, Infallible>(forwarder.forward(request).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self {
            address,
            forwarder,
            registry,
            runtime: Some(runtime),
        }
    }

    pub fn breaker(&self) -> BreakerStatus {
        self.forwarder.breaker()
    }

    /// The metrics as Prometheus reads them.
    pub fn metrics(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
