//! `regex.globs_match`: whether two simple patterns have a text in common that is not empty.
//!
//! Of a pattern `.`, `[a-z]`, `*`, `+` and `\` have a meaning.

use std::collections::HashSet;

use anyhow::{Result, anyhow};
use regorus::Value;

use super::bounds::too_much;
use super::text;

/// Pairs of places in the two patterns that are looked at.
const MOST: usize = 1 << 20;

enum What {
    Any,
    One(char),
    Set(HashSet<char>),
}

struct Token {
    what: What,
    repeats: bool,
    optional: bool,
}

pub(super) fn matches(arguments: &[Value]) -> Result<Value> {
    let (one, other) = (tokens(text(arguments, 0)?)?, tokens(text(arguments, 1)?)?);
    let places = (one.len() + 1).saturating_mul(other.len() + 1);
    if places > MOST {
        return Err(too_much(places as u64, MOST as u64));
    }
    Ok(Value::from(meet(&one, &other)))
}

/// Walks both at once: each state is a place in each, and whether a character was read.
fn meet(one: &[Token], other: &[Token]) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![(0, 0, false)];
    while let Some(state) = open.pop() {
        if !seen.insert(state) {
            continue;
        }
        let (left, right, read) = state;
        if left == one.len() && right == other.len() && read {
            return true;
        }
        if one.get(left).is_some_and(|token| token.optional) {
            open.push((left + 1, right, read));
        }
        if other.get(right).is_some_and(|token| token.optional) {
            open.push((left, right + 1, read));
        }
        if let (Some(a), Some(b)) = (one.get(left), other.get(right))
            && share(&a.what, &b.what)
        {
            let lefts = [Some(left + 1), a.repeats.then_some(left)];
            for next in lefts.into_iter().flatten() {
                open.push((next, right + 1, true));
                if b.repeats {
                    open.push((next, right, true));
                }
            }
        }
    }
    false
}

fn share(one: &What, other: &What) -> bool {
    match (one, other) {
        (What::Any, _) | (_, What::Any) => true,
        (What::One(a), What::One(b)) => a == b,
        (What::One(a), What::Set(set)) | (What::Set(set), What::One(a)) => set.contains(a),
        (What::Set(a), What::Set(b)) => !a.is_disjoint(b),
    }
}

fn tokens(pattern: &str) -> Result<Vec<Token>> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        let what = match letter {
            '.' => What::Any,
            '\\' => What::One(
                letters
                    .next()
                    .ok_or_else(|| anyhow!("a backslash at the end"))?,
            ),
            '[' => What::Set(set(&mut letters)?),
            ']' => return Err(anyhow!("a set that was not opened")),
            '*' | '+' => {
                let last = tokens.last_mut().filter(|last| !last.repeats);
                let last = last.ok_or_else(|| anyhow!("nothing to repeat"))?;
                last.repeats = true;
                last.optional = letter == '*';
                continue;
            }
            other => What::One(other),
        };
        tokens.push(Token {
            what,
            repeats: false,
            optional: false,
        });
    }
    Ok(tokens)
}

fn set(letters: &mut std::str::Chars<'_>) -> Result<HashSet<char>> {
    /// Characters of a set.
    const LARGEST: usize = 1 << 16;
    let open = || anyhow!("a set that is not closed");
    let mut set = HashSet::new();
    let mut last: Option<char> = None;
    loop {
        match letters.next().ok_or_else(open)? {
            ']' => return Ok(set),
            '-' if last.is_some() => {
                let first = last.take().ok_or_else(open)?;
                let end = match letters.next().ok_or_else(open)? {
                    '\\' => letters.next().ok_or_else(open)?,
                    ']' => return Err(anyhow!("a range without an end")),
                    end => end,
                };
                if first > end || (end as usize - first as usize) > LARGEST {
                    return Err(anyhow!("a range that is not one"));
                }
                set.extend(first..=end);
            }
            letter => {
                let letter = match letter {
                    '\\' => letters.next().ok_or_else(open)?,
                    letter => letter,
                };
                set.insert(letter);
                last = Some(letter);
            }
        }
    }
}
