//! A record as one line of JSON, written straight into the buffer of its batch: what [`super::event`] makes a value of
//! first, so that masks can change it.
//!
//! Members stand in alphabetical order, as they come out of a value. Documents keep the text that they came with
//! (the digits of numbers, the order of members); by way of a value they would read the same.

mod usual;

use ring::digest::{SHA256, digest};

use crate::api::id::hyphenated;
use crate::api::json;
use crate::decision_log::Record;
use crate::sidecar::config::RecordContent;

use super::document::{self, Refused};
use super::event::{self, Shape};

use usual::Usual;

/// Writes lines. What most of them share is kept as text.
#[derive(Debug)]
pub(super) struct LineWriter {
    pub shape: Shape,
    usual: Usual,
}

impl LineWriter {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape,
            usual: Usual::default(),
        }
    }

    /// Appends the record's line without its end; on refusal a part of it, which the caller takes back.
    pub(super) fn write(
        &mut self,
        out: &mut Vec<u8>,
        record: &Record<'_>,
        bundles: Option<&[u8]>,
    ) -> Result<(), Refused> {
        let full = self.shape.content == RecordContent::Full;
        let usual = self.usual.of(record, &self.shape, bundles);
        out.extend_from_slice(&usual.head);
        id(out, record.decision_id);
        out.extend_from_slice(&usual.door);
        if full {
            document(out, ",\"input\":", record.input, record.sound)?;
        } else if !record.input.is_empty() {
            json::raw(out, ",\"input_sha256\":\"");
            sha256(out, record.input);
            out.push(b'"');
        }
        out.extend_from_slice(&usual.kind);
        json::integer(out, record.nanos);
        out.extend_from_slice(&usual.outcome);
        request_id(out, record.request_id);
        if let Some(peer) = record.peer {
            out.extend_from_slice(&usual.address);
            json::integer(out, peer.port());
            out.push(b'"');
        }
        if full {
            document(out, ",\"result\":", record.result, true)?;
        }
        out.extend_from_slice(&usual.revision);
        let trace = event::trace(record.traceparent);
        if let Some((_, span)) = trace {
            string(out, ",\"span_id\":", span);
        }
        out.extend_from_slice(&usual.end);
        if let Some((trace, _)) = trace {
            string(out, ",\"trace_id\":", trace);
        }
        out.push(b'}');
        Ok(())
    }
}

/// A member, unless the text is empty.
fn string(out: &mut Vec<u8>, name: &str, text: &str) {
    if !text.is_empty() {
        json::raw(out, name);
        json::string(out, text);
    }
}

/// An id between quotes that stand there already.
fn id(out: &mut Vec<u8>, id: uuid::Uuid) {
    out.extend_from_slice(&hyphenated(id));
}

fn request_id(out: &mut Vec<u8>, id: &[u8]) {
    const NAME: &str = ",\"request_id\":";
    // Nearly all are words of ASCII, which stand for themselves.
    if !id.is_empty() && id.is_ascii() && json::plain(id) == id.len() {
        json::raw(out, NAME);
        out.push(b'"');
        out.extend_from_slice(id);
        out.push(b'"');
    } else {
        string(out, NAME, event::text(id));
    }
}

/// A member, unless there is no document.
fn document(out: &mut Vec<u8>, name: &str, text: &[u8], sound: bool) -> Result<(), Refused> {
    if text.is_empty() {
        return Ok(());
    }
    json::raw(out, name);
    if sound {
        document::copy_sound(out, text)
    } else {
        document::copy(out, text)
    }
}

/// By `ring`, whose code for processors without instructions for it takes a third of `sha2`'s.
fn sha256(out: &mut Vec<u8>, input: &[u8]) {
    let mut room = [0; 64];
    // The room is as long as the text.
    let _ = hex::encode_to_slice(digest(&SHA256, input), &mut room);
    out.extend_from_slice(&room);
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::decide::{Kind, Outcome};
    use crate::model::Timestamp;

    const BUNDLES: &str = "{\"main\":{\"revision\":\"7-0123456789ab\"}}";

    fn shape(content: RecordContent) -> Shape {
        let labels = json!({"tenant": "acme", "id": "pod \"7\""});
        Shape::new(labels.as_object().unwrap().clone(), content)
    }

    /// By a writer that has written nothing before.
    fn write(
        out: &mut Vec<u8>,
        record: &Record<'_>,
        content: RecordContent,
        bundles: Option<&[u8]>,
    ) -> Result<(), Refused> {
        LineWriter::new(shape(content)).write(out, record, bundles)
    }

    /// By way of a value.
    fn by_value(record: &Record<'_>, shape: &Shape, bundles: bool) -> Map<String, Value> {
        let mut event = event::of(record, shape);
        if bundles {
            event.insert("bundles".into(), serde_json::from_str(BUNDLES).unwrap());
        }
        event
    }

    /// A document from outside: JSON, nearly JSON, or anything.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            any::<i64>().prop_map(|it| it.to_string()),
            any::<f64>().prop_map(|it| format!("{it:?}")),
            "-?[0-9]{1,30}(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?",
            any::<String>().prop_map(|it| Value::from(it).to_string()),
            Just("\"\\ud83d\\ude00\\u00e9\\/\"".to_owned()),
        ];
        let document = leaf.prop_recursive(4, 32, 5, |inner| {
            let name = prop_oneof!["[a-c]", "(?i)cookie", any::<String>()];
            let member = (name, inner.clone(), "[ \n\t]?")
                .prop_map(|(name, value, blank)| format!("{}{blank}:{value}", Value::from(name)));
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(|it| format!("[{}]", it.join(", "))),
                prop::collection::vec(member, 0..5).prop_map(|it| format!("{{{}}}", it.join(","))),
            ]
        });
        prop_oneof![
            6 => document.clone().prop_map(String::into_bytes),
            2 => (document, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(text, at, byte)| {
                let mut text = text.into_bytes();
                let at = at.index(text.len());
                text[at] = byte;
                text
            }),
            1 => prop::collection::vec(any::<u8>(), 0..20),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn both_ways_say_the_same(
            (id, nanos, at) in (any::<u128>(), any::<u64>(), any::<i64>()),
            peer in any::<Option<SocketAddr>>(),
            (kind, outcome, cut) in (0..10_u8, 0..4_u8, any::<bool>()),
            (bundles, full, sound) in any::<(bool, bool, bool)>(),
            words in prop::collection::vec(any::<String>(), 5),
            raw in prop::collection::vec(any::<u8>(), 0..3),
            trace in prop_oneof![
                Just(String::new()),
                "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-01",
                any::<String>(),
            ],
            (input, result) in (texts(), texts()),
        ) {
            // What was answered is ours, and always JSON.
            let is_json = |text: &[u8]| serde_json::from_slice::<Value>(text).is_ok();
            let result = if is_json(&result) { result } else { b"[{\"a\":1}]".to_vec() };
            let record = Record {
                decision_id: uuid::Uuid::from_u128(id),
                at: Timestamp::from_unix_nanos(at.into()),
                nanos,
                peer,
                kind,
                outcome,
                cut,
                sound: is_json(&input) && sound,
                revision: words[0].as_bytes(),
                door: words[1].as_bytes(),
                path: words[2].as_bytes(),
                request_id: &raw,
                traceparent: trace.as_bytes(),
                subject: words[3].as_bytes(),
                error: words[4].as_bytes(),
                input: &input,
                result: &result,
            };
            let content = if full { RecordContent::Full } else { RecordContent::Digest };
            let mut line = Vec::new();
            let written = write(&mut line, &record, content, bundles.then_some(BUNDLES.as_bytes()));
            let event = by_value(&record, &shape(content), bundles);
            if written.is_ok() {
                prop_assert!(!line.contains(&b'\n'));
                prop_assert_eq!(&serde_json::from_slice::<Map<String, Value>>(&line).unwrap(), &event);
                if !full {
                    let text = serde_json::to_string(&event).unwrap();
                    prop_assert_eq!(std::str::from_utf8(&line).unwrap(), text);
                }
            }
            prop_assert!(full || written.is_ok());
        }

        #[test]
        fn no_line_says_what_only_the_one_before_did(
            choices in prop::collection::vec(any::<[bool; 10]>(), 2..20),
            refused in any::<prop::sample::Index>(),
        ) {
            let mut writer = LineWriter::new(shape(RecordContent::Full));
            let refused = refused.index(choices.len());
            for (index, choice) in choices.into_iter().enumerate() {
                let [kind, outcome, cut, peer, bundles, door, error, path, who, at] = choice;
                let pick = |choice: bool, text: &'static str| if choice { text.as_bytes() } else { b"" };
                let peers = ["127.0.0.1:1", "[fe80::7%3]:65535", "10.0.0.1:80", "[::1]:80"];
                let record = Record {
                    kind: u8::from(kind),
                    outcome: u8::from(outcome),
                    cut,
                    peer: peer.then(|| peers[index % 4].parse().unwrap()),
                    door: pick(door, "http"),
                    error: pick(error, "invalid_json"),
                    path: pick(path, "/v1/validate"),
                    revision: pick(who, "7-0123456789ab"),
                    subject: pick(path, "user-7"),
                    at: Timestamp::from_unix_seconds(i64::from(at)),
                    input: if index == refused { b"{" } else { b"{}" },
                    ..Record::default()
                };
                let bundles = bundles.then_some(BUNDLES.as_bytes());
                let (mut line, mut alone) = (Vec::new(), Vec::new());
                let written = writer.write(&mut line, &record, bundles);
                prop_assert_eq!(written, write(&mut alone, &record, RecordContent::Full, bundles));
                prop_assert_eq!(line, alone);
            }
        }
    }

    #[test]
    fn usual_records_are_written_directly_and_others_are_not() {
        let record = Record {
            kind: Kind::Access as u8,
            outcome: Outcome::Positive as u8,
            input: b"{ \"a\": [1, \"x\\n\"] }",
            result: b"{\"decision\":true}",
            ..Record::default()
        };
        let mut line = Vec::new();
        write(&mut line, &record, RecordContent::Full, None).unwrap();
        let text = String::from_utf8(line).unwrap();
        assert!(text.contains("\"input\":{\"a\":[1,\"x\\n\"]},"), "{text}");
        for other in [
            Record {
                input: b"{\"Cookie\":1}",
                ..record
            },
            Record {
                result: b"{\"headers\":{\"authorization\":1}}",
                ..record
            },
            Record {
                input: b"{",
                ..record
            },
        ] {
            assert!(write(&mut Vec::new(), &other, RecordContent::Full, None).is_err());
        }
    }
}
