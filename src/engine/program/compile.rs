//! From documents and data to a [`Program`]: every error collected, each with its place.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::engine::expression::{self, Scope, Trees, Variables, compile_variables};
use crate::engine::input::{Layout, Root};
use crate::engine::rego::compile_rego;
use crate::engine::{
    CompileError, DataBuilder, Rego, RegoError, RegoErrorKind, RegoModule, RegoVersion,
};
use crate::model::{PolicyId, VersionStatus};
use crate::policy::{Body, Document, Named, Place, Text};

use super::Program;
use super::access_request::AccessSlots;
use super::consumption::ConsumptionSlots;
use super::content::Contents;
use super::self_test::Tests;
use super::version::{Condition, Gate, Version, VersionId};

/// Everything that keeps the policies from compiling. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CompileErrors {
    /// In the order of documents and places.
    pub errors: Vec<CompileError>,
    /// Whether all of it is Rego that OPA would take and this engine does not.
    pub rego_unsupported: bool,
}

impl fmt::Display for CompileErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            error.fmt(formatter)?;
        }
        Ok(())
    }
}

/// Turns documents and data into a [`Program`].
#[derive(Debug)]
pub struct Compiler {
    documents: Vec<(Document, Arc<str>)>,
    modules: Vec<RegoModule>,
    prints: bool,
    indexed: bool,
}

impl Default for Compiler {
    fn default() -> Self {
        Self {
            documents: Vec::new(),
            modules: Vec::new(),
            prints: false,
            indexed: true,
        }
    }
}

impl Compiler {
    /// Adds a document with its content hash. Order of calls = evaluation order (newest first). Of
    /// several versions of one policy the active one decides, except where an experiment says otherwise.
    pub fn add(&mut self, document: Document, content_hash: Arc<str>) {
        self.documents.push((document, content_hash));
    }

    /// Adds a Rego module that is no policy of its own.
    pub fn add_module(&mut self, module: RegoModule) {
        self.modules.push(module);
    }

    /// Lets Rego's `print` be heard ([`crate::engine::RegoMachine::take_prints`]); else it does nothing.
    pub const fn keep_prints(&mut self) {
        self.prints = true;
    }

    /// A compiler whose program looks at every policy: what the index is tested against.
    #[cfg(test)]
    pub(super) fn without_index() -> Self {
        Self {
            documents: Vec::new(),
            modules: Vec::new(),
            prints: false,
            indexed: false,
        }
    }

    /// Compiles everything; the data of the active Rego policies becomes part of the data document.
    ///
    /// # Errors
    ///
    /// [`CompileErrors`].
    pub fn compile(mut self, mut data: DataBuilder) -> Result<Program, CompileErrors> {
        let mut errors = self.rego_policies(&mut data);
        let data = data.finish();
        let mut unsupported = 0;
        let rego = compile_rego(self.modules, &data, self.prints).unwrap_or_else(|found| {
            let is_unsupported = |error: &&RegoError| error.kind == RegoErrorKind::Unsupported;
            unsupported = found.iter().filter(is_unsupported).count();
            errors.extend(found.into_iter().map(|error| (usize::MAX, located(error))));
            Rego::default()
        });
        let mut warnings = Vec::new();
        let directory = super::search::Directory::new(&data, &mut warnings);
        let mut layout = Layout::default();
        let access_slots = AccessSlots::new(&mut layout);
        let consumption_slots = ConsumptionSlots::new(&mut layout);
        let variant_slots = super::variant::VariantSlots::new(&mut layout);
        let client = ["client_id", "provider_id"].map(|name| layout.slot(Root::Input, &[name]));
        let mut build = Build {
            program: Program {
                layout,
                data,
                rego,
                versions: Vec::new(),
                experiments: super::experiment::Experiments::default(),
                validations: super::validation::Validations::default(),
                access: super::access::AccessRules::default(),
                access_controls: Vec::new(),
                directory,
                http: super::http::HttpRules::default(),
                consumption: Vec::new(),
                contents: Contents::default(),
                tests: Tests::default(),
                warnings,
                access_slots,
                consumption_slots,
                variant_slots,
                client,
                indexed: self.indexed,
            },
            errors,
            unsupported,
            current: 0,
            trees: Trees::default(),
        };
        build.documents(&self.documents);
        build.finish(self.documents)
    }
}

impl Compiler {
    /// Takes the modules and the data of the active Rego policies.
    fn rego_policies(&mut self, data: &mut DataBuilder) -> Vec<(usize, CompileError)> {
        let mut errors = Vec::new();
        for (position, (document, _)) in self.documents.iter().enumerate() {
            let Body::Rego(policy) = &document.body else {
                continue;
            };
            if document.metadata.status != VersionStatus::Active {
                continue;
            }
            let modules = policy.modules.iter().map(|(path, text)| RegoModule {
                path: path.as_str().into(),
                text: text.as_str().into(),
                version: RegoVersion::V1,
            });
            self.modules.extend(modules);
            if let Some(text) = &policy.data
                && let Err(error) = data.add(&[], &mut text.as_bytes())
            {
                let error = CompileError {
                    place: document.place.clone(),
                    message: format!("`data`: {error}"),
                };
                errors.push((position, error));
            }
        }
        errors
    }
}

/// An error of a module as one of a policy.
fn located(error: RegoError) -> CompileError {
    let (file, line, column) = error.place.map_or_else(Default::default, |place| {
        (place.file, place.row, place.column)
    });
    CompileError {
        place: Place {
            file: file.into(),
            line,
            column,
            path: "".into(),
        },
        message: error.message,
    }
}

/// A compilation under way.
#[derive(Debug)]
pub(super) struct Build {
    pub program: Program,
    /// With the position of the document, by which they are sorted.
    errors: Vec<(usize, CompileError)>,
    /// How many of them are Rego that this engine does not take.
    unsupported: usize,
    current: usize,
    trees: Trees,
}

impl Build {
    /// Compiles the versions that decide, in order.
    fn documents(&mut self, documents: &[(Document, Arc<str>)]) {
        let policies = by_policy(documents);
        let is_active = |document: &Document| document.metadata.status == VersionStatus::Active;
        self.program.layout.forget_asked();
        for (position, (document, _)) in documents.iter().enumerate() {
            self.current = position;
            match &document.body {
                Body::Experiment(experiment) if is_active(document) => {
                    self.experiment(document, experiment);
                }
                _ => {}
            }
        }
        self.program.validations.read_claims = self.program.layout.is_asked(Root::Jwt);
        let claims = self.claims(documents, &policies);
        for (position, (document, _)) in documents.iter().enumerate() {
            if !is_active(document) {
                continue;
            }
            let mut versions = vec![position];
            let id = document.metadata.id;
            let of_policy = policies.get(&id).map_or(&[][..], Vec::as_slice);
            let choice = self.choice(
                documents,
                position,
                of_policy,
                claims.get(&id),
                &mut versions,
            );
            for (local, version) in versions.into_iter().enumerate() {
                let Some((document, _)) = documents.get(version) else {
                    continue;
                };
                self.current = version;
                let gate = choice.map_or(Gate::Always, |choice| Gate::Choice {
                    choice,
                    local: local as u16,
                });
                self.document(document, gate, local == 0);
            }
        }
    }

    fn finish(mut self, documents: Vec<(Document, Arc<str>)>) -> Result<Program, CompileErrors> {
        if self.errors.is_empty() {
            self.program.contents = Contents::new(documents);
            return Ok(self.program);
        }
        self.errors
            .sort_by(|(left, one), (right, other)| (left, &one.place).cmp(&(right, &other.place)));
        Err(CompileErrors {
            rego_unsupported: self.errors.len() == self.unsupported,
            errors: self.errors.into_iter().map(|(_, error)| error).collect(),
        })
    }

    /// Makes the version of a document that decides.
    pub fn version(&mut self, document: &Document, gate: Gate, variables: Variables) -> VersionId {
        let id = VersionId(self.program.versions.len() as u32);
        self.program.versions.push(Version {
            id: document.metadata.id.to_string(),
            name: document.metadata.name.clone(),
            number: document.metadata.version.to_string(),
            gate,
            variables,
        });
        id
    }

    /// The document that errors are reported of from here on.
    pub fn current_document(&mut self, position: usize) {
        self.current = position;
    }

    pub fn error(&mut self, place: &Place, message: impl Into<String>) {
        let error = CompileError {
            place: place.clone(),
            message: message.into(),
        };
        self.errors.push((self.current, error));
    }

    pub fn warn(&mut self, place: &Place, message: impl Into<String>) {
        self.program.warnings.push(CompileError {
            place: place.clone(),
            message: message.into(),
        });
    }

    pub fn variables(&mut self, variables: &[Named], roots: &[Root]) -> Variables {
        let Program { layout, data, .. } = &mut self.program;
        compile_variables(variables, roots, &self.trees, layout, data).unwrap_or_else(|errors| {
            let current = self.current;
            self.errors
                .extend(errors.into_iter().map(|error| (current, error)));
            Variables::default()
        })
    }

    pub fn condition(
        &mut self,
        text: &Text,
        roots: &[Root],
        variables: &Variables,
    ) -> Option<Condition> {
        let Program { layout, data, .. } = &mut self.program;
        let scope = Scope {
            roots,
            variables,
            trees: &self.trees,
        };
        match expression::compile(text, scope, layout, data) {
            Ok(expression) => Some(Condition {
                expression,
                place: text.place.path.clone(),
            }),
            Err(error) => {
                self.errors.push((self.current, error));
                None
            }
        }
    }
}

/// Positions of each policy's versions, in order.
fn by_policy(documents: &[(Document, Arc<str>)]) -> HashMap<PolicyId, Vec<usize>> {
    let mut policies: HashMap<PolicyId, Vec<usize>> = HashMap::new();
    for (position, (document, _)) in documents.iter().enumerate() {
        policies
            .entry(document.metadata.id)
            .or_default()
            .push(position);
    }
    policies
}
