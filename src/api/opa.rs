//! OPA's REST API on the wire: its error documents, and JSON text as Go reads and writes it.
//!
//! Shapes and texts: OPA's `v1/server/types/types.go`, `v1/server/writer/writer.go` and Go's `encoding/json`.

mod error;
mod scan;
mod text;

pub use error::{Code, ErrorDocument, ErrorItem, Location};
pub use scan::{Scanned, decode, decode_all, kind};
pub use text::{indent, string};

/// The warning of a request without input.
pub const INPUT_MISSING: &str =
    r#"{"code":"api_usage_warning","message":"'input' key missing from the request"}"#;
