//! The control plane's door: who asks, whether they may, and which route answers.
//!
//! Every route below `/api/v1` names the permission it needs, so that none can be forgotten; only health
//! is answered without a token.

mod bundles;
mod health;
mod identify;
mod incoming;
mod policies;
mod refusal;
mod shape;
mod sidecars;
mod versions;
mod view;
mod write;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderValue, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter};
use tower::ServiceExt as _;

use crate::api::ErrorCode;
use crate::control_plane::access::Permission;
use crate::control_plane::board::Board;
use crate::control_plane::config::Limits;
use crate::control_plane::gate::Gate;
use crate::control_plane::metrics::Metrics;
use crate::control_plane::registry::Registry;
use crate::server::{Draining, guard};
use crate::spans::{Side, Span, Spans};

use refusal::Refusal;

const REQUEST_ID: &str = "x-request-id";
const LONGEST_REQUEST_ID: usize = 128;
const LONGEST_URI: usize = 8 * 1024;
const CONSTITUTIONAL_HASH: &str = "x-constitutional-hash";

/// What the routes work on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
#[derive(Debug)]
pub struct Parts {
    pub registry: Registry,
    pub board: Board,
    pub gate: Arc<Gate>,
    pub constitutional_hash: String,
    pub limits: Limits,
    pub metrics: Metrics,
    pub draining: Draining,
    /// Whether only this machine can connect.
    pub loopback: bool,
    /// Where the requests' spans go; None = nowhere.
    pub spans: Option<Spans>,
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// All routes, ready to be asked.
pub fn router(parts: Parts) -> Router {
    let app = App(Arc::new(parts));
    let api = Routes {
        router: Router::new(),
        app: app.clone(),
    }
    .read("/policies", "list", "policy", policies::list)
    .write("/policies", "create", "policy", policies::create)
    .read("/policies/bundle", "read", "bundle", bundles::download)
    .read("/policies/{policy}", "read", "policy", policies::get)
    .read(
        "/policies/{policy}/content",
        "read",
        "policy",
        policies::content,
    )
    .read(
        "/policies/{policy}/versions",
        "read",
        "policy",
        versions::list,
    )
    .write(
        "/policies/{policy}/versions",
        "create_version",
        "policy",
        versions::create,
    )
    .read(
        "/policies/{policy}/versions/{version}",
        "read",
        "policy",
        versions::get,
    )
    .replace(
        "/policies/{policy}/versions/{version}/testing",
        "activate",
        "policy",
        versions::set_testing,
    )
    .replace(
        "/policies/{policy}/activate",
        "activate",
        "policy",
        policies::activate,
    )
    .write(
        "/policies/{policy}/verify",
        "verify",
        "policy",
        policies::verify,
    )
    .read("/bundles/active", "read", "bundle", bundles::metadata)
    .read(
        "/bundles/active/download",
        "read",
        "bundle",
        bundles::download,
    )
    .read("/sidecars", "list", "sidecar", sidecars::list)
    .replace(
        "/sidecars/{id}/status",
        "report",
        "sidecar",
        sidecars::report,
    )
    .router;
    let metrics = Permission {
        action: "read",
        resource: "metrics",
    };
    let scraped = axum::routing::get(health::metrics).route_layer(middleware::from_fn_with_state(
        (app.clone(), metrics),
        identify::permit,
    ));
    Router::new()
        .merge(api)
        .route("/metrics", scraped)
        .route("/health", axum::routing::get(health::summary))
        .route("/health/live", axum::routing::get(health::live))
        .route("/health/ready", axum::routing::get(health::ready))
        .route("/health/details", axum::routing::get(health::details))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .route_layer(middleware::from_fn_with_state(app.clone(), count))
        .with_state(app.clone())
        // Outside of routing: the path may still change here.
        .pipe(|routes| Router::new().fallback_service(routes))
        .layer(middleware::from_fn_with_state(app, front))
}

/// Lets a chain go on through a function.
trait Pipe: Sized {
    fn pipe<T>(self, then: impl FnOnce(Self) -> T) -> T {
        then(self)
    }
}

impl<T> Pipe for T {}

/// Routes under construction, each with its permission.
struct Routes {
    router: Router<App>,
    app: App,
}

impl Routes {
    fn read<H, T>(
        self,
        path: &str,
        action: &'static str,
        resource: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.route(
            MethodFilter::GET,
            path,
            Permission { action, resource },
            handler,
        )
    }

    fn write<H, T>(
        self,
        path: &str,
        action: &'static str,
        resource: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.route(
            MethodFilter::POST,
            path,
            Permission { action, resource },
            handler,
        )
    }

    fn replace<H, T>(
        self,
        path: &str,
        action: &'static str,
        resource: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.route(
            MethodFilter::PUT,
            path,
            Permission { action, resource },
            handler,
        )
    }

    fn route<H, T>(
        self,
        method: MethodFilter,
        path: &str,
        permission: Permission,
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let guard =
            middleware::from_fn_with_state((self.app.clone(), permission), identify::permit);
        let route = MethodRouter::new().on(method, handler).route_layer(guard);
        Self {
            // Not nested: handlers and problem documents see the path as it was asked for.
            router: self.router.route(&format!("/api/v1{path}"), route),
            app: self.app,
        }
    }
}

/// What happens to every request before it is routed, and to every answer after.
async fn front(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let id = request_id(parts.headers.get(REQUEST_ID));
    let refused = if parts.uri.to_string().len() > LONGEST_URI {
        Some(Refusal::new(ErrorCode::UriTooLong, ""))
    } else if let Err(refusal) = guard::check(&parts.headers, &parts.uri, app.loopback, &[]) {
        Some(Refusal::new(
            ErrorCode::PermissionDenied,
            refusal.to_string(),
        ))
    } else {
        check_hash(&app, parts.headers.get(CONSTITUTIONAL_HASH))
    };
    let mut response = if let Some(refusal) = refused {
        refusal.at(&parts.uri).into_response()
    } else {
        parts.uri = without_slash(parts.uri);
        next.run(Request::from_parts(parts, body)).await
    };
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    if let Ok(hash) = HeaderValue::from_str(&app.constitutional_hash) {
        headers.insert(CONSTITUTIONAL_HASH, hash);
    }
    response
}

/// Both spellings of a collection are served: the slash at the end is dropped, never redirected.
fn without_slash(uri: Uri) -> Uri {
    let path = uri.path();
    let Some(bare) = path.strip_suffix('/').filter(|bare| !bare.is_empty()) else {
        return uri;
    };
    let target = match uri.query() {
        Some(query) => format!("{bare}?{query}"),
        None => bare.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = target.parse().ok();
    Uri::from_parts(parts).unwrap_or(uri)
}

/// The caller's id, where it is one; else a new one.
fn request_id(sent: Option<&HeaderValue>) -> HeaderValue {
    let kept = sent.filter(|value| {
        (1..=LONGEST_REQUEST_ID).contains(&value.len())
            && value.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    kept.cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&uuid::Uuid::now_v7().to_string())
            .unwrap_or(HeaderValue::from_static("none"))
    })
}

fn check_hash(app: &App, sent: Option<&HeaderValue>) -> Option<Refusal> {
    let sent = sent?;
    (sent.as_bytes() != app.constitutional_hash.as_bytes()).then(|| {
        Refusal::new(
            ErrorCode::PermissionDenied,
            format!(
                "`{CONSTITUTIONAL_HASH}` names another hash than `{}`",
                app.constitutional_hash
            ),
        )
    })
}

async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());
    let waits = request.headers().contains_key("prefer");
    let span = app.spans.as_ref().and_then(|spans| {
        let caller = request.headers().get("traceparent");
        let begun = spans.begin(caller.map_or(b"", HeaderValue::as_bytes))?;
        let method = request.method().as_str().to_owned();
        Some((spans, begun, method, SystemTime::now()))
    });
    let began = Instant::now();
    let response = next.run(request).await;
    let seconds = (!waits).then(|| began.elapsed().as_secs_f64());
    let status = response.status().as_u16();
    if let Some((spans, begun, method, started)) = span {
        spans.end(Span {
            begun,
            side: Side::Server,
            name: "request",
            started,
            ended: SystemTime::now(),
            attributes: vec![
                ("http.request.method", method.into()),
                ("http.route", route.clone().into()),
                ("http.response.status_code", i64::from(status).into()),
            ],
            failed: status >= 500,
        });
    }
    app.metrics.answered(&route, status, seconds);
    response
}

async fn not_found(State(app): State<App>, request: Request) -> Response {
    let uri = request.uri().clone();
    match app.gate.identify(request.headers()).await {
        Err(error) => Refusal::from(error).at(&uri).into_response(),
        Ok(_) => Refusal::new(ErrorCode::NotFound, "")
            .at(&uri)
            .into_response(),
    }
}

async fn method_not_allowed(uri: Uri) -> Response {
    Refusal::new(ErrorCode::MethodNotAllowed, "")
        .at(&uri)
        .into_response()
}

/// Answers one request of a connection.
pub async fn answer(
    router: Router,
    request: http::Request<hyper::body::Incoming>,
) -> http::Response<crate::server::body::Body> {
    use http_body_util::BodyExt as _;
    let response = match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    response.map(|body| crate::server::body::Body::Stream(body.map_err(Into::into).boxed_unsync()))
}
