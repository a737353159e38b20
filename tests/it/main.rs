//! The one integration binary: modules by behaviour, `support` = the system under test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::allow_attributes,
    reason = "tests fail by panicking"
)]

mod support;

mod activation;
mod architecture;
mod attacks;
mod budget;
mod bundle_cli;
mod cases;
mod control_plane;
mod crash;
mod decision_log;
mod decoders;
mod engine_config;
mod envoy;
mod envoy_proto;
mod ext_authz;
mod forward;
mod grpc;
mod http;
mod idle;
mod memory;
mod opa;
mod opa_api;
mod opa_bundles;
mod opa_management;
mod policy_cli;
mod policy_engine;
mod rego;
#[cfg(feature = "otlp")]
mod spans;
mod swap;
mod tokens;
mod up;
