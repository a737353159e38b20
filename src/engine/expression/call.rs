//! Function calls: each function on the values it is defined for.

use crate::engine::value::Value;

use super::evaluate::{Machine, Outcome, no_overload};
use super::function::Function;
use super::node::Node;
use super::{Failure, convert, format, math, pattern, strings, time};

/// The functions that evaluate their argument only when needed; None for all others.
pub(super) fn lazy<'a>(
    machine: &Machine<'_, 'a>,
    function: Function,
    nodes: &'a [Node],
) -> Option<Outcome<'a>> {
    match (function, nodes) {
        (Function::Or | Function::OrValue, [operand, other]) => Some(match machine.eval(operand) {
            Ok(Value::Optional(None)) => alternative(machine, function, other),
            Ok(Value::Optional(Some(inner))) if function == Function::OrValue => Ok(*inner),
            Ok(some @ Value::Optional(_)) => Ok(some),
            Ok(_) => Err(no_overload()),
            Err(failure) => Err(failure),
        }),
        _ => None,
    }
}

fn alternative<'a>(machine: &Machine<'_, 'a>, function: Function, other: &'a Node) -> Outcome<'a> {
    match machine.eval(other)? {
        value if function == Function::OrValue => Ok(value),
        value @ Value::Optional(_) => Ok(value),
        _ => Err(no_overload()),
    }
}

/// `function` of `arguments`, the receiver first.
pub(super) fn call<'a>(
    machine: &Machine<'_, 'a>,
    function: Function,
    arguments: &[Value<'a>],
) -> Outcome<'a> {
    use Function as F;
    match function {
        F::Size => size(machine, arguments),
        F::Contains | F::StartsWith | F::EndsWith => affix(machine, function, arguments),
        F::Matches => pattern::matches(machine, arguments),
        F::ToBool
        | F::ToInt
        | F::ToUint
        | F::ToDouble
        | F::ToString
        | F::ToBytes
        | F::ToTimestamp
        | F::ToDuration => convert::convert(machine, function, arguments),
        F::Dyn => arguments.first().copied().ok_or(no_overload()),
        F::Type => arguments
            .first()
            .map(|value| Value::Type(value.type_name()))
            .ok_or(no_overload()),
        F::FullYear
        | F::Month
        | F::DayOfYear
        | F::DayOfMonth
        | F::Date
        | F::DayOfWeek
        | F::Hours
        | F::Minutes
        | F::Seconds
        | F::Milliseconds => time::part(machine, function, arguments),
        F::Format => format::format(machine, arguments),
        F::CharAt
        | F::IndexOf
        | F::LastIndexOf
        | F::Join
        | F::Quote
        | F::Replace
        | F::Split
        | F::Substring
        | F::Trim
        | F::LowerAscii
        | F::UpperAscii
        | F::Reverse => strings::call(machine, function, arguments),
        F::OptionalOf => match arguments {
            [value] => Ok(machine.some(*value)),
            _ => Err(no_overload()),
        },
        F::OptionalNone => Ok(Value::Optional(None)),
        F::OptionalOfNonZero => match arguments {
            [value] if value.is_zero() => Ok(Value::Optional(None)),
            [value] => Ok(machine.some(*value)),
            _ => Err(no_overload()),
        },
        F::OptionalValue => match arguments {
            [Value::Optional(Some(inner))] => Ok(**inner),
            [Value::Optional(None)] => Err(Failure::Error("the optional has no value")),
            _ => Err(no_overload()),
        },
        F::HasValue => match arguments {
            [Value::Optional(inner)] => Ok(Value::Bool(inner.is_some())),
            _ => Err(no_overload()),
        },
        F::Or | F::OrValue => Err(no_overload()),
        _ => math::call(machine, function, arguments),
    }
}

fn size<'a>(machine: &Machine<'_, 'a>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let size = match arguments {
        [Value::String(text)] => {
            machine.charge_text(text.len())?;
            text.chars().count()
        }
        [Value::Bytes(bytes)] => bytes.len(),
        [value] => match (value.as_list(), value.as_map()) {
            (Some(list), _) => list.len(),
            (_, Some(map)) => map.len(),
            _ => return Err(no_overload()),
        },
        _ => return Err(no_overload()),
    };
    Ok(Value::Int(size as i64))
}

fn affix<'a>(
    machine: &Machine<'_, 'a>,
    function: Function,
    arguments: &[Value<'a>],
) -> Outcome<'a> {
    let [Value::String(text), Value::String(part)] = arguments else {
        return Err(no_overload());
    };
    machine.charge_text(text.len())?;
    Ok(Value::Bool(match function {
        Function::StartsWith => text.starts_with(part),
        Function::EndsWith => text.ends_with(part),
        _ => text.contains(part),
    }))
}
