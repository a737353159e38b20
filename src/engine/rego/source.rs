//! What a parsed module says: its package, its rules' paths, what it refers to and calls, with places.

use regorus::unstable::{
    Expr, Literal, LiteralStmt, Module, Query, Ref, Rule, RuleAssign, RuleHead, Span,
};

use super::RegoPlace;

/// The names that a reference begins with, up to the first that is not a constant string.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StaticPath {
    pub names: Vec<String>,
    /// Whether that is all of it.
    pub whole: bool,
}

pub(super) fn static_path(refr: &Expr) -> StaticPath {
    match refr {
        Expr::Var { span, .. } => StaticPath {
            names: vec![span.text().to_owned()],
            whole: true,
        },
        Expr::RefDot { refr, field, .. } => {
            let name = field.1.as_string().map_or(field.0.text(), AsRef::as_ref);
            extended(static_path(refr), Some(name))
        }
        Expr::RefBrack { refr, index, .. } => {
            let name = match index.as_ref() {
                Expr::String { value, .. } | Expr::RawString { value, .. } => {
                    value.as_string().ok().map(AsRef::as_ref)
                }
                _ => None,
            };
            extended(static_path(refr), name)
        }
        _ => StaticPath {
            names: Vec::new(),
            whole: false,
        },
    }
}

fn extended(mut path: StaticPath, name: Option<&str>) -> StaticPath {
    if path.whole {
        match name {
            Some(name) => path.names.push(name.to_owned()),
            None => path.whole = false,
        }
    }
    path
}

/// The path of a module's package below `data`.
pub(super) fn package(module: &Module) -> Vec<String> {
    let mut names = static_path(&module.package.refr).names;
    if names.first().is_some_and(|name| name == "data") {
        names.remove(0);
    }
    names
}

/// The path of a document that a rule (part) defines below its package; None for functions.
pub(super) fn document(rule: &Rule) -> Option<StaticPath> {
    match rule {
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. }
            | RuleHead::Set {
                refr, key: Some(_), ..
            } => Some(static_path(refr)),
            // `p[x] { ... }` of Rego v0: the last part is the element.
            RuleHead::Set {
                refr, key: None, ..
            } => match refr.as_ref() {
                Expr::RefBrack { refr, .. } => Some(static_path(refr)),
                whole => Some(static_path(whole)),
            },
            RuleHead::Func { .. } => None,
        },
        Rule::Default { refr, args, .. } => args.is_empty().then(|| static_path(refr)),
    }
}

/// Where a span begins. The parser counts columns from 1.
pub(super) fn place(span: &Span) -> RegoPlace {
    RegoPlace {
        file: span.source.get_path().clone(),
        row: span.line,
        column: span.col,
    }
}

/// A part of a module.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'m> {
    Statement(&'m LiteralStmt),
    Expression(&'m Expr),
}

/// Adds the paths below `data` that a part refers to.
pub(super) fn collect_data_paths(part: Part<'_>, paths: &mut Vec<Vec<String>>) {
    if let Part::Expression(expression) = part {
        paths.extend(data_path(expression));
    }
}

/// Calls `each` with every statement and expression of a module, those inside others included; a reference is one expression.
pub(super) fn each_part(module: &Module, each: &mut dyn FnMut(Part<'_>)) {
    for import in &module.imports {
        expression(&import.refr, each);
    }
    for rule in &module.policy {
        each_in_rule(rule, each);
    }
}

fn each_in_rule(rule: &Rule, each: &mut dyn FnMut(Part<'_>)) {
    match rule {
        Rule::Spec { head, bodies, .. } => {
            match head {
                RuleHead::Compr { refr, assign, .. } => {
                    expression(refr, each);
                    assigned(assign.as_ref(), each);
                }
                RuleHead::Set { refr, key, .. } => {
                    expression(refr, each);
                    all(key.as_slice(), each);
                }
                RuleHead::Func {
                    refr, args, assign, ..
                } => {
                    expression(refr, each);
                    all(args, each);
                    assigned(assign.as_ref(), each);
                }
            }
            for body in bodies {
                assigned(body.assign.as_ref(), each);
                each_in_query(&body.query, each);
            }
        }
        Rule::Default { args, value, .. } => {
            all(args, each);
            expression(value, each);
        }
    }
}

fn assigned(assign: Option<&RuleAssign>, each: &mut dyn FnMut(Part<'_>)) {
    if let Some(assign) = assign {
        expression(&assign.value, each);
    }
}

fn all(expressions: &[Ref<Expr>], each: &mut dyn FnMut(Part<'_>)) {
    for inner in expressions {
        expression(inner, each);
    }
}

/// Calls `each` with every statement and expression of a query.
pub(super) fn each_in_query(query: &Query, each: &mut dyn FnMut(Part<'_>)) {
    for statement in &query.stmts {
        each(Part::Statement(statement));
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn {
                key,
                value,
                collection,
                ..
            } => {
                all(key.as_slice(), each);
                expression(value, each);
                expression(collection, each);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => expression(expr, each),
            Literal::Every { domain, query, .. } => {
                expression(domain, each);
                each_in_query(query, each);
            }
        }
        for modifier in &statement.with_mods {
            expression(&modifier.refr, each);
            expression(&modifier.r#as, each);
        }
    }
}

fn expression(outer: &Expr, each: &mut dyn FnMut(Part<'_>)) {
    each(Part::Expression(outer));
    match outer {
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            expression(term, each);
            each_in_query(query, each);
        }
        Expr::ObjectCompr {
            key, value, query, ..
        } => {
            expression(key, each);
            expression(value, each);
            each_in_query(query, each);
        }
        Expr::Call { fcn, params, .. } => {
            expression(fcn, each);
            all(params, each);
        }
        Expr::RefDot { refr, .. } => base(refr, each),
        Expr::RefBrack { refr, index, .. } => {
            base(refr, each);
            expression(index, each);
        }
        other => each_child(other, &mut |child| expression(child, each)),
    }
}

/// The expressions right inside of one; none of a comprehension, whose variables are its own, nor a function's name.
pub(super) fn each_child(expression: &Expr, each: &mut dyn FnMut(&Expr)) {
    match expression {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. }
        | Expr::ArrayCompr { .. }
        | Expr::SetCompr { .. }
        | Expr::ObjectCompr { .. } => {}
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            for item in items {
                each(item);
            }
        }
        Expr::Object { fields, .. } => {
            for (_, key, value) in fields {
                each(key);
                each(value);
            }
        }
        Expr::Call { params, .. } => {
            for parameter in params {
                each(parameter);
            }
        }
        Expr::UnaryExpr { expr, .. } => each(expr),
        Expr::RefDot { refr, .. } => each(refr),
        Expr::RefBrack { refr, index, .. } => {
            each(refr);
            each(index);
        }
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => {
            each(lhs);
            each(rhs);
        }
        Expr::Membership {
            key,
            value,
            collection,
            ..
        } => {
            for part in key.iter().chain([value, collection]) {
                each(part);
            }
        }
    }
}

/// What a reference begins with: its own beginnings are not told, only what is computed in it.
fn base(refr: &Expr, each: &mut dyn FnMut(Part<'_>)) {
    match refr {
        Expr::Var { .. } => {}
        Expr::RefDot { refr, .. } => base(refr, each),
        Expr::RefBrack { refr, index, .. } => {
            base(refr, each);
            expression(index, each);
        }
        computed => expression(computed, each),
    }
}

/// The path below `data` that an expression refers to, as far as it is constant; None for any other expression.
pub(super) fn data_path(expr: &Expr) -> Option<Vec<String>> {
    let mut names = static_path(expr).names;
    if names.first().is_none_or(|name| name != "data") {
        return None;
    }
    names.remove(0);
    Some(names)
}
