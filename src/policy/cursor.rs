//! A node with its way from the document's root: what places are made of.

use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;

use super::document::{Named, Text};
use super::error::{Place, PolicyError};
use super::node::{Node, Position, Value};

/// What a missing field looks like to those who read it: the checker has reported it already.
static ABSENT: Node<'static> = Node {
    position: Position { line: 0, column: 0 },
    value: Value::Null,
};

/// The errors of a file, bounded.
#[derive(Debug)]
pub(super) struct Errors {
    pub file: Arc<str>,
    pub list: Vec<PolicyError>,
}

/// Errors reported for one file; a file that is wrong everywhere need not say so a million times.
const MAX_ERRORS: usize = 100;

impl Errors {
    pub fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            list: Vec::new(),
        }
    }

    /// Whether further errors would be dropped.
    pub fn is_full(&self) -> bool {
        self.list.len() >= MAX_ERRORS
    }

    pub fn push(&mut self, cursor: &Cursor<'_>, message: impl Into<String>) {
        if !self.is_full() {
            self.list.push(PolicyError {
                place: cursor.place(&self.file),
                message: message.into(),
            });
        }
    }

    pub fn push_at(&mut self, position: Position, message: impl Into<String>) {
        if !self.is_full() {
            self.list.push(PolicyError {
                place: Place {
                    file: Arc::clone(&self.file),
                    line: position.line,
                    column: position.column,
                    path: "".into(),
                },
                message: message.into(),
            });
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Item(usize),
}

/// A node, and how it was reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    node: &'a Node<'a>,
    position: Position,
    step: Step<'a>,
    parent: Option<&'a Cursor<'a>>,
}

impl<'a> Cursor<'a> {
    pub fn root(node: &'a Node<'a>) -> Self {
        Self {
            node,
            position: node.position,
            step: Step::Root,
            parent: None,
        }
    }

    pub const fn node(&self) -> &'a Node<'a> {
        self.node
    }

    pub fn value(&self) -> &'a Value<'a> {
        &self.node.value
    }

    /// The field `name` in any spelling of it, or null at this place where it is absent.
    pub fn at<'c>(&'c self, name: &'c str) -> Cursor<'c> {
        let member = self
            .node
            .members()
            .iter()
            .find(|member| is_spelling(&member.name, name));
        let (node, position) = match member {
            Some(member) => (&member.node, member.node.position),
            None => (&ABSENT, self.position),
        };
        Cursor {
            node,
            position,
            step: Step::Field(name),
            parent: Some(self),
        }
    }

    /// Whether the field `name` is there.
    pub fn has(&self, name: &str) -> bool {
        let members = self.node.members();
        members.iter().any(|member| is_spelling(&member.name, name))
    }

    /// The members of an object, each placed at its name, with the value beside it.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Cursor<'_>)> {
        self.node.members().iter().map(|member| {
            let cursor = Cursor {
                node: &member.node,
                position: member.node.position,
                step: Step::Field(&member.name),
                parent: Some(self),
            };
            (&*member.name, cursor)
        })
    }

    /// The items of a list; none where this is no list.
    pub fn items(&self) -> impl Iterator<Item = Cursor<'_>> {
        let items: &[Node<'_>] = match &self.node.value {
            Value::List(items) => items,
            _ => &[],
        };
        items.iter().enumerate().map(|(index, node)| Cursor {
            node,
            position: node.position,
            step: Step::Item(index),
            parent: Some(self),
        })
    }

    /// This cursor, its place being `position` (that of a field's name).
    pub const fn placed(mut self, position: Position) -> Self {
        self.position = position;
        self
    }

    pub fn place(&self, file: &Arc<str>) -> Place {
        let mut path = String::new();
        self.write_path(&mut path);
        Place {
            file: Arc::clone(file),
            line: self.position.line,
            column: self.position.column,
            path: path.into(),
        }
    }

    fn write_path(&self, path: &mut String) {
        if let Some(parent) = self.parent {
            parent.write_path(path);
        }
        // Writing to a `String` cannot fail.
        let _ = match self.step {
            Step::Root => Ok(()),
            Step::Item(index) => write!(path, "[{index}]"),
            Step::Field(name) if is_plain(name) => {
                let dot = if path.is_empty() { "" } else { "." };
                write!(path, "{dot}{name}")
            }
            Step::Field(name) => write!(path, "[{name:?}]"),
        };
    }

    /// The string here; empty where there is none.
    pub fn text(&self) -> &'a str {
        self.optional_text().unwrap_or_default()
    }

    pub fn optional_text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn flag(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    /// The number here, or the default (zero) where there is none or it does not fit.
    pub fn number<T: FromStr + Default>(&self) -> T {
        match &self.node.value {
            Value::Number(text) => text.parse().unwrap_or_default(),
            _ => T::default(),
        }
    }

    /// The strings of a list.
    pub fn texts(&self) -> Vec<String> {
        self.items().map(|item| item.text().to_owned()).collect()
    }

    /// The expression here, as text.
    pub fn expression(&self, file: &Arc<str>) -> Text {
        let value = match &self.node.value {
            Value::String(text) | Value::Number(text) => text.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => String::new(),
        };
        Text {
            value,
            place: self.place(file),
        }
    }

    /// The expression in the field `name`, if it is there.
    pub fn optional_expression(&self, name: &str, file: &Arc<str>) -> Option<Text> {
        self.has(name).then(|| self.at(name).expression(file))
    }

    /// A map of expressions, in the order written.
    pub fn named(&self, file: &Arc<str>) -> Vec<Named> {
        self.entries()
            .map(|(name, cursor)| Named {
                name: name.to_owned(),
                expression: cursor.expression(file),
            })
            .collect()
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Whether `written` is `name`, or `name` in camelCase.
pub(super) fn is_spelling(written: &str, name: &str) -> bool {
    written == name || (name.contains('_') && written == camel_case(name))
}

/// `minimum_tls_version` as `minimumTlsVersion`.
pub(super) fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for character in name.chars() {
        if character == '_' {
            upper = true;
        } else if upper {
            camel.push(character.to_ascii_uppercase());
            upper = false;
        } else {
            camel.push(character);
        }
    }
    camel
}
