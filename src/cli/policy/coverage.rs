//! Which conditions the decision tests have seen hold, and which not. Each test is asked again, with
//! explanation, of a program that holds its document alone.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::check::compile;
use crate::cli::folder::Folder;
use crate::engine::{
    AccessRequest, Context, DuplicateMembers, Limits, Program, Scratch, WrittenRequest,
};
use crate::model::{Consideration, Timestamp};
use crate::policy::{Body, DecisionTest, Document, Question};

/// What the tests of one document have seen.
#[derive(Debug)]
pub(super) struct Coverage {
    policy: String,
    parts: Vec<Part>,
}

/// One part of a document that can turn out either way.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    place: String,
    /// What the two ways are called.
    words: (&'static str, &'static str),
    seen: Seen,
}

/// Which ways were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    first: bool,
    second: bool,
}

/// How one test came out.
struct Answer {
    positive: bool,
    variant: Option<String>,
    /// Place and whether it matched.
    considered: Vec<(String, bool)>,
}

const CONDITION: (&str, &str) = ("holds", "does not hold");
const VALIDATION: (&str, &str) = ("passes", "fails");
const RULE: (&str, &str) = ("matches", "does not match");
const DECISION: (&str, &str) = ("allows", "denies");
const VARIANT: (&str, &str) = ("assigned", "");

/// Measures every document that decides something, in order.
pub(super) fn measure(folder: &Folder, now: Timestamp) -> Vec<Coverage> {
    folder
        .documents
        .iter()
        .filter_map(|document| {
            let mut parts = parts(document);
            if parts.is_empty() {
                return None;
            }
            let (data, _) = folder.data();
            if let Ok(program) = compile(std::slice::from_ref(document), &folder.modules, data) {
                for test in &document.tests {
                    if let Some(answer) = ask(&program, document, test, now) {
                        for part in &mut parts {
                            part.note(test, &answer);
                        }
                    }
                }
            }
            Some(Coverage {
                policy: document.metadata.name.to_string(),
                parts,
            })
        })
        .collect()
}

fn parts(document: &Document) -> Vec<Part> {
    let part = |place: String, words| Part {
        place,
        words,
        seen: Seen::default(),
    };
    let numbered = |list: &'static str, length: usize, words| {
        (0..length).map(move |index| part(format!("{list}[{index}]"), words))
    };
    match &document.body {
        Body::Validation(policy) => numbered("spec.match", policy.matches.len(), CONDITION)
            .chain(numbered(
                "spec.validations",
                policy.validations.len(),
                VALIDATION,
            ))
            .collect(),
        Body::Service(_) if document.body.decides() == crate::policy::Decides::Access => {
            vec![part("spec.rule".to_owned(), DECISION)]
        }
        Body::Service(_) => vec![part("spec.rule".to_owned(), VALIDATION)],
        Body::Access(policy) => numbered("spec.rules", policy.spec.rules.len(), RULE)
            .chain(numbered("spec.http", policy.http.len(), RULE))
            .collect(),
        Body::Experiment(experiment) => experiment
            .variants
            .iter()
            .map(|variant| part(variant.name.clone(), VARIANT))
            .collect(),
        Body::Rego(_) | Body::Opaque => Vec::new(),
    }
}

fn ask(
    program: &Program,
    document: &Document,
    test: &DecisionTest,
    now: Timestamp,
) -> Option<Answer> {
    let scratch = Scratch::default();
    let claims = match &test.question {
        Question::Http { jwt, .. } => jwt.as_deref().map(str::as_bytes),
        _ => None,
    };
    let context = Context {
        now,
        claims,
        principal: "",
        duplicates: DuplicateMembers::Refuse,
        explain: true,
        limits: Limits::default(),
    };
    let plain = |positive, considered: &[Consideration<'_>]| Answer {
        positive,
        variant: None,
        considered: considered
            .iter()
            .map(|item| (item.place.to_owned(), item.matched))
            .collect(),
    };
    match &test.question {
        Question::Validate { input } => {
            let answer = program
                .validate(input.as_bytes(), &context, &scratch)
                .ok()?;
            Some(plain(answer.compliant(), answer.considered))
        }
        Question::Access { input } => {
            let request = AccessRequest::Document(input.as_bytes());
            let answer = program.access(request, &context, &scratch).ok()?;
            Some(plain(answer.allowed, answer.considered))
        }
        Question::Http { http, .. } => {
            let request = WrittenRequest::parse(http).ok()?;
            let (query, headers, labels) = (request.query(), request.headers(), request.labels());
            let request = request.lend(&query, &headers, &labels);
            let answer = program.http(&request, &context, &scratch).ok()?;
            Some(plain(answer.access.allowed, answer.access.considered))
        }
        Question::Variant { key, context: told } => {
            let told: Value = serde_json::from_str(told.as_deref().unwrap_or("{}")).ok()?;
            let name = &*document.metadata.name;
            let input = json!({"experiment": name, "key": key, "context": told}).to_string();
            let answer = program.variant(input.as_bytes(), &context, &scratch).ok()?;
            Some(Answer {
                positive: answer.variant.is_some(),
                variant: answer.variant.map(str::to_owned),
                considered: Vec::new(),
            })
        }
    }
}

impl Part {
    /// Notes which way this part turned out in one test.
    fn note(&mut self, test: &DecisionTest, answer: &Answer) {
        let list = self.place.split('[').next().unwrap_or_default();
        let own = || {
            answer
                .considered
                .iter()
                .filter(|(place, _)| self.covers(place))
        };
        let way = match (list, &test.question) {
            ("spec.rule", _) => Some(answer.positive),
            // Where all of `match` holds, the policy itself is what is reported.
            ("spec.match", _) => answer
                .considered
                .iter()
                .find(|(place, matched)| place.is_empty() && *matched)
                .map(|_| true)
                .or_else(|| own().next().map(|_| false)),
            ("spec.validations", _) => own().next().map(|(_, violated)| !violated),
            ("spec.rules", Question::Access { .. }) | ("spec.http", Question::Http { .. }) => {
                Some(own().any(|(_, matched)| *matched))
            }
            (_, Question::Variant { .. }) => {
                (answer.variant.as_deref() == Some(&*self.place)).then_some(true)
            }
            _ => None,
        };
        match way {
            Some(true) => self.seen.first = true,
            Some(false) => self.seen.second = true,
            None => {}
        }
    }

    /// Whether what was considered at `place` belongs to this part.
    fn covers(&self, place: &str) -> bool {
        place
            .strip_prefix(&*self.place)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// What the tests have not seen.
    fn missing(&self) -> Vec<&'static str> {
        let (first, second) = self.words;
        [(first, self.seen.first), (second, self.seen.second)]
            .into_iter()
            .filter(|(word, seen)| !seen && !word.is_empty())
            .map(|(word, _)| word)
            .collect()
    }
}

impl Coverage {
    /// Ways seen, and ways there are.
    fn count(&self) -> (usize, usize) {
        let all = |part: &Part| if part.words.1.is_empty() { 1 } else { 2 };
        let ways: usize = self.parts.iter().map(all).sum();
        let missing: usize = self.parts.iter().map(|part| part.missing().len()).sum();
        (ways - missing, ways)
    }

    /// One line, and one for each part of which something was not seen.
    pub fn to_text(&self) -> String {
        let (seen, ways) = self.count();
        let mut text = format!("coverage: `{}` {seen} of {ways}\n", self.policy);
        for part in &self.parts {
            for word in part.missing() {
                // Writing to a `String` cannot fail.
                let _ = writeln!(text, "  {}: no test in which it {}", part.place, verb(word));
            }
        }
        text
    }

    pub fn to_json(&self) -> Value {
        let (seen, ways) = self.count();
        let parts: Vec<Value> = self
            .parts
            .iter()
            .map(|part| json!({"place": part.place, "missing": part.missing()}))
            .collect();
        json!({"policy": self.policy, "seen": seen, "ways": ways, "parts": parts})
    }
}

fn verb(word: &str) -> String {
    if word == VARIANT.0 {
        "is assigned".to_owned()
    } else {
        word.to_owned()
    }
}
