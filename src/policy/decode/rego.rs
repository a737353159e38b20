//! Recognises and decodes Rego content: `{"modules": {"path.rego": "text"}, "data": {...}}`.

use super::super::cursor::Cursor;
use super::super::document::{Body, RegoModules};
use super::super::node::Value;
use super::super::syntax::is_rego_path;
use super::string_map;

/// Whether this is Rego content and not some other object with a member `modules`.
pub(super) fn is_rego(root: &Cursor<'_>) -> bool {
    let modules = root.at("modules");
    if !matches!(modules.value(), Value::Object(_)) {
        return false;
    }
    let named_rego = modules.entries().any(|(path, _)| is_rego_path(path));
    let nothing_else = root
        .entries()
        .all(|(name, _)| matches!(name, "modules" | "data"));
    let texts = modules
        .entries()
        .all(|(_, text)| matches!(text.value(), Value::String(_)));
    named_rego || (nothing_else && texts)
}

pub(super) fn decode(root: &Cursor<'_>) -> Body {
    Body::Rego(RegoModules {
        modules: string_map(&root.at("modules")),
        data: root
            .has("data")
            .then(|| root.at("data").node().to_json().into()),
    })
}
