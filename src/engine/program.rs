//! The compiled policies of a snapshot and the questions they answer.

mod bucket;
mod compile;
mod index;
mod murmur3;
mod path_template;
mod question;
mod scratch;

use crate::model::{Access, Consumption, PolicyId, Timestamp, Validation, VariantAnswer};

pub use compile::{CompileErrors, Compiler};
pub use question::{
    AccessRequest, Content, Context, DuplicateMembers, EvaluateError, HttpAccess, HttpHeader,
    HttpRequest, Limits, TestCount, TestFailure,
};
pub use scratch::Scratch;

/// The compiled policies of a snapshot. Immutable.
#[derive(Debug)]
pub struct Program {}

impl Program {
    /// Runs the documents' own decision tests, each against its own document alone.
    ///
    /// # Errors
    ///
    /// Every test that fails.
    pub fn self_test(
        &self,
        _now: Timestamp,
        _limits: Limits,
    ) -> Result<TestCount, Vec<TestFailure>> {
        todo!()
    }

    /// Validates a JSON object.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    pub fn validate<'a>(
        &'a self,
        _input: &'a [u8],
        _context: &Context<'a>,
        _scratch: &'a Scratch,
    ) -> Result<Validation<'a>, EvaluateError> {
        todo!()
    }

    /// Decides whether a subject may act on a resource.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    pub fn access<'a>(
        &'a self,
        _request: AccessRequest<'a>,
        _context: &Context<'a>,
        _scratch: &'a Scratch,
    ) -> Result<Access<'a>, EvaluateError> {
        todo!()
    }

    /// Decides about an HTTP request.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    pub fn http<'a>(
        &'a self,
        _request: &HttpRequest<'a>,
        _context: &Context<'a>,
        _scratch: &'a Scratch,
    ) -> Result<HttpAccess<'a>, EvaluateError> {
        todo!()
    }

    /// Decides whether a consumer may use a service: a body
    /// `{consumer_id, service_id, request_payload, headers, context}`.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    pub fn consumption<'a>(
        &'a self,
        _input: &'a [u8],
        _context: &Context<'a>,
        _scratch: &'a Scratch,
    ) -> Result<Consumption<'a>, EvaluateError> {
        todo!()
    }

    /// Assigns a variant: a body `{experiment | policy_id, key, context}`. The audience sees `context` as it is, and as
    /// `subject.properties` of a subject whose id is the key.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    pub fn variant<'a>(
        &'a self,
        _input: &'a [u8],
        _context: &Context<'a>,
        _scratch: &'a Scratch,
    ) -> Result<VariantAnswer<'a>, EvaluateError> {
        todo!()
    }

    /// The content that a client gets; None where nothing is to be had (404).
    #[must_use]
    pub fn content(&self, _policy: PolicyId, _client: Option<&str>) -> Option<Content<'_>> {
        todo!()
    }

    /// Whether access rules or access-control service policies are loaded.
    #[must_use]
    pub fn decides_access(&self) -> bool {
        todo!()
    }

    /// Enabled validation policies.
    #[must_use]
    pub fn active_policies(&self) -> usize {
        todo!()
    }

    /// Names of the experiments that assign variants, those of policies with an A/B group included.
    pub fn experiments(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }

    /// Bytes that the data document keeps resident.
    #[must_use]
    pub fn data_resident_bytes(&self) -> usize {
        todo!()
    }

    /// What compiles but deserves a look: conditions of `match` that fail where a field is missing, experiments
    /// that name a policy or version which is not loaded.
    #[must_use]
    pub fn warnings(&self) -> &[super::CompileError] {
        todo!()
    }
}
