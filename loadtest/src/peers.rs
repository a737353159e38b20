//! The peers: where their programs are, how each is started, how to get those that package registries have.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::generator::{Address, PreparedRequest};
use crate::scenario::PeerSpec;
use crate::system::{System, free_port, on_path, pinned, version};

/// A peer that the harness knows how to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Opa,
    Cerbos,
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

    /// Its program: from `LOADTEST_OPA` or `LOADTEST_CERBOS`, the fetched ones, or `PATH`.
    ///
    /// # Errors
    ///
    /// Says how to get it.
    pub fn program(self) -> Result<PathBuf> {
        let (variable, name) = match self {
            Self::Opa => ("LOADTEST_OPA", "opa"),
            Self::Cerbos => ("LOADTEST_CERBOS", "cerbos"),
        };
        if let Some(path) = std::env::var_os(variable).map(PathBuf::from) {
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
            format!("`{name}` is neither in {variable} nor on PATH; `loadtest peers fetch` gets it")
        })
    }

    /// Its version, for the record.
    #[must_use]
    pub fn version(self, program: &Path) -> String {
        match self {
            Self::Opa => version(program, &["version"]),
            Self::Cerbos => version(program, &["--version"]),
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

/// Where fetched peers lie.
fn folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache =
        cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    cache
        .unwrap_or_else(std::env::temp_dir)
        .join("lictor-loadtest")
}

/// Gets the peers that package registries have: Cerbos through npm, OPA through Go. Says what it could not get.
///
/// # Errors
///
/// Where the folder cannot be made.
pub fn fetch() -> Result<()> {
    let folder = folder();
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    report("opa", fetch_opa(&folder));
    report("cerbos", fetch_cerbos(&folder));
    Ok(())
}

fn report(name: &str, outcome: Result<()>) {
    match outcome {
        Ok(()) => println!("{name}: ready in {}", folder().display()),
        Err(error) => println!("{name}: not to be had here: {error:#}"),
    }
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
    let program = ["bin/cerbos", "cerbos"]
        .iter()
        .map(|name| package.join(name))
        .find(|file| file.is_file());
    let program = program.with_context(|| format!("no program in {}", package.display()))?;
    std::fs::copy(&program, folder.join("cerbos")).context("copying the program")?;
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
