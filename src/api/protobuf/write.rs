//! Writes messages into one buffer; a message inside another is written in place and its length put before it.

/// Appends fields to a buffer.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Writer<'b> {
    /// Onto the end of `out`.
    pub const fn new(out: &'b mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Text or bytes.
    pub fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.tag(number, 2);
        self.varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// Text that is not written where it is empty, as proto3 has it.
    pub fn text(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(number, text.as_bytes());
        }
    }

    /// An integer, bool or enum.
    pub fn number(&mut self, number: u32, value: u64) {
        self.tag(number, 0);
        self.varint(value);
    }

    /// A double.
    pub fn double(&mut self, number: u32, value: f64) {
        self.tag(number, 1);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// A message, written by `fields`.
    pub fn message(&mut self, number: u32, fields: impl FnOnce(&mut Writer<'_>)) {
        self.tag(number, 2);
        let start = self.out.len();
        // Most are shorter than 128 bytes, whose length takes one.
        self.out.push(0);
        fields(self);
        let length = self.out.len() - start - 1;
        if length < 0x80 {
            if let Some(place) = self.out.get_mut(start) {
                *place = length as u8;
            }
        } else {
            let (bytes, count) = encoded(length as u64);
            let bytes = bytes.get(..count).unwrap_or_default();
            self.out.splice(start..=start, bytes.iter().copied());
        }
    }

    fn tag(&mut self, number: u32, wire: u8) {
        self.varint(u64::from(number << 3) | u64::from(wire));
    }

    fn varint(&mut self, value: u64) {
        if value < 0x80 {
            self.out.push(value as u8);
        } else {
            let (bytes, count) = encoded(value);
            self.out
                .extend_from_slice(bytes.get(..count).unwrap_or_default());
        }
    }
}

/// The bytes of a number, and how many of the ten they are.
fn encoded(mut value: u64) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let mut count = 0;
    for place in &mut bytes {
        count += 1;
        if value < 0x80 {
            *place = value as u8;
            break;
        }
        *place = (value & 0x7f) as u8 | 0x80;
        value >>= 7;
    }
    (bytes, count)
}

#[cfg(test)]
mod tests {
    use super::super::{Field, Reader};
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for length in [0, 1, 126, 127, 128, 129, 16_383, 16_384, 70_000] {
            let text = "x".repeat(length);
            let mut out = b"kept".to_vec();
            let mut writer = Writer::new(&mut out);
            writer.message(3, |inner| {
                inner.message(200, |most| most.bytes(1, text.as_bytes()));
                inner.number(2, u64::MAX - length as u64);
                inner.double(3, 0.5);
                inner.text(4, "");
            });
            writer.number(1, 0);
            let mut outer = Reader::new(out.strip_prefix(b"kept").unwrap());
            let (number, field) = outer.field().unwrap().unwrap();
            assert_eq!(number, 3);
            let mut inner = field.message("inner").unwrap();
            let (number, field) = inner.field().unwrap().unwrap();
            assert_eq!(number, 200);
            let mut most = field.message("most").unwrap();
            let (_, field) = most.field().unwrap().unwrap();
            assert_eq!(field.text("text").unwrap(), text);
            assert_eq!(
                inner.field().unwrap(),
                Some((2, Field::Varint(u64::MAX - length as u64)))
            );
            assert_eq!(
                inner.field().unwrap(),
                Some((3, Field::Fixed64(0.5_f64.to_bits())))
            );
            assert_eq!(inner.field().unwrap(), None);
            assert_eq!(outer.field().unwrap(), Some((1, Field::Varint(0))));
            assert_eq!(outer.field().unwrap(), None);
        }
    }
}
