//! Small builtins that regorus lacks; most are kept for Rego v0 alone.

use anyhow::{Result, anyhow};
use regorus::Value;
use regorus::value::{Array, Set};

use super::super::json;
use super::bounds::own;
use super::text;

pub(super) fn flatten(arguments: &[Value]) -> Result<Value> {
    let Some(Value::Array(items)) = arguments.first() else {
        return Err(anyhow!("operand 1 must be array"));
    };
    let mut flat = Vec::new();
    for item in items.iter() {
        match item {
            Value::Array(inner) => flat.extend_from_slice(inner.as_slice()),
            other => flat.push(other.clone()),
        }
    }
    Ok(Value::from(Array::from(flat)))
}

/// With `<`, `>` and `&` escaped, as Go does it.
pub(super) fn marshal(arguments: &[Value]) -> Result<Value> {
    /// Bytes of text.
    const MOST: usize = 1 << 24;
    let mut text = Vec::new();
    let value = arguments.first().ok_or_else(|| anyhow!("no operand"))?;
    if !json::write(value, MOST, &mut text) {
        return Err(super::bounds::too_much(u64::MAX, MOST as u64));
    }
    Ok(Value::from(String::from_utf8(text)?))
}

/// That many parts from the left, or below 0 from the right.
pub(super) fn split_n(arguments: &[Value]) -> Result<Value> {
    let (whole, separator) = (text(arguments, 0)?, text(arguments, 1)?);
    let count = arguments
        .get(2)
        .and_then(|value| value.as_i64().ok())
        .ok_or_else(|| anyhow!("operand 3 must be integer"))?;
    let parts: Vec<&str> = if separator.is_empty() {
        let mut parts: Vec<&str> = whole.split("").skip(1).collect();
        parts.pop();
        parts
    } else {
        whole.split(separator).collect()
    };
    let wanted = usize::try_from(count.unsigned_abs()).map_or(parts.len(), |n| n.min(parts.len()));
    let taken = if count < 0 {
        parts.get(parts.len() - wanted..)
    } else {
        parts.get(..wanted)
    };
    let taken = taken.unwrap_or_default().iter().copied();
    Ok(Value::from(taken.map(Value::from).collect::<Array>()))
}

pub(super) fn all(arguments: &[Value]) -> Result<Value> {
    every(arguments, |mut items| {
        items.all(|item| *item == Value::Bool(true))
    })
}

pub(super) fn any(arguments: &[Value]) -> Result<Value> {
    every(arguments, |mut items| {
        items.any(|item| *item == Value::Bool(true))
    })
}

fn every(
    arguments: &[Value],
    test: impl Fn(Box<dyn Iterator<Item = &Value> + '_>) -> bool,
) -> Result<Value> {
    match arguments.first() {
        Some(Value::Array(items)) => Ok(Value::from(test(Box::new(items.iter())))),
        Some(Value::Set(items)) => Ok(Value::from(test(Box::new(items.iter_sorted())))),
        _ => Err(anyhow!("operand 1 must be array or set")),
    }
}

pub(super) fn cast_array(arguments: &[Value]) -> Result<Value> {
    match arguments.first() {
        Some(Value::Set(items)) => Ok(Value::from(items.iter_sorted().cloned().collect::<Array>())),
        _ => cast(arguments, |value| matches!(value, Value::Array(_))),
    }
}

pub(super) fn cast_set(arguments: &[Value]) -> Result<Value> {
    match arguments.first() {
        Some(Value::Array(items)) => Ok(Value::from(items.iter().cloned().collect::<Set>())),
        _ => cast(arguments, |value| matches!(value, Value::Set(_))),
    }
}

pub(super) fn cast_boolean(arguments: &[Value]) -> Result<Value> {
    cast(arguments, |value| matches!(value, Value::Bool(_)))
}

pub(super) fn cast_null(arguments: &[Value]) -> Result<Value> {
    cast(arguments, |value| matches!(value, Value::Null))
}

pub(super) fn cast_object(arguments: &[Value]) -> Result<Value> {
    cast(arguments, |value| matches!(value, Value::Object(_)))
}

pub(super) fn cast_string(arguments: &[Value]) -> Result<Value> {
    cast(arguments, |value| matches!(value, Value::String(_)))
}

fn cast(arguments: &[Value], fits: impl Fn(&Value) -> bool) -> Result<Value> {
    let value = arguments.first().filter(|value| fits(value));
    value
        .cloned()
        .ok_or_else(|| anyhow!("operand 1 is of another type"))
}

pub(super) fn overlap(arguments: &[Value]) -> Result<Value> {
    own("net.cidr_contains", arguments)
}

pub(super) fn re_match(arguments: &[Value]) -> Result<Value> {
    super::bounds::pattern_first(arguments)?;
    own("regex.match", arguments)
}

pub(super) fn set_diff(arguments: &[Value]) -> Result<Value> {
    match arguments {
        [Value::Set(one), Value::Set(other)] => Ok(Value::from(one.difference(other))),
        _ => Err(anyhow!("operands must be sets")),
    }
}
