//! A real OPA against a bundle of ours.

use std::path::Path;
use std::process::Command;

use lictor::bundle::{Builder, PolicyEntry, Previous, SigningKey, public_key_pem, sign};
use lictor::model::{PolicyId, Timestamp, VersionStatus};

use crate::support::{outside, scratch};

const REGO: &str = "package shop

allow if data.limits.rate >= input.rate
";

fn bundle(keys: &[&SigningKey]) -> Vec<u8> {
    let issued = Timestamp::parse("2026-11-01T00:00:00Z").unwrap();
    let mut builder = Builder::new(
        "acme".parse().unwrap(),
        7,
        issued,
        issued.plus_seconds(604_800),
        "x".to_owned(),
    );
    let entry = PolicyEntry {
        id: PolicyId::derived("acme", "Opaque", "note"),
        name: "note".to_owned(),
        kind: "Opaque".to_owned(),
        version: "1.0.0".to_owned(),
        status: VersionStatus::Active,
        group: None,
        created_at: issued,
        changed_at: issued,
        content_hash: "0".repeat(64),
        path: String::new(),
    };
    builder
        .policy(entry, br#"{"note": "OPA ignores this"}"#.to_vec())
        .file("shop/policy.rego".to_owned(), REGO.as_bytes().to_vec())
        .file(
            "limits/data.json".to_owned(),
            "{\"rate\": 1.50, \"k\": \"<&>\u{e9}\u{2028}\"}".into(),
        );
    builder.build(keys).unwrap()
}

/// The answer to `data.shop.allow`, or OPA's complaint.
fn ask(opa: &Path, archive: &[u8], key: &SigningKey) -> Result<serde_json::Value, String> {
    let folder = scratch();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("bundle.tar.gz"), archive).unwrap();
    std::fs::write(path("key.pem"), public_key_pem(&key.public_key()).unwrap()).unwrap();
    std::fs::write(path("input.json"), r#"{"rate": 1}"#).unwrap();
    let output = Command::new(opa)
        .args(["build", "--bundle", "--verification-key", &path("key.pem")])
        .args(["--verification-key-id", "k", "--signing-alg", "EdDSA"])
        .args(["--output", &path("checked.tar.gz"), &path("bundle.tar.gz")])
        .output()
        .unwrap();
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        return Err(String::from_utf8_lossy(&text).into_owned());
    }
    // What OPA built from the verified bundle answers.
    let output = Command::new(opa)
        .args([
            "eval",
            "--format",
            "json",
            "--bundle",
            &path("checked.tar.gz"),
        ])
        .args(["--input", &path("input.json"), "data.shop.allow"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    Ok(answer["result"][0]["expressions"][0]["value"].clone())
}

#[test]
fn opa_verifies_and_loads_our_bundle() {
    let Some(opa) = outside("opa") else { return };
    let key = SigningKey::from_seed("k", &[1; 32]);
    let archive = bundle(&[&key]);
    assert_eq!(ask(&opa, &archive, &key), Ok(true.into()));
    // Further signatures do not disturb it.
    let signed = sign(
        &archive,
        Previous::Keep,
        &[&SigningKey::from_seed("other", &[2; 32])],
    )
    .unwrap();
    assert_eq!(ask(&opa, &signed, &key), Ok(true.into()));
}

#[test]
fn opa_refuses_it_under_another_key() {
    let Some(opa) = outside("opa") else { return };
    let archive = bundle(&[&SigningKey::from_seed("k", &[1; 32])]);
    let error = ask(&opa, &archive, &SigningKey::from_seed("k", &[2; 32])).unwrap_err();
    assert!(error.contains("verif"), "{error}");
}
