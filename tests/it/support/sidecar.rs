//! A running sidecar, asked over its listeners.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bundle::decided;
use super::pod::Pod;
use super::{Answer, Http, Lictor};

const PATIENCE: Duration = Duration::from_mins(1);

/// A sidecar of a pod, whose folder stays for as long as this does.
#[derive(Debug)]
pub struct Sidecar {
    pub process: Lictor,
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    pub admin: SocketAddr,
    pub pod: Pod,
}

impl Sidecar {
    /// A connection to the main listener.
    pub fn http(&self) -> Http {
        Http::tcp(self.http)
    }

    /// Posts JSON text.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.post_with(path, &[], body)
    }

    /// Posts JSON text with further headers.
    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        self.http().send("POST", path, &all, body.to_owned())
    }

    /// `GET` from the admin listener.
    pub fn admin(&self, path: &str) -> Answer {
        Http::tcp(self.admin).get(path)
    }

    /// `/v1/status`.
    pub fn status(&self) -> Value {
        self.admin("/v1/status").json()
    }

    /// `POST /v1/sync`: what the first source had.
    pub fn sync(&self) -> Answer {
        Http::tcp(self.admin).send("POST", "/v1/sync", &[], "")
    }

    pub fn metrics(&self) -> String {
        self.admin("/metrics").text()
    }

    /// The value of a metric's line.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let page = self.metrics();
        let line = page.lines().find(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(' '))
        })?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Waits until it says that it is ready.
    pub fn wait_ready(&mut self) {
        let admin = self.admin;
        self.process.wait_for("readiness", |_| {
            (Http::tcp(admin).get("/health/ready").status == 200).then_some(())
        });
    }

    /// Waits until the status satisfies `state`; panics with the last one.
    pub fn wait_for(&self, what: &str, state: impl Fn(&Value) -> bool) -> Value {
        let mut admin = Http::tcp(self.admin);
        let end = Instant::now() + PATIENCE;
        loop {
            let status = admin.get("/v1/status").json();
            if state(&status) {
                return status;
            }
            assert!(
                Instant::now() < end,
                "{what} did not come about: {status:#}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until this number is active.
    pub fn wait_for_number(&self, number: u64) -> Value {
        self.wait_for(&format!("number {number}"), |status| {
            active_number(status) == Some(number)
        })
    }

    /// Which number decides, and its word; panics where there is no decision or its violations disagree.
    pub fn decide(&self) -> (u64, String) {
        decided(&validate(&mut self.http()))
    }
}

/// The number that `/v1/status` shows.
pub fn active_number(status: &Value) -> Option<u64> {
    status["bundle"]["number"].as_u64()
}

/// Asks for a validation that both policies of [`bundle`](super::bundle::bundle) refuse.
pub fn validate(http: &mut Http) -> Answer {
    http.post("/v1/validate", &json!({"service": "payments"}))
}
