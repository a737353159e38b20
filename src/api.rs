//! The wire: shapes, error codes and problem documents of our own doors, AuthZEN's and OFREP's.
//!
//! Encoders write JSON text straight into a byte buffer; nothing on the decision path builds a tree.
//! Knows the model and no transport.

pub mod authzen;
mod code;
pub mod decision;
pub mod ext_authz;
pub mod id;
pub mod json;
pub mod ofrep;
pub mod opa;
pub mod policy_engine;
mod problem;
pub mod protobuf;

pub use code::ErrorCode;
pub use problem::{PROBLEM_JSON, Problem, ProblemItem};
