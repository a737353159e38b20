//! The leaves of JSON: space, strings, numbers, words. Text is valid UTF-8 already.

use bumpalo::Bump;
use bumpalo::collections::String as BumpString;

use crate::engine::value::Value;

use super::InputError;

/// A place in JSON text.
pub(super) struct Cursor<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
        }
    }

    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    pub fn bump(&mut self) {
        self.at += 1;
    }

    pub fn offset(&self) -> usize {
        self.at
    }

    pub fn error(&self, message: &'static str) -> InputError {
        InputError {
            message: if self.at >= self.bytes.len() {
                "the text ends too early"
            } else {
                message
            },
            offset: self.at,
        }
    }

    #[inline]
    pub fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    pub fn expect(&mut self, byte: u8, message: &'static str) -> Result<(), InputError> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.error(message))
        }
    }

    /// After an opening bracket: whether there is a first element; the cursor is at it then.
    pub fn first(&mut self, close: u8) -> Result<bool, InputError> {
        self.skip_space();
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(_) => Ok(true),
            None => Err(self.error("")),
        }
    }

    /// After an element: whether another one follows; the cursor is at it then.
    pub fn next(&mut self, close: u8) -> Result<bool, InputError> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.skip_space();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.error("expected `,` or the end of the list or object")),
        }
    }

    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    fn digits(&mut self) -> Result<(), InputError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            Err(self.error("expected a digit"))
        } else {
            Ok(())
        }
    }
}

/// `true`, `false` or `null`.
pub(super) fn word<'a>(cursor: &mut Cursor<'a>) -> Result<Value<'a>, InputError> {
    let rest = cursor.bytes.get(cursor.at..).unwrap_or_default();
    let (value, length) = if rest.starts_with(b"true") {
        (Value::Bool(true), 4)
    } else if rest.starts_with(b"false") {
        (Value::Bool(false), 5)
    } else if rest.starts_with(b"null") {
        (Value::Null, 4)
    } else {
        return Err(cursor.error("expected a value"));
    };
    cursor.at += length;
    Ok(value)
}

/// A number: int without fraction and exponent (uint above i64), else double.
pub(super) fn number<'a>(cursor: &mut Cursor<'a>) -> Result<Value<'a>, InputError> {
    let start = cursor.at;
    if cursor.peek() == Some(b'-') {
        cursor.bump();
    }
    if cursor.peek() == Some(b'0') {
        cursor.bump();
    } else {
        cursor.digits()?;
    }
    let mut whole = true;
    if cursor.peek() == Some(b'.') {
        whole = false;
        cursor.bump();
        cursor.digits()?;
    }
    if let Some(b'e' | b'E') = cursor.peek() {
        whole = false;
        cursor.bump();
        if let Some(b'+' | b'-') = cursor.peek() {
            cursor.bump();
        }
        cursor.digits()?;
    }
    parse_number(cursor.slice(start, cursor.at), whole).ok_or(InputError {
        message: "number out of range",
        offset: start,
    })
}

/// The value of a number's text, which follows JSON's grammar; `whole` says that it has neither
/// fraction nor exponent. None where it is beyond a double.
pub(in crate::engine) fn parse_number<'a>(text: &str, whole: bool) -> Option<Value<'a>> {
    if whole {
        if let Ok(value) = text.parse::<i64>() {
            return Some(Value::Int(value));
        }
        if let Ok(value) = text.parse::<u64>() {
            return Some(Value::Uint(value));
        }
    }
    text.parse::<f64>()
        .ok()
        .filter(|value| value.is_finite())
        .map(Value::Double)
}

/// A string: borrowed from the text where it has no escapes, else unescaped into the arena.
pub(super) fn string<'a>(cursor: &mut Cursor<'a>, arena: &'a Bump) -> Result<&'a str, InputError> {
    cursor.bump();
    let start = cursor.at;
    plain(cursor)?;
    if cursor.peek() == Some(b'"') {
        let text = cursor.slice(start, cursor.at);
        cursor.bump();
        return Ok(text);
    }
    let mut out = BumpString::from_str_in(cursor.slice(start, cursor.at), arena);
    loop {
        match cursor.peek() {
            Some(b'"') => {
                cursor.bump();
                return Ok(out.into_bump_str());
            }
            Some(b'\\') => out.push(escape(cursor)?),
            _ => {
                let start = cursor.at;
                plain(cursor)?;
                out.push_str(cursor.slice(start, cursor.at));
            }
        }
    }
}

/// A string nobody reads.
pub(super) fn skip_string(cursor: &mut Cursor<'_>) -> Result<(), InputError> {
    cursor.bump();
    loop {
        plain(cursor)?;
        if cursor.peek() == Some(b'"') {
            cursor.bump();
            return Ok(());
        }
        escape(cursor)?;
    }
}

/// Goes to the next quote or backslash.
#[inline]
fn plain(cursor: &mut Cursor<'_>) -> Result<(), InputError> {
    let length = plain_length(cursor.bytes.get(cursor.at..).unwrap_or_default());
    match length {
        None => {
            cursor.at = cursor.bytes.len();
            Err(cursor.error(""))
        }
        Some(length) => {
            cursor.at += length;
            match cursor.peek() {
                Some(b'"' | b'\\') => Ok(()),
                _ => Err(cursor.error("control character in a string")),
            }
        }
    }
}

/// How many bytes lie before the first quote, backslash or control character; None where there is none.
///
/// Eight bytes at a time: the lowest flagged byte of each test is exact, and only that one is used
/// (Hacker's Delight, 6-1).
fn plain_length(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(0x20 * ONES) & !word & HIGHS;
        let quote = zero(word ^ (u64::from(b'"') * ONES));
        let backslash = zero(word ^ (u64::from(b'\\') * ONES));
        let found = control | quote | backslash;
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    rest.iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
        .map(|position| words.len() * 8 + position)
}

fn escape(cursor: &mut Cursor<'_>) -> Result<char, InputError> {
    cursor.bump();
    let character = match cursor.peek() {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            cursor.bump();
            return unicode_escape(cursor);
        }
        _ => return Err(cursor.error("unknown escape")),
    };
    cursor.bump();
    Ok(character)
}

fn unicode_escape(cursor: &mut Cursor<'_>) -> Result<char, InputError> {
    let start = cursor.at;
    let lone = InputError {
        message: "half of a surrogate pair",
        offset: start,
    };
    let first = hex(cursor)?;
    if !(0xd800..0xe000).contains(&first) {
        return char::from_u32(first).ok_or(lone);
    }
    let rest = cursor.bytes.get(cursor.at..).unwrap_or_default();
    if first >= 0xdc00 || !rest.starts_with(b"\\u") {
        return Err(lone);
    }
    cursor.at += 2;
    let second = hex(cursor)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Err(lone);
    }
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(lone)
}

fn hex(cursor: &mut Cursor<'_>) -> Result<u32, InputError> {
    let mut value = 0;
    for _ in 0..4 {
        let digit = cursor
            .peek()
            .and_then(|byte| char::from(byte).to_digit(16))
            .ok_or_else(|| cursor.error("expected four hex digits"))?;
        value = value * 16 + digit;
        cursor.bump();
    }
    Ok(value)
}
