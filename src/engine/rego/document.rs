//! The document at a path below `data`: a rule's value, a package, base data, or a mix of them.

use regorus::Value;
use regorus::value::Object;

use crate::engine::value::Value as DataValue;
use crate::engine::{Data, Limits};

use super::convert::to_rego;
use super::json::fits;
use super::tree::Node;
use super::{Rego, RegoError, RegoErrorKind, RegoMachine, RegoSegment, RegoSetting};

impl Rego {
    /// The document at `path`, None where it is undefined.
    ///
    /// # Errors
    ///
    /// [`RegoError`]; of kind `Cancelled` also where it is larger than a result may be.
    pub fn document(
        &self,
        path: &[RegoSegment<'_>],
        setting: &RegoSetting<'_>,
        machine: &mut RegoMachine,
    ) -> Result<Option<Value>, RegoError> {
        let document = self.any_document(path, setting, machine)?;
        if let Some(value) = &document {
            within(setting.limits, [value])?;
        }
        Ok(document)
    }

    fn any_document(
        &self,
        path: &[RegoSegment<'_>],
        setting: &RegoSetting<'_>,
        machine: &mut RegoMachine,
    ) -> Result<Option<Value>, RegoError> {
        let data = setting.data;
        let Some(shared) = &self.shared else {
            return Ok(base(data, path).map(|value| to_rego(&value)));
        };
        let mut node = &shared.tree;
        for (depth, segment) in path.iter().enumerate() {
            if let Some(rule) = node.rule {
                let value = machine.load(shared).rule(rule, setting)?;
                let rest = path.get(depth..).unwrap_or_default();
                return Ok(rest
                    .iter()
                    .try_fold(value, |value, segment| inside(&value, segment)));
            }
            let child = match segment {
                RegoSegment::Name(name) => node.children.get(*name),
                RegoSegment::Index(_) => None,
            };
            match child {
                Some(child) => node = child,
                None => return Ok(base(data, path).map(|value| to_rego(&value))),
            }
        }
        let value = whole(node, base(data, path), &mut |rule| {
            machine.load(shared).rule(rule, setting)
        })?;
        Ok(Some(value).filter(|value| *value != Value::Undefined))
    }
}

/// # Errors
///
/// Where these values together are larger than a result may be.
pub(super) fn within<'v>(
    limits: &Limits,
    values: impl IntoIterator<Item = &'v Value>,
) -> Result<(), RegoError> {
    let limit = limits.rego_result_bytes;
    let mut left = limit;
    if values.into_iter().all(|value| fits(value, &mut left)) {
        return Ok(());
    }
    let message = format!("the result is larger than {limit} bytes");
    Err(RegoError::new(RegoErrorKind::Cancelled, message))
}

/// A rule's value; or what lies below a package, with the base data around it.
fn whole(
    node: &Node,
    base: Option<DataValue<'_>>,
    evaluate: &mut dyn FnMut(usize) -> Result<Value, RegoError>,
) -> Result<Value, RegoError> {
    if let Some(rule) = node.rule {
        return evaluate(rule);
    }
    let mut object = match &base {
        Some(base) => match to_rego(base) {
            Value::Object(object) => (*object).clone(),
            other => return Ok(other),
        },
        None => Object::new(),
    };
    for (name, child) in &node.children {
        let beside = base.as_ref().and_then(|base| base.member(name));
        let value = whole(child, beside, evaluate)?;
        if value != Value::Undefined {
            object.insert(Value::from(&**name), value);
        }
    }
    Ok(Value::from(object))
}

/// The base data at a path.
fn base<'d>(data: &'d Data, path: &[RegoSegment<'_>]) -> Option<DataValue<'d>> {
    path.iter()
        .try_fold(data.root(), |value, segment| match segment {
            RegoSegment::Name(name) => value.member(name),
            RegoSegment::Index(index) => match value.as_list() {
                Some(list) => list.get(usize::try_from(*index).ok()?),
                // In data, unlike in what rules make, every name is a text.
                None => value.member(&index.to_string()),
            },
        })
}

/// What lies one step inside a value.
fn inside(value: &Value, segment: &RegoSegment<'_>) -> Option<Value> {
    let key = match segment {
        RegoSegment::Name(name) => Value::from(*name),
        RegoSegment::Index(index) => Value::from(*index),
    };
    let found = match value {
        Value::Object(object) => object.get(&key),
        Value::Set(set) => set.get(&key),
        Value::Array(items) => match segment {
            RegoSegment::Index(index) => items.get(usize::try_from(*index).ok()?),
            RegoSegment::Name(_) => None,
        },
        _ => None,
    };
    found.cloned()
}
