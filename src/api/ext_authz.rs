//! `envoy.service.auth.v3`: the check request read where it lies, the check response written in one pass.
//!
//! Source of the format: `proto/envoy/service/auth/v3/`, from Envoy's data-plane API.

mod metadata;
mod request;
mod response;
#[cfg(test)]
mod tests;

pub use metadata::{Names, metadata_json};
pub use request::{Address, CheckRequest, Http, Peer, Time, TlsSession, readable};
pub use response::{
    Allowed, Denied, Header, Metadata, write_allowed, write_bare, write_denied, write_metadata,
};

/// File descriptors of the service with what they import, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("ext_authz/proto/descriptors.binpb");
