//! Reads YAML 1.2 (core schema) into trees with places, one per document.
//!
//! Aliases are expanded within a budget; merge keys, tags of applications and numbers that JSON does
//! not have are errors.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag, options};

use super::json::is_number;
use super::node::{MAX_DEPTH, MAX_VALUES, Member, Node, Position, ReadError, Value};

/// Bytes of text that aliases may repeat.
const MAX_REPEATED: usize = 16 * 1024 * 1024;

/// Reads every document of `text`; documents without content are left out. The trees before an error
/// come with it.
pub(super) fn read(text: &str) -> (Vec<Node<'_>>, Option<ReadError>) {
    let options = options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder::default();
    for next in Parser::new_from_str_with_options(text, options) {
        let result = match next {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(ReadError {
                position: position(error.marker()),
                message: format!("invalid YAML: {}", error.kind()),
            }),
        };
        if let Err(error) = result {
            return (builder.documents, Some(error));
        }
    }
    (builder.documents, None)
}

fn position(marker: &Marker) -> Position {
    Position {
        line: u32::try_from(marker.line()).unwrap_or(u32::MAX),
        column: u32::try_from(marker.col())
            .unwrap_or(u32::MAX)
            .saturating_add(1),
    }
}

#[derive(Default)]
struct Builder<'t> {
    documents: Vec<Node<'t>>,
    open: Vec<Open<'t>>,
    anchors: HashMap<usize, Node<'t>>,
    values: usize,
    repeated: usize,
}

/// A list or mapping whose end was not seen yet.
struct Open<'t> {
    position: Position,
    anchor: usize,
    content: Content<'t>,
}

enum Content<'t> {
    List(Vec<Node<'t>>),
    Object {
        members: Vec<Member<'t>>,
        name: Option<(Cow<'t, str>, Position)>,
    },
}

impl<'t> Builder<'t> {
    fn event(&mut self, event: Event<'t>, span: Span) -> Result<(), ReadError> {
        let position = position(&span.start);
        match event {
            Event::DocumentStart(..) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(text, style, tag.as_deref())
                    .map_err(|message| ReadError { position, message })?;
                self.complete(Node { position, value }, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_collection_tag(tag.as_deref(), "seq", position)?;
                self.open(position, anchor, Content::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                check_collection_tag(tag.as_deref(), "map", position)?;
                let content = Content::Object {
                    members: Vec::new(),
                    name: None,
                };
                self.open(position, anchor, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(closed) = self.open.pop() {
                    let value = match closed.content {
                        Content::List(items) => Value::List(items),
                        Content::Object { members, .. } => Value::Object(members),
                    };
                    let node = Node {
                        position: closed.position,
                        value,
                    };
                    self.complete(node, closed.anchor)?;
                }
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(ReadError {
                        position,
                        message: "the alias stands inside what it names".to_owned(),
                    });
                };
                self.count_copy(&node, position)?;
                self.complete(node, 0)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn open(
        &mut self,
        position: Position,
        anchor: usize,
        content: Content<'t>,
    ) -> Result<(), ReadError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(ReadError {
                position,
                message: format!("nested deeper than {MAX_DEPTH} levels"),
            });
        }
        self.open.push(Open {
            position,
            anchor,
            content,
        });
        Ok(())
    }

    fn complete(&mut self, node: Node<'t>, anchor: usize) -> Result<(), ReadError> {
        self.count(1, node.position)?;
        if anchor != 0 {
            self.count_copy(&node, node.position)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => {
                if !matches!(node.value, Value::Null) {
                    self.documents.push(node);
                }
            }
            Some(Content::List(items)) => items.push(node),
            Some(Content::Object { members, name }) => match name.take() {
                None => *name = Some(member_name(node)?),
                Some((name, position)) => members.push(Member {
                    name,
                    position,
                    node,
                }),
            },
        }
        Ok(())
    }

    fn count(&mut self, values: usize, position: Position) -> Result<(), ReadError> {
        self.values += values;
        if self.values > MAX_VALUES {
            return Err(ReadError {
                position,
                message: format!("more than {MAX_VALUES} values"),
            });
        }
        Ok(())
    }

    /// A small file must not become a large tree by repeating what an anchor names.
    fn count_copy(&mut self, node: &Node<'_>, position: Position) -> Result<(), ReadError> {
        let (values, bytes) = weigh(node);
        self.repeated = self.repeated.saturating_add(bytes);
        if self.repeated > MAX_REPEATED {
            return Err(ReadError {
                position,
                message: "aliases repeat too much text: write it out".to_owned(),
            });
        }
        self.count(values, position)
    }
}

/// Values and bytes of text in a tree.
fn weigh(node: &Node<'_>) -> (usize, usize) {
    let add = |sum: (usize, usize), part: (usize, usize)| (sum.0 + part.0, sum.1 + part.1);
    match &node.value {
        Value::Null | Value::Bool(_) => (1, 0),
        Value::Number(text) | Value::String(text) => (1, text.len()),
        Value::List(items) => items.iter().map(weigh).fold((1, 0), add),
        Value::Object(members) => members
            .iter()
            .map(|member| add(weigh(&member.node), (0, member.name.len())))
            .fold((1, 0), add),
    }
}

fn member_name(node: Node<'_>) -> Result<(Cow<'_, str>, Position), ReadError> {
    let position = node.position;
    let found = node.describe();
    match node.value {
        Value::String(name) if name == "<<" => Err(ReadError {
            position,
            message: "merge keys (`<<`) are not part of YAML 1.2: write the fields out".to_owned(),
        }),
        Value::String(name) | Value::Number(name) => Ok((name, position)),
        Value::Bool(value) => Ok((
            Cow::Borrowed(if value { "true" } else { "false" }),
            position,
        )),
        Value::Null | Value::List(_) | Value::Object(_) => Err(ReadError {
            position,
            message: format!("a field name must be text, not {found}"),
        }),
    }
}

fn check_collection_tag(
    tag: Option<&Tag>,
    expected: &str,
    position: Position,
) -> Result<(), ReadError> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix() == expected => Ok(()),
        Some(tag) => Err(ReadError {
            position,
            message: unknown_tag(tag),
        }),
    }
}

fn unknown_tag(tag: &Tag) -> String {
    format!("the tag `{tag}` is not supported: leave it out")
}

fn scalar<'t>(
    text: Cow<'t, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
) -> Result<Value<'t>, String> {
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain {
            resolve(text)
        } else {
            Ok(Value::String(text))
        };
    };
    if tag.is_yaml_core_schema() && tag.suffix() == "str" {
        return Ok(Value::String(text));
    }
    if !tag.is_yaml_core_schema() {
        return Err(unknown_tag(tag));
    }
    let value = resolve(text)?;
    let fits = match value {
        Value::Null => tag.suffix() == "null",
        Value::Bool(_) => tag.suffix() == "bool",
        Value::Number(_) => matches!(tag.suffix(), "int" | "float"),
        _ => false,
    };
    if fits {
        Ok(value)
    } else {
        Err(format!("the value does not fit its tag `{tag}`"))
    }
}

/// What a plain scalar means in YAML 1.2's core schema.
fn resolve(text: Cow<'_, str>) -> Result<Value<'_>, String> {
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if is_number(&text) {
        return Ok(Value::Number(text));
    }
    let unsigned = text.trim_start_matches(['+', '-']);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(&*text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!(
            "`{text}` is no number that JSON has; put it in quotes if it is text"
        ));
    }
    Ok(match other_number(&text) {
        Some(number) => Value::Number(Cow::Owned(number)),
        None => Value::String(text),
    })
}

/// The JSON spelling of a number that YAML allows to be written otherwise: `+1`, `.5`, `5.`, `007`,
/// `0o17`, `0x1F`.
fn other_number(text: &str) -> Option<String> {
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let number = u128::from_str_radix(digits, radix).ok()?;
            return plain.then(|| number.to_string());
        }
    }
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => ("-", text.get(1..)?),
        b'+' => ("", text.get(1..)?),
        _ => ("", text),
    };
    let exponent_at = unsigned.find(['e', 'E']).unwrap_or(unsigned.len());
    let (mantissa, exponent) = unsigned.split_at(exponent_at);
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    if whole.is_empty() && fraction.is_none_or(str::is_empty) {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let fraction = match fraction {
        None => String::new(),
        Some("") => ".0".to_owned(),
        Some(digits) => format!(".{digits}"),
    };
    let number = format!("{sign}{whole}{fraction}{exponent}");
    is_number(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        let (documents, error) = read(text);
        assert!(error.is_none(), "{error:?}");
        let texts: Vec<String> = documents.iter().map(Node::to_json).collect();
        texts.join("|")
    }

    fn refused(text: &str) -> ReadError {
        read(text).1.unwrap()
    }

    #[test]
    fn plain_scalars_resolve_as_the_core_schema_says() {
        assert_eq!(
            json("[1, 1.50, -0, 1e3, 100000000000000000000, true, False, ~, NULL, '', \"1\"]"),
            r#"[1,1.50,-0,1e3,100000000000000000000,true,false,null,null,"","1"]"#
        );
        assert_eq!(
            json("[+5, .5, 5., 007, 0o17, 0x1F, -.5e3, +.5]"),
            "[5,0.5,5.0,7,15,31,-0.5e3,0.5]"
        );
        // The Norway problem: these are words in YAML 1.2.
        assert_eq!(
            json("[NO, yes, on, off, 1_000, 12:30, 0o9, ., +, e5, 1.2.3, 0b1]"),
            r#"["NO","yes","on","off","1_000","12:30","0o9",".","+","e5","1.2.3","0b1"]"#
        );
        assert!(refused("a: .nan").message.contains("quotes"));
        assert!(refused("a: -.INF").message.contains("quotes"));
    }

    #[test]
    fn tags_of_the_core_schema_are_understood() {
        assert_eq!(
            json("[!!str 5, !!int 5, !!float 1.5, !!null ~, !!seq [], !!map {}]"),
            r#"["5",5,1.5,null,[],{}]"#
        );
        for text in [
            "!!int x",
            "!mine x",
            "!!map []",
            "!!binary aGk=",
            "!!set {a}",
        ] {
            assert!(read(text).1.is_some(), "{text}");
        }
    }

    #[test]
    fn several_documents_and_empty_ones() {
        assert_eq!(
            json("---\na: 1\n---\n# nothing\n---\nb: 2\n...\n"),
            r#"{"a":1}|{"b":2}"#
        );
        assert_eq!(json(""), "");
        assert_eq!(json("# only a comment\n"), "");
    }

    #[test]
    fn what_comes_before_a_syntax_error_is_kept() {
        let (documents, error) = read("a: 1\n---\nb: [1\nc: }\n");
        assert_eq!(documents.len(), 1);
        let error = error.unwrap();
        assert!(error.position.line >= 3, "{error:?}");
        assert!(error.message.starts_with("invalid YAML: "), "{error:?}");
    }

    #[test]
    fn places_are_those_of_the_values() {
        let (documents, _) = read("a: x\nb:\n  - é: 1\n    c: \"2\"\n");
        let [_, list] = documents[0].members() else {
            panic!("two members")
        };
        assert_eq!(list.position, Position { line: 2, column: 1 });
        let Value::List(items) = &list.node.value else {
            panic!("a list")
        };
        let [first, second] = items[0].members() else {
            panic!("two members")
        };
        assert_eq!(first.node.position, Position { line: 3, column: 8 });
        assert_eq!(second.node.position, Position { line: 4, column: 8 });
    }

    #[test]
    fn aliases_repeat_within_bounds() {
        assert_eq!(
            json("base: &b {x: [1]}\nagain: *b\nkey: &k name\nnamed: {*k : 2}"),
            r#"{"base":{"x":[1]},"again":{"x":[1]},"key":"name","named":{"name":2}}"#
        );
        assert!(refused("a: &a [*a]").message.contains("inside"));
        assert!(refused("a: *missing").message.starts_with("invalid YAML"));
        assert!(
            refused("a: &a {x: 1}\nb:\n  <<: *a\n")
                .message
                .contains("merge")
        );
        let levels = (1..30).map(|level| {
            let uses = vec![format!("*l{}", level - 1); 9].join(", ");
            format!("- &l{level} [{uses}]\n")
        });
        let laughs = format!("- &l0 [lol]\n{}", levels.collect::<String>());
        assert!(refused(&laughs).message.contains("values"));
        let long = format!("- &a {}\n{}", "x".repeat(100_000), "- *a\n".repeat(1_000));
        assert!(refused(&long).message.contains("repeat"));
    }

    #[test]
    fn depth_is_bounded() {
        let flow = "[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1);
        assert!(read(&flow).1.is_some());
        let mixed = "- ".repeat(40) + &"[".repeat(40) + &"]".repeat(40);
        assert!(refused(&mixed).message.contains("nested deeper"));
        assert!(read(&"- ".repeat(100_000)).1.is_some());
        assert!(read(&"[".repeat(100_000)).1.is_some());
    }

    #[test]
    fn garbage_is_an_error_not_a_panic() {
        for text in [
            "a: b: c",
            "{a",
            "- &",
            "%YAML 9",
            "a: \"\\q\"",
            "? [a]\n: b",
            "\u{0}",
        ] {
            assert!(read(text).1.is_some(), "{text:?}");
        }
    }
}
