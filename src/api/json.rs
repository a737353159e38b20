//! JSON text written into a byte buffer.

use std::io::Write as _;

/// Appends `text` as a JSON string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
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
    out.push(b'"');
}

/// Appends what `value` displays as a JSON string; `value` must display nothing that needs escaping.
pub fn plain(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    let _ = write!(out, "\"{value}\"");
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
        ] {
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
