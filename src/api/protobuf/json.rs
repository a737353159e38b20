//! Messages that only a descriptor tells about, in the JSON of Protocol Buffers
//! (<https://protobuf.dev/programming-guides/json/>): names in camel case, fields that are set, 64-bit integers as text.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value};

use crate::api::json;

/// Messages within messages; decoding stops there, too, but begins anew in every `Any`.
const MAX_DEPTH: u32 = 100;

/// A message that JSON cannot say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwritableError {
    #[error("messages are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    #[error("a `google.protobuf.Any` holds a message of the unknown type `{0}`")]
    UnknownType(String),
    #[error("a `{0}` does not hold what it should")]
    Invalid(String),
}

/// Appends the message as JSON text.
///
/// # Errors
///
/// [`UnwritableError`].
pub fn message_json(out: &mut Vec<u8>, message: &DynamicMessage) -> Result<(), UnwritableError> {
    write_message(out, message, MAX_DEPTH)
}

fn write_message(
    out: &mut Vec<u8>,
    message: &DynamicMessage,
    depth: u32,
) -> Result<(), UnwritableError> {
    let depth = depth.checked_sub(1).ok_or(UnwritableError::TooDeep)?;
    let descriptor = message.descriptor();
    let name = descriptor.full_name();
    match name.strip_prefix("google.protobuf.") {
        Some("Any") => return write_any(out, message, depth),
        Some("Timestamp") => {
            let moment: prost_types::Timestamp = transcoded(message)?;
            let in_range = (-62_135_596_800..=253_402_300_799).contains(&moment.seconds);
            return display(out, message, in_range.then_some(moment));
        }
        Some("Duration") => {
            let length: prost_types::Duration = transcoded(message)?;
            let in_range = length.seconds.unsigned_abs() <= 315_576_000_000;
            return display(out, message, in_range.then_some(length));
        }
        Some("FieldMask") => {
            let mask: prost_types::FieldMask = transcoded(message)?;
            let paths: Vec<String> = mask.paths.iter().map(|path| camel_case(path)).collect();
            json::string(out, &paths.join(","));
            return Ok(());
        }
        Some(
            "Struct" | "ListValue" | "BoolValue" | "StringValue" | "BytesValue" | "FloatValue"
            | "DoubleValue" | "Int32Value" | "Int64Value" | "UInt32Value" | "UInt64Value",
        ) => {
            let field = descriptor.get_field(1).ok_or_else(|| invalid(message))?;
            return write_value(out, &message.get_field(&field), &field.kind(), depth);
        }
        Some("Value") => return write_any_json(out, message, depth),
        _ => {}
    }
    json::raw(out, "{");
    write_fields(out, message, true, depth)?;
    json::raw(out, "}");
    Ok(())
}

/// The members of an object.
fn write_fields(
    out: &mut Vec<u8>,
    message: &DynamicMessage,
    mut first: bool,
    depth: u32,
) -> Result<(), UnwritableError> {
    let mut member = |out: &mut Vec<u8>, name: &str| {
        json::raw(out, if first { "" } else { "," });
        first = false;
        json::string(out, name);
        json::raw(out, ":");
    };
    for (field, value) in message.fields() {
        member(out, field.json_name());
        write_value(out, value, &field.kind(), depth)?;
    }
    for (extension, value) in message.extensions() {
        member(out, extension.json_name());
        write_value(out, value, &extension.kind(), depth)?;
    }
    Ok(())
}

fn write_value(
    out: &mut Vec<u8>,
    value: &Value,
    kind: &Kind,
    depth: u32,
) -> Result<(), UnwritableError> {
    match value {
        Value::Bool(value) => json::boolean(out, *value),
        Value::I32(value) => json::integer(out, *value),
        Value::U32(value) => json::integer(out, *value),
        Value::I64(value) => json::string(out, itoa::Buffer::new().format(*value)),
        Value::U64(value) => json::string(out, itoa::Buffer::new().format(*value)),
        Value::F32(value) => write_float(out, *value, value.is_finite()),
        Value::F64(value) => write_float(out, *value, value.is_finite()),
        Value::String(text) => json::string(out, text),
        Value::Bytes(bytes) => json::string(out, &STANDARD.encode(bytes)),
        Value::EnumNumber(number) => write_enum(out, *number, kind),
        Value::Message(message) => write_message(out, message, depth)?,
        Value::List(values) => {
            json::raw(out, "[");
            for (index, value) in values.iter().enumerate() {
                json::raw(out, if index > 0 { "," } else { "" });
                write_value(out, value, kind, depth)?;
            }
            json::raw(out, "]");
        }
        Value::Map(values) => {
            let kind = kind
                .as_message()
                .and_then(|entry| entry.get_field(2))
                .map(|field| field.kind())
                .ok_or(UnwritableError::Invalid("map".to_owned()))?;
            let mut members: Vec<(Cow<'_, str>, &Value)> = values
                .iter()
                .map(|(key, value)| (name(key), value))
                .collect();
            members.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
            json::raw(out, "{");
            for (index, (name, value)) in members.into_iter().enumerate() {
                json::raw(out, if index > 0 { "," } else { "" });
                json::string(out, &name);
                json::raw(out, ":");
                write_value(out, value, &kind, depth)?;
            }
            json::raw(out, "}");
        }
    }
    Ok(())
}

fn name(key: &MapKey) -> Cow<'_, str> {
    match key {
        MapKey::String(text) => Cow::Borrowed(text),
        MapKey::Bool(value) => Cow::Owned(value.to_string()),
        MapKey::I32(value) => Cow::Owned(value.to_string()),
        MapKey::I64(value) => Cow::Owned(value.to_string()),
        MapKey::U32(value) => Cow::Owned(value.to_string()),
        MapKey::U64(value) => Cow::Owned(value.to_string()),
    }
}

fn write_enum(out: &mut Vec<u8>, number: i32, kind: &Kind) {
    let values = kind.as_enum();
    if values.is_some_and(|values| values.full_name() == "google.protobuf.NullValue") {
        return json::raw(out, "null");
    }
    match values.and_then(|values| values.get_value(number)) {
        Some(value) => json::string(out, value.name()),
        None => json::integer(out, number),
    }
}

/// The shortest text of a number; words for what is none.
fn write_float<F>(out: &mut Vec<u8>, value: F, is_finite: bool)
where
    F: Into<f64> + Copy + std::fmt::Display + std::fmt::LowerExp,
{
    let wide: f64 = value.into();
    if is_finite {
        let plain = wide == 0.0 || (1e-6..1e21).contains(&wide.abs());
        let text = if plain {
            format!("{value}")
        } else {
            format!("{value:e}")
        };
        json::raw(out, &text);
    } else if wide.is_nan() {
        json::string(out, "NaN");
    } else if wide > 0.0 {
        json::string(out, "Infinity");
    } else {
        json::string(out, "-Infinity");
    }
}

/// A `google.protobuf.Value`: what it holds stands for itself.
fn write_any_json(
    out: &mut Vec<u8>,
    message: &DynamicMessage,
    depth: u32,
) -> Result<(), UnwritableError> {
    match message.fields().next() {
        Some((_, Value::F64(number))) if !number.is_finite() => Err(invalid(message)),
        Some((field, value)) => write_value(out, value, &field.kind(), depth),
        None => {
            json::raw(out, "null");
            Ok(())
        }
    }
}

fn write_any(
    out: &mut Vec<u8>,
    message: &DynamicMessage,
    depth: u32,
) -> Result<(), UnwritableError> {
    let any: prost_types::Any = transcoded(message)?;
    json::raw(out, "{");
    if !any.type_url.is_empty() {
        let inner = type_of(message, &any.type_url)
            .ok_or_else(|| UnwritableError::UnknownType(any.type_url.clone()))?;
        let inner = DynamicMessage::decode(inner, any.value.as_slice())
            .map_err(|_| UnwritableError::Invalid(any.type_url.clone()))?;
        json::raw(out, "\"@type\":");
        json::string(out, &any.type_url);
        if is_well_known(&inner.descriptor()) {
            json::raw(out, ",\"value\":");
            write_message(out, &inner, depth)?;
        } else {
            let depth = depth.checked_sub(1).ok_or(UnwritableError::TooDeep)?;
            write_fields(out, &inner, false, depth)?;
        }
    }
    json::raw(out, "}");
    Ok(())
}

/// The message that `host/name` names, among those that this message's descriptor came with.
fn type_of(message: &DynamicMessage, url: &str) -> Option<MessageDescriptor> {
    let (_, name) = url.rsplit_once('/')?;
    message.descriptor().parent_pool().get_message_by_name(name)
}

/// Whether its JSON is no object of its fields.
fn is_well_known(descriptor: &MessageDescriptor) -> bool {
    let name = descriptor.full_name().strip_prefix("google.protobuf.");
    name.is_some_and(|name| {
        name.ends_with("Value")
            || matches!(
                name,
                "Any" | "Timestamp" | "Duration" | "FieldMask" | "Struct" | "Empty"
            )
    })
}

fn transcoded<T: prost::Message + Default>(message: &DynamicMessage) -> Result<T, UnwritableError> {
    message.transcode_to().map_err(|_| invalid(message))
}

fn display(
    out: &mut Vec<u8>,
    message: &DynamicMessage,
    value: Option<impl std::fmt::Display>,
) -> Result<(), UnwritableError> {
    let value = value.ok_or_else(|| invalid(message))?;
    json::string(out, &value.to_string());
    Ok(())
}

fn invalid(message: &DynamicMessage) -> UnwritableError {
    UnwritableError::Invalid(message.descriptor().full_name().to_owned())
}

fn camel_case(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut upper = false;
    for character in path.chars() {
        if character == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            out.push(character.to_ascii_uppercase());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_reflect::DescriptorPool;

    use super::*;
    use crate::mutate::{hold, is_json};

    const PROTO: &str = r#"
        syntax = "proto3";
        package t;
        import "google/protobuf/any.proto";
        import "google/protobuf/duration.proto";
        import "google/protobuf/field_mask.proto";
        import "google/protobuf/struct.proto";
        import "google/protobuf/timestamp.proto";
        import "google/protobuf/wrappers.proto";
        enum Color { NONE = 0; RED = 1; }
        message M {
            int32 small_number = 1;
            int64 large = 2;
            double real = 3;
            float single = 4;
            bytes bytes = 5;
            Color color = 6;
            repeated Color colors = 7;
            map<int32, M> by_number = 8;
            M inner = 9;
            optional bool there = 10;
            google.protobuf.Any any = 11;
            google.protobuf.Duration duration = 12;
            google.protobuf.FieldMask mask = 13;
            google.protobuf.Struct json = 14;
            google.protobuf.Timestamp time = 15;
            google.protobuf.Int64Value wrapped = 16;
            string text = 17;
        }"#;

    fn descriptor() -> MessageDescriptor {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t.proto"), PROTO).unwrap();
        let files = protox::compile(["t.proto"], [folder.path()]).unwrap();
        let pool = DescriptorPool::from_file_descriptor_set(files).unwrap();
        pool.get_message_by_name("t.M").unwrap()
    }

    /// Tag and bytes of a field that has a length.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        prost::encoding::encode_varint(u64::from(number) << 3 | 2, &mut out);
        prost::encoding::encode_varint(bytes.len() as u64, &mut out);
        out.extend_from_slice(bytes);
        out
    }

    fn written(bytes: &[u8]) -> Result<serde_json::Value, UnwritableError> {
        let message = DynamicMessage::decode(descriptor(), bytes).unwrap();
        let mut out = Vec::new();
        message_json(&mut out, &message)?;
        Ok(serde_json::from_slice(&out).unwrap())
    }

    /// Whatever a message holds becomes JSON, or an error; never text that is neither.
    #[test]
    fn mutated_messages_become_json() {
        let any = prost_types::Any {
            type_url: "type.googleapis.com/t.M".into(),
            value: b"\x08\x05".to_vec(),
        };
        let mask = prost_types::FieldMask {
            paths: vec!["a_b.c".into(), "d".into()],
        };
        let examples = [
            field(11, &any.encode_to_vec()),
            field(13, &mask.encode_to_vec()),
            [
                b"\x08\x05\x10\x07\x30\x01\x50\x00".to_vec(),
                field(5, b"\xff\xfe"),
                field(7, b"\x01\x00\x07"),
                field(8, b"\x08\x03\x12\x02\x08\x04"),
                field(17, "t\u{e9}\"xt".as_bytes()),
            ]
            .concat(),
            [
                field(9, &field(9, &field(9, b"\x08\x05"))),
                field(12, b"\x08\x01\x10\x80\xca\xb5\xee\x01"),
                field(14, &field(1, b"\x0a\x01a\x12\x09\x11\0\0\0\0\0\0\xf8\x3f")),
                field(15, b"\x08\x80\xe7\xe5\xd4\x06"),
                field(16, b"\x08\x05"),
            ]
            .concat(),
        ];
        let descriptor = descriptor();
        hold(&examples, |bytes| {
            let Ok(message) = DynamicMessage::decode(descriptor.clone(), bytes) else {
                return;
            };
            let mut out = Vec::new();
            match message_json(&mut out, &message) {
                Ok(()) => assert!(is_json(&out), "{}", String::from_utf8_lossy(&out)),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        });
    }

    #[test]
    fn every_kind_of_field_has_its_json() {
        let number = |number: u64| {
            let mut out = Vec::new();
            prost::encoding::encode_varint(number, &mut out);
            out
        };
        let any = prost_types::Any {
            type_url: "type.googleapis.com/t.M".into(),
            value: b"\x08\x05".to_vec(),
        };
        let well_known = prost_types::Any {
            type_url: "type.googleapis.com/google.protobuf.Duration".into(),
            value: b"\x08\x05".to_vec(),
        };
        let mask = prost_types::FieldMask {
            paths: vec!["a_b.c".into(), "d".into()],
        };
        let value = |kind| prost_types::Value { kind: Some(kind) };
        let object = prost_types::Struct {
            fields: [
                ("a", value(prost_types::value::Kind::NumberValue(1.5))),
                ("n", value(prost_types::value::Kind::NullValue(0))),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        };
        for (bytes, expected) in [
            (vec![], "{}"),
            (
                [b"\x08".to_vec(), number(u64::MAX)].concat(),
                r#"{"smallNumber": -1}"#,
            ),
            (
                [b"\x10".to_vec(), number(1 << 60)].concat(),
                r#"{"large": "1152921504606846976"}"#,
            ),
            (
                [b"\x19", 1e300_f64.to_le_bytes().as_slice()].concat(),
                r#"{"real": 1e300}"#,
            ),
            (
                [b"\x19", 2.0_f64.to_le_bytes().as_slice()].concat(),
                r#"{"real": 2}"#,
            ),
            (
                [b"\x19", f64::INFINITY.to_le_bytes().as_slice()].concat(),
                r#"{"real": "Infinity"}"#,
            ),
            (
                [b"\x25", 0.1_f32.to_le_bytes().as_slice()].concat(),
                r#"{"single": 0.1}"#,
            ),
            (
                [b"\x25", f32::NAN.to_le_bytes().as_slice()].concat(),
                r#"{"single": "NaN"}"#,
            ),
            (field(5, b"\xff\xfe"), r#"{"bytes": "//4="}"#),
            (b"\x30\x01".to_vec(), r#"{"color": "RED"}"#),
            (
                field(7, b"\x01\x00\x07"),
                r#"{"colors": ["RED", "NONE", 7]}"#,
            ),
            (
                field(8, b"\x08\x03\x12\x02\x08\x04"),
                r#"{"byNumber": {"3": {"smallNumber": 4}}}"#,
            ),
            (field(9, b""), r#"{"inner": {}}"#),
            (b"\x50\x00".to_vec(), r#"{"there": false}"#),
            (
                field(11, &any.encode_to_vec()),
                r#"{"any": {"@type": "type.googleapis.com/t.M", "smallNumber": 5}}"#,
            ),
            (field(11, b""), r#"{"any": {}}"#),
            (
                field(11, &well_known.encode_to_vec()),
                r#"{"any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "5s"}}"#,
            ),
            (
                field(12, b"\x08\x01\x10\x80\xca\xb5\xee\x01"),
                r#"{"duration": "1.500s"}"#,
            ),
            (field(13, &mask.encode_to_vec()), r#"{"mask": "aB.c,d"}"#),
            (
                field(14, &object.encode_to_vec()),
                r#"{"json": {"a": 1.5, "n": null}}"#,
            ),
            (
                field(15, b"\x08\x80\xe7\xe5\xd4\x06"),
                r#"{"time": "2026-09-03T13:17:52Z"}"#,
            ),
            (field(16, b"\x08\x07"), r#"{"wrapped": "7"}"#),
            (field(16, b""), r#"{"wrapped": "0"}"#),
        ] {
            let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
            assert_eq!(written(&bytes), Ok(expected), "{bytes:?}");
        }
    }

    #[test]
    fn what_json_cannot_say_is_an_error() {
        let unknown = prost_types::Any {
            type_url: "type.googleapis.com/t.Other".into(),
            value: Vec::new(),
        };
        let written = |number, bytes: &[u8]| written(&field(number, bytes)).unwrap_err();
        let error = written(11, &unknown.encode_to_vec());
        assert!(matches!(error, UnwritableError::UnknownType(_)), "{error}");
        let error = written(15, b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x7f");
        assert!(matches!(error, UnwritableError::Invalid(_)), "{error}");
        // Each level decodes anew, so only the writer can count them.
        let mut message = Vec::new();
        for _ in 0..5_000 {
            let any = prost_types::Any {
                type_url: "x/t.M".into(),
                value: message,
            };
            message = field(11, &any.encode_to_vec());
        }
        let message = DynamicMessage::decode(descriptor(), message.as_slice()).unwrap();
        let result = message_json(&mut Vec::new(), &message);
        assert_eq!(result, Err(UnwritableError::TooDeep));
    }

    #[test]
    fn no_mutation_of_a_message_does_more_than_fail() {
        let any = prost_types::Any {
            type_url: "x/t.M".into(),
            value: b"\x08\x05".to_vec(),
        };
        let corpus = [
            field(11, &any.encode_to_vec()),
            field(8, b"\x08\x03\x12\x02\x08\x04"),
            field(14, b"\x0a\x09\x0a\x01a\x12\x04\x1a\x02bc"),
            field(15, b"\x08\x80\xe7\xe5\xd4\x06\x10\x01"),
            [field(12, b"\x08\x01"), field(17, "\u{fc}\"".as_bytes())].concat(),
        ];
        let descriptor = descriptor();
        let mut valid = 0;
        for message in &corpus {
            for index in 0..message.len() {
                for byte in 0..=u8::MAX {
                    let mut mutated = message.clone();
                    mutated[index] = byte;
                    mutated.truncate(message.len() - usize::from(byte % 3 == 0));
                    let decoded = DynamicMessage::decode(descriptor.clone(), mutated.as_slice());
                    let Ok(decoded) = decoded else { continue };
                    let mut out = Vec::new();
                    if message_json(&mut out, &decoded).is_ok() {
                        let text: Result<serde_json::Value, _> = serde_json::from_slice(&out);
                        assert!(text.is_ok(), "{mutated:?}");
                        valid += 1;
                    }
                }
            }
        }
        assert!(valid > 1000, "{valid}");
    }
}
