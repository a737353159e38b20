//! CEL: the `cel` crate's parser gives the syntax tree, this module compiles and evaluates it.
//!
//! Field paths become slots, literals are interned, sets become hash sets, constant regular expressions
//! are compiled once, and every evaluation counts steps. What is not known is refused when compiling.

mod call;
mod compile;
mod comprehension;
mod convert;
mod evaluate;
mod format;
mod function;
mod guard;
mod literal;
mod macros;
mod math;
mod node;
mod operator;
mod parse;
mod pattern;
mod set;
mod strings;
#[cfg(test)]
mod tests;
mod time;

use std::cell::Cell;

use bumpalo::Bump;

use crate::model::Timestamp;
use crate::policy::{Named, Place, Text};

use super::data::Data;
use super::input::{Layout, Root, Slot, Slots};
use super::value::Value;

use compile::{Compiler, Problem};
use evaluate::Machine;
use node::Node;

pub use parse::Trees;

/// A program part that cannot be compiled, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {}{}{message}", place.path, if place.path.is_empty() { "" } else { ": " })]
pub struct CompileError {
    pub place: Place,
    pub message: String,
}

/// Why an expression has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure<'a> {
    /// An evaluation error in CEL's sense.
    Error(&'a str),
    /// The decision's step budget is used up: the whole decision ends.
    Budget,
}

/// What an expression may name.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'s> {
    /// Roots that exist here; any other is a compile error.
    pub roots: &'s [Root],
    /// The document's variables, from [`compile_variables`].
    pub variables: &'s Variables,
    /// Of texts that were parsed before.
    pub trees: &'s Trees,
}

/// A document's compiled `variables`.
#[derive(Debug, Default)]
pub struct Variables {
    names: Vec<Box<str>>,
    expressions: Vec<Expression>,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    node: Node,
    /// Loop and bound variables in scope at once.
    locals: usize,
    /// Of the tree, variables included.
    depth: usize,
    source: Box<str>,
}

/// Everything an evaluation reads. One per decision; `enter` between documents.
#[derive(Debug)]
pub struct Frame<'a> {
    pub slots: &'a Slots<'a>,
    pub data: &'a Data,
    pub now: Timestamp,
    pub arena: &'a Bump,
    /// Steps left.
    pub steps: Cell<u64>,
    variables: &'a Variables,
    memo: &'a [Cell<Memo<'a>>],
}

/// The value of a variable in this document and decision, once it was needed.
type Memo<'a> = Option<Result<Value<'a>, Failure<'a>>>;

/// `slot` must equal one of `values` for the expression to hold; `absent` is its outcome where the
/// slot is absent. What the candidate index is built from.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    pub slot: Slot,
    pub values: Vec<GuardValue>,
    pub absent: Absent,
}

/// A constant that an index can hold.
#[derive(Clone, Debug, PartialEq)]
pub enum GuardValue {
    Null,
    Bool(bool),
    /// Compares with any numeric type of the same value.
    Int(i128),
    Double(f64),
    String(String),
}

/// What a guarded expression does where its slot is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// `has()` or optional syntax guards it: it does not hold.
    False,
    /// It is an evaluation error.
    Error,
}

/// Compiles `text`, adding the paths it reads to `layout`.
///
/// # Errors
///
/// Syntax errors, unknown names and functions, wrong argument counts, invalid constant patterns.
pub fn compile(
    text: &Text,
    scope: Scope<'_>,
    layout: &mut Layout,
    data: &Data,
) -> Result<Expression, CompileError> {
    let roots: Vec<(&str, Root)> = scope.roots.iter().map(|it| (it.name(), *it)).collect();
    compile_named(text, &roots, scope, layout, Some(data))
}

/// As [`compile`], where there is no data document: `data` is an unknown name.
///
/// # Errors
///
/// As [`compile`].
pub fn compile_without_data(
    text: &Text,
    scope: Scope<'_>,
    layout: &mut Layout,
) -> Result<Expression, CompileError> {
    let roots: Vec<(&str, Root)> = scope.roots.iter().map(|it| (it.name(), *it)).collect();
    compile_named(text, &roots, scope, layout, None)
}

/// As [`compile`], with the request variables under the names given.
fn compile_named(
    text: &Text,
    roots: &[(&str, Root)],
    scope: Scope<'_>,
    layout: &mut Layout,
    data: Option<&Data>,
) -> Result<Expression, CompileError> {
    let parsed = scope.trees.of(&text.value).map_err(|error| CompileError {
        place: inside(&text.place, error.line, error.column),
        message: error.message,
    })?;
    let (tree, info) = &*parsed;
    let mut compiler = Compiler {
        roots,
        variables: scope.variables,
        layout,
        data,
        locals: Vec::new(),
        most_locals: 0,
        depth: 0,
        deepest: 0,
    };
    let node = compiler.compile(tree).map_err(|Problem { id, message }| {
        let offset = info.offset_for(id).map_or(0, |(start, _)| start as usize);
        let before: String = text.value.chars().take(offset).collect();
        let line = before.matches('\n').count();
        let column = before.chars().rev().take_while(|it| *it != '\n').count();
        CompileError {
            place: inside(&text.place, line, column),
            message,
        }
    })?;
    Ok(Expression {
        node,
        locals: compiler.most_locals,
        depth: compiler.deepest,
        source: text.value.as_str().into(),
    })
}

/// The place `line` lines and `column` characters (from 0) into a text that begins at `place`. Exact on
/// the first line; below it the text's indentation in the file is not known.
fn inside(place: &Place, line: usize, column: usize) -> Place {
    let mut place = place.clone();
    if line == 0 {
        place.column = place.column.saturating_add(column as u32);
    } else {
        place.line = place.line.saturating_add(line as u32);
        place.column = column as u32 + 1;
    }
    place
}

/// Compiles a document's variables; each may use those before it.
///
/// # Errors
///
/// As [`compile`]; also duplicate names.
pub fn compile_variables(
    variables: &[Named],
    roots: &[Root],
    trees: &Trees,
    layout: &mut Layout,
    data: &Data,
) -> Result<Variables, Vec<CompileError>> {
    let mut compiled = Variables::default();
    let mut errors = Vec::new();
    for variable in variables {
        if compiled.index(&variable.name).is_some() {
            errors.push(CompileError {
                place: variable.expression.place.clone(),
                message: format!("variable `{}` is defined twice", variable.name),
            });
            continue;
        }
        let scope = Scope {
            roots,
            variables: &compiled,
            trees,
        };
        match compile(&variable.expression, scope, layout, data) {
            Ok(expression) => {
                compiled.names.push(variable.name.as_str().into());
                compiled.expressions.push(expression);
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(compiled)
    } else {
        Err(errors)
    }
}

impl Variables {
    fn index(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| **known == *name)
    }

    fn expression(&self, index: usize) -> Option<&Expression> {
        self.expressions.get(index)
    }

    fn depth(&self, index: usize) -> usize {
        self.expression(index).map_or(0, |it| it.depth)
    }
}

static NO_VARIABLES: Variables = Variables {
    names: Vec::new(),
    expressions: Vec::new(),
};

impl<'a> Frame<'a> {
    /// A frame that has entered no document yet, with `steps` to spend.
    #[must_use]
    pub fn new(
        slots: &'a Slots<'a>,
        data: &'a Data,
        now: Timestamp,
        arena: &'a Bump,
        steps: u64,
    ) -> Self {
        Self {
            slots,
            data,
            now,
            arena,
            steps: Cell::new(steps),
            variables: &NO_VARIABLES,
            memo: &[],
        }
    }

    /// Starts a document: its variables are evaluated at most once until the next `enter`.
    pub fn enter(&mut self, variables: &'a Variables) {
        self.variables = variables;
        let count = variables.expressions.len();
        self.memo = if count == 0 {
            &[]
        } else {
            self.arena.alloc_slice_fill_with(count, |_| Cell::new(None))
        };
    }
}

impl Expression {
    /// The value of the expression.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub fn evaluate<'a>(&'a self, frame: &Frame<'a>) -> Result<Value<'a>, Failure<'a>> {
        let locals: &[Cell<Value<'a>>] = if self.locals == 0 {
            &[]
        } else {
            frame
                .arena
                .alloc_slice_fill_with(self.locals, |_| Cell::new(Value::Null))
        };
        Machine { frame, locals }.eval(&self.node)
    }

    /// Whether the expression is true. A value that is no bool is an error.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub fn holds<'a>(&'a self, frame: &Frame<'a>) -> Result<bool, Failure<'a>> {
        match self.evaluate(frame)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Failure::Error("the value is no bool")),
        }
    }

    /// A condition on one slot that must hold for the expression to be anything but false; None where there
    /// is no such.
    #[must_use]
    pub fn guard(&self) -> Option<Guard> {
        guard::guard(&self.node)
    }

    /// As written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}
