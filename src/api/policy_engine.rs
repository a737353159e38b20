//! The policy engine's gRPC messages and client, made from `proto/` by the test that also keeps them the same.

#[rustfmt::skip]
#[expect(
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod v1;

/// The descriptors of `policyengine.v1` and of what it imports, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("policy_engine/v1.binpb");

/// The service.
pub const SERVICE: &str = "policyengine.v1.PolicyEngineService";

const METHODS: [&str; 9] = [
    "ValidateService",
    "CheckAccess",
    "ValidateConsumption",
    "GetPolicy",
    "ListPolicies",
    "CreatePolicy",
    "UpdatePolicy",
    "DeletePolicy",
    "HealthCheck",
];

/// The method of the service that a path names.
#[must_use]
pub fn method(path: &str) -> Option<&'static str> {
    let name = path
        .strip_prefix('/')?
        .strip_prefix(SERVICE)?
        .strip_prefix('/')?;
    METHODS.into_iter().find(|method| *method == name)
}
