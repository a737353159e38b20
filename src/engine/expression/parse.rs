//! From text to the syntax tree, within limits that keep the parser's recursion bounded.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::parser::Parser;

/// Bytes of an expression.
const MAX_LENGTH: usize = 64 * 1024;
/// Nesting of brackets and conditionals.
const MAX_NESTING: u16 = 64;
/// Depth of the tree that operators and selections in a row make.
const MAX_CHAIN: usize = 160;
const MAX_ERRORS: u32 = 8;

/// What is wrong with a text, and where, from 0.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub message: String,
    pub line: usize,
    pub column: usize,
}

/// A syntax tree, and where its parts stand in the text.
pub(super) type Tree = (IdedExpr, SourceInfo);

/// Trees of texts that were parsed lately: parsing is most of a compilation, and policies of one hand repeat each other.
#[derive(Debug, Default)]
pub struct Trees(RefCell<HashMap<Box<str>, Rc<Tree>>>);

impl Trees {
    /// So many are kept; then all are forgotten.
    const MOST: usize = 256;
    /// Longer texts are not kept: a tree is many times its text.
    const LONGEST: usize = 512;

    /// The syntax tree of `text`.
    pub(super) fn of(&self, text: &str) -> Result<Rc<Tree>, SyntaxError> {
        if let Some(tree) = self.0.borrow().get(text) {
            return Ok(Rc::clone(tree));
        }
        let tree = Rc::new(parse(text)?);
        if text.len() <= Self::LONGEST {
            let mut kept = self.0.borrow_mut();
            if kept.len() >= Self::MOST {
                kept.clear();
            }
            kept.insert(text.into(), Rc::clone(&tree));
        }
        Ok(tree)
    }
}

/// The syntax tree of `text`, macros of the standard library expanded.
fn parse(text: &str) -> Result<Tree, SyntaxError> {
    let plain = |message: String| SyntaxError {
        message,
        line: 0,
        column: 0,
    };
    if text.len() > MAX_LENGTH {
        return Err(plain(format!(
            "the expression is longer than {MAX_LENGTH} bytes"
        )));
    }
    if depth(text) > MAX_CHAIN {
        return Err(plain(format!(
            "the expression nests more than {MAX_CHAIN} operators: split it into variables"
        )));
    }
    Parser::new()
        .max_recursion_depth(MAX_NESTING)
        .error_recovery_limit(MAX_ERRORS)
        .enable_optional_syntax(true)
        .enable_ident_escape_syntax(true)
        .parse_with_source_info(text)
        .map_err(|errors| {
            let first = errors.errors.into_iter().next();
            first.map_or_else(
                || plain("syntax error".into()),
                |error| SyntaxError {
                    message: format!("syntax error: {}", error.msg.trim()),
                    line: usize::try_from(error.pos.0 - 1).unwrap_or(0),
                    column: usize::try_from(error.pos.1 - 1).unwrap_or(0),
                },
            )
        })
}

/// An upper bound of the depth of the tree, from the text alone: operators and selections in a row nest
/// to the left, brackets and conditionals nest inside.
fn depth(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    let (mut chain, mut deepest) = (0_usize, 0);
    let mut bases = vec![0];
    let mut before = b'(';
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => at = skip_string(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += bytes
                    .iter()
                    .skip(at)
                    .position(|byte| *byte == b'\n')
                    .unwrap_or(bytes.len());
            }
            b'(' | b'[' | b'{' => {
                chain += 1;
                bases.push(chain);
            }
            b')' | b']' | b'}' if bases.len() > 1 => chain = bases.pop().unwrap_or_default(),
            b',' | b'&' | b'|' | b':' => chain = bases.last().copied().unwrap_or_default(),
            b'?' if !matches!(before, b'.' | b'[' | b'{' | b',') => {
                chain = bases.last().copied().unwrap_or_default() + 1;
                if let Some(base) = bases.last_mut() {
                    *base = chain;
                }
            }
            b'+' | b'-' | b'*' | b'/' | b'%' | b'.' | b'<' | b'>' | b'=' | b'!' => chain += 1,
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            before = *byte;
        }
        deepest = deepest.max(chain);
        at += 1;
    }
    deepest
}

/// The index of the last byte of the string that starts at `at`.
fn skip_string(bytes: &[u8], at: usize) -> usize {
    let Some(quote) = bytes.get(at) else {
        return at;
    };
    let raw = at > 0 && matches!(bytes.get(at - 1), Some(b'r' | b'R'))
        || at > 1
            && matches!(bytes.get(at - 2), Some(b'r' | b'R'))
            && matches!(bytes.get(at - 1), Some(b'b' | b'B'));
    let triple = bytes.get(at + 1) == Some(quote) && bytes.get(at + 2) == Some(quote);
    let length = if triple { 3 } else { 1 };
    let mut end = at + length;
    while let Some(byte) = bytes.get(end) {
        if *byte == b'\\' && !raw {
            end += 2;
            continue;
        }
        let closes = bytes
            .get(end..end + length)
            .is_some_and(|close| close.iter().all(|byte| byte == quote));
        if closes {
            return end + length - 1;
        }
        end += 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_what_nests() {
        assert_eq!(depth("1"), 0);
        assert_eq!(depth("a.b.c"), 2);
        assert_eq!(depth("'a.b.c' + \"\\\"...\""), 1);
        assert_eq!(depth("r'\\' + b.c"), 2);
        assert_eq!(depth("[1, a.b, [c.d]]"), 3);
        assert_eq!(depth("a.b || c.d || e.f"), 1);
        assert!(depth(&"!".repeat(500)) > MAX_CHAIN);
    }

    #[test]
    fn trees_are_kept_within_bounds() {
        let trees = Trees::default();
        let first = trees.of("a + 1").unwrap();
        assert!(Rc::ptr_eq(&first, &trees.of("a + 1").unwrap()));
        assert!(trees.of("a +").is_err());
        let long = format!("'{}'", "x".repeat(Trees::LONGEST));
        assert!(!Rc::ptr_eq(
            &trees.of(&long).unwrap(),
            &trees.of(&long).unwrap()
        ));
        for index in 0..2 * Trees::MOST {
            trees.of(&index.to_string()).unwrap();
            assert!(trees.0.borrow().len() <= Trees::MOST);
        }
        assert!(!Rc::ptr_eq(&first, &trees.of("a + 1").unwrap()));
    }

    #[test]
    fn deep_and_long_texts_are_refused_without_a_deep_stack() {
        for text in [
            "(".repeat(30_000),
            "[".repeat(300),
            "1+".repeat(30_000) + "1",
            "a.".repeat(20_000) + "a",
            "-".repeat(60_000) + "1",
            "a?a:".repeat(10_000) + "a",
            format!("'{}'", "x".repeat(70_000)),
            "a[".repeat(100) + &"]".repeat(100),
        ] {
            assert!(parse(&text).is_err());
        }
        let deep = format!("{}1{}", "(".repeat(40), ")".repeat(40));
        assert!(parse(&deep).is_ok());
        assert!(parse(&("1+".repeat(150) + "1")).is_ok());
        assert!(parse(&("a || ".repeat(3_000) + "a")).is_ok());
    }
}
