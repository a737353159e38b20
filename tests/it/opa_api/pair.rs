//! A real OPA and a sidecar with the same policies, asked the same.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::sidecar::Sidecar;
use crate::support::{Answer, Http, scratch};

use super::{DATA, MODULE};

/// A running OPA. Killed when dropped.
#[derive(Debug)]
pub struct Opa {
    child: Child,
    pub address: SocketAddr,
    authorizes: bool,
    _folder: TempDir,
}

impl Opa {
    /// Starts `opa` with the module and the data as bundle `main`.
    pub fn start(opa: &Path, arguments: &[&str]) -> Self {
        Self::start_with(opa, &[("shop/shop.rego", MODULE)], DATA, arguments)
    }

    /// Starts `opa` with these modules and this data as bundle `main`.
    pub fn start_with(
        opa: &Path,
        modules: &[(&str, &str)],
        data: &str,
        arguments: &[&str],
    ) -> Self {
        let folder = scratch();
        let bundle = folder.path().join("bundle");
        for (path, text) in modules.iter().chain([&("data.json", data)]) {
            let path = bundle.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let resource = format!("bundles.main.resource=file://{}", bundle.display());
        let child = Command::new(opa)
            .args(["run", "--server", "--log-level", "error"])
            .args(["--addr", &address.to_string(), "--set", &resource])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let opa = Self {
            child,
            address,
            authorizes: arguments
                .iter()
                .any(|argument| argument.contains("authorization")),
            _folder: folder,
        };
        opa.wait();
        opa
    }

    /// Until its bundle is active; with authorization any answer will do.
    fn wait(&self) {
        let end = Instant::now() + Duration::from_mins(1);
        loop {
            let answer = Http::try_tcp(self.address)
                .ok()
                .and_then(|mut http| http.try_send("GET", "/health?bundles", &[], "").ok());
            match answer.map(|answer| answer.status) {
                Some(200 | 401) => return,
                // Without the policy that was asked for there is no other answer.
                Some(500) if self.authorizes => return,
                _ => assert!(Instant::now() < end, "OPA did not start"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Opa {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Both.
#[derive(Debug)]
pub struct Pair {
    pub opa: Opa,
    pub sidecar: Sidecar,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

impl Ask<'_> {
    /// What a client sees of the answer.
    fn seen(&self, address: SocketAddr) -> String {
        let mut http = Http::tcp(address);
        match http.try_send(self.method, self.path, self.headers, self.body.to_vec()) {
            Ok(answer) => seen(&answer),
            Err(error) => format!("the connection broke off: {error}"),
        }
    }
}

impl Pair {
    /// What differs between the two answers; None = nothing.
    pub fn difference(&self, ask: &Ask<'_>) -> Option<String> {
        let theirs = ask.seen(self.opa.address);
        let ours = ask.seen(self.sidecar.http);
        (theirs != ours).then(|| format!("OPA:\n{theirs}\nours:\n{ours}"))
    }
}

/// What a client sees, without what no two servers share.
fn seen(answer: &Answer) -> String {
    let mut body = answer.body.to_vec();
    if answer.header("content-encoding") == "gzip" {
        let mut unpacked = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(&answer.body[..]);
        std::io::Read::read_to_end(&mut decoder, &mut unpacked).unwrap();
        body = unpacked;
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    let mut value = serde_json::from_str::<Value>(&text).unwrap_or_default();
    let text = if hide(&mut value) {
        value.to_string()
    } else {
        text
    };
    let mut out = format!("{}\n", answer.status);
    for name in [
        "content-type",
        "content-encoding",
        "vary",
        "allow",
        "x-content-type-options",
    ] {
        let _ = writeln!(out, "{name}: {}", answer.header(name));
    }
    out + &text
}

/// Replaces what no two servers share; whether there was any of it.
fn hide(value: &mut Value) -> bool {
    let Value::Object(members) = value else {
        return false;
    };
    let mut hidden = false;
    for name in ["decision_id", "provenance", "explanation"] {
        if let Some(value) = members.get_mut(name) {
            *value = "hidden".into();
            hidden = true;
        }
    }
    if let Some(Value::Object(metrics)) = members.get_mut("metrics") {
        // The names of the timers are compared, where both have them.
        let known = ["timer_rego_query_eval_ns", "timer_server_handler_ns"];
        metrics.retain(|name, _| known.contains(&name.as_str()));
        for value in metrics.values_mut() {
            assert!(value.as_u64().is_some(), "{value}");
            *value = 0.into();
        }
        hidden = true;
    }
    if let Some(Value::Array(errors)) = members.get_mut("errors") {
        for error in errors {
            if let Value::Object(error) = error {
                hidden |= error.remove("stack_trace").is_some();
            }
        }
    }
    if let Some(Value::Object(labels)) = value.pointer_mut("/result/labels") {
        for name in ["id", "version"] {
            labels.insert(name.into(), "hidden".into());
        }
        hidden = true;
    }
    hidden
}
