//! A `CheckResponse`, written field by field.
//!
//! Whether a header replaces or adds depends on two fields, and Envoy's releases differ in which they read: both are
//! always written.

use crate::api::protobuf::Writer;

/// `google.rpc.Code`: a policy said no. Only 0 is a yes.
const PERMISSION_DENIED: u64 = 7;

/// `HeaderValueOption.append_action`.
const OVERWRITE_IF_EXISTS_OR_ADD: u64 = 2;

/// What happens to a header that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// It is replaced.
    Set,
    /// The value is added to it.
    Append,
    /// What Envoy makes of it where nobody says: as OPA's plugin leaves it.
    Unsaid,
}

/// A yes and what it changes. Fields may come in any order.
#[derive(Debug)]
pub struct Allowed<'w, 'b>(&'w mut Writer<'b>);

/// A no and what the client is told.
#[derive(Debug)]
pub struct Denied<'w, 'b>(&'w mut Writer<'b>);

/// Dynamic metadata.
#[derive(Debug)]
pub struct Metadata<'w, 'b>(&'w mut Writer<'b>);

/// Writes a yes without changes onto the end of `out`.
pub fn write_allowed(out: &mut Vec<u8>, changes: impl FnOnce(&mut Allowed<'_, '_>)) {
    let mut writer = Writer::new(out);
    writer.message(1, |_| {});
    writer.message(3, |writer| changes(&mut Allowed(writer)));
}

/// Writes a yes that says nothing of HTTP.
pub fn write_bare(out: &mut Vec<u8>, allowed: bool) {
    Writer::new(out).message(1, |status| {
        if !allowed {
            status.number(1, PERMISSION_DENIED);
        }
    });
}

/// Writes a no with what the client is told.
pub fn write_denied(out: &mut Vec<u8>, reply: impl FnOnce(&mut Denied<'_, '_>)) {
    write_bare(out, false);
    Writer::new(out).message(2, |writer| reply(&mut Denied(writer)));
}

/// Writes the metadata of a yes or a no.
pub fn write_metadata(out: &mut Vec<u8>, members: impl FnOnce(&mut Metadata<'_, '_>)) {
    Writer::new(out).message(4, |writer| members(&mut Metadata(writer)));
}

impl Allowed<'_, '_> {
    /// A header of the request as it goes on.
    pub fn header(&mut self, how: Header, name: &str, value: &str) {
        self.0.message(2, |writer| header(writer, how, name, value));
    }

    /// A header that the request loses.
    pub fn remove(&mut self, name: &str) {
        self.0.bytes(5, name.as_bytes());
    }

    /// A header of the answer.
    pub fn response_header(&mut self, how: Header, name: &str, value: &str) {
        self.0.message(6, |writer| header(writer, how, name, value));
    }

    /// A parameter of the query.
    pub fn query(&mut self, name: &str, value: &str) {
        self.0.message(7, |pair| {
            pair.text(1, name);
            pair.text(2, value);
        });
    }

    /// A parameter that the query loses.
    pub fn remove_query(&mut self, name: &str) {
        self.0.bytes(8, name.as_bytes());
    }
}

impl Denied<'_, '_> {
    /// The HTTP status.
    pub fn status(&mut self, status: u16) {
        self.0
            .message(1, |writer| writer.number(1, u64::from(status)));
    }

    /// A header of the answer.
    pub fn header(&mut self, how: Header, name: &str, value: &str) {
        self.0.message(2, |writer| header(writer, how, name, value));
    }

    /// The body of the answer.
    pub fn body(&mut self, body: &str) {
        self.0.text(3, body);
    }
}

fn header(writer: &mut Writer<'_>, how: Header, name: &str, value: &str) {
    writer.message(1, |pair| {
        pair.bytes(1, name.as_bytes());
        pair.text(2, value);
    });
    match how {
        Header::Set => {
            writer.message(2, |_| {});
            writer.number(3, OVERWRITE_IF_EXISTS_OR_ADD);
        }
        Header::Append => writer.message(2, |append| append.number(1, 1)),
        Header::Unsaid => {}
    }
}

impl Metadata<'_, '_> {
    /// A text.
    pub fn text(&mut self, name: &str, text: &str) {
        self.member(name, |value| value.bytes(3, text.as_bytes()));
    }

    /// A number.
    pub fn number(&mut self, name: &str, number: f64) {
        self.member(name, |value| value.double(2, number));
    }

    /// An object of texts.
    pub fn texts<'n>(&mut self, name: &str, members: impl Iterator<Item = (&'n str, &'n str)>) {
        self.member(name, |value| {
            value.message(5, |object| {
                let mut object = Metadata(object);
                for (name, text) in members {
                    object.text(name, text);
                }
            });
        });
    }

    /// Any JSON value.
    pub fn json(&mut self, name: &str, json: &serde_json::Value) {
        self.member(name, |value| json_value(value, json));
    }

    /// `Struct.fields` is a map: an entry has a key and a value.
    fn member(&mut self, name: &str, value: impl FnOnce(&mut Writer<'_>)) {
        self.0.message(1, |entry| {
            entry.bytes(1, name.as_bytes());
            entry.message(2, value);
        });
    }
}

fn json_value(writer: &mut Writer<'_>, json: &serde_json::Value) {
    match json {
        serde_json::Value::Null => writer.number(1, 0),
        serde_json::Value::Bool(value) => writer.number(4, u64::from(*value)),
        serde_json::Value::Number(number) => writer.double(2, number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => writer.bytes(3, text.as_bytes()),
        serde_json::Value::Array(items) => writer.message(6, |list| {
            for item in items {
                list.message(1, |value| json_value(value, item));
            }
        }),
        serde_json::Value::Object(members) => writer.message(5, |object| {
            let mut object = Metadata(object);
            for (name, value) in members {
                object.json(name, value);
            }
        }),
    }
}
