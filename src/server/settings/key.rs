//! The table of what may be set, and what follows from it: checks, suggestions, a JSON Schema.

use serde_json::{Map, Value, json};

use super::suggest::closest;
use super::units::{parse_duration, parse_size};

/// Something that may be set.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// For example `listeners.http.address`; items of a list are `sources[].url`.
    pub path: &'static str,
    pub kind: Kind,
    /// One sentence.
    pub help: &'static str,
}

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Text, or null for "not at all".
    OptionalText,
    /// `http(s)://`, `file://` or a path; credentials in it are refused.
    Url,
    Duration,
    /// A duration, or null.
    OptionalDuration,
    /// Bytes.
    Size,
    Integer,
    Boolean,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of these words.
    Words(&'static [&'static str]),
    /// A list of text.
    Texts,
}

impl Kind {
    /// The value as it is kept (sizes become numbers).
    pub(super) fn check(self, value: &Value) -> Result<Value, String> {
        match (self, value) {
            (Self::OptionalText | Self::OptionalDuration | Self::Url, Value::Null)
            | (Self::Boolean, Value::Bool(_)) => Ok(value.clone()),
            (Self::Integer | Self::Size, Value::Number(number)) if number.is_u64() => {
                Ok(value.clone())
            }
            (Self::Text | Self::OptionalText, Value::Number(number)) => {
                Ok(Value::String(number.to_string()))
            }
            (Self::Words(_) | Self::Texts, Value::Array(items)) => {
                items.iter().map(|item| self.item(item)).collect()
            }
            (Self::Integer | Self::Boolean | Self::Words(_) | Self::Texts, Value::String(_)) => {
                Err(format!("expected {}", self.expected()))
            }
            (_, Value::String(text)) => self.read(text),
            _ => Err(format!("expected {}", self.expected())),
        }
    }

    /// The value that `text` (a variable or a flag) stands for; lists are separated by commas.
    pub(super) fn read(self, text: &str) -> Result<Value, String> {
        let wrong = || format!("`{text}` is not {}", self.expected());
        match self {
            Self::OptionalText | Self::OptionalDuration if text.is_empty() || text == "none" => {
                Ok(Value::Null)
            }
            Self::Text | Self::OptionalText => Ok(text.into()),
            Self::Url => check_url(text).map(|()| text.into()),
            Self::Duration | Self::OptionalDuration => parse_duration(text).map(|_| text.into()),
            Self::Size => parse_size(text).map(Into::into),
            Self::Integer => text.parse::<u64>().map(Into::into).map_err(|_| wrong()),
            Self::Boolean => text.parse::<bool>().map(Into::into).map_err(|_| wrong()),
            Self::Word(words) => known(text, words).map(Into::into),
            Self::Words(_) | Self::Texts => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| self.item(&item.into()))
                .collect(),
        }
    }

    fn item(self, value: &Value) -> Result<Value, String> {
        match (self, value) {
            (Self::Words(words), Value::String(text)) => known(text, words).map(Into::into),
            (Self::Texts, Value::String(_)) => Ok(value.clone()),
            _ => Err(format!("expected {}", self.expected())),
        }
    }

    fn expected(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::OptionalText => "text or null".to_owned(),
            Self::Url => "a URL".to_owned(),
            Self::Duration => "a duration such as 30s".to_owned(),
            Self::OptionalDuration => "a duration such as 30s, or null".to_owned(),
            Self::Size => "a size such as 1MiB".to_owned(),
            Self::Integer => "a whole number, not negative".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Words(words) => format!("a list of {}", words.join(", ")),
            Self::Texts => "a list of text".to_owned(),
        }
    }

    fn schema(self) -> Value {
        match self {
            Self::Text | Self::Url => json!({"type": "string"}),
            Self::OptionalText => json!({"type": ["string", "null"]}),
            Self::Duration => json!({"type": "string", "pattern": DURATION}),
            Self::OptionalDuration => json!({"type": ["string", "null"], "pattern": DURATION}),
            Self::Size => {
                json!({"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+ ?([KMG]iB)?$"})
            }
            Self::Integer => json!({"type": "integer", "minimum": 0}),
            Self::Boolean => json!({"type": "boolean"}),
            Self::Word(words) => json!({"enum": words}),
            Self::Words(words) => json!({"type": "array", "items": {"enum": words}}),
            Self::Texts => json!({"type": "array", "items": {"type": "string"}}),
        }
    }
}

const DURATION: &str = "^(0|([0-9]+(ms|s|m|h|d))+)$";

fn known(text: &str, words: &[&'static str]) -> Result<String, String> {
    if words.contains(&text) {
        return Ok(text.to_owned());
    }
    let hint = closest(text, words.iter().copied())
        .map(|near| format!(" (did you mean `{near}`?)"))
        .unwrap_or_default();
    Err(format!(
        "`{text}` is not known here{hint}: expected one of {}",
        words.join(", ")
    ))
}

/// Credentials do not belong in a URL: it is printed and logged.
fn check_url(text: &str) -> Result<(), String> {
    let authority = text.split_once("://").map_or("", |(_, rest)| {
        rest.split(['/', '?', '#']).next().unwrap_or_default()
    });
    if authority.contains('@') {
        Err("a URL here may not carry credentials: use the `*_file` key beside it".to_owned())
    } else {
        Ok(())
    }
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// `sources[3].url` is the key `sources[].url`.
fn general(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for character in path.chars() {
        inside = match character {
            '[' => true,
            ']' => false,
            _ if inside => continue,
            _ => false,
        };
        out.push(character);
    }
    out
}

pub(super) fn find<'k>(keys: &'k [Key], path: &str) -> Option<&'k Key> {
    let path = general(path);
    keys.iter().find(|key| key.path == path)
}

pub(super) fn is_section(keys: &[Key], path: &str) -> bool {
    below(keys, &general(path), ".")
}

pub(super) fn is_list(keys: &[Key], path: &str) -> bool {
    below(keys, &general(path), "[].")
}

fn below(keys: &[Key], path: &str, after: &str) -> bool {
    keys.iter().any(|key| {
        key.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with(after))
    })
}

/// What to say about a path that is not in the table.
pub(super) fn unknown(keys: &[Key], path: &str) -> String {
    let general = general(path);
    let (parent, name) = general.rsplit_once('.').unwrap_or(("", &general));
    let mut siblings: Vec<&str> = keys
        .iter()
        .filter_map(|key| {
            let rest = if parent.is_empty() {
                key.path
            } else {
                key.path.strip_prefix(parent)?.strip_prefix('.')?
            };
            rest.split(['.', '[']).next()
        })
        .collect();
    siblings.dedup();
    match closest(name, siblings.iter().copied()) {
        Some(near) => format!("unknown key `{path}`: did you mean `{near}`?"),
        None => format!(
            "unknown key `{path}`: expected one of {}",
            siblings.join(", ")
        ),
    }
}

/// JSON Schema (draft 2020-12) of a file with these keys.
#[must_use]
pub fn schema(title: &str, keys: &[Key]) -> Value {
    let mut root = section();
    for key in keys {
        let mut place = &mut root;
        let mut steps = key.path.split('.').peekable();
        while let Some(step) = steps.next() {
            let (name, list) = step
                .strip_suffix("[]")
                .map_or((step, false), |name| (name, true));
            let fresh = if steps.peek().is_none() {
                let mut leaf = key.kind.schema();
                if let Value::Object(members) = &mut leaf {
                    members.insert("description".to_owned(), key.help.into());
                }
                leaf
            } else if list {
                json!({"type": "array", "items": section()})
            } else {
                section()
            };
            let child = properties(place).entry(name.to_owned()).or_insert(fresh);
            place = if list { &mut child["items"] } else { child };
        }
    }
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = title.into();
    root
}

fn section() -> Value {
    json!({"type": "object", "properties": {}, "additionalProperties": false})
}

fn properties(section: &mut Value) -> &mut Map<String, Value> {
    if !section["properties"].is_object() {
        section["properties"] = json!({});
    }
    match &mut section["properties"] {
        Value::Object(members) => members,
        _ => unreachable!("made an object above"),
    }
}
