//! A URL's path as the path of a document.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::engine::RegoSegment;

use super::parameters::unescape;

/// The steps below `data`.
#[derive(Debug, Default)]
pub(super) struct DocumentPath<'p> {
    steps: Vec<Cow<'p, str>>,
}

/// A step that names nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadStep(pub String);

/// The steps of a path in which nothing is escaped, as [`DocumentPath::segments`] gives them; None where there is more to
/// it, or more than there is room for.
pub(super) fn plain<'p, 'r>(
    path: &'p str,
    room: &'r mut [RegoSegment<'p>],
) -> Option<&'r [RegoSegment<'p>]> {
    let bytes = path.as_bytes();
    let mut count = 0;
    let mut start = 0;
    for end in 0..=bytes.len() {
        match bytes.get(end) {
            Some(b'/') | None => {}
            Some(b'%' | b'"') => return None,
            Some(_) => continue,
        }
        if let Some(step) = path.get(start..end).filter(|step| !step.is_empty()) {
            *room.get_mut(count)? =
                integer(step).map_or(RegoSegment::Name(step), RegoSegment::Index);
            count += 1;
        }
        start = end + 1;
    }
    room.get(..count)
}

impl<'p> DocumentPath<'p> {
    /// Splits what comes after the route; empty steps are left out, a broken escape stays as it is.
    pub(super) fn read(path: &'p str) -> Result<Self, BadStep> {
        let mut steps = Vec::new();
        for step in path.split('/').filter(|step| !step.is_empty()) {
            let step = unescape(step, false).unwrap_or(Cow::Borrowed(step));
            if step.contains('"') {
                return Err(BadStep(step.into_owned()));
            }
            steps.push(step);
        }
        Ok(Self { steps })
    }

    /// The same for the engine: a step that is an integer is a number.
    pub(super) fn segments(&self) -> Vec<RegoSegment<'_>> {
        self.steps
            .iter()
            .map(|step| integer(step).map_or(RegoSegment::Name(step), RegoSegment::Index))
            .collect()
    }

    /// The decoded steps.
    pub(super) fn steps(&self) -> &[Cow<'p, str>] {
        &self.steps
    }

    /// As OPA writes it in messages: `data.a["b c"][0]`.
    pub(super) fn reference(&self) -> String {
        let mut out = "data".to_owned();
        for step in &self.steps {
            if integer(step).is_some() {
                let _ = write!(out, "[{step}]");
            } else if is_name(step) {
                out.push('.');
                out.push_str(step);
            } else {
                let mut quoted = Vec::new();
                crate::api::json::string(&mut quoted, step);
                let _ = write!(out, "[{}]", String::from_utf8_lossy(&quoted));
            }
        }
        out
    }
}

/// Digits with a sign at most; no plus.
fn integer(step: &str) -> Option<i64> {
    let first = step.bytes().next()?;
    if !(first.is_ascii_digit() || first == b'-' || first == b'+') {
        return None;
    }
    step.parse().ok()
}

fn is_name(step: &str) -> bool {
    let mut bytes = step.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !KEYWORDS.contains(&step)
}

/// Words that a reference cannot have after a dot.
const KEYWORDS: [&str; 15] = [
    "not", "package", "import", "as", "default", "else", "with", "null", "true", "false", "some",
    "if", "in", "contains", "every",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_decoded_and_numbers_are_numbers() {
        let path = DocumentPath::read("a//b%20c/0/-1/x%2Fy/%zz/").unwrap();
        assert_eq!(path.steps(), ["a", "b c", "0", "-1", "x/y", "%zz"]);
        assert_eq!(
            path.segments(),
            [
                RegoSegment::Name("a"),
                RegoSegment::Name("b c"),
                RegoSegment::Index(0),
                RegoSegment::Index(-1),
                RegoSegment::Name("x/y"),
                RegoSegment::Name("%zz"),
            ]
        );
        assert_eq!(path.reference(), r#"data.a["b c"][0][-1]["x/y"]["%zz"]"#);
        assert!(DocumentPath::read("").unwrap().steps().is_empty());
    }

    #[test]
    fn plain_paths_are_split_without_more_ado() {
        for path in ["", "/", "a", "a//b/", "a/0/-1/x.y", "1/2/3", "é/ü"] {
            let mut room = [RegoSegment::Index(0); 4];
            let read = DocumentPath::read(path).unwrap();
            assert_eq!(plain(path, &mut room).unwrap(), read.segments(), "{path}");
        }
        for path in ["a%20b", "a\"", "a/b/c/d/e"] {
            let mut room = [RegoSegment::Index(0); 4];
            assert_eq!(plain(path, &mut room), None, "{path}");
        }
    }

    #[test]
    fn a_step_with_a_quote_is_refused() {
        let error = DocumentPath::read("a/b%22c").unwrap_err();
        assert_eq!(error, BadStep("b\"c".to_owned()));
    }
}
