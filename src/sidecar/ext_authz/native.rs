//! The native HTTP rules.

use bumpalo::Bump;

use crate::api::ErrorCode;
use crate::api::ext_authz::{Names, metadata_json};
use crate::decide::{Answered, Question, Worker};
use crate::engine::canonical_request::canonical_request;
use crate::engine::{DuplicateMembers, HttpAccess, HttpRequest, Scratch};
use crate::identity::Claims;
use crate::model::{AccessReason, Timestamp};

use super::settings::Key;
use super::{Asked, Refusal, Settings, in_arena, input};

/// Names of our headers.
const OWN: &str = "x-lictor-";
const VARIANT: &str = "x-lictor-variant-";
/// The header of a request that was let through without a decision.
pub const FAILED_OPEN: &str = "x-lictor-failed-open";

/// A decision, for as long as it is encoded.
#[derive(Debug)]
pub struct Decided<'d, 'a> {
    pub answered: &'d Answered<'d>,
    pub access: &'d HttpAccess<'d>,
    pub asked: &'d Asked<'a>,
}

/// What becomes of the request's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward<'d> {
    Set(&'d str, &'d str),
    Append(&'d str, &'d str),
    Remove(&'d str),
}

impl<'a> Asked<'a> {
    /// Decides by the native rules; `encode` turns the decision into the reply while it is borrowed.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; also where no rule is loaded, which is no decision.
    pub fn decide<R>(
        &self,
        worker: &mut Worker,
        settings: &Settings,
        (now, claims): (Timestamp, Option<&Claims>),
        arena: &'a Bump,
        encode: impl FnOnce(&Decided<'_, 'a>) -> R,
    ) -> Result<R, Refusal> {
        let ambiguities = &settings.allowed_ambiguities;
        let canonical = canonical_request(self.target, self.host, ambiguities, arena)
            .map_err(Refusal::unparsable)?;
        let metadata = match self.metadata {
            None => None,
            Some(message) => {
                let mut json = Vec::new();
                metadata_json(&mut json, message, Names::Snake).map_err(Refusal::unparsable)?;
                Some(in_arena(arena, &json))
            }
        };
        let claim;
        let key = match &settings.key {
            Key::Principal => self.source.map(|source| source.principal),
            Key::Address => self.source.map(|source| source.address),
            Key::Header(name) => self.header(name),
            Key::Query(name) => canonical
                .query
                .iter()
                .find(|(candidate, _)| candidate == name)
                .map(|(_, value)| *value),
            Key::Claim(name) => {
                claim = claims.and_then(|claims| text_claim(claims, name));
                claim.as_deref()
            }
            // Asked once the request is there.
            Key::Expression(_) => None,
        };
        let body = if settings.skip_request_body_parse {
            None
        } else {
            input::json_body(self, settings.descriptors.as_ref(), arena)
        };
        let mut request = HttpRequest {
            method: self.method,
            path: canonical.path,
            query: canonical.query,
            headers: self.headers,
            host: canonical.host,
            scheme: self.scheme,
            body,
            source: self.source,
            destination: self.destination,
            sni: self.sni,
            extensions: self.extensions,
            metadata,
            key,
        };
        let question = Question {
            now,
            claims: claims.map(|claims| claims.json.as_bytes()),
            principal: "",
            duplicates: DuplicateMembers::Refuse,
            explain: false,
            origin: self.origin(canonical.path, claims),
        };
        let scratch;
        if let Key::Expression(expression) = &settings.key {
            scratch = Scratch::default();
            request.key = worker.http_key(expression, &request, &question, &scratch)?;
        }
        worker
            .http(&request, &question, |answered, access| {
                if access.access.reason == AccessReason::NoPolicy {
                    return Err(Refusal::Failed {
                        code: ErrorCode::NotReady,
                        text: NO_RULE.to_owned(),
                    });
                }
                Ok(encode(&Decided {
                    answered,
                    access,
                    asked: self,
                }))
            })
            .map_err(Refusal::from)?
    }
}

/// Nothing that decides: never a yes, whatever may fail open.
pub(super) const NO_RULE: &str =
    "no loaded policy has rules for HTTP requests, and no Rego path is configured";

fn text_claim(claims: &Claims, name: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(&claims.json).ok()?;
    json.get(name)?.as_str().map(str::to_owned)
}

impl Decided<'_, '_> {
    /// Policy and rule that decided.
    #[must_use]
    pub const fn rule(&self) -> Option<(&str, &str)> {
        match self.access.access.reason {
            AccessReason::Allowed { policy, rule } | AccessReason::Denied { policy, rule, .. } => {
                Some((policy, rule))
            }
            _ => None,
        }
    }

    /// Each change of the headers of a request that is let through.
    pub fn forward(&self, mut change: impl FnMut(Forward<'_>)) {
        let access = self.access;
        for header in access.set_headers {
            change(Forward::Set(header.name, header.value));
        }
        for header in access.append_headers {
            // Nothing there, nothing to append to.
            let there = self.asked.header(header.name).is_some()
                || access.set_headers.iter().any(|set| set.name == header.name);
            change(if there {
                Forward::Append(header.name, header.value)
            } else {
                Forward::Set(header.name, header.value)
            });
        }
        let variants = access.access.variants;
        let mut name = String::new();
        let mut named = |experiment: &str| {
            name.clear();
            name.push_str(VARIANT);
            name.extend(experiment.chars().map(|c| c.to_ascii_lowercase()));
            is_token(&name).then(|| name.clone())
        };
        for assignment in variants {
            if let Some(name) = named(assignment.experiment) {
                change(Forward::Set(&name, assignment.variant));
            }
        }
        let is_set = |name: &str| {
            name.strip_prefix(VARIANT).is_some_and(|experiment| {
                variants
                    .iter()
                    .any(|assignment| assignment.experiment.eq_ignore_ascii_case(experiment))
            })
        };
        for name in access.remove_headers {
            if !is_set(name) {
                change(Forward::Remove(name));
            }
        }
        // Envoy may have been told to send us some headers only, so those of experiments go in any case.
        for experiment in self.answered.snapshot.program.experiments() {
            if let Some(name) = named(experiment)
                && !is_set(&name)
                && !access.remove_headers.contains(&name.as_str())
            {
                change(Forward::Remove(&name));
            }
        }
        for own in [FAILED_OPEN, "x-lictor-decision-id", "x-lictor-revision"] {
            if !access.remove_headers.contains(&own) {
                change(Forward::Remove(own));
            }
        }
    }
}

/// Headers of ours that a client sent along.
pub(super) fn forged<'a>(headers: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = &'a str> {
    headers
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| name.starts_with(OWN) && *name != FAILED_OPEN)
}

/// Whether it can be a header's name.
pub(super) fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
