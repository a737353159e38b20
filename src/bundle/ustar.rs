//! Tar headers in the one dialect a bundle may use: ustar, regular files, no extension headers.

/// Bytes of a header, and what contents are padded to.
pub(super) const BLOCK: usize = 512;

/// Two zero blocks end an archive.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// A regular file's header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) size: u64,
}

/// Zero bytes that follow contents of `size` bytes.
pub(super) const fn padding(size: u64) -> usize {
    let over = (size % BLOCK as u64) as usize;
    if over == 0 { 0 } else { BLOCK - over }
}

/// The header of a regular file, mode 0644, with owner and times zero. None where the name fits neither
/// the 100-byte field nor, split at a slash, the 155-byte prefix before it, or the size needs 12 digits.
pub(super) fn encode(name: &str, size: u64) -> Option<[u8; BLOCK]> {
    let (prefix, name) = split(name)?;
    let size = format!("{size:011o}\0");
    if size.len() != 12 {
        return None;
    }
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, size.as_bytes());
    put(136, b"00000000000\0");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(345, prefix.as_bytes());
    let checksum = format!("{:06o}\0 ", checksum(&block));
    block[148..156].copy_from_slice(checksum.as_bytes());
    Some(block)
}

/// Reads a header.
pub(super) fn decode(block: &[u8; BLOCK]) -> Result<Header, String> {
    if block[257..265] != *b"ustar\x0000" {
        return Err("a tar header is not ustar".to_owned());
    }
    if octal(&block[148..156]) != Some(u64::from(checksum(block))) {
        return Err("a tar header's checksum is wrong".to_owned());
    }
    let name = full_name(block)?;
    if block[156] != b'0' {
        let flag = char::from(block[156]).escape_default();
        return Err(format!(
            "`{name}` is no regular file (tar type `{flag}`), the only kind a bundle may hold"
        ));
    }
    if block[157..257].iter().any(|&byte| byte != 0) {
        return Err(format!("`{name}` names a link target"));
    }
    if block[500..].iter().any(|&byte| byte != 0) {
        return Err(format!("the tar header of `{name}` does not end in zeros"));
    }
    let size = octal(&block[124..136])
        .ok_or_else(|| format!("the tar header of `{name}` has no octal size"))?;
    Ok(Header { name, size })
}

fn split(name: &str) -> Option<(&str, &str)> {
    if name.len() <= 100 {
        return Some(("", name));
    }
    name.match_indices('/')
        .map(|(at, _)| (&name[..at], &name[at + 1..]))
        .find(|(prefix, rest)| prefix.len() <= 155 && (1..=100).contains(&rest.len()))
}

/// The sum of all bytes, those of the checksum itself counted as spaces.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let all: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    let own: u32 = block[148..156].iter().map(|&byte| u32::from(byte)).sum();
    all - own + 8 * u32::from(b' ')
}

fn full_name(block: &[u8; BLOCK]) -> Result<String, String> {
    let name = text(&block[..100])?;
    let prefix = text(&block[345..500])?;
    Ok(if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}/{name}")
    })
}

/// Text up to the first NUL; nothing may hide behind it.
fn text(field: &[u8]) -> Result<&str, String> {
    let end = field
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(field.len());
    let (text, rest) = field.split_at(end);
    if rest.iter().any(|&byte| byte != 0) {
        return Err("a tar header hides bytes behind a name".to_owned());
    }
    std::str::from_utf8(text).map_err(|_| "a name in a tar header is not UTF-8".to_owned())
}

/// Octal digits, then NULs or spaces only.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = field
        .iter()
        .take_while(|byte| (b'0'..=b'7').contains(byte))
        .count();
    let (digits, end) = field.split_at(digits);
    if end.is_empty() || end.iter().any(|byte| !matches!(byte, 0 | b' ')) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_round_trip() {
        for name in [
            "a/data.json".to_owned(),
            format!("{}/{}", "d".repeat(120), "f".repeat(90)),
        ] {
            let block = encode(&name, 1234).unwrap();
            assert_eq!(decode(&block).unwrap(), Header { name, size: 1234 });
        }
    }

    #[test]
    fn names_that_do_not_fit_have_no_header() {
        assert_eq!(encode(&"x".repeat(101), 0), None);
        assert_eq!(encode(&format!("{}/x", "d".repeat(156)), 0), None);
        assert_eq!(encode("x", 1 << 33), None);
    }

    #[test]
    fn every_flipped_byte_of_a_header_is_refused() {
        let block = encode("a/data.json", 10).unwrap();
        for at in 0..BLOCK {
            let mut flipped = block;
            flipped[at] ^= 0x01;
            assert!(decode(&flipped).is_err(), "byte {at}");
        }
    }

    #[test]
    fn other_kinds_of_entries_are_refused() {
        for flag in *b"123567xgLKS\0" {
            let mut block = encode("a", 0).unwrap();
            block[156] = flag;
            let checksum = format!("{:06o}\0 ", checksum(&block));
            block[148..156].copy_from_slice(checksum.as_bytes());
            assert!(decode(&block).unwrap_err().contains("no regular file"));
        }
    }

    #[test]
    fn contents_are_padded_to_blocks() {
        assert_eq!(
            [
                padding(0),
                padding(1),
                padding(511),
                padding(512),
                padding(513)
            ],
            [0, 511, 1, 0, 511]
        );
    }
}
