//! Trust profile `opa`: a sidecar that runs OPA's own bundles, from a bundle server, from files and from a registry.

mod bad_registry;
mod registry;
pub(crate) mod server;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::outside;
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

use server::BundleServer;

/// A gzip-compressed tar of these files.
pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    gzip.finish().unwrap()
}

fn authz(word: &str) -> Vec<u8> {
    archive(&[
        (
            ".manifest",
            &json!({"revision": word, "roots": ["authz"]}).to_string(),
        ),
        (
            "authz/policy.rego",
            &format!(
                "package authz\n\nword := \"{word}\"\nallow if data.users[input.user].admin\n"
            ),
        ),
    ])
}

fn users(revision: &str, admin: &str) -> Vec<u8> {
    archive(&[
        (
            ".manifest",
            &json!({"revision": revision, "roots": ["users"]}).to_string(),
        ),
        (
            "users/data.json",
            &json!({ admin: {"admin": true} }).to_string(),
        ),
    ])
}

/// A pod whose sources are the bundles of this server.
fn pod(server: &BundleServer, names: &[&str]) -> Pod {
    let pod = Pod::new();
    let sources: Vec<Value> = names
        .iter()
        .map(|name| {
            json!({
                "name": name, "url": server.url(name), "profile": "opa",
                "allow_unsigned": true, "poll": "1s", "wait": "0s",
            })
        })
        .collect();
    pod.configure(&json!({ "sources": sources, "keyring": "" }));
    pod
}

/// What `data.authz` says about this user: its word, and whether it allows.
fn ask(sidecar: &Sidecar, user: &str) -> (String, bool) {
    let body = json!({"input": {"user": user}}).to_string();
    let answer = sidecar.post("/v1/data/authz", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let result = &answer.json()["result"];
    let word = result["word"].as_str().unwrap_or_default().to_owned();
    (word, result["allow"] == true)
}

fn revisions(status: &Value) -> Vec<String> {
    let bundles = status["bundle"]["bundles"].as_array();
    let bundles = bundles.into_iter().flatten();
    bundles
        .map(|bundle| bundle["revision"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn several_bundles_decide_as_one_generation_and_survive_a_restart() {
    let server = BundleServer::start();
    server.put("authz", authz("one"), "\"a1\"");
    let pod = pod(&server, &["authz", "users"]);
    let mut sidecar = pod.start();
    // One bundle of two is there: nothing decides.
    sidecar.wait_for("the first bundle", |status| {
        status["sources"][0]["last_success"].is_string()
    });
    assert_eq!(sidecar.admin("/health/ready").status, 503);
    let refused = sidecar.post("/v1/data/authz", "{}");
    assert!(
        refused.status >= 500,
        "{} {}",
        refused.status,
        refused.text()
    );
    server.put("users", users("u1", "ada"), "\"u1\"");
    sidecar.wait_ready();
    assert_eq!(ask(&sidecar, "ada"), ("one".to_owned(), true));
    assert_eq!(ask(&sidecar, "bob"), ("one".to_owned(), false));
    let status = sidecar.status();
    assert_eq!(revisions(&status), ["one", "u1"]);
    assert_eq!(status["sources"][0]["profile"], "opa");
    assert_eq!(
        status["sources"][0]["waived"],
        json!([3, 4, 6, 7, 8, 9, 10])
    );
    // A new one of the two is a new generation of both.
    server.put("users", users("u2", "bob"), "\"u2\"");
    sidecar.wait_for("the second users", |status| {
        revisions(status) == ["one", "u2"]
    });
    assert_eq!(ask(&sidecar, "ada"), ("one".to_owned(), false));
    assert_eq!(ask(&sidecar, "bob"), ("one".to_owned(), true));
    // Without its server it starts from what it kept.
    drop(sidecar);
    server.stop();
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    assert_eq!(ask(&sidecar, "bob"), ("one".to_owned(), true));
    assert_eq!(sidecar.status()["bundle"]["source"], "cache");
}

#[test]
fn what_does_not_fit_the_others_changes_nothing() {
    let server = BundleServer::start();
    server.put("authz", authz("one"), "\"a1\"");
    server.put("users", users("u1", "ada"), "\"u1\"");
    let pod = pod(&server, &["authz", "users"]);
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    for (step, bad) in [
        // A root of the other bundle.
        (12, archive(&[("authz/data.json", "{}")])),
        // A package outside its own root.
        (
            12,
            archive(&[
                (".manifest", r#"{"roots": ["users"]}"#),
                ("p.rego", "package authz.other\nx := 1\n"),
            ]),
        ),
        (
            14,
            archive(&[
                (".manifest", r#"{"roots": ["users"]}"#),
                ("p.rego", "package users.p\nx := http.send({})\n"),
            ]),
        ),
        (13, archive(&[("patch.json", r#"{"data": []}"#)])),
        (11, b"no archive".to_vec()),
    ] {
        server.put(
            "users",
            bad,
            &format!("\"bad-{step}-{}\"", rand::random::<u32>()),
        );
        let status = sidecar.wait_for(&format!("refusal at step {step}"), |status| {
            status["sources"][1]["last_error"]["step"] == step
        });
        assert_eq!(revisions(&status), ["one", "u1"]);
        assert_eq!(ask(&sidecar, "ada"), ("one".to_owned(), true));
        server.put("users", users("u1", "ada"), "\"u1\"");
        sidecar.sync();
    }
}

#[test]
fn a_delta_changes_the_data_and_is_never_kept() {
    let server = BundleServer::start();
    server.put("authz", authz("one"), "\"a1\"");
    server.put("users", users("u1", "ada"), "\"u1\"");
    let pod = pod(&server, &["authz", "users"]);
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    let patch = json!({"data": [
        {"op": "upsert", "path": "/users/bob", "value": {"admin": true}},
        {"op": "remove", "path": "/users/ada"},
    ]});
    let manifest = r#"{"revision": "u2", "roots": ["users"]}"#;
    let delta = archive(&[("patch.json", &patch.to_string()), (".manifest", manifest)]);
    server.put("users", delta, "\"u2\"");
    let status = sidecar.wait_for("the delta", |status| revisions(status) == ["one", "u2"]);
    assert_eq!(status["bundle"]["bundles"][1]["patches"], 2);
    assert_eq!(ask(&sidecar, "bob"), ("one".to_owned(), true));
    assert_eq!(ask(&sidecar, "ada"), ("one".to_owned(), false));
    let asked = server.last_request("users");
    assert!(asked.contains("prefer: modes=snapshot,delta"), "{asked}");
    drop(sidecar);
    server.stop();
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    assert_eq!(
        ask(&sidecar, "ada"),
        ("one".to_owned(), true),
        "the whole bundle"
    );
}

#[test]
fn a_patch_outside_the_roots_is_refused() {
    let server = BundleServer::start();
    server.put("users", users("u1", "ada"), "\"u1\"");
    let pod = pod(&server, &["users"]);
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    let patch = json!({"data": [{"op": "upsert", "path": "/other/x", "value": 1}]});
    let manifest = r#"{"revision": "u2", "roots": ["users"]}"#;
    let delta = archive(&[("patch.json", &patch.to_string()), (".manifest", manifest)]);
    server.put("users", delta, "\"u2\"");
    let status = sidecar.wait_for("a refusal", |status| {
        status["sources"][0]["last_error"]["step"] == 13
    });
    assert_eq!(revisions(&status), ["u1"]);
}

/// `opa build` of a policy, signed with this algorithm.
fn built_by_opa(opa: &Path, folder: &Path, algorithm: &str, key: &Path) -> Vec<u8> {
    std::fs::create_dir_all(folder.join("in/authz")).unwrap();
    let policy = "package authz\n\nword := \"signed\"\nallow if input.user == \"ada\"\n";
    std::fs::write(folder.join("in/authz/policy.rego"), policy).unwrap();
    std::fs::write(folder.join("in/data.json"), r#"{"limits": {"rate": 1.50}}"#).unwrap();
    std::fs::write(
        folder.join("in/.manifest"),
        r#"{"revision": "opa", "roots": [""]}"#,
    )
    .unwrap();
    let out = folder.join("bundle.tar.gz");
    let output = Command::new(opa)
        .current_dir(folder)
        .args(["build", "--bundle", "in", "--output", "bundle.tar.gz"])
        .args(["--signing-alg", algorithm, "--signing-key"])
        .arg(key)
        .args(["--verification-key-id", "prod"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::read(out).unwrap()
}

#[test]
fn bundles_that_opa_signed_pass_under_its_keys_alone() {
    let Some(opa) = outside("opa") else { return };
    let pod = Pod::new();
    let folder = pod.path("opa");
    std::fs::create_dir_all(&folder).unwrap();
    let secret = folder.join("secret");
    std::fs::write(&secret, "a-secret-of-more-than-thirty-two-bytes").unwrap();
    let pairs = [
        ("HS256", secret.clone(), secret),
        {
            let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
            let (private, public) = (folder.join("es.key"), folder.join("es.pub"));
            std::fs::write(&private, pair.serialize_pem()).unwrap();
            std::fs::write(&public, pair.public_key_pem()).unwrap();
            ("ES256", private, public)
        },
        {
            let (private, public) = rsa_pair(&folder);
            ("RS256", private, public)
        },
        {
            let (private, public) = rsa_pair(&folder);
            ("PS256", private, public)
        },
    ];
    for (algorithm, private, public) in pairs {
        let archive = built_by_opa(&opa, &folder, algorithm, &private);
        pod.put(&archive);
        let configure = |algorithm: &str| {
            pod.configure(&json!({
                "keyring": "",
                "cache": {"dir": "none"},
                "bundle_keys": [{"kid": "prod", "algorithm": algorithm, "key_file": public}],
                "sources": [{
                    "name": "main", "profile": "opa",
                    "url": pod.path("source.tar.gz").display().to_string(),
                    "signing": {"kid": "prod"},
                }],
            }));
        };
        configure(algorithm);
        let mut sidecar = pod.start();
        sidecar.wait_ready();
        assert_eq!(
            ask(&sidecar, "ada"),
            ("signed".to_owned(), true),
            "{algorithm}"
        );
        sidecar.wait_for("its revision", |status| {
            status["bundle"]["revision"] == "opa"
        });
        // The same file with a byte of a policy changed, under the old signature.
        let tampered = with_changed_policy(&archive);
        pod.put(&tampered);
        let status = sidecar.wait_for("a refusal", |status| {
            status["sources"][0]["last_error"]["code"] == "tampered"
        });
        assert_eq!(status["bundle"]["revision"], "opa");
    }
}

fn rsa_pair(folder: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (private, public) = (folder.join("rsa.key"), folder.join("rsa.pub"));
    if !private.exists() {
        let run = |arguments: &[&str]| {
            let output = Command::new("openssl").args(arguments).output().unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        let (key, public) = (private.to_str().unwrap(), public.to_str().unwrap());
        run(&["genrsa", "-traditional", "-out", key, "2048"]);
        run(&["rsa", "-in", key, "-pubout", "-out", public]);
    }
    (private, public)
}

/// The archive with another text in its policy.
fn with_changed_policy(original: &[u8]) -> Vec<u8> {
    changed(original, "ada", "eve")
}

/// The archive with one text in place of another in every file but the signatures.
pub(crate) fn changed(original: &[u8], from: &str, to: &str) -> Vec<u8> {
    use std::io::Read as _;
    let mut files = Vec::new();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(original));
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry
            .path()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_start_matches('/')
            .to_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let is_signed = !name.ends_with("signatures.json");
        let text = if is_signed {
            text.replace(from, to)
        } else {
            text
        };
        files.push((name, text));
    }
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    archive(&files)
}

#[test]
fn an_opa_configuration_file_is_all_that_is_needed() {
    let server = BundleServer::start();
    server.put("authz", authz("one"), "\"a1\"");
    let pod = Pod::new();
    let config = json!({
        "services": {"acme": {"url": server.url(""), "credentials": {"bearer": {"token": "t0p"}}}},
        "bundles": {"authz": {
            "service": "acme", "resource": "authz", "persist": true,
            "polling": {"min_delay_seconds": 1, "max_delay_seconds": 1},
        }},
        "persistence_directory": pod.path("persisted"),
    });
    pod.put_at("opa.json", config.to_string().as_bytes());
    let start = |allow: &str| {
        let mut command = crate::support::lictor();
        command
            .arg("sidecar")
            .arg("--opa-config")
            .arg(pod.path("opa.json"))
            .env("LICTOR_OPA__ALLOW_UNSIGNED", allow)
            .env("LICTOR_LISTENERS__HTTP__ADDRESS", "127.0.0.1:0")
            .env("LICTOR_LISTENERS__GRPC__ADDRESS", "127.0.0.1:0")
            .env("LICTOR_LISTENERS__ADMIN__ADDRESS", "127.0.0.1:0");
        pod.spawn(&mut command)
    };
    let sidecar = start("false");
    sidecar.wait_for("a refusal", |status| {
        status["sources"][0]["last_error"]["code"] == "untrusted"
    });
    drop(sidecar);
    let mut sidecar = start("true");
    sidecar.wait_ready();
    assert_eq!(ask(&sidecar, "ada"), ("one".to_owned(), false));
    let asked = server.last_request("authz");
    assert!(asked.contains("authorization: Bearer t0p"), "{asked}");
    assert!(pod.path("persisted").is_dir());
}
