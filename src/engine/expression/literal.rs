//! Constants of a program: owned, unlike the values of an evaluation.

use crate::engine::value::Value;
use crate::model::Timestamp;

use super::evaluate::{Machine, Outcome};

/// Constants with more parts than this are computed when evaluated, not kept.
const MAX_PARTS: usize = 100_000;

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Box<str>),
    Bytes(Box<[u8]>),
    List(Box<[Literal]>),
    Map(Box<[(Literal, Literal)]>),
    Timestamp(Timestamp),
    Duration(i64),
    Type(Box<str>),
    Optional(Option<Box<Literal>>),
}

impl Literal {
    /// Keeps a value that was computed while compiling; None where it is too large.
    pub fn keep(value: &Value<'_>) -> Option<Self> {
        Self::keep_parts(value, &mut 0)
    }

    fn keep_parts(value: &Value<'_>, parts: &mut usize) -> Option<Self> {
        *parts += 1;
        if *parts > MAX_PARTS {
            return None;
        }
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Uint(value) => Self::Uint(*value),
            Value::Double(value) => Self::Double(*value),
            Value::String(text) => Self::String((*text).into()),
            Value::Bytes(bytes) => Self::Bytes((*bytes).into()),
            Value::Timestamp(moment) => Self::Timestamp(*moment),
            Value::Duration(nanos) => Self::Duration(*nanos),
            Value::Type(name) => Self::Type((*name).into()),
            Value::Optional(None) => Self::Optional(None),
            Value::Optional(Some(inner)) => {
                Self::Optional(Some(Box::new(Self::keep_parts(inner, parts)?)))
            }
            Value::List(_) | Value::Map(_) | Value::Data(_) => {
                if let Some(list) = value.as_list() {
                    let items: Option<Vec<_>> = list
                        .iter()
                        .map(|item| Self::keep_parts(&item, parts))
                        .collect();
                    return Some(Self::List(items?.into()));
                }
                let entries: Option<Vec<_>> = value
                    .as_map()?
                    .iter()
                    .map(|(key, item)| {
                        Some((
                            Self::keep_parts(&key, parts)?,
                            Self::keep_parts(&item, parts)?,
                        ))
                    })
                    .collect();
                Self::Map(entries?.into())
            }
        })
    }

    /// The constant as a value; lists and maps are laid out in the arena.
    pub fn value<'a>(&'a self, machine: &Machine<'_, 'a>) -> Outcome<'a> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Uint(value) => Value::Uint(*value),
            Self::Double(value) => Value::Double(*value),
            Self::String(text) => Value::String(text),
            Self::Bytes(bytes) => Value::Bytes(bytes),
            Self::Timestamp(moment) => Value::Timestamp(*moment),
            Self::Duration(nanos) => Value::Duration(*nanos),
            Self::Type(name) => Value::Type(name),
            Self::Optional(None) => Value::Optional(None),
            Self::Optional(Some(inner)) => {
                Value::Optional(Some(machine.frame.arena.alloc(inner.value(machine)?)))
            }
            Self::List(items) => {
                let mut list = machine.list(items.len())?;
                for item in items {
                    list.push(item.value(machine)?);
                }
                Value::List(list.into_bump_slice())
            }
            Self::Map(entries) => {
                let mut map = machine.entries(entries.len())?;
                for (key, item) in entries {
                    map.push((key.value(machine)?, item.value(machine)?));
                }
                Value::Map(map.into_bump_slice())
            }
        })
    }
}
