//! Typed policies compiled into programs, and programs applied to inputs.
//!
//! Pure and synchronous: knows nothing of HTTP, files or clocks. A [`Program`] is immutable and shared;
//! a [`Scratch`] belongs to one worker and is reset between decisions, so that a decision allocates
//! nothing once its worker is warm.

pub mod canonical_request;
pub mod data;
pub mod expression;
pub mod input;
pub mod program;
pub mod rego;
mod table;
pub mod value;

pub use data::{Data, DataBuilder, DataError};
pub use expression::{CompileError, Expression};
pub use program::{
    AccessRequest, Candidate, Candidates, CompileErrors, Compiler, Content, Context,
    DuplicateMembers, EvaluateError, Flag, HttpAccess, HttpHeader, HttpKey, HttpPeer, HttpRequest,
    Limits, Program, Scratch, TestCount, TestFailure, WrittenRequest,
};
pub use rego::{
    Rego, RegoEngine, RegoError, RegoErrorKind, RegoInput, RegoMachine, RegoModule, RegoPlace,
    RegoSegment, RegoSetting, RegoTest, RegoTestOutcome, RegoValue, RegoVersion,
};
pub use value::Value;
