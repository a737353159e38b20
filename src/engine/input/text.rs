//! The leaves of JSON: space, strings, numbers, words. Text is valid UTF-8 already.
//!
//! A place in the text is a byte offset that every reader takes and gives back; zero stands for the byte after
//! the end, which no value may hold outside of a string.

use std::cell::Cell;

use bumpalo::Bump;
use bumpalo::collections::String as BumpString;

use crate::engine::value::Value;

use super::InputError;
use super::block::{BLOCK, first_stop};

/// JSON text that is being read.
pub(super) struct Text<'a> {
    whole: &'a str,
    pub bytes: &'a [u8],
    fault: Cell<Option<InputError>>,
}

/// The text is no JSON; [`Text::fault`] says why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused;

impl<'a> Text<'a> {
    pub fn new(text: &'a str) -> Self {
        Self {
            whole: text,
            bytes: text.as_bytes(),
            fault: Cell::new(None),
        }
    }

    #[inline]
    pub fn peek(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// Why reading ended. Called after [`Refused`].
    pub fn fault(&self) -> InputError {
        self.fault.take().unwrap_or(InputError {
            message: "invalid JSON",
            offset: 0,
        })
    }

    /// Ends reading for this reason.
    #[cold]
    #[inline(never)]
    pub fn refuse(&self, message: &'static str, at: usize) -> Refused {
        let ended = at >= self.bytes.len();
        self.fault.set(Some(InputError {
            message: if ended {
                "the text ends too early"
            } else {
                message
            },
            offset: at.min(self.bytes.len()),
        }));
        Refused
    }

    /// The first place that is no space.
    #[inline]
    pub fn skip_space(&self, mut at: usize) -> usize {
        if self.peek(at) > b' ' {
            return at;
        }
        while let b' ' | b'\t' | b'\n' | b'\r' = self.peek(at) {
            at += 1;
        }
        at
    }

    /// The place of the value after a member's name.
    #[inline]
    pub fn colon(&self, at: usize) -> Result<usize, Refused> {
        let at = self.skip_space(at);
        if self.peek(at) == b':' {
            Ok(self.skip_space(at + 1))
        } else {
            Err(self.refuse("expected `:`", at))
        }
    }

    /// After an element: the place of the next one, or of what comes after the list or object.
    #[inline]
    pub fn next(&self, at: usize, close: u8) -> Result<(bool, usize), Refused> {
        let mut at = at;
        let mut byte = self.peek(at);
        if byte <= b' ' {
            at = self.skip_space(at);
            byte = self.peek(at);
        }
        if byte == b',' {
            Ok((true, self.skip_space(at + 1)))
        } else if byte == close {
            Ok((false, at + 1))
        } else {
            Err(self.refuse("expected `,` or the end of the list or object", at))
        }
    }

    #[inline]
    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.whole.get(from..to).unwrap_or_default()
    }

    /// The place after a string without escapes that begins at `at`; None where there is no such, and where it ends in the
    /// last bytes of the text.
    #[inline]
    pub fn plain_end(&self, at: usize) -> Option<usize> {
        self.plain_string(at).map(|(_, end)| end)
    }

    /// As [`Text::plain_end`], with the string's text.
    #[inline]
    #[expect(
        unsafe_code,
        reason = "both ends are known; `mutated_bodies_are_read_as_serde_json_reads_them` reads characters of all lengths"
    )]
    pub fn plain_string(&self, at: usize) -> Option<(&'a str, usize)> {
        let [b'"', rest @ ..] = self.bytes.get(at..)? else {
            return None;
        };
        let mut length = 0;
        loop {
            let block: &[u8; BLOCK] = rest.get(length..)?.first_chunk()?;
            let stop = first_stop(block);
            length += stop;
            match block.get(stop) {
                Some(b'"') => break,
                Some(_) => return None,
                None => {}
            }
        }
        let text = rest.get(..length)?;
        // SAFETY: `text` is a part of `whole`, which is UTF-8, from behind one quote to before another. A quote is a
        // character by itself, so that the part holds whole characters.
        Some((
            unsafe { std::str::from_utf8_unchecked(text) },
            at + length + 2,
        ))
    }

    /// The first quote or backslash at or after `at`, which lies within a string.
    pub fn plain(&self, mut at: usize) -> Result<usize, Refused> {
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let Some(block) = rest.first_chunk() else {
                return self.last_plain(at);
            };
            let stop = first_stop(block);
            at += stop;
            if stop < BLOCK {
                return self.ends_plain(at);
            }
        }
    }

    /// As [`Text::plain`], where less than a block is left.
    fn last_plain(&self, at: usize) -> Result<usize, Refused> {
        let rest = self.bytes.get(at..).unwrap_or_default();
        let mut block = [0; BLOCK];
        if let Some(start) = block.get_mut(..rest.len()) {
            start.copy_from_slice(rest);
        }
        self.ends_plain(at + first_stop(&block))
    }

    #[inline]
    fn ends_plain(&self, at: usize) -> Result<usize, Refused> {
        match self.peek(at) {
            b'"' | b'\\' => Ok(at),
            _ => Err(self.refuse("control character in a string", at)),
        }
    }

    /// A string that begins at `at`: borrowed from the text where it has no escapes, else unescaped into the arena.
    pub fn string(&self, at: usize, arena: &'a Bump) -> Result<(&'a str, usize), Refused> {
        let start = at + 1;
        let end = self.plain(start)?;
        if self.peek(end) == b'"' {
            Ok((self.slice(start, end), end + 1))
        } else {
            self.unescaped(start, end, arena)
        }
    }

    /// A string whose first escape is at `at`.
    #[cold]
    pub fn unescaped(
        &self,
        start: usize,
        mut at: usize,
        arena: &'a Bump,
    ) -> Result<(&'a str, usize), Refused> {
        let mut out = BumpString::from_str_in(self.slice(start, at), arena);
        while self.peek(at) != b'"' {
            let (character, after) = self.escape(at)?;
            out.push(character);
            at = self.plain(after)?;
            out.push_str(self.slice(after, at));
        }
        Ok((out.into_bump_str(), at + 1))
    }

    /// The place after a string that nobody reads and that begins at `at`.
    pub fn skip_string(&self, at: usize) -> Result<usize, Refused> {
        let mut at = self.plain(at + 1)?;
        while self.peek(at) != b'"' {
            let (_, after) = self.escape(at)?;
            at = self.plain(after)?;
        }
        Ok(at + 1)
    }

    /// The character of an escape, and the place after it.
    #[cold]
    fn escape(&self, at: usize) -> Result<(char, usize), Refused> {
        let character = match self.peek(at + 1) {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(at + 2),
            _ => return Err(self.refuse("unknown escape", at + 1)),
        };
        Ok((character, at + 2))
    }

    fn unicode_escape(&self, at: usize) -> Result<(char, usize), Refused> {
        let lone = || self.refuse("half of a surrogate pair", at);
        let first = self.hex(at)?;
        if !(0xd800..0xe000).contains(&first) {
            return Ok((char::from_u32(first).ok_or_else(lone)?, at + 4));
        }
        if first >= 0xdc00 || self.peek(at + 4) != b'\\' || self.peek(at + 5) != b'u' {
            return Err(lone());
        }
        let second = self.hex(at + 6)?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(lone());
        }
        let character = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
        Ok((character.ok_or_else(lone)?, at + 10))
    }

    fn hex(&self, at: usize) -> Result<u32, Refused> {
        let mut value = 0;
        for place in at..at + 4 {
            let digit = char::from(self.peek(place)).to_digit(16);
            let digit = digit.ok_or_else(|| self.refuse("expected four hex digits", place))?;
            value = value * 16 + digit;
        }
        Ok(value)
    }

    /// `true`, `false` or `null`.
    #[inline]
    pub fn word(&self, at: usize) -> Result<(Value<'a>, usize), Refused> {
        let rest = self.bytes.get(at..).unwrap_or_default();
        if rest.starts_with(b"true") {
            Ok((Value::Bool(true), at + 4))
        } else if rest.starts_with(b"false") {
            Ok((Value::Bool(false), at + 5))
        } else if rest.starts_with(b"null") {
            Ok((Value::Null, at + 4))
        } else {
            Err(self.refuse("expected a value", at))
        }
    }

    /// A number: int without fraction and exponent (uint above i64), else double.
    #[inline]
    pub fn number(&self, start: usize) -> Result<(Value<'a>, usize), Refused> {
        let negative = self.peek(start) == b'-';
        let first = start + usize::from(negative);
        let (whole, end) = self.digits(first, 0)?;
        if end - first > 1 && self.peek(first) == b'0' {
            return Err(self.refuse("a digit after a leading zero", first + 1));
        }
        match self.peek(end) {
            b'.' => {
                let (digits, after) = self.digits(end + 1, whole)?;
                let exact = after - first <= MANTISSA_DIGITS;
                let scale = POWERS_OF_TEN.get(after - end - 1).filter(|_| exact);
                match (self.peek(after) | 0x20, scale) {
                    (b'e', _) => self.exponent(start, after),
                    // Both are exact doubles, so that the quotient is the nearest one.
                    (_, Some(scale)) => {
                        let value = digits as f64 / scale;
                        Ok((Value::Double(if negative { -value } else { value }), after))
                    }
                    (_, None) => self.long_number(start, after, false),
                }
            }
            b'e' | b'E' => self.exponent(start, end),
            _ if end - first < 19 => {
                let whole = whole as i64;
                Ok((Value::Int(if negative { -whole } else { whole }), end))
            }
            _ => self.long_number(start, end, true),
        }
    }

    /// At least one digit; the number that they continue.
    #[inline]
    fn digits(&self, start: usize, mut number: u64) -> Result<(u64, usize), Refused> {
        let mut at = start;
        loop {
            let digit = self.peek(at).wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        if at == start {
            Err(self.refuse("expected a digit", at))
        } else {
            Ok((number, at))
        }
    }

    #[cold]
    fn exponent(&self, start: usize, at: usize) -> Result<(Value<'a>, usize), Refused> {
        let signed = matches!(self.peek(at + 1), b'+' | b'-');
        let (_, end) = self.digits(at + 1 + usize::from(signed), 0)?;
        self.long_number(start, end, false)
    }

    #[cold]
    fn long_number(
        &self,
        start: usize,
        end: usize,
        whole: bool,
    ) -> Result<(Value<'a>, usize), Refused> {
        match parse_number(self.slice(start, end), whole) {
            Some(value) => Ok((value, end)),
            None => Err(self.refuse("number out of range", start)),
        }
    }
}

/// So many digits and a point: an integer below 2^53.
const MANTISSA_DIGITS: usize = 16;

/// Those that a double holds exactly, as far as [`MANTISSA_DIGITS`] can ask for them.
const POWERS_OF_TEN: [f64; 16] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];

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
