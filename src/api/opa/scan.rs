//! What Go's JSON decoder takes and what it says of what it does not take: for requests that our own reader refuses.
//!
//! The decoder reads one value and leaves what follows it alone; its errors are sentences that clients get to see.

use std::fmt::Write as _;

/// Go's decoder nests no deeper.
const MAX_DEPTH: usize = 10_000;

/// The first value of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    pub start: usize,
    pub end: usize,
}

/// Go's word for the type of a JSON value that begins with this byte.
#[must_use]
pub const fn kind(first: u8) -> &'static str {
    match first {
        b'{' => "object",
        b'[' => "array",
        b'"' => "string",
        b't' | b'f' => "bool",
        b'n' => "null",
        _ => "number",
    }
}

/// The first value; None where there is nothing but blanks.
///
/// # Errors
///
/// Go's sentence.
pub fn decode(text: &[u8]) -> Result<Option<Scanned>, String> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.blanks();
    if scanner.peek().is_none() {
        return Ok(None);
    }
    let start = scanner.at;
    scanner.value()?;
    Ok(Some(Scanned {
        start,
        end: scanner.at,
    }))
}

/// The one value of a text that has nothing after it.
///
/// # Errors
///
/// Go's sentence, as OPA's `util.UnmarshalJSON` puts it.
pub fn decode_all(text: &[u8]) -> Result<Scanned, String> {
    let found = decode(text)?.ok_or("EOF")?;
    let mut scanner = Scanner {
        text,
        at: found.end,
    };
    scanner.blanks();
    let Some(first) = scanner.peek() else {
        return Ok(found);
    };
    let start = scanner.at;
    let token = match first {
        b'{' | b'[' => char::from(first).to_string(),
        b']' | b'}' | b',' | b':' => return Err(wrong(first, "after top-level value")),
        _ => {
            scanner.value()?;
            let text = text.get(start..scanner.at).unwrap_or_default();
            let text = String::from_utf8_lossy(text);
            text.trim_matches('"').to_owned()
        }
    };
    Err(format!(
        "error: invalid character '{token}' after top-level value"
    ))
}

struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Result<u8, String> {
        let byte = self.peek().ok_or("unexpected EOF")?;
        self.at += 1;
        Ok(byte)
    }

    /// One value, without recursion: a text may nest as deep as it likes.
    fn value(&mut self) -> Result<(), String> {
        let mut open: Vec<u8> = Vec::new();
        loop {
            self.blanks();
            let byte = self.next()?;
            let opened = match byte {
                b'{' | b'[' => {
                    open.push(byte);
                    if open.len() > MAX_DEPTH {
                        return Err("exceeded max depth".to_owned());
                    }
                    self.blanks();
                    let close = byte + 2;
                    if self.peek() == Some(close) {
                        self.at += 1;
                        open.pop();
                        false
                    } else {
                        true
                    }
                }
                b'"' => self.string().map(|()| false)?,
                b'-' | b'0'..=b'9' => self.number(byte).map(|()| false)?,
                b't' => self.word("true").map(|()| false)?,
                b'f' => self.word("false").map(|()| false)?,
                b'n' => self.word("null").map(|()| false)?,
                other => return Err(wrong(other, "looking for beginning of value")),
            };
            if opened {
                if open.last() == Some(&b'{') {
                    self.name()?;
                }
                continue;
            }
            loop {
                let Some(&container) = open.last() else {
                    return Ok(());
                };
                self.blanks();
                let byte = self.next()?;
                match (container, byte) {
                    (b'[', b',') => break,
                    (b'{', b',') => {
                        self.name()?;
                        break;
                    }
                    (b'[', b']') | (b'{', b'}') => {
                        open.pop();
                    }
                    (b'[', other) => return Err(wrong(other, "after array element")),
                    (_, other) => return Err(wrong(other, "after object key:value pair")),
                }
            }
        }
    }

    /// A member's name and its colon.
    fn name(&mut self) -> Result<(), String> {
        self.blanks();
        match self.next()? {
            b'"' => self.string()?,
            other => {
                return Err(wrong(other, "looking for beginning of object key string"));
            }
        }
        self.blanks();
        match self.next()? {
            b':' => Ok(()),
            other => Err(wrong(other, "after object key")),
        }
    }

    /// After the opening quote.
    fn string(&mut self) -> Result<(), String> {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    b'u' => {
                        for _ in 0..4 {
                            let digit = self.next()?;
                            if !digit.is_ascii_hexdigit() {
                                let context = "in \\u hexadecimal character escape";
                                return Err(wrong(digit, context));
                            }
                        }
                    }
                    other => return Err(wrong(other, "in string escape code")),
                },
                control @ 0..=0x1f => return Err(wrong(control, "in string literal")),
                _ => {}
            }
        }
    }

    fn number(&mut self, first: u8) -> Result<(), String> {
        let mut first = first;
        if first == b'-' {
            first = self.next()?;
            if !first.is_ascii_digit() {
                return Err(wrong(first, "in numeric literal"));
            }
        }
        if first != b'0' {
            self.digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn digit(&mut self, context: &str) -> Result<(), String> {
        let byte = self.next()?;
        if !byte.is_ascii_digit() {
            return Err(wrong(byte, context));
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    /// The rest of a word whose first letter was read.
    fn word(&mut self, word: &str) -> Result<(), String> {
        for expected in word.bytes().skip(1) {
            let byte = self.next()?;
            if byte != expected {
                let expected = char::from(expected);
                return Err(wrong(
                    byte,
                    &format!("in literal {word} (expecting '{expected}')"),
                ));
            }
        }
        Ok(())
    }
}

fn wrong(byte: u8, context: &str) -> String {
    format!("invalid character {} {context}", quoted(byte))
}

/// A byte as Go quotes it in these sentences.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        0x07 => r"'\a'".to_owned(),
        0x08 => r"'\b'".to_owned(),
        0x0b => r"'\v'".to_owned(),
        0x0c => r"'\f'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0..=0x1f | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!("'\\u{:04x}'", u32::from(byte)),
        _ => {
            let mut text = String::new();
            let _ = write!(text, "'{}'", char::from(byte));
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_is_found_and_the_rest_is_left_alone() {
        for (text, expected) in [
            ("", None),
            (" \n", None),
            ("{} x", Some("{}")),
            (" 1 2", Some("1")),
            ("01", Some("0")),
            ("[1,[2,{\"a\":[]}]]]", Some("[1,[2,{\"a\":[]}]]")),
            ("\"\\ud800\\\"\"!", Some("\"\\ud800\\\"\"")),
            ("-0.5e+3,", Some("-0.5e+3")),
        ] {
            let found = decode(text.as_bytes()).unwrap();
            let found = found.map(|found| &text[found.start..found.end]);
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_said_as_go_says_it() {
        for (text, expected) in [
            ("x", "invalid character 'x' looking for beginning of value"),
            ("{", "unexpected EOF"),
            (
                "{1",
                "invalid character '1' looking for beginning of object key string",
            ),
            ("{\"a\" 1", "invalid character '1' after object key"),
            (
                "{\"a\":1 \"",
                "invalid character '\"' after object key:value pair",
            ),
            ("[1 2", "invalid character '2' after array element"),
            (
                "[1,]",
                "invalid character ']' looking for beginning of value",
            ),
            (
                "{\"a\":1,}",
                "invalid character '}' looking for beginning of object key string",
            ),
            ("\"\n", "invalid character '\\n' in string literal"),
            ("\"\\x", "invalid character 'x' in string escape code"),
            (
                "\"\\u12g",
                "invalid character 'g' in \\u hexadecimal character escape",
            ),
            ("-a", "invalid character 'a' in numeric literal"),
            (
                "1.x",
                "invalid character 'x' after decimal point in numeric literal",
            ),
            (
                "1e]",
                "invalid character ']' in exponent of numeric literal",
            ),
            (
                "trux",
                "invalid character 'x' in literal true (expecting 'e')",
            ),
            ("nul", "unexpected EOF"),
            (
                "'",
                "invalid character '\\'' looking for beginning of value",
            ),
            (
                "\u{1}",
                "invalid character '\\x01' looking for beginning of value",
            ),
            ("é", "invalid character 'Ã' looking for beginning of value"),
        ] {
            assert_eq!(decode(text.as_bytes()).unwrap_err(), expected, "{text}");
        }
        let deep = "[".repeat(MAX_DEPTH + 1);
        assert_eq!(decode(deep.as_bytes()).unwrap_err(), "exceeded max depth");
    }

    #[test]
    fn a_whole_text_has_nothing_after_its_value() {
        for (text, expected) in [
            ("", "EOF"),
            ("1 2", "error: invalid character '2' after top-level value"),
            ("{} {", "error: invalid character '{' after top-level value"),
            (
                "{} \"a\"",
                "error: invalid character 'a' after top-level value",
            ),
        ] {
            assert_eq!(decode_all(text.as_bytes()).unwrap_err(), expected, "{text}");
        }
        assert!(decode_all(b" {\"a\":1} \n").is_ok());
    }
}
