//! Who may know whom: every path of the production code in `src/**` is read and held against the
//! table of the layout.

mod paths;

use std::path::Path;

use paths::{SourceFile, read_sources};

/// The synchronous core.
const CORE: [&str; 5] = ["model", "policy", "engine", "jose", "bundle"];

/// What the core may not touch: transports, stores, logs, clocks, the environment, files.
const BANNED_IN_CORE: [&str; 17] = [
    "tokio",
    "hyper",
    "hyper_util",
    "http",
    "axum",
    "sqlx",
    "tracing",
    "prometheus",
    "std::time::SystemTime",
    "std::time::Instant",
    "time::OffsetDateTime::now_utc",
    "std::env",
    "std::fs",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::thread",
];

/// For each module, by the longest prefix that fits: what of the crate it may name, itself aside.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("policy", &["model"]),
    ("engine", &["model", "policy", "jose"]),
    ("jose", &[]),
    ("bundle", &["model", "policy", "jose"]),
    ("snapshot", &["model", "policy", "engine", "bundle"]),
    ("decision_log", &["model"]),
    ("decide", &["model", "engine", "snapshot", "decision_log"]),
    ("api", &["model"]),
    ("server", &[]),
    ("wire", &[]),
    ("resilience", &[]),
    // The units of its settings; connections to the collector.
    ("spans", &["server", "wire"]),
    // Its keys are in files and behind URLs, as configurations name them.
    ("identity", &["model", "jose", "server", "wire"]),
    (
        "sidecar::http",
        &[
            "model",
            "engine",
            "snapshot",
            "api",
            "decide",
            "decision_log",
            "server",
            "identity",
            "wire",
            "sidecar::caller",
            "sidecar::forward",
            "sidecar::status",
            "sidecar::config",
            "sidecar::clock",
            "sidecar::metrics",
            "sidecar::shared",
            "sidecar::header_values",
            "sidecar::revision",
            "sidecar::ext_authz",
        ],
    ),
    (
        "sidecar::grpc",
        &[
            "model",
            "engine",
            "snapshot",
            "api",
            "decide",
            "server",
            "identity",
            "sidecar::caller",
            "sidecar::status",
            "sidecar::config",
            "sidecar::clock",
            "sidecar::metrics",
            "sidecar::shared",
            "sidecar::revision",
            "wire",
            "sidecar::forward",
            "sidecar::ext_authz",
        ],
    ),
    // What every door does first.
    ("sidecar::caller", &["model", "api", "identity"]),
    ("sidecar::revision", &["model", "api", "sidecar::shared"]),
    // What Envoy asks, whatever its door.
    (
        "sidecar::ext_authz",
        &[
            "model",
            "engine",
            "api",
            "decide",
            "identity",
            "sidecar::caller",
            "sidecar::config",
        ],
    ),
    (
        "sidecar::opa",
        &[
            "model",
            "engine",
            "snapshot",
            "api",
            "decide",
            "server",
            "identity",
            "sidecar::caller",
            "sidecar::management",
            "sidecar::shared",
            "sidecar::header_values",
            "sidecar::revision",
            "sidecar::status",
            "sidecar::config",
        ],
    ),
    (
        "sidecar::activation",
        &[
            "model",
            "bundle",
            "policy",
            "engine",
            "snapshot",
            "resilience",
            "sidecar::source",
            "sidecar::cache",
            "sidecar::status",
            "sidecar::config",
            "sidecar::clock",
            "server",
            "wire",
        ],
    ),
    // What it fetches goes into the cache's folder, under its digest; a folder of archives is
    // looked through by tenant and number.
    (
        "sidecar::source",
        &[
            "model",
            "bundle",
            "server",
            "wire",
            "sidecar::cache",
            "sidecar::credentials",
            "sidecar::config",
        ],
    ),
    // An error with its causes, as telemetry writes it.
    (
        "sidecar::forward",
        &["api", "server", "wire", "resilience", "spans"],
    ),
    (
        "sidecar",
        &[
            "model",
            "policy",
            "engine",
            "bundle",
            "jose",
            "snapshot",
            "decide",
            "decision_log",
            "api",
            "server",
            "wire",
            "resilience",
            "spans",
            "identity",
        ],
    ),
    ("control_plane::store", &["model"]),
    (
        "control_plane",
        &[
            "model",
            "policy",
            "engine",
            "bundle",
            "jose",
            "snapshot",
            "decide",
            "api",
            "server",
            "wire",
            "resilience",
            "spans",
            "identity",
        ],
    ),
    (
        "cli",
        &[
            "model",
            "policy",
            "engine",
            "bundle",
            "jose",
            "snapshot",
            "decide",
            "api",
            "server",
            "wire",
            "resilience",
            "spans",
            "identity",
            "sidecar",
            "control_plane",
        ],
    ),
    ("main", &["cli", "wire"]),
    ("lib", &[]),
];

/// Whether `path` lies in `module`.
fn lies_in(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The rule for a module.
fn rule(module: &str) -> (&'static str, &'static [&'static str]) {
    *MAY_IMPORT
        .iter()
        .filter(|(name, _)| lies_in(module, name))
        .max_by_key(|(name, _)| name.len())
        .unwrap_or_else(|| panic!("the layout has no row for `{module}`"))
}

/// What is wrong with `file`, one line each.
fn offences(file: &SourceFile) -> Vec<String> {
    let (own, allowed) = rule(&file.module);
    let mut found = Vec::new();
    for path in &file.paths {
        let named = path.join("::");
        if let Some(inner) = named.strip_prefix("crate::") {
            let permitted =
                lies_in(inner, own) || allowed.iter().any(|module| lies_in(inner, module));
            // A path to the crate's root alone, or to an item of a permitted parent, names no module.
            if !permitted && !own.starts_with(&format!("{inner}::")) {
                found.push(format!("{}: `{own}` names `{inner}`", file.name));
            }
        }
        let top = own.split("::").next().unwrap();
        if CORE.contains(&top) && BANNED_IN_CORE.iter().any(|banned| lies_in(&named, banned)) {
            found.push(format!("{}: the core names `{named}`", file.name));
        }
    }
    found
}

#[test]
fn nobody_knows_more_than_the_layout_says() {
    let sources = read_sources();
    assert!(sources.len() > 50, "the sources were not found");
    let found: Vec<String> = sources.iter().flat_map(offences).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_programs_do_not_know_each_other_and_nobody_knows_the_command_line() {
    for (module, allowed) in MAY_IMPORT {
        let names = |program: &str| allowed.iter().any(|name| lies_in(name, program));
        let is_cli = *module == "cli" || *module == "main";
        assert!(is_cli || !names("cli"), "{module}");
        assert!(is_cli || lies_in(module, "sidecar") || !names("sidecar"));
        assert!(is_cli || lies_in(module, "control_plane") || !names("control_plane"));
        if CORE.contains(module) {
            assert!(
                allowed.iter().all(|name| CORE.contains(name)),
                "the core knows the core alone: {module}"
            );
        }
    }
}

#[test]
fn the_rules_see_every_kind_of_path() {
    let offending = [
        "use crate::sidecar::forward::Forwarder;",
        "use crate::{model::Revision, sidecar};",
        "use crate::sidecar as other;",
        "fn f() { crate::sidecar::run(); }",
        "fn f(x: crate::sidecar::T) {}",
        "fn f() { println!(\"{}\", crate::sidecar::NAME); }",
        "use super::super::sidecar::T;",
        "mod inner { use super::super::super::sidecar::T; }",
        "impl crate::sidecar::T for X {}",
        "use std::time::{Duration, SystemTime};",
        "fn f() { let now = std::time::Instant::now(); }",
        "use tokio::sync::mpsc;",
        "fn f() { tracing::info!(\"x\"); }",
        "#[tracing::instrument] fn f() {}",
        "use std::{env, fmt};",
        "use http::Request;",
    ];
    for text in offending {
        let file = SourceFile::parse("test.rs", "engine::deep", text);
        assert!(!offences(&file).is_empty(), "{text}");
    }
    let innocent = [
        "use crate::model::Timestamp;",
        "use super::other::T;",
        "mod inner { use super::super::other::T; }",
        "use std::time::Duration;",
        "mod http; use http::Rules;",
        "use super::http::{self, X}; fn f() { http::Rules::new(); }",
        "#[cfg(test)] mod tests { use crate::sidecar::T; }",
        "/// See [`crate::sidecar`].\nfn f() {}",
    ];
    for text in innocent {
        let file = SourceFile::parse("test.rs", "engine::deep", text);
        assert_eq!(offences(&file), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn modules_are_files_of_their_own_name() {
    let old: Vec<_> = read_sources()
        .into_iter()
        .filter(|file| file.name.ends_with("mod.rs"))
        .map(|file| file.name)
        .collect();
    assert!(old.is_empty(), "{old:?}");
}

#[test]
fn the_default_policies_stand_in_one_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let seed = root.join("control_plane/seed.yaml");
    let text = std::fs::read_to_string(&seed).unwrap();
    let name = regex::Regex::new(r"(?m)^  name: *(\S+)$").unwrap();
    // The example beside them has a name that is an ordinary word.
    let names: Vec<&str> = text
        .split("\n---\n")
        .filter(|document| document.contains("kind: ServicePolicy"))
        .filter_map(|document| Some(name.captures(document)?.get(1)?.as_str()))
        .collect();
    assert_eq!(names.len(), 5, "{names:?}");
    let mut files = Vec::new();
    paths::walk(&root, &mut files);
    for file in files.iter().filter(|file| **file != seed) {
        let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
        for name in &names {
            assert!(!text.contains(name), "`{name}` in {}", file.display());
        }
    }
}
