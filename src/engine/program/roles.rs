//! Who holds which role: roles that come with the request, and derived roles, evaluated only when a rule needs them.

use std::cell::Cell;

use bumpalo::collections::Vec as BumpVec;

use crate::engine::Value;
use crate::engine::input::Slot;
use crate::policy::Effect;

use super::EvaluateError;
use super::run::{Outcome, Run};
use super::version::{Condition, VersionId};

/// A document's derived roles.
#[derive(Debug, Default)]
pub(super) struct DerivedRoles {
    pub names: Vec<String>,
    pub conditions: Vec<Condition>,
}

/// The roles that a rule asks for: any of them.
#[derive(Debug, Default)]
pub(super) struct RoleNeed {
    pub names: Vec<String>,
    /// Those of `names` that the document derives, as indices there.
    pub derived: Vec<usize>,
}

/// A document that was entered: its derived roles, as far as they are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entered<'a> {
    pub version: VersionId,
    pub derived: &'a DerivedRoles,
    memo: &'a [Cell<Option<Held>>],
}

/// Whether a derived role is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Yes,
    No,
    /// Its expression failed: absent for allow rules, held for deny rules.
    Unknown,
}

impl RoleNeed {
    pub fn new(names: &[String], derived: &DerivedRoles) -> Self {
        let find = |name: &String| derived.names.iter().position(|known| known == name);
        Self {
            names: names.to_vec(),
            derived: names.iter().filter_map(find).collect(),
        }
    }
}

impl<'a> Run<'a> {
    /// Enters a document with its derived roles not yet known.
    pub fn enter_roles(&mut self, version: VersionId, derived: &'a DerivedRoles) -> Entered<'a> {
        self.enter(version);
        Entered {
            version,
            derived,
            memo: self
                .arena
                .alloc_slice_fill_with(derived.names.len(), |_| Cell::new(None)),
        }
    }

    /// Whether one of the needed roles is held, as a rule with this effect sees it.
    pub fn has_role(
        &mut self,
        entered: &Entered<'a>,
        need: &'a RoleNeed,
        effect: Effect,
        held: &[&str],
    ) -> Result<bool, EvaluateError> {
        if need.names.is_empty() || need.names.iter().any(|name| held.contains(&name.as_str())) {
            return Ok(true);
        }
        for index in &need.derived {
            match self.derived_role(entered, *index)? {
                Held::Yes => return Ok(true),
                Held::Unknown if effect == Effect::Deny => return Ok(true),
                Held::Unknown | Held::No => {}
            }
        }
        Ok(false)
    }

    fn derived_role(&mut self, entered: &Entered<'a>, index: usize) -> Result<Held, EvaluateError> {
        let known = entered.memo.get(index);
        if let Some(held) = known.and_then(Cell::get) {
            return Ok(held);
        }
        let Some(condition) = entered.derived.conditions.get(index) else {
            return Ok(Held::Unknown);
        };
        let policy = self.version(entered.version);
        let outcome = self.holds(policy, condition)?;
        let held = match outcome {
            Outcome::Value(true) => Held::Yes,
            Outcome::Value(false) => Held::No,
            Outcome::Failed(_) => Held::Unknown,
        };
        self.consider(
            policy,
            &condition.place,
            held == Held::Yes,
            Some((condition, outcome)),
        );
        if let Some(cell) = known {
            cell.set(Some(held));
        }
        Ok(held)
    }

    /// Adds the roles at a slot: a list of strings, or text, which may name several between commas. False where it is
    /// neither.
    pub fn roles_at(&self, slot: Slot, roles: &mut BumpVec<'a, &'a str>) -> bool {
        match self.slots().get(slot) {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => {
                let names = text.split(',').map(str::trim);
                roles.extend(names.filter(|name| !name.is_empty()));
                true
            }
            Some(Value::List(items)) => {
                roles.reserve_exact(items.len());
                roles.extend(items.iter().filter_map(Value::as_str));
                items.iter().all(|item| item.as_str().is_some())
            }
            Some(_) => false,
        }
    }
}
