//! One record: as the worker gives it, as it lies in a buffer, as the consumer sees it.
//!
//! In a buffer: the length of the record, its fixed fields, the lengths of its texts, then the texts; all integers
//! little-endian. The result is the last text, so that it can be appended to a record that is already there.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use uuid::Uuid;

use crate::model::Timestamp;

/// Texts of a record.
const TEXTS: usize = 9;
/// Bytes before the texts: length, id, moment, duration, peer, kind and outcome, lengths of the texts.
const HEAD: usize = 4 + 16 + 8 + 8 + 18 + 4 + 4 * TEXTS;
/// Where the lengths of the texts begin.
const LENGTHS: usize = HEAD - 4 * TEXTS;
/// Texts that come from outside and are for finding a record again are cut to this many bytes.
const SHORT: usize = 1024;

/// A decision. Empty texts mean "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    pub decision_id: Uuid,
    pub at: Timestamp,
    /// How long the decision took.
    pub nanos: u64,
    /// Who asked, where that is an address.
    pub peer: Option<SocketAddr>,
    /// `Kind as u8` of the decision.
    pub kind: u8,
    /// `Outcome as u8` of the decision.
    pub outcome: u8,
    /// Whether input and result were left out because the record was too large.
    pub cut: bool,
    /// Whether `input` is known to be JSON: all of it was read for the decision.
    pub sound: bool,
    /// The revision that decided.
    pub revision: &'a [u8],
    /// The door it came through: `http`, `authzen`, `ext_authz`, `opa`, ...
    pub door: &'a [u8],
    /// What was asked for, in the door's words: a path, a method, a rule.
    pub path: &'a [u8],
    pub request_id: &'a [u8],
    /// The `traceparent` that came along, unchecked.
    pub traceparent: &'a [u8],
    /// `sub` of the verified token.
    pub subject: &'a [u8],
    /// The word of the error, where there is no decision.
    pub error: &'a [u8],
    /// Text of what was asked, as it came in: JSON where there is a decision; nothing is masked yet.
    pub input: &'a [u8],
    /// JSON text of what was answered, written by ourselves.
    pub result: &'a [u8],
}

impl<'a> Record<'a> {
    fn texts(&self) -> [&'a [u8]; TEXTS] {
        [
            self.revision,
            self.door,
            short(self.path),
            short(self.request_id),
            short(self.traceparent),
            short(self.subject),
            self.error,
            self.input,
            self.result,
        ]
    }

    /// Bytes in a buffer.
    pub(super) const fn size(&self) -> usize {
        HEAD + self.revision.len()
            + self.door.len()
            + short(self.path).len()
            + short(self.request_id).len()
            + short(self.traceparent).len()
            + short(self.subject).len()
            + self.error.len()
            + self.input.len()
            + self.result.len()
    }

    /// What is left where the whole does not fit into a buffer.
    pub(super) const fn without_documents(&self) -> Self {
        Self {
            cut: true,
            input: b"",
            result: b"",
            ..*self
        }
    }

    /// Appends it; there is room for its [`Record::size`].
    pub(super) fn write(&self, size: usize, out: &mut Vec<u8>) {
        let texts = self.texts();
        let mut head = [0; HEAD];
        let mut writer = Writer(&mut head);
        writer.put((size as u32).to_le_bytes());
        writer.put(self.decision_id.into_bytes());
        let nanos = i64::try_from(self.at.unix_nanos()).unwrap_or(i64::MAX);
        writer.put(nanos.to_le_bytes());
        writer.put(self.nanos.to_le_bytes());
        let (address, port) = self.peer.map_or(([0; 16], 0), |peer| {
            let address = match peer.ip() {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            (address.octets(), peer.port())
        });
        writer.put(address);
        writer.put(port.to_le_bytes());
        writer.put([
            self.kind,
            self.outcome,
            u8::from(self.cut) | u8::from(self.sound) << 1,
            u8::from(self.peer.is_some()),
        ]);
        for text in texts {
            writer.put((text.len() as u32).to_le_bytes());
        }
        out.extend_from_slice(&head);
        for text in texts.into_iter().filter(|text| !text.is_empty()) {
            out.extend_from_slice(text);
        }
    }

    /// The record at the start of `bytes`, and what follows it.
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut reader = Reader(bytes);
        let size = u32::from_le_bytes(reader.take()?) as usize;
        let rest = bytes.get(size..)?;
        let decision_id = Uuid::from_bytes(reader.take()?);
        let at = Timestamp::from_unix_nanos(i64::from_le_bytes(reader.take()?).into());
        let nanos = u64::from_le_bytes(reader.take()?);
        let address = Ipv6Addr::from(reader.take::<16>()?).to_canonical();
        let port = u16::from_le_bytes(reader.take()?);
        let [kind, outcome, bits, has_peer] = reader.take()?;
        let mut lengths = [0; TEXTS];
        for length in &mut lengths {
            *length = u32::from_le_bytes(reader.take()?) as usize;
        }
        let mut texts = [&[][..]; TEXTS];
        for (text, length) in texts.iter_mut().zip(lengths) {
            *text = reader.text(length)?;
        }
        let [
            revision,
            door,
            path,
            request_id,
            traceparent,
            subject,
            error,
            input,
            result,
        ] = texts;
        let record = Self {
            decision_id,
            at,
            nanos,
            peer: (has_peer != 0).then(|| SocketAddr::new(address, port)),
            kind,
            outcome,
            cut: bits & 1 != 0,
            sound: bits & 2 != 0,
            revision,
            door,
            path,
            request_id,
            traceparent,
            subject,
            error,
            input,
            result,
        };
        Some((record, rest))
    }
}

/// Appends the result to the record at `start`, which is the last one in `bytes` and has none.
pub(super) fn complete(bytes: &mut Vec<u8>, start: usize, result: &[u8]) {
    bytes.extend_from_slice(result);
    let size = bytes.len() - start;
    let length_at = start + LENGTHS + 4 * (TEXTS - 1);
    for (at, value) in [(start, size), (length_at, result.len())] {
        if let Some(place) = bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&(value as u32).to_le_bytes());
        }
    }
}

/// The records of a batch.
#[derive(Clone, Debug)]
pub struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (record, rest) = Record::read(self.0)?;
        self.0 = rest;
        Some(record)
    }
}

const fn short(text: &[u8]) -> &[u8] {
    match text.split_at_checked(SHORT) {
        Some((short, _)) => short,
        None => text,
    }
}

struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    fn put<const N: usize>(&mut self, value: [u8; N]) {
        if let Some((place, rest)) = std::mem::take(&mut self.0).split_first_chunk_mut() {
            *place = value;
            self.0 = rest;
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (value, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*value)
    }

    fn text(&mut self, length: usize) -> Option<&'a [u8]> {
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }
}
