//! The sidecar: configuration in, a running decision point out.

pub mod activation;
pub mod cache;
pub mod clock;
pub mod config;
pub mod forward;
pub mod source;
pub mod status;
