//! Bytes and JSON leaves from a stream, without holding the text.

use std::io::Read;

use super::DataError;

const CHUNK: usize = 64 * 1024;

/// A byte stream with one byte of look-ahead and an offset.
pub(super) struct Bytes<'r> {
    reader: &'r mut dyn Read,
    buffer: Box<[u8]>,
    at: usize,
    end: usize,
    /// Bytes before the buffer.
    before: u64,
}

impl<'r> Bytes<'r> {
    pub fn new(reader: &'r mut dyn Read) -> Self {
        Self {
            reader,
            buffer: vec![0; CHUNK].into_boxed_slice(),
            at: 0,
            end: 0,
            before: 0,
        }
    }

    pub fn error(&self, message: impl Into<String>) -> DataError {
        DataError {
            message: message.into(),
            offset: self.before + self.at as u64,
        }
    }

    /// The bytes at hand, at least one unless the stream has ended.
    pub fn chunk(&mut self) -> Result<&[u8], DataError> {
        if self.at == self.end {
            self.refill()?;
        }
        Ok(self.buffer.get(self.at..self.end).unwrap_or_default())
    }

    fn refill(&mut self) -> Result<(), DataError> {
        self.before += self.end as u64;
        self.at = 0;
        self.end = 0;
        loop {
            match self.reader.read(&mut self.buffer) {
                Ok(count) => {
                    self.end = count.min(self.buffer.len());
                    return Ok(());
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(format!("cannot read: {error}"))),
            }
        }
    }

    pub fn advance(&mut self, count: usize) {
        self.at = (self.at + count).min(self.end);
    }

    #[inline]
    pub fn peek(&mut self) -> Result<Option<u8>, DataError> {
        if self.at == self.end {
            self.refill()?;
        }
        Ok(if self.at < self.end {
            self.buffer.get(self.at).copied()
        } else {
            None
        })
    }

    pub fn next(&mut self) -> Result<u8, DataError> {
        match self.peek()? {
            Some(byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => Err(self.error("the text ends too early")),
        }
    }

    pub fn skip_space(&mut self) -> Result<(), DataError> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek()? {
            self.at += 1;
        }
        Ok(())
    }

    pub fn expect(&mut self, text: &[u8]) -> Result<(), DataError> {
        for wanted in text {
            if self.peek()? != Some(*wanted) {
                return Err(self.error("expected a value"));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// After an opening bracket: whether there is a first element.
    pub fn first(&mut self, close: u8) -> Result<bool, DataError> {
        self.skip_space()?;
        if self.peek()? == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// After an element: whether another one follows.
    pub fn more(&mut self, close: u8) -> Result<bool, DataError> {
        self.skip_space()?;
        match self.next()? {
            b',' => {
                self.skip_space()?;
                Ok(true)
            }
            byte if byte == close => Ok(false),
            _ => Err(self.error("expected `,` or the end of the list or object")),
        }
    }

    /// A string's text, in `scratch` where it is not there as it is; the cursor is at its opening quote.
    pub fn string<'s>(&'s mut self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], DataError> {
        self.at += 1;
        let rest = self.buffer.get(self.at..self.end).unwrap_or_default();
        let (length, ascii) = plain(rest);
        if rest.get(length) != Some(&b'"') {
            self.string_in_parts(scratch)?;
            return Ok(scratch);
        }
        let from = self.at;
        self.at += length + 1;
        let text = from..from + length;
        let valid = |text: &[u8]| ascii || std::str::from_utf8(text).is_ok();
        match self.buffer.get(text).filter(|text| valid(text)) {
            Some(text) => Ok(text),
            None => Err(DataError {
                message: "invalid UTF-8 in a string".into(),
                offset: self.before + self.at as u64,
            }),
        }
    }

    /// A string that has escapes or does not lie in one chunk, behind its opening quote.
    fn string_in_parts(&mut self, out: &mut Vec<u8>) -> Result<(), DataError> {
        out.clear();
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Err(self.error("the text ends too early"));
            }
            let (length, _) = plain(chunk);
            out.extend_from_slice(chunk.get(..length).unwrap_or_default());
            let ended = length == chunk.len();
            self.advance(length);
            if ended {
                continue;
            }
            match self.next()? {
                b'"' => break,
                b'\\' => self.escape(out)?,
                _ => return Err(self.error("control character in a string")),
            }
        }
        if std::str::from_utf8(out).is_err() {
            return Err(self.error("invalid UTF-8 in a string"));
        }
        Ok(())
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), DataError> {
        let byte = match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut buffer = [0; 4];
                let character = self.unicode()?;
                out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                return Ok(());
            }
            _ => return Err(self.error("unknown escape")),
        };
        out.push(byte);
        Ok(())
    }

    fn unicode(&mut self) -> Result<char, DataError> {
        let first = self.hex()?;
        let mut code = first;
        if (0xd800..0xdc00).contains(&first) {
            if self.next()? != b'\\' || self.next()? != b'u' {
                return Err(self.error("half of a surrogate pair"));
            }
            let second = self.hex()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(self.error("half of a surrogate pair"));
            }
            code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        }
        char::from_u32(code).ok_or_else(|| self.error("half of a surrogate pair"))
    }

    fn hex(&mut self) -> Result<u32, DataError> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?)
                .to_digit(16)
                .ok_or_else(|| self.error("expected four hex digits"))?;
            value = value * 16 + digit;
        }
        Ok(value)
    }

    /// A whole number of at most eight digits whose end is in sight; else None, and nothing is read.
    pub fn small_number(&mut self) -> Option<i64> {
        let rest = self.buffer.get(self.at..self.end)?;
        let digits = rest.iter().take(9).take_while(|byte| byte.is_ascii_digit());
        let length = digits.count();
        let leading_zero = length > 1 && rest.first() == Some(&b'0');
        let ended = matches!(
            rest.get(length),
            Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')
        );
        if length == 0 || length > 8 || leading_zero || !ended {
            return None;
        }
        self.at += length;
        let digits = rest.iter().take(length);
        Some(digits.fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    }

    /// A number's text into `out`; true where it has neither fraction nor exponent.
    pub fn number(&mut self, out: &mut Vec<u8>) -> Result<bool, DataError> {
        out.clear();
        let mut whole = true;
        if self.peek()? == Some(b'-') {
            self.take(out)?;
        }
        if self.peek()? == Some(b'0') {
            self.take(out)?;
        } else {
            self.digits(out)?;
        }
        if self.peek()? == Some(b'.') {
            whole = false;
            self.take(out)?;
            self.digits(out)?;
        }
        if let Some(b'e' | b'E') = self.peek()? {
            whole = false;
            self.take(out)?;
            if let Some(b'+' | b'-') = self.peek()? {
                self.take(out)?;
            }
            self.digits(out)?;
        }
        Ok(whole)
    }

    fn take(&mut self, out: &mut Vec<u8>) -> Result<(), DataError> {
        /// Longer numbers are refused: no producer writes them, and they would be held whole.
        const LONGEST: usize = 4096;
        if out.len() >= LONGEST {
            return Err(self.error("number too long"));
        }
        out.push(self.next()?);
        Ok(())
    }

    fn digits(&mut self, out: &mut Vec<u8>) -> Result<(), DataError> {
        if !matches!(self.peek()?, Some(b'0'..=b'9')) {
            return Err(self.error("expected a digit"));
        }
        while let Some(b'0'..=b'9') = self.peek()? {
            self.take(out)?;
        }
        Ok(())
    }
}

/// How many bytes of a string stand for themselves, up to a quote, a backslash, a control character or
/// the end, and whether all of them are ASCII. Eight at a time.
fn plain(text: &[u8]) -> (usize, bool) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The lowest byte that is marked is one below `limit`; those above it may be marked in error.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH;
    let (words, rest) = text.as_chunks::<8>();
    let mut seen = 0;
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = below(word ^ (ONES * u64::from(b'"')), 1)
            | below(word ^ (ONES * u64::from(b'\\')), 1)
            | below(word, 0x20);
        if special != 0 {
            let before = special.trailing_zeros() / 8;
            seen |= word & ((1_u64 << (8 * before)) - 1);
            return (8 * index + before as usize, seen & HIGH == 0);
        }
        seen |= word;
    }
    let count = rest
        .iter()
        .take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f))
        .count();
    let ascii = seen & HIGH == 0 && rest.iter().take(count).all(u8::is_ascii);
    (8 * words.len() + count, ascii)
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn plain_bytes_end_where_a_search_byte_by_byte_ends() {
        let mut state = 7_u64;
        for round in 0..20_000_usize {
            let text: Vec<u8> = (0..round % 40)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let byte = (state >> 56) as u8;
                    // Mostly letters, so that the end is anywhere.
                    if (state >> 40).is_multiple_of(16) {
                        byte
                    } else {
                        b'a' | byte & 0x0f
                    }
                })
                .collect();
            let end = text
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
                .unwrap_or(text.len());
            assert_eq!(plain(&text), (end, text[..end].is_ascii()), "{text:?}");
        }
    }
}
