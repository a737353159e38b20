//! The sidecar under measurement: keys, bundle and configuration made by its own commands, then started.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::disturb::BundleSource;
use crate::generator::{Address, PreparedRequest, Transport};
use crate::scenario::{Disturbance, Protocol, Scenario};
use crate::system::{System, free_port, pinned};

/// The name in results.
pub const NAME: &str = "lictor";

const TENANT: &str = "load";

/// All that a sidecar needs to start.
#[derive(Debug)]
pub struct Prepared {
    pub builder: BundleBuilder,
    /// The bundle's file, where a file is the source.
    pub watched: PathBuf,
    pub served: Option<BundleSource>,
    /// Where it is asked.
    pub address: Address,
    pub admin: SocketAddr,
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
    let folder = scenario.policies.folder(root, scratch)?;
    let mut builder = BundleBuilder::new(lictor, folder, scratch)?;
    let source_folder = scratch.join("source");
    std::fs::create_dir_all(&source_folder)?;
    let watched = source_folder.join("bundle.tar.gz");
    builder.build(&watched)?;
    let served = match scenario.disturbance {
        Disturbance::Outage => Some(BundleSource::serve(std::fs::read(&watched)?)?),
        _ => None,
    };
    let source = served.as_ref().map_or_else(
        || watched.display().to_string(),
        |served| format!("http://{}/bundle.tar.gz", served.address),
    );
    let address = Address::free(scenario.transport, scratch.join("lictor.sock"))?;
    let admin = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let more = scenario
        .config
        .replace("$ROOT", &root.display().to_string())
        .replace("$SCRATCH", &scratch.display().to_string());
    let text = format!(
        "tenant: {TENANT}\nkeyring: {}\ncache: {{dir: {}}}\nthreads: 1\nlisteners:\n{}  admin: {{address: \"{admin}\"}}\nsources:\n  - {{name: load, url: \"{source}\", poll: 1s}}\n{more}",
        builder.keyring.display(),
        scratch.join("cache").display(),
        listeners(&address, scenario.protocol)?,
    );
    let config = scratch.join("sidecar.yaml");
    std::fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
    Ok(Prepared {
        builder,
        watched,
        served,
        address,
        admin,
        config,
    })
}

/// The listeners of the data plane: the one that is asked, at `address`.
fn listeners(address: &Address, protocol: Protocol) -> Result<String> {
    let at = |address: &Address| match address {
        Address::Tcp(address) => format!("{{address: \"{address}\"}}"),
        Address::Unix(path) => format!("{{address: null, unix: {}}}", path.display()),
    };
    Ok(match protocol {
        Protocol::Http => format!("  http: {}\n  grpc: {{address: null}}\n", at(address)),
        Protocol::Grpc { .. } => {
            let http = Address::free(Transport::Tcp, PathBuf::new())?;
            format!("  http: {}\n  grpc: {}\n", at(&http), at(address))
        }
    })
}

/// Starts the sidecar that was prepared, and waits for its answer to `probe`.
///
/// # Errors
///
/// As [`System::start`].
pub fn start(
    prepared: &Prepared,
    name: &str,
    lictor: &Path,
    core: usize,
    probe: &PreparedRequest,
    scratch: &Path,
) -> Result<System> {
    let mut command = pinned(core, lictor);
    command.arg("sidecar").arg("--config").arg(&prepared.config);
    let log = scratch.join("lictor.log");
    System::start(name, command, prepared.address.clone(), probe, &log)
}

/// The number of the bundle that decides.
///
/// # Errors
///
/// Where the sidecar does not say.
pub fn active_number(admin: SocketAddr) -> Result<u64> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let status: serde_json::Value =
        serde_json::from_str(body).context("reading the sidecar's status")?;
    status["bundle"]["number"]
        .as_u64()
        .context("the sidecar's status names no bundle")
}

/// Makes bundles of one folder, each with a higher number than the one before.
#[derive(Debug)]
pub struct BundleBuilder {
    lictor: PathBuf,
    policies: PathBuf,
    key: PathBuf,
    keyring: PathBuf,
    /// Of the last bundle.
    pub number: u64,
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
            number: 0,
        })
    }

    /// Writes the next bundle.
    ///
    /// # Errors
    ///
    /// What `lictor bundle build` says.
    pub fn build(&mut self, output: &Path) -> Result<()> {
        self.number += 1;
        run(Command::new(&self.lictor)
            .args(["bundle", "build"])
            .arg(&self.policies)
            .args([
                "--tenant",
                TENANT,
                "--number",
                &self.number.to_string(),
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
