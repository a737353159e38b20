//! What a sidecar holds in memory when it has nothing to do: there is one beside every application.

use serde_json::json;

use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::pod::Pod;
use lictor::policy::Format;

/// Anonymous memory: heap, stacks, what the allocator keeps, and what the linker relocated, of which a debug build has
/// more. A release build's code adds about 11 MB of file pages, which sidecars on one machine share.
const ANONYMOUS_KIB: u64 = 8 * 1024;
/// All that is resident, of a release build.
const RESIDENT_KIB: u64 = 16 * 1024;

#[test]
fn an_idle_sidecar_with_the_default_policies_is_small() {
    let pod = Pod::new();
    pod.configure(&json!({
        "cache": {"dir": "none"},
        "sources": [{"url": pod.path("bundle.tar.gz")}],
        "listeners": {
            "http": {"address": "127.0.0.1:0"},
            "grpc": {"address": "127.0.0.1:0"},
            "admin": {"address": "127.0.0.1:0"},
        },
        "threads": 2,
    }));
    let policies = include_str!("../../loadtest/policies/default/policies.yaml");
    let archive = bundle_of(1, documents(policies, Format::Yaml), &[], &[&signing_key()]);
    pod.put_at("bundle.tar.gz", &archive);
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    for _ in 0..100 {
        assert_eq!(
            sidecar
                .post("/v1/validate", "{\"version\":\"1.0.0\"}")
                .status,
            200
        );
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", sidecar.process.id())).unwrap();
    let kib = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    println!(
        "resident {} KiB, anonymous {} KiB",
        kib("VmRSS:"),
        kib("RssAnon:")
    );
    assert!(kib("RssAnon:") <= ANONYMOUS_KIB, "{status}");
    if !cfg!(debug_assertions) {
        assert!(kib("VmRSS:") <= RESIDENT_KIB, "{status}");
    }
}
