//! One pass over the text: agreement with `serde_json` about validity and about every slot's value.

use bumpalo::Bump;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::engine::program::DuplicateMembers;
use crate::engine::value::Value;

/// Nesting that `serde_json` allows.
const DEPTH: usize = 127;

struct Reading {
    layout: Layout,
    slots: Vec<(Vec<&'static str>, Slot)>,
    /// Only their presence is asked for.
    presences: Vec<(Vec<&'static str>, Slot)>,
}

fn reading(whole: bool) -> Reading {
    let mut layout = Layout::default();
    let mut paths: Vec<Vec<&'static str>> = vec![
        vec!["a"],
        vec!["b", "c"],
        vec!["b", "d", "e"],
        vec!["é\"\n"],
        vec!["list"],
        vec!["list", "x"],
    ];
    for name in [
        "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11",
    ] {
        paths.push(vec![name]);
    }
    if whole {
        paths.push(vec![]);
    }
    let slots = paths
        .into_iter()
        .map(|path| {
            let slot = layout.slot(Root::Input, &path);
            (path, slot)
        })
        .collect();
    let presences = [vec!["b"], vec!["seen"], vec!["b", "seen"]]
        .into_iter()
        .map(|path| {
            let slot = layout.presence(Root::Input, &path);
            (path, slot)
        })
        .collect();
    Reading {
        layout,
        slots,
        presences,
    }
}

fn read<T>(
    reading: &Reading,
    text: &[u8],
    duplicates: DuplicateMembers,
    check: impl FnOnce(Result<&Slots<'_>, InputError>) -> T,
) -> T {
    let arena = Bump::new();
    let slots = Slots::new(&reading.layout, &arena);
    read_into(&slots, reading, (text, duplicates), check)
}

/// As [`read`], by a worker that has read `before`.
fn read_after<T>(
    before: &[u8],
    reading: &Reading,
    text: &[u8],
    duplicates: DuplicateMembers,
    check: impl FnOnce(Result<&Slots<'_>, InputError>) -> T,
) -> T {
    let habit = Habit::default();
    let arena = Bump::new();
    let slots = Slots::of_worker(&reading.layout, &arena, &habit);
    read_into(&slots, reading, (before, duplicates), |_| ());
    habit.begin();
    let slots = Slots::of_worker(&reading.layout, &arena, &habit);
    read_into(&slots, reading, (text, duplicates), check)
}

fn read_into<'a, T>(
    slots: &Slots<'a>,
    reading: &Reading,
    (text, duplicates): (&[u8], DuplicateMembers),
    check: impl FnOnce(Result<&Slots<'a>, InputError>) -> T,
) -> T {
    let arena = slots.arena();
    let text = arena.alloc_slice_copy(text);
    let layout = &reading.layout;
    let filled = slots.fill(layout, Root::Input, text, arena, DEPTH, duplicates);
    check(filled.map(|()| slots))
}

fn same(value: &Value<'_>, json: &Json) -> bool {
    match (value, json) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(a), Json::Bool(b)) => a == b,
        // `serde_json` takes `-0` for a double.
        (Value::Int(0), Json::Number(b)) => b.as_f64() == Some(0.0),
        (Value::Int(a), Json::Number(b)) => b.as_i64() == Some(*a),
        (Value::Uint(a), Json::Number(b)) => b.as_u64() == Some(*a) && b.as_i64().is_none(),
        // One unit in the last place: `serde_json` does not round correctly by default.
        (Value::Double(a), Json::Number(b)) => {
            (b.is_f64() || *a == 0.0)
                && b.as_f64()
                    .is_some_and(|b| (a - b).abs() <= a.abs() * f64::EPSILON)
        }
        (Value::String(a), Json::String(b)) => a == b,
        (Value::List(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Map(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(k, v)| b.get(k.as_str().unwrap()).is_some_and(|it| same(v, it)))
        }
        _ => false,
    }
}

fn at<'j>(json: &'j Json, path: &[&str]) -> Option<&'j Json> {
    path.iter()
        .try_fold(json, |json, name| json.as_object()?.get(*name))
}

fn agrees(text: &[u8]) {
    agrees_after(&[text, BODY.as_bytes()], text);
}

/// Whatever was read before makes no difference.
fn agrees_after(before: &[&[u8]], text: &[u8]) {
    for whole in [false, true] {
        let reading = reading(whole);
        let expected = serde_json::from_slice::<Json>(text);
        let check = |slots: Result<&Slots<'_>, InputError>| match (slots, &expected) {
            (Ok(slots), Ok(json)) => {
                for (path, slot) in &reading.slots {
                    let (got, wanted) = (slots.get(*slot), at(json, path));
                    assert_eq!(got.is_some(), wanted.is_some(), "{path:?} of {json}");
                    if let (Some(got), Some(wanted)) = (got, wanted) {
                        assert!(same(&got, wanted), "{path:?} is {got:?}, not {wanted}");
                    }
                }
                for (path, slot) in &reading.presences {
                    assert_eq!(slots.contains(*slot), at(json, path).is_some());
                    let object = at(json, path).is_some_and(Json::is_object);
                    assert_eq!(slots.is_object(*slot), object, "{path:?} of {json}");
                }
            }
            (Err(_), Err(_)) => {}
            (ours, theirs) => panic!(
                "{:?}: {:?} but {theirs:?}",
                String::from_utf8_lossy(text),
                ours.err()
            ),
        };
        let last = DuplicateMembers::LastWins;
        read(&reading, text, last, check);
        for before in before {
            read_after(before, &reading, text, last, check);
        }
    }
}

const BODY: &str = r#"{"a": [1, -0, 2.5e-3, 18446744073709551615, 99999999999999999999, 1e300],
 "b": {"c": "x\u00e9\ud83d\ude00\\\"\/\b\f\n\r\t", "d": {"e": null, "f": {}}, "seen": []}, "skipped":
 {"deep": [[{"k": "\u0041"}], true, false, -1.0E+2]}, "é\"\n": {}, "list": {"x": [[], {"y": {"z": "é😀"}}]},
 "p3": "", "p11": {"p0": 1}, "seen": {"b": 0}, "a": "again"}"#;

#[test]
fn a_body_is_read() {
    agrees(BODY.as_bytes());
    for text in [
        "",
        " ",
        "5",
        "\"x\"",
        "[]",
        "{}",
        "null",
        "nul",
        "truex",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[,1]",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "1e999",
        "-1e999",
        "0x1",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\u{1}\"",
        "\"\u{7f}\"",
        "{\"a\":1}x",
        "\u{feff}{}",
        "{\"skipped\": \"\\ud800\"}",
        "{\"skipped\": 1e999}",
        "{'a': 1}",
        "[1 2]",
        "NaN",
        "{\"b\": 1, \"b\": {\"c\": 2}}",
        "{\"b\": {\"c\": 2}, \"b\": 1}",
        "{\"list\":{\"x\":1,\"x\":2}}",
        "{\"\\u0061\": 5}",
        "{\"b\":{\"c\":1,\"d\":{\"e\":2}},\"b\":{\"c\":3}}",
    ] {
        agrees(text.as_bytes());
    }
    agrees(b"{\"a\": \"\xff\"}");
    agrees(b"\xc3");
}

#[test]
fn habits_do_not_mislead() {
    for (before, text) in [
        (r#"{"a\"p0":1}"#, r#"{"a"p0":1}"#),
        (r#"{"a":1,"p0":2}"#, r#"{"p0":1,"a":2}"#),
        (r#"{"b":{"c":1}}"#, r#"{"c":{"b":1}}"#),
        (
            r#"{"b":{"c":1,"d":{"e":2}}}"#,
            r#"{"b":{"d":{"e":1},"c":2}}"#,
        ),
        (r#"{"p1":1}"#, r#"{"p11":1}"#),
        (r#"{"p11":1}"#, r#"{"p1":1}"#),
        (r#"{"":1}"#, r#"{"a":1}"#),
        (r#"{"a":1}"#, r#"{"a"}"#),
        (r#"{"a":1}"#, r#"{"a" :1,"p0" : 2}"#),
        (r#"{"fifteen__bytes_":1}"#, r#"{"fifteen__bytes_x":1}"#),
    ] {
        agrees_after(&[before.as_bytes()], text.as_bytes());
    }
    let many: Vec<String> = (0..200).map(|index| format!("\"k{index}\":0")).collect();
    let text = format!("{{{},\"a\":1}}", many.join(","));
    agrees_after(&[text.as_bytes()], text.as_bytes());
}

#[test]
fn nesting_is_bounded() {
    for depth in [DEPTH, DEPTH + 1, 5_000] {
        for key in ["a", "skipped"] {
            let text = format!(
                "{{\"{key}\":{}{}}}",
                "[".repeat(depth - 1),
                "]".repeat(depth - 1)
            );
            agrees(text.as_bytes());
        }
    }
}

#[test]
fn duplicates_of_what_is_read_are_refused() {
    let reading = reading(false);
    for (text, refused) in [
        (r#"{"a": 1, "a": 1}"#, true),
        (r#"{"\u0061": 1, "a": 1}"#, true),
        (r#"{"b": {"c": 1}, "b": {}}"#, true),
        (r#"{"b": 0, "b": 0}"#, true),
        (r#"{"b": {"c": 1, "c": 2}}"#, true),
        (r#"{"a": {"deep": [{"k": 1, "k": 2}]}}"#, true),
        (r#"{"other": 1, "other": 2, "a": 1}"#, false),
        (r#"{"other": {"a": 1, "a": 2}}"#, false),
        (r#"{"b": {"other": 1, "other": 2}}"#, false),
    ] {
        let got = read(
            &reading,
            text.as_bytes(),
            DuplicateMembers::Refuse,
            |slots| slots.err().map(|error| error.message),
        );
        assert_eq!(got, refused.then_some("duplicate member"), "{text}");
    }
    let many: Vec<String> = (0..40).map(|index| format!("\"k{index}\": 0")).collect();
    let text = format!("{{\"a\": {{{}, \"k7\": 1}}}}", many.join(","));
    assert!(read(
        &reading,
        text.as_bytes(),
        DuplicateMembers::Refuse,
        |it| it.is_err()
    ));
    agrees(text.as_bytes());
}

/// Members at roots of their own are what filling those roots from their texts gives, whatever of `input` is read.
#[test]
fn parts_are_read_in_the_same_pass() {
    const PARTS: [PartName; 2] = [PartName::of(Root::Subject), PartName::of(Root::Context)];
    let refuse = DuplicateMembers::Refuse;
    for inputs in [&[][..], &["subject"], &["other"], &["subject", "x"], &[""]] {
        let mut layout = Layout::default();
        let id = layout.slot(Root::Subject, &["id"]);
        let whole = layout.slot(Root::Context, &[]);
        let input = match inputs {
            [] => None,
            [""] => Some(layout.slot(Root::Input, &[])),
            path => Some(layout.slot(Root::Input, path)),
        };
        let arena = Bump::new();
        let slots = Slots::new(&layout, &arena);
        let fill = |text: &'static str, duplicates| {
            let text = text.as_bytes();
            slots.fill_parts(&layout, Root::Input, PARTS, text, &arena, DEPTH, duplicates)
        };
        let text = r#" {"other": 1, "context": [1], "subject": {"x": 2, "id": "ann"}} "#;
        assert_eq!(fill(text, refuse), Ok(Some([Part::Object, Part::Other])));
        assert_eq!(slots.get(id), Some(Value::String("ann")));
        assert_eq!(slots.get(whole), Some(Value::List(&[Value::Int(1)])));
        assert!(
            input.is_none_or(|slot| slots.get(slot).is_some()),
            "{inputs:?}"
        );
        // Nothing of it is left.
        let text = r#"{"cont\u0065xt": null}"#;
        assert_eq!(fill(text, refuse), Ok(Some([Part::Missing, Part::Null])));
        assert_eq!(slots.get(id), None);
        assert_eq!(slots.get(whole), Some(Value::Null));
        let text = r#"{"subject": {"id": 1}, "subject": {}}"#;
        assert_eq!(fill(text, refuse).unwrap_err().message, "duplicate member");
        let last = DuplicateMembers::LastWins;
        assert_eq!(fill(text, last), Ok(Some([Part::Object, Part::Missing])));
        assert_eq!(slots.get(id), None);
        assert_eq!(fill("{}", refuse), Ok(Some([Part::Missing; 2])));
        assert_eq!(fill("[]", refuse), Ok(None));
        assert!(fill("{\"subject\": {}", refuse).is_err());
        assert!(fill("{\"subject\": {}} x", refuse).is_err());
    }
}

#[test]
fn values_can_be_set_and_refilled() {
    let mut layout = Layout::default();
    let id = layout.slot(Root::Params, &["id"]);
    let name = layout.slot(Root::Subject, &["properties", "name"]);
    let arena = Bump::new();
    let slots = Slots::new(&layout, &arena);
    assert!(slots.get(id).is_none());
    slots.set(&layout, Root::Params, &["id"], Value::Int(7));
    slots.set(&layout, Root::Params, &["unknown"], Value::Int(8));
    assert_eq!(slots.get(id), Some(Value::Int(7)));
    assert!(slots.is_object(Layout::root(Root::Params)));
    let map = [(Value::String("name"), Value::String("ann"))];
    slots.set(&layout, Root::Subject, &["properties"], Value::Map(&map));
    assert_eq!(slots.get(name), Some(Value::String("ann")));
    let refuse = DuplicateMembers::Refuse;
    slots
        .fill(&layout, Root::Subject, b"{\"type\": 1}", &arena, 9, refuse)
        .unwrap();
    assert_eq!(slots.get(name), None);
    assert!(!slots.contains(layout.presence(Root::Subject, &["properties"])));
}

fn mutate(text: &mut Vec<u8>, edits: &[(usize, u8, u8)]) {
    const TOKENS: [&[u8]; 16] = [
        b"\"", b"\\", b"{", b"}", b"[", b"]", b",", b":", b"1", b"-", b".", b"e", b"\"a\":",
        b"null", b" ", b"\xc3",
    ];
    for (place, kind, token) in edits {
        let at = place % (text.len() + 1);
        let token = TOKENS[usize::from(*token) % TOKENS.len()];
        match kind % 4 {
            0 if at < text.len() => drop(text.remove(at)),
            1 if at < text.len() => text[at] = token[0],
            2 => text.truncate(at.max(1)),
            _ => drop(text.splice(at..at, token.iter().copied())),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_bodies_are_read_as_serde_json_reads_them(
        edits in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..4)
    ) {
        let mut text = BODY.as_bytes().to_vec();
        mutate(&mut text, &edits);
        agrees(&text);
    }
}
