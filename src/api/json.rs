//! JSON text written into a byte buffer.

use std::io::Write as _;

use uuid::Uuid;

use crate::model::{Timestamp, TimestampText};

use super::id::hyphenated;

/// Appends `text` as a JSON string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
}

/// Appends `text` as it stands within the quotes of a JSON string.
pub fn escaped(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        raw(out, text);
    } else {
        escape(out, text.as_bytes());
    }
}

/// Whether no byte needs an escape. Eight bytes at a time: whether a test flags any byte is exact, which ones is not
/// (Hacker's Delight, 6-1).
fn is_plain(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    if words.iter().any(|word| special(*word) != 0) {
        return false;
    }
    // The last eight bytes, some of them for the second time, or less than eight.
    match bytes.last_chunk::<8>() {
        Some(word) => special(*word) == 0,
        None => !rest.iter().copied().any(is_special),
    }
}

/// How many bytes there are before the first quote, backslash or control character.
#[must_use]
pub fn plain(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = special(*word);
        if found != 0 {
            // The lowest flagged byte is exact.
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let in_rest = rest
        .iter()
        .copied()
        .position(is_special)
        .unwrap_or(rest.len());
    words.len() * 8 + in_rest
}

/// Not zero where one of these is a quote, a backslash or a control character.
#[inline]
fn special(word: [u8; 8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let word = u64::from_le_bytes(word);
    let control = word.wrapping_sub(0x20 * ONES) & !word & HIGHS;
    let quote = zero(word ^ (u64::from(b'"') * ONES));
    control | quote | zero(word ^ (u64::from(b'\\') * ONES))
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..=0x1f)
}

#[cold]
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut plain = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0x08 => b"\\b",
            0x0c => b"\\f",
            0..0x20 => b"",
            _ => continue,
        };
        out.extend_from_slice(bytes.get(plain..index).unwrap_or_default());
        plain = index + 1;
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.extend_from_slice(escape);
        }
    }
    out.extend_from_slice(bytes.get(plain..).unwrap_or_default());
}

/// Appends an id within quotes.
pub fn uuid(out: &mut Vec<u8>, id: Uuid) {
    out.push(b'"');
    out.extend_from_slice(&hyphenated(id));
    out.push(b'"');
}

/// Appends a moment within quotes.
pub fn timestamp(out: &mut Vec<u8>, moment: Timestamp) {
    out.push(b'"');
    raw(out, TimestampText::new().of(moment));
    out.push(b'"');
}

/// Appends `text`, which is JSON already: a key with its punctuation, `true`, `[`.
pub fn raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Appends an integer.
pub fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    raw(out, itoa::Buffer::new().format(value));
}

/// Appends a floating-point number; what JSON cannot say becomes null.
pub fn double(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        let _ = write!(out, "{value:?}");
    } else {
        raw(out, "null");
    }
}

/// Appends true or false.
pub fn boolean(out: &mut Vec<u8>, value: bool) {
    raw(out, if value { "true" } else { "false" });
}

/// Appends a list, each item written by `item`.
pub fn list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut item: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (index, value) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item(out, value);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    #[test]
    fn strings_read_back_as_they_were() {
        for text in [
            "",
            "plain",
            "q\"b\\s/\n\r\t\u{0}\u{1f}\u{7f}",
            "ünï \u{1F600}",
            "\"",
            "seven\n!",
            "eight..\\",
            "\"sixteen.bytes..",
            "sixteen.bytes..\u{1f}",
            "a text that is longer than three words of eight",
            "\u{8}\u{c}",
        ] {
            let first = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
            let plain = text.bytes().position(first).unwrap_or(text.len());
            assert_eq!(super::plain(text.as_bytes()), plain, "{text}");
            let mut out = Vec::new();
            super::string(&mut out, text);
            let back: String = serde_json::from_slice(&out).unwrap();
            assert_eq!(back, text);
        }
    }

    #[test]
    fn doubles_read_back_and_others_are_null() {
        for value in [0.0, 1.0, 99.95, 1e300, -2.5e-7] {
            let mut out = Vec::new();
            super::double(&mut out, value);
            assert_eq!(
                serde_json::from_slice::<f64>(&out).unwrap().to_bits(),
                value.to_bits()
            );
        }
        let mut out = Vec::new();
        super::double(&mut out, f64::NAN);
        assert_eq!(out, b"null");
    }
}
