//! Value to text.

use std::io::Write as _;

use regorus::Value;

/// Appends the JSON of `value` to `out` as OPA writes it: names sorted, a set as the list of its elements in order,
/// a key that is no string as the JSON of it, and `<`, `>`, `&`, U+2028 and U+2029 escaped. False where that would
/// take more than `limit` bytes; `out` then ends somewhere in the middle.
#[must_use]
pub fn write(value: &Value, limit: usize, out: &mut Vec<u8>) -> bool {
    let end = out.len().saturating_add(limit);
    Writer { out, end }.value(value)
}

/// Whether what is left is as many bytes as the JSON of `value` takes, escapes apart; these are taken away from it.
pub(in super::super) fn fits(value: &Value, left: &mut usize) -> bool {
    let own = match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 1 + items.len().max(1),
        Value::Set(items) => 1 + items.len().max(1),
        Value::Object(object) => 1 + (2 * object.len()).max(1),
        Value::Number(_) => 1,
        Value::Null | Value::Undefined | Value::Bool(_) => 4,
    };
    let Some(rest) = left.checked_sub(own) else {
        return false;
    };
    *left = rest;
    match value {
        Value::Array(items) => items.iter().all(|item| fits(item, left)),
        Value::Set(items) => items.iter().all(|item| fits(item, left)),
        Value::Object(object) => object
            .iter()
            .all(|(key, value)| fits(key, left) && fits(value, left)),
        _ => true,
    }
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    end: usize,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) -> bool {
        match value {
            Value::Null | Value::Undefined => self.out.extend_from_slice(b"null"),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Number(number) => {
                if let Some(number) = number.as_i64() {
                    let mut buffer = itoa::Buffer::new();
                    self.out.extend_from_slice(buffer.format(number).as_bytes());
                } else if number.is_integer() {
                    // Larger than a word.
                    let text = number.format_decimal();
                    self.out.extend_from_slice(text.as_bytes());
                } else {
                    let text = value.to_string();
                    self.out.extend_from_slice(text.as_bytes());
                }
            }
            Value::String(text) => self.string(text),
            Value::Array(items) => return self.list(items.iter()),
            Value::Set(items) => return self.list(items.iter_sorted()),
            Value::Object(object) => return self.object(object),
        }
        self.out.len() <= self.end
    }

    fn list<'v>(&mut self, items: impl Iterator<Item = &'v Value>) -> bool {
        self.out.push(b'[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            if !self.value(item) {
                return false;
            }
        }
        self.out.push(b']');
        self.out.len() <= self.end
    }

    fn object(&mut self, object: &regorus::value::Object) -> bool {
        self.out.push(b'{');
        // Strings sort as they are; other keys sort by their text.
        if object.keys().all(|key| matches!(key, Value::String(_))) {
            for (index, (key, value)) in object.iter_sorted().enumerate() {
                if index > 0 {
                    self.out.push(b',');
                }
                if !self.value(key) {
                    return false;
                }
                self.out.push(b':');
                if !self.value(value) {
                    return false;
                }
            }
        } else {
            let mut entries: Vec<(String, &Value)> = object
                .iter()
                .map(|(key, value)| (name(key), value))
                .collect();
            entries.sort_by(|left, right| left.0.cmp(&right.0));
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    self.out.push(b',');
                }
                self.string(key);
                self.out.push(b':');
                if !self.value(value) {
                    return false;
                }
            }
        }
        self.out.push(b'}');
        self.out.len() <= self.end
    }

    fn string(&mut self, text: &str) {
        self.out.push(b'"');
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
            self.out
                .extend_from_slice(bytes.get(from..at).unwrap_or_default());
            from = at + if *byte == 0xe2 { 3 } else { 1 };
            if escape.is_empty() {
                // Writing to memory does not fail.
                let _ = write!(self.out, "\\u{byte:04x}");
            } else {
                self.out.extend_from_slice(escape);
            }
        }
        self.out
            .extend_from_slice(bytes.get(from..).unwrap_or_default());
        self.out.push(b'"');
    }
}

/// The member's name that stands for a key: OPA writes a key that is no string as the JSON of it.
fn name(key: &Value) -> String {
    match key {
        Value::String(text) => text.to_string(),
        other => {
            let mut text = Vec::new();
            let _ = write(other, usize::MAX, &mut text);
            String::from_utf8(text).unwrap_or_default()
        }
    }
}
