//! AuthZEN 1.0 shapes: requests taken apart without copying, decisions and metadata written.

pub mod search;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::model::{Access, Sought};

use super::decision::{self, Envelope, Reason};
use super::json;

/// Path of the evaluation call.
pub const EVALUATION: &str = "/access/v1/evaluation";
/// Path of the evaluations call.
pub const EVALUATIONS: &str = "/access/v1/evaluations";
/// Path of the search for subjects.
pub const SEARCH_SUBJECT: &str = "/access/v1/search/subject";
/// Path of the search for actions.
pub const SEARCH_ACTION: &str = "/access/v1/search/action";
/// Path of the search for resources.
pub const SEARCH_RESOURCE: &str = "/access/v1/search/resource";
/// Path of the metadata.
pub const WELL_KNOWN: &str = "/.well-known/authzen-configuration";

/// Which results end a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Semantic {
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

/// The parts of one evaluation as JSON texts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts<'a> {
    pub subject: Option<&'a RawValue>,
    pub action: Option<&'a RawValue>,
    pub resource: Option<&'a RawValue>,
    pub context: Option<&'a RawValue>,
}

/// A batch: defaults, items (None where there is no `evaluations` member) and what ends it.
#[derive(Debug)]
pub struct Batch<'a> {
    pub defaults: Parts<'a>,
    pub items: Option<Vec<Item<'a>>>,
    pub semantic: Semantic,
}

/// One item of a batch: its parts, or why it is no evaluation.
pub type Item<'a> = Result<Parts<'a>, String>;

/// Why a batch as a whole cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    #[error("{0}")]
    Json(serde_json::Error),
    #[error(
        "`options.evaluations_semantic` is `{0}`: expected execute_all, deny_on_first_deny or permit_on_first_permit"
    )]
    UnknownSemantic(String),
    #[error("`evaluations` has {count} items: at most {limit} are answered at once")]
    TooMany { count: usize, limit: usize },
}

impl Parts<'_> {
    /// These parts where given, else the defaults; each is replaced whole.
    #[must_use]
    pub fn or(self, defaults: Self) -> Self {
        Self {
            subject: self.subject.or(defaults.subject),
            action: self.action.or(defaults.action),
            resource: self.resource.or(defaults.resource),
            context: self.context.or(defaults.context),
        }
    }
}

impl<'a> Batch<'a> {
    /// Reads an evaluations request of at most `limit` items.
    ///
    /// # Errors
    ///
    /// [`BatchError`]; a faulty item is an `Err` of its own.
    pub fn parse(body: &'a [u8], limit: usize) -> Result<Self, BatchError> {
        let outer: Outer<'a> = serde_json::from_slice(body).map_err(BatchError::Json)?;
        let semantic = match outer.options.and_then(|options| options.semantic) {
            None => Semantic::ExecuteAll,
            Some(word) => match word.as_ref() {
                "execute_all" => Semantic::ExecuteAll,
                "deny_on_first_deny" => Semantic::DenyOnFirstDeny,
                "permit_on_first_permit" => Semantic::PermitOnFirstPermit,
                other => {
                    return Err(BatchError::UnknownSemantic(
                        other.chars().take(64).collect(),
                    ));
                }
            },
        };
        let items = match outer.evaluations {
            Some(items) if items.len() > limit => {
                return Err(BatchError::TooMany {
                    count: items.len(),
                    limit,
                });
            }
            Some(items) => Some(items.into_iter().map(item).collect()),
            None => None,
        };
        Ok(Self {
            defaults: outer.parts.0,
            items,
            semantic,
        })
    }
}

fn item(text: &RawValue) -> Item<'_> {
    serde_json::from_str::<OnlyParts<'_>>(text.get())
        .map(|parts| parts.0)
        .map_err(|error| error.to_string())
}

/// The members that an evaluation is made of; unknown ones are ignored, duplicates refused.
#[derive(Debug)]
struct OnlyParts<'a>(Parts<'a>);

#[derive(Debug)]
struct Outer<'a> {
    parts: OnlyParts<'a>,
    evaluations: Option<Vec<&'a RawValue>>,
    options: Option<Options<'a>>,
}

#[derive(Debug, Deserialize)]
struct Options<'a> {
    #[serde(borrow, default, rename = "evaluations_semantic")]
    semantic: Option<Cow<'a, str>>,
}

impl<'de> Deserialize<'de> for OnlyParts<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_map(Members { batch: false })
            .map(|outer| outer.parts)
    }
}

impl<'de> Deserialize<'de> for Outer<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members { batch: true })
    }
}

struct Members {
    batch: bool,
}

impl<'de> Visitor<'de> for Members {
    type Value = Outer<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outer<'de>, A::Error> {
        let mut parts = Parts::default();
        let mut evaluations = None;
        let mut options = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match key.as_ref() {
                "subject" => once(&mut parts.subject, "subject", &mut map)?,
                "action" => once(&mut parts.action, "action", &mut map)?,
                "resource" => once(&mut parts.resource, "resource", &mut map)?,
                "context" => once(&mut parts.context, "context", &mut map)?,
                "evaluations" if self.batch => once(&mut evaluations, "evaluations", &mut map)?,
                "options" if self.batch => once(&mut options, "options", &mut map)?,
                _ => {
                    map.next_value::<de::IgnoredAny>()?;
                }
            }
        }
        Ok(Outer {
            parts: OnlyParts(parts),
            evaluations,
            options,
        })
    }
}

fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    place: &mut Option<T>,
    name: &'static str,
    map: &mut A,
) -> Result<(), A::Error> {
    let value = map.next_value()?;
    if place.replace(value).is_some() {
        return Err(de::Error::duplicate_field(name));
    }
    Ok(())
}

/// `{"decision": .., "context": {..}}`.
pub fn decision(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    allowed: bool,
    reason: Reason<'_>,
    access: &Access<'_>,
) {
    json::raw(out, "{\"decision\":");
    json::boolean(out, allowed);
    json::raw(out, ",\"context\":{\"reason_admin\":");
    reason.write(out);
    if let crate::model::AccessReason::Denied {
        reason: Some(text), ..
    } = &access.reason
    {
        json::raw(out, ",\"reason_user\":");
        json::string(out, text);
    }
    decision::tail(out, envelope);
    if !access.variants.is_empty() {
        json::raw(out, ",\"variants\":");
        decision::variants(out, access.variants);
    }
    decision::issues(out, access.errors);
    decision::considered(out, access.considered);
    json::raw(out, "}}");
}

/// A decision for which there was no evaluation (the operator chose to fail open).
pub fn failed_open(out: &mut Vec<u8>, decision_id: Uuid, reason: &str) {
    json::raw(
        out,
        "{\"decision\":true,\"context\":{\"reason_admin\":\"failed open: ",
    );
    json::raw(out, reason);
    json::raw(out, "\",\"decision_id\":");
    json::uuid(out, decision_id);
    json::raw(out, ",\"revision\":\"\"}}");
}

/// A batch item that could not be decided.
pub fn failure(out: &mut Vec<u8>, status: u16, message: &str) {
    json::raw(
        out,
        "{\"decision\":false,\"context\":{\"error\":{\"status\":",
    );
    json::integer(out, status);
    json::raw(out, ",\"message\":");
    json::string(out, message);
    json::raw(out, "}}}");
}

/// The metadata of the decision point at `base` (an https URL without a slash at its end) that offers these searches.
#[must_use]
pub fn metadata(base: &str, searches: impl Fn(Sought) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    json::raw(&mut out, "{\"policy_decision_point\":");
    json::string(&mut out, base);
    for (name, path, sought) in [
        ("access_evaluation_endpoint", EVALUATION, None),
        ("access_evaluations_endpoint", EVALUATIONS, None),
        (
            "search_subject_endpoint",
            SEARCH_SUBJECT,
            Some(Sought::Subject),
        ),
        (
            "search_resource_endpoint",
            SEARCH_RESOURCE,
            Some(Sought::Resource),
        ),
        (
            "search_action_endpoint",
            SEARCH_ACTION,
            Some(Sought::Action),
        ),
    ] {
        if !sought.is_none_or(&searches) {
            continue;
        }
        json::raw(&mut out, ",\"");
        json::raw(&mut out, name);
        json::raw(&mut out, "\":");
        json::string(&mut out, &format!("{base}{path}"));
    }
    json::raw(&mut out, "}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(part: Option<&RawValue>) -> &str {
        part.map_or("-", RawValue::get)
    }

    #[test]
    fn an_item_replaces_defaults_whole() {
        let body = br#"{"subject":{"type":"user","id":"a","properties":{"x":1}},"action":{"name":"read"},
            "context":{"a":1},"unknown":[{}],
            "evaluations":[{"subject":{"type":"user","id":"b"},"resource":{"type":"r","id":"1"}},{"context":{}},7]}"#;
        let batch = Batch::parse(body, 10).unwrap();
        assert_eq!(batch.semantic, Semantic::ExecuteAll);
        let items = batch.items.unwrap();
        assert_eq!(items.len(), 3);
        let first = items[0].as_ref().unwrap().or(batch.defaults);
        assert_eq!(text(first.subject), r#"{"type":"user","id":"b"}"#);
        assert_eq!(text(first.action), r#"{"name":"read"}"#);
        assert_eq!(text(first.context), r#"{"a":1}"#);
        let second = items[1].as_ref().unwrap().or(batch.defaults);
        assert_eq!(text(second.context), "{}");
        assert_eq!(text(second.resource), "-");
        assert!(items[2].is_err());
    }

    #[test]
    fn faults_of_the_whole_payload_are_errors() {
        for body in [
            &b"[]"[..],
            b"",
            b"{",
            br#"{"evaluations":{}}"#,
            br#"{"subject":1,"subject":2}"#,
            br#"{"options":{"evaluations_semantic":"sometimes"},"evaluations":[]}"#,
            br#"{"evaluations":[{},{},{}]}"#,
        ] {
            assert!(
                Batch::parse(body, 2).is_err(),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn without_evaluations_there_is_no_list() {
        assert!(Batch::parse(b"{}", 2).unwrap().items.is_none());
        assert!(
            Batch::parse(br#"{"evaluations":[]}"#, 2)
                .unwrap()
                .items
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn metadata_names_what_is_offered() {
        let value: serde_json::Value =
            serde_json::from_slice(&metadata("https://pdp.example", |sought| {
                sought == Sought::Action
            }))
            .unwrap();
        assert_eq!(value["policy_decision_point"], "https://pdp.example");
        assert_eq!(
            value["access_evaluations_endpoint"],
            "https://pdp.example/access/v1/evaluations"
        );
        assert_eq!(
            value["search_action_endpoint"],
            "https://pdp.example/access/v1/search/action"
        );
        assert_eq!(value.as_object().unwrap().len(), 4);
    }
}
