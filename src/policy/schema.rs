//! JSON Schema, made from the table of shapes that documents are checked against.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::cursor::camel_case;
use super::shape::{Field, Form, KINDS, REGO, Shape};

/// JSON Schema (draft 2020-12) of everything [`parse`](super::parse) accepts as one of ours.
#[must_use]
pub fn schema() -> Value {
    let mut definitions = BTreeMap::new();
    let mut kinds = Vec::new();
    for shape in KINDS.iter().copied().chain([&REGO]) {
        kinds.push(reference(shape));
        define(shape, &mut definitions);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://lictor.dev/v1/policy.schema.json",
        "title": "Lictor policy",
        "anyOf": kinds,
        "$defs": definitions,
    })
}

fn reference(shape: &Shape) -> Value {
    json!({ "$ref": format!("#/$defs/{}", shape.name) })
}

fn define(shape: &'static Shape, definitions: &mut BTreeMap<&'static str, Value>) {
    if definitions.contains_key(shape.name) {
        return;
    }
    // Claims the name before the fields are visited.
    definitions.insert(shape.name, Value::Null);
    let mut properties = Map::new();
    for field in shape.fields {
        let mut property = form(&field.form, definitions);
        if let Value::Object(members) = &mut property {
            members.insert("description".to_owned(), field.about.into());
        }
        let camel = camel_case(field.name);
        if shape.camel && camel != field.name {
            properties.insert(camel, property.clone());
        }
        properties.insert(field.name.to_owned(), property);
    }
    let mut definition = json!({
        "type": "object",
        "description": shape.about,
        "properties": properties,
        "additionalProperties": false,
    });
    let required: Vec<&str> = shape
        .fields
        .iter()
        .filter(|field| field.required)
        .map(|field: &Field| field.name)
        .collect();
    if !required.is_empty()
        && let Value::Object(members) = &mut definition
    {
        members.insert("required".to_owned(), required.into());
    }
    definitions.insert(shape.name, definition);
}

fn form(form: &'static Form, definitions: &mut BTreeMap<&'static str, Value>) -> Value {
    match form {
        Form::Text(syntax) => text(*syntax),
        Form::OneOf([word]) => json!({ "const": word }),
        Form::OneOf(words) => json!({ "enum": words }),
        Form::Expression => json!({ "type": ["string", "boolean", "number"], "pattern": "\\S" }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Integer { min, max } => bounded("integer", &json!(min), &json!(max)),
        Form::Number { min, max } => bounded("number", &json!(min), &json!(max)),
        Form::List { items, at_least } => {
            let items = self::form(items, definitions);
            if *at_least == 0 {
                json!({ "type": "array", "items": items })
            } else {
                json!({ "type": "array", "items": items, "minItems": at_least })
            }
        }
        Form::Map { names, values } => json!({
            "type": "object",
            "propertyNames": text(*names),
            "additionalProperties": self::form(values, definitions),
        }),
        Form::Object(shape) => {
            define(shape, definitions);
            reference(shape)
        }
        Form::AnyObject => json!({ "type": "object" }),
        Form::Any => json!({}),
        Form::OrNull(form) => json!({
            "anyOf": [self::form(form, definitions), { "type": "null" }],
        }),
    }
}

fn text(syntax: super::syntax::Syntax) -> Value {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "string".into());
    let (pattern, format) = syntax.schema();
    if let Some(pattern) = pattern {
        schema.insert("pattern".to_owned(), pattern.into());
    }
    if let Some(format) = format {
        schema.insert("format".to_owned(), format.into());
    }
    Value::Object(schema)
}

/// The largest integers and doubles are no bounds that anyone needs to read.
fn bounded(name: &str, min: &Value, max: &Value) -> Value {
    if *max == json!(i64::MAX) || *max == json!(f64::MAX) {
        json!({ "type": name, "minimum": min })
    } else {
        json!({ "type": name, "minimum": min, "maximum": max })
    }
}
