//! Named places where a test kills the process, to show that no half-done activation survives.
//!
//! Without the Cargo feature `failpoints` a place is an empty inline function.

#[cfg(feature = "failpoints")]
mod armed;
#[cfg(not(feature = "failpoints"))]
mod inert;

#[cfg(feature = "failpoints")]
pub use armed::hit;
#[cfg(not(feature = "failpoints"))]
pub use inert::hit;

/// Every place on the way of an activation, in order. A test kills the process at each of them.
pub const ACTIVATION: [&str; 11] = [
    "fetched",
    "verified",
    "loaded",
    "cache_locked",
    "archive_temp_written",
    "archive_renamed",
    "mark_temp_written",
    "mark_renamed",
    "persisted",
    "swapped",
    "reported",
];
