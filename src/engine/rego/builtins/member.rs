//! What is in what: `in`, where regorus would say false of what is undefined, or not look at the key; and
//! `object.subset`, where it does not know the empty list.

use anyhow::anyhow;
use regorus::Value;

/// `value in collection`
#[expect(clippy::unnecessary_wraps, reason = "every builtin has this signature")]
pub(super) fn has_value(arguments: &[Value]) -> anyhow::Result<Value> {
    let has = match arguments {
        [value, Value::Array(items)] => items.contains(value),
        [value, Value::Set(items)] => items.contains(value),
        [value, Value::Object(object)] => object.values().any(|other| other == value),
        _ => false,
    };
    Ok(Value::from(has))
}

/// `key, value in collection`; the key of a set's element is the element.
#[expect(clippy::unnecessary_wraps, reason = "every builtin has this signature")]
pub(super) fn has_entry(arguments: &[Value]) -> anyhow::Result<Value> {
    let has = match arguments {
        [key, value, Value::Set(items)] => key == value && items.contains(key),
        [
            key,
            value,
            collection @ (Value::Array(_) | Value::Object(_)),
        ] => *value != Value::Undefined && collection[key] == *value,
        _ => false,
    };
    Ok(Value::from(has))
}

/// `object.subset(whole, part)`
pub(super) fn is_subset(arguments: &[Value]) -> anyhow::Result<Value> {
    match arguments {
        [whole @ Value::Object(_), part @ Value::Object(_)]
        | [whole @ Value::Set(_), part @ Value::Set(_)]
        | [
            whole @ Value::Array(_),
            part @ (Value::Array(_) | Value::Set(_)),
        ] => Ok(Value::from(holds(whole, part))),
        _ => Err(anyhow!("both operands must be objects, sets or arrays")),
    }
}

fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|other| holds(other, value))),
        (Value::Set(whole), Value::Set(part)) => part.iter().all(|item| whole.contains(item)),
        (Value::Array(whole), Value::Array(part)) => {
            let part = part.as_slice();
            part.is_empty()
                || whole
                    .as_slice()
                    .windows(part.len())
                    .any(|some| some == part)
        }
        (Value::Array(whole), Value::Set(part)) => part.iter().all(|item| whole.contains(item)),
        (whole, part) => whole == part,
    }
}
