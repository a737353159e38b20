//! Reads JSON text (RFC 8259) into a tree with places. A reader of our own, because a tree needs what
//! common readers drop: the place of every value, the text of every number, and duplicate members.

use std::borrow::Cow;

use super::node::{MAX_DEPTH, MAX_VALUES, Member, Node, Position, ReadError, Value};

/// Reads one JSON value that fills `text`.
pub(super) fn read(text: &str) -> Result<Node<'_>, ReadError> {
    let mut reader = Reader {
        text,
        offset: 0,
        counted: 0,
        position: Position { line: 1, column: 1 },
        values: 0,
    };
    let node = reader.value(0)?;
    reader.skip_blanks();
    if reader.offset < text.len() {
        return Err(reader.error("unexpected text after the JSON value"));
    }
    Ok(node)
}

struct Reader<'t> {
    text: &'t str,
    offset: usize,
    /// The offset that `position` stands for; lags behind `offset` so that each byte is counted once.
    counted: usize,
    position: Position,
    values: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.offset += 1;
        }
    }

    fn position(&mut self) -> Position {
        let passed = self
            .text
            .as_bytes()
            .get(self.counted..self.offset)
            .unwrap_or_default();
        for byte in passed {
            match byte {
                b'\n' => {
                    self.position.line += 1;
                    self.position.column = 1;
                }
                // Continuation bytes of UTF-8 begin no character.
                0x80..=0xBF => {}
                _ => self.position.column += 1,
            }
        }
        self.counted = self.offset;
        self.position
    }

    fn error(&mut self, message: impl Into<String>) -> ReadError {
        ReadError {
            position: self.position(),
            message: message.into(),
        }
    }

    fn unexpected(&mut self, expected: &str) -> ReadError {
        let rest = self.text.get(self.offset..).unwrap_or_default();
        match rest.chars().next() {
            Some(found) => self.error(format!(
                "expected {expected}, found `{}`",
                found.escape_debug()
            )),
            None => self.error(format!("expected {expected}, but the text ends here")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node<'t>, ReadError> {
        self.skip_blanks();
        let position = self.position();
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.error(format!("more than {MAX_VALUES} values")));
        }
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(Cow::Borrowed(self.number()?)),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            _ => return Err(self.unexpected("a JSON value")),
        };
        Ok(Node { position, value })
    }

    fn word(&mut self, word: &str, value: Value<'t>) -> Result<Value<'t>, ReadError> {
        let rest = self.text.get(self.offset..).unwrap_or_default();
        if rest.starts_with(word) {
            self.offset += word.len();
            Ok(value)
        } else {
            Err(self.unexpected("a JSON value"))
        }
    }

    fn enter(&mut self, depth: usize) -> Result<(), ReadError> {
        if depth >= MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.offset += 1;
        self.skip_blanks();
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Value<'t>, ReadError> {
        self.enter(depth)?;
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.offset += 1;
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.offset += 1,
                Some(b']') => {
                    self.offset += 1;
                    return Ok(Value::List(items));
                }
                _ => return Err(self.unexpected("`,` or `]`")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'t>, ReadError> {
        self.enter(depth)?;
        let mut members = Vec::new();
        if self.peek() == Some(b'}') {
            self.offset += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a member name in double quotes"));
            }
            let position = self.position();
            let name = self.string()?;
            self.skip_blanks();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("`:`"));
            }
            self.offset += 1;
            let node = self.value(depth + 1)?;
            members.push(Member {
                name,
                position,
                node,
            });
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.offset += 1,
                Some(b'}') => {
                    self.offset += 1;
                    return Ok(Value::Object(members));
                }
                _ => return Err(self.unexpected("`,` or `}`")),
            }
        }
    }

    fn number(&mut self) -> Result<&'t str, ReadError> {
        let rest = self.text.get(self.offset..).unwrap_or_default();
        let Some(length) = number_prefix(rest.as_bytes()) else {
            return Err(self.error("a number is written like `12`, `-0.5` or `1e9`"));
        };
        self.offset += length;
        Ok(rest.get(..length).unwrap_or_default())
    }

    fn string(&mut self) -> Result<Cow<'t, str>, ReadError> {
        self.offset += 1;
        let mut owned: Option<String> = None;
        loop {
            let rest = self.text.get(self.offset..).unwrap_or_default();
            let plain = rest
                .bytes()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F))
                .unwrap_or(rest.len());
            let run = rest.get(..plain).unwrap_or_default();
            self.offset += plain;
            match self.peek() {
                Some(b'"') => {
                    self.offset += 1;
                    return Ok(match owned {
                        None => Cow::Borrowed(run),
                        Some(mut text) => {
                            text.push_str(run);
                            Cow::Owned(text)
                        }
                    });
                }
                Some(b'\\') => {
                    let text = owned.get_or_insert_default();
                    text.push_str(run);
                    let character = self.escape()?;
                    text.push(character);
                }
                Some(_) => return Err(self.error("control characters in strings must be escaped")),
                None => return Err(self.error("the string does not end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ReadError> {
        self.offset += 1;
        let character = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.unexpected("an escape such as `\\n` or `\\u00e9`")),
        };
        self.offset += 1;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, ReadError> {
        let first = self.hex_unit()?;
        let code = match first {
            0xD800..=0xDBFF => {
                let rest = self.text.get(self.offset..).unwrap_or_default();
                if !rest.starts_with("\\u") {
                    return Err(self.error("half of a surrogate pair is no character"));
                }
                self.offset += 1;
                let second = self.hex_unit()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(self.error("half of a surrogate pair is no character"));
                }
                0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            other => other,
        };
        char::from_u32(code).ok_or_else(|| self.error("half of a surrogate pair is no character"))
    }

    /// Reads `uXXXX`, the offset being at the `u`.
    fn hex_unit(&mut self) -> Result<u32, ReadError> {
        let digits = self
            .text
            .get(self.offset + 1..self.offset + 5)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match digits {
            Some(unit) => {
                self.offset += 5;
                Ok(unit)
            }
            None => Err(self.error("`\\u` needs four hexadecimal digits")),
        }
    }
}

/// The length of the JSON number that `text` begins with.
fn number_prefix(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        text.iter()
            .skip(from)
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let at = |index: usize| text.get(index).copied();
    let mut length = usize::from(at(0) == Some(b'-'));
    let whole = digits(length);
    if whole == 0 || (whole > 1 && at(length) == Some(b'0')) {
        return None;
    }
    length += whole;
    if at(length) == Some(b'.') {
        let fraction = digits(length + 1);
        if fraction == 0 {
            return None;
        }
        length += 1 + fraction;
    }
    if matches!(at(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(at(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + sign);
        if exponent == 0 {
            return None;
        }
        length += 1 + sign + exponent;
    }
    Some(length)
}

/// Whether all of `text` is one JSON number.
pub(super) fn is_number(text: &str) -> bool {
    number_prefix(text.as_bytes()) == Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(text: &str) -> String {
        read(text).unwrap().to_json()
    }

    fn refused(text: &str) -> (u32, u32, String) {
        let error = read(text).unwrap_err();
        (error.position.line, error.position.column, error.message)
    }

    #[test]
    fn numbers_keep_their_text() {
        for text in [
            "0",
            "-0",
            "1.50",
            "1E+2",
            "100000000000000000000",
            "-0.0e-7",
        ] {
            assert_eq!(round_trip(text), text);
        }
        for text in ["01", "+1", ".5", "5.", "1e", "-", "0x1F", "1_000"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn strings_decode_every_escape() {
        assert_eq!(
            round_trip(r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 ü""#),
            "\"\\\"\\\\/\\u0008\\u000c\\n\\r\\té😀 ü\""
        );
        for text in [
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\ud83d\u0041""#,
            r#""\ude00""#,
            r#""\u12g4""#,
            r#""\x""#,
            "\"a\u{1}\"",
            "\"open",
            r#""\u00"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn places_count_characters_and_lines() {
        let node = read("{\"é\": 1,\n  \"b\": [true]}").unwrap();
        let [first, second] = node.members() else {
            panic!("two members")
        };
        assert_eq!(first.node.position, Position { line: 1, column: 7 });
        assert_eq!(second.position, Position { line: 2, column: 3 });
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(
            refused("{\"a\" 1}"),
            (1, 6, "expected `:`, found `1`".to_owned())
        );
        assert_eq!(refused("[1,\n]").0, 2);
        assert_eq!(
            refused("[1").2,
            "expected `,` or `]`, but the text ends here"
        );
        assert_eq!(refused("{} x").2, "unexpected text after the JSON value");
        assert_eq!(
            refused("").2,
            "expected a JSON value, but the text ends here"
        );
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert!(refused(&nested(MAX_DEPTH + 1)).2.contains("nested deeper"));
        let many = format!("[{}1]", "1,".repeat(MAX_VALUES));
        assert!(refused(&many).2.contains("values"));
    }
}
