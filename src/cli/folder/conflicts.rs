//! Documents that cannot be in force together.

use std::collections::HashMap;

use crate::model::VersionStatus;
use crate::policy::{Document, PolicyError};

/// One name is one policy, whose versions differ and of which one at most is active.
pub(super) fn find(documents: &[Document]) -> Vec<PolicyError> {
    let mut errors = Vec::new();
    let mut versions = HashMap::new();
    let mut names = HashMap::new();
    let mut active = HashMap::new();
    for document in documents {
        let metadata = &document.metadata;
        let mut report = |other: &Document, message: String| {
            errors.push(PolicyError {
                place: document.place.clone(),
                message: format!("{message} (see {})", other.place),
            });
        };
        let name = &metadata.name;
        if let Some(other) = versions.insert((metadata.id, &metadata.version), document) {
            report(
                other,
                format!(
                    "version {} of policy `{name}` is there twice",
                    metadata.version
                ),
            );
            continue;
        }
        if let Some(other) = names.insert(name, document)
            && other.metadata.id != metadata.id
        {
            report(
                other,
                format!("another policy is called `{name}`, too: names are unique"),
            );
        }
        if metadata.status == VersionStatus::Active
            && let Some(other) = active.insert(metadata.id, document)
        {
            report(other, format!("policy `{name}` has two active versions"));
        }
    }
    errors
}
