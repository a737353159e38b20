//! Checks a tree against the table of shapes, reporting everything that is wrong.

use super::cursor::{Cursor, Errors, camel_case, is_spelling};
use super::node::Value;
use super::shape::{Field, Form, Shape};
use super::suggest::suggestion;

/// Checks that `cursor` is an object of this shape.
pub(super) fn check_object(cursor: &Cursor<'_>, shape: &Shape, errors: &mut Errors) {
    let Value::Object(members) = cursor.value() else {
        return mismatch(cursor, "an object", errors);
    };
    check_duplicates(cursor, Some(shape), errors);
    for (member, (name, value)) in members.iter().zip(cursor.entries()) {
        if let Some(field) = shape.field(name) {
            check(&value, &field.form, errors);
        } else {
            let known = shape.fields.iter().map(|field| field.name);
            let hint = suggestion(name, known);
            errors.push(
                &value.placed(member.position),
                format!("unknown field `{name}`{hint}"),
            );
        }
    }
    for field in shape.fields.iter().filter(|field| field.required) {
        if !cursor.has(field.name) {
            errors.push(cursor, format!("the field `{}` is missing", field.name));
        }
    }
}

impl Shape {
    fn field(&self, written: &str) -> Option<&Field> {
        self.fields
            .iter()
            .find(|field| field.name == written || (self.camel && is_spelling(written, field.name)))
    }
}

/// Reports members that are there twice, in a shape that knows spellings also in two of them.
fn check_duplicates(cursor: &Cursor<'_>, shape: Option<&Shape>, errors: &mut Errors) {
    let members = cursor.node().members();
    let camel = shape.is_some_and(|shape| shape.camel);
    let mut seen: std::collections::HashMap<String, &str> = std::collections::HashMap::new();
    for (member, (name, value)) in members.iter().zip(cursor.entries()) {
        let key = if camel {
            camel_case(name)
        } else {
            name.to_owned()
        };
        match seen.insert(key, name) {
            Some(first) if first == name => errors.push(
                &value.placed(member.position),
                format!("the field `{name}` is there twice"),
            ),
            Some(first) => errors.push(
                &value.placed(member.position),
                format!("`{name}` and `{first}` are the same field"),
            ),
            None => {}
        }
    }
}

/// Reports duplicate members anywhere in a value whose shape is the author's.
pub(super) fn check_free(cursor: &Cursor<'_>, errors: &mut Errors) {
    if errors.is_full() {
        return;
    }
    match cursor.value() {
        Value::Object(_) => {
            check_duplicates(cursor, None, errors);
            for (_, value) in cursor.entries() {
                check_free(&value, errors);
            }
        }
        Value::List(_) => {
            for item in cursor.items() {
                check_free(&item, errors);
            }
        }
        _ => {}
    }
}

fn check(cursor: &Cursor<'_>, form: &Form, errors: &mut Errors) {
    if errors.is_full() {
        return;
    }
    match form {
        Form::Text(syntax) => match cursor.value() {
            Value::String(text) => {
                if let Err(message) = syntax.check(text) {
                    errors.push(cursor, message);
                }
            }
            Value::Number(_) | Value::Bool(_) => errors.push(
                cursor,
                format!(
                    "expected a string, found {}: put it in quotes",
                    cursor.node().describe()
                ),
            ),
            _ => mismatch(cursor, "a string", errors),
        },
        Form::OneOf(words) => check_word(cursor, words, errors),
        Form::Expression => match cursor.value() {
            Value::String(text) if text.trim().is_empty() => {
                errors.push(cursor, "an expression must not be empty");
            }
            Value::String(_) | Value::Number(_) | Value::Bool(_) => {}
            _ => mismatch(cursor, "an expression", errors),
        },
        Form::Flag => {
            if !matches!(cursor.value(), Value::Bool(_)) {
                mismatch(cursor, "true or false", errors);
            }
        }
        Form::Integer { min, max } => check_integer(cursor, *min, *max, errors),
        Form::Number { min, max } => check_number(cursor, *min, *max, errors),
        Form::List { items, at_least } => check_list(cursor, items, *at_least, errors),
        Form::Map { names, values } => {
            let Value::Object(members) = cursor.value() else {
                return mismatch(cursor, "an object", errors);
            };
            check_duplicates(cursor, None, errors);
            for (member, (name, value)) in members.iter().zip(cursor.entries()) {
                if let Err(message) = names.check(name) {
                    errors.push(&value.placed(member.position), message);
                }
                check(&value, values, errors);
            }
        }
        Form::Object(shape) => check_object(cursor, shape, errors),
        Form::AnyObject => {
            if matches!(cursor.value(), Value::Object(_)) {
                check_free(cursor, errors);
            } else {
                mismatch(cursor, "an object", errors);
            }
        }
        Form::Any => check_free(cursor, errors),
        Form::OrNull(form) => {
            if !matches!(cursor.value(), Value::Null) {
                check(cursor, form, errors);
            }
        }
    }
}

fn mismatch(cursor: &Cursor<'_>, expected: &str, errors: &mut Errors) {
    let found = cursor.node().describe();
    errors.push(cursor, format!("expected {expected}, found {found}"));
}

fn check_word(cursor: &Cursor<'_>, words: &[&str], errors: &mut Errors) {
    let Value::String(text) = cursor.value() else {
        return mismatch(cursor, "a string", errors);
    };
    if words.contains(&&**text) {
        return;
    }
    let hint = suggestion(text, words.iter().copied());
    let known: Vec<String> = words
        .iter()
        .filter(|word| !word.is_empty())
        .map(|word| format!("`{word}`"))
        .collect();
    let message = match known.as_slice() {
        [only] => format!("`{text}` is not known: expected {only}"),
        known => format!("`{text}` is none of {}{hint}", known.join(", ")),
    };
    errors.push(cursor, message);
}

fn check_integer(cursor: &Cursor<'_>, min: i64, max: i64, errors: &mut Errors) {
    let Value::Number(text) = cursor.value() else {
        return mismatch(cursor, "a whole number", errors);
    };
    if text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return errors.push(cursor, format!("expected a whole number, found `{text}`"));
    }
    let in_range = text
        .parse()
        .is_ok_and(|number: i64| (min..=max).contains(&number));
    if !in_range {
        errors.push(cursor, format!("`{text}` is not between {min} and {max}"));
    }
}

fn check_number(cursor: &Cursor<'_>, min: f64, max: f64, errors: &mut Errors) {
    let Value::Number(text) = cursor.value() else {
        return mismatch(cursor, "a number", errors);
    };
    let number: f64 = text.parse().unwrap_or(f64::INFINITY);
    if number < min {
        errors.push(cursor, format!("`{text}` is less than {min}"));
    } else if number > max {
        errors.push(cursor, format!("`{text}` is more than {max}"));
    }
}

fn check_list(cursor: &Cursor<'_>, items: &Form, at_least: usize, errors: &mut Errors) {
    let Value::List(list) = cursor.value() else {
        return mismatch(cursor, "a list", errors);
    };
    if list.len() < at_least {
        errors.push(
            cursor,
            "the list must not be empty: leave the field out where nothing is meant",
        );
    }
    for item in cursor.items() {
        check(&item, items, errors);
    }
}
