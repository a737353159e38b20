//! The system under test: the real binary, started, asked, and stopped.

pub mod bundle;
pub mod engine;
pub mod envoy;
pub mod grpc;
mod http;
pub mod idp;
pub mod mutate;
pub mod pod;
mod process;
pub mod sidecar;
pub mod tls;

use std::path::PathBuf;

pub use http::{Answer, Http};
pub use process::{Lictor, lictor, run};

/// A folder that is removed at the end of the test.
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("lictor-it-")
        .tempdir()
        .unwrap()
}

/// A thing from outside, by the name of its variable: `outside("opa")` is the value of
/// `LICTOR_OPA`. None = the test is to return; says so, and panics where it is required.
pub fn outside(word: &str) -> Option<PathBuf> {
    let variable = format!("LICTOR_{}", word.to_uppercase());
    if let Some(value) = std::env::var_os(&variable).filter(|value| !value.is_empty()) {
        return Some(value.into());
    }
    let required = std::env::var("LICTOR_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|required| required.trim() == word),
        "`{word}` is required, and {variable} is not set"
    );
    println!("skipped: {variable} is not set");
    None
}
