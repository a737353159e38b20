//! A module's text as regorus gets it: statements that it cannot take are said another way, each in its own place,
//! so that every row and column stays what it was.

use regorus::unstable::{Expr, Literal, LiteralStmt, Module as Parsed, Parser, Source, Span};

use super::builtins::{is_own, named};
use super::source::{self, Part};
use super::{RegoModule, RegoVersion};

/// The text to compile. Without `prints`, a statement `print(...)` is always true and costs nothing.
pub(super) fn rewritten(module: &RegoModule, prints: bool) -> anyhow::Result<String> {
    let parsed = parse(module)?;
    let mut text = module.text.to_string();
    source::each_part(&parsed, &mut |part| {
        if let Part::Statement(statement) = part
            && let Some((span, replacement)) = replacement(statement, module.version, prints)
        {
            let range = span.start as usize..span.end as usize;
            if text
                .get(range.clone())
                .is_some_and(|old| old.len() == replacement.len())
            {
                text.replace_range(range, &replacement);
            }
        }
    });
    Ok(text)
}

fn parse(module: &RegoModule) -> anyhow::Result<Parsed> {
    let source = Source::from_contents(module.path.to_string(), module.text.to_string())?;
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
