//! Conversions between types.

use std::fmt::Write;

use crate::engine::value::{DoubleText, Value, write_duration};
use crate::model::Timestamp;

use super::Failure;
use super::evaluate::{Machine, Outcome, no_overload};
use super::function::Function;
use super::time;

const RANGE: Failure<'static> = Failure::Error("number out of range");
const TEXT: Failure<'static> = Failure::Error("the text does not convert");

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// The conversion functions.
pub(super) fn convert<'a>(
    machine: &Machine<'_, 'a>,
    function: Function,
    arguments: &[Value<'a>],
) -> Outcome<'a> {
    let [value] = arguments else {
        return Err(no_overload());
    };
    if let Value::String(text) = value {
        machine.charge_text(text.len())?;
    }
    match function {
        Function::ToBool => to_bool(value),
        Function::ToInt => to_int(value),
        Function::ToUint => to_uint(value),
        Function::ToDouble => to_double(value),
        Function::ToString => to_string(machine, value),
        Function::ToBytes => match value {
            Value::Bytes(_) => Ok(*value),
            Value::String(text) => Ok(Value::Bytes(text.as_bytes())),
            _ => Err(no_overload()),
        },
        Function::ToTimestamp => to_timestamp(value),
        _ => match value {
            Value::Duration(_) => Ok(*value),
            Value::String(text) => time::parse_duration(text).map(Value::Duration).ok_or(TEXT),
            _ => Err(no_overload()),
        },
    }
}

fn to_bool<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Bool(_) => Ok(*value),
        Value::String("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Value::Bool(true)),
        Value::String("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Value::Bool(false)),
        Value::String(_) => Err(TEXT),
        _ => Err(no_overload()),
    }
}

fn to_int<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Int(_) => Ok(*value),
        Value::Uint(number) => i64::try_from(*number).map(Value::Int).map_err(|_| RANGE),
        // Both bounds are excluded: a double cannot tell them from what lies beyond.
        Value::Double(number) if *number > -TWO_TO_63 && *number < TWO_TO_63 => {
            Ok(Value::Int(*number as i64))
        }
        Value::Double(_) => Err(RANGE),
        Value::String(text) => text.parse().map(Value::Int).map_err(|_| TEXT),
        Value::Timestamp(moment) => Ok(Value::Int(moment.unix_seconds())),
        _ => Err(no_overload()),
    }
}

fn to_uint<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Uint(_) => Ok(*value),
        Value::Int(number) => u64::try_from(*number).map(Value::Uint).map_err(|_| RANGE),
        Value::Double(number) if *number >= 0.0 && *number < TWO_TO_64 => {
            Ok(Value::Uint(*number as u64))
        }
        Value::Double(_) => Err(RANGE),
        Value::String(text) => text.parse().map(Value::Uint).map_err(|_| TEXT),
        _ => Err(no_overload()),
    }
}

fn to_double<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Double(_) => Ok(*value),
        Value::Int(number) => Ok(Value::Double(*number as f64)),
        Value::Uint(number) => Ok(Value::Double(*number as f64)),
        Value::String(text) => text.parse().map(Value::Double).map_err(|_| TEXT),
        _ => Err(no_overload()),
    }
}

fn to_string<'a>(machine: &Machine<'_, 'a>, value: &Value<'a>) -> Outcome<'a> {
    let mut out = bumpalo::collections::String::new_in(machine.frame.arena);
    let written = match value {
        Value::String(_) => return Ok(*value),
        Value::Bytes(bytes) => {
            machine.charge_text(bytes.len())?;
            return std::str::from_utf8(bytes)
                .map(Value::String)
                .map_err(|_| Failure::Error("the bytes are no UTF-8"));
        }
        Value::Bool(value) => write!(out, "{value}"),
        Value::Int(value) => write!(out, "{value}"),
        Value::Uint(value) => write!(out, "{value}"),
        Value::Double(value) => write!(out, "{}", DoubleText(*value)),
        Value::Timestamp(moment) => write!(out, "{moment}"),
        Value::Duration(nanos) => write_duration(&mut out, *nanos),
        _ => return Err(no_overload()),
    };
    written.map_err(|_| TEXT)?;
    Ok(Value::String(out.into_bump_str()))
}

fn to_timestamp<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Timestamp(_) => Ok(*value),
        Value::Int(seconds) => time::in_range(Timestamp::from_unix_seconds(*seconds))
            .map(Value::Timestamp)
            .ok_or(RANGE),
        Value::String(text) => Timestamp::parse(text)
            .and_then(time::in_range)
            .map(Value::Timestamp)
            .ok_or(TEXT),
        _ => Err(no_overload()),
    }
}
