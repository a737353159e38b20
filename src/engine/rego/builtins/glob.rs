//! `glob.match`: patterns as gobwas' library reads them, and `regex.globs_match`.

use std::cell::RefCell;
use std::collections::HashMap;

use anyhow::{Result, anyhow};
use regex::{Regex, RegexBuilder};
use regorus::Value;

use super::text;

/// Patterns that a thread keeps compiled.
const KEPT: usize = 256;
/// Bytes that one of them may take.
const LARGEST: usize = 1 << 20;

thread_local! {
    static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::new(HashMap::new());
}

/// `delimiters` is null for none, or a list of single characters; an empty one is the dot alone.
pub(super) fn matches(arguments: &[Value]) -> Result<Value> {
    let pattern = text(arguments, 0)?;
    let delimiters = match arguments.get(1) {
        Some(Value::Null) => String::new(),
        Some(Value::Array(items)) if items.iter().next().is_none() => ".".to_owned(),
        Some(Value::Array(items)) => {
            let mut all = String::new();
            for item in items.iter() {
                let Value::String(one) = item else {
                    return Err(anyhow!("operand 2 must be array of strings"));
                };
                if one.chars().count() != 1 {
                    return Err(anyhow!("a delimiter is one character"));
                }
                all.push_str(one);
            }
            all
        }
        _ => return Err(anyhow!("operand 2 must be array or null")),
    };
    let name = text(arguments, 2)?;
    let expression = translated(pattern, &delimiters)?;
    let found = COMPILED.with_borrow_mut(|compiled| -> Result<bool> {
        if let Some(known) = compiled.get(&expression) {
            return Ok(known.is_match(name));
        }
        let made = RegexBuilder::new(&expression)
            .size_limit(LARGEST)
            .dot_matches_new_line(true)
            .build()?;
        let found = made.is_match(name);
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        compiled.insert(expression, made);
        Ok(found)
    })?;
    Ok(Value::from(found))
}

/// A glob as a regular expression.
fn translated(pattern: &str, delimiters: &str) -> Result<String> {
    let other = if delimiters.is_empty() {
        ".".to_owned()
    } else {
        let escaped: String = delimiters.chars().map(class_member).collect();
        format!("[^{escaped}]")
    };
    let mut out = "^(?:".to_owned();
    let mut depth = 0_usize;
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                let escaped = letters
                    .next()
                    .ok_or_else(|| anyhow!("a backslash at the end"))?;
                out.push_str(&regex::escape(escaped.encode_utf8(&mut [0; 4])));
            }
            '*' if letters.peek() == Some(&'*') => {
                while letters.next_if_eq(&'*').is_some() {}
                out.push_str(".*");
            }
            '*' => {
                out.push_str(&other);
                out.push('*');
            }
            '?' => out.push_str(&other),
            '[' => {
                out.push('[');
                if letters.next_if_eq(&'!').is_some() {
                    out.push('^');
                }
                let mut is_empty = true;
                loop {
                    let mut member = letters.next().ok_or_else(|| anyhow!("an open `[`"))?;
                    match member {
                        ']' if !is_empty => break,
                        '-' if !is_empty && letters.peek() != Some(&']') => {
                            out.push('-');
                            continue;
                        }
                        '\\' => {
                            member = letters.next().ok_or_else(|| anyhow!("an open `[`"))?;
                        }
                        _ => {}
                    }
                    is_empty = false;
                    out.push_str(&class_member(member));
                }
                out.push(']');
            }
            '{' => {
                depth += 1;
                out.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            ',' if depth > 0 => out.push('|'),
            other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    if depth > 0 {
        return Err(anyhow!("an open `{{`"));
    }
    out.push_str(")$");
    Ok(out)
}

fn class_member(letter: char) -> String {
    if letter.is_ascii_punctuation() {
        format!("\\{letter}")
    } else {
        letter.to_string()
    }
}
