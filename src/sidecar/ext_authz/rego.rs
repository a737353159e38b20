//! A Rego document as the decision, as OPA's Envoy plugin asks for one.

use uuid::Uuid;

use crate::api::ext_authz::CheckRequest;
use crate::decide::{Origin, Question, Worker};
use crate::engine::rego::{parse_rego_json, write_rego_json};
use crate::engine::{DuplicateMembers, RegoInput, RegoSegment};
use crate::model::Timestamp;
use crate::sidecar::config::Undefined;

use super::{Asked, Refusal, Settings, input};

pub use super::result::RegoDecision;

/// Nesting of the input document, beyond that of a body in it.
const ENVELOPE: usize = 8;

/// A decision with what its answer carries beside it.
#[derive(Debug)]
pub struct DecidedByRego {
    pub decision: RegoDecision,
    pub decision_id: Uuid,
    pub revision: String,
}

/// Asks for the document at `path`.
///
/// # Errors
///
/// [`Refusal`]: a request that cannot be read is denied; no decision is none.
pub fn decide(
    worker: &mut Worker,
    settings: &Settings,
    path: &[String],
    (check, asked, now): (&CheckRequest<'_>, &Asked<'_>, Timestamp),
    (depth, result_bytes): (usize, usize),
) -> Result<DecidedByRego, Refusal> {
    let text = input::document(check, asked, settings).map_err(Refusal::unparsable)?;
    let value = parse_rego_json(&text, depth.saturating_add(ENVELOPE))
        .map_err(|fault| Refusal::unparsable(fault.message))?;
    let segments: Vec<RegoSegment<'_>> = path.iter().map(|name| RegoSegment::Name(name)).collect();
    let input = RegoInput {
        value: Some(value),
        strict: false,
    };
    let document = path.join("/");
    let question = Question {
        now,
        claims: None,
        principal: "",
        duplicates: DuplicateMembers::LastWins,
        explain: false,
        origin: Origin {
            input: &text,
            ..asked.origin(&document, None)
        },
    };
    worker.rego(&segments, &input, &question, |answered, answer| {
        let decision = match (&answer.value, settings.undefined) {
            (None, Undefined::Deny) => RegoDecision::plain(false),
            (None, Undefined::Error) => {
                return Err(Refusal::Unreadable {
                    reason: "envoyauth_eval_error",
                    text: "undefined decision".to_owned(),
                });
            }
            (Some(value), _) => {
                let unreadable = |text: String| Refusal::Unreadable {
                    reason: "envoyauth_result_error",
                    text,
                };
                let mut text = Vec::new();
                if !write_rego_json(value, result_bytes, &mut text) {
                    return Err(unreadable("the decision is too large".to_owned()));
                }
                let value =
                    serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
                RegoDecision::read(value).map_err(|error| unreadable(error.to_string()))?
            }
        };
        Ok(DecidedByRego {
            decision,
            decision_id: answered.decision_id,
            revision: answered.snapshot.name.clone(),
        })
    })?
}
