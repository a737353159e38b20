//! The compiled policies of a snapshot and the questions they answer.
//!
//! A decision runs in three steps: the request goes into its slots (`run`, `access_request`, `http_request`), the
//! programs that can apply are found (`index`) and run (`validation`, `access`, `http`, `consumption`), and the
//! answer borrows from program, request and arena.

mod access;
mod access_control;
mod access_request;
mod assign;
mod bucket;
mod compile;
mod compile_document;
mod compile_experiment;
mod consumption;
mod content;
mod experiment;
mod http;
mod http_effects;
mod http_key;
mod http_request;
mod index;
mod members;
mod murmur3;
mod path_template;
mod question;
mod roles;
mod run;
mod scratch;
mod search;
mod self_test;
mod service;
#[cfg(test)]
mod tests;
mod validation;
mod variant;
mod version;
mod written_request;

use crate::engine::input::{Layout, Root, Slot};
use crate::engine::{CompileError, Data, Rego, Value};
use crate::model::{Access, Consumption, PolicyId, Validation, VariantAnswer};

pub use compile::{CompileErrors, Compiler};
pub use http_key::HttpKey;
pub use question::{
    AccessRequest, Content, Context, DuplicateMembers, EvaluateError, HttpAccess, HttpHeader,
    HttpPeer, HttpRequest, Limits, TestCount, TestFailure,
};
pub use scratch::Scratch;
pub use search::{Candidate, Candidates};
pub use variant::Flag;
pub use written_request::WrittenRequest;

use access_request::{AccessSlots, invalid};
use run::Run;
use version::{Version, VersionId};

/// The compiled policies of a snapshot. Immutable.
#[derive(Debug)]
pub struct Program {
    layout: Layout,
    data: Data,
    rego: Rego,
    versions: Vec<Version>,
    experiments: experiment::Experiments,
    validations: validation::Validations,
    access: access::AccessRules,
    access_controls: Vec<access_control::AccessControlProgram>,
    directory: search::Directory,
    http: http::HttpRules,
    consumption: Vec<consumption::ConsumptionProgram>,
    contents: content::Contents,
    tests: self_test::Tests,
    warnings: Vec<CompileError>,
    access_slots: AccessSlots,
    consumption_slots: consumption::ConsumptionSlots,
    variant_slots: variant::VariantSlots,
    /// `input.client_id` and `input.provider_id`: the key of a validation.
    client: [Slot; 2],
    /// Whether validations are found by index; not so only where the index itself is tested.
    indexed: bool,
}

impl Program {
    /// The Rego modules.
    #[must_use]
    pub const fn rego(&self) -> &Rego {
        &self.rego
    }

    /// The data document.
    #[must_use]
    pub const fn data(&self) -> &Data {
        &self.data
    }

    /// Validates a JSON object.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    pub fn validate<'a>(
        &'a self,
        input: &'a [u8],
        context: &Context<'a>,
        scratch: &'a Scratch,
    ) -> Result<Validation<'a>, EvaluateError> {
        let run = if self.validations.read_claims {
            Run::new(self, input, context, scratch)?
        } else {
            Run::without_claims(self, input, context, scratch)?
        };
        self.validate_in(run, input)
    }

    fn validate_in<'a>(
        &'a self,
        run: &mut Run<'a>,
        input: &'a [u8],
    ) -> Result<Validation<'a>, EvaluateError> {
        run.object_input(input)?;
        if self.experiments.decide() {
            let key = self.client.iter().find_map(|slot| {
                let text = run.slots().get(*slot)?.as_str()?;
                (!text.is_empty()).then_some(text)
            });
            run.assignments.key = key;
            if let Some(key) = key {
                let value = Value::String(key);
                run.slots().set(&self.layout, Root::Subject, &["id"], value);
            }
        }
        self.run_validation(run)
    }

    /// Decides whether a subject may act on a resource.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    pub fn access<'a>(
        &'a self,
        request: AccessRequest<'a>,
        context: &Context<'a>,
        scratch: &'a Scratch,
    ) -> Result<Access<'a>, EvaluateError> {
        self.access_in(Run::new(self, &[], context, scratch)?, request)
    }

    fn access_in<'a>(
        &'a self,
        run: &mut Run<'a>,
        request: AccessRequest<'a>,
    ) -> Result<Access<'a>, EvaluateError> {
        let asked = run.ask(request)?;
        self.run_access(run, &asked)
    }

    /// Decides about an HTTP request.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    pub fn http<'a>(
        &'a self,
        request: &HttpRequest<'a>,
        context: &Context<'a>,
        scratch: &'a Scratch,
    ) -> Result<HttpAccess<'a>, EvaluateError> {
        self.http_in(Run::new(self, &[], context, scratch)?, request)
    }

    fn http_in<'a>(
        &'a self,
        run: &mut Run<'a>,
        request: &HttpRequest<'a>,
    ) -> Result<HttpAccess<'a>, EvaluateError> {
        let roles = run.read_http(request)?;
        self.run_http(run, request, roles)
    }

    /// Decides whether a consumer may use a service: a body
    /// `{consumer_id, service_id, request_payload, headers, context}`.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    pub fn consumption<'a>(
        &'a self,
        input: &'a [u8],
        context: &Context<'a>,
        scratch: &'a Scratch,
    ) -> Result<Consumption<'a>, EvaluateError> {
        let run = Run::new(self, input, context, scratch)?;
        run.object_input(input)?;
        self.run_consumption(run)
    }

    /// Assigns a variant: a body `{experiment | policy_id, key, context}`. The audience sees `context` as it is, and as
    /// `subject.properties` of a subject whose id is the key.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    pub fn variant<'a>(
        &'a self,
        input: &'a [u8],
        context: &Context<'a>,
        scratch: &'a Scratch,
    ) -> Result<VariantAnswer<'a>, EvaluateError> {
        let run = Run::new(self, input, context, scratch)?;
        run.object_input(input)?;
        self.run_variant(run, input)
    }

    /// The content that a client gets; None where nothing is to be had (404).
    #[must_use]
    pub fn content(&self, policy: PolicyId, client: Option<&str>) -> Option<Content<'_>> {
        self.contents.find(&self.experiments, policy, client)
    }

    /// Every policy's active version, by name.
    #[must_use]
    pub fn policies(&self) -> Vec<(PolicyId, Content<'_>)> {
        self.contents.active()
    }

    /// Whether access rules or access-control service policies are loaded.
    #[must_use]
    pub fn decides_access(&self) -> bool {
        !self.access.is_empty() || !self.access_controls.is_empty()
    }

    /// Enabled validation policies.
    #[must_use]
    pub fn active_policies(&self) -> usize {
        self.validations.policies as usize
    }

    /// Names of the experiments that assign variants, those of policies with an A/B group included.
    pub fn experiments(&self) -> impl Iterator<Item = &str> {
        self.experiments.names()
    }

    /// Bytes that the data document keeps resident.
    #[must_use]
    pub fn data_resident_bytes(&self) -> usize {
        self.data.resident_bytes()
    }

    /// What compiles but deserves a look: conditions of `match` that fail where a field is missing, experiments
    /// that name a policy or version which is not loaded.
    #[must_use]
    pub fn warnings(&self) -> &[CompileError] {
        &self.warnings
    }

    fn version(&self, id: VersionId) -> &Version {
        &self.versions[id.0 as usize]
    }
}

impl<'a> Run<'a> {
    /// Reads an input that must be an object.
    fn object_input(&self, input: &'a [u8]) -> Result<(), EvaluateError> {
        self.fill(Root::Input, input)?;
        if members::is_object(input) {
            Ok(())
        } else {
            Err(invalid("", "must be an object"))
        }
    }
}
