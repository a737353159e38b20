//! The variables of a query. OPA tells the values of all of them, the engine those of the last statement: so that a query
//! is asked together with one statement more, which holds them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use regorus::unstable::{Expr, Literal, Query};

use crate::engine::rego::source::each_child;

/// The variable of the additional statement.
pub(super) const ALL: &str = "lictor__all";

/// Names that stand for documents, and the one that stands for nothing.
const NONE: [&str; 3] = ["data", "input", "_"];

/// Adds the statement that holds the variables of a query to its text, where it has any.
pub(super) fn hold(text: &mut String, query: &Query) {
    let mut found = Found::default();
    found.statements(query);
    if found.names.is_empty() {
        return;
    }
    let names = found.names.iter();
    let pairs: Vec<String> = names.map(|name| format!("\"{name}\": {name}")).collect();
    // Writing to memory does not fail.
    let _ = write!(text, "\n{ALL} := {{{}}}", pairs.join(", "));
}

#[derive(Default)]
struct Found {
    names: BTreeSet<String>,
}

impl Found {
    /// What comprehensions, `every` and `not` iterate with is theirs.
    fn statements(&mut self, query: &Query) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeIn {
                    key,
                    value,
                    collection,
                    ..
                } => {
                    for part in key.iter().chain([value, collection]) {
                        self.expression(part);
                    }
                }
                Literal::Expr { expr, .. } => self.expression(expr),
                Literal::SomeVars { .. } | Literal::NotExpr { .. } | Literal::Every { .. } => {}
            }
        }
    }

    fn expression(&mut self, outer: &Expr) {
        match outer {
            Expr::Var { span, .. } => {
                let name = span.text();
                if !NONE.contains(&name) {
                    self.names.insert(name.to_owned());
                }
            }
            Expr::RefBrack { refr, index, .. } => {
                self.base(refr);
                self.expression(index);
            }
            Expr::RefDot { refr, .. } => self.base(refr),
            other => each_child(other, &mut |child| self.expression(child)),
        }
    }

    /// What a reference begins with is a document, or a variable that has its value elsewhere.
    fn base(&mut self, refr: &Expr) {
        if !matches!(refr, Expr::Var { .. }) {
            self.expression(refr);
        }
    }
}
