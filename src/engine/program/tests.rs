//! Programs as a whole: documents in, answers out.

mod access;
mod compile;
mod consumption;
mod experiments;
mod http;
mod index;
mod limits;
mod service;
mod validation;

use super::*;
use crate::engine::DataBuilder;
use crate::model::Timestamp;
use crate::policy::{Document, Format, parse};

/// Moment of every decision here: 2026-11-22T08:00:00Z.
const NOW: i64 = 1_795_334_400;

fn documents(yaml: &str) -> Vec<Document> {
    parse("test.yaml", yaml.as_bytes(), Format::Yaml, "default").unwrap()
}

fn data(json: &str) -> DataBuilder {
    let mut builder = DataBuilder::default();
    builder.add(&[], &mut json.as_bytes()).unwrap();
    builder
}

fn compile_with(yaml: &str, json: &str, mut compiler: Compiler) -> Result<Program, CompileErrors> {
    for document in documents(yaml) {
        compiler.add(document, "hash".into());
    }
    compiler.compile(data(json))
}

fn program(yaml: &str) -> Program {
    compile_with(yaml, "{}", Compiler::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn context<'a>() -> Context<'a> {
    Context {
        now: Timestamp::from_unix_seconds(NOW),
        claims: None,
        principal: "",
        duplicates: DuplicateMembers::Refuse,
        explain: false,
        limits: Limits::default(),
    }
}

/// `field|actual|expected` of each violation, or the error.
fn violations(program: &Program, input: &str) -> Vec<String> {
    let scratch = Scratch::default();
    match program.validate(input.as_bytes(), &context(), &scratch) {
        Ok(answer) => {
            assert_eq!(answer.compliant(), answer.violations.is_empty());
            answer
                .violations
                .iter()
                .map(|violation| {
                    let actual = violation.actual.unwrap_or("-");
                    let expected = violation.expected.unwrap_or("-");
                    format!("{}|{actual}|{expected}", violation.field)
                })
                .collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

/// `allow <rule>`, or why not.
fn access_as(program: &Program, request: AccessRequest<'_>, claims: Option<&str>) -> String {
    let scratch = Scratch::default();
    let mut context = context();
    context.claims = claims.map(str::as_bytes);
    match program.access(request, &context, &scratch) {
        Ok(answer) => {
            use crate::model::AccessReason as R;
            let reason = match &answer.reason {
                R::Allowed { rule, .. } => format!("allow {rule}"),
                R::Denied { rule, .. } => format!("deny {rule}"),
                R::NoMatch => "no match".into(),
                R::NoPolicy => "no policy".into(),
                R::Blocked { policy } => format!("blocked by {policy}"),
                R::Requirement { text, .. } => (*text).to_owned(),
            };
            assert_eq!(answer.allowed, reason.starts_with("allow"));
            reason
        }
        Err(error) => error.to_string(),
    }
}

fn access(program: &Program, body: &str) -> String {
    access_as(program, AccessRequest::Document(body.as_bytes()), None)
}
