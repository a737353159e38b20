//! Text as service policies compare it: without surrounding blanks, case ignored.

use bumpalo::Bump;

use crate::engine::table::TableSet;

/// Rank of a compliance level; unknown and empty count as public.
pub(super) fn level_rank(level: &str) -> usize {
    known_level(level).unwrap_or(0)
}

pub(super) fn known_level(level: &str) -> Option<usize> {
    let level = trimmed(level);
    ["public", "internal", "confidential", "restricted"]
        .iter()
        .position(|known| level.eq_ignore_ascii_case(known))
}

/// As [`str::trim`], which looks for the blanks of all scripts: most texts have none at their ends.
pub(super) fn trimmed(text: &str) -> &str {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(0x21..=0x7e), Some(0x21..=0x7e)) => text,
        _ => text.trim(),
    }
}

/// Text as it is compared: without surrounding blanks, in lower case. Borrows where nothing changes.
pub(super) fn folded<'a>(text: &'a str, arena: &'a Bump) -> &'a str {
    let text = trimmed(text);
    if !text.is_ascii() {
        let lower = text.chars().flat_map(char::to_lowercase);
        return bumpalo::collections::String::from_iter_in(lower, arena).into_bump_str();
    }
    if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return text;
    }
    let lower = arena.alloc_str(text);
    lower.make_ascii_lowercase();
    lower
}

/// Whether `text` is `lower` when compared, which is folded already.
pub(super) fn is_folded(text: &str, lower: &str, arena: &Bump) -> bool {
    let text = trimmed(text);
    if text.is_ascii() {
        text.eq_ignore_ascii_case(lower)
    } else {
        folded(text, arena) == lower
    }
}

/// Whether `text` begins with `lower` when compared, which is ASCII, in lower case, and eight bytes long.
pub(super) fn starts_with_folded(text: &str, lower: [u8; 8]) -> bool {
    trimmed(text)
        .as_bytes()
        .first_chunk()
        .is_some_and(|start| lowered(u64::from_le_bytes(*start)) == Some(u64::from_le_bytes(lower)))
}

/// The first eight bytes of a text, filled up with zeros, in lower case; None where they are not all ASCII.
fn first_word(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let word = |word, byte: &u8| word << 8 | u64::from(*byte);
    lowered(bytes.first_chunk().map_or_else(
        || bytes.iter().rev().fold(0, word),
        |start| u64::from_le_bytes(*start),
    ))
}

/// Eight bytes of ASCII in lower case.
#[inline]
const fn lowered(word: u64) -> Option<u64> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x80 * ONES;
    if word & HIGHS != 0 {
        return None;
    }
    // Below 0x80 no sum carries into the next byte.
    let from_a = word + (0x80 - b'A' as u64) * ONES;
    let above_z = word + (0x80 - b'Z' as u64 - 1) * ONES;
    Some(word | (from_a & !above_z & HIGHS) >> 2)
}

/// A rule's list as it is compared with.
#[derive(Debug)]
pub(super) enum FoldedSet {
    /// Few enough to look at each.
    List(Vec<Folded>),
    Table(TableSet<String>),
}

/// A text of a rule, and its first word: whatever has another one is another text.
#[derive(Debug)]
pub(super) struct Folded {
    word: Option<u64>,
    text: String,
}

/// Above so many texts, hashing one is cheaper than comparing it with each.
const FEW: usize = 8;

impl FoldedSet {
    pub fn new(list: &[String]) -> Self {
        let arena = Bump::new();
        let texts = list.iter().map(|text| folded(text, &arena).to_owned());
        if list.len() > FEW {
            return Self::Table(texts.collect());
        }
        let few = texts.map(|text| Folded {
            word: first_word(&text),
            text,
        });
        Self::List(few.collect())
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Self::List(texts) if texts.is_empty())
    }

    pub fn contains(&self, text: &str, arena: &Bump) -> bool {
        match self {
            Self::List(list) => {
                let text = trimmed(text);
                let word = first_word(text);
                // A character beyond ASCII may be ASCII when folded: then the word says nothing.
                list.iter().any(|known| {
                    (word == known.word || word.is_none()) && is_folded(text, &known.text, arena)
                })
            }
            Self::Table(texts) => texts.contains(folded(text, arena)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_set_holds_what_is_the_same_when_compared(
            list in prop::collection::vec("[ aAkK\u{212a}é@\\[\u{0}]{0,10}", 0..12),
            text in "[ aAkK\u{212a}é@\\[\u{0}]{0,10}",
        ) {
            let arena = Bump::new();
            let set = FoldedSet::new(&list);
            for text in list.iter().chain([&text]) {
                let same = |known: &String| folded(known, &arena) == folded(text, &arena);
                prop_assert_eq!(set.contains(text, &arena), list.iter().any(same));
            }
        }

        #[test]
        fn a_start_is_compared_without_case(text in "( |h)?[hH][tT][tTé][pP][sS]:/?/.{0,3}") {
            let start = trimmed(&text).get(..8);
            let expected = start.is_some_and(|start| start.eq_ignore_ascii_case("https://"));
            prop_assert_eq!(starts_with_folded(&text, *b"https://"), expected);
        }
    }
}
