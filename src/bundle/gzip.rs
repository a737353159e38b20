//! The gzip members of an archive.

use std::io::{self, Read, Write};

use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};

/// Compresses into one member with a fixed header: no name, no time, no operating system.
pub(super) fn member(content: &[u8]) -> io::Result<Vec<u8>> {
    const UNKNOWN_SYSTEM: u8 = 255;
    let mut encoder = GzBuilder::new()
        .mtime(0)
        .operating_system(UNKNOWN_SYSTEM)
        .write(Vec::new(), Compression::default());
    encoder.write_all(content)?;
    encoder.finish()
}

/// Whether the bytes start with a gzip header without optional fields.
pub(super) fn plain_header(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 8, 0])
}

/// Decompresses the first member, both forms at most `limit` bytes, and returns what follows it.
pub(super) fn split_first(bytes: &[u8], limit: usize) -> Result<(Vec<u8>, &[u8]), String> {
    if !plain_header(bytes) {
        return Err("the archive does not start with a plain gzip header".to_owned());
    }
    let bounded = bytes.get(..limit).unwrap_or(bytes);
    let mut decoder = GzDecoder::new(bounded);
    let mut content = Vec::new();
    let read = (&mut decoder)
        .take(limit as u64 + 1)
        .read_to_end(&mut content);
    if content.len() > limit {
        return Err(format!("the first member holds more than {limit} bytes"));
    }
    match read {
        Ok(_) => Ok((
            content,
            &bytes[bounded.len() - decoder.into_inner().len()..],
        )),
        Err(_) if bounded.len() < bytes.len() => Err(format!(
            "the first member is damaged or longer than {limit} bytes"
        )),
        Err(error) => Err(format!("the first member is damaged: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_member_is_cut_off_exactly() {
        let mut bytes = member(b"one").unwrap();
        let second = member(b"two").unwrap();
        bytes.extend_from_slice(&second);
        assert_eq!(
            split_first(&bytes, 1000).unwrap(),
            (b"one".to_vec(), &second[..])
        );
    }

    #[test]
    fn limits_hold_for_both_forms() {
        let bomb = member(&vec![0; 100_000]).unwrap();
        assert!(
            split_first(&bomb, 99_999)
                .unwrap_err()
                .contains("more than")
        );
        assert!(split_first(&bomb, 100_000).is_ok());
        let dense: Vec<u8> = (0_u64..125)
            .flat_map(|seed| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes())
            .collect();
        let dense = member(&dense).unwrap();
        assert!(dense.len() > 1000);
        assert!(
            split_first(&dense, 1000)
                .unwrap_err()
                .contains("longer than 1000")
        );
    }

    #[test]
    fn the_header_is_fixed() {
        assert_eq!(
            member(b"x").unwrap()[..10],
            [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]
        );
    }

    #[test]
    fn garbage_is_refused() {
        for bytes in [
            &b""[..],
            b"\x1f\x8b",
            b"not gzip at all",
            b"\x1f\x8b\x08\x00garbage that goes on",
        ] {
            assert!(split_first(bytes, 1000).is_err());
        }
    }
}
