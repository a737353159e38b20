//! The compact form against `serde_json`.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::*;
use crate::engine::value::write_json;

fn build(files: &[(&[&str], &str)]) -> Result<Data, DataError> {
    let mut builder = DataBuilder::default();
    for (path, text) in files {
        builder.add(path, &mut text.as_bytes())?;
    }
    Ok(builder.finish())
}

fn as_json(data: &Data) -> Json {
    let mut text = String::new();
    write_json(&mut text, &data.root()).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A reader that yields a few bytes at a time.
struct Trickle<'t>(&'t [u8], usize);

impl std::io::Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 = self.1 % 7 + 1;
        let count = self.1.min(self.0.len()).min(buffer.len());
        let (head, tail) = self.0.split_at(count);
        buffer[..count].copy_from_slice(head);
        self.0 = tail;
        Ok(count)
    }
}

fn users(count: usize) -> String {
    let mut text = String::from("{\"users\": {");
    for index in 0..count {
        if index > 0 {
            text.push(',');
        }
        write!(
            text,
            "\"user-{index:06}\": {{\"name\": \"User {index}\", \"roles\": [\"viewer\", \"editor\"], \
             \"department\": \"dept-{}\", \"active\": {}, \"level\": {}, \"quota\": {}.5, \"manager\": null, \
             \"country\": \"DE\"}}",
            index % 40,
            index % 3 == 0,
            index % 9,
            index % 100,
        )
        .unwrap();
    }
    text.push_str("}}");
    text
}

#[test]
fn a_few_megabytes_are_kept_whole_and_small() {
    let text = users(20_000);
    let mut builder = DataBuilder::default();
    builder.add(&[], &mut text.as_bytes()).unwrap();
    let data = builder.finish();
    assert_eq!(as_json(&data), serde_json::from_str::<Json>(&text).unwrap());
    let ratio = data.resident_bytes() as f64 / text.len() as f64;
    assert!(ratio <= 1.0, "{ratio:.2} of the text are resident");
    for index in [0, 777, 19_999] {
        let user = data
            .root()
            .member("users")
            .and_then(|it| it.member(&format!("user-{index:06}")))
            .unwrap();
        let name = user.member("name").unwrap();
        assert_eq!(name.as_str(), Some(&*format!("User {index}")));
    }
    assert!(data.find(&["users", "user-020000"]).is_none());
    assert!(data.find(&["users", "user-000001", "roles"]).is_some());
}

#[test]
fn every_kind_of_value_survives() {
    let text = r#"{"n": [0, -1, 268435455, 268435456, -268435456, -268435457, 9223372036854775807,
        -9223372036854775808, 18446744073709551615, 1.5, 1e300, -0.0, 99999999999999999999999],
        "s": ["", "a\n\"\\\/\u00e9\ud83d\ude00", "é"], "w": [true, false, null, {}, []]}"#;
    let wanted: Json = serde_json::from_str(text).unwrap();
    assert_eq!(as_json(&build(&[(&[], text)]).unwrap()), wanted);
    let mut builder = DataBuilder::default();
    builder.add(&[], &mut Trickle(text.as_bytes(), 0)).unwrap();
    assert_eq!(as_json(&builder.finish()), wanted);
    let long = format!("{{\"k\": \"{}\"}}", "x".repeat(200_000));
    let data = build(&[(&[], &long)]).unwrap();
    assert_eq!(as_json(&data), serde_json::from_str::<Json>(&long).unwrap());
}

#[test]
fn maps_of_every_size_are_found_by_key() {
    for count in [0, 1, 31, 32, 33, 34, 100, 1_000, 16_384, 16_385, 40_000] {
        let entries: Vec<String> = (0..count).map(|it| format!("\"key{it}\": {it}")).collect();
        let data = build(&[(&[], &format!("{{{}}}", entries.join(",")))]).unwrap();
        let root = data.root();
        for index in 0..count {
            let found = root.member(&format!("key{index}"));
            assert_eq!(found, Some(Value::Int(index)), "of {count}");
        }
        assert_eq!(root.member("key"), None);
        assert_eq!(root.as_map().unwrap().len() as i64, count);
        let order: Vec<i64> = root
            .as_map()
            .unwrap()
            .iter()
            .filter_map(|(_, value)| value.as_number().map(|it| it as i64))
            .collect();
        assert_eq!(order, (0..count).collect::<Vec<_>>());
    }
}

#[test]
fn long_lists_keep_their_order_and_large_maps_their_keys_apart() {
    for count in [16_383, 16_384, 16_385, 40_000] {
        let text = format!("{{\"a\": [{}7, [1]]}}", "7, [1], ".repeat(count / 2));
        let wanted: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(as_json(&build(&[(&[], &text)]).unwrap()), wanted);
        let mut members: Vec<String> = (0..count).map(|it| format!("\"k{it}\": {{}}")).collect();
        members.push("\"k5\": 1".into());
        let error = build(&[(&[], &format!("{{{}}}", members.join(",")))]).unwrap_err();
        assert!(error.message.contains("`k5`"), "{error}");
    }
}

#[test]
fn files_are_merged_at_their_folders() {
    let data = build(&[
        (&["a", "b"], r#"{"x": 1}"#),
        (&[], r#"{"a": {"y": 2}, "z": 3}"#),
        (&["a"], r#"{"b": {"w": [4]}}"#),
        (&["c"], "5"),
    ])
    .unwrap();
    assert_eq!(
        as_json(&data),
        json!({"a": {"b": {"x": 1, "w": [4]}, "y": 2}, "z": 3, "c": 5})
    );
    assert_eq!(as_json(&Data::default()), json!({}));
    assert_eq!(as_json(&build(&[]).unwrap()), json!({}));
}

#[test]
fn clashes_are_refused_wherever_they_are() {
    for (files, place) in [
        (
            [(&["a"][..], r#"{"x": 1}"#), (&["a"][..], r#"{"x": 1}"#)],
            "a.x",
        ),
        (
            [(&["a", "b"][..], "1"), (&[][..], r#"{"a": {"b": 2}}"#)],
            "a.b",
        ),
        (
            [(&[][..], r#"{"a": {"b": 2}}"#), (&["a", "b"][..], "1")],
            "a.b",
        ),
        ([(&["a", "b"][..], "1"), (&["a"][..], "[]")], "b"),
        ([(&["a"][..], "[]"), (&["a", "b"][..], "{}")], "a"),
        (
            [(&[][..], r#"{"a": 1}"#), (&["a", "b", "c"][..], "{}")],
            "a",
        ),
    ] {
        let error = build(&files).unwrap_err();
        assert!(
            error.message.contains(place) && error.message.contains("another file"),
            "{files:?}: {error}"
        );
    }
}

#[test]
fn what_is_no_json_is_refused() {
    let deep = "[".repeat(300) + &"]".repeat(300);
    let many: Vec<String> = (0..50).map(|it| format!("\"k{it}\": 0")).collect();
    let doubled = format!("{{{}, \"k3\": 1}}", many.join(","));
    for text in [
        "",
        "[]",
        "1",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{\"a\":1}{}",
        "{a:1}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":-}",
        "{\"a\":1e999}",
        "{\"a\":tru}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"\\u0062\":2}}",
        &doubled,
        &format!("{{\"a\":{deep}}}"),
        &format!("{{\"a\":{}}}", "1".repeat(5_000)),
    ] {
        assert!(build(&[(&[], text)]).is_err(), "{text:.60}");
    }
    let mut builder = DataBuilder::default();
    assert!(builder.add(&[], &mut &b"{\"a\": \"\xff\"}"[..]).is_err());
    let error = build(&[(&[], "{\"a\": nope}")]).unwrap_err();
    assert_eq!(error.offset, 7);
}
