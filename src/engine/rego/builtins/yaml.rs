//! `yaml.*`: YAML 1.2 in, and the block style that OPA writes out.

use anyhow::{Result, anyhow};
use regorus::Value;

use crate::policy::{Format, to_json};

use super::super::json;
use super::bounds::too_much;
use super::text;

/// Nesting of a document.
const DEEPEST: usize = 64;
/// Bytes of text, read or written.
const MOST: usize = 1 << 20;

pub(super) fn unmarshal(arguments: &[Value]) -> Result<Value> {
    let text = text(arguments, 0)?;
    if text.len() > MOST {
        return Err(too_much(text.len() as u64, MOST as u64));
    }
    let is_blank = |line: &str| line.trim_start().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(is_blank) {
        return Ok(Value::Null);
    }
    let json = to_json("", text.as_bytes(), Format::Yaml).map_err(|errors| anyhow!("{errors}"))?;
    Ok(json::parse(json.as_bytes(), DEEPEST)?)
}

#[expect(clippy::unnecessary_wraps, reason = "every builtin has this signature")]
pub(super) fn is_valid(arguments: &[Value]) -> Result<Value> {
    Ok(Value::from(unmarshal(arguments).is_ok()))
}

pub(super) fn marshal(arguments: &[Value]) -> Result<Value> {
    let value = arguments.first().ok_or_else(|| anyhow!("no operand"))?;
    let mut out = String::new();
    write(value, 0, Position::Top, &mut out)?;
    Ok(Value::from(out))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Top,
    /// After `name:`.
    Member,
    /// After `- `.
    Item,
}

fn write(value: &Value, indent: usize, position: Position, out: &mut String) -> Result<()> {
    if out.len() > MOST {
        return Err(too_much(out.len() as u64, MOST as u64));
    }
    match value {
        Value::Array(items) if items.iter().next().is_some() => {
            list(items.iter(), indent, position, out)
        }
        Value::Set(items) if items.iter().next().is_some() => {
            list(items.iter_sorted(), indent, position, out)
        }
        Value::Object(members) if !members.is_empty() => {
            if position == Position::Member {
                out.push('\n');
            }
            let mut is_first = position == Position::Item;
            for (name, value) in members.iter_sorted() {
                if !std::mem::take(&mut is_first) {
                    pad(indent, out);
                }
                let Value::String(name) = name else {
                    return Err(anyhow!("a name must be a string"));
                };
                scalar_text(name, indent, out);
                out.push(':');
                write(value, indent + 2, Position::Member, out)?;
            }
            Ok(())
        }
        other => {
            if position == Position::Member {
                out.push(' ');
            }
            match other {
                Value::String(text) => scalar_text(text, indent, out),
                other => {
                    let mut text = Vec::new();
                    if !json::write(other, MOST, &mut text) {
                        return Err(too_much(MOST as u64, MOST as u64));
                    }
                    out.push_str(&String::from_utf8(text)?);
                }
            }
            out.push('\n');
            Ok(())
        }
    }
}

fn list<'v>(
    items: impl Iterator<Item = &'v Value>,
    indent: usize,
    position: Position,
    out: &mut String,
) -> Result<()> {
    if position == Position::Member {
        out.push('\n');
    }
    let mut is_first = position == Position::Item;
    for item in items {
        if !std::mem::take(&mut is_first) {
            pad(indent, out);
        }
        out.push_str("- ");
        write(item, indent + 2, Position::Item, out)?;
    }
    Ok(())
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Plain where that is read as the same text again, else in quotes.
fn scalar_text(text: &str, indent: usize, out: &mut String) {
    let is_lines = text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text.chars().any(|c| c.is_control() && c != '\n');
    if is_lines {
        out.push('|');
        let body = match (text.strip_suffix('\n'), text.ends_with("\n\n")) {
            (_, true) => {
                out.push('+');
                text.strip_suffix('\n').unwrap_or(text)
            }
            (Some(body), false) => body,
            (None, false) => {
                out.push('-');
                text
            }
        };
        for line in body.split('\n') {
            out.push('\n');
            if !line.is_empty() {
                pad(indent.max(2), out);
                out.push_str(line);
            }
        }
        return;
    }
    if reads_as_other(text) || text.chars().any(char::is_control) {
        let quoted = serde_json::Value::from(text).to_string();
        out.push_str(&quoted);
    } else if needs_quotes(text) {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    } else {
        out.push_str(text);
    }
}

/// Whether the plain text would be read as something other than a text.
fn reads_as_other(text: &str) -> bool {
    const WORDS: [&str; 15] = [
        "", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", ".nan", ".inf",
        "-.inf", "+.inf",
    ];
    let lower = text.to_ascii_lowercase();
    let digits = text.trim_start_matches(['+', '-']);
    WORDS.contains(&lower.as_str())
        || (digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && (text.parse::<f64>().is_ok()
                || digits.starts_with("0x")
                || digits.starts_with("0o")
                || is_date(text)
                || text
                    .chars()
                    .all(|c| c.is_ascii_digit() || matches!(c, '_' | ':' | '.'))))
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10 && bytes.get(4) == Some(&b'-') && bytes.iter().take(4).all(u8::is_ascii_digit)
}

fn needs_quotes(text: &str) -> bool {
    text.starts_with([
        '-', '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@',
        '`', ' ', '=',
    ]) && !(text.starts_with('-') && text.as_bytes().get(1).is_some_and(|next| *next != b' '))
        || text.ends_with([' ', ':'])
        || text.contains(": ")
        || text.contains(" #")
}
