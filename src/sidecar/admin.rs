//! The admin listener: health, metrics, status, sync, configuration. It has a thread of its own, so that it answers
//! when the data plane is full.

mod health;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use prometheus::Registry;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use crate::api::{ErrorCode, PROBLEM_JSON, Problem};
use crate::server::body::Body;
use crate::server::{Connections, Door, Readiness, guard, telemetry};
use crate::snapshot::Reader;

use super::activation::SyncHandle;
use super::clock::Clock;
use super::forward::Forwarder;
use super::metrics::Metrics;
use super::status::Status;

/// What the admin listener shows and does.
#[derive(Debug)]
pub struct Admin {
    pub reader: Reader,
    pub status: Arc<Status>,
    pub clock: Clock,
    pub readiness: Readiness,
    pub metrics: Arc<Metrics>,
    pub connections: Connections,
    pub registry: Registry,
    pub forwarder: Option<Forwarder>,
    /// Set once the sources run; the discovery bundle's first.
    pub syncs: [ArcSwapOption<SyncHandle>; 2],
    /// The effective configuration.
    pub config: Value,
    /// Seconds; None = no bundle is too old.
    pub max_bundle_age: Option<u64>,
    /// What opens more than health and metrics beyond this machine; None = nothing does.
    pub token: Option<String>,
    pub started: Instant,
}

impl Admin {
    /// The sources are asked by this from now on.
    pub fn set_sync(&self, sync: SyncHandle) {
        self.syncs[1].store(Some(Arc::new(sync)));
    }

    /// The discovery bundle is asked by this.
    pub fn set_discovery_sync(&self, sync: SyncHandle) {
        self.syncs[0].store(Some(Arc::new(sync)));
    }

    /// Answers one request.
    pub async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        door: Rc<Door>,
    ) -> Response<Body> {
        match self.answer(&request, &door).await {
            Ok(response) => response,
            Err(problem) => refuse(&problem.at(request.uri().path())),
        }
    }

    async fn answer(
        &self,
        request: &Request<Incoming>,
        door: &Door,
    ) -> Result<Response<Body>, Problem> {
        let loopback = door
            .bound
            .tcp()
            .is_some_and(|address| address.ip().is_loopback());
        guard::check(request.headers(), request.uri(), loopback, &[])
            .map_err(|refusal| Problem::new(ErrorCode::PermissionDenied, refusal.to_string()))?;
        let path = request.uri().path();
        let (wanted, open) = match path {
            "/metrics" | "/health/live" | "/health/startup" | "/health/ready" | "/health/fresh"
            | "/health/details" => (Method::GET, true),
            "/v1/status" | "/v1/config" => (Method::GET, false),
            "/v1/sync" => (Method::POST, false),
            _ => return Err(Problem::new(ErrorCode::NotFound, "")),
        };
        if !open && !door.bound.is_local() {
            self.authenticate(request)?;
        }
        if *request.method() != wanted
            && !(wanted == Method::GET && *request.method() == Method::HEAD)
        {
            return Err(Problem::new(
                ErrorCode::MethodNotAllowed,
                format!("allowed here: {wanted}"),
            ));
        }
        Ok(match path {
            "/metrics" => self.metrics_page(),
            "/v1/status" => answer(StatusCode::OK, &self.status_document()),
            "/v1/config" => answer(StatusCode::OK, &self.config),
            "/v1/sync" => self.sync().await?,
            _ => self.health(path),
        })
    }

    fn authenticate(&self, request: &Request<Incoming>) -> Result<(), Problem> {
        let Some(token) = &self.token else {
            return Err(Problem::new(
                ErrorCode::PermissionDenied,
                "only health and metrics are served beyond this machine: set `listeners.admin.token_file`",
            ));
        };
        let given = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        match given {
            Some(given) if bool::from(given.ct_eq(token.as_bytes())) => Ok(()),
            _ => Err(Problem::new(
                ErrorCode::Unauthenticated,
                "the admin token is needed",
            )),
        }
    }

    fn metrics_page(&self) -> Response<Body> {
        self.metrics.set_connections(self.connections.open());
        let mut response = Response::new(Body::from(telemetry::render(&self.registry)));
        response.headers_mut().insert(
            CONTENT_TYPE,
            http::HeaderValue::from_static(telemetry::METRICS_TEXT),
        );
        response
    }

    fn status_document(&self) -> Value {
        let report = self.status.report(self.clock.now());
        let mut document = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "ready": self.readiness.is_ready(),
            "upstream": self.forwarder.as_ref().map(|forwarder| {
                let breaker = forwarder.breaker();
                json!({
                    "breaker": breaker.state.as_str(),
                    "consecutive_failures": breaker.consecutive_failures,
                })
            }),
        });
        if let (Value::Object(document), Ok(Value::Object(report))) =
            (&mut document, serde_json::to_value(report))
        {
            document.extend(report);
        }
        document
    }

    async fn sync(&self) -> Result<Response<Body>, Problem> {
        let [discovery, sources] = &self.syncs;
        let mut synced = Vec::new();
        if let Some(sync) = discovery.load_full() {
            synced.extend(sync.sync().await);
        }
        let Some(sync) = sources.load_full() else {
            return Err(Problem::new(
                ErrorCode::NotReady,
                "the sources are not running yet",
            ));
        };
        synced.extend(sync.sync().await);
        let revision = self
            .reader
            .load()
            .snapshot
            .as_ref()
            .map(|snapshot| snapshot.name.clone());
        Ok(answer(
            StatusCode::OK,
            &json!({"revision": revision, "sources": synced}),
        ))
    }
}

fn answer(status: StatusCode, document: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(document.to_string().into_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}

fn refuse(problem: &Problem) -> Response<Body> {
    let mut response = Response::new(Body::from(problem.to_vec()));
    *response.status_mut() =
        StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static(PROBLEM_JSON));
    response
}
