//! `net.cidr_*` that regorus lacks.

use std::net::IpAddr;

use anyhow::{Result, anyhow};
use ipnet::IpNet;
use regorus::Value;
use regorus::value::{Array, Set};

/// A network in CIDR notation.
pub(super) fn network(value: &Value) -> Result<IpNet> {
    match value {
        Value::String(text) => Ok(text.parse()?),
        _ => Err(anyhow!("operand must be string")),
    }
}

/// A network, or an address as the network of it alone.
fn network_or_address(value: &Value) -> Result<IpNet> {
    match value {
        Value::String(text) if !text.contains('/') => Ok(text.parse::<IpAddr>()?.into()),
        other => network(other),
    }
}

pub(super) fn intersects(arguments: &[Value]) -> Result<Value> {
    match arguments {
        [one, other] => {
            let (one, other) = (network(one)?, network(other)?);
            Ok(Value::from(one.contains(&other) || other.contains(&one)))
        }
        _ => Err(anyhow!("expected two operands")),
    }
}

/// The fewest networks that cover all of them.
pub(super) fn merge(arguments: &[Value]) -> Result<Value> {
    let networks: Vec<IpNet> = match arguments.first() {
        Some(Value::Array(items)) => items
            .iter()
            .map(network_or_address)
            .collect::<Result<_>>()?,
        Some(Value::Set(items)) => items
            .iter_sorted()
            .map(network_or_address)
            .collect::<Result<_>>()?,
        _ => return Err(anyhow!("operand 1 must be array or set")),
    };
    let networks: Vec<IpNet> = networks.iter().map(IpNet::trunc).collect();
    let merged = IpNet::aggregate(&networks);
    let texts = merged
        .iter()
        .map(|network| Value::from(network.to_string()));
    Ok(Value::from(texts.collect::<Set>()))
}

/// Which of the networks contain which of the networks or addresses, by their keys.
pub(super) fn contains_matches(arguments: &[Value]) -> Result<Value> {
    let [outer, inner] = arguments else {
        return Err(anyhow!("expected two operands"));
    };
    let outer = keyed(outer)?;
    let inner = keyed(inner)?;
    let mut matches = Set::new();
    for (outer_key, outer) in &outer {
        let network = network(outer)?;
        for (inner_key, inner) in &inner {
            if network.contains(&network_or_address(inner)?) {
                let pair = vec![outer_key.clone(), inner_key.clone()];
                matches.insert(Value::from(Array::from(pair)));
            }
        }
    }
    Ok(Value::from(matches))
}

/// Networks under what they are told apart by: an index, a key, or what a set holds.
fn keyed(value: &Value) -> Result<Vec<(Value, Value)>> {
    let address = |value: &Value| match value {
        Value::Array(tuple) => tuple.first().cloned().unwrap_or(Value::Null),
        other => other.clone(),
    };
    Ok(match value {
        Value::String(_) => vec![(value.clone(), value.clone())],
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(index, item)| (Value::from(index), address(item)))
                .collect()
        }
        Value::Set(items) => items
            .iter_sorted()
            .map(|item| (item.clone(), address(item)))
            .collect(),
        Value::Object(entries) => entries
            .iter_sorted()
            .map(|(key, item)| (key.clone(), address(item)))
            .collect(),
        _ => return Err(anyhow!("operand must be string, array, set or object")),
    })
}
