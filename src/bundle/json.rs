//! JSON as OPA hashes it: numbers keep their text, and a member name must not come twice.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Write};

/// Nesting beyond this is refused.
const MAX_DEPTH: usize = 128;

/// A value with the text of its numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node<'a> {
    /// `true`, `false`, `null` or a number, as written.
    Literal(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(BTreeMap<Cow<'a, str>, Node<'a>>),
}

/// Text that is no JSON value, too deep, or that repeats a member name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at byte {offset})")]
pub(super) struct JsonError {
    message: String,
    offset: usize,
}

/// Parses one JSON value with nothing but white space around it; a UTF-8 byte order mark is skipped.
pub(super) fn parse(bytes: &[u8]) -> Result<Node<'_>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError {
        message: "not UTF-8".to_owned(),
        offset: error.valid_up_to(),
    })?;
    let mut parser = Parser {
        text: text.strip_prefix('\u{feff}').unwrap_or(text),
        at: 0,
    };
    let node = parser.value(0)?;
    parser.space();
    if parser.at == parser.text.len() {
        Ok(node)
    } else {
        Err(parser.error("text after the value"))
    }
}

impl Node<'_> {
    /// Writes the form that OPA hashes: no white space, members sorted by the bytes of their names.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Literal(text) => out.write_all(text.as_bytes()),
            Self::String(text) => write_string(text, out),
            Self::Array(items) => {
                out.write_all(b"[")?;
                for (index, item) in items.iter().enumerate() {
                    separate(index, out)?;
                    item.write(out)?;
                }
                out.write_all(b"]")
            }
            Self::Object(members) => {
                out.write_all(b"{")?;
                for (index, (name, value)) in members.iter().enumerate() {
                    separate(index, out)?;
                    write_string(name, out)?;
                    out.write_all(b":")?;
                    value.write(out)?;
                }
                out.write_all(b"}")
            }
        }
    }
}

fn separate(index: usize, out: &mut dyn Write) -> io::Result<()> {
    if index > 0 {
        out.write_all(b",")
    } else {
        Ok(())
    }
}

/// Go's `encoding/json` with HTML escaping off.
fn write_string(text: &str, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"\"")?;
    let mut buffer = [0; 4];
    for character in text.chars() {
        match character {
            '"' => out.write_all(b"\\\"")?,
            '\\' => out.write_all(b"\\\\")?,
            '\u{8}' => out.write_all(b"\\b")?,
            '\u{c}' => out.write_all(b"\\f")?,
            '\n' => out.write_all(b"\\n")?,
            '\r' => out.write_all(b"\\r")?,
            '\t' => out.write_all(b"\\t")?,
            '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                write!(out, "\\u{:04x}", u32::from(character))?;
            }
            _ => out.write_all(character.encode_utf8(&mut buffer).as_bytes())?,
        }
    }
    out.write_all(b"\"")
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Node<'a>, JsonError> {
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Node::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node<'a>, JsonError> {
        self.at += 1;
        let mut members = BTreeMap::new();
        self.space();
        if self.take(b'}') {
            return Ok(Node::Object(members));
        }
        loop {
            self.space();
            let start = self.at;
            let name = self.string()?;
            self.space();
            self.expect(b':')?;
            let value = self.value(depth + 1)?;
            match members.entry(name) {
                Entry::Vacant(vacant) => vacant.insert(value),
                Entry::Occupied(occupied) => {
                    let name: String = occupied.key().chars().take(64).collect();
                    self.at = start;
                    return Err(self.error(&format!("the member `{name}` is there twice")));
                }
            };
            self.space();
            if self.take(b'}') {
                return Ok(Node::Object(members));
            }
            self.expect(b',')?;
        }
    }

    fn array(&mut self, depth: usize) -> Result<Node<'a>, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Node::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(Node::Array(items));
            }
            self.expect(b',')?;
        }
    }

    /// A string without escapes is borrowed; one with escapes is left to `serde_json`.
    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let start = self.at;
        self.expect(b'"')?;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(0..=0x1f) => return Err(self.error("a control character in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.error("a string that does not end")),
            }
        }
        self.at += 1;
        let quoted = self.slice(start, self.at);
        if !escaped {
            return Ok(Cow::Borrowed(self.slice(start + 1, self.at - 1)));
        }
        serde_json::from_str(quoted)
            .map(Cow::Owned)
            .map_err(|error| {
                self.at = start;
                self.error(&format!("a string that is none: {error}"))
            })
    }

    fn number(&mut self) -> Result<Node<'a>, JsonError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') && !self.digits() {
            return Err(self.error("a number without digits"));
        }
        if self.take(b'.') && !self.digits() {
            return Err(self.error("a number without digits after its point"));
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            if !self.digits() {
                return Err(self.error("a number without digits in its exponent"));
            }
        }
        Ok(Node::Literal(self.slice(start, self.at)))
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at > start
    }

    fn word(&mut self) -> Result<Node<'a>, JsonError> {
        let rest = self.slice(self.at, self.text.len());
        for word in ["true", "false", "null"] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(Node::Literal(word));
            }
        }
        Err(self.error("no JSON value"))
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.error(&format!("expected `{}`", char::from(byte))))
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Both ends lie beside ASCII characters, so between characters.
    fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    fn error(&self, message: &str) -> JsonError {
        JsonError {
            message: message.to_owned(),
            offset: self.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compact(text: &str) -> String {
        let mut out = Vec::new();
        parse(text.as_bytes()).unwrap().write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_keep_their_text_and_members_are_sorted() {
        assert_eq!(
            compact(" {\"b\" : [ 1.0 , -0, 1e2,true,null ], \"a\\u0062\": \"x\" , \"\": {} } "),
            r#"{"":{},"ab":"x","b":[1.0,-0,1e2,true,null]}"#
        );
    }

    #[test]
    fn strings_are_escaped_as_go_does() {
        assert_eq!(
            compact(r#""<&>\/\u00e9\u2028\u0008\u0001\"\\\ud83d\ude00""#),
            "\"<&>/\u{e9}\\u2028\\b\\u0001\\\"\\\\\u{1f600}\""
        );
    }

    #[test]
    fn a_member_twice_is_refused_however_it_is_spelled() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"x":{"a":1,"b":2,"a":3}}]"#,
        ] {
            assert!(
                parse(text.as_bytes())
                    .unwrap_err()
                    .message
                    .contains("twice"),
                "{text}"
            );
        }
    }

    #[test]
    fn garbage_is_refused() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "01",
            "1.",
            "1e",
            "-",
            "+1",
            "nul",
            "\"\\x\"",
            "\"\\",
            "\"a",
            "1 2",
            "\"\u{1}\"",
            "\"\\ud800\"",
            "{\"a\":1,}",
            "\u{feff}\u{feff}1",
            deep.as_str(),
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:.20}");
        }
        assert!(parse(b"\xff").is_err());
        assert!(parse("\u{feff}1".as_bytes()).is_ok());
    }
}
