//! From a configuration to a control plane that is ready to run: everything that can fail, fails here.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::api::policy_engine;
use crate::bundle::{Keyring, SigningKey};
use crate::identity::{self, IssuerError, Verifier};
use crate::model::TenantId;
use crate::server::grpc::{Calls, DescriptorError, Services};
use crate::server::secret::{self, SecretError};
use crate::server::{self, BindError, Listener, TlsError, TlsFiles};
use crate::spans;

use super::access::{Access, AccessError};
use super::board::Board;
use super::gate::{Gate, Identity};
use super::grpc::{self, Engine};
use super::http;
use super::metrics::{DbConnections, Metrics};
use super::publish::{Maker, Worker};
use super::registry::{ContentKey, Registry, Stamping};
use super::store::sqlite::{bundles, numbers};
use super::store::{Store, StoreError};
use super::{Authentication, Config, ControlPlane, GrpcDoor, Tls};

const DATABASE: &str = "control-plane.db";
/// Seconds that the clocks of token issuers may differ from ours.
const CLOCK_SKEW: u32 = 60;
/// Shorter lives would be issued anew all the time.
const SHORTEST_LIFE: u64 = 2;
const LARGEST_KEYRING: u64 = 1024 * 1024;

/// Why the control plane does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ControlPlaneError {
    /// The configuration cannot be used; says what to change.
    #[error("{0}")]
    Config(String),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(
        "{what}: `{path}` is no Ed25519 private key in PKCS#8 PEM; make one with `lictor key generate`"
    )]
    Key { what: &'static str, path: String },
    #[error("cannot read the keyring `{path}`: {reason}")]
    Keyring { path: String, reason: String },
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error("cannot use the data folder `{path}`: {source}")]
    Folder {
        path: String,
        source: std::io::Error,
    },
    #[error("cannot open the store: {}", causes(.0))]
    Store(#[source] StoreError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Descriptors(#[from] DescriptorError),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Spans(#[from] spans::StartError),
    #[error("the control plane ended: {0}")]
    Ended(String),
}

impl From<StoreError> for ControlPlaneError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for ControlPlaneError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

fn causes(error: &StoreError) -> String {
    match error {
        StoreError::Database(source) => source.to_string(),
        StoreError::Migrate(source) => source.to_string(),
        StoreError::Unreadable { .. } => error.to_string(),
    }
}

/// Builds a control plane.
pub(super) async fn build(config: Config) -> Result<ControlPlane, ControlPlaneError> {
    check(&config)?;
    let identity = identity(&config)?;
    let bundle_key = bundle_key(&config)?;
    let keyring = keyring(&config.keyring_file)?;
    let content_key = content_key(&config.content_key_file)?;
    let secured = |protocol| {
        let tls = config.tls.as_ref();
        tls.map(|tls| server::tls(files(tls), protocol, &Handle::current()))
            .transpose()
    };
    let tls = secured("http/1.1")?;
    let grpc_tls = secured("h2")?;
    let access = Access::compile()?;
    let metrics = Metrics::new()?;
    if let Identity::Tokens(verifier) = &identity {
        verifier.register(metrics.registry())?;
    }
    let start = |settings| spans::start(settings, metrics.registry(), &Handle::current());
    let tracing = config.tracing.as_ref().map(start).transpose()?;
    let (spans, exporting) = tracing.unzip();
    let store = open(&config.data_dir).await?;
    let connections = DbConnections::new(store.clone())?;
    metrics.registry().register(Box::new(connections))?;
    let board = board(&store).await?;
    let listener = Listener::tcp(config.listen)?;
    let address = listener.bound().tcp().unwrap_or(config.listen);
    let grpc_listener = config.grpc.map(Listener::tcp).transpose()?;
    let stamping = Stamping {
        kid: bundle_key.kid.clone(),
        life: i64::try_from(config.bundle_life.as_secs()).unwrap_or(i64::MAX),
    };
    let outbox = Arc::new(Notify::new());
    let (drain, draining) = server::drain();
    if matches!(identity, Identity::InsecureNone) {
        tracing::warn!(%address, "no authentication: every caller may do everything");
    }
    let worker = Worker {
        store: store.clone(),
        maker: Arc::new(Maker {
            key: bundle_key,
            keyring,
            constitutional_hash: config.constitutional_hash.clone(),
        }),
        stamping: stamping.clone(),
        outbox: Arc::clone(&outbox),
        board: board.clone(),
        metrics: metrics.clone(),
    };
    let registry = Registry::new(store.clone(), content_key, stamping, outbox);
    let gate = Arc::new(Gate {
        access,
        identity,
        anonymous_reads: config.anonymous_reads,
    });
    let (services, health) = Services::new(
        Some(&[policy_engine::DESCRIPTORS]),
        &[policy_engine::SERVICE],
    )?;
    let engine = Engine::new(grpc::Parts {
        registry: registry.clone(),
        gate: Arc::clone(&gate),
        limits: config.limits,
        default_page_size: config.default_page_size,
        calls: Calls::register(metrics.registry())?,
        services,
        spans: spans.clone(),
    });
    let router = http::router(http::Parts {
        registry,
        board,
        gate,
        constitutional_hash: config.constitutional_hash,
        limits: config.limits,
        metrics,
        draining: draining.clone(),
        loopback: address.ip().is_loopback(),
        spans,
    });
    Ok(ControlPlane {
        listener,
        address,
        tls,
        grpc: grpc_listener.map(|listener| GrpcDoor {
            listener,
            tls: grpc_tls,
            engine,
            health,
        }),
        limits: config.limits,
        router,
        worker,
        store,
        exporting,
        drain,
        draining,
    })
}

/// Raises the numbers to at least `to`: after a restore from backup the sidecars would refuse what is
/// published under a number they have seen. All tenants, or one. Answers each tenant's number before.
///
/// # Errors
///
/// When the store or the bundle key cannot be used.
pub async fn advance_number(
    config: &Config,
    to: u64,
    tenant: Option<&TenantId>,
) -> Result<Vec<(TenantId, u64)>, ControlPlaneError> {
    if to > i64::MAX as u64 {
        return Err(ControlPlaneError::Config(format!(
            "`--to` is at most {}",
            i64::MAX
        )));
    }
    let stamping = Stamping {
        kid: bundle_key(config)?.kid,
        life: i64::try_from(config.bundle_life.as_secs()).unwrap_or(i64::MAX),
    };
    let store = open(&config.data_dir).await?;
    let mut tx = store.write().await?;
    let tenants = match tenant {
        Some(tenant) => {
            numbers::ensure_tenant(&mut tx, tenant).await?;
            vec![tenant.clone()]
        }
        None => numbers::tenants(&mut tx).await?,
    };
    let mut before = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let number = numbers::advance(&mut tx, &tenant, to, &stamping.now()).await?;
        before.push((tenant, number));
    }
    tx.commit().await?;
    store.close().await;
    Ok(before)
}

fn check(config: &Config) -> Result<(), ControlPlaneError> {
    let wrong = |text: &str| Err(ControlPlaneError::Config(text.into()));
    let loopback = config.listen.ip().is_loopback()
        && config.grpc.is_none_or(|address| address.ip().is_loopback());
    if !loopback && config.tls.is_none() && !config.insecure_plaintext {
        return wrong(
            "a listener beyond loopback needs `tls` (or `--insecure-plaintext`, which says what it is)",
        );
    }
    if !loopback && matches!(config.authentication, Authentication::InsecureNone) {
        return wrong("`--insecure-no-auth` works on loopback only");
    }
    if config.constitutional_hash.is_empty()
        || !config
            .constitutional_hash
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
    {
        return wrong("`constitutional_hash` must be hexadecimal digits");
    }
    if config.bundle_life.as_secs() < SHORTEST_LIFE {
        return wrong("`bundle_life` must be at least 2 s");
    }
    Ok(())
}

fn identity(config: &Config) -> Result<Identity, ControlPlaneError> {
    match &config.authentication {
        Authentication::InsecureNone => Ok(Identity::InsecureNone),
        Authentication::Tokens(issuers) if issuers.is_empty() => Err(ControlPlaneError::Config(
            "no token issuer is configured, so nobody could call: make a key with `lictor key \
             generate`, name its public half under `identity.issuers`, or, on loopback only, say \
             `--insecure-no-auth`"
                .into(),
        )),
        Authentication::Tokens(issuers) => {
            let settings = identity::Settings {
                issuers: issuers.clone(),
                clock_skew: CLOCK_SKEW,
                constitutional_hash: Some(config.constitutional_hash.clone()),
            };
            Ok(Identity::Tokens(Verifier::new(
                &settings,
                &Handle::current(),
            )?))
        }
    }
}

fn files(tls: &Tls) -> TlsFiles {
    TlsFiles {
        certificates: tls.certificate_file.clone(),
        key: tls.key_file.clone(),
        clients: None,
    }
}

fn bundle_key(config: &Config) -> Result<SigningKey, ControlPlaneError> {
    let file = &config.bundle_key.file;
    let pem = secret::read_private(file)?;
    SigningKey::from_pem(&config.bundle_key.kid, &pem).map_err(|_| ControlPlaneError::Key {
        what: "the bundle key",
        path: file.display().to_string(),
    })
}

fn content_key(file: &Path) -> Result<ContentKey, ControlPlaneError> {
    let pem = secret::read_private(file)?;
    ContentKey::from_pem(&pem).ok_or_else(|| ControlPlaneError::Key {
        what: "the content key",
        path: file.display().to_string(),
    })
}

fn keyring(file: &Path) -> Result<Keyring, ControlPlaneError> {
    use std::io::Read as _;
    let failed = |reason: String| ControlPlaneError::Keyring {
        path: file.display().to_string(),
        reason,
    };
    let mut text = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(LARGEST_KEYRING + 1).read_to_end(&mut text))
        .map_err(|error| failed(error.to_string()))?;
    Keyring::parse(&text).map_err(|error| failed(error.to_string()))
}

async fn open(folder: &Path) -> Result<Store, ControlPlaneError> {
    let failed = |source| ControlPlaneError::Folder {
        path: folder.display().to_string(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed)?;
    Ok(Store::open(&folder.join(DATABASE)).await?)
}

/// Every tenant's served bundle, as the pointers say.
async fn board(store: &Store) -> Result<Board, ControlPlaneError> {
    let board = Board::default();
    let mut read = store.read().await?;
    for bundle in bundles::served(&mut read).await? {
        board.serve(bundle);
    }
    Ok(board)
}
