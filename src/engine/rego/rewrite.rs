//! A module's text as regorus gets it: statements that it cannot take, or does not take as OPA does, are said another
//! way. Every row stays what it was; columns do in front of what is said another way.

use std::collections::{HashMap, HashSet};

use regorus::unstable::{
    Expr, Literal, LiteralStmt, Module as Parsed, Parser, Rule, RuleHead, Source, Span,
};

use super::builtins::{is_own, named};
use super::calls::Functions;
use super::hoist::{self, Meaning};
use super::rename::renames;
use super::source::{self, Part};
use super::{RegoError, RegoErrorKind, RegoModule, RegoVersion};

/// What the modules together define.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The names of the rules of each package.
    rules: HashMap<Vec<String>, HashSet<String>>,
    pub functions: Functions,
}

impl Names {
    /// Of modules that do not parse there are none.
    pub fn of(modules: &[RegoModule]) -> Self {
        let mut names = Self::default();
        let modules = modules.iter();
        let modules: Vec<Parsed> = modules
            .filter_map(|module| parse(module, &module.text).ok())
            .collect();
        names.functions = Functions::of(&modules);
        for parsed in &modules {
            let rules = parsed.policy.iter().filter_map(|rule| {
                let refr = match rule.as_ref() {
                    Rule::Default { refr, .. } => refr,
                    Rule::Spec { head, .. } => match head {
                        RuleHead::Compr { refr, .. }
                        | RuleHead::Set { refr, .. }
                        | RuleHead::Func { refr, .. } => refr,
                    },
                };
                source::static_path(refr).names.into_iter().next()
            });
            let package = source::package(parsed);
            names.rules.entry(package).or_default().extend(rules);
        }
        names
    }
}

/// A module as it is compiled.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub text: String,
    /// What was parsed, its places those of the module's own text.
    pub parsed: Parsed,
}

/// The module to compile. Without `prints`, a statement `print(...)` is always true and costs nothing.
///
/// # Errors
///
/// What cannot be parsed or said another way, and negations that OPA refuses.
pub(super) fn rewritten(
    module: &RegoModule,
    names: &Names,
    prints: bool,
) -> Result<Rewritten, RegoError> {
    let report = |report: anyhow::Error| RegoError::from_report(&report, RegoErrorKind::Parse);
    let mut parsed = parse(module, &module.text).map_err(report)?;
    let mut text = module.text.to_string();
    let empty = HashSet::new();
    let rules = names.rules.get(&source::package(&parsed));
    let rules = rules.unwrap_or(&empty);
    let edits = renames(&parsed, &text, rules).map_err(|span| {
        let message = format!(
            "`{}` is the name of something else, too, and there is no other of that length: please rename it",
            span.text()
        );
        report(span.error(&message))
    })?;
    if !edits.is_empty() {
        hoist::apply(&mut text, edits);
        parsed = parse(module, &text).map_err(report)?;
    }
    let mut edits = Vec::new();
    source::each_part(&parsed, &mut |part| {
        if let Part::Statement(statement) = part
            && let Some((span, replacement)) = replacement(statement, module.version, prints)
        {
            let range = span.start as usize..span.end as usize;
            if text
                .get(range.clone())
                .is_some_and(|old| old.len() == replacement.len())
            {
                edits.push((range, replacement));
            }
        }
    });
    if !edits.is_empty() {
        hoist::apply(&mut text, edits);
        parsed = parse(module, &text).map_err(report)?;
    }
    let meaning = Meaning::of_module(&parsed, &text, rules, &names.functions)?;
    let edits = hoist::in_module(&parsed, &text, &meaning)?;
    hoist::apply(&mut text, edits);
    Ok(Rewritten { text, parsed })
}

fn parse(module: &RegoModule, text: &str) -> anyhow::Result<Parsed> {
    let source = Source::from_contents(module.path.to_string(), text.to_owned())?;
    let mut parser = Parser::new(&source)?;
    if module.version == RegoVersion::V1 {
        parser.enable_rego_v1()?;
    }
    parser.parse()
}

fn replacement(
    statement: &LiteralStmt,
    version: RegoVersion,
    prints: bool,
) -> Option<(&Span, String)> {
    let Literal::Expr { expr, .. } = &statement.literal else {
        return None;
    };
    let Expr::Call {
        span, fcn, params, ..
    } = expr.as_ref()
    else {
        return None;
    };
    let name = source::static_path(fcn).names.join(".");
    let old = span.text();
    if name == "print" {
        return (!prints).then(|| (span, blank(old, "true")));
    }
    let builtin = named(&name, version)?;
    if is_own(&name) || params.len() != usize::from(builtin.arity) + 1 {
        return None;
    }
    // `f(a, out)` is `out = f(a)`; of a builtin that regorus does not know it takes the second alone.
    let split = (params.last()?.span().start - span.start) as usize;
    let (before, out) = (old.get(..split)?, old.get(split..)?.strip_suffix(')')?);
    let before = before.get(..before.rfind(',')?)?;
    Some((span, blank(old, &format!("{}={before})", out.trim_end()))))
}

/// `new`, filled up to the length of `old` with what is blank in it.
fn blank(old: &str, new: &str) -> String {
    let rest = old.get(new.len()..).unwrap_or_default();
    let mut text = new.to_owned();
    text.extend(
        rest.bytes()
            .map(|byte| if byte == b'\n' { '\n' } else { ' ' }),
    );
    text
}
