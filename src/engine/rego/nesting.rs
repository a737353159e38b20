//! What a text would cost to parse. The parser tries a bracket as a comprehension first and then once more as a
//! collection, all that is inside included: the time doubles with every level.

/// Levels of brackets in a module; sixteen are half a second.
const LEVELS: u32 = 16;
/// What the brackets of a module may cost together, each by its level; braces of rules included.
const MODULE: u64 = 1 << 21;
/// The same for a query, which callers write and a serving thread parses.
const QUERY: u64 = 1 << 14;

/// Brackets that nest too deep to be parsed, and where: row and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("brackets nest too deep")]
pub(super) struct TooDeep {
    pub row: u32,
    pub column: u32,
}

/// Whether a module can be parsed in reasonable time.
pub(super) fn check_module(text: &str) -> Result<(), TooDeep> {
    check(text, MODULE)
}

/// Whether a query can.
pub(super) fn check_query(text: &str) -> Result<(), TooDeep> {
    check(text, QUERY)
}

fn check(text: &str, budget: u64) -> Result<(), TooDeep> {
    let (mut level, mut cost) = (0_u32, 0_u64);
    let (mut row, mut column) = (1, 0);
    let mut letters = text.chars();
    let mut ends_at: Option<char> = None;
    while let Some(letter) = letters.next() {
        (row, column) = if letter == '\n' {
            (row + 1, 0)
        } else {
            (row, column + 1)
        };
        if let Some(end) = ends_at {
            // Only a quoted string knows escapes, and none goes beyond its line.
            if letter == '\\' && end == '"' {
                column += 1;
                letters.next();
            } else if letter == end || (letter == '\n' && end == '"') {
                ends_at = None;
            }
            continue;
        }
        match letter {
            '"' | '`' => ends_at = Some(letter),
            '#' => ends_at = Some('\n'),
            '[' | '{' => {
                level += 1;
                cost += 1 << level.min(LEVELS + 1);
                if level > LEVELS || cost > budget {
                    return Err(TooDeep { row, column });
                }
            }
            ']' | '}' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_bounded_and_width_is_not() {
        let nest = |levels: usize| format!("x := {}1{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check_module(&nest(16)), Ok(()));
        assert_eq!(check_module(&nest(17)), Err(TooDeep { row: 1, column: 22 }));
        assert_eq!(check_query(&nest(12)), Ok(()));
        assert!(check_query(&nest(14)).is_err());
        assert!(check_query(&format!("[{}]", vec![nest(11); 20].join(","))).is_err());
        let wide = "allow if { input.x[_] == {\"a\": [1, 2]} }\n".repeat(50_000);
        assert_eq!(check_module(&wide), Ok(()));
    }

    #[test]
    fn what_is_text_is_no_bracket() {
        let brackets = "[{".repeat(20);
        for text in [
            format!("# {brackets}\nx := 1"),
            format!("x := \"\\\"{brackets}\""),
            format!("x := `\n\\{brackets}`"),
        ] {
            assert_eq!(check_module(&text), Ok(()), "{text}");
        }
        // A string that does not end, a comment that does.
        assert!(check_module(&format!("x := \"a\n{brackets}")).is_err());
        assert!(check_module(&format!("# a\n{brackets}")).is_err());
        assert_eq!(check_module("]]]}\\"), Ok(()));
    }
}
