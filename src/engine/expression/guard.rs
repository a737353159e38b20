//! What an expression demands of one slot: the basis of the candidate index.

use crate::engine::input::{Layout, Root, Slot};
use crate::engine::value::{Value, number_key};

use super::literal::Literal;
use super::node::Node;
use super::{Absent, Guard, GuardValue};

/// The guard of a whole expression. Sound in CEL's sense: where the slot has another value, one item of the
/// conjunction is false, and so is the conjunction, whatever errors its other items make.
pub(super) fn guard(node: &Node) -> Option<Guard> {
    let items = match node {
        Node::And(items) => items,
        single => std::slice::from_ref(single),
    };
    let found: Vec<Guard> = items
        .iter()
        .filter_map(|item| {
            let (slot, values) = demand(item)?;
            Some(Guard {
                slot,
                values,
                absent: if items.iter().any(|item| asks_for(item, slot)) {
                    Absent::False
                } else {
                    Absent::Error
                },
            })
        })
        .collect();
    found
        .iter()
        .find(|guard| guard.absent == Absent::False)
        .or(found.first())
        .cloned()
}

/// Whether `item` is `has()` of a member of the whole input, which is always an object: only there does
/// an absent slot make it false and not an error.
fn asks_for(item: &Node, wanted: Slot) -> bool {
    matches!(item, Node::HasSlot { parent, slot, .. }
        if *slot == wanted && *parent == Layout::root(Root::Input))
}

/// The slot and the values of which it must have one for `item` not to be false.
fn demand(item: &Node) -> Option<(Slot, Vec<GuardValue>)> {
    match item {
        Node::Equal(pair) => match &**pair {
            [Node::Slot { slot, .. }, Node::Literal(literal)]
            | [Node::Literal(literal), Node::Slot { slot, .. }] => {
                Some((*slot, vec![guard_value(literal)?]))
            }
            _ => None,
        },
        Node::InSet(needle, set) => match &**needle {
            Node::Slot { slot, .. } => Some((*slot, set.guard_values())),
            _ => None,
        },
        Node::Or(items) => {
            let mut all: Option<(Slot, Vec<GuardValue>)> = None;
            for item in items {
                let (slot, values) = demand(item)?;
                match &mut all {
                    None => all = Some((slot, values)),
                    Some((known, known_values)) if *known == slot => known_values.extend(values),
                    Some(_) => return None,
                }
            }
            all
        }
        _ => None,
    }
}

fn guard_value(literal: &Literal) -> Option<GuardValue> {
    Some(match literal {
        Literal::Null => GuardValue::Null,
        Literal::Bool(value) => GuardValue::Bool(*value),
        Literal::Int(value) => GuardValue::Int(i128::from(*value)),
        Literal::Uint(value) => GuardValue::Int(i128::from(*value)),
        Literal::Double(value) => match number_key(&Value::Double(*value)) {
            Some(key) => GuardValue::Int(key),
            None => GuardValue::Double(*value),
        },
        Literal::String(text) => GuardValue::String(text.to_string()),
        _ => return None,
    })
}
