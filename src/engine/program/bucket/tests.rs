//! The vectors of the A/B rule, and Unleash's client specification run through our bucket functions.

use serde_json::Value;

use super::{Salt, in_rollout, md5_group, normalized, variant};
use crate::model::Group;

#[test]
fn md5_groups() {
    for (key, group) in [
        ("client-1", Group::A),
        ("test-client-123", Group::A),
        ("user123", Group::B),
        ("a", Group::B),
        ("日本", Group::B),
        ("", Group::A),
    ] {
        assert_eq!(md5_group(key), group, "{key}");
    }
}

#[test]
fn unleash_reference_values() {
    assert_eq!(normalized("123", Salt::new("gr1").rollout, 100), 73);
    assert_eq!(normalized("999", Salt::new("groupX").rollout, 100), 25);
}

#[test]
fn weights_of_nothing_assign_nothing() {
    let group = Salt::new("group");
    assert_eq!(variant("key", &group, &[]), None);
    assert_eq!(variant("key", &group, &[0, 0]), None);
    assert_eq!(variant("key", &group, &[0, 1]), Some(1));
    assert!(!in_rollout("key", &group, 0));
    assert!(in_rollout("key", &group, 100));
}

fn vectors(file: &str) -> Option<Value> {
    let Ok(folder) = std::env::var("LICTOR_VECTORS") else {
        let required = std::env::var("LICTOR_REQUIRE").unwrap_or_default();
        assert!(
            !required.split(',').any(|word| word == "vectors"),
            "LICTOR_VECTORS is not set"
        );
        println!("skipped: LICTOR_VECTORS is not set");
        return None;
    };
    let text = std::fs::read(format!("{folder}/unleash/{file}")).unwrap();
    Some(serde_json::from_slice(&text).unwrap())
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

fn feature<'v>(file: &'v Value, case: &Value) -> Option<&'v Value> {
    let name = text(case, "toggleName")?;
    file["state"]["features"]
        .as_array()?
        .iter()
        .find(|feature| text(feature, "name") == Some(name))
}

/// The key that a stickiness asks for.
fn key<'v>(context: &'v Value, stickiness: &str) -> Option<&'v str> {
    match stickiness {
        "default" => text(context, "userId").or_else(|| text(context, "sessionId")),
        name => text(context, name),
    }
}

fn strategy_holds(feature: &Value, strategy: &Value, context: &Value) -> bool {
    let parameters = &strategy["parameters"];
    let group = text(parameters, "groupId").or_else(|| text(feature, "name"));
    let (percent, stickiness) = match text(strategy, "name") {
        Some("default") => return true,
        Some("gradualRolloutUserId") => (text(parameters, "percentage"), "userId"),
        Some("flexibleRollout") => (
            text(parameters, "rollout"),
            text(parameters, "stickiness").unwrap_or("default"),
        ),
        other => panic!("unexpected strategy {other:?}"),
    };
    let percent: u32 = percent.unwrap().parse().unwrap();
    // Without a key Unleash draws at random; only 0 and 100 are certain then.
    key(context, stickiness).map_or(percent == 100 && stickiness == "default", |key| {
        in_rollout(key, &Salt::new(group.unwrap()), percent)
    })
}

fn enabled(feature: &Value, context: &Value) -> bool {
    let strategies = feature["strategies"].as_array().unwrap();
    feature["enabled"] == true
        && (strategies.is_empty()
            || strategies
                .iter()
                .any(|strategy| strategy_holds(feature, strategy, context)))
}

#[test]
fn unleash_rollouts() {
    for name in [
        "03-gradual-rollout-user-id-strategy.json",
        "10-flexible-rollout-strategy.json",
    ] {
        let Some(file) = vectors(name) else { return };
        let cases = file["tests"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let got =
                feature(&file, case).is_some_and(|feature| enabled(feature, &case["context"]));
            assert_eq!(
                Value::Bool(got),
                case["expectedResult"],
                "{}",
                case["description"]
            );
        }
    }
}

fn overridden(variants: &[Value], context: &Value) -> Option<usize> {
    variants.iter().position(|variant| {
        variant["overrides"].as_array().is_some_and(|overrides| {
            overrides.iter().any(|entry| {
                let value = text(entry, "contextName").and_then(|name| context.get(name));
                value.is_some_and(|value| entry["values"].as_array().unwrap().contains(value))
            })
        })
    })
}

#[test]
fn unleash_variants() {
    let Some(file) = vectors("08-variants.json") else {
        return;
    };
    let cases = file["variantTests"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let context = &case["context"];
        let got = feature(&file, case)
            .filter(|feature| enabled(feature, context))
            .and_then(|feature| {
                let variants = feature["variants"].as_array()?;
                let weights: Vec<u32> = variants
                    .iter()
                    .map(|variant| variant["weight"].as_u64().unwrap() as u32)
                    .collect();
                let index = overridden(variants, context).or_else(|| {
                    variant(
                        key(context, "default")?,
                        &Salt::new(text(feature, "name")?),
                        &weights,
                    )
                })?;
                text(&variants[index], "name")
            });
        let expected = text(&case["expectedResult"], "name");
        assert_eq!(
            got.or(Some("disabled")),
            expected,
            "{}",
            case["description"]
        );
    }
}
