use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use serde_json::{Value, json};
use sha2::Digest as _;

use super::*;

/// A gzip-compressed tar of these files.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let bytes = header.as_gnu_mut().unwrap();
        bytes.name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    gzip.finish().unwrap()
}

/// `.signatures.json` over these files by the secret `secret`, with HS256 and SHA-256.
fn signed(files: &[(&str, &str)], header: &Value, more: &Value) -> String {
    let listed: Vec<Value> = files
        .iter()
        .map(|(name, content)| {
            let hash = hash::file(name.trim_start_matches('/'), content.as_bytes()).unwrap();
            json!({"name": name.trim_start_matches('/'), "hash": hex::encode(hash), "algorithm": "SHA-256"})
        })
        .collect();
    let mut payload = json!({ "files": listed });
    for (name, value) in more.as_object().unwrap() {
        payload[name] = value.clone();
    }
    let message = format!(
        "{}.{}",
        BASE64.encode(header.to_string()),
        BASE64.encode(payload.to_string())
    );
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, b"secret"),
        message.as_bytes(),
    );
    json!({"signatures": [format!("{message}.{}", BASE64.encode(tag))]}).to_string()
}

fn trust() -> OpaTrust {
    let key = OpaKey::new("secret", "HS256", None).unwrap();
    OpaTrust {
        keys: BTreeMap::from([("k".to_owned(), key)]),
        ..OpaTrust::default()
    }
}

fn unsigned() -> OpaTrust {
    OpaTrust {
        allow_unsigned: true,
        ..OpaTrust::default()
    }
}

fn opened(files: &[(&str, &str)], trust: &OpaTrust) -> Result<OpaBundle, VerifyError> {
    open_opa(&archive(files), None, trust, &Limits::default())
}

fn content(files: &[(&str, &str)]) -> OpaContent {
    match opened(files, &unsigned()).unwrap() {
        OpaBundle::Snapshot(content) => content,
        OpaBundle::Delta { .. } => panic!("a delta"),
    }
}

fn refused(files: &[(&str, &str)], trust: &OpaTrust) -> (u8, &'static str, String) {
    let error = opened(files, trust).unwrap_err();
    (error.step.number(), error.code.as_str(), error.detail)
}

const FILES: [(&str, &str); 3] = [
    ("/.manifest", r#"{"revision": "r1", "roots": ["a", "b/c"]}"#),
    ("/a/data.json", r#"{"x": 1}"#),
    ("/policy.rego", "package a\nallow := true\n"),
];

#[test]
fn files_are_found_under_any_spelling_of_their_path() {
    let files = [
        ("./a/data.json", "{}"),
        ("/b/p.rego", "package b"),
        ("c/data.yaml", "x: [1, 2]"),
        ("policy.wasm", "\0asm"),
    ];
    let content = content(&files);
    let paths: Vec<String> = content
        .data
        .iter()
        .map(|(path, _)| path.join("/"))
        .collect();
    assert_eq!(paths, ["a", "c"]);
    assert_eq!(content.data[1].1, br#"{"x":[1,2]}"#);
    assert_eq!(
        content.modules,
        [("b/p.rego".to_owned(), "package b".to_owned())]
    );
    assert_eq!(content.ignored, ["policy.wasm"]);
    assert_eq!(content.manifest.roots, [""]);
}

#[test]
fn a_signed_bundle_passes_and_every_change_of_it_does_not() {
    let header = json!({"alg": "HS256", "kid": "k"});
    let with = |files: &[(&'static str, &'static str)], signature: &str| {
        let mut all: Vec<(&str, &str)> = files.to_vec();
        all.push(("/.signatures.json", signature));
        opened(&all, &trust())
    };
    let good = signed(&FILES, &header, &json!({}));
    match with(&FILES, &good).unwrap() {
        OpaBundle::Snapshot(content) => {
            assert_eq!(content.kid.as_deref(), Some("k"));
            assert_eq!(content.manifest.revision, "r1");
        }
        OpaBundle::Delta { .. } => panic!("a delta"),
    }
    let code = |result: Result<OpaBundle, VerifyError>| {
        let error = result.unwrap_err();
        (error.step.number(), error.code.as_str())
    };
    let mut changed = FILES;
    changed[2].1 = "package a\nallow := false\n";
    assert_eq!(code(with(&changed, &good)), (5, "tampered"));
    assert_eq!(code(with(&FILES[..2], &good)), (5, "tampered"), "missing");
    let more = [FILES[0], FILES[1], FILES[2], ("/extra.txt", "x")];
    assert_eq!(code(with(&more, &good)), (5, "tampered"), "unlisted");
    for (what, header, claims) in [
        (
            "another key",
            json!({"alg": "HS256", "kid": "other"}),
            json!({}),
        ),
        ("no key", json!({"alg": "HS256"}), json!({})),
        (
            "another algorithm",
            json!({"alg": "none", "kid": "k"}),
            json!({}),
        ),
        ("a scope", header.clone(), json!({"scope": "write"})),
    ] {
        let signature = signed(&FILES, &header, &claims);
        assert_eq!(code(with(&FILES, &signature)), (5, "untrusted"), "{what}");
    }
    let forged = good.replace("\"]", "A\"]");
    assert!(with(&FILES, &forged).is_err());
    let by_claim = signed(&FILES, &json!({"alg": "HS256"}), &json!({"keyid": "k"}));
    assert!(with(&FILES, &by_claim).is_ok(), "the deprecated claim");
}

#[test]
fn unsigned_passes_only_where_that_is_allowed() {
    assert_eq!(refused(&FILES, &trust()).1, "untrusted");
    assert_eq!(refused(&FILES, &OpaTrust::default()).1, "untrusted");
    assert!(opened(&FILES, &unsigned()).is_ok());
    let named = OpaTrust {
        keyid: Some("k".to_owned()),
        ..unsigned()
    };
    assert_eq!(
        refused(&FILES, &named).1,
        "untrusted",
        "a key was asked for"
    );
}

#[test]
fn weak_hashes_are_refused_and_others_are_known() {
    let text = "package a";
    for (algorithm, hash, passes) in [
        ("SHA-512", hex::encode(sha2::Sha512::digest(text)), true),
        (
            "SHA-512-256",
            hex::encode(sha2::Sha512_256::digest(text)),
            true,
        ),
        ("MD5", hex::encode(md5::Md5::digest(text)), false),
        ("sha256", hex::encode(sha2::Sha256::digest(text)), false),
    ] {
        let listed = json!({"files": [{"name": "p.rego", "hash": hash, "algorithm": algorithm}]});
        let signature = signed(&[], &json!({"alg": "HS256", "kid": "k"}), &listed);
        let files = [("p.rego", text), (".signatures.json", &*signature)];
        assert_eq!(opened(&files, &trust()).is_ok(), passes, "{algorithm}");
    }
}

#[test]
fn excluded_files_need_no_signature() {
    let signature = signed(
        &[FILES[2]],
        &json!({"alg": "HS256", "kid": "k"}),
        &json!({}),
    );
    let files = [
        FILES[2],
        ("/b/data.json", "{}"),
        ("/.signatures.json", &*signature),
    ];
    let trust = |pattern: &str| OpaTrust {
        exclude_files: vec![pattern.to_owned()],
        ..trust()
    };
    assert!(opened(&files, &trust("b/*")).is_ok());
    assert!(opened(&files, &trust("*")).is_err(), "stays within a part");
}

#[test]
fn everything_lies_inside_the_roots() {
    let manifest = (".manifest", r#"{"roots": ["a", "b/c"]}"#);
    for (file, text, passes) in [
        ("a/data.json", "1", true),
        ("a/x/data.json", "1", true),
        ("data.json", r#"{"a": 1, "b": {"c": {"d": 1}}}"#, true),
        ("data.json", r#"{"b": {"x": 1}}"#, false),
        ("ab/data.json", "{}", false),
        ("b/data.json", r#"{"c": 1}"#, true),
        ("b/data.json", "{}", true),
        ("b/data.json", "1", false),
    ] {
        let result = opened(&[manifest, (file, text)], &unsigned());
        if file == "b/data.json" && text == "{}" {
            // An empty object above a root holds no leaf.
            assert!(result.is_ok());
            continue;
        }
        assert_eq!(result.is_ok(), passes, "{file} {text}");
    }
    assert_eq!(
        refused(&[(".manifest", r#"{"roots": ["a", "a/b"]}"#)], &unsigned()).0,
        12
    );
}

#[test]
fn bundles_must_not_share_a_root() {
    let check = |bundles: &[(&'static str, &[&str])]| {
        let owned: Vec<(&str, Vec<String>)> = bundles
            .iter()
            .map(|(name, roots)| (*name, roots.iter().map(|r| (*r).to_owned()).collect()))
            .collect();
        let map: BTreeMap<&str, &[String]> = owned
            .iter()
            .map(|(name, roots)| (*name, &**roots))
            .collect();
        overlapping_roots(&map).is_some()
    };
    assert!(!check(&[("x", &["a/b", "c"]), ("y", &["a/bc", "d"])]));
    assert!(check(&[("x", &["a/b"]), ("y", &["a/b"])]));
    assert!(check(&[("x", &["a"]), ("y", &["a/b"])]));
    assert!(check(&[("x", &[""]), ("y", &["a/b"])]));
    assert!(check(&[("x", &["a", "a-b"]), ("y", &["a/b"])]));
}

#[test]
fn a_delta_changes_data_and_nothing_else() {
    let patches = r#"{"data": [{"op": "upsert", "path": "/a/b", "value": 1}]}"#;
    let manifest = (".manifest", r#"{"revision": "d", "roots": ["a"]}"#);
    match opened(&[manifest, ("/patch.json", patches)], &unsigned()).unwrap() {
        OpaBundle::Delta { manifest, patches } => {
            assert_eq!((manifest.revision.as_str(), patches.len()), ("d", 1));
        }
        OpaBundle::Snapshot(_) => panic!("no delta"),
    }
    for files in [
        vec![("patch.json", r#"{"data": []}"#)],
        vec![("patch.json", "{}")],
        vec![("patch.json", patches), ("p.rego", "package p")],
        vec![("patch.json", r#"{"data": [{"op": "add", "path": "/a"}]}"#)],
    ] {
        assert_eq!(refused(&files, &unsigned()).0, 13, "{files:?}");
    }
}

#[test]
fn patches_apply_as_opa_applies_them() {
    let apply = |op: &str, path: &str, value: Value| {
        let mut root = json!({"a": {"b": 1}, "l": [1, 2]});
        let patch: Patch =
            serde_json::from_value(json!({"op": op, "path": path, "value": value})).unwrap();
        patch.apply(&mut root).map(|()| root).ok()
    };
    for (op, path, value, expected) in [
        (
            "upsert",
            "/a/c/d",
            json!(2),
            Some(json!({"a": {"b": 1, "c": {"d": 2}}, "l": [1, 2]})),
        ),
        (
            "upsert",
            "l/1",
            json!(9),
            Some(json!({"a": {"b": 1}, "l": [1, 9, 2]})),
        ),
        (
            "upsert",
            "/l/-",
            json!(9),
            Some(json!({"a": {"b": 1}, "l": [1, 2, 9]})),
        ),
        (
            "replace",
            "/a/b",
            json!([]),
            Some(json!({"a": {"b": []}, "l": [1, 2]})),
        ),
        (
            "remove",
            "/l/0",
            json!(null),
            Some(json!({"a": {"b": 1}, "l": [2]})),
        ),
        ("replace", "/a/x", json!(1), None),
        ("remove", "/x", json!(null), None),
        ("upsert", "/a/b/c", json!(1), None),
        ("upsert", "/l/7", json!(1), None),
        ("remove", "", json!(null), None),
    ] {
        assert_eq!(apply(op, path, value), expected, "{op} {path}");
    }
}

#[test]
fn limits_hold_before_anything_is_believed() {
    let big = "x".repeat(100_000);
    let bytes = archive(&[("a", &big), ("b", "1")]);
    let with = |limits: Limits| open_opa(&bytes, None, &unsigned(), &limits).map(drop);
    let code = |limits| with(limits).unwrap_err().code.as_str();
    let defaults = Limits::default();
    assert!(with(defaults).is_ok());
    assert_eq!(
        code(Limits {
            entries: 1,
            ..defaults
        }),
        "unsafe_archive"
    );
    assert_eq!(
        code(Limits {
            entry_bytes: 99_999,
            ..defaults
        }),
        "unsafe_archive"
    );
    assert_eq!(
        code(Limits {
            total_bytes: 99_999,
            ..defaults
        }),
        "unsafe_archive"
    );
    assert_eq!(
        code(Limits {
            archive_bytes: 10,
            ..defaults
        }),
        "too_large"
    );
    let zeros = archive(&[("a", &"\0".repeat(4_000_000))]);
    let bomb = open_opa(
        &zeros,
        None,
        &unsigned(),
        &Limits {
            ratio: 10,
            ..defaults
        },
    );
    assert_eq!(bomb.unwrap_err().code.as_str(), "unsafe_archive");
    let wrong = open_opa(&bytes, Some(&[0; 32]), &unsigned(), &defaults);
    assert_eq!(wrong.unwrap_err().step.number(), 2);
}

#[test]
fn garbage_is_refused() {
    for bytes in [
        &b""[..],
        b"no gzip",
        &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1],
    ] {
        assert!(open_opa(bytes, None, &unsigned(), &Limits::default()).is_err());
    }
    for name in ["../a", "a/../b", "a//b", "a\\b", "a/./b"] {
        assert_eq!(refused(&[(name, "{}")], &unsigned()).0, 11, "{name}");
    }
    for files in [
        [("data.json", "{"), ("x", "")],
        [("data.json", "[]"), ("x", "")],
        [("data.json", r#"{"a": 1, "a": 2}"#), ("x", "")],
        [("data.yaml", "a: *b"), ("x", "")],
        [("p.rego", "\u{0}"), ("p.rego", "")],
        [(".manifest", "[]"), ("x", "")],
        [(".manifest", r#"{"rego_version": 2}"#), ("x", "")],
    ] {
        assert!(opened(&files, &unsigned()).is_err(), "{files:?}");
    }
    // Every prefix of a good archive is refused or incomplete, and none of it panics.
    let good = archive(&FILES);
    for end in (0..good.len()).step_by(7) {
        assert!(open_opa(&good[..end], None, &trust(), &Limits::default()).is_err());
    }
}
