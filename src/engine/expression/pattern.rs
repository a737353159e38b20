//! Regular expressions: linear in time by their engine, bounded in size here, and with RE2's meaning of
//! the classes that the engine takes for Unicode.

use regex::{Regex, RegexBuilder};

use crate::engine::value::Value;

use super::Failure;
use super::evaluate::{Machine, Outcome, no_overload};

/// Bytes of a constant pattern's program.
const CONSTANT_SIZE: usize = 1 << 20;
/// Bytes of the program of a pattern that comes with the request, and the steps that compiling one costs, besides one
/// for every byte of its text: most are small, and making a large one takes as long as many thousand steps.
const DYNAMIC: [(usize, u64); 2] = [(1 << 12, 500), (1 << 16, 10_000)];
/// Bytes of the text of such a pattern.
const DYNAMIC_LENGTH: usize = 1024;

fn build(pattern: &str, size: usize) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&ascii_classes(pattern))
        .size_limit(size)
        .dfa_size_limit(size)
        .nest_limit(64)
        .build()
}

/// Compiles a constant pattern. The error says what is wrong with it.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    build(pattern, CONSTANT_SIZE).map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("the pattern needs more than {limit} bytes: make its repetitions smaller")
        }
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default();
            format!("invalid pattern: {}", reason.trim_start_matches("error: "))
        }
    })
}

/// `matches` with a pattern that is computed.
pub(super) fn matches<'a>(machine: &Machine<'_, 'a>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::String(pattern)] = arguments else {
        return Err(no_overload());
    };
    if pattern.len() > DYNAMIC_LENGTH {
        return Err(Failure::Error("the pattern is too long"));
    }
    machine.charge(pattern.len() as u64)?;
    // Every byte of the text may cost as much as the pattern is long.
    machine.charge(text.len() as u64 * (1 + pattern.len() as u64 / 16) / 16)?;
    for (size, steps) in DYNAMIC {
        machine.charge(steps)?;
        match build(pattern, size) {
            Ok(regex) => return Ok(Value::Bool(regex.is_match(text))),
            Err(regex::Error::CompiledTooBig(_)) => {}
            Err(_) => break,
        }
    }
    Err(Failure::Error("invalid or too large pattern"))
}

/// RE2 takes `\d`, `\w`, `\s` and `\b` for ASCII; the engine would take them for Unicode.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut inside = 0_usize;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '[' => inside += 1,
            ']' => inside = inside.saturating_sub(1),
            '\\' => {
                let Some(escaped) = characters.next() else {
                    out.push('\\');
                    break;
                };
                let class = match escaped {
                    'd' => "0-9",
                    'w' => "0-9A-Za-z_",
                    's' => "\\t\\n\\f\\r ",
                    'D' => "^0-9",
                    'W' => "^0-9A-Za-z_",
                    'S' => "^\\t\\n\\f\\r ",
                    'b' if inside == 0 => {
                        out.push_str("(?-u:\\b)");
                        continue;
                    }
                    other => {
                        out.push('\\');
                        out.push(other);
                        continue;
                    }
                };
                out.push('[');
                out.push_str(class);
                out.push(']');
                continue;
            }
            _ => {}
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii_as_in_re2() {
        let digits = compile(r"^\d+$").unwrap();
        assert!(digits.is_match("123"));
        assert!(!digits.is_match("١٢٣"));
        assert!(compile(r"^[\w.]+$").unwrap().is_match("a_1.b"));
        assert!(!compile(r"^\w+$").unwrap().is_match("é"));
        assert!(compile(r"^[^\s]+$").unwrap().is_match("é"));
        assert!(compile(r"^\D\W\S$").unwrap().is_match("éé."));
        assert!(compile(r"\bab\b").unwrap().is_match("x ab y"));
        assert!(compile(r"^\\d$").unwrap().is_match(r"\d"));
        assert!(compile(r"^.$").unwrap().is_match("é"));
        assert!(compile("(?i)^ABC$").unwrap().is_match("abc"));
    }

    #[test]
    fn patterns_are_bounded() {
        assert!(compile("((a{100}){100}){100}").is_err());
        assert!(compile("(").unwrap_err().contains("unclosed group"));
        assert!(compile(&"(".repeat(1000)).is_err());
    }
}
