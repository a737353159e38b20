//! The active configuration as `/v1/config` shows it: with defaults, without secrets.

use serde_json::{Map, Value, json};

use super::OpaConfig;

/// Words in a key that say that its value is a secret, beyond those that OPA itself removes.
const SECRET: [&str; 5] = ["token", "secret", "password", "passphrase", "authorization"];

/// Removes `credentials` of services and `key` and `private_key` of keys, as OPA does; other values whose key says
/// that they are secret are replaced.
pub(super) fn active(mut raw: Value, config: &OpaConfig) -> Value {
    let services: Vec<&mut Value> = match raw.get_mut("services") {
        Some(Value::Array(services)) => services.iter_mut().collect(),
        Some(Value::Object(services)) => services.values_mut().collect(),
        _ => Vec::new(),
    };
    for service in services {
        remove(service, &["credentials"]);
    }
    if let Some(Value::Object(keys)) = raw.get_mut("keys") {
        for key in keys.values_mut() {
            remove(key, &["key", "private_key"]);
        }
    }
    hide(&mut raw);
    if let Value::Object(members) = &mut raw {
        members.insert("labels".to_owned(), json!(config.labels));
        members.insert(
            "default_decision".to_owned(),
            json!(config.default_decision),
        );
        members.insert(
            "default_authorization_decision".to_owned(),
            json!(config.default_authorization_decision),
        );
    }
    raw
}

fn remove(value: &mut Value, names: &[&str]) {
    if let Value::Object(members) = value {
        members.retain(|name, _| !names.contains(&name.as_str()));
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => hide_members(members),
        Value::Array(items) => {
            for item in items {
                hide(item);
            }
        }
        _ => {}
    }
}

fn hide_members(members: &mut Map<String, Value>) {
    for (name, value) in members {
        let lower = name.to_ascii_lowercase();
        let is_secret = SECRET.iter().any(|word| lower.contains(word)) && !lower.ends_with("_path");
        if is_secret && (value.is_string() || value.is_number()) {
            *value = json!("REDACTED");
        } else {
            hide(value);
        }
    }
}
