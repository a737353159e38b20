//! A registry that says what it likes: nothing of that decides, and each kind is told apart.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::lictor;
use crate::support::pod::Pod;

use super::{ask, authz};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An answer: the status line's end, headers with their line ends, the body.
#[derive(Clone, Debug)]
struct Said(&'static str, String, Vec<u8>);

/// What it answers by the start of the path after `/v2/a/`; and who it lets in.
#[derive(Debug, Default)]
struct State {
    manifest: Option<Said>,
    blob: Option<Said>,
    /// `authorization` must be this; else the challenge.
    wants: Option<(String, String)>,
}

#[derive(Clone, Debug)]
struct Registry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Registry {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&serving);
                std::thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Self { address, state }
    }

    fn reference(&self) -> String {
        format!("oci+http://{}/a:live", self.address)
    }

    fn says(&self, manifest: Said, blob: Said) {
        let mut state = self.state.lock().unwrap();
        (state.manifest, state.blob) = (Some(manifest), Some(blob));
    }

    /// Says what is right.
    fn serves(&self, archive: &[u8]) {
        self.says(manifest(archive, LAYER), whole(archive));
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let (mut path, mut authorization) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            if path.is_empty() {
                line.split(' ').nth(1).unwrap().clone_into(&mut path);
            }
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("authorization")
            {
                value.trim().clone_into(&mut authorization);
            }
        }
        let answer = {
            let state = state.lock().unwrap();
            let refused = state
                .wants
                .as_ref()
                .filter(|(wanted, _)| *wanted != authorization);
            let said = if path.contains("/manifests/") {
                state.manifest.clone()
            } else {
                state.blob.clone()
            };
            match (refused, said) {
                (Some((_, challenge)), _) if path.starts_with("/v2/") => Said(
                    "401 Unauthorized",
                    format!("www-authenticate: {challenge}\r\n"),
                    Vec::new(),
                ),
                (_, Some(said)) => said,
                (_, None) => Said("404 Not Found", String::new(), Vec::new()),
            }
        };
        let Said(status, headers, body) = answer;
        let announced = headers.contains("content-length");
        let length = if announced {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        write!(stream, "HTTP/1.1 {status}\r\n{headers}{length}\r\n")?;
        stream.write_all(&body)?;
        if announced {
            return Ok(());
        }
    }
}

fn text(body: &str) -> Said {
    Said("200 OK", String::new(), body.as_bytes().to_vec())
}

fn whole(body: &[u8]) -> Said {
    Said("200 OK", String::new(), body.to_vec())
}

fn manifest(archive: &[u8], kind: &str) -> Said {
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(archive)));
    described(kind, &digest, archive.len() as u64)
}

fn described(kind: &str, digest: &str, size: u64) -> Said {
    let config = "application/vnd.oci.image.config.v1+json";
    let manifest: Value = json!({
        "schemaVersion": 2,
        "config": {"mediaType": config, "digest": format!("sha256:{}", "0".repeat(64)), "size": 2},
        "layers": [{"mediaType": kind, "digest": digest, "size": size}],
    });
    text(&manifest.to_string())
}

/// What is wrong, the code of the sidecar's error, and a part of what the command says.
fn bad(archive: &[u8]) -> Vec<(Said, Said, &'static str, &'static str)> {
    let right = manifest(archive, LAYER);
    let loops = Said(
        "307 Temporary Redirect",
        "location: /v2/a/blobs/again\r\n".to_owned(),
        Vec::new(),
    );
    let huge = Said(
        "200 OK",
        "content-length: 99999999999\r\n".to_owned(),
        b"x".to_vec(),
    );
    let long = format!("{{\"schemaVersion\":2,\"x\":\"{}\"}}", "y".repeat(5 << 20));
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(archive)));
    vec![
        (
            text("<html>"),
            whole(archive),
            "no_bundle",
            "no image manifest",
        ),
        (text(""), whole(archive), "no_bundle", "no image manifest"),
        (
            text(r#"{"schemaVersion":2,"manifests":[{"mediaType":"x"}]}"#),
            whole(archive),
            "no_bundle",
            "no image manifest",
        ),
        (text(&long), whole(archive), "interrupted", "larger than"),
        (
            manifest(archive, "application/vnd.docker.image.rootfs.diff.tar.gzip"),
            whole(archive),
            "no_bundle",
            "no tarball descriptor",
        ),
        (
            described(LAYER, "sha256:zz", 1),
            whole(archive),
            "no_bundle",
            "no layer with a SHA-256",
        ),
        (
            right.clone(),
            whole(b"other bytes"),
            "digest_mismatch",
            "SHA-256",
        ),
        (
            described(LAYER, &digest, 1 << 40),
            huge,
            "too_large",
            "at most",
        ),
        (right.clone(), loops, "redirect", "redirects too often"),
        (
            right,
            Said("500 Oops", String::new(), Vec::new()),
            "http_status",
            "status 500",
        ),
        (
            Said("403 No", String::new(), Vec::new()),
            whole(archive),
            "token",
            "refused the credentials",
        ),
    ]
}

fn pull(registry: &Registry, pod: &Pod, more: &[&str]) -> std::process::Output {
    let mut command = lictor();
    command.args(["bundle", "pull", &registry.reference(), "--out"]);
    command.arg(pod.path("pulled.tar.gz")).args(more);
    command.output().unwrap()
}

#[test]
fn what_a_registry_says_wrong_changes_nothing() {
    let registry = Registry::start();
    registry.serves(&authz("one"));
    let pod = Pod::new();
    pod.configure(&json!({
        "keyring": "", "cache": {"dir": "none"},
        "sources": [{
            "name": "authz", "url": registry.reference(), "profile": "opa",
            "allow_unsigned": true, "poll": "1s",
        }],
    }));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    for (index, (manifest, blob, code, said)) in bad(&authz("two")).into_iter().enumerate() {
        registry.says(manifest, blob);
        sidecar.sync();
        sidecar.wait_for(&format!("{index}: {code}"), |status| {
            status["sources"][0]["last_error"]["code"] == code
        });
        assert_eq!(ask(&sidecar, "ada").0, "one", "{index}: {said}");
        // What was wrong is over.
        registry.serves(&authz("one"));
        sidecar.sync();
        sidecar.wait_for("the good one again", |status| {
            status["sources"][0]["last_error"].is_null()
        });
    }
    registry.serves(&authz("two"));
    sidecar.wait_for("the next", |status| status["bundle"]["revision"] == "two");
}

#[test]
fn pulling_what_is_wrong_writes_nothing_and_says_why() {
    let registry = Registry::start();
    let pod = Pod::new();
    for (index, (manifest, blob, _, said)) in bad(&authz("two")).into_iter().enumerate() {
        registry.says(manifest, blob);
        let output = pull(&registry, &pod, &[]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{index}: {errors}");
        assert!(errors.contains(said), "{index}, {said}: {errors}");
        assert!(output.stdout.is_empty());
        assert!(!pod.path("pulled.tar.gz").exists());
    }
    let archive = authz("one");
    registry.serves(&archive);
    let output = pull(&registry, &pod, &["--output", "json"]);
    assert!(output.status.success());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["bytes"], archive.len());
    assert_eq!(told["sha256"], hex::encode(Sha256::digest(&archive)));
    // Progress is for terminals.
    assert!(output.stderr.is_empty(), "{:?}", output.stderr);
    assert_eq!(std::fs::read(pod.path("pulled.tar.gz")).unwrap(), archive);
}

#[test]
fn a_registry_of_an_opa_configuration_is_opened_as_it_says() {
    let registry = Registry::start();
    registry.serves(&authz("one"));
    let basic = "Basic YWRhOnRlc3Q=";
    let bearer = "Bearer dDBrZW4=";
    let pod = Pod::new();
    pod.put_at("secret", b"ada:test\n");
    let file = pod.path("secret");
    for (wants, challenge, credentials) in [
        (
            basic,
            "Basic realm=\"x\"",
            json!({"scheme": "Basic", "token": "ada:test"}),
        ),
        (
            basic,
            "Basic realm=\"x\"",
            json!({"scheme": "Basic", "token_path": file}),
        ),
        (
            bearer,
            "Bearer realm=\"http://127.0.0.1:1/token\"",
            json!({"token": "t0ken"}),
        ),
    ] {
        registry.state.lock().unwrap().wants = Some((wants.to_owned(), challenge.to_owned()));
        let config = json!({
            "services": {"r": {
                "url": format!("http://{}", registry.address), "type": "oci",
                "credentials": {"bearer": credentials},
            }},
            "bundles": {"authz": {"service": "r", "resource": format!("{}/a:live", registry.address)}},
        });
        pod.put_at("opa.json", config.to_string().as_bytes());
        let mut command = lictor();
        command
            .args(["sidecar", "--opa-config"])
            .arg(pod.path("opa.json"))
            .current_dir(pod.path("."))
            .env("LICTOR_OPA__ALLOW_UNSIGNED", "true")
            .env("LICTOR_LISTENERS__HTTP__ADDRESS", "127.0.0.1:0")
            .env("LICTOR_LISTENERS__GRPC__ADDRESS", "127.0.0.1:0")
            .env("LICTOR_LISTENERS__ADMIN__ADDRESS", "127.0.0.1:0");
        let mut sidecar = pod.spawn(&mut command);
        sidecar.wait_ready();
        assert_eq!(ask(&sidecar, "ada").0, "one", "{credentials}");
    }
}
