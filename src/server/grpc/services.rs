//! The services that every gRPC server has: `grpc.health.v1` with a watch that is told of changes, and reflection.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::codegen::Service;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::{Builder, Error};

use super::body::Body;
use super::messages::Counted;
use super::metrics::{Kind, Method};

const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: &str = "grpc.reflection.v1.ServerReflection";
const REFLECTION_ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";
const STREAM: &str = "ServerReflectionInfo";

/// The descriptors cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("reflection cannot serve the descriptors")]
pub struct DescriptorError(#[source] Error);

type Answering = Pin<Box<dyn Future<Output = Response<tonic::body::Body>> + Send>>;
type Answer = Arc<dyn Fn(Request<Counted<Incoming>>) -> Answering + Send + Sync>;

/// Health and reflection of one program. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    health: Answer,
    /// None where it is switched off.
    reflection: Option<[Answer; 2]>,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Services")
            .field("reflection", &self.reflection.is_some())
            .finish_non_exhaustive()
    }
}

impl Services {
    /// The services of a program, not serving yet. `descriptors` are file descriptor sets with what they import;
    /// None = no reflection. `names` are the services whose health is asked for by name.
    ///
    /// # Errors
    ///
    /// When `descriptors` are none.
    pub fn new(
        descriptors: Option<&[&[u8]]>,
        names: &'static [&'static str],
    ) -> Result<(Self, Health), DescriptorError> {
        let reporter = HealthReporter::new();
        let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        let reflection = descriptors.map(reflection).transpose()?;
        let services = Self {
            health: answer(health),
            reflection,
        };
        let health = Health {
            reporter,
            names,
            told: None,
        };
        Ok((services, health))
    }

    /// The method of a path, where it is one of these services'.
    #[must_use]
    pub fn method(&self, path: &str) -> Option<Method> {
        let stream = |service| Method {
            kind: Kind::BidiStream,
            service,
            name: STREAM,
        };
        let watch = Method {
            kind: Kind::ServerStream,
            service: HEALTH,
            name: "Watch",
        };
        match path {
            "/grpc.health.v1.Health/Check" => Some(Method::unary(HEALTH, "Check")),
            "/grpc.health.v1.Health/Watch" => Some(watch),
            _ if self.reflection.is_none() => None,
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" => Some(stream(REFLECTION)),
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => {
                Some(stream(REFLECTION_ALPHA))
            }
            _ => None,
        }
    }

    /// Answers a call of one of these services.
    pub async fn answer(&self, request: Request<Counted<Incoming>>) -> Response<Body> {
        let service = super::service(request.uri().path());
        let answer = match (service, &self.reflection) {
            (REFLECTION, Some([v1, _])) => v1,
            (REFLECTION_ALPHA, Some([_, v1alpha])) => v1alpha,
            _ => &self.health,
        };
        answer(request).await.map(Body::Stream)
    }
}

/// Both versions: older tools know `v1alpha` alone.
fn reflection(descriptors: &[&[u8]]) -> Result<[Answer; 2], DescriptorError> {
    let builder = || {
        let builder = Builder::configure()
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        descriptors.iter().fold(builder, |builder, set| {
            builder.register_encoded_file_descriptor_set(set)
        })
    };
    Ok([
        answer(builder().build_v1().map_err(DescriptorError)?),
        answer(builder().build_v1alpha().map_err(DescriptorError)?),
    ])
}

fn answer<S>(server: S) -> Answer
where
    S: Service<
            Request<Counted<Incoming>>,
            Response = Response<tonic::body::Body>,
            Error = std::convert::Infallible,
        > + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    Arc::new(move |request| {
        let mut server = server.clone();
        Box::pin(async move {
            match server.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        })
    })
}

/// What the health service says.
#[derive(Debug)]
pub struct Health {
    reporter: HealthReporter,
    names: &'static [&'static str],
    /// What was said last.
    told: Option<bool>,
}

impl Health {
    /// Says whether the program, and each of its services, serves. Who watches is told of a change.
    pub async fn tell(&mut self, serves: bool) {
        if self.told.replace(serves) == Some(serves) {
            return;
        }
        let status = if serves {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for name in self.names.iter().chain([&""]) {
            self.reporter.set_service_status(name, status).await;
        }
    }

    /// Says for the last time that nothing serves any more, and ends the watches.
    pub async fn end(mut self) {
        self.tell(false).await;
        for name in self.names.iter().chain([&""]) {
            self.reporter.clear_service_status(name).await;
        }
    }
}
