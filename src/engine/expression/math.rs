//! The math extension.

use std::cmp::Ordering;

use crate::engine::value::{Value, compare};

use super::Failure;
use super::evaluate::{Machine, Outcome, no_overload};
use super::function::Function;

/// The functions of the extension.
pub(super) fn call<'a>(
    machine: &Machine<'_, 'a>,
    function: Function,
    arguments: &[Value<'a>],
) -> Outcome<'a> {
    match (function, arguments) {
        (Function::Greatest, _) => extreme(machine, arguments, Ordering::Greater),
        (Function::Least, _) => extreme(machine, arguments, Ordering::Less),
        (_, [value]) => unary(function, value),
        (_, [left, right]) => bits(function, left, right),
        _ => Err(no_overload()),
    }
}

/// The greatest or least of the arguments, or of the list that is the only argument.
fn extreme<'a>(
    machine: &Machine<'_, 'a>,
    arguments: &[Value<'a>],
    wanted: Ordering,
) -> Outcome<'a> {
    let mut best: Option<Value<'a>> = None;
    let mut take = |value: Value<'a>| -> Result<(), Failure<'a>> {
        machine.charge(1)?;
        value.as_number().ok_or(no_overload())?;
        let better = match &best {
            None => true,
            Some(best) => compare(&value, best).ok().flatten() == Some(wanted),
        };
        if better {
            best = Some(value);
        }
        Ok(())
    };
    match arguments {
        [single] if single.as_list().is_some() => {
            for value in single
                .as_list()
                .iter()
                .flat_map(crate::engine::value::ListView::iter)
            {
                take(value)?;
            }
        }
        _ => {
            for value in arguments {
                take(*value)?;
            }
        }
    }
    best.ok_or(Failure::Error("an empty list has no extreme"))
}

fn unary<'a>(function: Function, value: &Value<'a>) -> Outcome<'a> {
    if let Value::Double(double) = value {
        return Ok(match function {
            Function::Ceil => Value::Double(double.ceil()),
            Function::Floor => Value::Double(double.floor()),
            Function::Round => Value::Double(double.round()),
            Function::Trunc => Value::Double(double.trunc()),
            Function::Abs => Value::Double(double.abs()),
            Function::Sign if *double == 0.0 => Value::Double(0.0),
            Function::Sign if double.is_nan() => Value::Double(*double),
            Function::Sign => Value::Double(double.signum()),
            Function::IsNan => Value::Bool(double.is_nan()),
            Function::IsInf => Value::Bool(double.is_infinite()),
            Function::IsFinite => Value::Bool(double.is_finite()),
            Function::Sqrt => Value::Double(double.sqrt()),
            _ => return Err(no_overload()),
        });
    }
    match (function, value) {
        (Function::Abs, Value::Int(value)) => value
            .checked_abs()
            .map(Value::Int)
            .ok_or(Failure::Error("number out of range")),
        (Function::Abs, Value::Uint(_)) => Ok(*value),
        (Function::Sign, Value::Int(value)) => Ok(Value::Int(value.signum())),
        (Function::Sign, Value::Uint(value)) => Ok(Value::Uint((*value).min(1))),
        (Function::Sqrt, Value::Int(_) | Value::Uint(_)) => value
            .as_number()
            .map(|value| Value::Double(value.sqrt()))
            .ok_or(no_overload()),
        (Function::BitNot, Value::Int(value)) => Ok(Value::Int(!value)),
        (Function::BitNot, Value::Uint(value)) => Ok(Value::Uint(!value)),
        _ => Err(no_overload()),
    }
}

fn bits<'a>(function: Function, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    match function {
        Function::ShiftLeft | Function::ShiftRight => shift(function, left, right),
        _ => match (left, right) {
            (Value::Int(a), Value::Int(b)) => {
                Ok(Value::Int(combine(function, *a as u64, *b as u64)? as i64))
            }
            (Value::Uint(a), Value::Uint(b)) => Ok(Value::Uint(combine(function, *a, *b)?)),
            _ => Err(no_overload()),
        },
    }
}

fn combine<'a>(function: Function, a: u64, b: u64) -> Result<u64, Failure<'a>> {
    match function {
        Function::BitAnd => Ok(a & b),
        Function::BitOr => Ok(a | b),
        Function::BitXor => Ok(a ^ b),
        _ => Err(no_overload()),
    }
}

/// Shifts fill with zeros, to the right too; 64 and more places leave nothing.
fn shift<'a>(function: Function, value: &Value<'a>, places: &Value<'a>) -> Outcome<'a> {
    let Value::Int(places) = places else {
        return Err(no_overload());
    };
    let places = u64::try_from(*places).map_err(|_| Failure::Error("negative shift"))?;
    let places = u32::try_from(places).unwrap_or(u32::MAX);
    let shifted = |bits: u64| {
        if function == Function::ShiftLeft {
            bits.checked_shl(places)
        } else {
            bits.checked_shr(places)
        }
        .unwrap_or(0)
    };
    match value {
        Value::Int(value) => Ok(Value::Int(shifted(*value as u64) as i64)),
        Value::Uint(value) => Ok(Value::Uint(shifted(*value))),
        _ => Err(no_overload()),
    }
}
