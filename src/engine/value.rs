//! CEL values. `Copy`: everything larger than a word lives in the request, the snapshot or the arena.

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
