//! From the bundle's compact data to Rego values.

use regorus::Value;
use regorus::value::{Array, Object};

use crate::engine::value::Value as DataValue;

/// The value that Rego sees.
pub(super) fn to_rego(value: &DataValue<'_>) -> Value {
    match value {
        DataValue::Bool(value) => Value::from(*value),
        DataValue::Int(value) => Value::from(*value),
        DataValue::Uint(value) => Value::from(*value),
        DataValue::Double(value) => Value::from(*value),
        DataValue::String(text) => Value::from(*text),
        DataValue::Map(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (to_rego(key), to_rego(value)));
            Value::from(entries.collect::<Object>())
        }
        DataValue::List(items) => Value::from(items.iter().map(to_rego).collect::<Array>()),
        DataValue::Data(data) if data.is_list() => {
            let items = (0..data.len()).filter_map(|index| data.at(index));
            Value::from(items.map(|item| to_rego(&item)).collect::<Array>())
        }
        DataValue::Data(data) => {
            let entries = (0..data.len()).filter_map(|index| data.entry(index));
            let entries = entries.map(|(key, value)| (Value::from(key), to_rego(&value)));
            Value::from(entries.collect::<Object>())
        }
        // A data document holds none of CEL's own types.
        _ => Value::Null,
    }
}
