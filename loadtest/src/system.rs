//! What is measured: starts a server pinned to its core, waits until it answers, stops it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::generator::{Address, Pace, Plan, PreparedRequest, Transport, run};
use crate::machine::ProcessReading;
use crate::scenario::Protocol;

/// How long a server may take until it answers.
const START_DEADLINE: Duration = Duration::from_mins(1);

/// A running server, or one with others that stand before it; stopped when dropped.
#[derive(Debug)]
pub struct System {
    pub name: String,
    pub address: Address,
    child: Child,
    /// What is measured together with it.
    behind: Option<Box<System>>,
}

/// A server's command line, run on one core.
#[must_use]
pub fn pinned(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command
        .arg("-c")
        .arg(core.to_string())
        .arg(program)
        .stdin(Stdio::null());
    command
}

/// A port that was free a moment ago.
///
/// # Errors
///
/// Where loopback has none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl System {
    /// Starts `command`, which will listen on `address`, and waits until `probe` is answered as expected.
    ///
    /// # Errors
    ///
    /// Where it cannot be started, ends, or does not answer in a minute; with the end of its output.
    pub fn start(
        name: &str,
        mut command: Command,
        address: Address,
        probe: &PreparedRequest,
        log: &Path,
    ) -> Result<Self> {
        let output =
            std::fs::File::create(log).with_context(|| format!("creating {}", log.display()))?;
        // What is measured is told everything by its own file.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LICTOR_") {
                command.env_remove(name);
            }
        }
        let child = command
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| {
                format!(
                    "starting {name} through `{}` of util-linux",
                    command.get_program().display()
                )
            })?;
        let mut system = Self {
            name: name.into(),
            address,
            child,
            behind: None,
        };
        let deadline = Instant::now() + START_DEADLINE;
        while !system.answers(probe) {
            if let Some(status) = system.child.try_wait()? {
                bail!("{name} ended with {status}; it said: {}", tail(log));
            }
            if Instant::now() > deadline {
                bail!(
                    "{name} did not answer as expected within a minute; it said: {}",
                    tail(log)
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(system)
    }

    /// Starts this program's own floor.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_floor(
        core: usize,
        transport: Transport,
        protocol: Protocol,
        probe: &PreparedRequest,
        scratch: &Path,
    ) -> Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let address = Address::free(transport, scratch.join("floor.sock"))?;
        let mut command = pinned(core, &program);
        command
            .arg("floor")
            .arg("--listen")
            .arg(address.to_string());
        if let Protocol::Grpc { .. } = protocol {
            command.arg("--grpc");
        }
        Self::start("floor", command, address, probe, &scratch.join("floor.log"))
    }

    /// This system with `other` behind it: their time and memory count together.
    #[must_use]
    pub fn before(mut self, other: Self) -> Self {
        self.name.clone_from(&other.name);
        self.behind = Some(Box::new(other));
        self
    }

    fn answers(&self, probe: &PreparedRequest) -> bool {
        let plan = Plan {
            address: self.address.clone(),
            requests: vec![probe.clone()].into(),
            connections: 1,
            pace: Pace::Open(crate::schedule::Schedule::constant(
                1000.0,
                Duration::from_millis(1),
            )),
        };
        run(&plan).is_ok_and(|recording| recording.answered == 1)
    }

    /// The server's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time and memory until now.
    ///
    /// # Errors
    ///
    /// Where the server is gone.
    pub fn reading(&self) -> Result<ProcessReading> {
        let own = ProcessReading::of(self.child.id())
            .with_context(|| format!("{} ended during the run", self.name))?;
        match &self.behind {
            Some(behind) => Ok(own.plus(behind.reading()?)),
            None => Ok(own),
        }
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    ///
    /// Where it cannot be asked, or does not end within [`START_DEADLINE`].
    pub fn terminate(mut self) -> Result<()> {
        let asked = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()?;
        if !asked.success() {
            bail!("{} cannot be told to end", self.name);
        }
        let deadline = Instant::now() + START_DEADLINE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("{} does not end when told to", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last lines of a log.
#[must_use]
pub fn tail(log: &Path) -> String {
    let Ok(file) = std::fs::File::open(log) else {
        return String::new();
    };
    let lines: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

/// A program by its name, from `PATH`.
#[must_use]
pub fn on_path(name: &str) -> Option<PathBuf> {
    std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    })
}

/// The first line of a program's `arguments`, for the record.
#[must_use]
pub fn version(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| {
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .map(str::trim)
                .find(|line| !line.is_empty())
                .unwrap_or_default()
                .to_owned()
        },
    )
}
