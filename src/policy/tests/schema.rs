//! The schema accepts what the parser accepts. A validator of just the keywords that the schema uses
//! reads the documents that the parser has read.

use std::collections::HashSet;

use regex::Regex;
use serde_json::Value;

use super::super::shape::{Form, KINDS, REGO, Shape};
use super::super::{Body, schema};
use super::{EXAMPLES, yaml};

/// What of `value` the schema refuses, as a path; None where it accepts it.
fn refused(root: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
    for (keyword, argument) in schema.as_object().unwrap() {
        let accepted = match keyword.as_str() {
            "$ref" => {
                let name = argument.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                let target = &root["$defs"][name];
                assert!(target.is_object(), "{name} is defined");
                if let Some(path) = refused(root, target, value, path) {
                    return Some(path);
                }
                true
            }
            "anyOf" => {
                let mut choices = argument.as_array().unwrap().iter();
                choices.any(|choice| refused(root, choice, value, path).is_none())
            }
            "type" => match argument {
                Value::Array(types) => types.iter().any(|name| is_type(name, value)),
                name => is_type(name, value),
            },
            "const" => argument == value,
            "enum" => argument.as_array().unwrap().contains(value),
            "pattern" => value.as_str().is_none_or(|text| {
                Regex::new(argument.as_str().unwrap())
                    .unwrap()
                    .is_match(text)
            }),
            "minimum" => value
                .as_f64()
                .is_none_or(|n| n >= argument.as_f64().unwrap()),
            "maximum" => value
                .as_f64()
                .is_none_or(|n| n <= argument.as_f64().unwrap()),
            "minItems" => value
                .as_array()
                .is_none_or(|items| items.len() as u64 >= argument.as_u64().unwrap()),
            "required" => argument
                .as_array()
                .unwrap()
                .iter()
                .all(|name| value.get(name.as_str().unwrap()).is_some()),
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                for (index, item) in items {
                    let path = format!("{path}[{index}]");
                    if let Some(path) = refused(root, argument, item, &path) {
                        return Some(path);
                    }
                }
                true
            }
            "propertyNames" => value.as_object().is_none_or(|members| {
                members.keys().all(|name| {
                    refused(root, argument, &Value::from(name.as_str()), path).is_none()
                })
            }),
            "additionalProperties" => {
                let known = schema.get("properties");
                for (name, member) in value.as_object().into_iter().flatten() {
                    let path = format!("{path}.{name}");
                    let known = known.and_then(|known| known.get(name));
                    let refused = match (known, argument) {
                        (Some(known), _) => refused(root, known, member, &path),
                        (None, Value::Bool(false)) => Some(path),
                        (None, schema) => refused(root, schema, member, &path),
                    };
                    if refused.is_some() {
                        return refused;
                    }
                }
                true
            }
            "$schema" | "$id" | "$defs" | "title" | "description" | "format" | "properties" => true,
            other => panic!("the validator does not know `{other}`"),
        };
        if !accepted {
            return Some(format!("{path} ({keyword})"));
        }
    }
    None
}

fn is_type(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("no type `{other}`"),
    }
}

/// Checks one document against the definition of its kind, which says where it is wrong.
fn refused_document(kind: &str, json: &str) -> Option<String> {
    let root = schema();
    let value: Value = serde_json::from_str(json).unwrap();
    let by_kind = refused(&root, &root["$defs"][kind], &value, "");
    assert_eq!(
        by_kind.is_none(),
        refused(&root, &root, &value, "").is_none()
    );
    by_kind
}

#[test]
fn the_schema_accepts_the_examples() {
    for document in yaml(EXAMPLES) {
        if !matches!(document.body, Body::Opaque) {
            assert_eq!(refused_document(document.body.kind(), &document.json), None);
        }
    }
}

#[test]
fn the_schema_accepts_both_spellings_of_a_rule() {
    let documents = yaml(
        "apiVersion: lictor.dev/v1\nkind: ServicePolicy\nmetadata: {name: n}\n\
         spec: {type: DATA_RESIDENCY, severity: low, rule: {dataResidency: {blockedCountries: [KP]}}}\n",
    );
    assert_eq!(refused_document("ServicePolicy", &documents[0].json), None);
}

#[test]
fn the_schema_refuses_what_the_parser_refuses() {
    let document = &yaml(EXAMPLES)[0];
    for (from, to) in [
        ("\"severity\":\"critical\"", "\"severity\":\"urgent\""),
        ("\"message\":", "\"mesage\":"),
        ("\"https\":", "\"ht tps\":"),
        ("\"compliant\":false", "\"compliant\":0"),
        ("lictor.dev/v1", "lictor.dev/v2"),
    ] {
        let wrong = document.json.replace(from, to);
        assert_ne!(*wrong, *document.json);
        let parsed = super::parse("p", wrong.as_bytes(), super::Format::Json, "t");
        assert!(parsed.is_err(), "{to}");
        assert!(
            refused_document("ValidationPolicy", &wrong).is_some(),
            "{to}"
        );
    }
}

fn shapes_below(form: &'static Form, found: &mut Vec<&'static Shape>) {
    match form {
        Form::Object(shape) => {
            found.push(shape);
            for field in shape.fields {
                shapes_below(&field.form, found);
            }
        }
        Form::List { items: form, .. } | Form::Map { values: form, .. } | Form::OrNull(form) => {
            shapes_below(form, found);
        }
        _ => {}
    }
}

#[test]
fn every_field_of_every_shape_stands_in_the_schema_under_a_name_of_its_own() {
    let root = schema();
    let mut found: Vec<&'static Shape> = Vec::new();
    for shape in KINDS.iter().copied().chain([&REGO]) {
        found.push(shape);
        for field in shape.fields {
            shapes_below(&field.form, &mut found);
        }
    }
    for shape in &found {
        for field in shape.fields {
            let property = &root["$defs"][shape.name]["properties"][field.name];
            assert_eq!(
                property["description"], field.about,
                "{}.{}",
                shape.name, field.name
            );
        }
    }
    let names: HashSet<&str> = found.iter().map(|shape| shape.name).collect();
    let tables: HashSet<*const Shape> = found
        .iter()
        .map(|shape| std::ptr::from_ref(*shape))
        .collect();
    assert_eq!(names.len(), tables.len());
}
