//! What the policy engine was told, understood by a sidecar; and what a container's probe runs.

use std::net::SocketAddr;

use lictor::policy::Format;

use crate::support::Lictor;
use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::engine::Engine;
use crate::support::pod::Pod;

const POLICY: &str = "
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: https-required}
spec: {type: SECURITY, severity: high, rule: {security: {require_https: true}}}
";

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A pod whose configuration leaves the gRPC listener to others.
fn pod() -> Pod {
    let pod = Pod::new();
    pod.configure(&serde_json::json!({"listeners": {
        "http": {"address": "127.0.0.1:0"},
        "admin": {"address": format!("127.0.0.1:{}", free_port())},
    }}));
    pod
}

fn listens(lictor: &mut Lictor, port: u16) {
    let address: SocketAddr = lictor.address("grpc");
    assert_eq!(address, SocketAddr::from(([127, 0, 0, 1], port)));
}

#[test]
fn file_variables_and_flags_hold_in_the_originals_precedence() {
    let pod = pod();
    let (file, variable, flag) = (free_port(), free_port(), free_port());
    let text = format!("server: {{port: {file}}}\ndatabase: {{host: db}}\n");
    pod.put_at("engine.yaml", text.as_bytes());
    let mut command = pod.command();
    command.env("CONFIG_PATH", pod.path("engine.yaml"));
    let mut by_file = Lictor::spawn(&mut command);
    listens(&mut by_file, file);
    let log = by_file.stderr().join("\n");
    assert!(log.contains("database.host"), "{log}");
    drop(by_file);
    command.env("POLICY_ENGINE_PORT", variable.to_string());
    let mut by_variable = Lictor::spawn(&mut command);
    listens(&mut by_variable, variable);
    drop(by_variable);
    command.args(["--port", &flag.to_string(), "--host", "127.0.0.1"]);
    listens(&mut Lictor::spawn(&mut command), flag);
}

#[test]
fn an_address_that_would_open_it_is_refused() {
    let pod = pod();
    for (name, value, said) in [
        ("POLICY_ENGINE_HOST", "0.0.0.0", "insecure_plaintext"),
        ("POLICY_ENGINE_PORT", "soon", "POLICY_ENGINE_PORT"),
        (
            "CONFIG_PATH",
            "/nowhere/engine.yaml",
            "/nowhere/engine.yaml",
        ),
    ] {
        let output = pod.command().env(name, value).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(said), "{said} is not in {error}");
    }
}

#[test]
fn the_probe_ends_with_0_once_the_sidecar_is_ready() {
    let pod = pod();
    let probe = || {
        let output = pod.command().arg("--health-check").output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), error)
    };
    let (code, error) = probe();
    assert_eq!(code, Some(1));
    assert!(error.contains("cannot connect"), "{error}");
    let mut command = pod.command();
    command.args(["--grpc", "127.0.0.1:0"]);
    let mut sidecar = pod.spawn(&mut command);
    assert_eq!(probe().0, Some(1), "there is no bundle yet");
    pod.put(&bundle_of(
        1,
        documents(POLICY, Format::Yaml),
        &[],
        &[&signing_key()],
    ));
    sidecar.sync();
    sidecar.wait_ready();
    assert_eq!(probe(), (Some(0), String::new()));
    drop(Engine::connect(sidecar.grpc));
}
