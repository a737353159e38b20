//! What expressions demand of slots.

use crate::engine::expression::{Absent, GuardValue};
use crate::engine::input::{Layout, Root};

use super::support::compile_with;

/// The guard's path, its values and what an absent slot makes.
fn guard(expression: &str) -> Option<(&'static str, Vec<GuardValue>, Absent)> {
    let mut layout = Layout::default();
    let compiled = compile_with(expression, &[("input", Root::Input)], &mut layout).unwrap();
    let mut guard = compiled.guard()?;
    guard
        .values
        .sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
    let path = ["a", "b", "c"]
        .into_iter()
        .find(|name| layout.slot(Root::Input, &[name]) == guard.slot)
        .unwrap_or("elsewhere");
    Some((path, guard.values, guard.absent))
}

fn text(value: &str) -> GuardValue {
    GuardValue::String(value.into())
}

#[test]
fn equalities_guard() {
    let absent = Absent::Error;
    assert_eq!(
        guard("input.a == 'x'"),
        Some(("a", vec![text("x")], absent))
    );
    assert_eq!(
        guard("'x' == input.a"),
        Some(("a", vec![text("x")], absent))
    );
    assert_eq!(
        guard("input.a in ['x', 'y']"),
        Some(("a", vec![text("x"), text("y")], absent))
    );
    assert_eq!(
        guard("input.a == 'x' || input.a == 'y'"),
        Some(("a", vec![text("x"), text("y")], absent))
    );
    assert_eq!(
        guard("input.a == 1.0"),
        Some(("a", vec![GuardValue::Int(1)], absent))
    );
    assert_eq!(
        guard("input.b > 1 && input.a == 'x' && true"),
        Some(("a", vec![text("x")], absent))
    );
    assert_eq!(
        guard("input.a in [1, true, null, 'x']").map(|it| it.1.len()),
        Some(4)
    );
}

#[test]
fn presence_makes_absence_false() {
    assert_eq!(
        guard("has(input.a) && input.a == 'x'"),
        Some(("a", vec![text("x")], Absent::False))
    );
    assert_eq!(
        guard("input.b == 'y' && has(input.a) && input.a == 'x'"),
        Some(("a", vec![text("x")], Absent::False))
    );
    // `has` of a member of a member is an error where the parent is missing.
    assert_eq!(
        guard("has(input.a.b) && input.a.b == 'x'"),
        Some(("elsewhere", vec![text("x")], Absent::Error))
    );
}

#[test]
fn what_does_not_bind_is_no_guard() {
    for expression in [
        "input.a != 'x'",
        "input.a == 'x' || input.b == 'y'",
        "input.a == 'x' || true == input.c",
        "!(input.a == 'x')",
        "input.a == input.b",
        "input.a == ['x']",
        "input.a == 'x' ? true : true",
        "input.a in [['x']]",
        "input.a.startsWith('x')",
        "input.?a == optional.of('x')",
    ] {
        assert_eq!(guard(expression), None, "{expression}");
    }
}
