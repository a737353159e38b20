//! Path templates of HTTP rules: `/accounts/{id}` takes one segment, `/public/{rest*}` all that remains.
//!
//! Templates and paths are compared in canonical form, segment by segment; a trailing slash counts. A capture takes a
//! segment that is not empty; the last may take any rest, an empty one included.

use crate::engine::canonical_request::canonical_path;

/// A compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathTemplate {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Capture(String),
    Rest(String),
}

impl PathTemplate {
    /// Reads a template; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err("a path template starts with `/`".into());
        };
        let mut segments: Vec<Segment> = Vec::new();
        for part in rest.split('/') {
            if matches!(segments.last(), Some(Segment::Rest(_))) {
                return Err("`{name*}` takes the rest and must come last".into());
            }
            let segment = segment(part)?;
            if segments
                .iter()
                .any(|other| segment.name().is_some() && other.name() == segment.name())
            {
                return Err(format!("`{part}` captures a name twice"));
            }
            segments.push(segment);
        }
        Ok(Self { segments })
    }

    /// The first segment, where it is fixed.
    pub fn first_literal(&self) -> Option<&str> {
        match self.segments.first() {
            Some(Segment::Literal(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether `path` (canonical) matches; tells each capture to `capture`, also those of a match that fails later.
    pub fn matches<'t, 'p>(
        &'t self,
        path: &'p str,
        mut capture: impl FnMut(&'t str, &'p str),
    ) -> bool {
        let Some(mut rest) = path.strip_prefix('/') else {
            return false;
        };
        let mut ended = false;
        for segment in &self.segments {
            if ended {
                return false;
            }
            if let Segment::Rest(name) = segment {
                capture(name, rest);
                return true;
            }
            let (part, next) = rest.split_once('/').unwrap_or_else(|| {
                ended = true;
                (rest, "")
            });
            match segment {
                Segment::Literal(text) if text == part => {}
                Segment::Capture(name) if !part.is_empty() => capture(name, part),
                _ => return false,
            }
            rest = next;
        }
        ended
    }
}

impl Segment {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Capture(name) | Self::Rest(name) => Some(name),
        }
    }
}

fn segment(part: &str) -> Result<Segment, String> {
    let Some(inner) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) else {
        if part.contains(['{', '}']) {
            return Err(format!("`{part}`: a capture must be a whole segment"));
        }
        return literal(part);
    };
    let (name, rest) = match inner.strip_suffix('*') {
        Some(name) => (name, true),
        None => (inner, false),
    };
    let mut bytes = name.bytes();
    let starts = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if !starts || !bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(format!("`{part}`: a capture's name must be an identifier"));
    }
    Ok(if rest {
        Segment::Rest(name.into())
    } else {
        Segment::Capture(name.into())
    })
}

/// A literal must be written as requests are compared, else it would never match.
fn literal(part: &str) -> Result<Segment, String> {
    let path = format!("/{part}");
    let canonical =
        canonical_path(&path, &[]).map_err(|error| format!("`{part}` can never match: {error}"))?;
    match canonical.strip_prefix('/') {
        Some(text) if text == part => Ok(Segment::Literal(part.into())),
        _ => Err(format!(
            "`{part}` can never match: write `{}`",
            canonical.trim_start_matches('/')
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::PathTemplate;

    fn captures(template: &str, path: &str) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        PathTemplate::parse(template)
            .unwrap()
            .matches(path, |name, value| {
                found.push((name.to_owned(), value.to_owned()));
            })
            .then_some(found)
    }

    fn matches(template: &str, path: &str) -> bool {
        captures(template, path).is_some()
    }

    #[test]
    fn literals_match_whole_paths() {
        assert!(matches("/healthz", "/healthz"));
        assert!(!matches("/healthz", "/healthz/"));
        assert!(!matches("/healthz/", "/healthz"));
        assert!(!matches("/healthz", "/healthz/x"));
        assert!(!matches("/healthz", "/Healthz"));
        assert!(matches("/", "/"));
        assert!(!matches("/", "/x"));
        assert!(matches("/a/b/", "/a/b/"));
    }

    #[test]
    fn captures_take_one_segment() {
        let found = captures("/accounts/{id}/x/{n}", "/accounts/4%202/x/7").unwrap();
        assert_eq!(
            found,
            [("id".into(), "4%202".into()), ("n".into(), "7".into())]
        );
        assert!(!matches("/accounts/{id}", "/accounts/"));
        assert!(!matches("/accounts/{id}", "/accounts/1/2"));
        assert!(!matches("/accounts/{id}", "/accounts"));
    }

    #[test]
    fn rest_takes_all() {
        assert_eq!(
            captures("/public/{rest*}", "/public/a/b").unwrap(),
            [("rest".into(), "a/b".into())]
        );
        assert!(matches("/public/{rest*}", "/public/"));
        assert!(!matches("/public/{rest*}", "/public"));
        assert!(matches("/{any*}", "/"));
        assert!(matches("/{any*}", "/a/b/c"));
    }

    #[test]
    fn templates_that_cannot_match_are_refused() {
        for template in [
            "",
            "x",
            "/{}",
            "/{1a}",
            "/a{b}",
            "/{rest*}/b",
            "/{a}/{a}",
            "/a b",
            "/a%2fb",
            "/..",
            "/%41",
            "/a;b",
            "/{a",
            "/a}",
        ] {
            assert!(PathTemplate::parse(template).is_err(), "{template}");
        }
    }
}
