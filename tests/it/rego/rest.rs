//! A real OPA and a sidecar, asked the same over `POST /v1/data`.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::opa_api::{Opa, start};
use crate::opa_bundles::archive;
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;
use crate::support::{Http, outside, scratch};

use super::{Differences, Sample, engines, equal, generate, samples};

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Undefined,
    Value(Value),
    /// The HTTP status, OPA's code of the first error, and all that is said.
    Error(u16, String, String),
}

/// Asks for a document.
pub fn ask(http: &mut Http, path: &str, input: &Value) -> Answer {
    let answer = http.send("POST", path, &[], json!({ "input": input }).to_string());
    let text = answer.text();
    let mut body: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"));
    if answer.status != 200 {
        let code = body["errors"][0]["code"].as_str().unwrap_or_default();
        return Answer::Error(answer.status, code.to_owned(), text);
    }
    match body.as_object_mut().unwrap().remove("result") {
        Some(value) => Answer::Value(value),
        None => Answer::Undefined,
    }
}

pub fn same(theirs: &Answer, ours: &Answer) -> bool {
    match (theirs, ours) {
        (Answer::Undefined, Answer::Undefined) => true,
        (Answer::Value(left), Answer::Value(right)) => equal(left, right),
        (Answer::Error(status, code, _), Answer::Error(other_status, other_code, _)) => {
            status == other_status && code == other_code
        }
        _ => false,
    }
}

/// A sidecar whose bundle, one of OPA's, has these files.
pub fn sidecar(files: &[(&str, &str)], more: &Value) -> Sidecar {
    let pod = Pod::new();
    let mut settings = json!({
        "keyring": "",
        "sources": [{
            "name": "main",
            "url": pod.path("source.tar.gz"),
            "profile": "opa",
            "allow_unsigned": true,
        }],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    pod.configure(&settings);
    pod.put(&archive(files));
    start(&pod, &[])
}

/// The names of the files that OPA does not take, with what it says.
fn refused(opa: &Path, files: &[(String, &str)]) -> Vec<(String, String)> {
    let folder = scratch();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let output = Command::new(opa)
        .args(["check", "--max-errors", "0", "--format", "json"])
        .arg(folder.path())
        .output()
        .unwrap();
    if output.status.success() {
        return Vec::new();
    }
    let text = [output.stdout, output.stderr].concat();
    let found: Value = serde_json::from_slice(&text)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&text)));
    let errors = found["errors"].as_array().unwrap();
    let named = errors.iter().map(|error| {
        let file = error["location"]["file"].as_str().unwrap_or_default();
        let name = Path::new(file).file_name().unwrap_or_default();
        (name.to_string_lossy().into_owned(), error.to_string())
    });
    named.collect()
}

/// Takes away what OPA does not take: the generator's fault; and what we do not take: a difference.
fn accepted(opa: &Path, samples: Vec<Sample>, differences: &mut Differences) -> Vec<Sample> {
    let whole = samples.len();
    let mut samples = samples;
    loop {
        let files: Vec<_> = samples
            .iter()
            .map(|sample| {
                let module = &sample.module;
                (format!("{}.rego", module.name), module.text.as_str())
            })
            .collect();
        let refused = refused(opa, &files);
        if refused.is_empty() {
            break;
        }
        let count = samples.len();
        samples.retain(|sample| {
            let file = format!("{}.rego", sample.module.name);
            !refused.iter().any(|(name, _)| *name == file)
        });
        assert!(samples.len() < count, "{refused:?}");
        assert!(
            samples.len() * 5 >= whole * 4,
            "OPA refuses {} of {whole} modules: {refused:?}",
            whole - samples.len()
        );
    }
    samples.retain(|sample| match engines::compile([&sample.module]) {
        Ok(_) => true,
        Err(error) => {
            let module = &sample.module;
            let what = format!("{} does not compile: {error}\n{}", module.name, module.text);
            differences.add("", what);
            false
        }
    });
    samples
}

#[test]
fn random_modules_answer_as_in_opa_over_the_rest_api() {
    let Some(binary) = outside("opa") else { return };
    let mut differences = Differences::default();
    let samples = accepted(&binary, samples(), &mut differences);
    let data = generate::data().to_string();
    let files: Vec<(String, &str)> = samples
        .iter()
        .map(|sample| {
            let module = &sample.module;
            (format!("{0}/{0}.rego", module.name), module.text.as_str())
        })
        .collect();
    let modules: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), *text))
        .collect();
    let opa = Opa::start_with(&binary, &modules, &data, &[]);
    let mut with_data = modules.clone();
    with_data.push(("data.json", &data));
    let started = Instant::now();
    let sidecar = sidecar(&with_data, &Value::Null);
    println!(
        "{} modules active after {:?}",
        samples.len(),
        started.elapsed()
    );
    let (mut theirs, mut ours) = (Http::tcp(opa.address), Http::tcp(sidecar.http));
    let (mut answers, mut telling) = (0, 0);
    for Sample { module, inputs, .. } in &samples {
        for input in inputs {
            for rule in &module.rules {
                let path = format!("/v1/data/{}/{rule}", module.name);
                let theirs = ask(&mut theirs, &path, input);
                let ours = ask(&mut ours, &path, input);
                answers += 1;
                let text = module.rule(rule);
                let is_default = text.contains("default ")
                    && [Value::from("default"), Value::from(false)]
                        .map(Answer::Value)
                        .contains(&theirs);
                if matches!(theirs, Answer::Value(_)) && !is_default {
                    telling += 1;
                }
                if !same(&theirs, &ours) {
                    let what = format!(
                        "{path}\n  opa:  {theirs:?}\n  ours: {ours:?}\n  input: {input}\n{text}"
                    );
                    differences.add(text, what);
                }
            }
        }
    }
    differences.assert_none();
    println!(
        "{} modules, {answers} answers, {telling} of them defined and not the default, known differences: {:?}",
        samples.len(),
        differences.known
    );
    assert!(
        telling * 2 >= answers,
        "only {telling} of {answers} answers are defined and not the default"
    );
}
