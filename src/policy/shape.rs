//! What documents look like: the one table that the checker, the schema and the suggestions read.

mod access;
mod common;
mod experiment;
mod service;
mod validation;

use super::syntax::Syntax;

pub(super) use access::ACCESS_POLICY;
pub(super) use common::LEVELS;
pub(super) use experiment::{EXPERIMENT, REGO};
pub(super) use service::{RULES, SERVICE_POLICY};
pub(super) use validation::VALIDATION_POLICY;

/// `apiVersion` of every document of ours.
pub(super) const API_VERSION: &str = "lictor.dev/v1";

/// The kinds that documents with an `apiVersion` have.
pub(super) static KINDS: [&Shape; 4] = [
    &VALIDATION_POLICY,
    &SERVICE_POLICY,
    &ACCESS_POLICY,
    &EXPERIMENT,
];

/// An object with known fields.
#[derive(Debug)]
pub(super) struct Shape {
    /// The name under which the schema defines it; for documents also their `kind`.
    pub name: &'static str,
    pub about: &'static str,
    /// Whether fields may be written in camelCase, too.
    pub camel: bool,
    pub fields: &'static [Field],
}

/// One field of a [`Shape`].
#[derive(Debug)]
pub(super) struct Field {
    pub name: &'static str,
    pub required: bool,
    pub about: &'static str,
    pub form: Form,
}

/// What a value must be.
#[derive(Debug)]
pub(super) enum Form {
    Text(Syntax),
    OneOf(&'static [&'static str]),
    /// CEL; a boolean or a number stands for itself.
    Expression,
    Flag,
    Integer {
        min: i64,
        max: i64,
    },
    Number {
        min: f64,
        max: f64,
    },
    List {
        items: &'static Form,
        at_least: usize,
    },
    Map {
        names: Syntax,
        values: &'static Form,
    },
    Object(&'static Shape),
    /// Any JSON object.
    AnyObject,
    /// Any JSON value.
    Any,
    OrNull(&'static Form),
}

/// A field that must be there.
const fn required(name: &'static str, form: Form, about: &'static str) -> Field {
    Field {
        name,
        required: true,
        about,
        form,
    }
}

/// A field that may be left out.
const fn optional(name: &'static str, form: Form, about: &'static str) -> Field {
    Field {
        name,
        required: false,
        about,
        form,
    }
}
