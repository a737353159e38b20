//! Living with others' failures: the circuit breaker and the jittered backoff.

mod backoff;
mod breaker;
pub mod failpoint;

pub use backoff::Backoff;
pub use breaker::{Breaker, BreakerSettings, BreakerStatus, Permit, Rejected, State};
