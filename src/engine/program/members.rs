//! The raw texts of an object's members, for text that is known to be JSON.

use crate::engine::DuplicateMembers;
use crate::engine::input::InputError;

/// The texts of the members called `names` of an object; None where `text` is no object.
pub(super) fn members<'t, const N: usize>(
    text: &'t [u8],
    names: [&str; N],
    duplicates: DuplicateMembers,
) -> Result<Option<[Option<&'t [u8]>; N]>, InputError> {
    let mut found = [None; N];
    let mut scan = Scan { text, at: 0 };
    scan.blanks();
    if scan.peek() != Some(b'{') {
        return Ok(None);
    }
    scan.at += 1;
    while let Some((offset, name, value)) = scan.member() {
        let place = names.iter().position(|wanted| is_name(name, wanted));
        let Some(place) = place.and_then(|index| found.get_mut(index)) else {
            continue;
        };
        if place.is_some() && duplicates == DuplicateMembers::Refuse {
            return Err(InputError {
                message: "duplicate member",
                offset,
            });
        }
        *place = Some(value);
    }
    Ok(Some(found))
}

/// Whether the text is an object's.
pub(super) fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().first() == Some(&b'{')
}

/// Compares a raw name, with its quotes, with a plain one.
fn is_name(raw: &[u8], name: &str) -> bool {
    if raw.contains(&b'\\') {
        return serde_json::from_slice::<String>(raw).is_ok_and(|decoded| decoded == name);
    }
    raw.strip_prefix(b"\"")
        .and_then(|raw| raw.strip_suffix(b"\""))
        == Some(name.as_bytes())
}

/// Whether a byte comes after a number or a word, not within it.
const fn ends_scalar(byte: u8) -> bool {
    matches!(byte, b'}' | b']' | b',') || byte.is_ascii_whitespace()
}

struct Scan<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Scan<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// The next member: its offset, its name with quotes, its value's text.
    fn member(&mut self) -> Option<(usize, &'t [u8], &'t [u8])> {
        self.blanks();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.blanks();
        }
        let start = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.string();
        let name = self.text.get(start..self.at)?;
        self.blanks();
        if self.peek()? != b':' {
            return None;
        }
        self.at += 1;
        self.blanks();
        let value = self.at;
        self.value();
        Some((start, name, self.text.get(value..self.at)?))
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return;
            }
        }
    }

    fn value(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string();
                    if depth == 0 {
                        return;
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                byte if depth == 0 && ends_scalar(byte) => return,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return;
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> Result<Option<[Option<&str>; 2]>, InputError> {
        let found = members(text.as_bytes(), ["a", "b"], DuplicateMembers::Refuse)?;
        Ok(
            found
                .map(|found| found.map(|text| text.map(|text| std::str::from_utf8(text).unwrap()))),
        )
    }

    #[test]
    fn finds_raw_texts() {
        let text = r#" { "x" : [ {"a":1} , "}" ] , "b" : "q\"}" , "\u0061":-1.5e3 } "#;
        assert_eq!(
            find(text).unwrap().unwrap(),
            [Some("-1.5e3"), Some(r#""q\"}""#)]
        );
        assert_eq!(find("{}").unwrap().unwrap(), [None, None]);
        assert_eq!(
            find(r#"{"a":{"b":1},"b":null}"#).unwrap().unwrap(),
            [Some(r#"{"b":1}"#), Some("null")]
        );
        assert_eq!(find("[1]").unwrap(), None);
    }

    #[test]
    fn duplicates_are_refused_or_last_wins() {
        let text = br#"{"a":1,"\u0061":2}"#;
        assert!(members(text, ["a"], DuplicateMembers::Refuse).is_err());
        let found = members(text, ["a"], DuplicateMembers::LastWins).unwrap();
        assert_eq!(found.unwrap(), [Some(&b"2"[..])]);
    }

    #[test]
    fn survives_text_that_is_no_json() {
        for text in [
            "{",
            "{\"",
            "{\"a",
            "{\"a\\",
            "{\"a\":",
            "{\"a\":[",
            "{\"a\":\"\\",
            "",
            "{]",
            "{\"a\"}",
        ] {
            let _ = find(text);
        }
    }
}
