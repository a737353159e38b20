//! Evaluation of compiled nodes.

use std::cell::Cell;

use bumpalo::collections::Vec as BumpVec;

use crate::engine::input::Slot;
use crate::engine::value::{Value, equal};

use super::literal::Literal;
use super::node::{Comparison, Item, Node, Pair};
use super::{Failure, Frame, call, operator};

/// A value or why there is none.
pub(super) type Outcome<'a> = Result<Value<'a>, Failure<'a>>;

/// Most arguments of a function that are kept on the stack.
const INLINE: usize = 4;

/// One evaluation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine<'f, 'a> {
    pub frame: &'f Frame<'a>,
    pub locals: &'f [Cell<Value<'a>>],
}

/// The error of an operation on values that it is not defined for.
pub(super) const fn no_overload<'a>() -> Failure<'a> {
    Failure::Error("no such overload")
}

impl<'a> Machine<'_, 'a> {
    /// Takes `steps` from the budget.
    #[inline]
    pub fn charge(&self, steps: u64) -> Result<(), Failure<'a>> {
        let left = self.frame.steps.get().checked_sub(steps);
        self.frame.steps.set(left.unwrap_or(0));
        left.map(drop).ok_or(Failure::Budget)
    }

    /// Takes the steps of making or reading `bytes` bytes of text.
    pub fn charge_text(&self, bytes: usize) -> Result<(), Failure<'a>> {
        self.charge(bytes as u64 / 16)
    }

    /// An error with a text made for it.
    pub fn error(&self, text: std::fmt::Arguments<'_>) -> Failure<'a> {
        Failure::Error(bumpalo::format!(in self.frame.arena, "{}", text).into_bump_str())
    }

    /// An empty list with room for `count` elements, paid for.
    pub fn list(&self, count: usize) -> Result<BumpVec<'a, Value<'a>>, Failure<'a>> {
        self.charge(count as u64)?;
        Ok(BumpVec::with_capacity_in(count, self.frame.arena))
    }

    /// An empty map with room for `count` entries, paid for.
    pub fn entries(
        &self,
        count: usize,
    ) -> Result<BumpVec<'a, (Value<'a>, Value<'a>)>, Failure<'a>> {
        self.charge(2 * count as u64)?;
        Ok(BumpVec::with_capacity_in(count, self.frame.arena))
    }

    /// An optional with a value.
    pub fn some(&self, value: Value<'a>) -> Value<'a> {
        Value::Optional(Some(self.frame.arena.alloc(value)))
    }

    /// Equality, paid for.
    pub fn equal(&self, left: &Value<'_>, right: &Value<'_>) -> Result<bool, Failure<'a>> {
        if let (Value::String(a), Value::String(b)) = (left, right) {
            if a.len() != b.len() {
                return Ok(false);
            }
            self.charge(a.len() as u64 / 256)?;
            return Ok(a == b);
        }
        equal(left, right, &mut |steps| self.charge(steps).is_ok()).ok_or(Failure::Budget)
    }

    /// The value of `node`.
    pub fn eval(&self, node: &'a Node) -> Outcome<'a> {
        self.charge(1)?;
        match node {
            Node::Literal(literal) => literal.value(self),
            Node::Slot { slot, missing } => {
                self.frame.slots.get(*slot).ok_or(Failure::Error(missing))
            }
            Node::HasSlot {
                parent,
                slot,
                missing,
            } => self.has_slot(*parent, *slot, missing).map(Value::Bool),
            Node::Local(index) => self
                .locals
                .get(*index)
                .map(Cell::get)
                .ok_or(Failure::Error("no such variable")),
            Node::And(items) => self.junction(items, false),
            Node::Or(items) => self.junction(items, true),
            Node::Not(operand) => match self.eval(operand)? {
                Value::Bool(value) => Ok(Value::Bool(!value)),
                _ => Err(no_overload()),
            },
            Node::Equal(pair) => self.pair_equal(pair).map(Value::Bool),
            Node::NotEqual(pair) => self.pair_equal(pair).map(|equal| Value::Bool(!equal)),
            Node::Compare(comparison, pair) => {
                let (left, right) = self.both(pair)?;
                self.compare(*comparison, &left, &right)
            }
            Node::InSet(needle, set) => {
                let needle = self.eval(needle)?;
                Ok(Value::Bool(set.contains(&needle)))
            }
            Node::Conditional(parts) => match self.eval(&parts[0])? {
                Value::Bool(true) => self.eval(&parts[1]),
                Value::Bool(false) => self.eval(&parts[2]),
                _ => Err(no_overload()),
            },
            Node::Call(function, arguments) => self.call(*function, arguments),
            Node::Matches(text, pattern) => match self.eval(text)? {
                Value::String(text) => {
                    self.charge_text(text.len())?;
                    Ok(Value::Bool(pattern.is_match(text)))
                }
                _ => Err(no_overload()),
            },
            Node::Loop(inner) => self.comprehension(inner),
            Node::Variable(index) => self.variable(*index),
            Node::Now => Ok(Value::Timestamp(self.frame.now)),
            Node::Data(node) => Ok(self.frame.data.value(*node)),
            _ => self.eval_other(node),
        }
    }

    /// What is rarer: kept apart so that the frame of [`Machine::eval`] stays small.
    fn eval_other(&self, node: &'a Node) -> Outcome<'a> {
        match node {
            Node::Select(operand, name) => self.select(operand, name),
            Node::HasMember(operand, name) => self.has_member(operand, name),
            Node::OptionalSelect(operand, name) => {
                let operand = self.eval(operand)?;
                self.optional_index(operand, &Value::String(name))
            }
            Node::OptionalSlot {
                base,
                path,
                missing,
            } => self.optional_slot(*base, path, missing),
            Node::Index(pair) => {
                let (operand, index) = self.both(pair)?;
                match operand {
                    Value::Optional(_) => self.optional_index(operand, &index),
                    _ => self.index(operand, &index),
                }
            }
            Node::OptionalIndex(pair) => {
                let (operand, index) = self.both(pair)?;
                self.optional_index(operand, &index)
            }
            Node::Negate(operand) => operator::negate(&self.eval(operand)?),
            Node::Arithmetic(operator, pair) => {
                let (left, right) = self.both(pair)?;
                operator::arithmetic(self, *operator, &left, &right)
            }
            Node::In(pair) => {
                let (needle, haystack) = self.both(pair)?;
                self.contains(&needle, &haystack)
            }
            Node::List(items) => self.list_literal(items),
            Node::Map(pairs) => self.map_literal(pairs),
            Node::Bind(bind) => {
                let value = self.eval(&bind.value)?;
                self.set_local(bind.local, value);
                self.eval(&bind.body)
            }
            Node::OptionalMap(map) => match self.eval(&map.operand)? {
                Value::Optional(None) => Ok(Value::Optional(None)),
                Value::Optional(Some(inner)) => {
                    self.set_local(map.local, *inner);
                    let value = self.eval(&map.body)?;
                    match value {
                        Value::Optional(_) if map.flat => Ok(value),
                        _ if map.flat => Err(no_overload()),
                        _ => Ok(self.some(value)),
                    }
                }
                _ => Err(no_overload()),
            },
            _ => Err(no_overload()),
        }
    }

    pub fn set_local(&self, index: usize, value: Value<'a>) {
        if let Some(place) = self.locals.get(index) {
            place.set(value);
        }
    }

    fn both(&self, pair: &'a [Node; 2]) -> Result<(Value<'a>, Value<'a>), Failure<'a>> {
        Ok((self.eval(&pair[0])?, self.eval(&pair[1])?))
    }

    fn pair_equal(&self, pair: &'a [Node; 2]) -> Result<bool, Failure<'a>> {
        let left = self.eval(&pair[0])?;
        if let (Value::String(text), Node::Literal(Literal::String(constant))) = (&left, &pair[1]) {
            return Ok(**text == **constant);
        }
        let right = self.eval(&pair[1])?;
        self.equal(&left, &right)
    }

    /// `&&` (where `decisive` is false) and `||`: the decisive value wins over errors on either side.
    fn junction(&self, items: &'a [Node], decisive: bool) -> Outcome<'a> {
        let mut failure = None;
        for item in items {
            match self.eval(item) {
                Ok(Value::Bool(value)) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(Value::Bool(_)) => {}
                Err(Failure::Budget) => return Err(Failure::Budget),
                Ok(_) => failure = failure.or(Some(no_overload())),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    pub fn compare(
        &self,
        comparison: Comparison,
        left: &Value<'a>,
        right: &Value<'a>,
    ) -> Outcome<'a> {
        if let (Value::String(a), Value::String(b)) = (left, right) {
            self.charge(a.len().min(b.len()) as u64 / 256)?;
        }
        let order = crate::engine::value::compare(left, right).map_err(|()| no_overload())?;
        Ok(Value::Bool(order.is_some_and(|order| match comparison {
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        })))
    }

    fn has_slot(&self, parent: Slot, slot: Slot, missing: &'a str) -> Result<bool, Failure<'a>> {
        if self.frame.slots.contains(slot) {
            return Ok(true);
        }
        if self.frame.slots.is_object(parent) {
            return Ok(false);
        }
        Err(Failure::Error(missing))
    }

    fn optional_slot(&self, base: Slot, path: &[Slot], missing: &'a str) -> Outcome<'a> {
        let mut parent = base;
        for slot in path {
            if !self.has_slot(parent, *slot, missing)? {
                return Ok(Value::Optional(None));
            }
            parent = *slot;
        }
        let value = self
            .frame
            .slots
            .get(parent)
            .ok_or(Failure::Error(missing))?;
        Ok(self.some(value))
    }

    fn select(&self, operand: &'a Node, name: &'a str) -> Outcome<'a> {
        match self.eval(operand)? {
            operand @ Value::Optional(_) => self.optional_index(operand, &Value::String(name)),
            operand => {
                let map = operand.as_map().ok_or(no_overload())?;
                self.charge(map.lookup_cost())?;
                map.get_str(name)
                    .ok_or_else(|| self.error(format_args!("no such key: {name}")))
            }
        }
    }

    fn has_member(&self, operand: &'a Node, name: &str) -> Outcome<'a> {
        let mut operand = self.eval(operand)?;
        if let Value::Optional(inner) = operand {
            match inner {
                Some(inner) => operand = *inner,
                None => return Ok(Value::Bool(false)),
            }
        }
        let map = operand.as_map().ok_or(no_overload())?;
        self.charge(map.lookup_cost())?;
        Ok(Value::Bool(map.get_str(name).is_some()))
    }

    /// The element of a list or the value of a map's key; an error where there is none.
    fn index(&self, operand: Value<'a>, index: &Value<'a>) -> Outcome<'a> {
        match self.lookup(operand, index)? {
            Some(value) => Ok(value),
            None if operand.as_list().is_some() => Err(Failure::Error("index out of bounds")),
            None => Err(match index {
                Value::String(name) => self.error(format_args!("no such key: {name}")),
                _ => Failure::Error("no such key"),
            }),
        }
    }

    fn optional_index(&self, operand: Value<'a>, index: &Value<'a>) -> Outcome<'a> {
        let operand = match operand {
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => *inner,
            other => other,
        };
        Ok(self
            .lookup(operand, index)?
            .map_or(Value::Optional(None), |value| self.some(value)))
    }

    fn lookup(
        &self,
        operand: Value<'a>,
        index: &Value<'a>,
    ) -> Result<Option<Value<'a>>, Failure<'a>> {
        if let Some(map) = operand.as_map() {
            self.charge(map.lookup_cost())?;
            return match index {
                Value::String(name) => Ok(map.get_str(name)),
                Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) => {
                    Ok(map.get(index))
                }
                _ => Err(no_overload()),
            };
        }
        let list = operand.as_list().ok_or(no_overload())?;
        let place = match index {
            Value::Int(_) | Value::Uint(_) | Value::Double(_) => {
                crate::engine::value::number_key(index)
                    .ok_or(Failure::Error("index is no whole number"))?
            }
            _ => return Err(no_overload()),
        };
        Ok(usize::try_from(place)
            .ok()
            .and_then(|place| list.get(place)))
    }

    /// `in`.
    pub fn contains(&self, needle: &Value<'a>, haystack: &Value<'a>) -> Outcome<'a> {
        if let Some(map) = haystack.as_map() {
            self.charge(map.lookup_cost())?;
            return Ok(Value::Bool(map.get(needle).is_some()));
        }
        let list = haystack.as_list().ok_or(no_overload())?;
        for item in &list {
            self.charge(1)?;
            if self.equal(needle, &item)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }

    fn list_literal(&self, items: &'a [Item]) -> Outcome<'a> {
        let mut list = self.list(items.len())?;
        for item in items {
            match self.eval(&item.node)? {
                Value::Optional(inner) if item.optional => list.extend(inner.copied()),
                _ if item.optional => return Err(no_overload()),
                value => list.push(value),
            }
        }
        Ok(Value::List(list.into_bump_slice()))
    }

    fn map_literal(&self, pairs: &'a [Pair]) -> Outcome<'a> {
        let mut map = self.entries(pairs.len())?;
        for pair in pairs {
            let key = self.eval(&pair.key)?;
            let value = match self.eval(&pair.value)? {
                Value::Optional(None) if pair.optional => continue,
                Value::Optional(Some(inner)) if pair.optional => *inner,
                _ if pair.optional => return Err(no_overload()),
                value => value,
            };
            self.insert(&mut map, key, value)?;
        }
        Ok(Value::Map(map.into_bump_slice()))
    }

    /// Adds an entry to a map that is being built.
    pub fn insert(
        &self,
        map: &mut BumpVec<'a, (Value<'a>, Value<'a>)>,
        key: Value<'a>,
        value: Value<'a>,
    ) -> Result<(), Failure<'a>> {
        if !matches!(
            key,
            Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::String(_)
        ) {
            return Err(Failure::Error("unsupported key type"));
        }
        self.charge(2 + map.len() as u64 / 16)?;
        let view = crate::engine::value::MapView::Values(map);
        if view.get(&key).is_some() {
            return Err(Failure::Error("duplicate key in a map"));
        }
        map.push((key, value));
        Ok(())
    }

    fn call(&self, function: super::function::Function, nodes: &'a [Node]) -> Outcome<'a> {
        if let Some(value) = call::lazy(self, function, nodes) {
            return value;
        }
        if nodes.len() <= INLINE {
            let mut arguments = [Value::Null; INLINE];
            for (place, node) in arguments.iter_mut().zip(nodes) {
                *place = self.eval(node)?;
            }
            let arguments = arguments.get(..nodes.len()).unwrap_or_default();
            return call::call(self, function, arguments);
        }
        let mut arguments = self.list(nodes.len())?;
        for node in nodes {
            arguments.push(self.eval(node)?);
        }
        call::call(self, function, &arguments)
    }

    /// A variable of the document, evaluated when first needed.
    fn variable(&self, index: usize) -> Outcome<'a> {
        let place = self
            .frame
            .memo
            .get(index)
            .ok_or(Failure::Error("no such variable"))?;
        if let Some(known) = place.get() {
            return known;
        }
        let variables: &'a super::Variables = self.frame.variables;
        let expression = variables
            .expression(index)
            .ok_or(Failure::Error("no such variable"))?;
        let outcome = expression.evaluate(self.frame);
        place.set(Some(outcome));
        outcome
    }
}
