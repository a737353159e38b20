//! Calls of builtins, each answered by a real OPA and by a sidecar, on the register machine and interpreted.

use std::fmt::Write as _;
use std::process::Command;

use lictor::engine::rego::rego_builtins;
use serde_json::{Value, json};

use crate::opa_api::Opa;
use crate::support::{Http, outside};

use super::equal;
use super::rest::{Answer, ask, sidecar};

/// Keys, certificates, and tokens that they sign: `data.jwt` of every call.
const JWT: &str = include_str!("jwt.json");
/// An expression a line, in Rego v1.
const CALLS: &str = include_str!("calls.txt");
/// The same for builtins that Rego v0 alone has.
const OLD_CALLS: &str = include_str!("calls_v0.txt");

fn calls(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// Every way to verify every kind of token, rightly and wrongly.
fn jwt_calls() -> Vec<String> {
    let jwt: Value = serde_json::from_str(JWT).unwrap();
    let names = |member: &str| -> Vec<String> {
        jwt[member].as_object().unwrap().keys().cloned().collect()
    };
    let mut calls = Vec::new();
    for algorithm in [
        "rs256", "rs384", "rs512", "ps256", "ps384", "ps512", "es256", "es384", "eddsa",
    ] {
        for token in names("tokens") {
            let is_own = token == algorithm || token == "es256" || token == "eddsa";
            if !is_own && algorithm != "rs256" {
                continue;
            }
            let token = format!("data.jwt.tokens.{token}");
            for key in names("keys") {
                for form in jwt["keys"][&key].as_object().unwrap().keys() {
                    let key = format!("data.jwt.keys.{key}.{form}");
                    calls.push(format!("io.jwt.verify_{algorithm}({token}, {key})"));
                }
            }
            calls.push(format!("io.jwt.verify_{algorithm}({token}, \"no key\")"));
        }
    }
    for token in names("tokens") {
        for key in ["rsa", "ec256", "ec384", "ed"] {
            for form in jwt["keys"][key].as_object().unwrap().keys() {
                calls.push(format!(
                    "io.jwt.decode_verify(data.jwt.tokens.{token}, {{\"cert\": data.jwt.keys.{key}.{form}, \"aud\": \"a\"}})"
                ));
            }
        }
    }
    for algorithm in ["HS256", "HS384", "HS512"] {
        let header = format!(r#"{{"alg": "{algorithm}", "typ": "JWT"}}"#);
        let key = r#"{"kty": "oct", "k": "YSBzZWNyZXQgb2YgdGhlIHRlc3Rz"}"#;
        calls.push(format!(
            r#"io.jwt.encode_sign({header}, {{"sub": "ann", "n": [1, null]}}, {key})"#
        ));
        calls.push(format!(
            "io.jwt.encode_sign_raw(`{header}`, `{{\"sub\": \"ann\"}}`, `{key}`)"
        ));
    }
    for token in names("hs") {
        let token = format!("data.jwt.hs.{token}");
        calls.push(format!("io.jwt.decode({token})"));
        for algorithm in ["hs256", "hs384", "hs512"] {
            for secret in ["data.jwt.secret", "\"another\"", "\"\""] {
                calls.push(format!("io.jwt.verify_{algorithm}({token}, {secret})"));
            }
        }
        for more in CONSTRAINTS {
            calls.push(format!(
                "io.jwt.decode_verify({token}, {{\"secret\": data.jwt.secret{more}}})"
            ));
        }
    }
    calls
}

/// What tokens are held against, beside the secret.
const CONSTRAINTS: [&str; 18] = [
    "",
    r#", "aud": "a""#,
    r#", "aud": "c""#,
    r#", "aud": "a", "iss": "https://idp""#,
    r#", "aud": "a", "iss": "https://other""#,
    r#", "aud": "a", "alg": "HS256""#,
    r#", "aud": "a", "alg": "HS384""#,
    r#", "aud": "a", "alg": "none""#,
    r#", "aud": "a", "alg": """#,
    r#", "aud": "a", "time": 1550000000000000000"#,
    r#", "aud": "a", "time": 1400000000000000000"#,
    r#", "aud": "a", "time": 1600000000000000000"#,
    r#", "aud": "a", "time": 4102444800000000000"#,
    r#", "aud": "a", "time": 4102444799999999999"#,
    r#", "aud": "a", "time": "now""#,
    r#", "aud": ["a"]"#,
    r#", "unknown": "x""#,
    r#", "aud": "a", "cert": "x""#,
];

/// What an operator of the language is in the table of builtins.
const OPERATOR: &str = "an operator of the language";

#[test]
fn every_builtin_that_is_there_is_called() {
    let text = [CALLS, OLD_CALLS, &jwt_calls().join("\n")].concat();
    let uncalled: Vec<_> = rego_builtins()
        .filter(|builtin| builtin.here != "no" && builtin.note != OPERATOR)
        .filter(|builtin| builtin.name != "internal.print")
        .filter(|builtin| !text.contains(&format!("{}(", builtin.name)))
        .map(|builtin| builtin.name)
        .collect();
    assert!(uncalled.is_empty(), "{uncalled:?}");
}

/// A module of a rule for each expression; `with` keeps those of the second package off the register machine.
fn module(package: &str, calls: &[String], interpreted: bool, old: bool) -> String {
    let mut text = format!("package {package}\n\n");
    let (assign, condition) = if old { ("=", "") } else { (":=", "if ") };
    let with = if interpreted {
        " with input.unused as 1"
    } else {
        ""
    };
    for (index, call) in calls.iter().enumerate() {
        let _ = writeln!(
            text,
            "c{index} {assign} value {condition}{{ value := {call}{with} }}"
        );
    }
    text
}

#[test]
fn calls_of_builtins_answer_as_in_opa() {
    let Some(binary) = outside("opa") else { return };
    let (mut calls, old) = (calls(CALLS), calls(OLD_CALLS));
    calls.extend(jwt_calls());
    let data = format!("{{\"jwt\": {JWT}}}");
    let modules = [
        (
            "calls/machine.rego",
            module("calls.machine", &calls, false, false),
        ),
        (
            "calls/interpreter.rego",
            module("calls.interpreter", &calls, true, false),
        ),
        ("old/machine.rego", module("old.machine", &old, false, true)),
        (
            "old/interpreter.rego",
            module("old.interpreter", &old, true, true),
        ),
    ];
    let manifest = json!({
        "rego_version": 1,
        "file_rego_versions": {"/old/machine.rego": 0, "/old/interpreter.rego": 0},
    })
    .to_string();
    let mut files: Vec<(&str, &str)> = modules
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    files.push((".manifest", &manifest));
    let opa = Opa::start_with(&binary, &files, &data, &[]);
    files.push(("data.json", &data));
    let sidecar = sidecar(&files, &Value::Null);
    let mut wrong = Vec::new();
    let mut defined = 0;
    for (package, calls) in [("calls", &calls), ("old", &old)] {
        let path = format!("/v1/data/{package}");
        let input = json!({"text": "x", "list": [1]});
        let Answer::Value(theirs) = ask(&mut Http::tcp(opa.address), &path, &input) else {
            panic!("OPA does not answer {path}");
        };
        let ours = match ask(&mut Http::tcp(sidecar.http), &path, &input) {
            Answer::Value(ours) => ours,
            other => panic!("{other:?}"),
        };
        for (index, call) in calls.iter().enumerate() {
            let rule = format!("c{index}");
            let theirs = theirs["machine"].get(&rule);
            defined += usize::from(theirs.is_some());
            for engine in ["machine", "interpreter"] {
                let ours = ours[engine].get(&rule);
                let is_same = match (theirs, ours) {
                    (Some(theirs), Some(ours)) => equal(theirs, ours),
                    (theirs, ours) => theirs.is_none() && ours.is_none(),
                };
                if !is_same {
                    let said = |value: Option<&Value>| {
                        value.map_or_else(|| "undefined".to_owned(), Value::to_string)
                    };
                    wrong.push(format!(
                        "{call}\n  opa:  {}\n  {engine}: {}",
                        said(theirs),
                        said(ours)
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!(
        "{} calls, {defined} of them defined",
        calls.len() + old.len()
    );
    assert!(defined * 2 > calls.len() + old.len());
}

#[test]
fn the_table_has_every_builtin_of_opa() {
    let Some(binary) = outside("opa") else { return };
    let output = Command::new(binary)
        .args(["capabilities", "--current"])
        .output()
        .unwrap();
    let capabilities: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut theirs: Vec<&str> = capabilities["builtins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|builtin| builtin["name"].as_str().unwrap())
        .collect();
    let mut ours: Vec<&str> = rego_builtins().map(|builtin| builtin.name).collect();
    theirs.sort_unstable();
    ours.sort_unstable();
    assert_eq!(ours, theirs);
}
