//! Protocol Buffers by hand, for messages on the way of a decision: fields are read where they lie and written where
//! they go.

mod read;
mod write;

pub use read::{DecodeError, Field, Reader};
pub use write::Writer;
