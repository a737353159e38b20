//! A collector: OTLP over gRPC, as far as spans need it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_mins(1);
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The messages of `opentelemetry/proto/{collector/trace,trace,common,resource}/v1`, as far as they are looked at.
mod proto {
    #[derive(prost::Message)]
    pub struct Export {
        #[prost(message, repeated, tag = "1")]
        pub resources: Vec<Source>,
    }

    #[derive(prost::Message)]
    pub struct Source {
        #[prost(message, optional, tag = "1")]
        pub resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        pub scopes: Vec<Scope>,
    }

    #[derive(prost::Message)]
    pub struct Resource {
        #[prost(message, repeated, tag = "1")]
        pub attributes: Vec<KeyValue>,
    }

    #[derive(prost::Message)]
    pub struct Scope {
        #[prost(message, repeated, tag = "2")]
        pub spans: Vec<Span>,
    }

    #[expect(clippy::struct_field_names, reason = "OTLP's own names")]
    #[derive(prost::Message)]
    pub struct Span {
        #[prost(bytes = "vec", tag = "1")]
        pub trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub span_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        pub parent_span_id: Vec<u8>,
        #[prost(string, tag = "5")]
        pub name: String,
        #[prost(int32, tag = "6")]
        pub kind: i32,
        #[prost(fixed64, tag = "7")]
        pub start: u64,
        #[prost(fixed64, tag = "8")]
        pub end: u64,
        #[prost(message, repeated, tag = "9")]
        pub attributes: Vec<KeyValue>,
    }

    #[derive(prost::Message)]
    pub struct KeyValue {
        #[prost(string, tag = "1")]
        pub key: String,
        #[prost(message, optional, tag = "2")]
        pub value: Option<AnyValue>,
    }

    /// One of these in truth.
    #[derive(prost::Message)]
    pub struct AnyValue {
        #[prost(string, optional, tag = "1")]
        pub text: Option<String>,
        #[prost(int64, optional, tag = "3")]
        pub integer: Option<i64>,
    }
}

/// A span as it arrived.
#[derive(Clone, Debug)]
pub struct Span {
    pub service: String,
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty where it begins a trace.
    pub parent: String,
    /// 2 = server, 3 = client.
    pub kind: i32,
    pub nanos: u64,
    pub attributes: BTreeMap<String, String>,
}

/// Takes every export with a yes.
pub struct Collector {
    pub address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    headers: Arc<Mutex<HeaderMap>>,
    _runtime: Runtime,
}

impl Collector {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let spans = Arc::new(Mutex::new(Vec::new()));
        let headers = Arc::new(Mutex::new(HeaderMap::new()));
        let (taken, heard) = (Arc::clone(&spans), Arc::clone(&headers));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (spans, headers) = (Arc::clone(&taken), Arc::clone(&heard));
                let service =
                    service_fn(move |request| take(request, spans.clone(), headers.clone()));
                tokio::spawn(
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self {
            address,
            spans,
            headers,
            _runtime: runtime,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A header of the last export.
    pub fn header(&self, name: &str) -> Option<HeaderValue> {
        self.headers.lock().unwrap().get(name).cloned()
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    /// Waits for a span.
    pub fn wait_for(&self, what: &str, matches: impl Fn(&Span) -> bool) -> Span {
        let end = Instant::now() + PATIENCE;
        loop {
            let spans = self.spans();
            if let Some(span) = spans.iter().find(|span| matches(span)) {
                return span.clone();
            }
            assert!(
                Instant::now() < end,
                "{what} did not come; there are {spans:#?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

async fn take(
    request: Request<Incoming>,
    spans: Arc<Mutex<Vec<Span>>>,
    headers: Arc<Mutex<HeaderMap>>,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, Infallible> {
    assert_eq!(request.uri().path(), EXPORT);
    *headers.lock().unwrap() = request.headers().clone();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    // One message, not compressed: a flag and four bytes of length before it.
    assert_eq!(body[0], 0);
    let export = proto::Export::decode(&body[5..]).unwrap();
    spans.lock().unwrap().extend(read(export));
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let empty = Full::new(Bytes::from_static(&[0; 5]));
    let body = empty.with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    Ok(response)
}

fn read(export: proto::Export) -> Vec<Span> {
    let text = |value: Option<proto::AnyValue>| {
        let value = value.unwrap();
        let integer = value.integer.map(|number| number.to_string());
        value.text.or(integer).unwrap()
    };
    let mut found = Vec::new();
    for resource in export.resources {
        let attributes = resource.resource.unwrap().attributes;
        let service = attributes
            .into_iter()
            .find(|pair| pair.key == "service.name");
        let service = text(service.unwrap().value);
        for span in resource.scopes.into_iter().flat_map(|scope| scope.spans) {
            assert!(span.end >= span.start);
            found.push(Span {
                service: service.clone(),
                name: span.name,
                trace: hex::encode(span.trace_id),
                id: hex::encode(span.span_id),
                parent: hex::encode(span.parent_span_id),
                kind: span.kind,
                nanos: span.end - span.start,
                attributes: span
                    .attributes
                    .into_iter()
                    .map(|pair| (pair.key, text(pair.value)))
                    .collect(),
            });
        }
    }
    found
}
