//! The text of an id, which every answer holds once or twice.

use uuid::Uuid;

/// Bytes of the text.
pub const LENGTH: usize = 36;

/// By byte: its two digits.
const DIGITS: [[u8; 2]; 256] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        digits[byte] = [HEX[byte >> 4], HEX[byte & 15]];
        byte += 1;
    }
    digits
};

/// As [`Uuid`]'s `Display`, in a third of the steps: `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
#[must_use]
pub fn hyphenated(id: Uuid) -> [u8; LENGTH] {
    /// Where each byte's digits stand.
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let mut text = [b'-'; LENGTH];
    for (place, byte) in PLACES.into_iter().zip(id.into_bytes()) {
        [text[place], text[place + 1]] = DIGITS[usize::from(byte)];
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_text_is_the_one_that_uuid_writes(id in any::<u128>()) {
            let id = Uuid::from_u128(id);
            let (ours, theirs) = (hyphenated(id), id.to_string());
            prop_assert_eq!(&ours[..], theirs.as_bytes());
        }
    }
}
