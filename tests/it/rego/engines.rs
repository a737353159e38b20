//! The register machine and the interpreter, over the same modules.

use lictor::engine::{
    Compiler, DataBuilder, Limits, Program, RegoEngine, RegoInput, RegoMachine, RegoModule,
    RegoSegment, RegoSetting, RegoVersion, rego,
};
use lictor::model::Timestamp;
use serde_json::Value;

use super::generate::{self, Module};
use super::{Differences, equal, samples};

/// What came of a question.
#[derive(Clone, Debug)]
enum Answer {
    Undefined,
    Value(Value),
    /// OPA's code of the error, and what is said.
    Error(
        &'static str,
        #[expect(dead_code, reason = "it is shown where answers differ")] String,
    ),
}

/// Compiles modules beside the data that all of them see.
pub fn compile<'m>(modules: impl IntoIterator<Item = &'m Module>) -> Result<Program, String> {
    let mut compiler = Compiler::default();
    for module in modules {
        compiler.add_module(RegoModule {
            path: format!("{}.rego", module.name).into(),
            text: module.text.as_str().into(),
            version: RegoVersion::V1,
        });
    }
    let mut builder = DataBuilder::default();
    let data = generate::data().to_string();
    builder.add(&[], &mut data.as_bytes()).unwrap();
    compiler
        .compile(builder)
        .map_err(|errors| errors.to_string())
}

fn ask(
    program: &Program,
    machine: &mut RegoMachine,
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
    match program.rego().document(&path, &setting, machine) {
        Ok(None) => Answer::Undefined,
        Ok(Some(value)) => {
            let mut text = Vec::new();
            assert!(rego::write_rego_json(&value, usize::MAX, &mut text));
            Answer::Value(serde_json::from_slice(&text).unwrap())
        }
        Err(error) => Answer::Error(error.kind.code(), error.to_string()),
    }
}

fn same(left: &Answer, right: &Answer) -> bool {
    match (left, right) {
        (Answer::Undefined, Answer::Undefined) => true,
        (Answer::Value(left), Answer::Value(right)) => equal(left, right),
        (Answer::Error(left, _), Answer::Error(right, _)) => left == right,
        _ => false,
    }
}

#[test]
fn the_register_machine_and_the_interpreter_agree() {
    let samples = samples();
    let mut differences = Differences::default();
    let (mut answers, mut on_machine, mut rules) = (0, 0, 0);
    let mut before = None;
    for sample in &samples {
        let module = &sample.module;
        let pair = before.into_iter().chain([module]);
        before = Some(module);
        let program = match compile(pair) {
            Ok(program) => program,
            Err(error) => {
                let what = format!("{} does not compile: {error}\n{}", module.name, module.text);
                differences.add("", what);
                continue;
            }
        };
        let package = format!("data.{}.", module.name);
        for (name, engine) in program.rego().rules() {
            if name.starts_with(&package) {
                rules += 1;
                on_machine += usize::from(*engine == RegoEngine::Machine);
            }
        }
        let mut machine = RegoMachine::default();
        let mut interpreter = RegoMachine::interpreting();
        for input in &sample.inputs {
            for rule in &module.rules {
                answers += 1;
                let machine = ask(&program, &mut machine, &module.name, rule, input);
                let interpreter = ask(&program, &mut interpreter, &module.name, rule, input);
                if !same(&machine, &interpreter) {
                    let what = format!(
                        "{}.{rule}\n  machine:     {machine:?}\n  interpreter: {interpreter:?}\n  input: {input}\n{}",
                        module.name,
                        module.rule(rule)
                    );
                    differences.add(module.rule(rule), what);
                }
            }
        }
    }
    differences.assert_none();
    println!(
        "{answers} answers of both engines, {on_machine} of {rules} rules on the register machine, known differences: {:?}",
        differences.known
    );
    assert!(on_machine * 2 > rules, "{on_machine} of {rules}");
}
