//! A look at text that is known to be JSON, many bytes at a time: may it stand in a line as it is?

#[cfg(target_arch = "x86_64")]
mod avx2;

/// Bytes of a block.
const BLOCK: usize = 32;
/// Bytes of a trace of a credential.
const TRACE: usize = 3;
/// Bytes in which a trace begins within a block.
const WINDOW: usize = BLOCK + TRACE - 1;

/// Whether there is no control character (a line ends nowhere within), no escape (a name is what it looks like) and no trace of
/// a credential's name. May be false where a closer look would find nothing, and never true where it would find something.
pub(super) fn is_harmless(text: &[u8]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "the same look, compiled for wider registers")]
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { avx2::is_harmless(text) };
    }
    look(text)
}

/// Written so that the compiler makes vectors of it: no branch within a block, and a flag for each of its bytes. Closures
/// would stop it.
fn look(text: &[u8]) -> bool {
    let mut flags = [0; BLOCK];
    let mut rest = text;
    while let Some(window) = rest.first_chunk::<WINDOW>() {
        block(window, &mut flags);
        rest = rest.get(BLOCK..).unwrap_or_default();
    }
    // Less than a window is left.
    let mut last = [b' '; BLOCK + WINDOW];
    if let Some(place) = last.get_mut(..rest.len()) {
        place.copy_from_slice(rest);
    }
    if let (Some(first), Some(second)) = (last.first_chunk(), last.last_chunk()) {
        block(first, &mut flags);
        block(second, &mut flags);
    }
    flags.iter().fold(0, |all, flag| all | flag) == 0
}

#[inline]
fn block(window: &[u8; WINDOW], flags: &mut [u8; BLOCK]) {
    for at in 0..BLOCK {
        flags[at] |= harm(window[at], window[at + 1], window[at + 2]);
    }
}

/// Not zero where the first byte may not stand in a line, or the three are a trace of `authorization`, of `cookie` and
/// `set-cookie`, or of `x-api-key`, in letters of either case.
#[inline]
const fn harm(first: u8, second: u8, third: u8) -> u8 {
    let (a, b, c) = (first | 0x20, second | 0x20, third | 0x20);
    (first < 0x20) as u8
        | (first == b'\\') as u8
        | ((a == b'r') as u8 & (b == b'i') as u8 & (c == b'z') as u8)
        | ((a == b'o') as u8 & (b == b'k') as u8 & (c == b'i') as u8)
        | ((a == b'i') as u8 & (b == b'-') as u8 & (c == b'k') as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sidecar::decision_log::mask::CREDENTIALS;

    /// The same, byte by byte.
    fn expected(text: &[u8]) -> bool {
        let lower = text.to_ascii_lowercase();
        let has = |trace: &[u8]| lower.windows(TRACE).any(|window| window == trace);
        !text.iter().any(|byte| matches!(byte, b'\\' | 0..=0x1f))
            && ![b"riz", b"oki", b"i-k"].iter().any(|trace| has(*trace))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_harmful_is_overlooked(
            text in "[ -\\[\\]-~é]{0,120}",
            harmful in prop::sample::select(&["", "\n", "\\", "\0", "authoriZation", "CooKie", "x-Api-key"][..]),
            at in any::<prop::sample::Index>(),
        ) {
            let mut text: Vec<char> = text.chars().collect();
            let at = at.index(text.len() + 1);
            text.splice(at..at, harmful.chars());
            let text: String = text.into_iter().collect();
            prop_assert_eq!(is_harmless(text.as_bytes()), expected(text.as_bytes()));
            prop_assert_eq!(look(text.as_bytes()), expected(text.as_bytes()));
            prop_assert!(harmful.is_empty() || !is_harmless(text.as_bytes()));
        }
    }

    #[test]
    fn every_credential_leaves_a_trace_wherever_it_stands() {
        for name in CREDENTIALS {
            for before in 0..100 {
                let text = format!("{}{}", " ".repeat(before), name.to_ascii_uppercase());
                assert!(!is_harmless(text.as_bytes()), "{text}");
            }
        }
    }
}
