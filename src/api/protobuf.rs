//! Protocol Buffers by hand, for messages on the way of a decision: fields are read where they lie and written where
//! they go. Messages of which only a descriptor tells become JSON.

mod json;
mod read;
mod write;

pub use json::{UnwritableError, message_json};
pub use read::{DecodeError, Field, Reader};
pub use write::Writer;
