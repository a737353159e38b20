//! Which programs can apply to a request: a look-up by the constants that their `match` compares a field with.
//!
//! A program lies in one place only: under the constants of one guarded field, in that field's `absent` list too where a
//! missing field is an error (then the program fails instead of being skipped), or among the unguarded.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use crate::engine::Value;
use crate::engine::expression::{Absent, Guard, GuardValue};
use crate::engine::input::{Slot, Slots};
use crate::engine::table::Table;

/// Positions of programs, found by the values of their guarded fields.
#[derive(Debug, Default)]
pub(super) struct Index {
    unguarded: Vec<u32>,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    slot: Slot,
    strings: Table<Box<str>, Vec<u32>>,
    scalars: Table<Scalar, Vec<u32>>,
    /// Programs that must be looked at where the field is missing.
    absent: Vec<u32>,
}

/// A constant in the form in which equal values are equal, across numeric types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scalar {
    Null,
    Bool(bool),
    Int(i128),
    /// Bits of a double that is no integer.
    Double(u64),
}

impl Index {
    /// Adds the next position, in rising order, with the guards of its conditions (the first is used).
    pub fn add(&mut self, position: u32, guards: impl IntoIterator<Item = Guard>) {
        let Some(guard) = guards.into_iter().next() else {
            self.unguarded.push(position);
            return;
        };
        let field = self.field(guard.slot);
        for value in &guard.values {
            let list = match value {
                GuardValue::String(text) => field.strings.entry(text.as_str().into()).or_default(),
                other => match constant(other) {
                    Some(scalar) => field.scalars.entry(scalar).or_default(),
                    None => continue,
                },
            };
            // A constant may be written twice.
            if list.last() != Some(&position) {
                list.push(position);
            }
        }
        if guard.absent == Absent::Error {
            field.absent.push(position);
        }
    }

    fn field(&mut self, slot: Slot) -> &mut Field {
        let known = self.fields.iter().position(|field| field.slot == slot);
        let index = known.unwrap_or(self.fields.len());
        if known.is_none() {
            self.fields.push(Field {
                slot,
                strings: Table::default(),
                scalars: Table::default(),
                absent: Vec::new(),
            });
        }
        &mut self.fields[index]
    }

    /// The positions that can apply, rising.
    pub fn candidates<'a>(&'a self, slots: &Slots<'a>, arena: &'a Bump) -> &'a [u32] {
        let mut lists = self
            .fields
            .iter()
            .map(|field| field.lookup(slots))
            .chain(std::iter::once(self.unguarded.as_slice()))
            .filter(|list| !list.is_empty());
        let Some(first) = lists.next() else {
            return &[];
        };
        let Some(second) = lists.next() else {
            return first;
        };
        let mut merged = BumpVec::from_iter_in(first.iter().copied(), arena);
        merged.extend_from_slice(second);
        for list in lists {
            merged.extend_from_slice(list);
        }
        // Not longer than what can apply.
        merged.sort_unstable();
        merged.into_bump_slice()
    }
}

impl Field {
    fn lookup(&self, slots: &Slots<'_>) -> &[u32] {
        let found = match slots.get(self.slot) {
            None => Some(&self.absent),
            Some(Value::String(text)) => self.strings.get(text),
            Some(other) => scalar(&other).and_then(|scalar| self.scalars.get(&scalar)),
        };
        found.map_or(&[], Vec::as_slice)
    }
}

fn scalar(value: &Value<'_>) -> Option<Scalar> {
    match *value {
        Value::Null => Some(Scalar::Null),
        Value::Bool(value) => Some(Scalar::Bool(value)),
        Value::Int(value) => Some(Scalar::Int(i128::from(value))),
        Value::Uint(value) => Some(Scalar::Int(i128::from(value))),
        Value::Double(value) => double(value),
        _ => None,
    }
}

fn constant(value: &GuardValue) -> Option<Scalar> {
    match *value {
        GuardValue::Null => Some(Scalar::Null),
        GuardValue::Bool(value) => Some(Scalar::Bool(value)),
        GuardValue::Int(value) => Some(Scalar::Int(value)),
        GuardValue::Double(value) => double(value),
        GuardValue::String(_) => None,
    }
}

/// A double that is an integer equals that integer; NaN equals nothing.
fn double(value: f64) -> Option<Scalar> {
    /// Doubles below this in magnitude convert to `i128` without loss; integers beyond are larger than any `u64`.
    const EXACT: f64 = 1e38;
    if value.is_nan() {
        None
    } else if value.fract() == 0.0 && value.abs() < EXACT {
        Some(Scalar::Int(value as i128))
    } else {
        Some(Scalar::Double(value.to_bits()))
    }
}
