//! CEL equality and order.

use std::cmp::Ordering;

use super::Value;

/// Takes the cost of the next piece of work; false where the budget does not allow it.
pub type Cost<'c> = &'c mut dyn FnMut(u64) -> bool;

/// Whether two values are equal in CEL's sense; None where `cost` ran out.
pub fn equal(left: &Value<'_>, right: &Value<'_>, cost: Cost<'_>) -> Option<bool> {
    Some(match (left, right) {
        (Value::String(a), Value::String(b)) => texts_equal(a.as_bytes(), b.as_bytes(), cost)?,
        (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Null, Value::Null) => true,
        (Value::Bytes(a), Value::Bytes(b)) => texts_equal(a, b, cost)?,
        (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
        (Value::Type(a), Value::Type(b)) => a == b,
        (Value::Optional(a), Value::Optional(b)) => match (a, b) {
            (Some(a), Some(b)) => equal(a, b, cost)?,
            (a, b) => a.is_none() && b.is_none(),
        },
        (Value::Int(_) | Value::Uint(_) | Value::Double(_), _) => numbers_equal(left, right),
        _ => match (left.as_list(), right.as_list()) {
            (Some(_), Some(_)) => lists_equal(left, right, cost)?,
            (None, None) => maps_equal(left, right, cost)?,
            _ => false,
        },
    })
}

fn texts_equal(left: &[u8], right: &[u8], cost: Cost<'_>) -> Option<bool> {
    if left.len() != right.len() {
        return Some(false);
    }
    if left.len() > 256 && !cost(left.len() as u64 / 256) {
        return None;
    }
    Some(left == right)
}

fn lists_equal(left: &Value<'_>, right: &Value<'_>, cost: Cost<'_>) -> Option<bool> {
    let (Some(a), Some(b)) = (left.as_list(), right.as_list()) else {
        return Some(false);
    };
    if a.len() != b.len() {
        return Some(false);
    }
    for (x, y) in a.iter().zip(b.iter()) {
        if !cost(1) {
            return None;
        }
        if !equal(&x, &y, cost)? {
            return Some(false);
        }
    }
    Some(true)
}

fn maps_equal(left: &Value<'_>, right: &Value<'_>, cost: Cost<'_>) -> Option<bool> {
    let (Some(a), Some(b)) = (left.as_map(), right.as_map()) else {
        return Some(false);
    };
    if a.len() != b.len() {
        return Some(false);
    }
    for (key, value) in &a {
        if !cost(1 + b.lookup_cost()) {
            return None;
        }
        match b.get(&key) {
            Some(other) if equal(&value, &other, cost)? => {}
            _ => return Some(false),
        }
    }
    Some(true)
}

/// Whether two map keys are the same key: numbers by value.
pub(super) fn keys_equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        _ => numbers_equal(left, right),
    }
}

/// Whether two numbers are the same number, exactly; false for anything else.
#[expect(clippy::float_cmp, reason = "CEL's equality of doubles is exact")]
fn numbers_equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Double(a), Value::Double(b)) => a == b,
        _ => number_key(left).is_some_and(|key| number_key(right) == Some(key)),
    }
}

/// Order of two values of ordered types. `Err` where CEL has no order for the types; `Ok(None)` where a
/// NaN is involved.
///
/// # Errors
///
/// `()`: no overload.
#[expect(
    clippy::result_unit_err,
    reason = "the one error is `no such overload`"
)]
pub fn compare(left: &Value<'_>, right: &Value<'_>) -> Result<Option<Ordering>, ()> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => {
            Ok(Some(a.cmp(b)))
        }
        (Value::String(a), Value::String(b)) => Ok(Some(a.cmp(b))),
        (Value::Bool(a), Value::Bool(b)) => Ok(Some(a.cmp(b))),
        (Value::Bytes(a), Value::Bytes(b)) => Ok(Some(a.cmp(b))),
        (Value::Timestamp(a), Value::Timestamp(b)) => Ok(Some(a.cmp(b))),
        (
            Value::Int(_) | Value::Uint(_) | Value::Double(_),
            Value::Int(_) | Value::Uint(_) | Value::Double(_),
        ) => Ok(compare_numbers(left, right)),
        _ => Err(()),
    }
}

/// Order of two numbers; None for NaN or anything that is no number. Between an integer and a double the
/// integer is rounded to a double first, as the cel-spec vectors have it; equality is exact.
fn compare_numbers(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (integer(left), integer(right)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => left.as_number()?.partial_cmp(&right.as_number()?),
    }
}

fn integer(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(value) => Some(i128::from(*value)),
        Value::Uint(value) => Some(i128::from(*value)),
        _ => None,
    }
}

/// The integer that a number of any type is equal to, if there is one within ±10^30: equal numbers
/// have equal keys.
#[must_use]
#[expect(
    clippy::float_cmp,
    reason = "a whole number is exactly its own whole part"
)]
pub fn number_key(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Double(double) if double.trunc() == *double && double.abs() < 1e30 => {
            Some(*double as i128)
        }
        _ => integer(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_across_types() {
        let big = Value::Int(9_007_199_254_740_993);
        let rounded = Value::Double(9_007_199_254_740_992.0);
        assert_eq!(compare(&big, &rounded), Ok(Some(Ordering::Equal)));
        assert!(big != rounded);
        assert_eq!(
            compare(&Value::Double(-0.5), &Value::Int(0)),
            Ok(Some(Ordering::Less))
        );
        assert_eq!(
            compare(&Value::Uint(u64::MAX), &Value::Int(-1)),
            Ok(Some(Ordering::Greater))
        );
        assert!(Value::Uint(1) == Value::Double(1.0));
        assert!(Value::Double(f64::NAN) != Value::Double(f64::NAN));
        assert_eq!(compare(&Value::Int(1), &Value::String("1")), Err(()));
        assert!(Value::Int(1) != Value::String("1"));
    }

    #[test]
    fn maps_are_equal_in_any_order() {
        let a = [
            (Value::Int(1), Value::Null),
            (Value::String("x"), Value::Bool(true)),
        ];
        let b = [
            (Value::String("x"), Value::Bool(true)),
            (Value::Uint(1), Value::Null),
        ];
        assert!(Value::Map(&a) == Value::Map(&b));
        assert!(Value::Map(&a) != Value::Map(&b[..1]));
    }
}
