//! Placeholder of the layout; filled by its owner.
pub mod forward;
