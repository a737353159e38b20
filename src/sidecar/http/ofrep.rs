//! OFREP: `POST /ofrep/v1/evaluate/flags` and `/ofrep/v1/evaluate/flags/{key}`.

use std::borrow::Cow;

use http::header::IF_NONE_MATCH;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};

use crate::api::ofrep::{self, Context, ContextError};
use crate::api::{ErrorCode, json};
use crate::decide::{FlagAnswer, Flags, Question};
use crate::engine::DuplicateMembers;

use super::error::Failure;
use super::reply::{JSON, Rare, Reply};
use super::{Call, OK};

/// One flag.
pub(super) fn flag(call: &Call<'_>, path: &str) -> Result<Reply, Failure> {
    let key =
        key(path).ok_or_else(|| Failure::new(ErrorCode::InvalidRequest, "the key is no UTF-8"))?;
    let context = context(call)?;
    ask(call, &context, Some(&key), |answered, answers| {
        let mut body = Vec::with_capacity(128);
        match answers.first() {
            Some((_, Ok(flag))) => ofrep::evaluation(&mut body, &flag.answer, flag.boolean),
            _ => json::raw(&mut body, "{}"),
        }
        Reply::decision(body).with(Rare {
            decision_id: Some(answered.decision_id),
            revision: Some(answered.snapshot.name.clone()),
            ..Rare::default()
        })
    })
}

/// All flags, unless they and the context are those of the tag that the client names.
pub(super) fn flags(call: &Call<'_>, headers: &HeaderMap) -> Result<Reply, Failure> {
    let context = context(call)?;
    ask(call, &context, None, |answered, answers| {
        let mut body = Vec::with_capacity(64 + 128 * answers.len());
        json::raw(&mut body, "{\"flags\":");
        json::list(&mut body, answers, |out, (key, answer)| match answer {
            Ok(flag) => ofrep::evaluation(out, &flag.answer, flag.boolean),
            Err(error) => {
                let details = error.to_string();
                ofrep::failure(out, Some(key), Some(ofrep::GENERAL), &details);
            }
        });
        json::raw(&mut body, "}");
        let revision = &answered.snapshot.name;
        let etag = tag(revision, &context, &body);
        let known = known(headers, &etag);
        let rare = Rare {
            decision_id: Some(answered.decision_id),
            revision: Some(revision.clone()),
            etag: Some(etag),
            ..Rare::default()
        };
        Reply {
            status: if known { StatusCode::NOT_MODIFIED } else { OK },
            ..Reply::decision(if known { Vec::new() } else { body }).with(rare)
        }
    })
}

fn context<'c>(call: &'c Call<'_>) -> Result<Context<'c>, Failure> {
    Context::parse(&call.body).map_err(|error| {
        let code = match error {
            ContextError::Json(_) => ErrorCode::InvalidJson,
            ContextError::Shape(_) => ErrorCode::InvalidRequest,
        };
        Failure::new(code, error.to_string())
    })
}

fn ask(
    call: &Call<'_>,
    context: &Context<'_>,
    key: Option<&str>,
    encode: impl FnOnce(&crate::decide::Answered<'_>, &[(&str, FlagAnswer<'_>)]) -> Reply,
) -> Result<Reply, Failure> {
    let question = Question {
        duplicates: DuplicateMembers::LastWins,
        ..call.question()
    };
    let flags = Flags {
        name: key,
        targeting_key: context.targeting_key.as_deref(),
        context: context.text.map(|text| text.get().as_bytes()),
    };
    let mut worker = call.handler.worker.borrow_mut();
    Ok(worker.flags(&flags, &question, encode)?)
}

/// A tag of everything that an answer hangs on: what was decided, by which revision, for which context.
fn tag(revision: &str, context: &Context<'_>, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(revision.as_bytes());
    part(body);
    for (name, text) in context.members() {
        part(name.as_bytes());
        part(text.as_bytes());
    }
    let digest = hash.finalize();
    format!("\"{}\"", hex::encode(&digest[..16]))
}

/// Whether the client has the answer of this tag (RFC 9110 13.1.2, compared weakly).
fn known(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The decoded key of a path that goes on below [`ofrep::FLAGS`].
fn key(path: &str) -> Option<Cow<'_, str>> {
    let encoded = path.strip_prefix(ofrep::FLAGS)?.strip_prefix('/')?;
    percent_decode_str(encoded).decode_utf8().ok()
}

/// A failure in the protocol's shape. It knows no words for what ails a server, and none for credentials.
pub(super) fn failure(failure: Failure, path: &str) -> Reply {
    let code = failure.problem.code;
    let word = match code {
        ErrorCode::InvalidJson => Some(ofrep::PARSE_ERROR),
        ErrorCode::InvalidRequest => Some(ofrep::INVALID_CONTEXT),
        ErrorCode::NotFound => Some(ofrep::FLAG_NOT_FOUND),
        _ => None,
    };
    let details = match failure.problem.detail.as_str() {
        "" => code.title(),
        detail => detail,
    };
    let key = word.and_then(|_| key(path)).filter(|key| !key.is_empty());
    let mut body = Vec::with_capacity(128);
    ofrep::failure(&mut body, key.as_deref(), word, details);
    failure.into_reply_with(code.status(), JSON, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_decoded() {
        let path = |rest: &str| format!("{}{rest}", ofrep::FLAGS);
        assert_eq!(key(&path("/a%2Fb%20c")).as_deref(), Some("a/b c"));
        assert_eq!(key(&path("/%E2%82%AC")).as_deref(), Some("\u{20ac}"));
        assert_eq!(key(&path("/%ff")), None);
        assert_eq!(key(&path("")), None);
    }

    #[test]
    fn tags_are_compared_weakly_and_in_lists() {
        let headers = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, http::HeaderValue::from_static(value));
            headers
        };
        for (value, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("a", false),
            ("\"b\"", false),
            ("", false),
        ] {
            assert_eq!(known(&headers(value), "\"a\""), expected, "{value}");
        }
        assert!(!known(&HeaderMap::new(), "\"a\""));
    }
}
