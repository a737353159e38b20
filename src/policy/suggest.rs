//! "Did you mean ...?"

/// Longer words are no typing errors of ours.
const MAX_LENGTH: usize = 40;

/// `; did you mean ...?` with the known word nearest to `written`, or nothing where none is near.
pub(super) fn suggestion<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> String {
    if written.len() > MAX_LENGTH {
        return String::new();
    }
    let plain = fold(written);
    known
        .filter(|word| !word.is_empty())
        .map(|word| (distance(&plain, &fold(word)), word))
        .filter(|(distance, word)| {
            let length = word.chars().count();
            *distance < length && *distance <= 1 + length / 4
        })
        .min_by_key(|(distance, _)| *distance)
        .map_or_else(String::new, |(_, word)| format!("; did you mean `{word}`?"))
}

/// Spellings of one word: case and separators do not count.
fn fold(word: &str) -> Vec<char> {
    word.chars()
        .filter(|character| !matches!(character, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Edit distance with swaps of neighbours (optimal string alignment).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, b) in right.iter().enumerate() {
            let at =
                |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&above, column) + usize::from(a != b))
                .min(at(&above, column + 1) + 1)
                .min(at(&line, column) + 1);
            let swapped = row > 0
                && column > 0
                && left.get(row - 1) == Some(b)
                && right.get(column - 1) == Some(a);
            if swapped {
                best = best.min(at(&before, column - 1) + 1);
            }
            line.push(best);
        }
        before = above;
        above = line;
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest(written: &str) -> String {
        let known = [
            "validations",
            "variables",
            "match",
            "severity",
            "type",
            "abTestGroup",
        ];
        suggestion(written, known.into_iter())
    }

    #[test]
    fn the_nearest_word_is_named() {
        assert_eq!(nearest("validation"), "; did you mean `validations`?");
        assert_eq!(nearest("tpye"), "; did you mean `type`?");
        assert_eq!(nearest("Severity"), "; did you mean `severity`?");
        assert_eq!(nearest("ab_test_group"), "; did you mean `abTestGroup`?");
    }

    #[test]
    fn nothing_is_said_where_nothing_is_near() {
        assert_eq!(nearest("remediation"), "");
        assert_eq!(nearest(""), "");
        assert_eq!(nearest(&"severity".repeat(10)), "");
    }
}
