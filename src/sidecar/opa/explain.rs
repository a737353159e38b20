//! `explain`: which rules stand behind a document, what each ran on, and whether it holds.
//!
//! OPA tells every step of its evaluator; ours is another machine, so what is told is the rules.

use crate::api::json::{integer, raw};
use crate::api::opa::string;
use crate::decide::Answered;
use crate::engine::{RegoEngine, RegoValue};

use super::Call;
use super::body::member_of;
use super::data::Members;
use super::parameters::Explain;
use super::path::DocumentPath;

/// Whether there is an explanation: of an undefined document only a full one.
pub(super) fn is_wanted(explain: Explain, is_defined: bool) -> bool {
    explain == Explain::Full || (explain != Explain::Off && is_defined)
}

/// Whether the document at `path` is `place` or lies in it; both as references.
pub(super) fn lies_in(path: &str, place: &str) -> bool {
    path.strip_prefix(place)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Appends the rules at or below the document, or the one that it lies in.
pub(super) fn document(
    out: &mut Vec<u8>,
    call: &Call<'_>,
    path: &DocumentPath<'_>,
    answered: &Answered<'_>,
    value: Option<&RegoValue>,
) {
    let reference = path.reference();
    let rules = answered.snapshot.program.rego().rules();
    let rules = rules.filter(|(rule, _)| lies_in(rule, &reference) || lies_in(&reference, rule));
    let mut events: Vec<Event<'_>> = rules
        .map(|(rule, engine)| Event {
            rule,
            engine,
            holds: defined(value, rule, &reference),
        })
        .collect();
    match call.parameters.explain {
        Explain::Notes => events.clear(),
        Explain::Fails => events.retain(|event| !event.holds),
        _ => {}
    }
    out.push(b'[');
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if call.parameters.pretty {
            let word = if event.holds { "Exit" } else { "Fail" };
            string(out, &format!("{word} {} ({})", event.rule, event.engine()));
        } else {
            event.write(out, index + 1);
        }
    }
    if events.is_empty() && call.parameters.pretty {
        raw(out, "\"\"");
    }
    out.push(b']');
}

struct Event<'r> {
    rule: &'r str,
    engine: &'r RegoEngine,
    holds: bool,
}

impl Event<'_> {
    fn engine(&self) -> String {
        match self.engine {
            RegoEngine::Machine => "register machine".to_owned(),
            RegoEngine::Interpreter(why) => format!("interpreter: {why}"),
        }
    }

    fn write(&self, out: &mut Vec<u8>, id: usize) {
        let mut event = Members::new(out);
        string(event.member("op"), if self.holds { "exit" } else { "fail" });
        integer(event.member("query_id"), id);
        integer(event.member("parent_id"), 0);
        string(event.member("type"), "rule");
        let mut node = Members::new(event.member("node"));
        string(node.member("path"), self.rule);
        node.end();
        raw(event.member("locals"), "[]");
        string(event.member("message"), &self.engine());
        event.end();
    }
}

/// Whether the rule is defined, as the document shows it.
fn defined(document: Option<&RegoValue>, rule: &str, reference: &str) -> bool {
    let (Some(mut value), Some(rest)) = (document, rule.strip_prefix(reference)) else {
        return document.is_some();
    };
    for step in steps(rest) {
        match member_of(value, step) {
            Some(inner) => value = inner,
            None => return false,
        }
    }
    true
}

/// The names of `.a["b c"]`.
fn steps(rest: &str) -> impl Iterator<Item = &str> {
    rest.split(['.', '[', ']'])
        .map(|step| step.trim_matches('"'))
        .filter(|step| !step.is_empty())
}
