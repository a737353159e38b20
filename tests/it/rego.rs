//! Rego against a real OPA: random modules, data and inputs go to both, and to both of our engines. Every difference
//! is a failure, unless `rego/known.tsv` lists it with its reason.

mod generate;
mod opa;

use std::collections::BTreeSet;

use lictor::engine::{
    Compiler, DataBuilder, Limits, Program, RegoInput, RegoMachine, RegoModule, RegoSegment,
    RegoSetting, RegoVersion, rego,
};
use lictor::model::Timestamp;
use serde_json::Value;

use crate::support::outside;
use generate::{CONSTRUCTS, Generator, Module};
use opa::Opa;

/// Modules that are compared; each has several rules and is asked with several inputs.
const MODULES: u64 = 250;
const INPUTS: usize = 4;

/// What came of a question.
#[derive(Clone, Debug)]
enum Answer {
    Undefined,
    Value(Value),
    /// OPA's code of the error, and what is said.
    Error(String, String),
}

impl Answer {
    /// What is said of an error.
    fn said(&self) -> &str {
        match self {
            Self::Error(_, text) => text,
            _ => "",
        }
    }
}

#[test]
fn random_modules_answer_as_in_opa() {
    let Some(binary) = outside("opa") else { return };
    let modules =
        std::env::var("LICTOR_REGO_MODULES").map_or(MODULES, |text| text.parse().unwrap());
    let known = known();
    let mut opa = Opa::start(&binary);
    let mut seen = Seen::default();
    let data = generate::data();
    opa.put_data("base", &data["base"]);
    for seed in 0..modules {
        let mut generator = Generator::new(seed);
        let module = generator.module(&format!("m{seed}"));
        seen.constructs.extend(generator.used.iter().copied());
        if let Err(complaint) = opa.put_module(&module.name, &module.text) {
            seen.refused.push(format!("{complaint}\n{}", module.text));
            continue;
        }
        let program = match compile(&module, &data) {
            Ok(program) => program,
            Err(error) => {
                seen.differ(
                    &module,
                    "",
                    &known,
                    format!("does not compile here: {error}"),
                );
                continue;
            }
        };
        for _ in 0..INPUTS {
            let input = generator.input();
            compare(&mut opa, &module, &program, &input, &known, &mut seen);
        }
        opa.delete_module(&module.name);
    }
    seen.judge(modules);
}

#[derive(Default)]
struct Seen {
    constructs: BTreeSet<&'static str>,
    /// Modules that OPA does not take: the generator's fault.
    refused: Vec<String>,
    differences: Vec<String>,
    known: BTreeSet<String>,
    answers: usize,
    /// Defined, no error, and not what a default says.
    telling: usize,
}

impl Seen {
    fn differ(&mut self, module: &Module, rule: &str, known: &[(String, String)], what: String) {
        let text = module.rule(rule);
        let is_known = |(part, _): &&(String, String)| text.contains(part) || what.contains(part);
        match known.iter().find(is_known) {
            Some((part, _)) => {
                self.known.insert(part.clone());
            }
            None => self.differences.push(what),
        }
    }

    fn judge(&self, modules: u64) {
        let shown = self.differences.iter().take(100).cloned();
        assert!(
            self.differences.is_empty(),
            "{} differences:\n{}",
            self.differences.len(),
            shown.collect::<Vec<_>>().join("\n----\n")
        );
        assert!(
            self.refused.len() as u64 * 20 <= modules,
            "OPA refuses {} of {modules} modules:\n{}",
            self.refused.len(),
            self.refused[0]
        );
        let unused: Vec<_> = CONSTRUCTS
            .iter()
            .filter(|construct| !self.constructs.contains(**construct))
            .collect();
        assert!(unused.is_empty(), "no module used {unused:?}");
        assert!(
            self.telling * 2 >= self.answers,
            "only {} of {} answers tell anything",
            self.telling,
            self.answers
        );
        println!(
            "{modules} modules, {} answers, {} of them telling, known differences met: {:?}",
            self.answers, self.telling, self.known
        );
    }
}

/// The parts of rules, or of what is said of them, in which a difference is known, with the reason.
fn known() -> Vec<(String, String)> {
    include_str!("rego/known.tsv")
        .lines()
        .skip(1)
        .map(|line| {
            let (part, reason) = line.split_once('\t').unwrap();
            assert!(!reason.trim().is_empty(), "{part} has no reason");
            (part.to_owned(), reason.to_owned())
        })
        .collect()
}

fn compile(module: &Module, data: &Value) -> Result<Program, String> {
    let mut compiler = Compiler::default();
    compiler.add_module(RegoModule {
        path: format!("{}.rego", module.name).into(),
        text: module.text.as_str().into(),
        version: RegoVersion::V1,
    });
    let mut builder = DataBuilder::default();
    builder.add(&[], &mut data.to_string().as_bytes()).unwrap();
    compiler
        .compile(builder)
        .map_err(|errors| errors.to_string())
}

fn compare(
    opa: &mut Opa,
    module: &Module,
    program: &Program,
    input: &Value,
    known: &[(String, String)],
    seen: &mut Seen,
) {
    for rule in &module.rules {
        let theirs = opa.ask(&module.name, rule, input);
        let default = module.rule(rule).contains("default ");
        seen.answers += 1;
        if let Answer::Value(value) = &theirs
            && !(default && value.as_str() == Some("default"))
        {
            seen.telling += 1;
        }
        for (engine, machine) in [
            ("machine", RegoMachine::default()),
            ("interpreter", RegoMachine::interpreting()),
        ] {
            let ours = ask(program, machine, &module.name, rule, input);
            if !same(&theirs, &ours) {
                let what = format!(
                    "{}.{rule} on the {engine}\n  opa:  {theirs:?}\n  ours: {ours:?} {}\n  input: {input}\n{}",
                    module.name,
                    ours.said(),
                    module.rule(rule)
                );
                seen.differ(module, rule, known, what);
                break;
            }
        }
    }
}

fn ask(
    program: &Program,
    mut machine: RegoMachine,
    package: &str,
    rule: &str,
    input: &Value,
) -> Answer {
    let input = RegoInput {
        value: Some(rego::parse_rego_json(input.to_string().as_bytes(), 64).unwrap()),
        strict: false,
    };
    let setting = RegoSetting {
        input: &input,
        data: program.data(),
        limits: &Limits::default(),
        now: Timestamp::from_unix_seconds(1_700_000_000),
    };
    let path = [RegoSegment::Name(package), RegoSegment::Name(rule)];
    match program.rego().document(&path, &setting, &mut machine) {
        Ok(None) => Answer::Undefined,
        Ok(Some(value)) => {
            let mut text = Vec::new();
            assert!(rego::write_rego_json(&value, usize::MAX, &mut text));
            Answer::Value(serde_json::from_slice(&text).unwrap())
        }
        Err(error) => Answer::Error(error.kind.code().to_owned(), error.to_string()),
    }
}

fn same(theirs: &Answer, ours: &Answer) -> bool {
    match (theirs, ours) {
        (Answer::Undefined, Answer::Undefined) => true,
        (Answer::Value(left), Answer::Value(right)) => equal(left, right),
        (Answer::Error(left, _), Answer::Error(right, _)) => left == right,
        _ => false,
    }
}

/// Equal, numbers by value: OPA keeps `1.0` apart from `1` in what it writes.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || left.as_f64() == right.as_f64()
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| equal(l, r))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, value)| right.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => left == right,
    }
}
