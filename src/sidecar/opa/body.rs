//! Bodies: unpacked where they are compressed, and read as OPA reads them.

use std::io::Read as _;

use bytes::Bytes;
use flate2::bufread::GzDecoder;

use crate::api::opa::{decode, decode_all, kind};
use crate::engine::RegoValue;
use crate::engine::rego::parse_rego_json;
use crate::server::settings::parse_yaml;

use super::error::Failure;

/// What a request says about its body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Form {
    pub gzip: bool,
    pub yaml: bool,
}

/// The body as it was before it was compressed; at most `limit` bytes.
pub(super) fn unpack(body: Bytes, form: Form, limit: usize) -> Result<Bytes, Failure> {
    if !form.gzip {
        return Ok(body);
    }
    let mut out = Vec::with_capacity(body.len().saturating_mul(4).min(limit));
    let mut rest: &[u8] = &body;
    // One member after another is one body, as Go's reader has it.
    loop {
        let mut decoder = GzDecoder::new(rest);
        let left = (limit + 1).saturating_sub(out.len()) as u64;
        (&mut decoder)
            .take(left)
            .read_to_end(&mut out)
            .map_err(|error| {
                Failure::invalid(format!("could not decompress the body: {}", gzip(&error)))
            })?;
        if out.len() > limit {
            return Err(Failure::invalid(format!(
                "request body too large: decompressed size exceeds limit of {limit} bytes (server.decoding.gzip.max_length)"
            )));
        }
        rest = decoder.into_inner();
        if rest.is_empty() {
            return Ok(out.into());
        }
    }
}

/// Go's words.
fn gzip(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "unexpected EOF",
        std::io::ErrorKind::InvalidInput => "gzip: invalid header",
        _ => "gzip: invalid data",
    }
}

/// The value of a text: YAML, or the first JSON value in it. None where there is nothing.
pub(super) fn value(text: &[u8], form: Form, depth: usize) -> Result<Option<RegoValue>, String> {
    if form.yaml {
        return yaml(text, depth);
    }
    // Nearly always the text is one value of good JSON.
    if let Ok(value) = parse_rego_json(text, depth) {
        return Ok(Some(value));
    }
    let Some(found) = decode(text)? else {
        return Ok(None);
    };
    let first = text.get(found.start..found.end).unwrap_or_default();
    lenient(first, depth).map(Some)
}

/// The value of a text with nothing after it.
pub(super) fn whole_value(text: &[u8], form: Form, depth: usize) -> Result<RegoValue, String> {
    if form.yaml {
        return yaml(text, depth)?.ok_or_else(|| "EOF".to_owned());
    }
    if let Ok(value) = parse_rego_json(text, depth) {
        return Ok(value);
    }
    let found = decode_all(text)?;
    lenient(text.get(found.start..found.end).unwrap_or_default(), depth)
}

/// What is good JSON to Go and not to us is bytes that are no UTF-8, which Go replaces, and what our limits refuse.
fn lenient(text: &[u8], depth: usize) -> Result<RegoValue, String> {
    let text = String::from_utf8_lossy(text);
    parse_rego_json(text.as_bytes(), depth).map_err(|fault| fault.message.to_owned())
}

fn yaml(text: &[u8], depth: usize) -> Result<Option<RegoValue>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(text).map_err(|_| "yaml: invalid UTF-8".to_owned())?;
    let document = parse_yaml(text)
        .map_err(|error| format!("yaml: line {}: {}", error.line, error.message))?;
    let json = document.value.to_string();
    parse_rego_json(json.as_bytes(), depth)
        .map(Some)
        .map_err(|fault| fault.message.to_owned())
}

/// The input of a request for a document that says nothing else, with its text: nearly every one does. None where a
/// closer look is needed.
pub(super) fn bare_input(text: &[u8], form: Form, depth: usize) -> Option<(RegoValue, &[u8])> {
    if form.yaml {
        return None;
    }
    let object = trimmed(text).strip_prefix(b"{")?.strip_suffix(b"}")?;
    let member = trimmed(object).strip_prefix(b"\"input\"")?;
    let text = trimmed(trimmed(member).strip_prefix(b":")?);
    // Where this is one whole value, there is nothing beside it.
    let value = parse_rego_json(text, depth.checked_sub(1)?).ok()?;
    Some((value, text))
}

/// Without JSON's blanks at both ends.
fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\n' | b'\r'] = text {
        text = rest;
    }
    text
}

/// `input` of a request for a document: None where there is none, or where it is null.
pub(super) fn input_of(request: Option<RegoValue>) -> Result<Option<RegoValue>, String> {
    let object = match request {
        None | Some(RegoValue::Null) => return Ok(None),
        Some(RegoValue::Object(object)) => object,
        Some(other) => {
            return Err(format!(
                "json: cannot unmarshal {} into Go value of type types.alias",
                kind_of(&other)
            ));
        }
    };
    // Go's decoder takes any case for a member's name.
    let found = object.iter().find(
        |(name, _)| matches!(name, RegoValue::String(name) if name.eq_ignore_ascii_case("input")),
    );
    let value = found.map(|(_, value)| value.clone());
    Ok(value.filter(|value| *value != RegoValue::Null))
}

/// The member of an object, by its exact name.
pub(super) fn member_of<'v>(value: &'v RegoValue, wanted: &str) -> Option<&'v RegoValue> {
    let RegoValue::Object(object) = value else {
        return None;
    };
    let mut all = object.iter();
    all.find(|(name, _)| matches!(name, RegoValue::String(name) if **name == *wanted))
        .map(|(_, value)| value)
}

/// A text member of a request; empty where it is absent or null.
pub(super) fn text_of(request: &RegoValue, member: &str, of: &str) -> Result<String, String> {
    let RegoValue::Object(object) = request else {
        return Err(format!(
            "json: cannot unmarshal {} into Go value of type types.{of}",
            kind_of(request)
        ));
    };
    let found = object.iter().find(
        |(name, _)| matches!(name, RegoValue::String(name) if name.eq_ignore_ascii_case(member)),
    );
    match found.map(|(_, value)| value) {
        None | Some(RegoValue::Null) => Ok(String::new()),
        Some(RegoValue::String(text)) => Ok(text.to_string()),
        Some(other) => Err(format!(
            "json: cannot unmarshal {} into Go struct field {of}.{member} of type string",
            kind_of(other)
        )),
    }
}

/// Go's word for a value's type.
pub(super) fn kind_of(value: &RegoValue) -> &'static str {
    kind(match value {
        RegoValue::Object(_) => b'{',
        RegoValue::Array(_) | RegoValue::Set(_) => b'[',
        RegoValue::String(_) => b'"',
        RegoValue::Bool(_) => b't',
        RegoValue::Null | RegoValue::Undefined => b'n',
        RegoValue::Number(_) => b'0',
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_input_is_found_and_nothing_else_is_taken_for_one() {
        let found = |text: &'static str| {
            let found = bare_input(text.as_bytes(), Form::default(), 4);
            found.map(|(value, text)| (value.to_string(), String::from_utf8_lossy(text)))
        };
        for (text, expected) in [
            (r#"{"input":1}"#, "1"),
            (" {\n\t\"input\" :\r[1, {\"a\":2}] } ", "[1, {\"a\":2}]"),
            (r#"{"input":null}"#, "null"),
            (r#"{"input":[[[1]]]}"#, "[[[1]]]"),
        ] {
            assert_eq!(found(text).unwrap().1, expected);
        }
        for text in [
            "",
            "{}",
            "[1]",
            r#"{"input":1"#,
            r#"{"input":1}x"#,
            r#"{"input":1,"a":2}"#,
            r#"{"a":2,"input":1}"#,
            r#"{"input":1}{"input":2}"#,
            r#"{"input":}"#,
            r#"{"Input":1}"#,
            r#"{"input":[[[[1]]]]}"#,
            "\u{c}{\"input\":1}",
            "{\"input\":1\u{c}}",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
