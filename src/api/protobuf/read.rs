//! Reads the fields of a message, strictly: whatever protobuf does not allow is an error.

/// A message nested deeper is refused, unknown groups included.
const MAX_DEPTH: u32 = 100;

/// Bytes that are no message, or not this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the message is cut off")]
    Truncated,
    #[error("a number is longer than ten bytes")]
    Varint,
    #[error("a field has no valid tag")]
    Tag,
    #[error("a field has another type than this one: {0}")]
    Type(&'static str),
    #[error("a text is not UTF-8: {0}")]
    Utf8(&'static str),
    #[error("the message is nested too deeply")]
    Depth,
    #[error("there are too many {0}")]
    TooMany(&'static str),
}

/// A field's value as it lies in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    /// Text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
    Fixed32(u32),
    /// An unknown group, passed over.
    Group,
}

impl<'a> Field<'a> {
    /// The bytes of a field that must have some.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Type`], with the field's name.
    pub const fn bytes(self, name: &'static str) -> Result<&'a [u8], DecodeError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(DecodeError::Type(name)),
        }
    }

    /// The text of a field that must be one.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Type`] or [`DecodeError::Utf8`], with the field's name.
    pub fn text(self, name: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(name)?).map_err(|_| DecodeError::Utf8(name))
    }

    /// The fields of a message.
    ///
    /// # Errors
    ///
    /// As [`Field::bytes`].
    pub const fn message(self, name: &'static str) -> Result<Reader<'a>, DecodeError> {
        match self.bytes(name) {
            Ok(bytes) => Ok(Reader::new(bytes)),
            Err(error) => Err(error),
        }
    }

    /// The number of an integer, bool or enum field.
    ///
    /// # Errors
    ///
    /// As [`Field::bytes`].
    pub const fn number(self, name: &'static str) -> Result<u64, DecodeError> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(DecodeError::Type(name)),
        }
    }
}

/// Walks through the fields of a message.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Of these bytes.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field and its number; None at the end.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    #[inline]
    pub fn field(&mut self) -> Result<Option<(u32, Field<'a>)>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, wire) = self.tag()?;
        Ok(Some((number, self.value(number, wire, MAX_DEPTH)?)))
    }

    fn tag(&mut self) -> Result<(u32, u8), DecodeError> {
        let tag = u32::try_from(self.varint()?).map_err(|_| DecodeError::Tag)?;
        match tag >> 3 {
            0 => Err(DecodeError::Tag),
            number => Ok((number, (tag & 7) as u8)),
        }
    }

    #[inline]
    fn value(&mut self, number: u32, wire: u8, depth: u32) -> Result<Field<'a>, DecodeError> {
        match wire {
            0 => self.varint().map(Field::Varint),
            1 => {
                let bytes = self.take(8)?.try_into();
                let bytes = bytes.map_err(|_| DecodeError::Truncated)?;
                Ok(Field::Fixed64(u64::from_le_bytes(bytes)))
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
                self.take(length).map(Field::Bytes)
            }
            3 => self.group(number, depth),
            5 => {
                let bytes = self.take(4)?.try_into();
                let bytes = bytes.map_err(|_| DecodeError::Truncated)?;
                Ok(Field::Fixed32(u32::from_le_bytes(bytes)))
            }
            _ => Err(DecodeError::Tag),
        }
    }

    /// Passes over a group, up to the end of its own number.
    fn group(&mut self, number: u32, depth: u32) -> Result<Field<'a>, DecodeError> {
        let depth = depth.checked_sub(1).ok_or(DecodeError::Depth)?;
        loop {
            if self.rest.is_empty() {
                return Err(DecodeError::Truncated);
            }
            match self.tag()? {
                (end, 4) if end == number => return Ok(Field::Group),
                (inner, wire) => self.value(inner, wire, depth)?,
            };
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, DecodeError> {
        if let Some((byte, rest)) = self.rest.split_first()
            && *byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                // The tenth byte holds one bit.
                if index == 9 && *byte > 1 {
                    return Err(DecodeError::Varint);
                }
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 {
            DecodeError::Truncated
        } else {
            DecodeError::Varint
        })
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Result<Vec<(u32, Field<'_>)>, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut out = Vec::new();
        while let Some(field) = reader.field()? {
            out.push(field);
        }
        Ok(out)
    }

    #[test]
    fn every_wire_type_is_read() {
        let message = b"\x08\x96\x01\x11\x01\0\0\0\0\0\0\0\x1a\x02ab\x23\x08\x01\x24\x2d\x02\0\0\0";
        assert_eq!(
            fields(message).unwrap(),
            [
                (1, Field::Varint(150)),
                (2, Field::Fixed64(1)),
                (3, Field::Bytes(b"ab")),
                (4, Field::Group),
                (5, Field::Fixed32(2)),
            ]
        );
        let most = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(fields(most).unwrap(), [(1, Field::Varint(u64::MAX))]);
    }

    #[test]
    fn what_is_cut_off_or_malformed_is_an_error() {
        for (bytes, error) in [
            (&b"\x08"[..], DecodeError::Truncated),
            (b"\x08\x80", DecodeError::Truncated),
            (b"\x11\0\0\0\0\0\0\0", DecodeError::Truncated),
            (b"\x1a\x02a", DecodeError::Truncated),
            (
                b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                DecodeError::Truncated,
            ),
            (b"\x23\x08\x01", DecodeError::Truncated),
            (b"\x24", DecodeError::Tag),
            (b"\x23\x2c", DecodeError::Tag),
            (b"\x2d\0\0\0", DecodeError::Truncated),
            (
                b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02",
                DecodeError::Varint,
            ),
            (
                b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
                DecodeError::Varint,
            ),
            (b"\0\0", DecodeError::Tag),
            (b"\x0e", DecodeError::Tag),
            (b"\x0f", DecodeError::Tag),
            (b"\xff\xff\xff\xff\xff\x01\0", DecodeError::Tag),
        ] {
            assert_eq!(fields(bytes), Err(error), "{bytes:02x?}");
        }
        let nested = vec![0x0b; 200];
        assert_eq!(fields(&nested), Err(DecodeError::Depth));
    }

    #[test]
    fn a_field_of_another_type_is_named() {
        assert_eq!(
            Field::Varint(1).text("path"),
            Err(DecodeError::Type("path"))
        );
        assert_eq!(
            Field::Bytes(b"\xff").text("path"),
            Err(DecodeError::Utf8("path"))
        );
        assert_eq!(
            Field::Bytes(b"").number("port"),
            Err(DecodeError::Type("port"))
        );
    }
}
