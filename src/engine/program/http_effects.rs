//! What an HTTP decision sends along: header, query and metadata values, evaluated and checked.

use bumpalo::collections::String as BumpString;
use bumpalo::collections::Vec as BumpVec;

use crate::engine::Value;
use crate::engine::value::write_json;

use super::roles::Entered;
use super::run::{Outcome, Run};
use super::version::Condition;
use super::{EvaluateError, HttpAccess, HttpHeader, HttpRequest};

/// Names with the expressions of their values.
pub(super) type Values = Vec<(String, Condition)>;

/// A compiled `on_allow`.
#[derive(Debug, Default)]
pub(super) struct AllowEffects {
    pub set_headers: Values,
    pub append_headers: Values,
    pub remove_headers: Vec<String>,
    pub response_headers: Values,
    pub set_query: Values,
    pub remove_query: Vec<String>,
    pub metadata: Values,
}

/// A compiled `on_deny`.
#[derive(Debug)]
pub(super) struct DenyEffects {
    pub status: u16,
    pub headers: Values,
    pub body: Option<Condition>,
    pub metadata: Values,
}

/// Prefix of the headers that are ours alone.
const OWN: &str = "x-lictor-";

impl AllowEffects {
    /// Names of the upstream headers that this can set.
    pub fn set_names(&self) -> impl Iterator<Item = &str> {
        let values = self.set_headers.iter().chain(&self.append_headers);
        values.map(|(name, _)| name.as_str())
    }
}

impl<'a> Run<'a> {
    /// Evaluates what an allow sends along; false where that cannot be, and the answer is left as it was.
    pub fn allow_effects(
        &mut self,
        document: &Entered<'a>,
        effects: &'a AllowEffects,
        request: &HttpRequest<'a>,
        answer: &mut HttpAccess<'a>,
    ) -> Result<bool, EvaluateError> {
        let Some(set_headers) = self.values(document, &effects.set_headers)? else {
            return Ok(false);
        };
        let Some(append_headers) = self.values(document, &effects.append_headers)? else {
            return Ok(false);
        };
        let Some(response_headers) = self.values(document, &effects.response_headers)? else {
            return Ok(false);
        };
        let Some(set_query) = self.values(document, &effects.set_query)? else {
            return Ok(false);
        };
        let Some(metadata) = self.metadata(document, &effects.metadata)? else {
            return Ok(false);
        };
        let sets = |name: &str| {
            let mut set = set_headers.iter().chain(append_headers);
            set.any(|header| header.name == name)
        };
        let mut remove = BumpVec::new_in(self.arena);
        let settable = self.program.http.settable.iter();
        remove.extend(settable.map(String::as_str).filter(|name| !sets(name)));
        let sent = request.headers.iter().map(|(name, _)| *name);
        remove.extend(sent.filter(|name| name.starts_with(OWN) && !sets(name)));
        remove.extend(effects.remove_headers.iter().map(String::as_str));
        remove.sort_unstable();
        remove.dedup();
        answer.set_headers = set_headers;
        answer.append_headers = append_headers;
        answer.remove_headers = remove.into_bump_slice();
        answer.response_headers = response_headers;
        answer.set_query = set_query;
        answer.remove_query = self
            .arena
            .alloc_slice_fill_iter(effects.remove_query.iter().map(String::as_str));
        answer.metadata = metadata;
        Ok(true)
    }

    /// Evaluates the reply of a denial. Where anything fails the denial stays plain.
    pub fn deny_effects(
        &mut self,
        document: &Entered<'a>,
        effects: &'a DenyEffects,
        answer: &mut HttpAccess<'a>,
    ) -> Result<(), EvaluateError> {
        let Some(headers) = self.values(document, &effects.headers)? else {
            return Ok(());
        };
        let Some(metadata) = self.metadata(document, &effects.metadata)? else {
            return Ok(());
        };
        let mut body = None;
        if let Some(condition) = &effects.body {
            let policy = self.version(document.version);
            match self.evaluate(policy, condition)? {
                Outcome::Value(value) => body = Some(self.text(&value)),
                Outcome::Failed(_) => return Ok(()),
            }
        }
        answer.status = effects.status;
        answer.response_headers = headers;
        answer.metadata = metadata;
        answer.body = body;
        Ok(())
    }

    /// Header or query values; None where one fails or cannot be sent. An absent optional is not sent.
    fn values(
        &mut self,
        document: &Entered<'a>,
        values: &'a Values,
    ) -> Result<Option<&'a [HttpHeader<'a>]>, EvaluateError> {
        let policy = self.version(document.version);
        let mut headers = BumpVec::with_capacity_in(values.len(), self.arena);
        for (name, condition) in values {
            let Outcome::Value(value) = self.evaluate(policy, condition)? else {
                return Ok(None);
            };
            if matches!(value, Value::Optional(None)) {
                continue;
            }
            let Some(value) = self.sendable(value) else {
                let message =
                    "a header value must be text, a number or a bool, without control characters";
                self.report::<()>(policy, &condition.place, &Outcome::Failed(message));
                return Ok(None);
            };
            headers.push(HttpHeader { name, value });
        }
        Ok(Some(headers.into_bump_slice()))
    }

    /// A value as header text: scalars only.
    fn sendable(&self, value: Value<'a>) -> Option<&'a str> {
        let value = match value {
            Value::Optional(Some(inner)) => *inner,
            other => other,
        };
        let scalar = matches!(
            value,
            Value::Bool(_)
                | Value::Int(_)
                | Value::Uint(_)
                | Value::Double(_)
                | Value::String(_)
                | Value::Timestamp(_)
                | Value::Duration(_)
        );
        let text = scalar.then(|| self.text(&value))?;
        (!text.chars().any(char::is_control)).then_some(text)
    }

    /// Dynamic metadata as JSON; None where a value fails.
    fn metadata(
        &mut self,
        document: &Entered<'a>,
        values: &'a Values,
    ) -> Result<Option<&'a [(&'a str, &'a str)]>, EvaluateError> {
        let policy = self.version(document.version);
        let mut metadata = BumpVec::with_capacity_in(values.len(), self.arena);
        for (name, condition) in values {
            let Outcome::Value(value) = self.evaluate(policy, condition)? else {
                return Ok(None);
            };
            let mut json = BumpString::new_in(self.arena);
            // Writing to memory does not fail.
            let _ = write_json(&mut json, &value);
            metadata.push((name.as_str(), json.into_bump_str()));
        }
        Ok(Some(metadata.into_bump_slice()))
    }
}
