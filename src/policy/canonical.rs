//! Canonical JSON of the registry, its content hash, and what a content signature covers.
//!
//! Not RFC 8785: object keys sorted by code point, separators `,` and `:`, everything outside
//! U+0020..U+007E escaped, integers verbatim, floats as Python's shortest `repr`, last duplicate wins.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::json;
use super::node::{Node, Value};

/// Text that is no JSON, or that has no canonical form.
#[derive(Debug, thiserror::Error)]
#[error("not JSON: {0}")]
pub struct NotJson(pub String);

/// The canonical form of JSON text.
///
/// # Errors
///
/// When the text is no JSON, is larger or deeper than a policy may be, or holds a number beyond a double.
pub fn canonical(json: &[u8]) -> Result<String, NotJson> {
    let text = std::str::from_utf8(json).map_err(|error| NotJson(error.to_string()))?;
    let node = json::read(text).map_err(|error| {
        NotJson(format!(
            "{} (line {}, column {})",
            error.message, error.position.line, error.position.column
        ))
    })?;
    let mut canonical = String::with_capacity(text.len());
    write_value(&node, &mut canonical)?;
    Ok(canonical)
}

/// Lower-case hex SHA-256 of the canonical form.
///
/// # Errors
///
/// As [`canonical`].
pub fn content_hash(json: &[u8]) -> Result<String, NotJson> {
    Ok(hex::encode(Sha256::digest(canonical(json)?)))
}

fn write_value(node: &Node<'_>, text: &mut String) -> Result<(), NotJson> {
    match &node.value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write_number(number, text)?,
        Value::String(string) => write_string(string, text),
        Value::List(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_value(item, text)?;
            }
            text.push(']');
        }
        Value::Object(members) => {
            // Bytes of UTF-8 sort as code points do; a later duplicate replaces an earlier one.
            let sorted: BTreeMap<&str, &Node<'_>> = members
                .iter()
                .map(|member| (&*member.name, &member.node))
                .collect();
            text.push('{');
            for (index, (name, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_string(name, text);
                text.push(':');
                write_value(value, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            ' '..='~' => text.push(character),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    // Writing to a `String` cannot fail.
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text.push('"');
}

fn write_number(number: &str, text: &mut String) -> Result<(), NotJson> {
    if number == "-0" {
        // Python's integers have no negative zero.
        text.push('0');
    } else if number
        .bytes()
        .any(|byte| matches!(byte, b'.' | b'e' | b'E'))
    {
        let float: f64 = number
            .parse()
            .ok()
            .filter(|float: &f64| float.is_finite())
            .ok_or_else(|| NotJson(format!("the number `{number}` is out of range")))?;
        text.push_str(&python_repr(float));
    } else {
        text.push_str(number);
    }
    Ok(())
}

/// Python's `repr(float)`: the shortest digits that read back, with an exponent of at least two digits
/// below 1e-4 and from 1e16.
fn python_repr(float: f64) -> String {
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{float}");
        return if plain.contains('.') {
            plain
        } else {
            plain + ".0"
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use ed25519_dalek::{Signer as _, SigningKey};

    const ROW_2: &str =
        r#"{"rules":[{"action":"allow","resource":"documents"}],"version":"1.0.0"}"#;

    #[track_caller]
    fn vector(content: &str, expected: &str, hash: &str) {
        assert_eq!(canonical(content.as_bytes()).unwrap(), expected);
        assert_eq!(content_hash(content.as_bytes()).unwrap(), hash);
        assert_eq!(canonical(expected.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn the_empty_object() {
        vector(
            " { } ",
            "{}",
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        );
    }

    #[test]
    fn a_version_with_one_rule() {
        vector(
            r#"{"version": "1.0.0", "rules": [{"resource": "documents", "action": "allow"}]}"#,
            ROW_2,
            "400ef7d9c3235ba39a30ae107d9d3d5b3e90e7516addcd689330a8f538b5cec6",
        );
    }

    #[test]
    fn numbers_and_an_accent() {
        vector(
            r#"{"é":"ü","n":1.0,"big":1e16,"small":1e-7,"i":100000000000000000000,"neg":-0.0,"z":null,"t":true}"#,
            r#"{"big":1e+16,"i":100000000000000000000,"n":1.0,"neg":-0.0,"small":1e-07,"t":true,"z":null,"\u00e9":"\u00fc"}"#,
            "2decd00682c4d538e6631ee4245498d1f33c4903a51f51a28932d0243d7c95c8",
        );
    }

    #[test]
    fn key_order_and_escapes() {
        vector(
            "{\"\u{1F600}\":1,\"\u{FF5E}\":2,\"a\":\"<\\/\u{7f}\\u001f\\\"\\\\/\"}",
            r#"{"a":"</\u007f\u001f\"\\/","\uff5e":2,"\ud83d\ude00":1}"#,
            "b8095324beb438548b1276a43fa6aafd64655a5f6cb3687141107cb044301cef",
        );
    }

    #[test]
    fn a_signature_covers_the_canonical_bytes() {
        let seed: [u8; 32] = std::array::from_fn(|index| index as u8);
        let signature = SigningKey::from_bytes(&seed).sign(ROW_2.as_bytes());
        assert_eq!(
            STANDARD.encode(signature.to_bytes()),
            "c7g/qsMVdZBQAALkdHGTGT6m1dMY5OnSDeZC3N9cn0ro+Fc2U0XxEjKEYgHcxSu1OvM4HUt3kqJKVpmroAIgCg=="
        );
    }

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (text, expected) in [
            ("1.0", "1.0"),
            ("1e0", "1.0"),
            ("0.1", "0.1"),
            ("123456789012345.6", "123456789012345.6"),
            ("1e15", "1000000000000000.0"),
            ("9999999999999998.0", "9999999999999998.0"),
            ("1.5e16", "1.5e+16"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("-0.00012345", "-0.00012345"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("-0", "0"),
            ("-12", "-12"),
        ] {
            assert_eq!(canonical(text.as_bytes()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn the_last_duplicate_wins() {
        assert_eq!(
            canonical(br#"{"a":1,"b":2,"a":3}"#).unwrap(),
            r#"{"a":3,"b":2}"#
        );
    }

    #[test]
    fn what_has_no_canonical_form_is_refused() {
        let deep = "[".repeat(100_000);
        for text in ["", "{", "1e400", "NaN", r#""\ud800""#, "{'a':1}", &deep] {
            assert!(canonical(text.as_bytes()).is_err(), "{text:.20}");
        }
        assert!(canonical(b"\"\xff\"").is_err());
    }
}
