//! What experiments tell HTTP requests apart by: an expression of the operator's, apart from any bundle.

use std::fmt;
use std::sync::Arc;

use crate::engine::expression::{self, Expression, Scope, Trees, Variables};
use crate::engine::input::Root;
use crate::engine::{DataBuilder, Value};
use crate::policy::{Place, Text};

use super::run::{Outcome, Run};
use super::{CompileErrors, Compiler, Context, EvaluateError, HttpRequest, Program, Scratch};

/// Roots that a key may name: what is known of every request, whatever is loaded.
const ROOTS: &[Root] = &[
    Root::Http,
    Root::Jwt,
    Root::Source,
    Root::Destination,
    Root::Tls,
    Root::Extensions,
    Root::Metadata,
];

/// A compiled key.
pub struct HttpKey {
    /// Without policies: the layout that the expression reads.
    program: Program,
    expression: Expression,
    source: Box<str>,
}

impl fmt::Debug for HttpKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("HttpKey")
            .field(&self.source)
            .finish()
    }
}

impl HttpKey {
    /// Compiles an expression; `path` is the setting's name, for errors.
    ///
    /// # Errors
    ///
    /// What is wrong with the expression.
    pub fn compile(path: &str, expression: &str) -> Result<Self, CompileErrors> {
        let mut program = Compiler::default().compile(DataBuilder::default())?;
        let text = Text {
            value: expression.to_owned(),
            place: Place {
                file: Arc::from("configuration"),
                line: 1,
                column: 1,
                path: Arc::from(path),
            },
        };
        let scope = Scope {
            roots: ROOTS,
            variables: &Variables::default(),
            trees: &Trees::default(),
        };
        let compiled = expression::compile_without_data(&text, scope, &mut program.layout);
        Ok(Self {
            expression: compiled.map_err(|error| CompileErrors {
                errors: vec![error],
                rego_unsupported: false,
            })?,
            program,
            source: expression.into(),
        })
    }

    /// The key of a request: a text that is not empty, or an integer. None where the expression has no such value: then
    /// the request is in no experiment.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`]; a missing field is none.
    pub fn of<'a>(
        &'a self,
        request: &HttpRequest<'a>,
        context: &Context<'a>,
        scratch: &'a Scratch,
    ) -> Result<Option<&'a str>, EvaluateError> {
        let run = Run::new(&self.program, &[], context, scratch)?;
        run.read_http(request)?;
        let outcome = run.quietly(self.expression.evaluate(&run.frame))?;
        let text = match outcome {
            Outcome::Value(value @ (Value::String(_) | Value::Int(_) | Value::Uint(_))) => {
                run.text(&value)
            }
            _ => return Ok(None),
        };
        Ok((!text.is_empty()).then_some(text))
    }
}
