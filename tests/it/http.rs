//! The main and the admin listener, through the real binary with a bundle from a folder.

mod admin;
mod authzen;
mod authzen_search;
mod bad;
mod decisions;
mod facade;
mod identity;
mod life;
mod listeners;
mod mtls;
mod ofrep;

use lictor::policy::Format;
use serde_json::{Value, json};

use crate::support::Answer;
use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

/// A pod with a folder of bundles, a socket beside the port and no cache. `more` goes into the configuration as
/// further sections.
fn pod(more: &Value) -> Pod {
    let pod = Pod::new();
    std::fs::create_dir(pod.path("bundles")).unwrap();
    let mut config = json!({
        "cache": {"dir": "none"},
        "sources": [{"url": pod.path("bundles")}],
        "listeners": {
            "http": {
                "address": "127.0.0.1:0",
                "unix": pod.path("http.sock"),
                "allowed_origins": ["https://console.example"],
            },
            "grpc": {"address": "127.0.0.1:0"},
            "admin": {"address": "127.0.0.1:0"},
        },
        "threads": 2,
    });
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    pod.configure(&config);
    pod
}

/// Puts a bundle of these policies into the folder.
fn publish(pod: &Pod, number: u64, policies: &str) {
    let data: [(&str, &[u8]); 1] = [("todo/data.json", include_bytes!("http/todo.json"))];
    let documents = documents(policies, Format::Yaml);
    let archive = bundle_of(number, documents, &data, &[&signing_key()]);
    pod.put_at(&format!("bundles/{number}.tar.gz"), &archive);
}

/// Starts a sidecar with bundle 1 of these policies and waits until it decides.
fn deciding(policies: &str, more: &Value) -> Sidecar {
    let pod = pod(more);
    publish(&pod, 1, policies);
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    sidecar
}

/// Starts a sidecar that has no bundle.
fn empty(more: &Value) -> Sidecar {
    pod(more).start()
}

/// Starts a sidecar that has no bundle, with further variables.
fn empty_under(environment: &[(&str, &str)]) -> Sidecar {
    let pod = pod(&json!({}));
    pod.spawn(pod.command().envs(environment.iter().copied()))
}

/// Asserts a problem document.
fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let document = answer.json();
    assert_eq!(document["code"], code, "{document}");
    assert_eq!(document["status"], status, "{document}");
    assert!(document["type"].is_string() && document["title"].is_string());
    document
}
