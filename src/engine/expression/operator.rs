//! Arithmetic.

use crate::engine::value::Value;
use crate::model::Timestamp;

use super::Failure;
use super::evaluate::{Machine, Outcome, no_overload};
use super::node::Operator;
use super::time;

const OVERFLOW: Failure<'static> = Failure::Error("number out of range");
const ZERO: Failure<'static> = Failure::Error("division by zero");

/// `-x`.
pub(super) fn negate<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(OVERFLOW),
        Value::Double(value) => Ok(Value::Double(-value)),
        _ => Err(no_overload()),
    }
}

/// `left operator right`.
pub(super) fn arithmetic<'a>(
    machine: &Machine<'_, 'a>,
    operator: Operator,
    left: &Value<'a>,
    right: &Value<'a>,
) -> Outcome<'a> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => int(operator, *a, *b),
        (Value::Uint(a), Value::Uint(b)) => uint(operator, *a, *b),
        (Value::Double(a), Value::Double(b)) => double(operator, *a, *b),
        _ => match operator {
            Operator::Add => add(machine, left, right),
            Operator::Subtract => subtract(left, right),
            _ => Err(no_overload()),
        },
    }
}

fn int<'a>(operator: Operator, a: i64, b: i64) -> Outcome<'a> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide | Operator::Modulo if b == 0 => return Err(ZERO),
        Operator::Divide => a.checked_div(b),
        Operator::Modulo => a.checked_rem(b),
    };
    result.map(Value::Int).ok_or(OVERFLOW)
}

fn uint<'a>(operator: Operator, a: u64, b: u64) -> Outcome<'a> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide | Operator::Modulo if b == 0 => return Err(ZERO),
        Operator::Divide => a.checked_div(b),
        Operator::Modulo => a.checked_rem(b),
    };
    result.map(Value::Uint).ok_or(OVERFLOW)
}

fn double<'a>(operator: Operator, a: f64, b: f64) -> Outcome<'a> {
    Ok(Value::Double(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        Operator::Modulo => return Err(no_overload()),
    }))
}

fn add<'a>(machine: &Machine<'_, 'a>, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    let arena = machine.frame.arena;
    match (left, right) {
        (Value::String(a), Value::String(b)) => {
            machine.charge_text(a.len() + b.len())?;
            let mut text = bumpalo::collections::String::with_capacity_in(a.len() + b.len(), arena);
            text.push_str(a);
            text.push_str(b);
            Ok(Value::String(text.into_bump_str()))
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            machine.charge_text(a.len() + b.len())?;
            let mut bytes = bumpalo::collections::Vec::with_capacity_in(a.len() + b.len(), arena);
            bytes.extend_from_slice_copy(a);
            bytes.extend_from_slice_copy(b);
            Ok(Value::Bytes(bytes.into_bump_slice()))
        }
        (Value::Timestamp(moment), Value::Duration(nanos))
        | (Value::Duration(nanos), Value::Timestamp(moment)) => moved(*moment, i128::from(*nanos)),
        (Value::Duration(a), Value::Duration(b)) => {
            a.checked_add(*b).map(Value::Duration).ok_or(OVERFLOW)
        }
        _ => {
            let (a, b) = left.as_list().zip(right.as_list()).ok_or(no_overload())?;
            let mut list = machine.list(a.len() + b.len())?;
            list.extend(a.iter().chain(b.iter()));
            Ok(Value::List(list.into_bump_slice()))
        }
    }
}

fn subtract<'a>(left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    match (left, right) {
        (Value::Timestamp(moment), Value::Duration(nanos)) => moved(*moment, -i128::from(*nanos)),
        (Value::Timestamp(a), Value::Timestamp(b)) => {
            i64::try_from(a.unix_nanos() - b.unix_nanos())
                .map(Value::Duration)
                .map_err(|_| OVERFLOW)
        }
        (Value::Duration(a), Value::Duration(b)) => {
            a.checked_sub(*b).map(Value::Duration).ok_or(OVERFLOW)
        }
        _ => Err(no_overload()),
    }
}

fn moved<'a>(moment: Timestamp, nanos: i128) -> Outcome<'a> {
    time::in_range(Timestamp::from_unix_nanos(moment.unix_nanos() + nanos))
        .map(Value::Timestamp)
        .ok_or(OVERFLOW)
}
