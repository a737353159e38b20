//! `lictor sidecar`: the decision point of one pod.

mod probe;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::server::settings::Flag;
use crate::server::telemetry::{self, Format};
use crate::sidecar::config::{self, Files, Loaded};
use crate::sidecar::{Sidecar, ext_authz};

const EXAMPLES: &str = "\
Examples:
  lictor sidecar --config sidecar.yaml
  LICTOR_TENANT=acme lictor sidecar --config sidecar.yaml --log-format pretty
  lictor sidecar --config sidecar.yaml --opa-config opa.yaml     with what OPA was told
  lictor sidecar --health-check --config sidecar.yaml     for a container's probe
  lictor sidecar config check --config sidecar.yaml
  lictor sidecar config print --config sidecar.yaml     what is in effect, and where it comes from";

/// The policy engine's port, as its clients know it.
const ENGINE_PORT: u16 = 50051;

/// Decide beside the application
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Ask the sidecar that runs by this configuration whether it is ready; exit 0 or 1
    #[arg(long)]
    health_check: bool,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check, print or describe the configuration
    Config { what: What },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Say what is wrong with it
    Check,
    /// Print what is in effect, and where it comes from
    Print,
    /// Print its JSON Schema
    Schema,
}

#[derive(Debug, clap::Args)]
struct Settings {
    /// The configuration file (YAML)
    #[arg(long, value_name = "FILE", env = "LICTOR_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// An OPA configuration file: what it says counts less than our own
    #[arg(long, value_name = "FILE", env = "LICTOR_OPA_CONFIG", global = true)]
    opa_config: Option<PathBuf>,
    /// How OPA's clients are known: off or token
    #[arg(long, value_name = "SCHEME", global = true)]
    authentication: Option<String>,
    /// Whether a policy decides about requests of OPA's clients: off or basic
    #[arg(long, value_name = "SCHEME", global = true)]
    authorization: Option<String>,
    /// Address of the main listener
    #[arg(long, value_name = "ADDRESS:PORT", global = true)]
    http: Option<String>,
    /// Address of the gRPC listener
    #[arg(long, value_name = "ADDRESS:PORT", global = true)]
    grpc: Option<String>,
    /// Port of the gRPC listener, as the policy engine's flag has it
    #[arg(long, value_name = "PORT", global = true, conflicts_with = "grpc", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Host of the gRPC listener, likewise
    #[arg(long, value_name = "ADDRESS", global = true, conflicts_with = "grpc")]
    host: Option<IpAddr>,
    /// Address of the admin listener
    #[arg(long, value_name = "ADDRESS:PORT", global = true)]
    admin: Option<String>,
    /// Serve plain text beyond loopback
    #[arg(long, global = true)]
    insecure_plaintext: bool,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", global = true)]
    log_level: Option<String>,
    /// json or pretty
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<String>,
}

impl Settings {
    fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        let mut add = |name, path, value: &Option<String>| {
            if let Some(value) = value.clone() {
                flags.push(Flag { name, path, value });
            }
        };
        add(
            "--authentication",
            "opa.authentication",
            &self.authentication,
        );
        add("--authorization", "opa.authorization", &self.authorization);
        add("--http", "listeners.http.address", &self.http);
        add("--grpc", "listeners.grpc.address", &self.grpc);
        let engine = SocketAddr::new(
            self.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            self.port.unwrap_or(ENGINE_PORT),
        );
        match (self.port, self.host) {
            (None, None) => {}
            (Some(_), _) => add(
                "--port",
                "listeners.grpc.address",
                &Some(engine.to_string()),
            ),
            (None, Some(_)) => add(
                "--host",
                "listeners.grpc.address",
                &Some(engine.to_string()),
            ),
        }
        add("--admin", "listeners.admin.address", &self.admin);
        add("--log-level", "log.level", &self.log_level);
        add("--log-format", "log.format", &self.log_format);
        if self.insecure_plaintext {
            let value = Some("true".to_owned());
            for path in [
                "listeners.http.insecure_plaintext",
                "listeners.grpc.insecure_plaintext",
                "listeners.admin.insecure_plaintext",
            ] {
                add("--insecure-plaintext", path, &value);
            }
        }
        flags
    }

    fn load(&self) -> anyhow::Result<Loaded> {
        let files = Files {
            own: self.config.as_deref(),
            opa: self.opa_config.as_deref(),
        };
        config::load(files, std::env::vars(), &self.flags())
            .context("the configuration cannot be used")
    }
}

/// Runs the command.
///
/// # Errors
///
/// A configuration that cannot be used, or whatever keeps the sidecar from starting.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Some(Command::Config { what: What::Schema }) => {
            println!("{:#}", config::schema());
        }
        Some(Command::Config { what: What::Check }) => {
            let loaded = args.settings.load()?;
            ext_authz::Settings::new(&loaded.config.ext_authz)?;
            println!("the configuration is in order");
        }
        Some(Command::Config { what: What::Print }) => {
            print!("{}", args.settings.load()?.print());
        }
        None if args.health_check => return Ok(probe::health(&args.settings.load()?.config)),
        None => serve(&args.settings.load()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(loaded: &Loaded) -> anyhow::Result<()> {
    let log = &loaded.config.log;
    telemetry::init_log(&log.level, Format::from_word(&log.format));
    for warning in &loaded.warnings {
        tracing::warn!("policy engine configuration: {warning}");
    }
    for warning in loaded.opa.iter().flat_map(|opa| &opa.warnings) {
        tracing::warn!("OPA configuration: {warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()?;
    let sidecar = Sidecar::build(loaded, runtime.handle())?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        sidecar.run(shutdown).await?;
        anyhow::Ok(())
    })?;
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    Ok(())
}
