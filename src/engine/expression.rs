//! CEL: the `cel` crate's parser gives the syntax tree, this module compiles and evaluates it.
//!
//! Field paths become slots, literals are interned, sets become hash sets, constant regular expressions
//! are compiled once, and every evaluation counts steps. What is not known is refused when compiling.

use std::cell::Cell;

use bumpalo::Bump;

use crate::model::Timestamp;
use crate::policy::{Named, Place, Text};

use super::data::Data;
use super::input::{Layout, Root, Slot, Slots};
use super::value::Value;

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
}

/// A document's compiled `variables`.
#[derive(Debug, Default)]
pub struct Variables {}

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {}

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
    _text: &Text,
    _scope: Scope<'_>,
    _layout: &mut Layout,
    _data: &Data,
) -> Result<Expression, CompileError> {
    todo!()
}

/// Compiles a document's variables; each may use those before it.
///
/// # Errors
///
/// As [`compile`]; also duplicate names.
pub fn compile_variables(
    _variables: &[Named],
    _roots: &[Root],
    _layout: &mut Layout,
    _data: &Data,
) -> Result<Variables, Vec<CompileError>> {
    todo!()
}

static NO_VARIABLES: Variables = Variables {};

impl<'a> Frame<'a> {
    /// A frame without variables, with `steps` to spend.
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
    pub fn enter(&mut self, _variables: &'a Variables) {
        todo!()
    }
}

impl Expression {
    /// The value of the expression.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub fn evaluate<'a>(&'a self, _frame: &Frame<'a>) -> Result<Value<'a>, Failure<'a>> {
        todo!()
    }

    /// Whether the expression is true. A value that is no bool is an error.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub fn holds<'a>(&'a self, _frame: &Frame<'a>) -> Result<bool, Failure<'a>> {
        todo!()
    }

    /// A condition on one slot that must hold for the expression to be anything but false; None where there is no such.
    #[must_use]
    pub fn guard(&self) -> Option<Guard> {
        todo!()
    }

    /// As written.
    #[must_use]
    pub fn source(&self) -> &str {
        todo!()
    }
}
