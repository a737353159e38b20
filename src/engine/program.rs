//! The compiled policies of a snapshot and the questions they answer.

use std::sync::Arc;

use crate::model::{
    Access, Assignment, Consumption, PolicyId, Timestamp, Validation, VariantAnswer,
};
use crate::policy::Document;

use super::data::Data;
use super::expression::CompileError;
use super::input::InputError;

/// Bounds of one decision.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of input text (all parts together).
    pub input_bytes: usize,
    /// Nesting of input text.
    pub input_depth: usize,
    /// Evaluation steps.
    pub steps: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_bytes: 1024 * 1024,
            input_depth: 64,
            steps: 1_000_000,
        }
    }
}

/// What to do with a duplicate of a member that a policy reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuplicateMembers {
    Refuse,
    LastWins,
}

/// What a decision takes from its surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub now: Timestamp,
    /// JSON text of verified claims.
    pub claims: Option<&'a [u8]>,
    pub duplicates: DuplicateMembers,
    pub explain: bool,
    pub limits: Limits,
}

/// Why there is no decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    #[error("invalid JSON: {0}")]
    InvalidJson(#[from] InputError),
    /// The input lacks what the question needs.
    #[error("{pointer}: {message}")]
    InvalidRequest { pointer: String, message: String },
    #[error("the input is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the decision needed more than {steps} steps")]
    BudgetExceeded { steps: u64 },
    /// No such experiment or policy.
    #[error("`{0}` is not loaded")]
    NotFound(String),
}

/// Working memory of one worker: reset between decisions, never shared.
#[derive(Debug, Default)]
pub struct Scratch {}

impl Scratch {
    /// Forgets the previous decision, keeping the memory.
    pub fn reset(&mut self) {
        todo!()
    }
}

/// An access question.
#[derive(Clone, Copy, Debug)]
pub enum AccessRequest<'a> {
    /// An AuthZEN evaluation: the whole body.
    Document(&'a [u8]),
    /// An AuthZEN evaluation in parts (one item of a batch, defaults applied): JSON texts.
    Parts {
        subject: &'a [u8],
        action: &'a [u8],
        resource: &'a [u8],
        context: Option<&'a [u8]>,
    },
    /// access/check: a body `{user_id, service_id, action, context}`.
    Check(&'a [u8]),
}

/// An HTTP request to decide about, in canonical form (policy language, "Canonical request").
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// Decoded name and value, in order; a name may repeat.
    pub query: &'a [(&'a str, &'a str)],
    /// Lower-case name and value; a name may repeat.
    pub headers: &'a [(&'a str, &'a str)],
    pub host: &'a str,
    pub scheme: &'a str,
    /// JSON text of a parsed body.
    pub body: Option<&'a [u8]>,
    /// JSON text of a further root each, where Envoy sent them.
    pub source: Option<&'a [u8]>,
    pub destination: Option<&'a [u8]>,
    pub tls: Option<&'a [u8]>,
    pub extensions: Option<&'a [u8]>,
    pub metadata: Option<&'a [u8]>,
}

/// A header to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpHeader<'a> {
    pub name: &'a str,
    pub value: &'a str,
}

/// Answer about an HTTP request.
#[derive(Clone, Debug)]
pub struct HttpAccess<'a> {
    pub access: Access<'a>,
    /// 200 when allowed, else the status to answer with.
    pub status: u16,
    pub set_headers: &'a [HttpHeader<'a>],
    pub append_headers: &'a [HttpHeader<'a>],
    pub remove_headers: &'a [&'a str],
    /// Of the reply: to the client of an allowed request, or of the denial.
    pub response_headers: &'a [HttpHeader<'a>],
    pub set_query: &'a [HttpHeader<'a>],
    pub remove_query: &'a [&'a str],
    pub body: Option<&'a str>,
    /// Dynamic metadata: name and JSON text.
    pub metadata: &'a [(&'a str, &'a str)],
}

/// A policy version's content as one client gets it.
#[derive(Clone, Debug)]
pub struct Content<'a> {
    pub name: &'a str,
    pub version: &'a str,
    /// JSON text.
    pub json: &'a str,
    pub content_hash: &'a str,
    pub variant: Option<Assignment<'a>>,
}

/// A decision test that did not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy `{policy}`, test `{test}`: {message}")]
pub struct TestFailure {
    pub policy: String,
    pub test: String,
    /// What was expected and what came.
    pub message: String,
}

/// Turns documents and data into a [`Program`].
#[derive(Debug, Default)]
pub struct Compiler {}

impl Compiler {
    /// Adds a document with its content hash. Order of calls = evaluation order (newest first).
    pub fn add(&mut self, _document: Document, _content_hash: Arc<str>) {
        todo!()
    }

    /// Compiles everything.
    ///
    /// # Errors
    ///
    /// All errors, in the order of documents and places.
    pub fn compile(self, _data: Data) -> Result<Program, Vec<CompileError>> {
        todo!()
    }
}

/// The compiled policies of a snapshot. Immutable.
#[derive(Debug)]
pub struct Program {}

impl Program {
    /// Runs the documents' own decision tests.
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

    /// Decides whether a consumer may use a service: a body `{consumer_id, service_id, request_payload, headers, context}`.
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

    /// Assigns a variant: a body `{experiment | policy_id, key, context}`.
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

    /// Whether access policies or access-control service policies are loaded.
    #[must_use]
    pub fn decides_access(&self) -> bool {
        todo!()
    }

    /// Enabled validation policies.
    #[must_use]
    pub fn active_policies(&self) -> usize {
        todo!()
    }
}

/// How many decision tests ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TestCount {
    pub passed: usize,
}
