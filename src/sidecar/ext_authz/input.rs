//! What OPA's Envoy plugin makes of a check request: the `input` of its policies.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bumpalo::Bump;
use percent_encoding::percent_decode_str;

use crate::api::ext_authz::{Address, CheckRequest, Http, Names, Peer, metadata_json};
use crate::api::json;

use super::grpc_body::Descriptors;
use super::{Asked, Settings, in_arena, multipart};

/// A request that cannot be read, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unparsable(pub String);

/// A request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// Nothing, or nothing that is understood.
    Absent,
    /// Envoy sent a part of it only.
    Truncated,
    /// JSON text, which may not be valid where the body itself is JSON.
    Json(Cow<'a, [u8]>),
}

/// JSON text of the body for the native rules; None where there is none to be had.
pub(super) fn json_body<'a>(
    asked: &Asked<'a>,
    descriptors: Option<&Descriptors>,
    arena: &'a Bump,
) -> Option<&'a [u8]> {
    asked.body?;
    match body(asked, descriptors) {
        Ok(Body::Json(Cow::Borrowed(text))) => Some(text),
        Ok(Body::Json(Cow::Owned(text))) => Some(in_arena(arena, &text)),
        // A rule that reads the body then finds none.
        Ok(Body::Absent | Body::Truncated) | Err(_) => None,
    }
}

/// Reads the body by its content type.
pub(super) fn body<'a>(
    asked: &Asked<'a>,
    descriptors: Option<&Descriptors>,
) -> Result<Body<'a>, Unparsable> {
    let Some(content_type) = asked.header("content-type") else {
        return Ok(partial(asked));
    };
    if partial(asked) == Body::Truncated {
        return Ok(Body::Truncated);
    }
    let is = |media: &str| content_type.contains(media);
    let Some(bytes) = asked.body else {
        return Ok(Body::Absent);
    };
    if is("application/json") {
        return complete(asked, bytes, || Ok(Body::Json(Cow::Borrowed(bytes))));
    }
    if is("application/grpc") {
        // What came as text is not what was sent.
        return match (descriptors, asked.body_is_text) {
            (Some(descriptors), false) => {
                let path = asked.target.split('?').next().unwrap_or_default();
                descriptors.body(decoded(path)?.trim_start_matches('/'), bytes)
            }
            _ => Ok(Body::Absent),
        };
    }
    if is("application/x-www-form-urlencoded") {
        return complete(asked, bytes, || {
            let text = std::str::from_utf8(bytes)
                .map_err(|_| Unparsable("the form is not UTF-8".to_owned()))?;
            let mut out = Vec::new();
            write_pairs(&mut out, &parsed_query(text)?);
            Ok(Body::Json(out.into()))
        });
    }
    if is("multipart/form-data") {
        return complete(asked, bytes, || multipart::json(content_type, bytes));
    }
    Ok(Body::Absent)
}

fn partial<'a>(asked: &Asked<'a>) -> Body<'a> {
    if asked.header("x-envoy-auth-partial-body") == Some("true") {
        Body::Truncated
    } else {
        Body::Absent
    }
}

/// Reads a body that is all there.
fn complete<'a>(
    asked: &Asked<'a>,
    bytes: &[u8],
    read: impl FnOnce() -> Result<Body<'a>, Unparsable>,
) -> Result<Body<'a>, Unparsable> {
    if let Some(length) = asked.header("content-length") {
        let length: u64 = length
            .trim()
            .parse()
            .map_err(|_| Unparsable("`content-length` is no number".to_owned()))?;
        if length > bytes.len() as u64 {
            return Ok(Body::Truncated);
        }
    }
    read()
}

/// Names and values of a query, decoded, by name.
pub(super) type Pairs = BTreeMap<String, Vec<String>>;

fn parsed_query(text: &str) -> Result<Pairs, Unparsable> {
    let mut pairs = Pairs::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if pair.contains(';') {
            return Err(Unparsable("invalid semicolon separator in query".into()));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text: &str| decoded(&text.replace('+', " "));
        pairs
            .entry(decoded(name)?)
            .or_default()
            .push(decoded(value)?);
    }
    Ok(pairs)
}

fn decoded(text: &str) -> Result<String, Unparsable> {
    let bytes = text.as_bytes();
    let broken = bytes.iter().enumerate().any(|(index, byte)| {
        let digit = |offset| bytes.get(index + offset).is_some_and(u8::is_ascii_hexdigit);
        *byte == b'%' && !(digit(1) && digit(2))
    });
    if broken {
        return Err(Unparsable(format!("invalid URL escape in `{text}`")));
    }
    Ok(percent_decode_str(text).decode_utf8_lossy().into_owned())
}

fn write_pairs(out: &mut Vec<u8>, pairs: &Pairs) {
    members(out, pairs, |out, values| {
        json::list(out, values, |out, value| json::string(out, value));
    });
}

/// An object.
fn members<'m, V>(
    out: &mut Vec<u8>,
    members: impl IntoIterator<Item = (&'m String, V)>,
    mut value: impl FnMut(&mut Vec<u8>, V),
) {
    json::raw(out, "{");
    for (index, (name, member)) in members.into_iter().enumerate() {
        json::raw(out, if index > 0 { "," } else { "" });
        json::string(out, name);
        json::raw(out, ":");
        value(out, member);
    }
    json::raw(out, "}");
}

/// JSON text of the input document.
pub(super) fn document(
    check: &CheckRequest<'_>,
    asked: &Asked<'_>,
    settings: &Settings,
) -> Result<Vec<u8>, Unparsable> {
    let mut out = Vec::with_capacity(2048);
    json::raw(&mut out, "{\"attributes\":");
    attributes(&mut out, check)?;
    json::raw(
        &mut out,
        ",\"version\":{\"ext_authz\":\"v3\",\"encoding\":\"protojson\"},\"parsed_path\":",
    );
    let (path, query) = asked.target.split_once('?').unwrap_or((asked.target, ""));
    let path = decoded(path)?;
    let segments = path.trim_start_matches('/').split('/');
    json::list(&mut out, segments, |out, segment| {
        json::string(out, segment);
    });
    json::raw(&mut out, ",\"parsed_query\":");
    write_pairs(&mut out, &parsed_query(query)?);
    if !settings.skip_request_body_parse {
        json::raw(&mut out, ",\"parsed_body\":");
        let truncated = match body(asked, settings.descriptors.as_ref())? {
            Body::Absent => {
                json::raw(&mut out, "null");
                false
            }
            Body::Truncated => {
                json::raw(&mut out, "null");
                true
            }
            Body::Json(text) => {
                // Checked alone: what is no JSON by itself must not become part of the document.
                serde_json::from_slice::<&serde_json::value::RawValue>(&text)
                    .map_err(|error| Unparsable(format!("invalid JSON body: {error}")))?;
                out.extend_from_slice(&text);
                false
            }
        };
        json::raw(&mut out, ",\"truncated_body\":");
        json::boolean(&mut out, truncated);
    }
    if let Some(source) = &check.source
        && !source.principal.is_empty()
    {
        json::raw(&mut out, ",\"source_principal\":");
        json::string(&mut out, source.principal);
    }
    json::raw(&mut out, "}");
    Ok(out)
}

/// An object of which only members that are there are written.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Object<'o> {
    fn new(out: &'o mut Vec<u8>) -> Self {
        json::raw(out, "{");
        Self { out, first: true }
    }

    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        json::raw(self.out, if self.first { "" } else { "," });
        self.first = false;
        json::string(self.out, name);
        json::raw(self.out, ":");
        self.out
    }

    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            json::string(self.name(name), text);
        }
    }

    fn number(&mut self, name: &str, number: i64) {
        if number != 0 {
            json::integer(self.name(name), number);
        }
    }

    fn texts(&mut self, name: &str, pairs: &[(&str, &str)]) {
        if !pairs.is_empty() {
            let map: BTreeMap<String, &str> = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect();
            members(self.name(name), &map, |out, value| json::string(out, value));
        }
    }

    fn end(self) {
        json::raw(self.out, "}");
    }
}

fn attributes(out: &mut Vec<u8>, check: &CheckRequest<'_>) -> Result<(), Unparsable> {
    let unreadable = |error: crate::api::protobuf::DecodeError| Unparsable(error.to_string());
    let mut object = Object::new(out);
    for (name, peer) in [
        ("source", &check.source),
        ("destination", &check.destination),
    ] {
        if let Some(peer) = peer {
            write_peer(object.name(name), peer);
        }
    }
    if check.time.is_some() || check.has_http {
        let mut request = Object::new(object.name("request"));
        if let Some(time) = check.time {
            let mut object = Object::new(request.name("time"));
            object.number("seconds", time.seconds);
            object.number("nanos", i64::from(time.nanos));
            object.end();
        }
        if check.has_http {
            write_http(request.name("http"), &check.http);
        }
        request.end();
    }
    object.texts("contextExtensions", &check.context_extensions);
    for (name, metadata) in [
        ("metadataContext", check.metadata_context),
        ("routeMetadataContext", check.route_metadata_context),
    ] {
        if let Some(message) = metadata {
            metadata_json(object.name(name), message, Names::Camel).map_err(unreadable)?;
        }
    }
    if let Some(session) = check.tls_session {
        let mut tls = Object::new(object.name("tlsSession"));
        tls.text("sni", session.sni);
        tls.end();
    }
    object.end();
    Ok(())
}

fn write_peer(out: &mut Vec<u8>, peer: &Peer<'_>) {
    let mut object = Object::new(out);
    if let Some(address) = &peer.address {
        write_address(object.name("address"), address);
    }
    object.text("service", peer.service);
    object.texts("labels", &peer.labels);
    object.text("principal", peer.principal);
    object.text("certificate", peer.certificate);
    object.end();
}

fn write_address(out: &mut Vec<u8>, address: &Address<'_>) {
    let mut object = Object::new(out);
    match *address {
        Address::Socket {
            protocol,
            address,
            port,
            named_port,
            resolver_name,
            ipv4_compat,
        } => {
            let mut socket = Object::new(object.name("socketAddress"));
            socket.number("protocol", i64::from(protocol));
            socket.text("address", address);
            if let Some(port) = port {
                json::integer(socket.name("portValue"), port);
            }
            if let Some(name) = named_port {
                json::string(socket.name("namedPort"), name);
            }
            socket.text("resolverName", resolver_name);
            if ipv4_compat {
                json::boolean(socket.name("ipv4Compat"), true);
            }
            socket.end();
        }
        Address::Pipe { path, mode } => {
            let mut pipe = Object::new(object.name("pipe"));
            pipe.text("path", path);
            pipe.number("mode", i64::from(mode));
            pipe.end();
        }
        Address::Internal {
            server_listener_name,
            endpoint_id,
        } => {
            let mut internal = Object::new(object.name("envoyInternalAddress"));
            if let Some(name) = server_listener_name {
                json::string(internal.name("serverListenerName"), name);
            }
            internal.text("endpointId", endpoint_id);
            internal.end();
        }
    }
    object.end();
}

fn write_http(out: &mut Vec<u8>, http: &Http<'_>) {
    let mut object = Object::new(out);
    object.text("id", http.id);
    object.text("method", http.method);
    if !http.headers.is_empty() {
        // Lines of one name come as one, as Envoy merges them.
        let mut merged: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in &http.headers {
            merged
                .entry((*name).to_owned())
                .and_modify(|values| {
                    values.push(',');
                    values.push_str(value);
                })
                .or_insert_with(|| (*value).to_owned());
        }
        members(object.name("headers"), &merged, |out, value| {
            json::string(out, value);
        });
    }
    object.text("path", http.path);
    object.text("host", http.host);
    object.text("scheme", http.scheme);
    object.text("query", http.query);
    object.text("fragment", http.fragment);
    object.number("size", http.size);
    object.text("protocol", http.protocol);
    object.text("body", http.body);
    if !http.raw_body.is_empty() {
        object.text("rawBody", &STANDARD.encode(http.raw_body));
    }
    if http.has_header_map {
        let mut map = Object::new(object.name("headerMap"));
        if !http.raw_headers.is_empty() {
            let out = map.name("headers");
            json::list(out, &http.raw_headers, |out, (key, value, raw)| {
                let mut header = Object::new(out);
                header.text("key", key);
                header.text("value", value);
                header.text("rawValue", &STANDARD.encode(raw));
                header.end();
            });
        }
        map.end();
    }
    object.end();
}
