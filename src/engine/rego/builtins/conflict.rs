//! What the register machine calls to notice that a rule has two values.

use std::cell::Cell;

use anyhow::{Result, anyhow};
use regorus::Value;
use regorus::unstable::{Expr, Ref, Span};

thread_local! {
    /// Whether the evaluation under way ended in a conflict.
    static CONFLICT: Cell<bool> = const { Cell::new(false) };
}

/// Whether there was a conflict since the last call.
pub(in crate::engine::rego) fn take() -> bool {
    CONFLICT.take()
}

/// The machine ends an evaluation for a limit alone.
fn conflict() -> anyhow::Error {
    CONFLICT.set(true);
    super::bounds::too_much(0, 0)
}

/// Fails where two values differ.
pub(in crate::engine::rego) fn agree(
    _: &Span,
    _: &[Ref<Expr>],
    arguments: &[Value],
    _: bool,
) -> Result<Value> {
    match arguments {
        [one, other] if one == other => Ok(Value::Bool(true)),
        [_, _] => Err(conflict()),
        _ => Err(anyhow!("expected two operands")),
    }
}

/// The value that all elements of a list have; undefined where there is none.
pub(in crate::engine::rego) fn one_of(
    _: &Span,
    _: &[Ref<Expr>],
    arguments: &[Value],
    _: bool,
) -> Result<Value> {
    let Some(Value::Array(values)) = arguments.first() else {
        return Err(anyhow!("expected a list"));
    };
    let mut values = values.iter();
    let Some(first) = values.next() else {
        return Ok(Value::Undefined);
    };
    if values.all(|other| other == first) {
        Ok(first.clone())
    } else {
        Err(conflict())
    }
}
