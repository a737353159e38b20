//! `lictor control-plane`: the registry and the bundles made of it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};

use crate::control_plane::config::{self, Config, Log};
use crate::control_plane::{ControlPlane, advance_number};
use crate::model::TenantId;
use crate::server::settings::Flag;
use crate::server::telemetry::{self, Format};

const EXAMPLES: &str = "\
Examples:
  lictor control-plane --config control-plane.yaml
  lictor control-plane --config control-plane.yaml --listen 127.0.0.1:8000 --log-format pretty
  lictor control-plane advance-number --to 5000 --config control-plane.yaml
      after a restore from backup: sidecars refuse numbers below those they have seen";

/// Keep policies and publish them as signed bundles
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publish under numbers of at least N from now on
    AdvanceNumber {
        /// The number
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        to: u64,
        /// One tenant alone
        #[arg(long, value_name = "TENANT")]
        tenant: Option<TenantId>,
    },
}

#[derive(Debug, clap::Args)]
struct Settings {
    /// The configuration file (YAML)
    #[arg(long, value_name = "FILE", env = "LICTOR_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Address of the listener
    #[arg(long, value_name = "ADDRESS:PORT", global = true)]
    listen: Option<String>,
    /// The folder of the database
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<String>,
    /// Serve plain text beyond loopback
    #[arg(long, global = true)]
    insecure_plaintext: bool,
    /// Believe everybody; on loopback only
    #[arg(long, global = true)]
    insecure_no_auth: bool,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", global = true)]
    log_level: Option<String>,
    /// json or pretty
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<String>,
}

impl Settings {
    fn load(&self) -> anyhow::Result<(Config, Log)> {
        config::load(self.config.as_deref(), std::env::vars(), &self.flags())
            .context("the configuration cannot be used")
    }

    fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        let mut add = |name, path, value: &Option<String>| {
            if let Some(value) = value.clone() {
                flags.push(Flag { name, path, value });
            }
        };
        add("--listen", "listener.address", &self.listen);
        add("--data-dir", "data_dir", &self.data_dir);
        add("--log-level", "log.level", &self.log_level);
        add("--log-format", "log.format", &self.log_format);
        let yes = |set: bool| set.then(|| "true".to_owned());
        add(
            "--insecure-plaintext",
            "listener.insecure_plaintext",
            &yes(self.insecure_plaintext),
        );
        add(
            "--insecure-no-auth",
            "insecure_no_auth",
            &yes(self.insecure_no_auth),
        );
        flags
    }
}

/// Runs the command.
///
/// # Errors
///
/// A configuration that cannot be used, or whatever keeps the control plane from starting.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (config, log) = args.settings.load()?;
    telemetry::init_log(&log.level, Format::from_word(&log.format));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("publication")
        .enable_all()
        .build()?;
    match &args.command {
        Some(Command::AdvanceNumber { to, tenant }) => {
            let advanced = runtime.block_on(advance_number(&config, *to, tenant.as_ref()))?;
            for (tenant, before) in advanced {
                if before < *to {
                    println!("{tenant}: {before} -> {to}");
                } else {
                    println!("{tenant}: stays at {before}");
                }
            }
        }
        None => runtime.block_on(serve(config))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let control_plane = ControlPlane::build(config).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    control_plane.run(shutdown).await?;
    Ok(())
}
