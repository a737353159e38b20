//! Envoy's checks through a real gRPC client and over HTTP: the cases of `tests/cases/ext_authz/`, and garbage.

mod cases;
mod garbage;
mod key;
mod metadata;
mod plugin;

#[allow(
    clippy::pedantic,
    clippy::enum_variant_names,
    dead_code,
    unreachable_pub,
    reason = "generated"
)]
mod proto {
    include!("../../src/api/ext_authz/proto/mod.rs");
}

use std::collections::HashMap;

use prost::Message as _;
pub use proto::envoy::config::core::v3 as core;
pub use proto::envoy::service::auth::v3 as auth;
use proto::envoy::service::auth::v3::attribute_context as context;

use crate::support::grpc::{Ended, Grpc, framed};

pub const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// A request with these headers.
pub fn request(method: &str, path: &str, headers: &[(String, String)]) -> auth::CheckRequest {
    let headers: HashMap<String, String> = headers.iter().cloned().collect();
    auth::CheckRequest {
        attributes: Some(auth::AttributeContext {
            request: Some(context::Request {
                time: None,
                http: Some(context::HttpRequest {
                    method: method.into(),
                    path: path.into(),
                    host: "example.com".into(),
                    scheme: "https".into(),
                    headers,
                    ..context::HttpRequest::default()
                }),
            }),
            ..auth::AttributeContext::default()
        }),
    }
}

fn http(request: &mut auth::CheckRequest) -> &mut context::HttpRequest {
    let attributes = request.attributes.as_mut().unwrap();
    attributes.request.as_mut().unwrap().http.as_mut().unwrap()
}

/// Asks; the answer where there is one.
pub fn check(
    grpc: &mut Grpc,
    request: &auth::CheckRequest,
) -> Result<auth::CheckResponse, Box<Ended>> {
    check_with(grpc, &[], request)
}

/// The same with further headers of the call.
fn check_with(
    grpc: &mut Grpc,
    headers: &[(&str, &str)],
    request: &auth::CheckRequest,
) -> Result<auth::CheckResponse, Box<Ended>> {
    let ended = grpc.call_with(CHECK, headers, framed(&request.encode_to_vec()));
    if ended.code == 0 {
        Ok(auth::CheckResponse::decode(ended.message).unwrap())
    } else {
        Err(Box::new(ended))
    }
}

/// A protobuf value as JSON.
pub fn json(value: prost_types::Value) -> serde_json::Value {
    use prost_types::value::Kind;
    match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::NumberValue(value)) => value.into(),
        Some(Kind::StringValue(value)) => value.into(),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json).collect(),
        Some(Kind::StructValue(object)) => object
            .fields
            .into_iter()
            .map(|(name, value)| (name, json(value)))
            .collect(),
    }
}

/// Who sent a request, as Envoy says it.
pub fn peer(principal: &str) -> context::Peer {
    context::Peer {
        principal: principal.into(),
        ..context::Peer::default()
    }
}
