//! What the harness says and hears of Envoy's external authorization
//! (`envoy/service/auth/v3/external_auth.proto`, `attribute_context.proto`): the fields that a check of
//! an HTTP request has, all of them so that a floor decodes what a decision point does.

use std::collections::HashMap;

use serde::Deserialize;

/// The method that is called.
pub const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    pub attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeContext {
    #[prost(message, optional, tag = "1")]
    pub source: Option<Peer>,
    #[prost(message, optional, tag = "2")]
    pub destination: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    pub request: Option<AttributeRequest>,
    #[prost(map = "string, string", tag = "10")]
    pub context_extensions: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Peer {
    #[prost(message, optional, tag = "1")]
    pub address: Option<Address>,
    #[prost(string, tag = "2")]
    pub service: String,
    #[prost(map = "string, string", tag = "3")]
    pub labels: HashMap<String, String>,
    #[prost(string, tag = "4")]
    pub principal: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Address {
    #[prost(message, optional, tag = "1")]
    pub socket_address: Option<SocketAddress>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SocketAddress {
    #[prost(string, tag = "2")]
    pub address: String,
    #[prost(uint32, tag = "3")]
    pub port_value: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeRequest {
    #[prost(message, optional, tag = "1")]
    pub time: Option<Timestamp>,
    #[prost(message, optional, tag = "2")]
    pub http: Option<HttpRequest>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct HttpRequest {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub method: String,
    #[prost(map = "string, string", tag = "3")]
    pub headers: HashMap<String, String>,
    #[prost(string, tag = "4")]
    pub path: String,
    #[prost(string, tag = "5")]
    pub host: String,
    #[prost(string, tag = "6")]
    pub scheme: String,
    #[prost(int64, tag = "9")]
    pub size: i64,
    #[prost(string, tag = "10")]
    pub protocol: String,
    #[prost(string, tag = "11")]
    pub body: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
}

/// `google.rpc.Status`: 0 allows, all else denies.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
}

/// The HTTP request that a check asks about, as a scenario writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckSpec {
    pub method: String,
    pub path: String,
    pub host: String,
    #[serde(default)]
    pub headers: HashMap<String, String>,
}

impl CheckSpec {
    /// The message as Envoy would send it.
    #[must_use]
    pub fn message(&self) -> CheckRequest {
        let pseudo = [
            (":method", self.method.as_str()),
            (":path", &self.path),
            (":authority", &self.host),
            (":scheme", "http"),
            ("x-forwarded-proto", "http"),
            ("x-request-id", "0192f6a1-7c3e-7b1a-9c55-2f6f0c1d8e77"),
        ];
        let mut headers = self.headers.clone();
        headers.extend(pseudo.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let peer = |port_value| {
            let socket_address = Some(SocketAddress {
                address: "127.0.0.1".into(),
                port_value,
            });
            Some(Peer {
                address: Some(Address { socket_address }),
                ..Peer::default()
            })
        };
        let http = HttpRequest {
            id: "12345678901234567890".into(),
            method: self.method.clone(),
            headers,
            path: self.path.clone(),
            host: self.host.clone(),
            scheme: "http".into(),
            protocol: "HTTP/1.1".into(),
            ..HttpRequest::default()
        };
        let time = Timestamp {
            seconds: 1_790_000_000,
            nanos: 123_456_000,
        };
        CheckRequest {
            attributes: Some(AttributeContext {
                source: peer(50_000),
                destination: peer(8080),
                request: Some(AttributeRequest {
                    time: Some(time),
                    http: Some(http),
                }),
                ..AttributeContext::default()
            }),
        }
    }
}
