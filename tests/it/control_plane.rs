//! The control plane through its real door: registry, publication, distribution.

mod guards;
mod plane;
mod publication;
mod registry;
mod tokens;
