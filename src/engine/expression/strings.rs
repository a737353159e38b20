//! The strings extension. Indices count characters.

use bumpalo::collections::String as BumpString;

use crate::engine::value::Value;

use super::Failure;
use super::evaluate::{Machine, Outcome, no_overload};
use super::function::Function;

const BOUNDS: Failure<'static> = Failure::Error("index out of range");

/// The functions of the extension, but `format`.
pub(super) fn call<'a>(
    machine: &Machine<'_, 'a>,
    function: Function,
    arguments: &[Value<'a>],
) -> Outcome<'a> {
    if let (Function::Join, [list, rest @ ..]) = (function, arguments) {
        return join(machine, list, rest);
    }
    let [Value::String(text), rest @ ..] = arguments else {
        return Err(no_overload());
    };
    machine.charge_text(text.len() * 2)?;
    match (function, rest) {
        (Function::CharAt, [Value::Int(index)]) => char_at(text, *index),
        (Function::IndexOf | Function::LastIndexOf, [Value::String(part)]) => Ok(index_of(
            text,
            part,
            None,
            function == Function::LastIndexOf,
        )),
        (Function::IndexOf | Function::LastIndexOf, [Value::String(part), Value::Int(at)]) => {
            let at = usize::try_from(*at).map_err(|_| BOUNDS)?;
            Ok(index_of(
                text,
                part,
                Some(at),
                function == Function::LastIndexOf,
            ))
        }
        (Function::Quote, []) => Ok(quote(machine, text)),
        (Function::Replace, [Value::String(from), Value::String(to)]) => {
            replace(machine, text, from, to, -1)
        }
        (Function::Replace, [Value::String(from), Value::String(to), Value::Int(count)]) => {
            replace(machine, text, from, to, *count)
        }
        (Function::Split, [Value::String(by)]) => split(machine, text, by, -1),
        (Function::Split, [Value::String(by), Value::Int(count)]) => {
            split(machine, text, by, *count)
        }
        (Function::Substring, [Value::Int(from)]) => substring(text, *from, None),
        (Function::Substring, [Value::Int(from), Value::Int(to)]) => {
            substring(text, *from, Some(*to))
        }
        (Function::Trim, []) => Ok(Value::String(text.trim())),
        (Function::LowerAscii, []) => Ok(mapped(machine, text, char::to_ascii_lowercase)),
        (Function::UpperAscii, []) => Ok(mapped(machine, text, char::to_ascii_uppercase)),
        (Function::Reverse, []) => {
            let reversed = BumpString::from_iter_in(text.chars().rev(), machine.frame.arena);
            Ok(Value::String(reversed.into_bump_str()))
        }
        _ => Err(no_overload()),
    }
}

fn mapped<'a>(machine: &Machine<'_, 'a>, text: &'a str, map: fn(&char) -> char) -> Value<'a> {
    if text.chars().all(|it| map(&it) == it) {
        return Value::String(text);
    }
    let mapped = BumpString::from_iter_in(text.chars().map(|it| map(&it)), machine.frame.arena);
    Value::String(mapped.into_bump_str())
}

/// The byte offset of the character at `index`; the end counts.
fn offset(text: &str, index: i64) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    text.char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .nth(index)
}

fn char_at(text: &str, index: i64) -> Outcome<'_> {
    let start = offset(text, index).ok_or(BOUNDS)?;
    let rest = text.get(start..).unwrap_or_default();
    let length = rest.chars().next().map_or(0, char::len_utf8);
    Ok(Value::String(rest.get(..length).unwrap_or_default()))
}

/// The character index of `part`: the first at or after `at`, or the last at or before it; -1.
fn index_of(text: &str, part: &str, at: Option<usize>, last: bool) -> Value<'static> {
    let bound = at.map(|at| offset(text, at as i64));
    // Behind the end nothing is found, which is no error.
    let found = if bound == Some(None) {
        None
    } else if last {
        let bound = bound.flatten();
        let end = bound.map_or(text.len(), |bound| {
            // A match may begin at the bound, so it may end behind it.
            (bound + part.len()).min(text.len())
        });
        let bytes = text.as_bytes().get(..end).unwrap_or_default();
        rfind(bytes, part.as_bytes())
    } else {
        let start = bound.flatten().unwrap_or(0);
        text.get(start..)
            .and_then(|rest| rest.find(part))
            .map(|found| start + found)
    };
    Value::Int(found.map_or(-1, |found| {
        text.get(..found)
            .map_or(-1, |before| before.chars().count() as i64)
    }))
}

/// The last place of `part`; both are UTF-8 but the end of `bytes` may cut a character.
fn rfind(bytes: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(bytes.len());
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => text.rfind(std::str::from_utf8(part).ok()?),
        Err(error) => {
            let text = std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()?;
            text.rfind(std::str::from_utf8(part).ok()?)
        }
    }
}

fn join<'a>(machine: &Machine<'_, 'a>, list: &Value<'a>, rest: &[Value<'a>]) -> Outcome<'a> {
    let list = list.as_list().ok_or(no_overload())?;
    let separator = match rest {
        [] => "",
        [Value::String(separator)] => separator,
        _ => return Err(no_overload()),
    };
    let mut out = BumpString::new_in(machine.frame.arena);
    for (index, item) in list.iter().enumerate() {
        let item = item.as_str().ok_or(no_overload())?;
        machine.charge(1 + (item.len() + separator.len()) as u64 / 8)?;
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(item);
    }
    Ok(Value::String(out.into_bump_str()))
}

fn quote<'a>(machine: &Machine<'_, 'a>, text: &str) -> Value<'a> {
    let mut out = BumpString::with_capacity_in(text.len() + 2, machine.frame.arena);
    out.push('"');
    for character in text.chars() {
        let escape = match character {
            '\u{7}' => "\\a",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{b}' => "\\v",
            '\\' => "\\\\",
            '"' => "\\\"",
            other => {
                out.push(other);
                continue;
            }
        };
        out.push_str(escape);
    }
    out.push('"');
    Value::String(out.into_bump_str())
}

fn replace<'a>(
    machine: &Machine<'_, 'a>,
    text: &'a str,
    from: &str,
    to: &str,
    count: i64,
) -> Outcome<'a> {
    let mut left = usize::try_from(count).unwrap_or(usize::MAX);
    let mut out = BumpString::new_in(machine.frame.arena);
    let mut rest = text;
    let mut push = |part: &str| -> Result<(), Failure<'a>> {
        machine.charge(part.len() as u64 / 8)?;
        out.push_str(part);
        Ok(())
    };
    if from.is_empty() {
        // Before every character and at the end, as in Go.
        for character in text.chars() {
            machine.charge(1)?;
            if left > 0 {
                left -= 1;
                push(to)?;
            }
            push(character.encode_utf8(&mut [0; 4]))?;
        }
        if left > 0 {
            push(to)?;
        }
        return Ok(Value::String(out.into_bump_str()));
    }
    while left > 0 {
        let Some((before, after)) = rest.split_once(from) else {
            break;
        };
        machine.charge(1)?;
        push(before)?;
        push(to)?;
        rest = after;
        left -= 1;
    }
    push(rest)?;
    Ok(Value::String(out.into_bump_str()))
}

fn split<'a>(machine: &Machine<'_, 'a>, text: &'a str, by: &str, count: i64) -> Outcome<'a> {
    let mut list = machine.list(0)?;
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    if limit == 0 {
        return Ok(Value::List(&[]));
    }
    let mut push = |part: &'a str| -> Result<(), Failure<'a>> {
        machine.charge(2)?;
        list.push(Value::String(part));
        Ok(())
    };
    if by.is_empty() {
        let mut rest = text;
        let mut parts = 0;
        while let Some(character) = rest.chars().next() {
            parts += 1;
            if parts == limit {
                break;
            }
            let (head, tail) = rest.split_at(character.len_utf8());
            push(head)?;
            rest = tail;
        }
        if !rest.is_empty() {
            push(rest)?;
        }
    } else {
        for part in text.splitn(limit, by) {
            push(part)?;
        }
    }
    Ok(Value::List(list.into_bump_slice()))
}

fn substring(text: &str, from: i64, to: Option<i64>) -> Outcome<'_> {
    let start = offset(text, from).ok_or(BOUNDS)?;
    let end = match to {
        Some(to) => offset(text, to).ok_or(BOUNDS)?,
        None => text.len(),
    };
    text.get(start..end).map(Value::String).ok_or(BOUNDS)
}
