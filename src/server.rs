//! Listeners, limits, time-outs, drain, settings and telemetry that both programs share. Knows nothing of the
//! domain.

pub mod answer;
pub mod body;
pub mod buffers;
mod code;
mod drain;
mod file_state;
pub mod grpc;
pub mod guard;
mod h2;
mod life;
mod listen;
pub mod secret;
mod serve;
pub mod settings;
pub mod telemetry;
mod tls;

pub use code::forget_startup;
pub use drain::{Drain, Draining, Readiness, drain};
pub use file_state::FileState;
pub use h2::{H2Limits, serve_h2};
pub use listen::{Accepting, BindError, Bound, Listener, Stream};
pub use serve::{Connections, Door, Ended, Limits, serve};
pub use tls::{ClientFiles, TlsError, TlsFiles, tls};
