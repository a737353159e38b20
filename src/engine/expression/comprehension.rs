//! Comprehensions: `all`, `exists`, `map` and their relatives.

use crate::engine::value::{ListView, MapView, Value};

use super::Failure;
use super::evaluate::{Machine, Outcome, no_overload};
use super::node::{Loop, LoopKind};

/// What a loop runs over.
#[derive(Clone, Copy)]
enum Range<'a> {
    List(ListView<'a>),
    Map(MapView<'a>),
}

impl<'a> Range<'a> {
    fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
        }
    }

    /// The loop variables' values: index or key, element or value.
    fn at(&self, index: usize) -> Option<(Value<'a>, Value<'a>)> {
        match self {
            Self::List(list) => list.get(index).map(|item| (Value::Int(index as i64), item)),
            Self::Map(map) => map.entry(index),
        }
    }
}

impl<'a> Machine<'_, 'a> {
    pub fn comprehension(&self, inner: &'a Loop) -> Outcome<'a> {
        let operand = self.eval(&inner.range)?;
        let range = match (operand.as_list(), operand.as_map()) {
            (Some(list), _) => Range::List(list),
            (_, Some(map)) => Range::Map(map),
            _ => return Err(no_overload()),
        };
        match inner.kind {
            LoopKind::All => self.quantifier(inner, range, false),
            LoopKind::Exists => self.quantifier(inner, range, true),
            LoopKind::ExistsOne => self.exists_one(inner, range),
            LoopKind::List => self.transform_list(inner, range),
            LoopKind::Map | LoopKind::MapEntry => self.transform_map(inner, range),
        }
    }

    /// Sets the loop variables; None after the last element.
    fn step(
        &self,
        inner: &Loop,
        range: Range<'a>,
        index: usize,
    ) -> Result<Option<Value<'a>>, Failure<'a>> {
        let Some((key, item)) = range.at(index) else {
            return Ok(None);
        };
        self.charge(1)?;
        match (inner.second, range) {
            (Some(second), _) => {
                self.set_local(inner.first, key);
                self.set_local(second, item);
            }
            (None, Range::List(_)) => self.set_local(inner.first, item),
            (None, Range::Map(_)) => self.set_local(inner.first, key),
        }
        Ok(Some(key))
    }

    fn quantifier(&self, inner: &'a Loop, range: Range<'a>, decisive: bool) -> Outcome<'a> {
        let mut failure = None;
        let mut index = 0;
        while self.step(inner, range, index)?.is_some() {
            index += 1;
            match self.eval(&inner.body) {
                Ok(Value::Bool(value)) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(Value::Bool(_)) => {}
                Err(Failure::Budget) => return Err(Failure::Budget),
                Ok(_) => failure = failure.or(Some(no_overload())),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn condition(&self, node: &'a super::node::Node) -> Result<bool, Failure<'a>> {
        match self.eval(node)? {
            Value::Bool(value) => Ok(value),
            _ => Err(no_overload()),
        }
    }

    /// Whether the filter lets the current element through.
    fn passes(&self, inner: &'a Loop) -> Result<bool, Failure<'a>> {
        match &inner.filter {
            Some(filter) => self.condition(filter),
            None => Ok(true),
        }
    }

    fn exists_one(&self, inner: &'a Loop, range: Range<'a>) -> Outcome<'a> {
        let mut count = 0_usize;
        let mut index = 0;
        while self.step(inner, range, index)?.is_some() {
            index += 1;
            count += usize::from(self.condition(&inner.body)?);
        }
        Ok(Value::Bool(count == 1))
    }

    fn transform_list(&self, inner: &'a Loop, range: Range<'a>) -> Outcome<'a> {
        let room = if inner.filter.is_some() {
            0
        } else {
            range.len()
        };
        let mut list = self.list(room)?;
        let mut index = 0;
        while self.step(inner, range, index)?.is_some() {
            index += 1;
            if self.passes(inner)? {
                self.charge(1)?;
                list.push(self.eval(&inner.body)?);
            }
        }
        Ok(Value::List(list.into_bump_slice()))
    }

    fn transform_map(&self, inner: &'a Loop, range: Range<'a>) -> Outcome<'a> {
        let mut map = self.entries(0)?;
        let mut index = 0;
        while let Some(key) = self.step(inner, range, index)? {
            index += 1;
            if !self.passes(inner)? {
                continue;
            }
            let value = self.eval(&inner.body)?;
            if inner.kind == LoopKind::Map {
                // The keys of the range are distinct already.
                self.charge(2)?;
                map.push((key, value));
                continue;
            }
            for (key, value) in &value.as_map().ok_or(no_overload())? {
                self.insert(&mut map, key, value)?;
            }
        }
        Ok(Value::Map(map.into_bump_slice()))
    }
}
