//! Macros: those of the standard library, recognised in the parser's expansion, and those of the
//! extensions.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};

use super::compile::{Compiled, Compiler, Problem, problem};
use super::node::{Bind, Loop, LoopKind, Node, OptionalMap};

/// Loop and bound variables in scope at once.
const MAX_LOCALS: usize = 64;

/// The parts of a comprehension, as in the syntax tree.
struct Parts<'e> {
    kind: LoopKind,
    range: &'e IdedExpr,
    first: &'e str,
    second: Option<&'e str>,
    filter: Option<&'e IdedExpr>,
    body: &'e IdedExpr,
}

impl Compiler<'_> {
    /// A macro of the standard library.
    pub fn standard_macro(&mut self, expr: &IdedExpr, inner: &ComprehensionExpr) -> Compiled {
        let parts = recognise(inner).ok_or_else(|| problem(expr, "unknown comprehension"))?;
        self.comprehension(expr, &parts)
    }

    /// A macro of an extension; None where the call is none.
    pub fn own_macro(&mut self, expr: &IdedExpr, call: &CallExpr) -> Result<Option<Node>, Problem> {
        let Some(target) = call.target.as_deref() else {
            return Ok(None);
        };
        let name = call.func_name.as_str();
        if self.namespace(target) == Some("cel") {
            return match (name, call.args.as_slice()) {
                ("bind", [variable, value, body]) => {
                    self.bind(expr, variable, value, body).map(Some)
                }
                ("bind", _) => Err(problem(
                    expr,
                    "`cel.bind` takes a name, a value and an expression",
                )),
                _ => Err(problem(expr, format!("`cel.{name}` is no function"))),
            };
        }
        match (name, call.args.as_slice()) {
            ("optMap" | "optFlatMap", [variable, body]) => self
                .optional_map(expr, target, variable, body, name == "optFlatMap")
                .map(Some),
            (_, [first, second, rest @ ..]) => {
                let (kind, filter, body) = match (name, rest) {
                    ("all", [body]) => (LoopKind::All, None, body),
                    ("exists", [body]) => (LoopKind::Exists, None, body),
                    ("existsOne" | "exists_one", [body]) => (LoopKind::ExistsOne, None, body),
                    ("transformList", [body]) => (LoopKind::List, None, body),
                    ("transformList", [filter, body]) => (LoopKind::List, Some(filter), body),
                    ("transformMap", [body]) => (LoopKind::Map, None, body),
                    ("transformMap", [filter, body]) => (LoopKind::Map, Some(filter), body),
                    ("transformMapEntry", [body]) => (LoopKind::MapEntry, None, body),
                    ("transformMapEntry", [filter, body]) => {
                        (LoopKind::MapEntry, Some(filter), body)
                    }
                    _ => return Ok(None),
                };
                let parts = Parts {
                    kind,
                    range: target,
                    first: variable_name(first)?,
                    second: Some(variable_name(second)?),
                    filter,
                    body,
                };
                self.comprehension(expr, &parts).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn comprehension(&mut self, expr: &IdedExpr, parts: &Parts<'_>) -> Compiled {
        if parts.second == Some(parts.first) {
            return Err(problem(expr, "the two variables must differ"));
        }
        let range = self.compile(parts.range)?;
        let first = self.declare(expr, parts.first)?;
        let second = match parts.second {
            Some(name) => Some(self.declare(expr, name)?),
            None => None,
        };
        let filter = match parts.filter {
            Some(filter) => Some(self.compile(filter)?),
            None => None,
        };
        let body = self.compile(parts.body)?;
        self.locals.truncate(first);
        Ok(Node::Loop(Box::new(Loop {
            kind: parts.kind,
            range,
            first,
            second,
            filter,
            body,
        })))
    }

    fn bind(
        &mut self,
        expr: &IdedExpr,
        variable: &IdedExpr,
        value: &IdedExpr,
        body: &IdedExpr,
    ) -> Compiled {
        let value = self.compile(value)?;
        let local = self.declare(expr, variable_name(variable)?)?;
        let body = self.compile(body)?;
        self.locals.truncate(local);
        Ok(Node::Bind(Box::new(Bind { local, value, body })))
    }

    fn optional_map(
        &mut self,
        expr: &IdedExpr,
        operand: &IdedExpr,
        variable: &IdedExpr,
        body: &IdedExpr,
        flat: bool,
    ) -> Compiled {
        let operand = self.compile(operand)?;
        let local = self.declare(expr, variable_name(variable)?)?;
        let body = self.compile(body)?;
        self.locals.truncate(local);
        Ok(Node::OptionalMap(Box::new(OptionalMap {
            operand,
            local,
            body,
            flat,
        })))
    }

    fn declare(&mut self, expr: &IdedExpr, name: &str) -> Result<usize, Problem> {
        if self.locals.len() == MAX_LOCALS {
            return Err(problem(expr, "more than 64 variables in scope"));
        }
        self.locals.push(name.to_owned());
        self.most_locals = self.most_locals.max(self.locals.len());
        Ok(self.locals.len() - 1)
    }
}

fn variable_name(expr: &IdedExpr) -> Result<&str, Problem> {
    match &expr.expr {
        Expr::Ident(name) if !name.starts_with('.') => Ok(name),
        _ => Err(problem(expr, "a variable of a macro must be a simple name")),
    }
}

fn as_call<'e>(expr: &'e IdedExpr, name: &str) -> Option<&'e [IdedExpr]> {
    match &expr.expr {
        Expr::Call(call) if call.func_name == name && call.target.is_none() => Some(&call.args),
        _ => None,
    }
}

/// Which macro a comprehension was, from the shape that the parser gives it.
fn recognise(inner: &ComprehensionExpr) -> Option<Parts<'_>> {
    let parts = |kind, filter, body| Parts {
        kind,
        range: &inner.iter_range,
        first: &inner.iter_var,
        second: inner.iter_var2.as_deref(),
        filter,
        body,
    };
    match &inner.accu_init.expr {
        Expr::Literal(LiteralValue::Boolean(start)) if *start.inner() => {
            let args = as_call(&inner.loop_step, operators::LOGICAL_AND)?;
            Some(parts(LoopKind::All, None, args.get(1)?))
        }
        Expr::Literal(LiteralValue::Boolean(_)) => {
            let args = as_call(&inner.loop_step, operators::LOGICAL_OR)?;
            Some(parts(LoopKind::Exists, None, args.get(1)?))
        }
        Expr::Literal(LiteralValue::Int(_)) => {
            let args = as_call(&inner.loop_step, operators::CONDITIONAL)?;
            Some(parts(LoopKind::ExistsOne, None, args.first()?))
        }
        Expr::List(_) => {
            let (filter, step) = match as_call(&inner.loop_step, operators::CONDITIONAL) {
                Some([filter, step, _]) => (Some(filter), step),
                _ => (None, &inner.loop_step),
            };
            let Expr::List(list) = &as_call(step, operators::ADD)?.get(1)?.expr else {
                return None;
            };
            Some(parts(LoopKind::List, filter, list.elements.first()?))
        }
        _ => None,
    }
}
