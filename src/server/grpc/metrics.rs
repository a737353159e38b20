//! The metrics that gRPC servers are known by, one set for all services of a program.

use std::time::Instant;

use http::{HeaderMap, Response};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use tonic::Code;

use super::body::{Body, Watched};
use super::messages::Counted;

const LABELS: [&str; 3] = ["grpc_type", "grpc_service", "grpc_method"];

/// How a method's messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Unary,
    ServerStream,
    BidiStream,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ServerStream => "server_stream",
            Self::BidiStream => "bidi_stream",
        }
    }
}

/// A method as metrics name it. What a client makes up is no label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    pub kind: Kind,
    pub service: &'static str,
    pub name: &'static str,
}

impl Method {
    /// Whatever nobody here answers.
    pub const UNKNOWN: Self = Self::unary("unknown", "unknown");

    /// A unary method.
    #[must_use]
    pub const fn unary(service: &'static str, name: &'static str) -> Self {
        Self {
            kind: Kind::Unary,
            service,
            name,
        }
    }

    const fn labels(self) -> Labels {
        [self.kind.as_str(), self.service, self.name]
    }
}

pub(super) type Labels = [&'static str; 3];

/// Counts calls. Clones share the counters.
#[derive(Clone, Debug)]
pub struct Calls {
    started: IntCounterVec,
    handled: IntCounterVec,
    seconds: HistogramVec,
    received: IntCounterVec,
    sent: IntCounterVec,
}

impl Calls {
    /// All at zero.
    ///
    /// # Errors
    ///
    /// When a metric of the same name is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let [kind, service, method] = LABELS;
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "grpc_server_handling_seconds",
                "Time from a call's head to its answer",
            ),
            &LABELS,
        )?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self {
            started: counter("grpc_server_started_total", "Calls begun", &LABELS)?,
            handled: counter(
                "grpc_server_handled_total",
                "Calls ended, by the code they ended with",
                &[kind, service, method, "grpc_code"],
            )?,
            seconds,
            received: counter(
                "grpc_server_msg_received_total",
                "Messages received",
                &LABELS,
            )?,
            sent: counter("grpc_server_msg_sent_total", "Messages sent", &LABELS)?,
        })
    }

    /// Counts a call that begins.
    #[must_use]
    pub fn start(&self, method: Method) -> Call {
        let labels = method.labels();
        self.started.with_label_values(&labels).inc();
        Call {
            calls: self.clone(),
            labels,
            began: Instant::now(),
            ended: false,
        }
    }

    pub(super) fn received(&self, labels: Labels, messages: u64) {
        if messages > 0 {
            self.received.with_label_values(&labels).inc_by(messages);
        }
    }
}

/// A call under way. Dropped before its end, the client went away: that is counted as such.
#[derive(Debug)]
pub struct Call {
    calls: Calls,
    labels: Labels,
    began: Instant,
    ended: bool,
}

impl Call {
    /// The request's body with its messages counted.
    pub fn receive<B>(&self, body: B) -> Counted<B> {
        Counted::new(body, self.calls.clone(), self.labels)
    }

    /// The answer, whose messages and end are counted.
    #[must_use]
    pub fn answer(mut self, response: Response<Body>) -> Response<Body> {
        let (head, body) = response.into_parts();
        if head.headers.contains_key("grpc-status") {
            self.end_as(&head.headers);
        }
        let body = match body {
            Body::Stream(stream) if !self.ended => {
                Body::Watched(Box::new(Watched::new(stream, self)))
            }
            Body::Whole { message, trailers } => {
                self.sent(u64::from(message.is_some()));
                if let Some(trailers) = &trailers {
                    self.end_as(trailers);
                }
                Body::Whole { message, trailers }
            }
            other => other,
        };
        Response::from_parts(head, body)
    }

    pub(super) fn sent(&self, messages: u64) {
        if messages > 0 {
            self.calls
                .sent
                .with_label_values(&self.labels)
                .inc_by(messages);
        }
    }

    /// Ends with the code in `trailers`.
    pub(super) fn end_as(&mut self, trailers: &HeaderMap) {
        let code = trailers
            .get("grpc-status")
            .map_or(Code::Unknown, |code| Code::from_bytes(code.as_bytes()));
        self.end(code);
    }

    pub(super) fn end(&mut self, code: Code) {
        if self.ended {
            return;
        }
        self.ended = true;
        let [kind, service, method] = self.labels;
        self.calls
            .handled
            .with_label_values(&[kind, service, method, name(code)])
            .inc();
        self.calls
            .seconds
            .with_label_values(&self.labels)
            .observe(self.began.elapsed().as_secs_f64());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// The code as the metrics of other gRPC servers spell it.
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::telemetry;
    use tonic::Status;

    #[test]
    fn calls_are_counted_by_method_and_code_and_one_given_up_is_canceled() {
        let registry = Registry::new();
        let calls = Calls::register(&registry).unwrap();
        let method = Method::unary("a.B", "C");
        let refused = Status::not_found("x").into_http();
        let _ = calls.start(method).answer(refused);
        drop(calls.start(method));
        let page = String::from_utf8(telemetry::render(&registry)).unwrap();
        let labels = r#"grpc_method="C",grpc_service="a.B",grpc_type="unary""#;
        for line in [
            format!("grpc_server_started_total{{{labels}}} 2"),
            format!(r#"grpc_server_handled_total{{grpc_code="NotFound",{labels}}} 1"#),
            format!(r#"grpc_server_handled_total{{grpc_code="Canceled",{labels}}} 1"#),
            format!("grpc_server_handling_seconds_count{{{labels}}} 2"),
        ] {
            assert!(page.contains(&line), "{line} is not in {page}");
        }
    }
}
