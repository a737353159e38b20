//! Rego against a real OPA: random modules, data and inputs go to it and to a sidecar, both asked over OPA's REST API;
//! and our two engines against each other. Every difference is a failure, unless `rego/known.tsv` lists it with its
//! reason.

mod calls;
mod engines;
mod generate;
mod limits;
mod rest;

use serde_json::Value;

use generate::{CONSTRUCTS, Generator, Module};

/// Modules that are compared; each has several rules and is asked with several inputs.
const MODULES: u64 = 250;
const INPUTS: usize = 4;

/// A module and what it is asked with.
struct Sample {
    module: Module,
    inputs: Vec<Value>,
    constructs: Vec<&'static str>,
}

/// The same at every run, unless another number or a first one is asked for. Each module may refer to rules of the one
/// before.
fn samples() -> Vec<Sample> {
    let number = |name, otherwise| {
        std::env::var(name).map_or(otherwise, |text| text.parse::<u64>().unwrap())
    };
    let modules = number("LICTOR_REGO_MODULES", MODULES);
    let first = number("LICTOR_REGO_FIRST", 0);
    let mut samples: Vec<Sample> = Vec::new();
    for seed in first..first + modules {
        let mut generator = Generator::new(seed);
        if let Some(before) = samples.last() {
            generator = generator.beside(&before.module);
        }
        let module = generator.module(&format!("m{seed}"));
        let inputs = (0..INPUTS).map(|_| generator.input()).collect();
        samples.push(Sample {
            module,
            inputs,
            constructs: generator.used,
        });
    }
    samples
}

/// The parts of rules, or of what is said of them, in which a difference is known, with the reason.
fn known() -> Vec<(&'static str, &'static str)> {
    include_str!("rego/known.tsv")
        .lines()
        .skip(1)
        .map(|line| {
            let (part, reason) = line.split_once('\t').unwrap();
            assert!(!reason.trim().is_empty(), "{part} has no reason");
            (part, reason)
        })
        .collect()
}

/// Differences, those that are known apart.
#[derive(Default)]
struct Differences {
    new: Vec<String>,
    known: std::collections::BTreeMap<&'static str, usize>,
}

impl Differences {
    /// `rule` is the text of the rule; `what` says how it differs.
    fn add(&mut self, rule: &str, what: String) {
        let is_known = |(part, _): &(&str, &str)| rule.contains(part) || what.contains(part);
        match known().into_iter().find(is_known) {
            Some((part, _)) => *self.known.entry(part).or_default() += 1,
            None => self.new.push(what),
        }
    }

    fn assert_none(&self) {
        let shown = self.new.iter().take(60).cloned().collect::<Vec<_>>();
        assert!(
            self.new.is_empty(),
            "{} differences:\n{}",
            self.new.len(),
            shown.join("\n----\n")
        );
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

#[test]
fn the_generator_uses_every_construct_of_its_list() {
    let samples = samples();
    let is_used = |construct: &&&str| {
        samples
            .iter()
            .any(|one| one.constructs.contains(*construct))
    };
    let unused: Vec<_> = CONSTRUCTS
        .iter()
        .filter(|construct| !is_used(construct))
        .collect();
    assert!(unused.is_empty(), "no module used {unused:?}");
}
