//! The binary as a child process whose output is kept and which never outlives its test.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a state may take to come about; generous, since machines are slow and shared.
const PATIENCE: Duration = Duration::from_mins(1);

/// A command of the binary, with nothing of ours from the environment.
pub fn lictor() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lictor"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LICTOR_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the binary to its end; panics with its output when it does not succeed.
pub fn run(arguments: &[&str]) -> Output {
    let output = lictor().args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "lictor {arguments:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A running program. Killed when dropped.
#[derive(Debug)]
pub struct Lictor {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// The lines a pipe has given so far, and the thread that reads them.
#[derive(Debug)]
struct Lines {
    so_far: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn read(pipe: impl Read + Send + 'static) -> Self {
        let so_far = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&so_far);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        Self {
            so_far,
            reader: Some(reader),
        }
    }

    fn get(&self) -> Vec<String> {
        self.so_far.lock().unwrap().clone()
    }

    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

impl Lictor {
    /// Starts a command made with [`lictor`].
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = Lines::read(child.stdout.take().unwrap());
        let stderr = Lines::read(child.stderr.take().unwrap());
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// What it printed so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.get()
    }

    /// What it logged so far.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.get()
    }

    /// The log so far: each line that is JSON, parsed.
    pub fn log(&self) -> Vec<Value> {
        self.stderr()
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `state` gives a value; panics with all output when it does not, or when the
    /// program ends before.
    pub fn wait_for<T>(&mut self, what: &str, mut state: impl FnMut(&Self) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = state(self) {
                return value;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                self.stdout.finish();
                self.stderr.finish();
                if let Some(value) = state(self) {
                    return value;
                }
                panic!("ended with {status} before {what}\n{}", self.output());
            }
            assert!(
                Instant::now() < end,
                "{what} did not come about\n{}",
                self.output()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where a listener (`http`, `admin`, ...) really listens, as the log announces it.
    pub fn address(&mut self, listener: &str) -> SocketAddr {
        self.wait_for(&format!("the address of `{listener}`"), |lictor| {
            lictor.log().iter().find_map(|line| {
                let fields = line.get("fields").unwrap_or(line);
                (fields["message"] == "listening" && fields["listener"] == listener)
                    .then(|| fields["address"].as_str()?.parse().ok())?
            })
        })
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end.
    pub fn exit(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.stdout.finish();
                self.stderr.finish();
                return status;
            }
            assert!(Instant::now() < end, "did not end\n{}", self.output());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn output(&self) -> String {
        format!(
            "stdout:\n{}\nstderr:\n{}",
            self.stdout().join("\n"),
            self.stderr().join("\n")
        )
    }
}

impl Drop for Lictor {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
