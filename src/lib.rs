//! Lictor: policy decisions beside the application.
//!
//! This crate is the library behind the one binary, `lictor`. Knowledge runs in one direction:
//! the core knows no transport, transports know no one but the core, and one file per program
//! wires them together.
//!
//! | layer | modules | duty |
//! | --- | --- | --- |
//! | core: synchronous, the clock is an argument | [`model`] | the nouns: decisions, violations, ids, revisions |
//! | | [`policy`] | what authors write, parsed and checked; every error with its place |
//! | | [`engine`] | typed policies compiled into programs; input to decision |
//! | | [`jose`] | signature algorithms and keys of JSON Web Tokens |
//! | | [`bundle`] | archive, manifest, keyring, signature; bytes to verified entries and back |
//! | state | [`snapshot`] | what decides now, behind one pointer; the way from verified bytes to it |
//! | | [`decide`] | the one door from a transport to a decision |
//! | | [`decision_log`] | records of decisions, from workers that never wait to one consumer |
//! | shared edges | [`api`] | wire types, problem documents, error codes |
//! | | [`server`] | listeners, limits, drain, telemetry |
//! | | [`identity`] | bytes of a credential in, verified claims out |
//! | | [`wire`] | the outgoing HTTP client |
//! | | [`spans`] | spans of requests, on their way to a collector |
//! | | [`resilience`] | circuit breaker, backoff |
//! | programs | [`sidecar`] | configuration, transports, activation, forwarding |
//! | | `control_plane` | registry, publication, distribution |
//! | | [`cli`] | one file per command |
//!
//! The four ways through the files:
//!
//! * **A decision**: [`server`] accepts and bounds; a door parses and encodes (`sidecar::http`,
//!   `sidecar::opa`, `sidecar::ext_authz`, `sidecar::grpc`); [`decide`] loads one snapshot and
//!   evaluates, [`engine`] answers, [`decision_log`] takes the record.
//! * **An activation**: `sidecar::source` wakes and fetches, [`bundle::verify`] runs steps 1 to
//!   10, [`snapshot::load`] steps 11 to 15, `sidecar::activation` persists and publishes.
//!   Bundles of OPA take `bundle::open_opa` and `snapshot::load::load_generation` instead; with
//!   `sidecar::discovery` one of them says what the others are, and `sidecar::management` tells
//!   OPA's status services.
//! * **A write**: `sidecar::http` hands it to `sidecar::forward`, `control_plane::http`
//!   authenticates, `control_plane::registry` commits, the answer carries the number.
//! * **A policy**: [`policy`] checks, `control_plane::registry` stores, `control_plane::publish`
//!   builds, signs, verifies and moves the pointer.

// What tests share with the benches names the crate as those do.
#[cfg(test)]
extern crate self as lictor;

// What the properties of decoders share, here and in the integration tests.
#[cfg(test)]
#[path = "../tests/it/support/mutate.rs"]
mod mutate;

pub mod api;
pub mod bundle;
pub mod cli;
#[cfg(feature = "control-plane")]
pub mod control_plane;
pub mod decide;
pub mod decision_log;
pub mod engine;
pub mod identity;
pub mod jose;
pub mod model;
pub mod policy;
pub mod resilience;
pub mod server;
pub mod sidecar;
pub mod snapshot;
pub mod spans;
pub mod wire;
