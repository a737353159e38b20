//! The sidecar: configuration in, a running decision point out.

pub mod config;
pub mod forward;
