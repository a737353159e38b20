//! Listeners, limits, drain and telemetry that both programs share. Knows nothing of the domain.

pub mod secret;
