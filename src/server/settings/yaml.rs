//! One YAML document (core schema, no anchors, no tags) into a value, with the line of every path.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Number, Value};

use super::key::join;

/// How deep sections and lists may nest.
const MAX_DEPTH: usize = 32;

/// A document.
#[derive(Debug, Default)]
pub struct Document {
    pub value: Value,
    /// From 1, by path.
    pub lines: BTreeMap<String, usize>,
}

/// Text that is not such a document.
#[derive(Debug)]
pub struct YamlError {
    /// From 1.
    pub line: usize,
    pub message: String,
}

/// Reads one document.
///
/// # Errors
///
/// The first thing wrong, with its line.
pub fn parse(text: &str) -> Result<Document, YamlError> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        lines: BTreeMap::new(),
    };
    let mut value = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            _ if value.is_some() => {
                return Err(at(&span, "only one document is expected"));
            }
            event => value = Some(reader.node(event, &span, "", 0)?),
        }
    }
    Ok(Document {
        value: value.unwrap_or_default(),
        lines: reader.lines,
    })
}

struct Reader<'t> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    lines: BTreeMap<String, usize>,
}

impl<'t> Reader<'t> {
    /// The next event that is no comment.
    fn next(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(YamlError {
                line: error.marker().line(),
                message: format!("not valid YAML: {error}"),
            }),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(
        &mut self,
        event: Event<'t>,
        span: &Span,
        path: &str,
        depth: usize,
    ) -> Result<Value, YamlError> {
        if depth > MAX_DEPTH {
            return Err(at(span, "nested too deep"));
        }
        self.lines
            .entry(path.to_owned())
            .or_insert(span.start.line());
        match event {
            Event::Scalar(text, style, 0, None) => Ok(scalar(&text, style)),
            Event::SequenceStart(_, 0, None) => self.sequence(path, depth),
            Event::MappingStart(_, 0, None) => self.mapping(path, depth),
            Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::MappingStart(..)
            | Event::Alias(_) => Err(at(span, "anchors, aliases and tags are not supported here")),
            _ => Err(at(span, "a value is expected")),
        }
    }

    fn sequence(&mut self, path: &str, depth: usize) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Value::Array(items));
            }
            let child = format!("{path}[{}]", items.len());
            items.push(self.node(event, &span, &child, depth + 1)?);
        }
    }

    fn mapping(&mut self, path: &str, depth: usize) -> Result<Value, YamlError> {
        let mut members = Map::new();
        loop {
            let (event, span) = self.next()?;
            let name = match event {
                Event::MappingEnd => return Ok(Value::Object(members)),
                Event::Scalar(text, _, 0, None) => text.into_owned(),
                _ => return Err(at(&span, "a key must be plain text")),
            };
            let child = join(path, &name);
            self.lines.insert(child.clone(), span.start.line());
            let (event, value_span) = self.next()?;
            let value = self.node(event, &value_span, &child, depth + 1)?;
            if members.insert(name, value).is_some() {
                return Err(at(&span, &format!("`{child}` is there twice")));
            }
        }
    }
}

/// YAML 1.2's core schema.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return text.into();
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        _ => number(text).map_or_else(|| text.into(), Value::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let first = text.trim_start_matches(['-', '+']).chars().next()?;
    if !(first.is_ascii_digit() || first == '.') {
        return None;
    }
    if let Ok(integer) = text.parse::<u64>() {
        return Some(integer.into());
    }
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

fn at(span: &Span, message: &str) -> YamlError {
    YamlError {
        line: span.start.line().max(1),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn values_and_lines() {
        let document = parse(
            "# a comment\ntenant: acme\nlimits:\n  body_bytes: 1MiB\n  headers: 64\nsources:\n  - name: main\n    poll: 30s\nflag: yes\nquoted: \"1\"\nnothing:\n",
        )
        .unwrap();
        assert_eq!(
            document.value,
            serde_json::json!({
                "tenant": "acme",
                "limits": {"body_bytes": "1MiB", "headers": 64},
                "sources": [{"name": "main", "poll": "30s"}],
                "flag": "yes", "quoted": "1", "nothing": null
            })
        );
        assert_eq!(document.lines["limits.headers"], 5);
        assert_eq!(document.lines["sources[0].poll"], 8);
    }

    #[test]
    fn what_is_not_supported_is_an_error_with_its_line() {
        let deep = "[".repeat(100);
        for (text, line) in [
            ("a: 1\na: 2\n", 2),
            ("a: &x 1\n", 1),
            ("a: !!str 1\n", 1),
            ("a: [1\n", 1),
            ("a: 1\n---\nb: 2\n", 3),
            ("? [a]\n: 1\n", 1),
            (&deep, 1),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {}", error.message);
        }
        assert_eq!(parse("").unwrap().value, serde_json::Value::Null);
    }
}
