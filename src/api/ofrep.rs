//! OpenFeature Remote Evaluation Protocol (OpenAPI 0.3.0): contexts read; evaluations and failures written.
//!
//! A flag is an experiment. Its value is the name of the variant, or a boolean where all of its variants are called
//! `true` or `false`; who is not in the experiment gets no value, which means the client's own default.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::model::{VariantAnswer, VariantReason};

use super::json;

/// Path of the call for all flags; that for one goes on with `/` and its percent-encoded key.
pub const FLAGS: &str = "/ofrep/v1/evaluate/flags";

/// The words of `errorCode` that are sent.
pub const PARSE_ERROR: &str = "PARSE_ERROR";
pub const INVALID_CONTEXT: &str = "INVALID_CONTEXT";
pub const FLAG_NOT_FOUND: &str = "FLAG_NOT_FOUND";
pub const GENERAL: &str = "GENERAL";

/// The evaluation context of a request. As OpenFeature's own servers do, the last of two members of one name counts.
#[derive(Debug, Default)]
pub struct Context<'a> {
    pub targeting_key: Option<Cow<'a, str>>,
    /// The whole context as JSON text.
    pub text: Option<&'a RawValue>,
    members: BTreeMap<String, &'a RawValue>,
}

/// A body that holds no context.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    #[error("the body is no JSON: {0}")]
    Json(String),
    #[error("{0}")]
    Shape(&'static str),
}

impl<'a> Context<'a> {
    /// Reads `{"context": {"targetingKey": "..", ..}}`; no body, and no context, are an empty one.
    ///
    /// # Errors
    ///
    /// [`ContextError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, ContextError> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let mut outer: BTreeMap<String, &'a RawValue> = object(body, "the body must be an object")?;
        let Some(text) = outer.remove("context").filter(|text| text.get() != "null") else {
            return Ok(Self::default());
        };
        let members: BTreeMap<String, &'a RawValue> =
            object(text.get().as_bytes(), "`context` must be an object")?;
        let targeting_key = match members.get("targetingKey").map(|text| text.get()) {
            None | Some("null") => None,
            Some(text) => Some(
                serde_json::from_str::<String>(text)
                    .map(Cow::Owned)
                    .map_err(|_| ContextError::Shape("`context.targetingKey` must be a string"))?,
            ),
        };
        Ok(Self {
            targeting_key,
            text: Some(text),
            members,
        })
    }

    /// The members and their texts, by name: the same for every order in which they may be written.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members
            .iter()
            .map(|(name, text)| (name.as_str(), text.get()))
    }
}

fn object<'a>(
    text: &'a [u8],
    shape: &'static str,
) -> Result<BTreeMap<String, &'a RawValue>, ContextError> {
    serde_json::from_slice(text).map_err(|error| {
        if error.is_data() {
            ContextError::Shape(shape)
        } else {
            ContextError::Json(error.to_string())
        }
    })
}

/// `{key, reason, value?, variant?, metadata}`.
pub fn evaluation(out: &mut Vec<u8>, answer: &VariantAnswer<'_>, boolean: bool) {
    json::raw(out, "{\"key\":");
    json::string(out, answer.experiment);
    json::raw(out, ",\"reason\":\"");
    json::raw(out, reason(answer.reason));
    json::raw(out, "\"");
    if let Some(variant) = answer.variant {
        json::raw(out, ",\"value\":");
        if boolean {
            json::raw(out, variant);
        } else {
            json::string(out, variant);
        }
        json::raw(out, ",\"variant\":");
        json::string(out, variant);
    }
    json::raw(out, ",\"metadata\":{\"assignment\":\"");
    json::raw(out, answer.reason.as_str());
    json::raw(out, "\"}}");
}

/// `{key?, errorCode?, errorDetails}`.
pub fn failure(out: &mut Vec<u8>, key: Option<&str>, code: Option<&str>, details: &str) {
    json::raw(out, "{");
    if let Some(key) = key {
        json::raw(out, "\"key\":");
        json::string(out, key);
        json::raw(out, ",");
    }
    if let Some(code) = code {
        json::raw(out, "\"errorCode\":\"");
        json::raw(out, code);
        json::raw(out, "\",");
    }
    json::raw(out, "\"errorDetails\":");
    json::string(out, details);
    json::raw(out, "}");
}

/// The nearest of the protocol's words. It has none for a key outside of a rollout, which was placed by its bucket
/// like every other.
const fn reason(reason: VariantReason) -> &'static str {
    match reason {
        VariantReason::Override => "TARGETING_MATCH",
        VariantReason::Split | VariantReason::NotInRollout => "SPLIT",
        VariantReason::NotInAudience => "DISABLED",
        VariantReason::NoKey => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_tolerantly_and_its_order_does_not_matter() {
        let first = Context::parse(br#"{"context":{"targetingKey":"a\n","x":1},"y":{}}"#).unwrap();
        let second = Context::parse(br#"{"context":{"x":1,"targetingKey":"a\n"}}"#).unwrap();
        assert_eq!(first.targeting_key.as_deref(), Some("a\n"));
        assert!(first.members().eq(second.members()));
        let last = br#"{"context":7,"context":{"targetingKey":"a","targetingKey":"b"}}"#;
        let last = Context::parse(last).unwrap();
        assert_eq!(last.targeting_key.as_deref(), Some("b"));
        for empty in [
            &b""[..],
            b" \n",
            b"{}",
            br#"{"context":null}"#,
            br#"{"context":{"targetingKey":null}}"#,
        ] {
            assert_eq!(Context::parse(empty).unwrap().targeting_key, None);
        }
    }

    #[test]
    fn garbage_is_told_from_wrong_shapes() {
        for body in [&b"{"[..], b"nul", b"{\"context\":}", b"\xff", b"{} {}"] {
            let error = Context::parse(body).unwrap_err();
            assert!(matches!(error, ContextError::Json(_)), "{error}");
        }
        for body in [
            &b"[]"[..],
            b"7",
            br#"{"context":[]}"#,
            br#"{"context":"a"}"#,
            br#"{"context":{"targetingKey":7}}"#,
        ] {
            let error = Context::parse(body).unwrap_err();
            assert!(matches!(error, ContextError::Shape(_)), "{error}");
        }
    }
}
