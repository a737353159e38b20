//! JSON text to Rego values and back, as OPA reads and writes it.
//!
//! Integers of any size stay exact; of a member that is there twice the last one holds; nesting is bounded.

mod read;
mod write;

pub use read::{JsonFault, parse};
pub(super) use write::fits;
pub use write::write;
