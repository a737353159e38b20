//! JSON text as Go's `encoding/json` writes it.

use std::io::Write as _;

/// Appends `text` as a JSON string with `<`, `>`, `&`, U+2028 and U+2029 escaped.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => br#"\""#,
            b'\\' => br"\\",
            b'\n' => br"\n",
            b'\r' => br"\r",
            b'\t' => br"\t",
            0x08 => br"\b",
            0x0c => br"\f",
            b'<' => br"\u003c",
            b'>' => br"\u003e",
            b'&' => br"\u0026",
            0xe2 => match bytes.get(at + 1..at + 3) {
                Some([0x80, 0xa8]) => br"\u2028",
                Some([0x80, 0xa9]) => br"\u2029",
                _ => continue,
            },
            0..=0x1f => &[],
            _ => continue,
        };
        out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        from = at + if *byte == 0xe2 { 3 } else { 1 };
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.extend_from_slice(escape);
        }
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
    out.push(b'"');
}

/// Compact JSON with two blanks for each level; empty lists and objects stay on one line.
#[must_use]
pub fn indent(compact: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(compact.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut bytes = compact.iter().copied().peekable();
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    while let Some(byte) = bytes.next() {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => {
                in_string = true;
                out.push(byte);
            }
            b'{' | b'[' => {
                out.push(byte);
                if let Some(close @ (b'}' | b']')) = bytes.peek().copied() {
                    bytes.next();
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            byte => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_in_go() {
        let mut out = Vec::new();
        string(
            &mut out,
            "a\"\\\n\r\t\u{8}\u{c}\u{1}<>&\u{2028}\u{2029}\u{2030}\u{7f}é",
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\"a\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u003c\\u003e\\u0026\\u2028\\u2029\u{2030}\u{7f}é\""
        );
    }

    #[test]
    fn indented_json_is_the_same_json() {
        let compact = br#"{"a":[],"b":{},"c":[1,{"d":"x,:{[\"\\"}],"e":null}"#;
        let text = indent(compact);
        let back: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            back,
            serde_json::from_slice::<serde_json::Value>(compact).unwrap()
        );
        let expected = "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": \"x,:{[\\\"\\\\\"\n    }\n  ],\n  \"e\": null\n}";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
