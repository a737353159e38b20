//! `multipart/form-data`: each part's name with its text, or its JSON.

use std::collections::BTreeMap;

use crate::api::json;

use super::input::{Body, Unparsable};

/// Parts of one body; more are refused.
const MAX_PARTS: usize = 1000;

/// JSON text of an object from part name to the list of its values. A body without a boundary is none.
pub(super) fn json<'a>(content_type: &str, body: &[u8]) -> Result<Body<'a>, Unparsable> {
    let Some(boundary) = parameter(content_type, "boundary") else {
        return Ok(Body::Absent);
    };
    let mut values: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for (count, part) in parts(body, &boundary)?.into_iter().enumerate() {
        if count >= MAX_PARTS {
            return Err(Unparsable("multipart: too many parts".to_owned()));
        }
        let (name, is_json, content) = read_part(part)?;
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            continue;
        };
        let mut text = Vec::new();
        if is_json {
            serde_json::from_slice::<&serde_json::value::RawValue>(content)
                .map_err(|error| Unparsable(format!("multipart: invalid JSON: {error}")))?;
            text.extend_from_slice(content);
        } else {
            json::string(&mut text, &String::from_utf8_lossy(content));
        }
        values.entry(name).or_default().push(text);
    }
    let mut out = Vec::new();
    json::raw(&mut out, "{");
    for (index, (name, values)) in values.iter().enumerate() {
        json::raw(&mut out, if index > 0 { "," } else { "" });
        json::string(&mut out, name);
        json::raw(&mut out, ":");
        json::list(&mut out, values, |out, value| {
            out.extend_from_slice(value);
        });
    }
    json::raw(&mut out, "}");
    Ok(Body::Json(out.into()))
}

/// What lies between the boundaries.
fn parts<'b>(body: &'b [u8], boundary: &str) -> Result<Vec<&'b [u8]>, Unparsable> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut open: Option<usize> = None;
    let mut at = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let start = at;
        at += line.len();
        let Some(after) = line.strip_prefix(delimiter.as_bytes()) else {
            continue;
        };
        let after = after.trim_ascii();
        if !matches!(after, b"" | b"--") {
            continue;
        }
        if let Some(from) = open {
            let part = body.get(from..start).unwrap_or_default();
            let part = part.strip_suffix(b"\n").unwrap_or(part);
            parts.push(part.strip_suffix(b"\r").unwrap_or(part));
        }
        if after == b"--" {
            return Ok(parts);
        }
        open = Some(at);
    }
    Err(Unparsable("multipart: the last boundary is missing".into()))
}

/// A part's name, whether it is JSON, and its content.
fn read_part(part: &[u8]) -> Result<(Option<String>, bool, &[u8]), Unparsable> {
    let (mut name, mut is_json) = (None, false);
    let mut rest = part;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, after) = match end {
            Some(end) => rest.split_at(end + 1),
            // A part of headers alone, or of nothing.
            None => (rest, &[][..]),
        };
        let text = std::str::from_utf8(line)
            .map_err(|_| Unparsable("multipart: a header is not UTF-8".to_owned()))?
            .trim_end();
        rest = after;
        if text.is_empty() {
            return Ok((name, is_json, rest));
        }
        let Some((header, value)) = text.split_once(':') else {
            return Err(Unparsable("multipart: a header has no colon".to_owned()));
        };
        if header.eq_ignore_ascii_case("content-disposition") {
            name = parameter(value, "name");
        } else if header.eq_ignore_ascii_case("content-type") {
            is_json = value.contains("application/json");
        }
    }
}

/// A parameter of a header's value, its quotes removed.
fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|parameter| {
        let (found, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (found.trim().eq_ignore_ascii_case(name) && !value.is_empty()).then(|| value.to_owned())
    })
}
