//! CEL values. `Copy`: everything larger than a word lives in the request, the snapshot or the arena.

mod access;
mod compare;
mod render;

pub use access::{Entries, Items, ListView, MapView};
pub use compare::{Cost, compare, equal, number_key};
pub use render::{DoubleText, quote_json, write_duration, write_json, write_text};

use crate::model::Timestamp;

use super::data::DataRef;

/// A value during one evaluation. `'a` is the request's text, the program, and the worker's arena.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(&'a str),
    Bytes(&'a [u8]),
    List(&'a [Value<'a>]),
    /// Entries in the order written; keys are bool, int, uint or string and distinct.
    Map(&'a [(Value<'a>, Value<'a>)]),
    /// A list or map inside the bundle's data, not unpacked.
    Data(DataRef<'a>),
    Timestamp(Timestamp),
    /// Nanoseconds.
    Duration(i64),
    /// The CEL name of a type.
    Type(&'a str),
    Optional(Option<&'a Value<'a>>),
}

impl<'a> Value<'a> {
    /// The CEL name of this value's type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Data(data) if data.is_list() => "list",
            Self::Map(_) | Self::Data(_) => "map",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
        }
    }

    /// The text of a string; None for any other type.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The bool; None for any other type.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A number of any type as double (integers beyond 2^53 rounded); None for any other type.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Uint(value) => Some(*value as f64),
            Self::Double(value) => Some(*value),
            _ => None,
        }
    }

    /// The list; None for any other type.
    #[must_use]
    pub fn as_list(&self) -> Option<ListView<'a>> {
        match *self {
            Self::List(items) => Some(ListView::Values(items)),
            Self::Data(data) if data.is_list() => Some(ListView::Data(data)),
            _ => None,
        }
    }

    /// The map; None for any other type.
    #[must_use]
    pub fn as_map(&self) -> Option<MapView<'a>> {
        match *self {
            Self::Map(entries) => Some(MapView::Values(entries)),
            Self::Data(data) if !data.is_list() => Some(MapView::Data(data)),
            _ => None,
        }
    }

    /// The value at a string key of a map; None where this is no map or has no such key.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Value<'a>> {
        self.as_map()?.get_str(name)
    }

    /// Whether this is CEL's zero value of its type: false, 0, empty, null, none.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        match self {
            Self::Null | Self::Optional(None) => true,
            Self::Bool(value) => !value,
            Self::Int(value) | Self::Duration(value) => *value == 0,
            Self::Uint(value) => *value == 0,
            Self::Double(value) => *value == 0.0,
            Self::String(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            Self::Data(data) => data.is_empty(),
            Self::Timestamp(moment) => moment.unix_nanos() == 0,
            Self::Type(_) | Self::Optional(Some(_)) => false,
        }
    }
}

/// CEL equality: across numeric types by value, lists in order, maps regardless of order, false for
/// different types. Unbounded: for values of bounded size; an evaluation uses [`equal`].
impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        equal(self, other, &mut |_| true).unwrap_or(false)
    }
}
