//! Every case of the cel-spec's simple tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bumpalo::Bump;
use serde_json::Value as Json;

use crate::engine::input::{Layout, Root};
use crate::engine::value::Value;

use super::support::{compile_with, evaluate_with};

/// Cases that do not come out as the vectors have them, and why. It only gets shorter.
const FAILING: &str = include_str!("failing.txt");

fn vectors() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("LICTOR_VECTORS") {
        return Some(PathBuf::from(path).join("cel"));
    }
    let required = std::env::var("LICTOR_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|word| word == "vectors"),
        "LICTOR_VECTORS is not set, and LICTOR_REQUIRE names `vectors`"
    );
    println!("skipped: LICTOR_VECTORS is not set");
    None
}

fn text<'a>(json: &Json, arena: &'a Bump) -> &'a str {
    arena.alloc_str(json.as_str().unwrap())
}

fn value<'a>(json: &Json, arena: &'a Bump) -> Value<'a> {
    let (kind, content) = json.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "null" => Value::Null,
        "bool" => Value::Bool(content.as_bool().unwrap()),
        "int" => Value::Int(text(content, arena).parse().unwrap()),
        "uint" => Value::Uint(text(content, arena).parse().unwrap()),
        "double" => Value::Double(text(content, arena).parse().unwrap()),
        "string" => Value::String(text(content, arena)),
        "bytes" => {
            Value::Bytes(arena.alloc_slice_copy(&hex::decode(text(content, arena)).unwrap()))
        }
        "type" => Value::Type(text(content, arena)),
        "list" => Value::List(
            arena.alloc_slice_fill_iter(
                content
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|item| value(item, arena)),
            ),
        ),
        "map" => Value::Map(
            arena.alloc_slice_fill_iter(
                content
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|pair| (value(&pair[0], arena), value(&pair[1], arena))),
            ),
        ),
        other => panic!("unknown kind of value {other}"),
    }
}

/// Same type at every level, same value; NaN equals NaN.
fn same(left: &Value<'_>, right: &Value<'_>) -> bool {
    if left.type_name() != right.type_name() {
        return false;
    }
    match (left, right) {
        (Value::Double(a), Value::Double(b)) if a.is_nan() => b.is_nan(),
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(*b).all(|(a, b)| same(a, b))
        }
        _ => left == right,
    }
}

fn bind<'a>(bindings: &[(String, Json)], arena: &'a Bump) -> Vec<(Root, Value<'a>)> {
    bindings
        .iter()
        .zip(Root::ALL)
        .map(|((_, json), root)| (root, value(json, arena)))
        .collect()
}

/// None where the case comes out right, else what came instead.
fn run(case: &Json) -> Option<String> {
    let expression = case["expr"].as_str().unwrap();
    let bindings: Vec<(String, Json)> = case["bindings"]
        .as_object()
        .map(|it| it.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
        .unwrap_or_default();
    let names: Vec<(&str, Root)> = bindings
        .iter()
        .map(|(name, _)| name.as_str())
        .zip(Root::ALL)
        .collect();
    let mut layout = Layout::default();
    let wants_error = case["error"] == Json::Bool(true);
    let compiled = match compile_with(expression, &names, &mut layout) {
        Ok(compiled) => compiled,
        Err(error) if wants_error || error.message.contains("protobuf messages") => return None,
        Err(error) => return Some(format!("refused: {}", error.message)),
    };
    evaluate_with(
        &compiled,
        &layout,
        |arena| bind(&bindings, arena),
        |outcome| {
            let arena = Bump::new();
            match outcome {
                Err(_) if wants_error => None,
                Ok(got) if !wants_error && same(&value(&case["value"], &arena), &got) => None,
                other => Some(format!("{other:?}")),
            }
        },
    )
}

#[test]
fn every_case_comes_out_as_the_specification_has_it() {
    let Some(folder) = vectors() else { return };
    let mut failing = BTreeMap::new();
    let mut count = 0;
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .collect();
    files.sort();
    for file in files {
        let stem = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let cases: Vec<Json> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for case in cases {
            count += 1;
            if let Some(got) = run(&case) {
                let name = format!(
                    "{stem}/{}/{}",
                    case["section"].as_str().unwrap(),
                    case["name"].as_str().unwrap()
                );
                failing.insert(name, format!("{} gave {got}", case["expr"]));
            }
        }
    }
    assert!(count > 1_000, "only {count} cases were found");
    let listed: BTreeMap<&str, &str> = FAILING
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_once(": ").expect("a name, a colon, a reason"))
        .collect();
    for (name, got) in &failing {
        assert!(listed.contains_key(name.as_str()), "{name}: {got}");
    }
    for name in listed.keys() {
        assert!(
            failing.contains_key(*name),
            "{name} is listed as failing but comes out right: take it off the list"
        );
    }
}
