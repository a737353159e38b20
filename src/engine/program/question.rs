//! What is asked of a program, within which bounds, and what comes back beside the model's decisions.

use std::time::Duration;

use crate::model::{Access, Assignment, Timestamp};

use crate::engine::RegoError;
use crate::engine::input::InputError;

/// Bounds of one decision.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of input text (all parts together).
    pub input_bytes: usize,
    /// Nesting of input text.
    pub input_depth: usize,
    /// Evaluation steps; for Rego, instructions of its register machine.
    pub steps: u64,
    /// How long Rego may take.
    pub rego_time: Duration,
    /// Bytes of JSON that Rego's answer may have.
    pub rego_result_bytes: usize,
    /// Whether Rego's `print` is heard; else it does nothing.
    pub rego_prints: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_bytes: 1024 * 1024,
            input_depth: 64,
            steps: 1_000_000,
            rego_time: Duration::from_millis(500),
            rego_result_bytes: 16 * 1024 * 1024,
            rego_prints: false,
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
    /// The caller by a verified certificate: `source.principal` where the question brings no `source` of its own.
    /// Empty = none.
    pub principal: &'a str,
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
    #[error(transparent)]
    Rego(#[from] RegoError),
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
    /// Both ends of the connection, where Envoy sent them.
    pub source: Option<HttpPeer<'a>>,
    pub destination: Option<HttpPeer<'a>>,
    /// The server name of the TLS session.
    pub sni: Option<&'a str>,
    /// Envoy's context extensions; the last of a name counts.
    pub extensions: &'a [(&'a str, &'a str)],
    /// JSON text.
    pub metadata: Option<&'a [u8]>,
    /// What experiments assign variants by; None or empty = nothing is assigned.
    pub key: Option<&'a str>,
}

/// One end of a connection. What is empty is absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpPeer<'a> {
    pub principal: &'a str,
    pub service: &'a str,
    pub address: &'a str,
    pub port: Option<u32>,
    pub labels: &'a [(&'a str, &'a str)],
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

/// How many decision tests ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TestCount {
    pub passed: usize,
}
