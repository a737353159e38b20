//! Builtins of texts and numbers that regorus answers in another way than OPA.

use anyhow::{Result, anyhow};
use regorus::Value;

use super::bounds::own;
use super::text;

/// Go's mapping of letters: one for one.
pub(super) fn upper(arguments: &[Value]) -> Result<Value> {
    let one = |letter: char| single(letter, letter.to_uppercase());
    Ok(Value::from(
        text(arguments, 0)?.chars().map(one).collect::<String>(),
    ))
}

/// Go's mapping of letters: one for one.
pub(super) fn lower(arguments: &[Value]) -> Result<Value> {
    let one = |letter: char| single(letter, letter.to_lowercase());
    Ok(Value::from(
        text(arguments, 0)?.chars().map(one).collect::<String>(),
    ))
}

fn single(letter: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => letter,
    }
}

/// How often a text holds another one; of an empty one, how many letters it has and one more.
pub(super) fn count(arguments: &[Value]) -> Result<Value> {
    let (whole, part) = (text(arguments, 0)?, text(arguments, 1)?);
    let count = if part.is_empty() {
        whole.chars().count() + 1
    } else {
        whole.matches(part).count()
    };
    Ok(Value::from(count as u64))
}

pub(super) fn index_of(arguments: &[Value]) -> Result<Value> {
    if text(arguments, 1)?.is_empty() {
        return Err(anyhow!("empty search character"));
    }
    own("indexof", arguments)
}

/// As Go reads a number: nothing around it.
pub(super) fn to_number(arguments: &[Value]) -> Result<Value> {
    if let Some(Value::String(text)) = arguments.first()
        && text.trim() != &**text
    {
        return Err(anyhow!("invalid syntax"));
    }
    own("to_number", arguments)
}

/// Broken escapes are errors.
pub(super) fn query_decode(arguments: &[Value]) -> Result<Value> {
    let mut parts = text(arguments, 0)?.split('%').skip(1);
    let is_escape = |part: &str| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !parts.all(is_escape) {
        return Err(anyhow!("invalid URL escape"));
    }
    own("urlquery.decode", arguments)
}

/// The note itself is not kept.
pub(super) fn trace(arguments: &[Value]) -> Result<Value> {
    text(arguments, 0)?;
    Ok(Value::from(true))
}

/// With what has a meaning in a glob behind a backslash.
pub(super) fn quote_glob(arguments: &[Value]) -> Result<Value> {
    let mut quoted = String::new();
    for letter in text(arguments, 0)?.chars() {
        if matches!(letter, '*' | '?' | '\\' | '[' | ']' | '{' | '}') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    Ok(Value::from(quoted))
}
