//! The right side of `in` where it is a constant list.

use crate::engine::table::TableSet;
use crate::engine::value::{Value, number_key};

use super::GuardValue;
use super::literal::Literal;

/// Up to this many strings are compared one by one.
const LINEAR: usize = 6;

/// Constants to be found by value.
#[derive(Debug, Default)]
pub(super) struct Set {
    few: Vec<Box<str>>,
    many: TableSet<Box<str>>,
    numbers: TableSet<i128>,
    fractions: Vec<f64>,
    bools: [bool; 2],
    null: bool,
}

impl Set {
    /// None where an item cannot be held.
    pub fn new(items: &[Literal]) -> Option<Self> {
        let mut set = Self::default();
        for item in items {
            match item {
                Literal::String(text) => set.few.push(text.clone()),
                Literal::Null => set.null = true,
                Literal::Bool(value) => set.bools[usize::from(*value)] = true,
                Literal::Int(value) => drop(set.numbers.insert(i128::from(*value))),
                Literal::Uint(value) => drop(set.numbers.insert(i128::from(*value))),
                Literal::Double(value) => match number_key(&Value::Double(*value)) {
                    Some(key) => drop(set.numbers.insert(key)),
                    None => set.fractions.push(*value),
                },
                _ => return None,
            }
        }
        if set.few.len() > LINEAR {
            set.many = set.few.drain(..).collect();
        }
        Some(set)
    }

    /// Whether a value equal to `value` is in the set.
    pub fn contains(&self, value: &Value<'_>) -> bool {
        match value {
            Value::String(text) => {
                self.few.iter().any(|it| **it == **text)
                    || (!self.many.is_empty() && self.many.contains(*text))
            }
            Value::Null => self.null,
            Value::Bool(value) => self.bools[usize::from(*value)],
            Value::Int(_) | Value::Uint(_) | Value::Double(_) => match number_key(value) {
                Some(key) => self.numbers.contains(&key),
                None => self.fractions.iter().any(|it| Value::Double(*it) == *value),
            },
            _ => false,
        }
    }
    /// The constants, for the candidate index.
    pub fn guard_values(&self) -> Vec<GuardValue> {
        let texts = self.few.iter().chain(&self.many);
        let mut values: Vec<GuardValue> = texts
            .map(|text| GuardValue::String(text.to_string()))
            .collect();
        values.extend(self.numbers.iter().map(|key| GuardValue::Int(*key)));
        values.extend(self.fractions.iter().map(|it| GuardValue::Double(*it)));
        for value in [false, true] {
            if self.bools[usize::from(value)] {
                values.push(GuardValue::Bool(value));
            }
        }
        if self.null {
            values.push(GuardValue::Null);
        }
        values
    }
}
