//! Values as text for people (`actual` of a violation) and as JSON.

use std::fmt::{self, Write};

use super::Value;

/// Writes `value` as a person reads it: strings bare, everything else as JSON.
///
/// # Errors
///
/// Those of `out`.
pub fn write_text(out: &mut dyn Write, value: &Value<'_>) -> fmt::Result {
    match value {
        Value::String(text) => out.write_str(text),
        Value::Double(double) => out.write_str(&DoubleText(*double).to_string()),
        Value::Type(name) => out.write_str(name),
        Value::Timestamp(moment) => write!(out, "{moment}"),
        Value::Duration(nanos) => write_duration(out, *nanos),
        Value::Optional(Some(value)) => write_text(out, value),
        other => write_json(out, other),
    }
}

/// Writes `value` as JSON: bytes as base64, timestamps as RFC 3339, durations as seconds with `s`,
/// numbers that JSON lacks (NaN, infinities) and absent optionals as null.
///
/// # Errors
///
/// Those of `out`.
pub fn write_json(out: &mut dyn Write, value: &Value<'_>) -> fmt::Result {
    match value {
        Value::Null | Value::Optional(None) => out.write_str("null"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Int(value) => write!(out, "{value}"),
        Value::Uint(value) => write!(out, "{value}"),
        Value::Double(value) if !value.is_finite() => out.write_str("null"),
        Value::Double(value) => write!(out, "{value:?}"),
        Value::String(text) | Value::Type(text) => quote_json(out, text),
        Value::Bytes(bytes) => {
            use base64::Engine as _;
            let text = base64::engine::general_purpose::STANDARD.encode(bytes);
            quote_json(out, &text)
        }
        Value::Timestamp(moment) => write!(out, "\"{moment}\""),
        Value::Duration(nanos) => {
            out.write_char('"')?;
            write_duration(out, *nanos)?;
            out.write_char('"')
        }
        Value::Optional(Some(value)) => write_json(out, value),
        Value::List(_) | Value::Map(_) | Value::Data(_) => write_container(out, value),
    }
}

fn write_container(out: &mut dyn Write, value: &Value<'_>) -> fmt::Result {
    if let Some(list) = value.as_list() {
        out.write_char('[')?;
        for (index, item) in list.iter().enumerate() {
            if index > 0 {
                out.write_char(',')?;
            }
            write_json(out, &item)?;
        }
        return out.write_char(']');
    }
    out.write_char('{')?;
    for (index, (key, item)) in value
        .as_map()
        .iter()
        .flat_map(super::MapView::iter)
        .enumerate()
    {
        if index > 0 {
            out.write_char(',')?;
        }
        match key {
            Value::String(name) => quote_json(out, name)?,
            other => {
                out.write_char('"')?;
                write_json(out, &other)?;
                out.write_char('"')?;
            }
        }
        out.write_char(':')?;
        write_json(out, &item)?;
    }
    out.write_char('}')
}

/// Writes `text` as a JSON string.
///
/// # Errors
///
/// Those of `out`.
pub fn quote_json(out: &mut dyn Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    let mut plain = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.write_str(text.get(plain..index).unwrap_or_default())?;
        plain = index + 1;
        if escape.is_empty() {
            write!(out, "\\u{byte:04x}")?;
        } else {
            out.write_str(escape)?;
        }
    }
    out.write_str(text.get(plain..).unwrap_or_default())?;
    out.write_char('"')
}

/// Writes a duration in seconds with the suffix `s`, as `string(duration)` gives it.
///
/// # Errors
///
/// Those of `out`.
pub fn write_duration(out: &mut dyn Write, nanos: i64) -> fmt::Result {
    let (seconds, fraction) = (
        nanos.unsigned_abs() / 1_000_000_000,
        nanos.unsigned_abs() % 1_000_000_000,
    );
    if nanos < 0 {
        out.write_char('-')?;
    }
    write!(out, "{seconds}")?;
    if fraction > 0 {
        let digits = format!("{fraction:09}");
        write!(out, ".{}", digits.trim_end_matches('0'))?;
    }
    out.write_char('s')
}

/// A double as CEL's `string()` gives it: shortest digits, an exponent only for very large and very
/// small numbers.
#[derive(Clone, Copy, Debug)]
pub struct DoubleText(pub f64);

impl fmt::Display for DoubleText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if value.is_nan() {
            formatter.write_str("NaN")
        } else if value.is_infinite() {
            formatter.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
        } else if value == 0.0 || (1e-5..1e21).contains(&value.abs()) {
            write!(formatter, "{value}")
        } else {
            let text = format!("{value:e}");
            // Two digits of exponent and its sign, as C and Go print it.
            match text.split_once('e') {
                Some((digits, exponent)) => {
                    let (sign, exponent) = match exponent.strip_prefix('-') {
                        Some(rest) => ('-', rest),
                        None => ('+', exponent),
                    };
                    write!(formatter, "{digits}e{sign}{exponent:0>2}")
                }
                None => formatter.write_str(&text),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: &Value<'_>) -> String {
        let mut out = String::new();
        write_json(&mut out, value).unwrap();
        out
    }

    #[test]
    fn json_is_what_serde_reads_back() {
        let text = "a\"b\\c\u{1}\n\u{e9}\u{1f431}";
        let entries = [
            (Value::String(text), Value::Int(-1)),
            (Value::Int(2), Value::Double(2.0)),
        ];
        let read: serde_json::Value = serde_json::from_str(&json(&Value::Map(&entries))).unwrap();
        assert_eq!(read, serde_json::json!({text: -1, "2": 2.0}));
        assert_eq!(json(&Value::Double(f64::NAN)), "null");
        assert_eq!(json(&Value::Duration(-1_500_000_000)), "\"-1.5s\"");
        assert_eq!(json(&Value::Bytes(b"\xff")), "\"/w==\"");
    }

    #[test]
    fn doubles_read_as_in_go() {
        assert_eq!(DoubleText(123.456).to_string(), "123.456");
        assert_eq!(DoubleText(-0.0045).to_string(), "-0.0045");
        assert_eq!(DoubleText(1e100).to_string(), "1e+100");
        assert_eq!(DoubleText(1e-7).to_string(), "1e-07");
        assert_eq!(DoubleText(f64::INFINITY).to_string(), "+Inf");
    }
}
