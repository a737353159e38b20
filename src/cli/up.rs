//! `lictor up`: a control plane and a sidecar that pulls from it, in one process, to try things on.
//!
//! Nothing here is a shortcut: the two halves meet over the control plane's real listener, and the
//! first policies are published by the registry's own calls.

mod banner;
mod halves;
mod home;
mod keys;
mod registry;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::control_plane::Config;
use crate::model::TenantId;
use crate::policy::Document;
use crate::server::telemetry::{self, Format};
use crate::wire::{self, Client};

use banner::Banner;
use halves::{ControlPlaneHalf, Doors, SidecarHalf};
use home::Home;
use keys::Keys;
use registry::Registry;

const EXAMPLES: &str = "\
Examples:
  lictor up                                     a temporary folder, removed at exit
  lictor up --data-dir ./lictor-data            keys, policies and numbers stay for the next run
  lictor up --listen 127.0.0.1:9000             the control plane on another port
  lictor up --log-level info --log-format json  a log to read, on standard error";

/// The one tenant of `up`.
const TENANT: &str = "default";
/// How often the sidecar's token is made anew; it lives for a day.
const TOKEN_RENEWAL: Duration = Duration::from_hours(6);

/// Arguments of `lictor up`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Keep keys, policies and bundles in this folder
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Address of the control plane
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = loopback(8000))]
    listen: SocketAddr,
    /// Address of the control plane's gRPC, where policies are kept
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = Config::GRPC)]
    engine: SocketAddr,
    /// Address of the sidecar's decisions
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = loopback(8181))]
    http: SocketAddr,
    /// Address of the sidecar's gRPC
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = loopback(9191))]
    grpc: SocketAddr,
    /// Address of the sidecar's health, metrics and status
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = loopback(8282))]
    admin: SocketAddr,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log_level: String,
    /// json or pretty
    #[arg(long, value_name = "FORMAT", default_value = "pretty")]
    log_format: String,
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Runs until it is interrupted.
///
/// # Errors
///
/// Whatever keeps it from starting, with what to do; or a half that ended by itself.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    telemetry::init_log(&args.log_level, Format::from_word(&args.log_format));
    check(args.listen, "--listen")?;
    check(args.engine, "--engine")?;
    check(args.http, "--http")?;
    check(args.grpc, "--grpc")?;
    check(args.admin, "--admin")?;
    let home = Home::open(args.data_dir.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let result = runtime.block_on(serve(args, &home));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result.map(|()| ExitCode::SUCCESS)
}

/// Refuses addresses that others can reach, and ports that are taken.
fn check(address: SocketAddr, flag: &str) -> anyhow::Result<()> {
    if !address.ip().is_loopback() {
        bail!(
            "`{flag} {address}` can be reached from outside, and `up` is for one machine: run `lictor control-plane` and `lictor sidecar` instead"
        );
    }
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("`{address}` is in use: choose another port with `{flag}`")
        }
        Err(error) => Err(error)
            .with_context(|| format!("cannot listen on `{address}`: choose another with `{flag}`")),
    }
}

async fn serve(args: &Args, home: &Home) -> anyhow::Result<()> {
    let mut interrupt = Interrupt::new()?;
    let tenant: TenantId = TENANT.parse()?;
    progress(&format!("keys and keyring in {}", home.root().display()));
    let keys = Keys::open(home, &tenant)?;
    progress("control plane");
    let mut control_plane = ControlPlaneHalf::start(args, home, &keys).await?;
    let result = beside(args, home, &keys, &mut control_plane, &mut interrupt).await;
    result.and(control_plane.half.stop().await)
}

/// The sidecar's life beside a running control plane.
async fn beside(
    args: &Args,
    home: &Home,
    keys: &Keys,
    control_plane: &mut ControlPlaneHalf,
    interrupt: &mut Interrupt,
) -> anyhow::Result<()> {
    let start = Start {
        args,
        home,
        keys,
        client: Client::new(&wire::Settings::default(), &Handle::current())?,
        token: keys.development_token()?,
        control_plane: control_plane.address,
        engine: control_plane.engine,
    };
    let (mut sidecar, documents, number) = tokio::select! {
        started = start.sidecar() => started?,
        ended = control_plane.half.ended() => return ended,
        () = interrupt.received() => return Ok(()),
    };
    let result = tokio::select! {
        result = start.accompany(sidecar.doors, &documents, number) => result,
        ended = sidecar.half.ended() => ended,
        ended = control_plane.half.ended() => ended,
        () = interrupt.received() => Ok(()),
    };
    progress("stopping");
    result.and(sidecar.half.stop().await)
}

/// What it takes to get from a running control plane to a banner.
struct Start<'s> {
    args: &'s Args,
    home: &'s Home,
    keys: &'s Keys,
    client: Client,
    token: String,
    control_plane: SocketAddr,
    engine: SocketAddr,
}

impl Start<'_> {
    /// Publishes the first policies, then starts the sidecar.
    async fn sidecar(&self) -> anyhow::Result<(SidecarHalf, Vec<Document>, Option<u64>)> {
        let documents = registry::documents(TENANT)?;
        progress("first policies");
        let registry = Registry {
            client: &self.client,
            address: self.control_plane,
            token: &self.token,
        };
        let number = registry.publish(&documents).await?;
        progress("sidecar");
        let sidecar = SidecarHalf::start(
            self.args,
            self.home,
            self.keys,
            self.control_plane,
            self.engine,
        )?;
        Ok((sidecar, documents, number))
    }

    /// Prints the banner when the policies are in force, then keeps the sidecar's token fresh.
    async fn accompany(
        &self,
        doors: Doors,
        documents: &[Document],
        number: Option<u64>,
    ) -> anyhow::Result<()> {
        let revision = doors.in_force(&self.client, number).await?;
        let banner = Banner {
            control_plane: self.control_plane,
            engine: self.engine,
            http: doors.http,
            grpc: doors.grpc,
            admin: doors.admin,
            revision: &revision,
            tenant: TENANT,
            folder: self.home.root(),
            temporary: self.home.is_temporary(),
            token: &self.token,
            policy: registry::access_policy(documents)?,
        };
        write!(std::io::stdout(), "{banner}").context("cannot write to standard output")?;
        loop {
            tokio::time::sleep(TOKEN_RENEWAL).await;
            self.keys.renew_sidecar_token()?;
        }
    }
}

/// Ctrl-C, or whatever else asks politely.
struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for signals")?,
            terminate: signal(SignalKind::terminate()).context("cannot listen for signals")?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Says what is being done, to people.
fn progress(step: &str) {
    eprintln!("lictor up: {step} ...");
}
