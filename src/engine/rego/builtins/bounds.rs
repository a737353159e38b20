//! Builtins of regorus whose arguments could ask for more than a decision may have: the clock is not looked at
//! inside of a builtin, and a list of 10^12 numbers would end the process.

use anyhow::{Result, anyhow};
use regorus::unstable::{BUILTINS, Expr, Ref, Source, Span};
use regorus::value::Object;
use regorus::{LimitError, Value};

/// Elements of a list, steps of a search, or bits of a number that a builtin may make.
const MOST: u64 = 1 << 20;
/// Bytes of pattern times bytes of text that a regular expression may look at.
const MOST_MATCHING: usize = 1 << 26;
/// Width or precision of a format.
const MOST_PADDING: usize = 1 << 16;

/// Calls regorus' own builtin, its errors strict: who calls drops them where they are not wanted.
pub(super) fn own(name: &str, arguments: &[Value]) -> Result<Value> {
    let source = Source::from_contents(String::new(), String::new())?;
    let span = Span {
        source,
        line: 1,
        col: 1,
        start: 0,
        end: 0,
    };
    let null = Expr::Null {
        span: span.clone(),
        value: Value::Null,
        eidx: 0,
    };
    let expressions = vec![Ref::new(null); arguments.len()];
    forward(name, &span, &expressions, arguments, true)
}

/// Hands a call on to regorus' own builtin.
pub(super) fn forward(
    name: &str,
    span: &Span,
    expressions: &[Ref<Expr>],
    arguments: &[Value],
    strict: bool,
) -> Result<Value> {
    let (call, _) = BUILTINS
        .get(name)
        .ok_or_else(|| anyhow!("`{name}` is not there"))?;
    call(span, expressions, arguments, strict)
}

/// The error that is never taken for undefined.
pub(super) fn too_much(usage: u64, limit: u64) -> anyhow::Error {
    LimitError::MemoryLimitExceeded { usage, limit }.into()
}

fn bounded(wanted: u64) -> Result<()> {
    if wanted > MOST {
        return Err(too_much(wanted, MOST));
    }
    Ok(())
}

fn integer(arguments: &[Value], index: usize) -> Result<i128> {
    let number = arguments.get(index).and_then(|value| value.as_i128().ok());
    number.ok_or_else(|| anyhow!("operand {} must be integer", index + 1))
}

pub(super) fn range(arguments: &[Value]) -> Result<()> {
    let (from, to) = (integer(arguments, 0)?, integer(arguments, 1)?);
    bounded(u64::try_from(from.abs_diff(to)).unwrap_or(u64::MAX))?;
    Ok(())
}

pub(super) fn range_step(arguments: &[Value]) -> Result<()> {
    let (from, to) = (integer(arguments, 0)?, integer(arguments, 1)?);
    let step = integer(arguments, 2)?;
    if step <= 0 {
        return Err(anyhow!("step must be a positive number above zero"));
    }
    let steps = from.abs_diff(to) / step.unsigned_abs();
    bounded(u64::try_from(steps).unwrap_or(u64::MAX))?;
    Ok(())
}

pub(super) fn shift_left(arguments: &[Value]) -> Result<()> {
    let bits = integer(arguments, 1)?;
    bounded(u64::try_from(bits).unwrap_or(0))?;
    Ok(())
}

pub(super) fn expand(arguments: &[Value]) -> Result<()> {
    let network = super::network::network(arguments.first().unwrap_or(&Value::Undefined))?;
    bounded(
        1u64.checked_shl(u32::from(network.max_prefix_len() - network.prefix_len()))
            .unwrap_or(u64::MAX),
    )?;
    Ok(())
}

/// A width or a precision is the text's own: `%1000000000d` is ten bytes.
pub(super) fn format(arguments: &[Value]) -> Result<()> {
    let text = super::text(arguments, 0)?;
    let digits = |run: &str| {
        run.parse::<usize>()
            .map_or(true, |width| width > MOST_PADDING)
    };
    let padded = text
        .split(|character: char| !character.is_ascii_digit())
        .any(|run| !run.is_empty() && digits(run));
    if padded {
        return Err(too_much(u64::MAX, MOST_PADDING as u64));
    }
    Ok(())
}

/// A graph of a few nodes can have more paths than there are atoms.
pub(super) fn reachable_paths(arguments: &[Value]) -> Result<()> {
    if let [Value::Object(graph), start] = arguments {
        let mut steps = 0;
        let mut on_path = Vec::new();
        for node in elements(start) {
            count_paths(graph, node, &mut on_path, &mut steps)?;
        }
    }
    Ok(())
}

fn count_paths<'v>(
    graph: &'v Object,
    node: &'v Value,
    on_path: &mut Vec<&'v Value>,
    steps: &mut u64,
) -> Result<()> {
    // A path's nodes are looked through one by one, and paths nest.
    const DEEPEST: usize = 1000;
    *steps += 1 + on_path.len() as u64;
    bounded(*steps)?;
    if on_path.len() > DEEPEST {
        return Err(too_much(on_path.len() as u64, DEEPEST as u64));
    }
    if on_path.contains(&node) {
        return Ok(());
    }
    if let Some(neighbours) = graph.get(node) {
        on_path.push(node);
        for neighbour in elements(neighbours) {
            count_paths(graph, neighbour, on_path, steps)?;
        }
        on_path.pop();
    }
    Ok(())
}

fn elements(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Set(items) => items.iter_sorted().collect(),
        _ => Vec::new(),
    }
}

/// How long a search may take grows with the text and with what the pattern spells out.
fn matched(arguments: &[Value], pattern: usize, text: usize) -> Result<()> {
    let (Ok(pattern), Ok(text)) = (
        super::text(arguments, pattern),
        super::text(arguments, text),
    ) else {
        return Ok(());
    };
    // `a{1000}` stands for a thousand of it.
    let repeated = pattern
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .filter_map(|count| count.rsplit(',').next()?.parse::<usize>().ok())
        .fold(1, |product: usize, count| {
            product.saturating_mul(count.max(1))
        });
    let work = pattern
        .len()
        .saturating_mul(repeated)
        .saturating_mul(text.len());
    if work > MOST_MATCHING {
        return Err(too_much(work as u64, MOST_MATCHING as u64));
    }
    Ok(())
}

pub(super) fn pattern_first(arguments: &[Value]) -> Result<()> {
    matched(arguments, 0, 1)
}

pub(super) fn pattern_second(arguments: &[Value]) -> Result<()> {
    matched(arguments, 1, 0)
}
