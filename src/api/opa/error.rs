//! The document that every error is answered with.

use crate::api::json::{integer, raw};

use super::text::{indent, string};

/// OPA's words for what went wrong, and one of ours for what OPA does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    InternalError,
    InvalidParameter,
    InvalidOperation,
    ResourceNotFound,
    UndefinedDocument,
    Unauthorized,
    RevisionNotReached,
}

impl Code {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InternalError => "internal_error",
            Self::InvalidParameter => "invalid_parameter",
            Self::InvalidOperation => "invalid_operation",
            Self::ResourceNotFound => "resource_not_found",
            Self::UndefinedDocument => "undefined_document",
            Self::Unauthorized => "unauthorized",
            Self::RevisionNotReached => "revision_not_reached",
        }
    }
}

/// An error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorDocument {
    pub code: Code,
    pub message: String,
    pub errors: Vec<ErrorItem>,
}

/// One cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorItem {
    /// `eval_conflict_error`, `rego_parse_error`, ...
    pub code: String,
    pub message: String,
    pub location: Option<Location>,
}

/// Where in a module or a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Empty for a query.
    pub file: String,
    /// From 1.
    pub row: u32,
    /// From 1.
    pub col: u32,
}

impl ErrorDocument {
    /// An error without causes.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            errors: Vec::new(),
        }
    }

    /// The document: indented, one newline at the end.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut compact = Vec::with_capacity(128 + self.message.len());
        raw(&mut compact, "{\"code\":");
        string(&mut compact, self.code.as_str());
        raw(&mut compact, ",\"message\":");
        string(&mut compact, &self.message);
        for (index, item) in self.errors.iter().enumerate() {
            raw(&mut compact, if index == 0 { ",\"errors\":[" } else { "," });
            item.write(&mut compact);
        }
        if !self.errors.is_empty() {
            compact.push(b']');
        }
        compact.push(b'}');
        let mut out = indent(&compact);
        out.push(b'\n');
        out
    }
}

impl ErrorItem {
    fn write(&self, out: &mut Vec<u8>) {
        raw(out, "{\"code\":");
        string(out, &self.code);
        raw(out, ",\"message\":");
        string(out, &self.message);
        if let Some(location) = &self.location {
            raw(out, ",\"location\":{\"file\":");
            string(out, &location.file);
            raw(out, ",\"row\":");
            integer(out, location.row);
            raw(out, ",\"col\":");
            integer(out, location.col);
            out.push(b'}');
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_indented_and_escaped_and_ends_with_a_newline() {
        let mut error = ErrorDocument::new(Code::InvalidParameter, "a <b>");
        let text = String::from_utf8(error.to_vec()).unwrap();
        assert_eq!(
            text,
            "{\n  \"code\": \"invalid_parameter\",\n  \"message\": \"a \\u003cb\\u003e\"\n}\n"
        );
        error.errors.push(ErrorItem {
            code: "rego_parse_error".to_owned(),
            message: "x".to_owned(),
            location: Some(Location {
                file: String::new(),
                row: 1,
                col: 2,
            }),
        });
        let document: serde_json::Value = serde_json::from_slice(&error.to_vec()).unwrap();
        assert_eq!(document["errors"][0]["location"]["col"], 2);
    }
}
