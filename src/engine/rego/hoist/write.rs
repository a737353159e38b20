//! Statements as text, with what is taken out of them before them.
//!
//! Whatever is written begins in the row in which it began: only columns change.

use std::collections::{HashMap, HashSet};

use regorus::Value;
use regorus::unstable::{
    ArithOp, AssignOp, BinOp, BoolOp, Expr, Literal, LiteralStmt, Query, Ref, RuleAssign, Span,
    WithModifier,
};

use super::vars::{self, may_be_undefined, taken_out};
use super::{Meaning, source};
use crate::engine::rego::RegoErrorKind;

/// What binds weakest, and what is a reference, a literal or in parentheses.
pub(super) const ANY: u8 = 0;
const COMPARED: u8 = 1;
/// No `|`, which would make a comprehension of a list.
const ITEM: u8 = 3;
const TERM: u8 = 6;

pub(super) struct Writer<'w, 'm> {
    meaning: &'w Meaning<'m>,
    /// The variables that the text around binds.
    seen: HashSet<String>,
    out: String,
    /// Rows written since the beginning, and the row of that.
    rows: u32,
    first_row: u32,
    /// The names of what was taken out.
    names: HashMap<*const Expr, String>,
    changed: bool,
}

impl<'w, 'm> Writer<'w, 'm> {
    pub fn new(meaning: &'w Meaning<'m>, seen: HashSet<String>, begin: &Span) -> Self {
        Self {
            meaning,
            seen,
            out: String::new(),
            rows: 0,
            first_row: begin.line,
            names: HashMap::new(),
            changed: false,
        }
    }

    /// Whether something other than the layout differs from what was read.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// The text, over so many line breaks.
    pub fn finish(mut self, rows: usize) -> String {
        while (self.rows as usize) < rows {
            self.out.push('\n');
            self.rows += 1;
        }
        self.out
    }

    /// Goes to the row of what comes next.
    fn at(&mut self, span: &Span) {
        while self.first_row + self.rows < span.line {
            self.out.push('\n');
            self.rows += 1;
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn word(&mut self, span: &Span) {
        self.at(span);
        self.text(span.text());
    }

    pub fn assign(&mut self, assign: &RuleAssign) {
        self.text(match assign.op {
            AssignOp::Eq => "= ",
            AssignOp::ColEq => ":= ",
        });
        self.expression(&assign.value, ANY);
    }

    pub fn statement(&mut self, statement: &LiteralStmt) {
        let modifiers = &statement.with_mods;
        for modifier in modifiers {
            if may_be_undefined(&modifier.r#as, self.meaning) && !self.is_function(modifier) {
                self.take_out(&modifier.r#as, &[]);
            }
        }
        match &statement.literal {
            Literal::SomeVars { span, vars } => {
                self.at(span);
                self.text("some ");
                self.list(vars, Self::word);
            }
            Literal::SomeIn {
                span,
                key,
                value,
                collection,
            } => {
                if !modifiers.is_empty() {
                    self.take_out(collection, modifiers);
                }
                self.at(span);
                self.text("some ");
                if let Some(key) = key {
                    self.expression(key, TERM);
                    self.text(", ");
                }
                self.expression(value, TERM);
                self.text(" in ");
                self.expression(collection, COMPARED);
                return;
            }
            Literal::Expr { expr, .. } => self.top(expr),
            Literal::NotExpr { span, expr } => self.negated(span, expr, modifiers),
            Literal::Every {
                span,
                key,
                value,
                domain,
                query,
            } => {
                self.at(span);
                self.text("every ");
                let names: Vec<&Span> = key.iter().chain([value]).collect();
                self.list(&names, |writer, name| writer.word(name));
                self.text(" in ");
                self.expression(domain, COMPARED);
                self.text(" { ");
                let names = names.iter().map(|name| name.text().to_owned());
                let names: Vec<String> = names.collect();
                self.scope(query, &names, |writer| writer.query(query));
                self.text(" }");
            }
        }
        self.modifiers(modifiers);
    }

    fn negated(&mut self, span: &Span, expr: &Expr, modifiers: &[WithModifier]) {
        if let Expr::AssignExpr {
            op: AssignOp::ColEq,
            ..
        } = expr
        {
            let message = "cannot assign vars inside negated expression";
            self.meaning.refuse(RegoErrorKind::Compile, message, span);
        }
        let meaning = self.meaning;
        let mut called = HashSet::new();
        let mut needed = Vec::new();
        if meaning.keeps {
            vars::each_name(expr, &mut |name| needed.push(name.clone()));
            let rest = span.text().strip_prefix("not").unwrap_or_default();
            if rest.trim_start().starts_with('{') {
                let message = "a negated body is not supported";
                meaning.refuse(RegoErrorKind::Unsupported, message, span);
            }
        } else {
            vars::each_needed(expr, &mut |name| needed.push(name.clone()), &mut |name| {
                called.insert(name.text().to_owned());
            });
            for part in taken_out(expr, meaning) {
                self.take_out(part, modifiers);
            }
        }
        let is_bound = |name: &str| {
            name != "_"
                && (meaning.is_global(name) || self.seen.contains(name) || called.contains(name))
        };
        if let Some(name) = needed.iter().find(|name| !is_bound(name.text())) {
            let message = format!("var {} is unsafe", name.text());
            meaning.refuse(RegoErrorKind::UnsafeVar, &message, name);
        }
        self.at(span);
        self.text("not ");
        match expr {
            // `f(x, y)` with one argument too many is `f(x) == y`.
            Expr::Call { fcn, params, .. }
                if meaning.arity(fcn).map(|arity| arity + 1) == Some(params.len()) =>
            {
                self.changed = true;
                let arguments = params.get(..params.len() - 1).unwrap_or_default();
                self.expression(fcn, TERM);
                self.text("(");
                self.list(arguments, |writer, argument| {
                    writer.expression(argument, ANY);
                });
                self.text(") == ");
                if let Some(result) = params.last() {
                    self.expression(result, COMPARED + 1);
                }
            }
            _ => self.top(expr),
        }
    }

    /// Writes `name := expression` and goes on with the name for it.
    fn take_out(&mut self, expression: &Expr, modifiers: &[WithModifier]) {
        let name = self.meaning.fresh();
        self.at(expression.span());
        self.text(&name);
        self.text(" := ");
        self.expression(expression, ANY);
        self.modifiers(modifiers);
        self.text("; ");
        self.names.insert(std::ptr::from_ref(expression), name);
        self.changed = true;
    }

    fn modifiers(&mut self, modifiers: &[WithModifier]) {
        for modifier in modifiers {
            self.text(" with ");
            self.expression(&modifier.refr, TERM);
            self.text(" as ");
            self.expression(&modifier.r#as, ANY);
        }
    }

    /// Whether a `with` puts a function, which is no value, in the place of another.
    fn is_function(&self, modifier: &WithModifier) -> bool {
        let path = source::static_path(&modifier.refr);
        let is_document = path.names.first().is_some_and(|first| first == "input");
        !is_document && self.meaning.arity(&modifier.r#as).is_some()
    }

    /// What a statement says.
    fn top(&mut self, expression: &Expr) {
        match expression {
            // False and undefined are the same here.
            Expr::Membership {
                key: None,
                value,
                collection,
                ..
            } => self.membership(value, collection),
            Expr::AssignExpr { op, lhs, rhs, .. } => {
                self.expression(lhs, TERM);
                let ignores = matches!(lhs.as_ref(), Expr::Var { span, .. } if span.text() == "_");
                self.changed |= ignores && *op == AssignOp::ColEq;
                self.text(if ignores || *op == AssignOp::Eq {
                    " = "
                } else {
                    " := "
                });
                self.expression(rhs, ANY);
            }
            other => self.expression(other, ANY),
        }
    }

    fn membership(&mut self, value: &Expr, collection: &Expr) {
        self.expression(value, ANY);
        self.text(" in ");
        self.expression(collection, COMPARED);
    }

    /// An expression that binds at least that strong.
    pub fn expression(&mut self, expression: &Expr, least: u8) {
        if let Some(name) = self.names.get(&std::ptr::from_ref(expression)).cloned() {
            self.at(expression.span());
            self.text(&name);
            return;
        }
        let own = strength(expression);
        if own < least {
            self.at(expression.span());
            self.text("(");
            self.bare(expression, own);
            self.text(")");
        } else {
            self.bare(expression, own);
        }
    }

    fn bare(&mut self, expression: &Expr, own: u8) {
        match expression {
            Expr::String { span, value, .. } | Expr::RawString { span, value, .. } => {
                self.at(span);
                self.string(value);
            }
            Expr::Number { span, .. }
            | Expr::Bool { span, .. }
            | Expr::Null { span, .. }
            | Expr::Var { span, .. } => self.word(span),
            Expr::Array { span, items, .. } => {
                self.at(span);
                self.text("[");
                self.list(items, |writer, item| writer.expression(item, ITEM));
                self.text("]");
            }
            Expr::Set { span, items, .. } => {
                self.at(span);
                self.text(if items.is_empty() { "set(" } else { "{" });
                self.list(items, |writer, item| writer.expression(item, ITEM));
                self.text(if items.is_empty() { ")" } else { "}" });
            }
            Expr::Object { fields, .. } => {
                self.text("{");
                self.list(fields, |writer, (_, key, value)| {
                    writer.expression(key, ITEM);
                    writer.text(": ");
                    writer.expression(value, ITEM);
                });
                self.text("}");
            }
            Expr::ArrayCompr {
                span, term, query, ..
            } => self.comprehension(span, ["[", "]"], &[term.as_ref()], query),
            Expr::SetCompr {
                span, term, query, ..
            } => self.comprehension(span, ["{", "}"], &[term.as_ref()], query),
            Expr::ObjectCompr {
                span,
                key,
                value,
                query,
                ..
            } => self.comprehension(span, ["{", "}"], &[key.as_ref(), value.as_ref()], query),
            Expr::Call { fcn, params, .. } => {
                self.expression(fcn, TERM);
                self.text("(");
                self.list(params, |writer, parameter| {
                    writer.expression(parameter, ANY);
                });
                self.text(")");
            }
            Expr::UnaryExpr { expr, .. } => {
                self.text("-");
                self.expression(expr, TERM);
            }
            Expr::RefDot { refr, field, .. } => {
                self.expression(refr, TERM);
                self.text(".");
                self.text(field.0.text());
            }
            Expr::RefBrack { refr, index, .. } => {
                self.expression(refr, TERM);
                self.text("[");
                self.expression(index, ANY);
                self.text("]");
            }
            other => self.operator(other, own),
        }
    }

    fn operator(&mut self, expression: &Expr, own: u8) {
        match expression {
            Expr::BinExpr { op, lhs, rhs, .. } => {
                let operator = match op {
                    BinOp::Intersection => " & ",
                    BinOp::Union => " | ",
                };
                self.infix(lhs, operator, rhs, own);
            }
            Expr::BoolExpr { op, lhs, rhs, .. } => {
                let operator = match op {
                    BoolOp::Lt => " < ",
                    BoolOp::Le => " <= ",
                    BoolOp::Eq => " == ",
                    BoolOp::Ge => " >= ",
                    BoolOp::Gt => " > ",
                    BoolOp::Ne => " != ",
                };
                self.infix(lhs, operator, rhs, own);
            }
            Expr::ArithExpr { op, lhs, rhs, .. } => {
                let operator = match op {
                    ArithOp::Add => " + ",
                    ArithOp::Sub => " - ",
                    ArithOp::Mul => " * ",
                    ArithOp::Div => " / ",
                    ArithOp::Mod => " % ",
                };
                self.infix(lhs, operator, rhs, own);
            }
            Expr::Membership {
                key,
                value,
                collection,
                ..
            } => self.member(expression.span(), key.as_ref(), value, collection),
            // Assignments stand only at the top.
            other => self.top(other),
        }
    }

    /// A membership whose value is used.
    fn member(
        &mut self,
        span: &Span,
        key: Option<&Ref<Expr>>,
        value: &Ref<Expr>,
        collection: &Ref<Expr>,
    ) {
        let parts = key.into_iter().chain([value, collection]);
        let parts: Vec<&Expr> = parts.map(AsRef::as_ref).collect();
        if key.is_none()
            && !parts
                .iter()
                .any(|part| may_be_undefined(part, self.meaning))
        {
            return self.membership(value, collection);
        }
        self.changed = true;
        self.at(span);
        self.text(if key.is_none() {
            "internal.member_2("
        } else {
            "internal.member_3("
        });
        self.list(&parts, |writer, part| writer.expression(part, ITEM));
        self.text(")");
    }

    fn infix(&mut self, left: &Expr, operator: &str, right: &Expr, own: u8) {
        self.expression(left, own);
        self.text(operator);
        self.expression(right, own + 1);
    }

    fn string(&mut self, value: &Value) {
        let text = value.as_string().map_or("", AsRef::as_ref);
        self.text(&serde_json::Value::from(text).to_string());
    }

    fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.text(", ");
            }
            each(self, item);
        }
    }

    fn comprehension(&mut self, span: &Span, brackets: [&str; 2], head: &[&Expr], query: &Query) {
        let [open, close] = brackets;
        self.at(span);
        self.text(open);
        self.scope(query, &[], |writer| {
            for (index, part) in head.iter().enumerate() {
                if index > 0 {
                    writer.text(": ");
                }
                writer.expression(part, TERM);
            }
            writer.text(" | ");
            writer.query(query);
        });
        self.text(close);
    }

    /// Writes with the names that a body inside sees.
    fn scope(&mut self, query: &Query, names: &[String], write: impl FnOnce(&mut Self)) {
        let around = self.seen.clone();
        self.seen.extend(names.iter().cloned());
        vars::enter(query, self.meaning, &mut self.seen);
        write(self);
        self.seen = around;
    }

    fn query(&mut self, query: &Query) {
        for (index, statement) in query.stmts.iter().enumerate() {
            if index > 0 {
                self.text("; ");
            }
            self.at(&statement.span);
            self.statement(statement);
        }
    }
}

/// How strong an expression binds, as the parser reads it.
fn strength(expression: &Expr) -> u8 {
    match expression {
        Expr::Membership { .. } | Expr::AssignExpr { .. } | Expr::UnaryExpr { .. } => ANY,
        Expr::BoolExpr { .. } => COMPARED,
        Expr::BinExpr {
            op: BinOp::Union, ..
        } => 2,
        Expr::BinExpr { .. } => ITEM,
        Expr::ArithExpr {
            op: ArithOp::Add | ArithOp::Sub,
            ..
        } => 4,
        Expr::ArithExpr { .. } => 5,
        _ => TERM,
    }
}
