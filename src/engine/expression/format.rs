//! `format` of the strings extension.

use std::fmt::Write;

use bumpalo::collections::String as BumpString;

use crate::engine::value::{ListView, Value, write_duration};

use super::Failure;
use super::evaluate::{Machine, Outcome, no_overload};

/// Most digits after the point.
const MAX_PRECISION: usize = 100;

type Text<'a> = BumpString<'a>;

/// `text.format(arguments)`.
pub(super) fn format<'a>(machine: &Machine<'_, 'a>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), list] = arguments else {
        return Err(no_overload());
    };
    let list = list.as_list().ok_or(no_overload())?;
    machine.charge_text(text.len())?;
    let mut out = BumpString::new_in(machine.frame.arena);
    let mut next = 0;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let mut verb = characters.next();
        if verb == Some('%') {
            out.push('%');
            continue;
        }
        let precision = precision(&mut verb, &mut characters)?;
        let value = argument(&list, &mut next)?;
        let verb = verb.ok_or(Failure::Error("the format ends after `%`"))?;
        let before = out.len();
        clause(machine, &mut out, verb, precision, &value)?;
        machine.charge(1 + (out.len() - before) as u64 / 8)?;
    }
    Ok(Value::String(out.into_bump_str()))
}

fn precision<'a>(
    verb: &mut Option<char>,
    characters: &mut std::str::Chars<'_>,
) -> Result<usize, Failure<'a>> {
    if *verb != Some('.') {
        return Ok(6);
    }
    let mut digits = 0_usize;
    loop {
        *verb = characters.next();
        match verb.and_then(|it| it.to_digit(10)) {
            Some(digit) => digits = digits * 10 + digit as usize,
            None => return Ok(digits),
        }
        if digits > MAX_PRECISION {
            return Err(Failure::Error("more than 100 digits after the point"));
        }
    }
}

fn argument<'a>(list: &ListView<'a>, next: &mut usize) -> Result<Value<'a>, Failure<'a>> {
    let value = list
        .get(*next)
        .ok_or(Failure::Error("fewer arguments than the format names"))?;
    *next += 1;
    Ok(value)
}

fn clause<'a>(
    machine: &Machine<'_, 'a>,
    out: &mut Text<'a>,
    verb: char,
    precision: usize,
    value: &Value<'a>,
) -> Result<(), Failure<'a>> {
    let written = match (verb, value) {
        ('s', value) => return plain(machine, out, value),
        ('d', Value::Int(value)) => write!(out, "{value}"),
        ('d', Value::Uint(value)) => write!(out, "{value}"),
        ('d' | 'f' | 'e', Value::Double(value)) if !value.is_finite() => {
            out.write_str(not_finite(*value))
        }
        ('f', _) => return fixed(out, precision, value),
        ('e', _) => return exponent(out, precision, value),
        ('b', Value::Bool(value)) => write!(out, "{}", u8::from(*value)),
        ('b', Value::Int(value)) => signed(out, *value, |out, it| write!(out, "{it:b}")),
        ('b', Value::Uint(value)) => write!(out, "{value:b}"),
        ('o', Value::Int(value)) => signed(out, *value, |out, it| write!(out, "{it:o}")),
        ('o', Value::Uint(value)) => write!(out, "{value:o}"),
        ('x', Value::Int(value)) => signed(out, *value, |out, it| write!(out, "{it:x}")),
        ('x', Value::Uint(value)) => write!(out, "{value:x}"),
        ('X', Value::Int(value)) => signed(out, *value, |out, it| write!(out, "{it:X}")),
        ('X', Value::Uint(value)) => write!(out, "{value:X}"),
        ('x' | 'X', Value::String(text)) => hex(machine, out, text.as_bytes(), verb)?,
        ('x' | 'X', Value::Bytes(bytes)) => hex(machine, out, bytes, verb)?,
        ('d' | 'b' | 'o' | 'x' | 'X', _) => return Err(no_overload()),
        _ => return Err(Failure::Error("unknown verb in a format")),
    };
    written.map_err(|_| no_overload())
}

fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

fn signed<'a>(
    out: &mut Text<'a>,
    value: i64,
    write: fn(&mut Text<'a>, u64) -> std::fmt::Result,
) -> std::fmt::Result {
    if value < 0 {
        out.push('-');
    }
    write(out, value.unsigned_abs())
}

fn hex<'a>(
    machine: &Machine<'_, 'a>,
    out: &mut Text<'a>,
    bytes: &[u8],
    verb: char,
) -> Result<std::fmt::Result, Failure<'a>> {
    machine.charge(bytes.len() as u64 / 8)?;
    Ok(bytes.iter().try_for_each(|byte| {
        if verb == 'x' {
            write!(out, "{byte:02x}")
        } else {
            write!(out, "{byte:02X}")
        }
    }))
}

fn fixed<'a>(out: &mut Text<'a>, precision: usize, value: &Value<'a>) -> Result<(), Failure<'a>> {
    let number = value.as_number().ok_or(no_overload())?;
    write!(out, "{number:.precision$}").map_err(|_| no_overload())
}

fn exponent<'a>(
    out: &mut Text<'a>,
    precision: usize,
    value: &Value<'a>,
) -> Result<(), Failure<'a>> {
    let number = value.as_number().ok_or(no_overload())?;
    let text = format!("{number:.precision$e}");
    let (digits, exponent) = text.split_once('e').ok_or(no_overload())?;
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(rest) => ('-', rest),
        None => ('+', exponent),
    };
    write!(out, "{digits}e{sign}{exponent:0>2}").map_err(|_| no_overload())
}

/// `%s`: any value; lists and maps with their parts, maps sorted by their keys' text.
fn plain<'a>(
    machine: &Machine<'_, 'a>,
    out: &mut Text<'a>,
    value: &Value<'a>,
) -> Result<(), Failure<'a>> {
    machine.charge(1)?;
    let written = match value {
        Value::String(text) => {
            machine.charge(text.len() as u64 / 8)?;
            out.write_str(text)
        }
        Value::Bytes(bytes) => {
            machine.charge(bytes.len() as u64 / 8)?;
            out.write_str(&String::from_utf8_lossy(bytes))
        }
        Value::Null => out.write_str("null"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Int(value) => write!(out, "{value}"),
        Value::Uint(value) => write!(out, "{value}"),
        Value::Double(value) if !value.is_finite() => out.write_str(not_finite(*value)),
        Value::Double(value) => write!(out, "{value}"),
        Value::Timestamp(moment) => write!(out, "{moment}"),
        Value::Duration(nanos) => write_duration(out, *nanos),
        Value::Type(name) => out.write_str(name),
        Value::Optional(_) => return Err(no_overload()),
        Value::List(_) | Value::Map(_) | Value::Data(_) => return container(machine, out, value),
    };
    written.map_err(|_| no_overload())
}

fn container<'a>(
    machine: &Machine<'_, 'a>,
    out: &mut Text<'a>,
    value: &Value<'a>,
) -> Result<(), Failure<'a>> {
    if let Some(list) = value.as_list() {
        out.push('[');
        for (index, item) in list.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            plain(machine, out, &item)?;
        }
        out.push(']');
        return Ok(());
    }
    let map = value.as_map().ok_or(no_overload())?;
    let mut entries = machine.list(0)?;
    let arena = machine.frame.arena;
    for (key, item) in &map {
        machine.charge(4)?;
        let mut name = BumpString::new_in(arena);
        plain(machine, &mut name, &key)?;
        entries.push(Value::Map(
            arena.alloc_slice_copy(&[(Value::String(name.into_bump_str()), item)]),
        ));
    }
    let pair = |entry: &Value<'a>| match entry {
        Value::Map([(Value::String(name), item)]) => (*name, *item),
        _ => ("", Value::Null),
    };
    entries.sort_by(|a, b| pair(a).0.cmp(pair(b).0));
    out.push('{');
    for (index, entry) in entries.iter().enumerate() {
        let (name, item) = pair(entry);
        if index > 0 {
            out.push_str(", ");
        }
        out.push_str(name);
        out.push_str(": ");
        plain(machine, out, &item)?;
    }
    out.push('}');
    Ok(())
}
