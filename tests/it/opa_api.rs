//! OPA's REST API: the same requests to a real OPA and to a sidecar, and what only a sidecar has.

mod authorization;
mod config_file;
mod differential;
mod pair;
mod requests;
mod rules;
mod table;

use std::process::Command;

use crate::support::bundle::{bundle_of, signing_key};
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;
use crate::support::{Answer, Http};

pub use pair::Opa;

/// The module that every test of this door asks.
pub const MODULE: &str = include_str!("opa_api/shop.rego");
/// The data beside it.
pub const DATA: &str = include_str!("opa_api/data.json");

/// A bundle of Rego modules and one data file.
pub fn rego_bundle(number: u64, modules: &[(&str, &str)], data: &str) -> Vec<u8> {
    let mut files: Vec<(&str, &[u8])> = modules
        .iter()
        .map(|(path, text)| (*path, text.as_bytes()))
        .collect();
    files.push(("data.json", data.as_bytes()));
    bundle_of(number, Vec::new(), &files, &[&signing_key()])
}

/// A sidecar that has the module and the data, started with these arguments.
pub fn sidecar(arguments: &[&str]) -> Sidecar {
    let pod = Pod::new();
    pod.put(&rego_bundle(1, &[("shop/shop.rego", MODULE)], DATA));
    start(&pod, arguments)
}

/// Starts a sidecar on a pod and waits until it decides.
pub fn start(pod: &Pod, arguments: &[&str]) -> Sidecar {
    let mut command: Command = pod.command();
    command.args(arguments);
    let mut sidecar = pod.spawn(&mut command);
    sidecar.wait_ready();
    sidecar
}

/// Sends a request with a body.
pub fn send(sidecar: &Sidecar, method: &str, path: &str, body: &str) -> Answer {
    Http::tcp(sidecar.http).send(method, path, &[], body.to_owned())
}
