//! gRPC over HTTP/2 as both programs need it: unary calls read and answered by hand, bodies, metrics.
//!
//! Services that stream are tonic servers; what they answer passes through [`Body`] too.

mod body;
mod message;
mod messages;
mod metrics;
mod reply;
mod services;

pub use body::Body;
pub use message::{Deadline, Limits, PREFIX, answer, frame, read};
pub use messages::Counted;
pub use metrics::{Call, Calls, Kind, Method};
pub use reply::{Reply, decode};
pub use services::{DescriptorError, Health, Services};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use tonic::Status;

/// The answer to a request that is no gRPC call.
#[must_use]
pub fn not_grpc(method: &http::Method, headers: &HeaderMap) -> Option<Response<Body>> {
    let refuse = |status| {
        let mut response = Response::new(Body::default());
        *response.status_mut() = status;
        Some(response)
    };
    if method != http::Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED);
    }
    let content_type = headers
        .get(CONTENT_TYPE)
        .map_or(&[][..], |value| value.as_bytes());
    match content_type.strip_prefix(b"application/grpc") {
        Some([] | [b'+' | b';', ..]) => None,
        _ => refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    }
}

/// The service of `/package.Service/Method`.
#[must_use]
pub fn service(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_once('/').map_or(path, |(service, _)| service)
}

/// The answer to a call of a method that there is not.
#[must_use]
pub fn unimplemented(path: &str) -> Response<Body> {
    Status::unimplemented(format!("there is no method `{path}` here")).into_http()
}

#[cfg(test)]
mod tests {
    use http::Method as HttpMethod;

    use super::*;

    #[test]
    fn only_posts_of_grpc_are_calls() {
        let status = |method: HttpMethod, content_type: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
            not_grpc(&method, &headers).map(|response| response.status().as_u16())
        };
        for content_type in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;x=y",
        ] {
            assert_eq!(
                status(HttpMethod::POST, content_type),
                None,
                "{content_type}"
            );
        }
        for content_type in ["application/json", "application/grpcx", ""] {
            assert_eq!(
                status(HttpMethod::POST, content_type),
                Some(415),
                "{content_type}"
            );
        }
        assert_eq!(status(HttpMethod::GET, "application/grpc"), Some(405));
    }

    #[test]
    fn a_path_names_its_service() {
        assert_eq!(service("/a.B/C"), "a.B");
        assert_eq!(service("/a.B"), "a.B");
        assert_eq!(service(""), "");
    }
}
