//! Listeners, limits, time-outs, drain, settings and telemetry that both programs share. Knows nothing of the
//! domain.

pub mod secret;
pub mod settings;
