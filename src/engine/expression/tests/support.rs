//! One evaluation in a line.

use bumpalo::Bump;

use crate::engine::data::{Data, DataBuilder};
use crate::engine::expression::{
    CompileError, Expression, Failure, Frame, Scope, Trees, Variables, compile, compile_named,
    compile_variables,
};
use crate::engine::input::{Layout, Root, Slots};
use crate::engine::program::DuplicateMembers;
use crate::engine::value::{Value, write_json};
use crate::model::Timestamp;
use crate::policy::{Named, Place, Text};

pub const STEPS: u64 = 1_000_000;

pub fn text(value: &str) -> Text {
    Text {
        value: value.into(),
        place: Place {
            file: "test".into(),
            line: 1,
            column: 1,
            path: "expression".into(),
        },
    }
}

/// What can be named besides the expression itself.
#[derive(Default)]
pub struct World {
    pub input: &'static str,
    pub data: &'static str,
    pub variables: Vec<(&'static str, &'static str)>,
}

/// The value as JSON, or `error: ...`, `budget`, `refused: ...`.
pub fn answer(expression: &str, world: &World) -> String {
    let mut builder = DataBuilder::default();
    if !world.data.is_empty() {
        builder.add(&[], &mut world.data.as_bytes()).unwrap();
    }
    let data = builder.finish();
    let mut layout = Layout::default();
    let trees = Trees::default();
    let named: Vec<Named> = world
        .variables
        .iter()
        .map(|(name, expression)| Named {
            name: (*name).into(),
            expression: text(expression),
        })
        .collect();
    let variables = match compile_variables(&named, &[Root::Input], &trees, &mut layout, &data) {
        Ok(variables) => variables,
        Err(errors) => return format!("refused: {}", errors[0].message),
    };
    let scope = Scope {
        roots: &[Root::Input],
        variables: &variables,
        trees: &trees,
    };
    let compiled = match compile(&text(expression), scope, &mut layout, &data) {
        Ok(compiled) => compiled,
        Err(error) => return format!("refused: {}", error.message),
    };
    let arena = Bump::new();
    let slots = Slots::new(&layout, &arena);
    let input = if world.input.is_empty() {
        "{}"
    } else {
        world.input
    };
    slots
        .fill(
            &layout,
            Root::Input,
            input.as_bytes(),
            &arena,
            64,
            DuplicateMembers::Refuse,
        )
        .unwrap();
    let now = Timestamp::parse("2026-02-03T04:05:06Z").unwrap();
    let mut frame = Frame::new(&slots, &data, now, &arena, STEPS);
    frame.enter(&variables);
    match compiled.evaluate(&frame) {
        Ok(value) => {
            let mut out = String::new();
            write_json(&mut out, &value).unwrap();
            out
        }
        Err(Failure::Budget) => "budget".into(),
        Err(Failure::Error(message)) => format!("error: {message}"),
    }
}

/// As [`answer`], with nothing to name.
pub fn value(expression: &str) -> String {
    answer(expression, &World::default())
}

/// Compiles with request variables under `names`.
pub fn compile_with(
    expression: &str,
    names: &[(&str, Root)],
    layout: &mut Layout,
) -> Result<Expression, CompileError> {
    let scope = Scope {
        roots: &[],
        variables: &Variables::default(),
        trees: &Trees::default(),
    };
    compile_named(
        &text(expression),
        names,
        scope,
        layout,
        Some(&Data::default()),
    )
}

/// Evaluates with values bound to request variables, and hands the outcome to `check`.
pub fn evaluate_with<T>(
    expression: &Expression,
    layout: &Layout,
    bindings: impl for<'a> FnOnce(&'a Bump) -> Vec<(Root, Value<'a>)>,
    check: impl FnOnce(Result<Value<'_>, Failure<'_>>) -> T,
) -> T {
    let arena = Bump::new();
    let data = Data::default();
    let slots = Slots::new(layout, &arena);
    for (root, value) in bindings(&arena) {
        slots.set(layout, root, &[], value);
    }
    let frame = Frame::new(&slots, &data, Timestamp::default(), &arena, STEPS);
    check(expression.evaluate(&frame))
}
