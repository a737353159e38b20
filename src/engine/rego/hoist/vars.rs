//! Which variables a body binds, and which a negation needs.

use std::collections::HashSet;

use regorus::unstable::{AssignOp, BoolOp, Expr, Literal, LiteralStmt, Query, Span};

use super::Meaning;
use crate::engine::rego::source::each_child;

/// Adds the names that a pattern binds.
pub(super) fn pattern_names(pattern: &Expr, names: &mut HashSet<String>) {
    each_name(pattern, &mut |span| {
        names.insert(span.text().to_owned());
    });
}

/// What the statements of a body see: what is seen around it, and what one of them can bind.
pub(super) fn enter(query: &Query, meaning: &Meaning<'_>, seen: &mut HashSet<String>) {
    for statement in &query.stmts {
        if let Literal::SomeVars { vars, .. } = &statement.literal {
            for declared in vars {
                seen.remove(declared.text());
            }
        }
    }
    for statement in &query.stmts {
        bound_by(statement, meaning, &mut |span| {
            seen.insert(span.text().to_owned());
        });
    }
}

/// Tells the names in a statement that it can bind.
fn bound_by(statement: &LiteralStmt, meaning: &Meaning<'_>, tell: &mut dyn FnMut(&Span)) {
    match &statement.literal {
        Literal::SomeIn {
            key,
            value,
            collection,
            ..
        } => {
            for part in key.iter().chain([value, collection]) {
                each_name(part, tell);
            }
        }
        Literal::Expr { expr, .. } => each_name(expr, tell),
        // What is taken out of a negation can bind.
        Literal::NotExpr { expr, .. } if !meaning.keeps => {
            each_needed(expr, &mut |_| {}, tell);
        }
        Literal::SomeVars { .. } | Literal::NotExpr { .. } => {}
        Literal::Every { domain, .. } => each_name(domain, tell),
    }
    for modifier in &statement.with_mods {
        each_name(&modifier.r#as, tell);
    }
}

/// Tells each variable of an expression, those of comprehensions inside apart.
pub(super) fn each_name(expression: &Expr, tell: &mut dyn FnMut(&Span)) {
    match expression {
        Expr::Var { span, .. } => tell(span),
        Expr::Call { params, .. } => {
            for parameter in params {
                each_name(parameter, tell);
            }
        }
        other => each_child(other, &mut |part| each_name(part, tell)),
    }
}

/// Of a negated expression: tells the variables that it needs to be bound, and those of calls, which are taken out
/// of it.
pub(super) fn each_needed(
    negated: &Expr,
    needed: &mut dyn FnMut(&Span),
    called: &mut dyn FnMut(&Span),
) {
    match negated {
        Expr::Call { params, .. } => {
            for parameter in params {
                operand(parameter, needed, called);
            }
        }
        other if is_operator(other) => {
            each_child(other, &mut |part| operand(part, needed, called));
        }
        other => operand(other, needed, called),
    }
}

fn operand(expression: &Expr, needed: &mut dyn FnMut(&Span), called: &mut dyn FnMut(&Span)) {
    match expression {
        Expr::Var { span, .. } => needed(span),
        Expr::Call { .. } => each_name(expression, called),
        other if is_operator(other) => each_name(other, called),
        other => each_child(other, &mut |part| operand(part, needed, called)),
    }
}

/// Whether OPA takes an expression for a call.
fn is_operator(expression: &Expr) -> bool {
    matches!(
        expression,
        Expr::UnaryExpr { .. }
            | Expr::BinExpr { .. }
            | Expr::BoolExpr { .. }
            | Expr::ArithExpr { .. }
            | Expr::AssignExpr { .. }
            | Expr::Membership { .. }
    )
}

/// What is taken out of a negated expression, in order.
pub(super) fn taken_out<'e>(negated: &'e Expr, meaning: &Meaning<'_>) -> Vec<&'e Expr> {
    let mut found = Vec::new();
    match negated {
        Expr::BoolExpr {
            op: BoolOp::Eq,
            lhs,
            rhs,
            ..
        }
        | Expr::AssignExpr {
            op: AssignOp::Eq,
            lhs,
            rhs,
            ..
        } => {
            side(lhs, meaning, &mut found);
            side(rhs, meaning, &mut found);
        }
        Expr::Call { params, .. } => {
            for parameter in params {
                value(parameter, meaning, &mut found);
            }
        }
        Expr::UnaryExpr { expr, .. } => value(expr, meaning, &mut found),
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => {
            value(lhs, meaning, &mut found);
            value(rhs, meaning, &mut found);
        }
        Expr::Membership {
            key,
            value: one,
            collection,
            ..
        } => {
            for part in key.iter().chain([one, collection]) {
                value(part, meaning, &mut found);
            }
        }
        other => side(other, meaning, &mut found),
    }
    found
}

/// Of a side of an equation, or all that is negated: a reference itself stays.
fn side<'e>(expression: &'e Expr, meaning: &Meaning<'_>, found: &mut Vec<&'e Expr>) {
    match expression {
        Expr::Var { .. } => {}
        Expr::RefDot { .. } | Expr::RefBrack { .. } => inside(expression, meaning, found),
        other => value(other, meaning, found),
    }
}

/// Of a reference.
fn inside<'e>(reference: &'e Expr, meaning: &Meaning<'_>, found: &mut Vec<&'e Expr>) {
    match reference {
        Expr::Var { .. } => {}
        Expr::RefDot { refr, .. } => inside(refr, meaning, found),
        Expr::RefBrack { refr, index, .. } => {
            inside(refr, meaning, found);
            value(index, meaning, found);
        }
        other => value(other, meaning, found),
    }
}

/// Of a value: all of it, if it can be undefined.
fn value<'e>(expression: &'e Expr, meaning: &Meaning<'_>, found: &mut Vec<&'e Expr>) {
    match expression {
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            for item in items {
                value(item, meaning, found);
            }
        }
        Expr::Object { fields, .. } => {
            for (_, key, inner) in fields {
                value(key, meaning, found);
                value(inner, meaning, found);
            }
        }
        other if may_be_undefined(other, meaning) => found.push(other),
        _ => {}
    }
}

/// Whether there can be no value; a local has one.
pub(super) fn may_be_undefined(expression: &Expr, meaning: &Meaning<'_>) -> bool {
    let mut may = false;
    match expression {
        Expr::Var { span, .. } => may = meaning.is_global(span.text()),
        Expr::Array { .. } | Expr::Set { .. } | Expr::Object { .. } => {
            each_child(expression, &mut |part| {
                may |= may_be_undefined(part, meaning);
            });
        }
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::ArrayCompr { .. }
        | Expr::SetCompr { .. }
        | Expr::ObjectCompr { .. } => {}
        _ => may = true,
    }
    may
}
