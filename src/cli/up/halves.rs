//! The two programs that `up` runs, and how each ends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use http::{Request, StatusCode};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::control_plane::{Authentication, BundleKey, Config, ControlPlane, Limits};
use crate::identity::IssuerConfig;
use crate::server::Bound;
use crate::sidecar::Sidecar;
use crate::sidecar::config::{Config as SidecarConfig, Loaded, SourceConfig};
use crate::wire::{self, Client};

use super::home::Home;
use super::keys::Keys;
use super::{Args, TENANT};

/// How long the first bundle may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a decision's answer is at most.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// A program on a task of its own.
pub(super) struct Half {
    name: &'static str,
    stop: oneshot::Sender<()>,
    /// None once its end was seen.
    task: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Half {
    /// `run` is given what tells the program to stop.
    fn start<F>(name: &'static str, run: impl FnOnce(oneshot::Receiver<()>) -> F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        Self {
            name,
            stop,
            task: Some(tokio::spawn(run(stopped))),
        }
    }

    /// Waits until it ends by itself, which is always an error.
    pub(super) async fn ended(&mut self) -> anyhow::Result<()> {
        let name = self.name;
        let Some(task) = &mut self.task else {
            bail!("{name} has ended");
        };
        let result = task.await;
        self.task = None;
        result.map_err(|error| anyhow!(error).context(format!("{name} broke off")))??;
        bail!("{name} ended by itself")
    }

    /// Tells it to stop and waits until it has drained.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let Self { name, stop, task } = self;
        drop(stop);
        match task {
            None => Ok(()),
            Some(task) => task.await.with_context(|| format!("{name} broke off"))?,
        }
    }
}

/// The control plane, on embedded SQLite.
pub(super) struct ControlPlaneHalf {
    pub(super) half: Half,
    pub(super) address: SocketAddr,
    /// Of its gRPC.
    pub(super) engine: SocketAddr,
}

impl ControlPlaneHalf {
    pub(super) async fn start(args: &Args, home: &Home, keys: &Keys) -> anyhow::Result<Self> {
        let program = ControlPlane::build(Config {
            listen: args.listen,
            grpc: Some(args.engine),
            default_page_size: Config::DEFAULT_PAGE_SIZE,
            tls: None,
            insecure_plaintext: false,
            data_dir: home.path("control-plane"),
            bundle_key: BundleKey {
                kid: keys.bundle_kid.clone(),
                file: keys.bundle_file.clone(),
            },
            keyring_file: keys.keyring_file.clone(),
            content_key_file: keys.content_file.clone(),
            authentication: Authentication::Tokens(vec![keys.issuer()]),
            anonymous_reads: None,
            constitutional_hash: crate::model::CONSTITUTIONAL_HASH.into(),
            bundle_life: Config::BUNDLE_LIFE,
            tracing: None,
            limits: Limits::default(),
        })
        .await
        .context("the control plane does not start")?;
        let address = program.address();
        let engine = program
            .grpc_address()
            .context("the control plane does not listen for gRPC")?;
        let half = Half::start("the control plane", |stopped| async move {
            let shutdown = async { drop(stopped.await) };
            program
                .run(shutdown)
                .await
                .context("the control plane failed")
        });
        Ok(Self {
            half,
            address,
            engine,
        })
    }
}

/// The sidecar.
pub(super) struct SidecarHalf {
    pub(super) half: Half,
    pub(super) doors: Doors,
}

/// Where the sidecar listens.
#[derive(Clone, Copy)]
pub(super) struct Doors {
    pub(super) http: SocketAddr,
    pub(super) grpc: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl SidecarHalf {
    pub(super) fn start(
        args: &Args,
        home: &Home,
        keys: &Keys,
        control_plane: SocketAddr,
        engine: SocketAddr,
    ) -> anyhow::Result<Self> {
        let mut config = sidecar_config(args, home, keys, control_plane);
        config.upstream.grpc_url = Some(format!("http://{engine}"));
        let program = Sidecar::build(&Loaded::made(config), &Handle::current())
            .context("the sidecar does not start")?;
        let doors = Doors {
            http: tcp(&program.http_addresses())?,
            grpc: tcp(&program.grpc_addresses())?,
            admin: tcp(&program.admin_addresses())?,
        };
        let half = Half::start("the sidecar", |stopped| async move {
            let shutdown = async { drop(stopped.await) };
            program.run(shutdown).await.context("the sidecar failed")?;
            Ok(())
        });
        Ok(Self { half, doors })
    }
}

impl Doors {
    /// Waits until decisions are made by a revision of at least this number; gives its name.
    pub(super) async fn in_force(
        self,
        client: &Client,
        number: Option<u64>,
    ) -> anyhow::Result<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut request = Request::post(format!("http://{}/v1/validate", self.http))
                .header("content-type", "application/json");
            if let Some(number) = number {
                request = request
                    .header("x-lictor-min-revision", number)
                    .header("prefer", "wait=5");
            }
            let answer = client
                .fetch(request.body(wire::full("{}"))?, PATIENCE, ANSWER_LIMIT)
                .await
                .context("the sidecar does not answer")?;
            if answer.status() == StatusCode::OK {
                let answer: serde_json::Value = serde_json::from_slice(answer.body())
                    .context("the sidecar's answer is no JSON")?;
                return Ok(answer["revision"].as_str().unwrap_or_default().to_owned());
            }
            if Instant::now() > end {
                bail!(
                    "the sidecar does not decide by the first policies after {} s; `curl http://{}/v1/status` says why: {}",
                    PATIENCE.as_secs(),
                    self.admin,
                    String::from_utf8_lossy(answer.body())
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn sidecar_config(
    args: &Args,
    home: &Home,
    keys: &Keys,
    control_plane: SocketAddr,
) -> SidecarConfig {
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let base = format!("http://{control_plane}");
    let source = SourceConfig {
        name: "control-plane".into(),
        url: format!("{base}/api/v1/bundles/active/download"),
        token_file: Some(text(&keys.sidecar_token_file)),
        ..SourceConfig::default()
    };
    let mut config = SidecarConfig::new(TENANT, source, &keys.keyring_file, &home.path("cache"));
    config.listeners.http.address = Some(args.http.to_string());
    config.listeners.grpc.address = Some(args.grpc.to_string());
    config.listeners.admin.address = Some(args.admin.to_string());
    config.upstream.url = Some(base);
    config.constitutional_hash = Some(crate::model::CONSTITUTIONAL_HASH.into());
    let issuer = keys.issuer();
    config.identity.issuers = vec![IssuerConfig {
        name: issuer.name,
        audience: issuer.audience,
        public_key_file: Some(text(&keys.token_public_file)),
        ..IssuerConfig::default()
    }];
    config
}

fn tcp(bound: &[Bound]) -> anyhow::Result<SocketAddr> {
    bound
        .iter()
        .find_map(Bound::tcp)
        .context("the sidecar has no TCP address")
}
