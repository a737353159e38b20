//! Text to value.

use std::collections::BTreeMap;
use std::sync::Arc;

use regorus::Value;
use regorus::value::{Array, Object};

/// Why text is no JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at byte {offset}")]
pub struct JsonFault {
    pub message: &'static str,
    pub offset: usize,
}

/// The value of one JSON text, nested at most `depth` deep.
///
/// # Errors
///
/// [`JsonFault`].
pub fn parse(text: &[u8], depth: usize) -> Result<Value, JsonFault> {
    let text = std::str::from_utf8(text).map_err(|error| JsonFault {
        message: "invalid UTF-8",
        offset: error.valid_up_to(),
    })?;
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        unescaped: String::new(),
    };
    let value = reader.value(depth)?;
    reader.skip_space();
    if reader.at < reader.bytes.len() {
        return Err(reader.fault("text after the value"));
    }
    Ok(value)
}

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    unescaped: String,
}

impl Reader<'_> {
    fn fault(&self, message: &'static str) -> JsonFault {
        JsonFault {
            message,
            offset: self.at,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonFault> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.fault("expected a value")),
            None => Err(self.fault("the text ends too early")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonFault> {
        if self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word))
        {
            self.at += word.len();
            return Ok(value);
        }
        Err(self.fault("expected a value"))
    }

    /// After an opening bracket: whether there is a first element.
    fn first(&mut self, depth: usize, close: u8) -> Result<bool, JsonFault> {
        if depth == 0 {
            return Err(self.fault("nested too deeply"));
        }
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// After an element: whether another one follows.
    fn more(&mut self, close: u8) -> Result<bool, JsonFault> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(_) => Err(self.fault("expected `,` or the end of the list or object")),
            None => Err(self.fault("the text ends too early")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonFault> {
        let mut items = Vec::new();
        if self.first(depth, b']')? {
            loop {
                items.push(self.value(depth - 1)?);
                if !self.more(b']')? {
                    break;
                }
            }
        }
        Ok(Value::from(Array::from(items)))
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonFault> {
        let mut entries = Vec::new();
        if self.first(depth, b'}')? {
            loop {
                self.skip_space();
                if self.peek() != Some(b'"') {
                    return Err(self.fault("expected a member's name"));
                }
                let name = self.string()?;
                self.skip_space();
                if self.peek() != Some(b':') {
                    return Err(self.fault("expected `:`"));
                }
                self.at += 1;
                entries.push((Value::String(name), self.value(depth - 1)?));
                if !self.more(b'}')? {
                    break;
                }
            }
        }
        // Built at once, of equal names the last one stays; nobody changes it, so it needs no other form.
        let members: BTreeMap<Value, Value> = entries.into_iter().collect();
        Ok(Value::Object(Arc::new(Object::from(members))))
    }

    fn string(&mut self) -> Result<Arc<str>, JsonFault> {
        let start = self.at + 1;
        let plain = self.plain(start);
        if self.bytes.get(plain) == Some(&b'"') {
            self.at = plain + 1;
            return Ok(self.text.get(start..plain).unwrap_or_default().into());
        }
        self.unescaped.clear();
        let mut from = start;
        let mut to = plain;
        loop {
            self.unescaped
                .push_str(self.text.get(from..to).unwrap_or_default());
            self.at = to;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(self.unescaped.as_str().into());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.fault("control character in a string")),
                None => return Err(self.fault("the text ends too early")),
            }
            from = self.at;
            to = self.plain(from);
        }
    }

    /// Where the plain text from `start` on ends.
    fn plain(&self, start: usize) -> usize {
        let rest = self.bytes.get(start..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
        start + length.unwrap_or(rest.len())
    }

    fn escape(&mut self) -> Result<(), JsonFault> {
        self.at += 1;
        let character = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let character = self.unicode()?;
                self.unescaped.push(character);
                return Ok(());
            }
            Some(_) => return Err(self.fault("unknown escape")),
            None => return Err(self.fault("the text ends too early")),
        };
        self.unescaped.push(character);
        self.at += 1;
        Ok(())
    }

    /// What `\u` stands for. Half of a surrogate pair is the replacement character, as in Go.
    fn unicode(&mut self) -> Result<char, JsonFault> {
        let first = self.hex()?;
        if (0xd800..0xdc00).contains(&first) && self.bytes.get(self.at..self.at + 2) == Some(br"\u")
        {
            let before = self.at;
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, JsonFault> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.fault("expected four hex digits"))?;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Value, JsonFault> {
        let start = self.at;
        let mut whole = true;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            whole = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        if whole && let Ok(value) = text.parse::<i64>() {
            return Ok(Value::from(value));
        }
        Value::from_numeric_string(text).map_err(|_| JsonFault {
            message: "the number is out of range",
            offset: start,
        })
    }

    fn digits(&mut self) -> Result<(), JsonFault> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.fault("expected a digit"));
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        Ok(())
    }
}
