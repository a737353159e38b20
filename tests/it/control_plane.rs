//! The control plane through its real door: registry, publication, distribution.

mod guards;
pub mod plane;
mod policy_engine;
mod publication;
mod registry;
mod tokens;
