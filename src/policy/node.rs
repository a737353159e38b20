//! The tree that both readers make: JSON values with the place of each.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Where a node begins: line and column from 1, the column in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub line: u32,
    pub column: u32,
}

/// Lists and objects that may stand inside each other.
pub(super) const MAX_DEPTH: usize = 64;

/// Values that a file may hold, counting each use of an alias.
pub(super) const MAX_VALUES: usize = 1_000_000;

/// Text that cannot be read into a tree.
#[derive(Debug)]
pub(super) struct ReadError {
    pub position: Position,
    pub message: String,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node<'t> {
    pub position: Position,
    pub value: Value<'t>,
}

/// A JSON value. Numbers keep their text; objects keep their order and their duplicates.
#[derive(Clone, Debug)]
pub(super) enum Value<'t> {
    Null,
    Bool(bool),
    /// Text in JSON's grammar of numbers.
    Number(Cow<'t, str>),
    String(Cow<'t, str>),
    List(Vec<Node<'t>>),
    Object(Vec<Member<'t>>),
}

/// One member of an object.
#[derive(Clone, Debug)]
pub(super) struct Member<'t> {
    pub name: Cow<'t, str>,
    /// Of the name.
    pub position: Position,
    pub node: Node<'t>,
}

impl Node<'_> {
    /// The members, in order; none where this is no object.
    pub fn members(&self) -> &[Member<'_>] {
        match &self.value {
            Value::Object(members) => members,
            _ => &[],
        }
    }

    /// What this is, for messages.
    pub const fn describe(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::List(_) => "a list",
            Value::Object(_) => "an object",
        }
    }

    /// This as JSON text without blanks, numbers as written.
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        self.write_json(&mut text);
        text
    }

    fn write_json(&self, text: &mut String) {
        match &self.value {
            Value::Null => text.push_str("null"),
            Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => text.push_str(number),
            Value::String(string) => write_json_string(string, text),
            Value::List(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    item.write_json(text);
                }
                text.push(']');
            }
            Value::Object(members) => {
                text.push('{');
                for (index, member) in members.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    write_json_string(&member.name, text);
                    text.push(':');
                    member.node.write_json(text);
                }
                text.push('}');
            }
        }
    }
}

fn write_json_string(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            control if control < ' ' => {
                // Writing to a `String` cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}
