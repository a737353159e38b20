//! The sidecar: configuration in, a running decision point out.
//!
//! [`Sidecar::build`] does everything that can fail and binds the sockets; [`Sidecar::run`] serves until it is told to
//! stop and says how that ended. Decisions are made on threads of their own, each with its own runtime and worker; the
//! admin listener has another; activation runs on the caller's runtime.

pub mod activation;
mod admin;
pub mod cache;
pub mod caller;
pub mod clock;
pub mod config;
mod credentials;
mod decision_log;
mod discovery;
pub mod ext_authz;
pub mod forward;
mod grpc;
mod header_values;
mod http;
mod management;
mod metrics;
mod opa;
mod revision;
mod settings;
mod shared;
pub mod source;
mod spans;
pub mod status;
mod threads;

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::ServerConfig;

use crate::api::policy_engine;
use crate::identity::{IssuerError, Verifier};
use crate::server::grpc::{Calls, DescriptorError, Health, Services};
use crate::server::secret::{self, SecretError};
use crate::server::{
    BindError, Bound, Connections, Drain, Ended, H2Limits, Limits, Listener, Readiness, TlsError,
    drain, forget_startup, telemetry,
};
use crate::snapshot;
use crate::spans::Exporting;

use activation::{Activator, Running, StartError};
use admin::Admin;
use caller::Callers;
use clock::Clock;
use config::{Address, Config, ConfigError, FailOpen, Loaded};
use discovery::{Discovery, Plane};
use forward::{Forwarder, SetupError};
use management::{Live, Management, Reporter};
use metrics::Metrics;
use shared::Shared;
use threads::{Doors, Listening};

/// Why the sidecar does not start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    ExtAuthz(#[from] ext_authz::SettingsError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Identity(#[from] IssuerError),
    #[error("cannot forward to `upstream.url`")]
    Forward(#[from] SetupError),
    #[error(transparent)]
    DecisionLog(#[from] decision_log::OpenError),
    #[error(transparent)]
    Activation(#[from] StartError),
    #[error(transparent)]
    Descriptors(#[from] DescriptorError),
    #[error("cannot register metrics")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Tracing(#[from] crate::spans::ConfigError),
    #[error(transparent)]
    Spans(#[from] crate::spans::StartError),
}

/// Why a running sidecar ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot start a serving thread")]
    Thread(#[source] std::io::Error),
    #[error("a serving thread ended before it was told to")]
    Died,
}

/// A sidecar whose sockets are bound and which serves nothing yet.
#[derive(Debug)]
pub struct Sidecar {
    threads: usize,
    limits: Limits,
    h2_limits: H2Limits,
    max_message_bytes: usize,
    http: Vec<Listener>,
    grpc: Vec<Listener>,
    admin_listeners: Vec<Listener>,
    tls: Option<Arc<ServerConfig>>,
    grpc_tls: Option<Arc<ServerConfig>>,
    connections: Connections,
    shared: Arc<Shared>,
    opa: Arc<opa::Api>,
    health: Health,
    admin: Arc<Admin>,
    plane: Plane,
    discovery: Option<Discovery>,
    reporter: Reporter,
    exporting: Option<Exporting>,
    readiness: Readiness,
    drain: Drain,
}

/// What belongs to a start is over this long after it is ready.
const START: Duration = Duration::from_secs(10);

impl Sidecar {
    /// Checks the configuration, reads keys, binds sockets. Outgoing connections live on `handle`'s runtime. Blocks.
    ///
    /// # Errors
    ///
    /// Whatever keeps the sidecar from starting, with what to do.
    #[expect(clippy::too_many_lines, reason = "wiring, one part after another")]
    pub fn build(loaded: &Loaded, handle: &Handle) -> Result<Self, BuildError> {
        let config = &loaded.config;
        loaded.check()?;
        let http = bind(&config.http_addresses()?)?;
        let grpc = bind(&config.grpc_addresses()?)?;
        let admin_listeners = bind(&config.admin_addresses()?)?;
        let registry = telemetry::registry()?;
        let metrics = Arc::new(Metrics::register(&registry)?);
        let clock = Clock::default();
        let (publisher, reader) = snapshot::channel();
        let activator = Activator::new(
            settings::activation(config, loaded.opa.as_deref())?,
            publisher,
            clock.clone(),
            activation::Metrics::register(&registry)?,
            handle,
        )?;
        let (spans, exporting) = settings::tracing(config)?
            .map(|settings| crate::spans::start(&settings, &registry, handle))
            .transpose()?
            .unzip();
        let forwarder = settings::forward(config, spans.as_ref())?
            .map(|settings| Forwarder::new(&settings, handle, &registry))
            .transpose()?;
        let (services, health) = services(config)?;
        let grpc_shared = shared::Grpc {
            calls: Calls::register(&registry)?,
            services,
            upstream: settings::forward_grpc(config, spans.as_ref())?
                .map(|settings| Forwarder::new(&settings, handle, &registry))
                .transpose()?,
        };
        let verifier = verifier(config, handle, &registry)?;
        let callers = Arc::new(Callers::new(config.tenant_id()?, verifier));
        let (drain, draining) = drain();
        let discovery = discovery(loaded, &activator, &clock, handle)?;
        let (log, log_writer) = decision_log::Writer::start(
            settings::decision_log(config, loaded.opa.as_deref())?,
            match discovery {
                Some(_) => decision_log::Idle::Waits,
                None => decision_log::Idle::Absent,
            },
            &registry,
            decision_log::With {
                reader: reader.clone(),
                limits: config.limits.decision(),
                status: activator.status(),
                handle: handle.clone(),
            },
        )?
        .unzip();
        let shared = Arc::new(Shared {
            callers,
            reader: reader.clone(),
            status: activator.status(),
            clock: clock.clone(),
            metrics: Arc::clone(&metrics),
            forwarder: forwarder.clone(),
            grpc: grpc_shared,
            waiters: Semaphore::new(http::WAITERS),
            draining,
            limits: config.limits,
            allowed_origins: config.listeners.http.allowed_origins.clone(),
            when_no_policy: config.access.when_no_policy,
            fail_open_access: config.fail_open.contains(&FailOpen::Access),
            ext_authz: ext_authz::Settings::new(&config.ext_authz)?,
            decision_point: decision_point(config),
            spans,
            decision_log: log,
        });
        let management = Arc::new(Management::new(
            Live::new(config, loaded.opa.clone()),
            activator.status(),
            reader.clone(),
            registry.clone(),
        ));
        let opa = opa::Api::new(Arc::clone(&management))?;
        let (reports, told) = watch::channel(Arc::new(settings::status(loaded.opa.as_deref())?));
        let reporter = Reporter::new(Arc::clone(&management), clock.clone(), handle.clone(), told);
        let connections = Connections::new(config.limits.connections);
        let readiness = Readiness::default();
        let admin = Arc::new(Admin {
            reader,
            status: activator.status(),
            clock,
            readiness: readiness.clone(),
            metrics,
            connections: connections.clone(),
            registry,
            forwarder,
            syncs: Default::default(),
            config: loaded.effective(),
            max_bundle_age: config.max_bundle_age.map(|age| age.as_secs()),
            token: admin_token(config)?,
            started: Instant::now(),
        });
        let plane = Plane {
            activator,
            running: None,
            log: log_writer,
            reports,
            management,
            admin: Arc::clone(&admin),
            loaded: loaded.clone(),
        };
        Ok(Self {
            threads: settings::threads(config),
            limits: settings::limits(config),
            h2_limits: settings::h2_limits(config),
            max_message_bytes: config.listeners.grpc.max_message_bytes,
            http,
            grpc,
            admin_listeners,
            tls: http_tls(config, handle)?,
            grpc_tls: grpc_tls(config, handle)?,
            connections,
            shared,
            opa: Arc::new(opa),
            health,
            admin,
            plane,
            discovery,
            reporter,
            exporting,
            readiness,
            drain,
        })
    }

    /// Where the main listener is bound.
    #[must_use]
    pub fn http_addresses(&self) -> Vec<Bound> {
        self.http
            .iter()
            .map(|listener| listener.bound().clone())
            .collect()
    }

    /// Where the gRPC listener is bound.
    #[must_use]
    pub fn grpc_addresses(&self) -> Vec<Bound> {
        self.grpc
            .iter()
            .map(|listener| listener.bound().clone())
            .collect()
    }

    /// Where the admin listener is bound.
    #[must_use]
    pub fn admin_addresses(&self) -> Vec<Bound> {
        self.admin_listeners
            .iter()
            .map(|listener| listener.bound().clone())
            .collect()
    }

    /// The registry of this sidecar's metrics.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.admin.registry
    }

    /// Serves until `shutdown` completes: then not ready, then nothing new, then what runs is finished. Runs
    /// activation on the current runtime.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started, or ends by itself.
    #[expect(
        clippy::too_many_lines,
        reason = "start and stop, one part after another"
    )]
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Ended, RunError> {
        let Self {
            threads,
            limits,
            h2_limits,
            max_message_bytes,
            http,
            grpc,
            admin_listeners,
            tls,
            grpc_tls,
            connections,
            shared,
            opa,
            health,
            admin,
            plane,
            discovery,
            reporter,
            exporting,
            readiness,
            drain,
        } = self;
        announce("http", &http);
        announce("grpc", &grpc);
        announce("admin", &admin_listeners);
        let admin_thread = threads::admin(admin_listeners, limits, Arc::clone(&admin))?;
        plane.activator.boot().await;
        let reporting = tokio::spawn(reporter.run());
        let (stop, stopped) = watch::channel(false);
        let (planes, discovering) = Box::pin(plan(plane, discovery, &admin, stopped)).await;
        tokio::spawn(grpc::tell_health(
            health,
            shared.reader.clone(),
            shared.draining.clone(),
        ));
        let reader = shared.reader.clone();
        let latch = readiness.clone();
        let ready = tokio::spawn(async move {
            reader.reached(1).await;
            latch.set_ready();
            tracing::info!("ready");
            tokio::time::sleep(START).await;
            forget_startup();
        });
        // The threads hold the sockets from here on: when they let go, nobody accepts.
        let doors = Doors { shared, opa };
        let plane = threads::data(
            threads,
            &Listening {
                http,
                tls,
                limits,
                grpc,
                grpc_tls,
                h2_limits,
                max_message_bytes,
            },
            &connections,
            &doors,
        )?;
        let mut ended = plane.ended;
        let early = tokio::select! {
            () = shutdown => false,
            _ = &mut ended => true,
        };
        readiness.end();
        tracing::info!("draining");
        drain.start();
        let report = if early {
            Ended::default()
        } else {
            ended.await.unwrap_or_default()
        };
        ready.abort();
        reporting.abort();
        let _ = stop.send(true);
        if let Some(discovering) = discovering {
            discovering.stop().await;
        }
        let log_writer = match planes.await {
            Ok(plane) => {
                if let Some(running) = plane.running {
                    running.stop().await;
                }
                plane.log
            }
            Err(_) => None,
        };
        admin_thread.stop().await;
        // The last that can record: the serving threads have ended.
        drop(doors);
        if let Some(writer) = log_writer {
            writer.finish().await;
        }
        if let Some(exporting) = exporting {
            exporting.finish().await;
        }
        if early {
            return Err(RunError::Died);
        }
        tracing::info!(aborted = report.aborted, "stopped");
        Ok(report)
    }
}

/// Health, and reflection unless it is switched off.
fn services(config: &Config) -> Result<(Services, Health), DescriptorError> {
    let descriptors: &[&[u8]] = &[
        policy_engine::DESCRIPTORS,
        crate::api::ext_authz::DESCRIPTORS,
    ];
    Services::new(
        config.listeners.grpc.reflection.then_some(descriptors),
        &[policy_engine::SERVICE],
    )
}

/// What fetches the configuration, where an OPA configuration says where it is.
fn discovery(
    loaded: &Loaded,
    activator: &Activator,
    clock: &Clock,
    handle: &Handle,
) -> Result<Option<Discovery>, BuildError> {
    let Some(opa) = &loaded.opa else {
        return Ok(None);
    };
    let Some(found) = settings::discovery(&loaded.config, opa)? else {
        return Ok(None);
    };
    let status = activator.status();
    Ok(Some(Discovery::new(
        found,
        loaded,
        opa,
        status,
        clock.clone(),
        handle,
    )?))
}

/// Starts fetching; the plane comes back once it is to stop.
async fn plan(
    mut plane: Plane,
    discovery: Option<Discovery>,
    admin: &Admin,
    mut stopped: watch::Receiver<bool>,
) -> (JoinHandle<Plane>, Option<Running>) {
    let Some(mut discovery) = discovery else {
        plane.start();
        let waiting = async move {
            let _ = stopped.wait_for(|stop| *stop).await;
            plane
        };
        return (tokio::spawn(waiting), None);
    };
    discovery.boot(&mut plane).await;
    plane.start();
    let running = discovery.spawn();
    admin.set_discovery_sync(running.sync.clone());
    (tokio::spawn(discovery.run(plane, stopped)), Some(running))
}

fn bind(addresses: &[Address]) -> Result<Vec<Listener>, BindError> {
    addresses
        .iter()
        .map(|address| match address {
            Address::Tcp(address) => Listener::tcp(*address),
            Address::Unix(path) => Listener::unix(path),
        })
        .collect()
}

/// One line for each socket, with the port it really has.
fn announce(name: &str, listeners: &[Listener]) {
    for listener in listeners {
        tracing::info!(listener = name, address = %listener.bound(), "listening");
    }
}

fn http_tls(config: &Config, handle: &Handle) -> Result<Option<Arc<ServerConfig>>, TlsError> {
    let listener = &config.listeners.http;
    let files = settings::tls(
        listener.tls_cert_file.as_ref(),
        listener.tls_key_file.as_ref(),
        listener.client_ca_file.as_ref(),
        listener.trust_domain.as_ref(),
    );
    files
        .map(|files| crate::server::tls(files, "http/1.1", handle))
        .transpose()
}

fn grpc_tls(config: &Config, handle: &Handle) -> Result<Option<Arc<ServerConfig>>, TlsError> {
    let listener = &config.listeners.grpc;
    let files = settings::tls(
        listener.tls_cert_file.as_ref(),
        listener.tls_key_file.as_ref(),
        listener.client_ca_file.as_ref(),
        listener.trust_domain.as_ref(),
    );
    files
        .map(|files| crate::server::tls(files, "h2", handle))
        .transpose()
}

fn verifier(
    config: &Config,
    handle: &Handle,
    registry: &Registry,
) -> Result<Option<Verifier>, BuildError> {
    let Some(settings) = settings::identity(config)? else {
        return Ok(None);
    };
    let verifier = Verifier::new(&settings, handle)?;
    verifier.register(registry)?;
    Ok(Some(verifier))
}

fn admin_token(config: &Config) -> Result<Option<String>, SecretError> {
    let file = config.listeners.admin.token_file.as_ref();
    file.map(|file| secret::read_token(file.as_ref()))
        .transpose()
}

fn decision_point(config: &Config) -> Option<String> {
    let base = config.authzen.policy_decision_point.as_ref()?;
    Some(base.trim_end_matches('/').to_owned())
}
