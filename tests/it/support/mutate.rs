//! Mutated corpora: whole examples of an input, spoiled in the ways that break decoders.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// Cases of each property where `LICTOR_FUZZ_CASES` does not say otherwise.
const CASES: u32 = 96;
/// However many cases: one property takes no longer.
const LONGEST: Duration = Duration::from_mins(1);
/// One case; generous, since machines are slow and shared, and still far below what quadratic work would take.
const SLOWEST: Duration = Duration::from_secs(10);
/// Bytes that a mutated input may have.
const LARGEST: usize = 64 * 1024;

/// What numbers are tried in place of those that stand there.
const NUMBERS: [&str; 14] = [
    "0",
    "-0",
    "-1",
    "255",
    "65536",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "9223372036854775808",
    "18446744073709551616",
    "1e400",
    "-1e-400",
    "0.1e",
    "00",
];

/// What is put somewhere in between.
const TOKENS: [&[u8]; 22] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\\ud800",
    b"\\u0000",
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\r\n",
    b"\n---\n",
    b"&a *a",
    b"%2f",
    b"%",
    b"../",
    b"null",
    b"\x7f",
    b"\xe2\x80\xae",
];

/// One way to spoil an input.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Truncate(Index),
    /// A piece, so many times more.
    Duplicate(Index, Index, u8),
    /// The rest of another example from there on.
    Splice(Index, Index),
    Remove(Index, Index),
    Number(Index, usize),
    Insert(Index, usize),
    /// So deep a nest.
    Nest(Index, u16),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        3 => (at(), 1..=255_u8).prop_map(|(at, bits)| Change::Flip(at, bits)),
        1 => at().prop_map(Change::Truncate),
        2 => (at(), at(), 1..16_u8).prop_map(|(from, to, times)| Change::Duplicate(from, to, times)),
        2 => (at(), at()).prop_map(|(at, from)| Change::Splice(at, from)),
        1 => (at(), at()).prop_map(|(from, to)| Change::Remove(from, to)),
        2 => (at(), 0..NUMBERS.len()).prop_map(|(at, number)| Change::Number(at, number)),
        3 => (at(), 0..TOKENS.len()).prop_map(|(at, token)| Change::Insert(at, token)),
        1 => (at(), 1..2000_u16).prop_map(|(at, depth)| Change::Nest(at, depth)),
    ]
}

fn apply(mut text: Vec<u8>, other: &[u8], change: &Change) -> Vec<u8> {
    let place = |index: &Index, length: usize| index.index(length + 1);
    match change {
        Change::Flip(at, bits) if !text.is_empty() => {
            let at = at.index(text.len());
            text[at] ^= bits;
        }
        Change::Flip(..) => {}
        Change::Truncate(at) => text.truncate(place(at, text.len())),
        Change::Duplicate(from, to, times) => {
            let (from, to) = (place(from, text.len()), place(to, text.len()));
            let piece = text[from.min(to)..from.max(to)].to_vec();
            let more = piece.repeat(usize::from(*times));
            text.splice(from.max(to)..from.max(to), more);
        }
        Change::Splice(at, from) => {
            text.truncate(place(at, text.len()));
            text.extend_from_slice(&other[place(from, other.len())..]);
        }
        Change::Remove(from, to) => {
            let (from, to) = (place(from, text.len()), place(to, text.len()));
            text.drain(from.min(to)..from.max(to));
        }
        Change::Number(at, number) => {
            let at = place(at, text.len());
            let start = (at..text.len()).find(|at| text[*at].is_ascii_digit());
            let start = start.unwrap_or(at);
            let digits = text[start..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit());
            let end = start + digits.count();
            text.splice(start..end, NUMBERS[*number].bytes());
        }
        Change::Insert(at, token) => {
            let at = place(at, text.len());
            text.splice(at..at, TOKENS[*token].iter().copied());
        }
        Change::Nest(at, depth) => {
            let at = place(at, text.len());
            let open = if depth % 2 == 0 { b'[' } else { b'(' };
            text.splice(at..at, std::iter::repeat_n(open, usize::from(*depth)));
        }
    }
    text.truncate(LARGEST);
    text
}

fn cases() -> u32 {
    let wanted = std::env::var("LICTOR_FUZZ_CASES").ok();
    wanted.map_or(CASES, |text| text.parse().expect("LICTOR_FUZZ_CASES"))
}

/// Holds `check` against every example as it is, and against mutated ones: it may not panic, and may not take long.
pub fn hold<T: AsRef<[u8]>>(examples: &[T], check: impl Fn(&[u8])) {
    for example in examples {
        check(example.as_ref());
    }
    let end = Instant::now() + LONGEST;
    let config = Config {
        cases: cases(),
        failure_persistence: None,
        max_shrink_time: 20_000,
        ..Config::default()
    };
    let input = (
        any::<Index>(),
        any::<Index>(),
        prop::collection::vec(change(), 1..6),
    );
    let result = TestRunner::new(config).run(&input, |(first, second, changes)| {
        if Instant::now() > end {
            return Ok(());
        }
        let other = second.get(examples).as_ref();
        let mut text = first.get(examples).as_ref().to_vec();
        for change in &changes {
            text = apply(text, other, change);
        }
        let began = Instant::now();
        check(&text);
        if began.elapsed() > SLOWEST {
            let text = String::from_utf8_lossy(&text).into_owned();
            return Err(TestCaseError::fail(format!(
                "took {:?}: {text}",
                began.elapsed()
            )));
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// The reference for JSON: whether these bytes are one value, whatever its numbers.
pub fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}
