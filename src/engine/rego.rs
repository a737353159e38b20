//! Rego: modules compiled once per bundle, documents under `data` evaluated on request.
//!
//! Every rule that can be asked for is an entry point of a program of `regorus`' register machine; a rule that
//! the machine refuses runs on its interpreter instead. A [`Rego`] is immutable and shared. A [`RegoMachine`] belongs
//! to one worker and holds the register machine and the interpreter between decisions. A document that no rule
//! defines comes from the bundle's compact data and is made a value only when it is asked for.

mod builtins;
mod calls;
mod compile;
mod convert;
mod document;
mod error;
mod hoist;
mod json;
mod machine;
mod nesting;
mod query;
mod rename;
mod repair;
mod rewrite;
mod self_test;
mod source;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

pub use calls::{Builtin as RegoBuiltin, table as rego_builtins};
pub use compile::{
    Engine as RegoEngine, Module as RegoModule, Version as RegoVersion, compile as compile_rego,
};
pub use error::{RegoError, RegoErrorKind, RegoPlace};
pub use json::{JsonFault, parse as parse_rego_json, write as write_rego_json};
pub use machine::RegoMachine;
/// A Rego value: cheap to clone, ordered as OPA orders values.
pub use regorus::Value as RegoValue;
pub use self_test::{RegoTest, RegoTestOutcome};

use crate::engine::{Data, Limits};
use crate::model::Timestamp;

use compile::Rule;
use tree::Node;

/// One step of a path below `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegoSegment<'a> {
    Name(&'a str),
    /// An index of an array, or a number as key.
    Index(i64),
}

/// How Rego is to be asked.
#[derive(Clone, Debug, Default)]
pub struct RegoInput {
    /// What `input` is; undefined where None.
    pub value: Option<RegoValue>,
    /// A builtin's error ends the evaluation instead of making its expression undefined.
    pub strict: bool,
}

/// What a question to Rego brings along.
#[derive(Clone, Copy, Debug)]
pub struct RegoSetting<'a> {
    pub input: &'a RegoInput,
    /// The bundle's data.
    pub data: &'a Data,
    pub limits: &'a Limits,
    /// What `time.now_ns` says.
    pub now: Timestamp,
}

/// The Rego modules of a bundle.
#[derive(Clone, Debug, Default)]
pub struct Rego {
    shared: Option<Arc<Shared>>,
}

/// What machines hold on to.
#[derive(Debug)]
struct Shared {
    tree: Node,
    rules: Vec<Rule>,
    programs: Vec<Arc<regorus::rvm::program::Program>>,
    /// Prepared once, copied for each machine that needs it.
    interpreter: regorus::Engine,
    /// The part of the bundle's data that a module refers to.
    data: RegoValue,
    /// Modules by path, with their text.
    modules: Vec<RegoModule>,
}

impl Rego {
    /// Whether there is any module.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.is_none()
    }

    /// The modules by path, as they were loaded.
    #[must_use]
    pub fn modules(&self) -> &[RegoModule] {
        self.shared.as_ref().map_or(&[], |shared| &shared.modules)
    }

    /// How many rules the register machine does not take.
    #[must_use]
    pub fn interpreted(&self) -> usize {
        let rules = self.rules();
        rules
            .filter(|(_, engine)| **engine != RegoEngine::Machine)
            .count()
    }

    /// Each rule's path, for example `data.authz.allow`, with what it runs on.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &RegoEngine)> {
        let shared = self.shared.as_deref();
        let rules = shared.into_iter().flat_map(|shared| &shared.rules);
        rules.map(|rule| (rule.name.as_str(), &rule.engine))
    }
}
