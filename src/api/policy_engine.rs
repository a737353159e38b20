//! The policy engine's gRPC messages, client and server, made from `proto/` by the test that also keeps them the same.

#[rustfmt::skip]
#[expect(
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod v1;

/// The descriptors of `policyengine.v1` and of what it imports, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("policy_engine/v1.binpb");
