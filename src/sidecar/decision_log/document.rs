//! JSON text that came from outside, copied into a line: checked, without blanks, and only where it holds no credential.
//!
//! Copies what nearly every document is and leaves everything else to the way through values, which reads what is
//! copied here in the same sense (`both_ways_say_the_same` in [`super::line`] holds them against each other).

mod look;

use crate::api::json;

use super::mask;

/// Nesting that is copied: a bit for each level.
const DEPTH: u32 = 64;

/// The document has to go through values; or it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// Appends a document that is JSON; on refusal a part of it, which the caller takes back.
pub(super) fn copy_sound(out: &mut Vec<u8>, text: &[u8]) -> Result<(), Refused> {
    if look::is_harmless(text) {
        out.extend_from_slice(text);
        return Ok(());
    }
    copy(out, text)
}

/// Appends the document, if it is one; on refusal a part of it, which the caller takes back.
pub(super) fn copy(out: &mut Vec<u8>, text: &[u8]) -> Result<(), Refused> {
    if std::str::from_utf8(text).is_err() {
        return Err(Refused);
    }
    let mut copier = Copier {
        text,
        at: 0,
        uncopied: 0,
        out,
    };
    copier.document()
}

struct Copier<'t> {
    text: &'t [u8],
    at: usize,
    /// Where the text begins that was read and not yet copied.
    uncopied: usize,
    out: &'t mut Vec<u8>,
}

impl Copier<'_> {
    /// Without recursion: the containers that are open lie in a word, the innermost in its lowest bit.
    fn document(&mut self) -> Result<(), Refused> {
        const OBJECT: u64 = 1;
        let (mut open, mut depth) = (0_u64, 0_u32);
        loop {
            let first = self.token();
            let is_open = match first {
                b'"' => self.string().map(|_| false)?,
                b'{' | b'[' => {
                    if depth == DEPTH {
                        return Err(Refused);
                    }
                    depth += 1;
                    open = open << 1 | u64::from(first == b'{');
                    self.at += 1;
                    // In ASCII, each closing bracket is two after its opening one.
                    if self.token() == first + 2 {
                        self.at += 1;
                        open >>= 1;
                        depth -= 1;
                        false
                    } else {
                        true
                    }
                }
                b'-' | b'0'..=b'9' => self.number().map(|()| false)?,
                b't' => self.word(b"true").map(|()| false)?,
                b'f' => self.word(b"false").map(|()| false)?,
                b'n' => self.word(b"null").map(|()| false)?,
                _ => return Err(Refused),
            };
            if is_open {
                if open & OBJECT != 0 {
                    self.name()?;
                }
                continue;
            }
            loop {
                let next = self.token();
                if depth == 0 {
                    return self.end();
                }
                self.at += 1;
                match (open & OBJECT != 0, next) {
                    (true, b',') => {
                        self.token();
                        self.name()?;
                        break;
                    }
                    (false, b',') => break,
                    (true, b'}') | (false, b']') => {
                        open >>= 1;
                        depth -= 1;
                    }
                    _ => return Err(Refused),
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), Refused> {
        if self.at < self.text.len() {
            return Err(Refused);
        }
        self.copy_until(self.at);
        Ok(())
    }

    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// The next byte that is no blank; 0 at the end.
    #[inline]
    fn token(&mut self) -> u8 {
        let byte = self.peek();
        if byte > b' ' || byte == 0 {
            return byte;
        }
        self.blanks()
    }

    fn blanks(&mut self) -> u8 {
        self.copy_until(self.at);
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.uncopied = self.at;
        self.peek()
    }

    fn copy_until(&mut self, end: usize) {
        let read = self.text.get(self.uncopied..end);
        self.out.extend_from_slice(read.unwrap_or_default());
    }

    /// A member's name and its colon.
    fn name(&mut self) -> Result<(), Refused> {
        let start = self.at + 1;
        if self.peek() != b'"' {
            return Err(Refused);
        }
        let is_plain = self.string()?;
        let name = self.text.get(start..self.at - 1).unwrap_or_default();
        if !is_plain || mask::is_credential(name) || self.token() != b':' {
            return Err(Refused);
        }
        self.at += 1;
        Ok(())
    }

    /// Whether it has no escapes.
    fn string(&mut self) -> Result<bool, Refused> {
        self.at += 1;
        let mut is_plain = true;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            self.at += json::plain(rest);
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(is_plain);
                }
                b'\\' => {
                    is_plain = false;
                    self.escape()?;
                }
                // A control character, or the end.
                _ => return Err(Refused),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Refused> {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        match rest {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
            // Halves of a pair have rules of their own.
            [
                b'u',
                b'd' | b'D',
                b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F',
                ..,
            ] => {
                return Err(Refused);
            }
            [b'u', code @ ..]
                if code
                    .iter()
                    .take(4)
                    .filter(|it| it.is_ascii_hexdigit())
                    .count()
                    == 4 =>
            {
                self.at += 6;
            }
            _ => return Err(Refused),
        }
        Ok(())
    }

    /// A number without an exponent, which could be larger than any that values can hold.
    fn number(&mut self) -> Result<(), Refused> {
        /// So many digits are no more than that.
        const DIGITS: usize = 300;
        if self.peek() == b'-' {
            self.at += 1;
        }
        let starts_with_zero = self.peek() == b'0';
        let whole = self.digits();
        if whole == 0 || whole > DIGITS || (starts_with_zero && whole > 1) {
            return Err(Refused);
        }
        if self.peek() == b'.' {
            self.at += 1;
            if self.digits() == 0 {
                return Err(Refused);
            }
        }
        match self.peek() {
            b'e' | b'E' => Err(Refused),
            _ => Ok(()),
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        self.at - start
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Refused> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Refused)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(text: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        copy(&mut out, text).ok()?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn blanks_between_tokens_go_and_nothing_else() {
        for (text, expected) in [
            ("{}", "{}"),
            (" [ ] ", "[]"),
            ("\"a b\\n\\u00e9\\\"\"", "\"a b\\n\\u00e9\\\"\""),
            (
                "\n{ \"a\" : [ 1 , -2.50, true,false , null ],\t\"b\":{\"c\":\"x\\\\\"} }\r\n",
                "{\"a\":[1,-2.50,true,false,null],\"b\":{\"c\":\"x\\\\\"}}",
            ),
            ("12345678901234567890123", "12345678901234567890123"),
            ("{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"),
        ] {
            assert_eq!(copied(text.as_bytes()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_or_unusual_is_refused() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(copied(deep(64).as_bytes()).is_some());
        for text in [
            "",
            " ",
            "{",
            "}",
            "[1",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{1:2}",
            "{a:1}",
            "[1}",
            "{\"a\":1]",
            "01",
            "1.",
            "-",
            ".5",
            "+1",
            "1e5",
            "1E5",
            "1 2",
            "[1 2]",
            "tru",
            "nul",
            "truefalse",
            "\"",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "\"a\u{1}\"",
            "{\"a\u{0}\":1}",
            "[1]\u{0}",
            "\u{feff}1",
            &deep(65),
            &"9".repeat(301),
        ] {
            assert_eq!(copied(text.as_bytes()), None, "{text}");
        }
        assert_eq!(copied(b"\"\xff\""), None);
    }

    #[test]
    fn credentials_are_refused_wherever_they_stand_as_names() {
        for name in [
            "authorization",
            "Cookie",
            "SET-COOKIE",
            "x-api-key",
            "a\\u0075thorization",
        ] {
            let text = format!("[{{\"a\":{{\"{name}\":1}}}}]");
            assert_eq!(copied(text.as_bytes()), None, "{text}");
        }
        let values = "{\"a\":\"cookie\",\"cookies\":[\"authorization\"]}";
        assert_eq!(copied(values.as_bytes()).as_deref(), Some(values));
    }
}
