//! The second opinion: generated expressions, evaluated by this engine and by the `cel` crate's evaluator.
//!
//! Expressions are grown from a table of what the language supports: each row is a node with the types of
//! its operands. A run in which a row was never produced fails, and so does one in which too few
//! expressions have a value.

mod known;
mod rows;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bumpalo::Bump;

use crate::engine::data::Data;
use crate::engine::expression::{Failure, Frame};
use crate::engine::input::{Layout, Root, Slots};
use crate::engine::program::DuplicateMembers;
use crate::engine::value::Value;
use crate::model::Timestamp;

use super::support::compile_with;
use rows::{Row, Type, literals, rows};

const INPUT: &str = r#"{"i": 7, "n": -3, "d": 2.5, "s": "héllo", "b": true, "z": null, "l": [3, 1, 2],
 "t": ["a", "bc", ""], "m": {"a": 1, "b": 2}}"#;

/// The same numbers on every machine (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }
}

struct Generator {
    random: Random,
    rows: Vec<Row>,
    by_type: BTreeMap<Type, Vec<usize>>,
    produced: Vec<usize>,
    /// The loop variables in scope and their types.
    scope: Vec<(String, Type)>,
}

impl Generator {
    fn new(seed: u64) -> Self {
        let rows = rows();
        let mut by_type: BTreeMap<Type, Vec<usize>> = BTreeMap::new();
        for (index, row) in rows.iter().enumerate() {
            by_type.entry(row.result).or_default().push(index);
        }
        Self {
            random: Random(seed),
            produced: vec![0; rows.len()],
            rows,
            by_type,
            scope: Vec::new(),
        }
    }

    fn expression(&mut self, wanted: Type, depth: usize) -> String {
        let candidates = self.by_type.get(&wanted).cloned().unwrap_or_default();
        if depth == 0 || candidates.is_empty() || self.random.below(5) == 0 {
            return self.leaf(wanted);
        }
        let index = *self.random.pick(&candidates);
        self.grow(index, depth)
    }

    /// The row `index` with operands of its types; now and then one of another type.
    fn grow(&mut self, index: usize, depth: usize) -> String {
        let row = self.rows[index].clone();
        let mut text = String::new();
        let mut parts = row.form.split('$');
        text.push_str(parts.next().unwrap_or_default());
        let mut intact = true;
        let variable = format!("v{}", self.scope.len());
        let outer = self.scope.len();
        for (part, operand) in parts.zip(&row.operands) {
            let mut operand = *operand;
            if self.random.below(60) == 0 {
                operand = *self.random.pick(&Type::ALL);
                intact = false;
            }
            if let Some(element) = row.element
                && text.contains('@')
                && self.scope.len() == outer
            {
                self.scope.push((variable.clone(), element));
            }
            let inner = self.expression(operand, depth - 1);
            let bare = inner.starts_with(|it: char| it == '-' || it.is_ascii_digit());
            if bare {
                write!(text, "({inner}){part}").unwrap();
            } else {
                write!(text, "{inner}{part}").unwrap();
            }
        }
        self.scope.truncate(outer);
        self.produced[index] += usize::from(intact);
        text.replace('@', &variable)
    }

    fn leaf(&mut self, wanted: Type) -> String {
        let mut choices: Vec<String> = literals(wanted).iter().map(|it| (*it).into()).collect();
        choices.extend(
            self.scope
                .iter()
                .filter(|(_, kind)| *kind == wanted)
                .map(|(name, _)| name.clone()),
        );
        self.random.pick(&choices).clone()
    }
}

/// What came out, in a form that both evaluators' values have; None is an error.
type Answer = Option<String>;

fn ours(expression: &str) -> Option<Answer> {
    let mut layout = Layout::default();
    let compiled = match compile_with(expression, &[("input", Root::Input)], &mut layout) {
        Ok(compiled) => compiled,
        Err(error) => panic!("{expression} is refused: {error}"),
    };
    let arena = Bump::new();
    let slots = Slots::new(&layout, &arena);
    slots
        .fill(
            &layout,
            Root::Input,
            INPUT.as_bytes(),
            &arena,
            64,
            DuplicateMembers::Refuse,
        )
        .unwrap();
    let data = Data::default();
    let frame = Frame::new(&slots, &data, Timestamp::default(), &arena, 1_000_000);
    match compiled.evaluate(&frame) {
        Ok(value) => Some(Some(render(&value))),
        Err(Failure::Error(_)) => Some(None),
        Err(Failure::Budget) => None,
    }
}

fn render(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => format!("{value}"),
        Value::Uint(value) => format!("{value}u"),
        Value::Double(value) => double(*value),
        Value::String(text) => format!("{text:?}"),
        Value::Bytes(bytes) => format!("b{bytes:?}"),
        Value::Timestamp(moment) => format!("at {}", moment.unix_nanos()),
        Value::Duration(nanos) => format!("for {nanos}"),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(render).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) => {
            let mut entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", render(key), render(value)))
                .collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn double(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else {
        format!("{value:?}d")
    }
}

fn theirs(expression: &str, context: &cel::Context<'_, '_>, env: &cel::Env) -> Answer {
    catch_unwind(AssertUnwindSafe(|| {
        let program = env.compile(expression).ok()?;
        program
            .execute(context)
            .ok()
            .map(|value| render_theirs(&value))
    }))
    .unwrap_or(None)
}

fn render_theirs(value: &cel::Value) -> String {
    match value {
        cel::Value::Null => "null".into(),
        cel::Value::Bool(value) => value.to_string(),
        cel::Value::Int(value) => format!("{value}"),
        cel::Value::UInt(value) => format!("{value}u"),
        cel::Value::Float(value) => double(*value),
        cel::Value::String(text) => format!("{text:?}"),
        cel::Value::Bytes(bytes) => format!("b{bytes:?}"),
        cel::Value::Timestamp(moment) => format!(
            "at {}",
            i128::from(moment.timestamp()) * 1_000_000_000
                + i128::from(moment.timestamp_subsec_nanos())
        ),
        cel::Value::Duration(span) => format!("for {}", span.num_nanoseconds().unwrap_or(0)),
        cel::Value::List(items) => {
            let items: Vec<String> = items.iter().map(render_theirs).collect();
            format!("[{}]", items.join(", "))
        }
        cel::Value::Map(map) => {
            let mut entries: Vec<String> = map
                .map
                .iter()
                .map(|(key, value)| {
                    format!(
                        "{}: {}",
                        render_theirs(&key.clone().into()),
                        render_theirs(value)
                    )
                })
                .collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn their_value(json: &serde_json::Value) -> cel::Value {
    match json {
        serde_json::Value::Null => cel::Value::Null,
        serde_json::Value::Bool(value) => cel::Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(value) => cel::Value::Int(value),
            None => cel::Value::Float(number.as_f64().unwrap()),
        },
        serde_json::Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        serde_json::Value::Array(items) => {
            cel::Value::List(Arc::new(items.iter().map(their_value).collect()))
        }
        serde_json::Value::Object(members) => {
            let members: std::collections::HashMap<String, cel::Value> = members
                .iter()
                .map(|(key, value)| (key.clone(), their_value(value)))
                .collect();
            members.into()
        }
    }
}

fn cases() -> usize {
    std::env::var("LICTOR_DIFFERENTIAL_CASES")
        .ok()
        .map_or(20_000, |count| count.parse().expect("a number of cases"))
}

/// How many parts the cases are split into, each with numbers of its own.
const SHARDS: usize = 4;

/// What came of some cases.
#[derive(Default)]
struct Tally {
    cases: usize,
    values: usize,
    unfinished: usize,
    excused: BTreeMap<&'static str, usize>,
    disagreements: Vec<String>,
    produced: Vec<usize>,
}

fn shard(seed: u64, cases: usize) -> Tally {
    let mut env = cel::Env::stdlib();
    env.add_extension(cel::extensions::strings).unwrap();
    env.add_extension(cel::extensions::math).unwrap();
    let env = Arc::new(env);
    let mut context = cel::Context::with_env(Arc::clone(&env));
    let input: serde_json::Value = serde_json::from_str(INPUT).unwrap();
    context.add_variable_from_value("input", their_value(&input));
    let mut generator = Generator::new(seed);
    let mut tally = Tally {
        cases,
        ..Tally::default()
    };
    for case in 0..cases {
        let row = case % generator.rows.len();
        let depth = 1 + generator.random.below(4);
        let expression = generator.grow(row, depth);
        let Some(ours) = ours(&expression) else {
            tally.unfinished += 1;
            continue;
        };
        tally.values += usize::from(ours.is_some());
        let theirs = theirs(&expression, &context, &env);
        if ours == theirs {
            continue;
        }
        match known::reason(&expression, ours.as_deref(), theirs.as_deref()) {
            Some(reason) => *tally.excused.entry(reason).or_default() += 1,
            None => tally
                .disagreements
                .push(format!("{expression}\n  ours {ours:?}\n  crate {theirs:?}")),
        }
    }
    tally.produced = generator.produced;
    tally
}

fn run(total: usize) -> Tally {
    let parts: Vec<Tally> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..SHARDS)
            .map(|index| scope.spawn(move || shard(2_026 + index as u64, total / SHARDS)))
            .collect();
        handles.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let mut sum = Tally {
        produced: vec![0; rows().len()],
        ..Tally::default()
    };
    for part in parts {
        sum.cases += part.cases;
        sum.values += part.values;
        sum.unfinished += part.unfinished;
        for (reason, count) in part.excused {
            *sum.excused.entry(reason).or_default() += count;
        }
        sum.disagreements.extend(part.disagreements);
        for (total, count) in sum.produced.iter_mut().zip(part.produced) {
            *total += count;
        }
    }
    sum.disagreements.sort_by_key(String::len);
    sum
}

#[test]
fn generated_expressions_have_the_value_that_the_crate_gives() {
    let tally = run(cases());
    let Tally {
        cases,
        values,
        unfinished,
        ..
    } = tally;
    assert!(
        tally.disagreements.is_empty(),
        "{} of {cases} disagree, the shortest of them:\n{}",
        tally.disagreements.len(),
        tally
            .disagreements
            .iter()
            .take(30)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
    println!("{cases} cases, {values} with a value, {unfinished} out of budget");
    println!("excused: {:#?}", tally.excused);
    assert!(
        values * 10 >= cases * 3,
        "only {values} of {cases} have a value"
    );
    assert!(
        unfinished * 100 <= cases,
        "{unfinished} of {cases} ran out of budget"
    );
    for (row, count) in rows().iter().zip(&tally.produced) {
        assert!(
            *count > 0,
            "never produced: {} of {:?}",
            row.form,
            row.operands
        );
    }
}
