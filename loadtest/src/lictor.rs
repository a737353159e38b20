//! The sidecar under measurement: keys, bundle and configuration made by its own commands, then started.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context, Result, bail};

use crate::RunArguments;
use crate::disturb::{BundleSource, Disturber};
use crate::generator::{Address, PreparedRequest};
use crate::run::Subject;
use crate::scenario::{Disturbance, Scenario};
use crate::system::{System, free_port, pinned};

const TENANT: &str = "load";

/// Builds a scenario's bundle, starts the sidecar on it, and waits for its answer to the first request.
///
/// # Errors
///
/// Where a command of the sidecar fails, with what it said.
pub fn start(
    root: &Path,
    scenario: &Scenario,
    arguments: &RunArguments,
    requests: Rc<[PreparedRequest]>,
    scratch: &Path,
) -> Result<Subject> {
    let Prepared {
        builder,
        watched,
        served,
        address,
        config,
    } = prepare(root, scenario, &arguments.lictor, scratch)?;
    let mut command = pinned(arguments.server_core, &arguments.lictor);
    command.arg("sidecar").arg("--config").arg(config);
    let system = System::start(
        "lictor",
        command,
        address.clone(),
        &requests[0],
        &scratch.join("lictor.log"),
    )?;
    let disturber = match scenario.disturbance {
        Disturbance::None => None,
        Disturbance::Swaps => Some(Disturber::swaps(
            prepare_swaps(&builder, arguments, scratch)?,
            watched,
        )),
        Disturbance::Outage => served.as_ref().map(Disturber::outage),
        Disturbance::SlowClients => match address {
            Address::Tcp(address) => Some(Disturber::slow_clients(address)),
            Address::Unix(_) => bail!("slow clients come over TCP"),
        },
    };
    Ok(Subject {
        system,
        requests,
        disturber,
    })
}

/// All that a sidecar needs to start.
pub struct Prepared {
    builder: BundleBuilder,
    /// The bundle's file, where a file is the source.
    watched: PathBuf,
    served: Option<BundleSource>,
    pub address: Address,
    /// Its configuration file.
    pub config: PathBuf,
}

/// Makes keys, the scenario's bundle and a configuration file.
///
/// # Errors
///
/// Where a command of the sidecar fails, with what it said.
pub fn prepare(
    root: &Path,
    scenario: &Scenario,
    lictor: &Path,
    scratch: &Path,
) -> Result<Prepared> {
    let builder = BundleBuilder::new(lictor, scenario.policies_folder(root, scratch)?, scratch)?;
    let source_folder = scratch.join("source");
    std::fs::create_dir_all(&source_folder)?;
    let watched = source_folder.join("bundle.tar.gz");
    builder.build(1, &watched)?;
    let served = match scenario.disturbance {
        Disturbance::Outage => Some(BundleSource::serve(std::fs::read(&watched)?)?),
        _ => None,
    };
    let source = served.as_ref().map_or_else(
        || watched.display().to_string(),
        |served| format!("http://{}/bundle.tar.gz", served.address),
    );
    let address = Address::free(scenario.transport, scratch.join("lictor.sock"))?;
    let more = scenario
        .config
        .replace("$ROOT", &root.display().to_string())
        .replace("$SCRATCH", &scratch.display().to_string());
    let config = write_config(scratch, &builder.keyring, &source, &address, &more)?;
    Ok(Prepared {
        builder,
        watched,
        served,
        address,
        config,
    })
}

/// A bundle per second of every round, and some to spare.
fn prepare_swaps(
    builder: &BundleBuilder,
    arguments: &RunArguments,
    scratch: &Path,
) -> Result<PathBuf> {
    let folder = scratch.join("prepared");
    std::fs::create_dir_all(&folder)?;
    let count = (arguments.seconds.ceil() as u64 + 1) * arguments.rounds as u64;
    for number in 2..=count + 1 {
        builder.build(number, &folder.join(format!("{number:08}.tar.gz")))?;
    }
    Ok(folder)
}

struct BundleBuilder {
    lictor: PathBuf,
    policies: PathBuf,
    key: PathBuf,
    keyring: PathBuf,
}

impl BundleBuilder {
    fn new(lictor: &Path, policies: PathBuf, scratch: &Path) -> Result<Self> {
        let keys = scratch.join("keys");
        let keyring = scratch.join("keyring.yaml");
        let output = run(Command::new(lictor)
            .args([
                "key", "generate", "--use", "bundle", "--kid", "load", "--out",
            ])
            .arg(&keys))?;
        std::fs::write(&keyring, output).context("writing the keyring")?;
        Ok(Self {
            lictor: lictor.into(),
            policies,
            key: keys.join("bundle.key.pem"),
            keyring,
        })
    }

    fn build(&self, number: u64, output: &Path) -> Result<()> {
        run(Command::new(&self.lictor)
            .args(["bundle", "build"])
            .arg(&self.policies)
            .args([
                "--tenant",
                TENANT,
                "--number",
                &number.to_string(),
                "--issued-at",
                &now(),
                "--kid",
                "load",
                "--key",
            ])
            .arg(&self.key)
            .arg("-o")
            .arg(output))?;
        Ok(())
    }
}

fn now() -> String {
    let output = Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])
        .output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn write_config(
    scratch: &Path,
    keyring: &Path,
    source: &str,
    address: &Address,
    more: &str,
) -> Result<PathBuf> {
    let path = scratch.join("sidecar.yaml");
    let listener = match address {
        Address::Tcp(address) => format!("{{address: \"{address}\"}}"),
        Address::Unix(path) => format!("{{address: null, unix: {}}}", path.display()),
    };
    let text = format!(
        "tenant: {TENANT}\nkeyring: {}\ncache: {{dir: {}}}\nthreads: 1\nlisteners:\n  http: {listener}\n  grpc: {{address: null}}\n  admin: {{address: \"127.0.0.1:{}\"}}\nsources:\n  - {{name: load, url: \"{source}\", poll: 1s}}\n{more}",
        keyring.display(),
        scratch.join("cache").display(),
        free_port()?
    );
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .output()
        .with_context(|| format!("running `{}`", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "`{}` failed: {}",
            command.get_program().display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(output.stdout)
}
