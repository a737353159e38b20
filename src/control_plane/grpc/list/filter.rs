//! `type=SECURITY AND enabled=true`.

use tonic::Status;

use crate::api::policy_engine::v1::{Policy, PolicyType};

const SEVERITIES: [&str; 4] = ["critical", "high", "medium", "low"];
const KEYS: &str = "type, enabled, severity, name, id and metadata.<key>";

/// Terms that all must hold.
#[derive(Debug, Default)]
pub(super) struct Filter(Vec<Term>);

#[derive(Debug)]
struct Term {
    key: Key,
    value: String,
    /// `=`, not `!=`.
    equal: bool,
}

#[derive(Debug)]
enum Key {
    Type,
    Enabled,
    Severity,
    Name,
    Id,
    Metadata(String),
}

impl Filter {
    /// Reads the text; an empty one lets everything through.
    pub(super) fn parse(text: &str) -> Result<Self, Status> {
        let mut terms = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            if !terms.is_empty() {
                rest = and(rest)?;
            }
            let (term, after) = term(rest)?;
            terms.push(term);
            rest = after.trim_start();
        }
        Ok(Self(terms))
    }

    pub(super) fn holds(&self, policy: &Policy) -> bool {
        self.0
            .iter()
            .all(|term| (term.key.of(policy) == Some(term.value.as_str())) == term.equal)
    }
}

impl Key {
    fn of<'p>(&self, policy: &'p Policy) -> Option<&'p str> {
        match self {
            Self::Type => PolicyType::try_from(policy.r#type)
                .ok()
                .map(|kind| kind.as_str_name()),
            Self::Enabled => Some(if policy.enabled { "true" } else { "false" }),
            Self::Severity => Some(&policy.severity),
            Self::Name => Some(&policy.name),
            Self::Id => Some(&policy.id),
            Self::Metadata(name) => policy.metadata.get(name).map(String::as_str),
        }
    }
}

fn wrong(text: impl Into<String>) -> Status {
    Status::invalid_argument(format!("`filter`: {}", text.into()))
}

/// What follows `AND`.
fn and(text: &str) -> Result<&str, Status> {
    text.split_once(char::is_whitespace)
        .filter(|(word, _)| word.eq_ignore_ascii_case("and"))
        .map(|(_, rest)| rest.trim_start())
        .filter(|rest| !rest.is_empty())
        .ok_or_else(|| wrong("terms are joined by `AND`"))
}

/// One term and what follows it.
fn term(text: &str) -> Result<(Term, &str), Status> {
    let (key, after) = text
        .split_once('=')
        .ok_or_else(|| wrong("a term is `key=value` or `key!=value`"))?;
    let (key, equal) = match key.strip_suffix('!') {
        Some(key) => (key, false),
        None => (key, true),
    };
    let key = match key.trim() {
        "type" => Key::Type,
        "enabled" => Key::Enabled,
        "severity" => Key::Severity,
        "name" => Key::Name,
        "id" => Key::Id,
        other => match other.strip_prefix("metadata.") {
            Some(name) if !name.is_empty() => Key::Metadata(name.to_owned()),
            _ => {
                let shown: String = other.chars().take(64).collect();
                return Err(wrong(format!("`{shown}` is no key: there are {KEYS}")));
            }
        },
    };
    let (value, rest) = value(after.trim_start())?;
    let value = known(&key, value)?;
    Ok((Term { key, value, equal }, rest))
}

/// A value in quotes, or as far as the next blank.
fn value(text: &str) -> Result<(&str, &str), Status> {
    for quote in ['"', '\''] {
        if let Some(inside) = text.strip_prefix(quote) {
            return inside
                .split_once(quote)
                .filter(|(_, rest)| rest.is_empty() || rest.starts_with(char::is_whitespace))
                .ok_or_else(|| wrong("a quote is not closed"));
        }
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    match text.split_at(end) {
        ("", _) => Err(wrong("a value is missing (an empty one is `\"\"`)")),
        (value, rest) => Ok((value, rest)),
    }
}

/// The value as policies spell it.
fn known(key: &Key, value: &str) -> Result<String, Status> {
    let word = match key {
        Key::Type => {
            let upper = value.to_ascii_uppercase();
            return match PolicyType::from_str_name(&upper) {
                Some(_) => Ok(upper),
                None => Err(wrong(format!("`{value}` is no type of policy"))),
            };
        }
        Key::Enabled => ["true", "false"]
            .into_iter()
            .find(|word| word.eq_ignore_ascii_case(value)),
        Key::Severity => SEVERITIES
            .into_iter()
            .find(|word| word.eq_ignore_ascii_case(value)),
        Key::Name | Key::Id | Key::Metadata(_) => Some(value),
    };
    word.map(str::to_owned)
        .ok_or_else(|| wrong(format!("`{value}` is no value of its key")))
}
