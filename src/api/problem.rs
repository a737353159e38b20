//! Problem documents (RFC 9457) with our `code` and `errors[]`.

use super::ErrorCode;
use super::json;

/// Their content type.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: ErrorCode,
    /// What happened this time and what to do. Empty = the code's title says it all.
    pub detail: String,
    /// The path asked for, without its query.
    pub instance: String,
    /// Each error, where there are several.
    pub errors: Vec<ProblemItem>,
}

/// One of several errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProblemItem {
    /// A JSON pointer into the request, or a place in a document; may be empty.
    pub pointer: String,
    pub detail: String,
}

impl Problem {
    /// A problem with one error.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            instance: String::new(),
            errors: Vec::new(),
        }
    }

    /// Names the path that was asked for.
    #[must_use]
    pub fn at(mut self, instance: &str) -> Self {
        instance.clone_into(&mut self.instance);
        self
    }

    /// Adds the single errors.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<ProblemItem>) -> Self {
        self.errors = errors;
        self
    }

    /// Appends the document's text.
    pub fn write(&self, out: &mut Vec<u8>) {
        json::raw(out, "{\"type\":\"urn:lictor:problem:");
        json::raw(out, self.code.as_str());
        json::raw(out, "\",\"title\":");
        json::string(out, self.code.title());
        json::raw(out, ",\"status\":");
        json::integer(out, self.code.status());
        json::raw(out, ",\"detail\":");
        let detail = if self.detail.is_empty() {
            self.code.title()
        } else {
            &self.detail
        };
        json::string(out, detail);
        if !self.instance.is_empty() {
            json::raw(out, ",\"instance\":");
            json::string(out, &self.instance);
        }
        json::raw(out, ",\"code\":\"");
        json::raw(out, self.code.as_str());
        json::raw(out, "\"");
        if !self.errors.is_empty() {
            json::raw(out, ",\"errors\":");
            json::list(out, &self.errors, |out, item| {
                json::raw(out, "{\"detail\":");
                json::string(out, &item.detail);
                if !item.pointer.is_empty() {
                    json::raw(out, ",\"pointer\":");
                    json::string(out, &item.pointer);
                }
                json::raw(out, "}");
            });
        }
        json::raw(out, "}");
    }

    /// The document's text.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.write(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_everything_once() {
        let problem = Problem::new(ErrorCode::InvalidRequest, "`/user_id` is \"missing\"")
            .at("/v1/access/check")
            .with_errors(vec![ProblemItem {
                pointer: "/user_id".into(),
                detail: "is missing".into(),
            }]);
        let value: serde_json::Value = serde_json::from_slice(&problem.to_vec()).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "type": "urn:lictor:problem:invalid_request",
                "title": "The request is not valid",
                "status": 400,
                "detail": "`/user_id` is \"missing\"",
                "instance": "/v1/access/check",
                "code": "invalid_request",
                "errors": [{"pointer": "/user_id", "detail": "is missing"}]
            })
        );
    }

    #[test]
    fn without_a_detail_the_title_stands_for_it() {
        let value: serde_json::Value =
            serde_json::from_slice(&Problem::new(ErrorCode::Internal, "").to_vec()).unwrap();
        assert_eq!(value["detail"], "An internal error occurred");
        assert_eq!(value.get("errors"), None);
        assert_eq!(value.get("instance"), None);
    }
}
