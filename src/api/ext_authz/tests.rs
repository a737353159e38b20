//! The reader and the writer against code that is generated from the protos.

#[expect(
    clippy::pedantic,
    clippy::enum_variant_names,
    unreachable_pub,
    reason = "generated"
)]
mod proto {
    include!("proto/mod.rs");
}

use std::collections::BTreeMap;

use bumpalo::Bump;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use proto::envoy::config::core::v3 as core;
use proto::envoy::service::auth::v3 as auth;
use proto::envoy::service::auth::v3::attribute_context as context;

/// A request with something in every field.
fn full() -> auth::CheckRequest {
    let peer = |principal: &str| context::Peer {
        address: Some(core::Address {
            address: Some(core::address::Address::SocketAddress(core::SocketAddress {
                protocol: 1,
                address: "10.1.2.3".into(),
                resolver_name: "r".into(),
                ipv4_compat: true,
                port_specifier: Some(core::socket_address::PortSpecifier::PortValue(8080)),
            })),
        }),
        service: "svc".into(),
        labels: [("app".to_owned(), "a".to_owned())].into(),
        principal: principal.into(),
        certificate: "pem".into(),
    };
    let text = |text: &str| prost_types::Value {
        kind: Some(prost_types::value::Kind::StringValue(text.into())),
    };
    let metadata = core::Metadata {
        filter_metadata: [(
            "ns".to_owned(),
            prost_types::Struct {
                fields: [
                    ("a".to_owned(), text("b")),
                    (
                        "l".to_owned(),
                        prost_types::Value {
                            kind: Some(prost_types::value::Kind::ListValue(
                                prost_types::ListValue {
                                    values: vec![
                                        prost_types::Value {
                                            kind: Some(prost_types::value::Kind::NumberValue(1.5)),
                                        },
                                        prost_types::Value {
                                            kind: Some(prost_types::value::Kind::BoolValue(true)),
                                        },
                                        prost_types::Value {
                                            kind: Some(prost_types::value::Kind::NullValue(0)),
                                        },
                                    ],
                                },
                            )),
                        },
                    ),
                ]
                .into(),
            },
        )]
        .into(),
        typed_filter_metadata: [(
            "t".to_owned(),
            prost_types::Any {
                type_url: "u".into(),
                value: vec![1, 2, 3],
            },
        )]
        .into(),
    };
    auth::CheckRequest {
        attributes: Some(auth::AttributeContext {
            source: Some(peer("spiffe://a/b")),
            destination: Some(peer("")),
            request: Some(context::Request {
                time: Some(prost_types::Timestamp {
                    seconds: 1_700_000_000,
                    nanos: 5,
                }),
                http: Some(context::HttpRequest {
                    id: "1".into(),
                    method: "GET".into(),
                    headers: [
                        (":path".to_owned(), "/a?b=c".to_owned()),
                        ("x-a".to_owned(), "ü".to_owned()),
                    ]
                    .into(),
                    header_map: None,
                    path: "/a?b=c".into(),
                    host: "h:1".into(),
                    scheme: "https".into(),
                    query: "q".into(),
                    fragment: "f".into(),
                    size: -1,
                    protocol: "HTTP/2".into(),
                    body: "body".into(),
                    raw_body: vec![0xff, 0],
                }),
            }),
            context_extensions: [("k".to_owned(), "v".to_owned())].into(),
            metadata_context: Some(metadata.clone()),
            route_metadata_context: Some(metadata),
            tls_session: Some(context::TlsSession { sni: "s".into() }),
        }),
    }
}

fn sorted(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn sorted_map(map: &std::collections::HashMap<String, String>) -> BTreeMap<String, String> {
    map.clone().into_iter().collect()
}

fn address(address: Option<&core::Address>) -> String {
    use core::address::Address::{EnvoyInternalAddress, Pipe, SocketAddress};
    use core::socket_address::PortSpecifier::{NamedPort, PortValue};
    match address.and_then(|address| address.address.as_ref()) {
        None => "None".to_owned(),
        Some(SocketAddress(socket)) => {
            let (port, named) = match &socket.port_specifier {
                None => (None, None),
                Some(PortValue(port)) => (Some(*port), None),
                Some(NamedPort(name)) => (None, Some(name.as_str())),
            };
            format!(
                "{:?}",
                Some(Address::Socket {
                    protocol: socket.protocol,
                    address: &socket.address,
                    port,
                    named_port: named,
                    resolver_name: &socket.resolver_name,
                    ipv4_compat: socket.ipv4_compat,
                })
            )
        }
        Some(Pipe(pipe)) => format!(
            "{:?}",
            Some(Address::Pipe {
                path: &pipe.path,
                mode: pipe.mode,
            })
        ),
        Some(EnvoyInternalAddress(internal)) => {
            let name = internal.address_name_specifier.as_ref().map(|specifier| {
                let core::envoy_internal_address::AddressNameSpecifier::ServerListenerName(name) =
                    specifier;
                name.as_str()
            });
            format!(
                "{:?}",
                Some(Address::Internal {
                    server_listener_name: name,
                    endpoint_id: &internal.endpoint_id,
                })
            )
        }
    }
}

fn same_peer(ours: Option<&Peer<'_>>, theirs: Option<&context::Peer>) {
    assert_eq!(ours.is_some(), theirs.is_some());
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        return;
    };
    assert_eq!(ours.principal, theirs.principal);
    assert_eq!(ours.service, theirs.service);
    assert_eq!(ours.certificate, theirs.certificate);
    assert_eq!(sorted(&ours.labels), sorted_map(&theirs.labels));
    assert_eq!(
        format!("{:?}", ours.address),
        address(theirs.address.as_ref())
    );
}

/// What both readers see of a message must be the same.
fn same(ours: &CheckRequest<'_>, theirs: &auth::CheckRequest) {
    let empty = auth::AttributeContext::default();
    let theirs = theirs.attributes.as_ref().unwrap_or(&empty);
    same_peer(ours.source.as_ref(), theirs.source.as_ref());
    same_peer(ours.destination.as_ref(), theirs.destination.as_ref());
    assert_eq!(
        sorted(&ours.context_extensions),
        sorted_map(&theirs.context_extensions)
    );
    let session = theirs.tls_session.as_ref();
    assert_eq!(
        ours.tls_session.map(|session| session.sni),
        session.map(|session| session.sni.as_str())
    );
    let request = theirs.request.clone().unwrap_or_default();
    let time = request.time.map(|time| Time {
        seconds: time.seconds,
        nanos: time.nanos,
    });
    assert_eq!(ours.time, time);
    assert_eq!(ours.has_http, request.http.is_some());
    let http = request.http.unwrap_or_default();
    let found = &ours.http;
    assert_eq!(found.id, http.id);
    assert_eq!(found.method, http.method);
    assert_eq!(found.path, http.path);
    assert_eq!(found.host, http.host);
    assert_eq!(found.scheme, http.scheme);
    assert_eq!(found.query, http.query);
    assert_eq!(found.fragment, http.fragment);
    assert_eq!(found.size, http.size);
    assert_eq!(found.protocol, http.protocol);
    assert_eq!(found.body, http.body);
    assert_eq!(found.raw_body, http.raw_body);
    if http.header_map.is_none() {
        assert_eq!(sorted(&found.headers), sorted_map(&http.headers));
    }
    let raw = http.header_map.unwrap_or_default().headers;
    let ours: Vec<_> = found
        .raw_headers
        .iter()
        .map(|(key, value, raw)| core::HeaderValue {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
            raw_value: raw.to_vec(),
        })
        .collect();
    assert_eq!(ours, raw);
}

fn with_raw_headers() -> auth::CheckRequest {
    let mut request = full();
    let http = request
        .attributes
        .as_mut()
        .and_then(|attributes| attributes.request.as_mut())
        .and_then(|request| request.http.as_mut())
        .unwrap();
    http.headers.clear();
    let header = |key: &str, raw: &[u8]| core::HeaderValue {
        key: key.into(),
        value: String::new(),
        raw_value: raw.to_vec(),
    };
    http.header_map = Some(core::HeaderMap {
        headers: vec![
            header("x-a", b"1"),
            header("X-A", b"caf\xe9"),
            header("x-b", b""),
        ],
    });
    request
}

#[test]
fn every_field_is_read_as_the_generated_code_reads_it() {
    let arena = Bump::new();
    for request in [full(), with_raw_headers(), auth::CheckRequest::default()] {
        let message = request.encode_to_vec();
        same(&CheckRequest::decode(&message, &arena).unwrap(), &request);
    }
    let message = with_raw_headers().encode_to_vec();
    let read = CheckRequest::decode(&message, &arena).unwrap();
    assert_eq!(
        read.http.headers.as_slice(),
        [("x-a", "1"), ("x-a", "caf!"), ("x-b", "")]
    );
}

#[test]
fn every_part_that_is_cut_off_is_refused_or_is_a_shorter_request() {
    let arena = Bump::new();
    let message = full().encode_to_vec();
    for length in 0..message.len() {
        let part = &message[..length];
        let theirs = auth::CheckRequest::decode(part);
        assert_eq!(
            CheckRequest::decode(part, &arena).is_ok(),
            theirs.is_ok(),
            "{length}"
        );
    }
}

#[test]
fn metadata_is_json() {
    let message = full().attributes.unwrap().metadata_context.unwrap();
    let message = message.encode_to_vec();
    let mut out = Vec::new();
    metadata_json(&mut out, &message, Names::Snake).unwrap();
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&out).unwrap(),
        serde_json::json!({
            "filter_metadata": {"ns": {"a": "b", "l": [1.5, true, null]}},
            "typed_filter_metadata": {"t": {"type_url": "u", "value": "AQID"}},
        })
    );
    let mut deep = prost_types::Value {
        kind: Some(prost_types::value::Kind::NullValue(0)),
    };
    for _ in 0..80 {
        deep = prost_types::Value {
            kind: Some(prost_types::value::Kind::ListValue(
                prost_types::ListValue { values: vec![deep] },
            )),
        };
    }
    let fields = [("deep".to_owned(), deep)].into();
    let deep = core::Metadata {
        filter_metadata: [("ns".to_owned(), prost_types::Struct { fields })].into(),
        ..core::Metadata::default()
    };
    let refused = metadata_json(&mut Vec::new(), &deep.encode_to_vec(), Names::Camel);
    assert_eq!(refused, Err(crate::api::protobuf::DecodeError::Depth));
}

#[test]
fn what_is_written_is_what_the_generated_code_reads() {
    let mut out = Vec::new();
    let long = "x".repeat(300);
    write_allowed(&mut out, |allowed| {
        allowed.header(Header::Set, "x-a", &long);
        allowed.header(Header::Append, "x-a", "2");
        allowed.header(Header::Unsaid, "x-b", "");
        allowed.remove("x-c");
        allowed.response_header(Header::Set, "x-d", "4");
        allowed.query("p", "1");
        allowed.remove_query("q");
    });
    write_metadata(&mut out, |metadata| {
        metadata.text("decision_id", "1");
        metadata.number("age", 3.0);
        metadata.texts("variants", [("e", "A")].into_iter());
        metadata.json("j", &serde_json::json!({"a": [1, null, true, "x"]}));
    });
    let response = auth::CheckResponse::decode(&out[..]).unwrap();
    assert_eq!(response.status.clone().unwrap().code, 0);
    let Some(auth::check_response::HttpResponse::OkResponse(ok)) = response.http_response else {
        panic!("{response:?}");
    };
    let option = |key: &str, value: &str, append: Option<bool>, action| core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: key.into(),
            value: value.into(),
            raw_value: Vec::new(),
        }),
        append,
        append_action: action,
        keep_empty_value: false,
    };
    assert_eq!(
        ok.headers,
        [
            option("x-a", &long, Some(false), 2),
            option("x-a", "2", Some(true), 0),
            option("x-b", "", None, 0),
        ]
    );
    assert_eq!(ok.headers_to_remove, ["x-c"]);
    assert_eq!(
        ok.response_headers_to_add,
        [option("x-d", "4", Some(false), 2)]
    );
    assert_eq!(ok.query_parameters_to_set[0].key, "p");
    assert_eq!(ok.query_parameters_to_remove, ["q"]);
    let mut json = Vec::new();
    let metadata = response.dynamic_metadata.unwrap();
    let wrapped = core::Metadata {
        filter_metadata: [("m".to_owned(), metadata)].into(),
        ..core::Metadata::default()
    };
    metadata_json(&mut json, &wrapped.encode_to_vec(), Names::Snake).unwrap();
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&json).unwrap()["filter_metadata"]["m"],
        serde_json::json!({
            "decision_id": "1", "age": 3, "variants": {"e": "A"},
            "j": {"a": [1, null, true, "x"]},
        })
    );
    let mut out = Vec::new();
    write_denied(&mut out, |denied| {
        denied.status(302);
        denied.header(Header::Set, "location", "/login");
        denied.body("no");
    });
    let response = auth::CheckResponse::decode(&out[..]).unwrap();
    assert_eq!(response.status.unwrap().code, 7);
    let Some(auth::check_response::HttpResponse::DeniedResponse(denied)) = response.http_response
    else {
        panic!("no denial");
    };
    assert_eq!(denied.status.unwrap().code, 302);
    assert_eq!(denied.body, "no");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Bytes of a real message changed, left out or added: never a panic, and never a request that the generated code
    /// refuses or reads otherwise.
    #[test]
    fn mutated_messages_are_read_as_the_generated_code_reads_them(
        raw in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let request = if raw { with_raw_headers() } else { full() };
        let mut message = request.encode_to_vec();
        for (place, byte, how) in changes {
            let at = place.index(message.len());
            match how {
                0 => { message.remove(at); }
                1 => message.insert(at, byte),
                2 => message[at] ^= 1 << (byte % 8),
                _ => message[at] = byte,
            }
            if message.is_empty() {
                break;
            }
        }
        let arena = Bump::new();
        let ours = CheckRequest::decode(&message, &arena);
        let theirs = auth::CheckRequest::decode(&message[..]);
        if let Ok(ours) = &ours {
            for metadata in [ours.metadata_context, ours.route_metadata_context].into_iter().flatten() {
                let _ = metadata_json(&mut Vec::new(), metadata, Names::Camel);
            }
        }
        // What lies in metadata is read only by those who ask for it.
        if let (Ok(ours), Ok(theirs)) = (&ours, &theirs) {
            let both = theirs.attributes.as_ref().and_then(|a| a.request.as_ref()).and_then(|r| r.http.as_ref());
            if !both.is_some_and(|http| http.header_map.is_some() && !http.headers.is_empty()) {
                same(ours, theirs);
            }
        }
        if ours.is_err() && !matches!(ours, Err(crate::api::protobuf::DecodeError::TooMany(_))) {
            prop_assert!(theirs.is_err(), "{ours:?}");
        }
    }
}
