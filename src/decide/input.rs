//! What was asked, as the decision log shows it.

use crate::engine::{AccessRequest, HttpRequest};

/// Headers whose values are never recorded.
const SECRET_HEADERS: [&str; 6] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-internal-api-key",
];

/// The input of a decision.
#[derive(Clone, Copy, Debug)]
pub(super) enum Input<'a> {
    Json(&'a [u8]),
    /// JSON text that a decision may be made about without reading all of it: the context of flags, a search.
    Unread(&'a [u8]),
    Access(AccessRequest<'a>),
    Http(&'a HttpRequest<'a>),
    None,
}

impl<'a> Input<'a> {
    /// Whether a decision cannot be made without reading all of the text, so that it is known to be JSON.
    pub(super) const fn is_read_whole(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Access(_))
    }

    /// JSON text, composed in `room` where it does not lie anywhere as a whole.
    pub(super) fn text(self, room: &'a mut Vec<u8>) -> &'a [u8] {
        room.clear();
        match self {
            Self::Json(text)
            | Self::Unread(text)
            | Self::Access(AccessRequest::Check(text) | AccessRequest::Document(text)) => text,
            Self::None => b"",
            Self::Access(AccessRequest::Parts {
                subject,
                action,
                resource,
                context,
            }) => {
                for part in [
                    &b"{\"subject\":"[..],
                    subject,
                    b",\"action\":",
                    action,
                    b",\"resource\":",
                    resource,
                ] {
                    room.extend_from_slice(part);
                }
                if let Some(context) = context {
                    room.extend_from_slice(b",\"context\":");
                    room.extend_from_slice(context);
                }
                room.push(b'}');
                room
            }
            Self::Http(request) => {
                compose(request, room);
                room
            }
        }
    }
}

fn compose(request: &HttpRequest<'_>, out: &mut Vec<u8>) {
    for (name, text) in [
        ("{\"method\":", request.method),
        (",\"path\":", request.path),
        (",\"host\":", request.host),
        (",\"scheme\":", request.scheme),
    ] {
        out.extend_from_slice(name.as_bytes());
        quote(out, text);
    }
    out.extend_from_slice(b",\"headers\":[");
    for (index, (name, value)) in request.headers.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",[" } else { b"[" });
        quote(out, name);
        out.push(b',');
        let secret = SECRET_HEADERS.contains(name);
        quote(out, if secret { "***" } else { value });
        out.push(b']');
    }
    out.extend_from_slice(b"]}");
}

fn quote(out: &mut Vec<u8>, text: &str) {
    // Writing text to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed(input: Input<'_>) -> Value {
        serde_json::from_slice(input.text(&mut Vec::new())).unwrap()
    }

    #[test]
    fn parts_become_one_document() {
        let parts = |context| AccessRequest::Parts {
            subject: b"{\"id\":\"u\"}",
            action: b"{\"name\":\"a\"}",
            resource: b"{}",
            context,
        };
        assert_eq!(
            parsed(Input::Access(parts(Some(b"{\"c\":1}")))),
            json!({"subject": {"id": "u"}, "action": {"name": "a"}, "resource": {}, "context": {"c": 1}})
        );
        assert!(parsed(Input::Access(parts(None))).get("context").is_none());
    }

    #[test]
    fn secrets_in_headers_are_not_recorded() {
        let request = HttpRequest {
            method: "GET",
            path: "/a\"b",
            query: &[],
            headers: &[("authorization", "Bearer x"), ("accept", "*/*")],
            host: "h",
            scheme: "https",
            body: None,
            source: None,
            destination: None,
            sni: None,
            extensions: &[],
            metadata: None,
            key: None,
        };
        assert_eq!(
            parsed(Input::Http(&request)),
            json!({"method": "GET", "path": "/a\"b", "host": "h", "scheme": "https",
                "headers": [["authorization", "***"], ["accept", "*/*"]]})
        );
    }
}
