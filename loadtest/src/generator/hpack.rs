//! HPACK (RFC 7541), as much as a generator needs: request headers as bytes made beforehand, and of
//! answers the status and the gRPC status.

use std::collections::VecDeque;
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};

/// Bits of each byte's code (appendix B); codes are canonical, so their lengths say all.
#[rustfmt::skip]
const CODE_LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// Entries of the static table (appendix A) that a status can come from, by index.
const STATUSES: [(usize, u16); 7] = [
    (8, 200),
    (9, 204),
    (10, 206),
    (11, 304),
    (12, 400),
    (13, 404),
    (14, 500),
];
const STATIC_ENTRIES: usize = 61;
/// What the dynamic table may hold unless the decoder says otherwise.
const TABLE_BYTES: usize = 4096;

/// What a header says, as far as anyone here cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    pub status: Option<u16>,
    pub grpc_status: Option<u16>,
}

/// The decoding side of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Newest first: what an entry says, its name, and its size.
    table: VecDeque<(Fields, Name, usize)>,
    size: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Status,
    GrpcStatus,
    Other { length: usize },
}

impl Name {
    fn of(text: &[u8]) -> Self {
        match text {
            b":status" => Self::Status,
            b"grpc-status" => Self::GrpcStatus,
            other => Self::Other {
                length: other.len(),
            },
        }
    }

    const fn length(self) -> usize {
        match self {
            Self::Status => 7,
            Self::GrpcStatus => 11,
            Self::Other { length } => length,
        }
    }

    fn with(self, value: &[u8]) -> Fields {
        let number = || std::str::from_utf8(value).ok()?.parse().ok();
        match self {
            Self::Status => Fields {
                status: number(),
                grpc_status: None,
            },
            Self::GrpcStatus => Fields {
                status: None,
                grpc_status: number(),
            },
            Self::Other { .. } => Fields::default(),
        }
    }
}

impl Decoder {
    /// Reads a whole header block.
    ///
    /// # Errors
    ///
    /// A block that is none.
    pub fn decode(&mut self, mut block: &[u8]) -> Result<Fields> {
        let mut found = Fields::default();
        while let Some(&first) = block.first() {
            let fields = if first & 0x80 != 0 {
                let index = integer(&mut block, 7)?;
                self.indexed(index)?
            } else if first & 0xc0 == 0x40 {
                let (name, value) = self.literal(&mut block, 6)?;
                let fields = name.with(&value);
                self.insert(fields, name, name.length() + value.len() + 32);
                fields
            } else if first & 0xe0 == 0x20 {
                let most = integer(&mut block, 5)?;
                if most > TABLE_BYTES {
                    bail!("the server grows the header table beyond what it was told");
                }
                self.evict(most);
                Fields::default()
            } else {
                let (name, value) = self.literal(&mut block, 4)?;
                name.with(&value)
            };
            found.status = found.status.or(fields.status);
            found.grpc_status = found.grpc_status.or(fields.grpc_status);
        }
        Ok(found)
    }

    fn literal(&self, block: &mut &[u8], bits: u32) -> Result<(Name, Vec<u8>)> {
        let name = match integer(block, bits)? {
            0 => Name::of(&string(block)?),
            index if (8..=14).contains(&index) => Name::Status,
            index if index <= STATIC_ENTRIES => Name::Other {
                length: STATIC_NAME_LENGTHS[index - 1],
            },
            index => self.entry(index)?.1,
        };
        Ok((name, string(block)?))
    }

    fn indexed(&self, index: usize) -> Result<Fields> {
        if index > STATIC_ENTRIES {
            return Ok(self.entry(index)?.0);
        }
        let status = STATUSES.iter().find(|(place, _)| *place == index);
        Ok(Fields {
            status: status.map(|(_, status)| *status),
            grpc_status: None,
        })
    }

    fn entry(&self, index: usize) -> Result<&(Fields, Name, usize)> {
        let place = index.checked_sub(STATIC_ENTRIES + 1);
        place
            .and_then(|place| self.table.get(place))
            .context("a header refers to an entry that is not there")
    }

    fn insert(&mut self, fields: Fields, name: Name, size: usize) {
        self.evict(TABLE_BYTES.saturating_sub(size));
        if size <= TABLE_BYTES {
            self.table.push_front((fields, name, size));
            self.size += size;
        }
    }

    fn evict(&mut self, most: usize) {
        while self.size > most {
            let Some((.., size)) = self.table.pop_back() else {
                return;
            };
            self.size -= size;
        }
    }
}

/// Lengths of the static table's names.
#[rustfmt::skip]
const STATIC_NAME_LENGTHS: [usize; STATIC_ENTRIES] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14, 16, 13, 12,
    6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10, 25, 17, 10, 4, 3, 16,
];

/// An integer with a prefix of `bits` bits (5.1).
fn integer(block: &mut &[u8], bits: u32) -> Result<usize> {
    let (&first, mut rest) = block.split_first().context("a header block ends early")?;
    let mask = (1_usize << bits) - 1;
    let mut value = usize::from(first) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let (&byte, after) = rest.split_first().context("a header block ends early")?;
            rest = after;
            value += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift > 21 {
                bail!("an integer in a header block is too large");
            }
        }
    }
    *block = rest;
    Ok(value)
}

fn string(block: &mut &[u8]) -> Result<Vec<u8>> {
    let coded = block.first().is_some_and(|byte| byte & 0x80 != 0);
    let length = integer(block, 7)?;
    let (text, rest) = block
        .split_at_checked(length)
        .context("a string in a header block ends early")?;
    *block = rest;
    if coded {
        unpack(text)
    } else {
        Ok(text.to_vec())
    }
}

/// Symbols in order of their codes, by code length.
static SYMBOLS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let of_length = |length| {
        let bytes = (0..=u8::MAX).filter(move |byte| CODE_LENGTHS[usize::from(*byte)] == length);
        bytes.collect()
    };
    (0..=30).map(of_length).collect()
});

/// Undoes the Huffman code.
fn unpack(coded: &[u8]) -> Result<Vec<u8>> {
    let mut text = Vec::with_capacity(coded.len() * 8 / 5);
    // Of the code read so far: its bits, how many, and the lowest code of that length.
    let (mut code, mut length, mut lowest) = (0_usize, 0_usize, 0_usize);
    for bit in coded
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1))
    {
        code = code << 1 | usize::from(bit);
        lowest = (lowest + SYMBOLS[length].len()) << 1;
        length += 1;
        if length > 30 {
            bail!("a header has a string that is not in the Huffman code");
        }
        if let Some(symbol) = SYMBOLS[length].get(code.wrapping_sub(lowest)) {
            text.push(*symbol);
            (code, length, lowest) = (0, 0, 0);
        }
    }
    Ok(text)
}

/// Request headers as two blocks: for a connection's first request, which adds them to the server's
/// table, and for all after it, which refer to the table. Static names come as `(index, name)`.
#[must_use]
pub fn request(path: &str, authority: &str) -> (Vec<u8>, Vec<u8>) {
    const POST: u8 = 0x80 | 3;
    const HTTP: u8 = 0x80 | 6;
    const ADD: u8 = 0x40;
    let mut first = vec![POST, HTTP];
    let mut add = |index: u8, name: &str, value: &str| {
        first.push(ADD | index);
        for text in [name, value].iter().skip(usize::from(index > 0)) {
            push_length(&mut first, text.len());
            first.extend_from_slice(text.as_bytes());
        }
    };
    add(4, ":path", path);
    add(1, ":authority", authority);
    add(31, "content-type", "application/grpc");
    add(0, "te", "trailers");
    let newest = STATIC_ENTRIES as u8 + 1;
    let rest = [3, 2, 1, 0].map(|age| 0x80 | (newest + age));
    (first, [&[POST, HTTP], &rest[..]].concat())
}

/// The length of a string that is not coded (5.1, prefix of seven bits).
fn push_length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        block.push(length as u8);
        return;
    }
    block.push(127);
    let mut left = length - 127;
    while left >= 128 {
        block.push(left as u8 | 0x80);
        left >>= 7;
    }
    block.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] * 16 + pair[1]) as u8)
            .collect()
    }

    #[test]
    fn the_huffman_code_is_that_of_the_specification() {
        // C.4.1 and C.6.1
        assert_eq!(
            unpack(&bytes("f1e3 c2e5 f23a 6ba0 ab90 f4ff")).unwrap(),
            b"www.example.com"
        );
        assert_eq!(unpack(&bytes("aec3 771a 4b")).unwrap(), b"private");
        assert_eq!(
            unpack(&bytes(
                "d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff"
            ))
            .unwrap(),
            b"Mon, 21 Oct 2013 20:13:21 GMT"
        );
    }

    #[test]
    fn answers_of_the_specification_have_their_status() {
        // C.6: a table of 256 bytes there, of 4,096 here; no entry is evicted before the third.
        let mut decoder = Decoder::default();
        let first = "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3";
        assert_eq!(decoder.decode(&bytes(first)).unwrap().status, Some(302));
        assert_eq!(
            decoder
                .decode(&bytes("4883 640e ffc1 c0bf"))
                .unwrap()
                .status,
            Some(307)
        );
        assert_eq!(
            decoder.decode(&bytes("88c1 c0bf")).unwrap().status,
            Some(200)
        );
    }

    #[test]
    fn a_grpc_status_is_found_coded_plain_and_by_reference() {
        let mut decoder = Decoder::default();
        let coded = bytes("4088 9aca c8b2 1234 da8f 0137");
        for block in [coded.as_slice(), b"\x00\x0bgrpc-status\x017", &[0xbe]] {
            let fields = decoder.decode(block).unwrap();
            assert_eq!(fields.grpc_status, Some(7), "{block:x?}");
        }
    }

    #[test]
    fn our_own_requests_are_read_back() {
        let (first, rest) = request("/a.B/C", &"x".repeat(200));
        let mut decoder = Decoder::default();
        decoder.decode(&first).unwrap();
        assert_eq!(decoder.table.len(), 4);
        decoder.decode(&rest).unwrap();
        assert_eq!(rest.len(), 6);
    }

    #[test]
    fn garbage_is_an_error() {
        for block in [
            &[0xff][..],
            &[0xbf],
            &[0x40, 0x7f],
            &[0x40, 0x85, 0xff],
            &[0x3f, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert!(Decoder::default().decode(block).is_err(), "{block:x?}");
        }
    }
}
