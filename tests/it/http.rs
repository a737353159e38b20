//! The main and the admin listener, through the real binary with a bundle from a folder.

mod admin;
mod authzen;
mod bad;
mod decisions;
mod life;
mod pod;

use serde_json::Value;

use crate::support::Answer;

/// Asserts a problem document.
fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let document = answer.json();
    assert_eq!(document["code"], code, "{document}");
    assert_eq!(document["status"], status, "{document}");
    assert!(document["type"].is_string() && document["title"].is_string());
    document
}
