//! Not one heap allocation from a request that was read to its response, once a thread is warm, on inputs that it has
//! not seen before: for every kind of decision, with a request id and a decision record.

use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::sidecar::Sidecar;
use crate::sidecar::config::{Config, Loaded, RecordContent, SourceConfig};

#[path = "../../../benches/support/counting.rs"]
mod counting;
#[path = "../../../benches/support/fixture.rs"]
#[expect(dead_code, reason = "shared with the benches")]
mod fixture;

use counting::COUNT;

/// A sidecar that decides from `yaml`, and the handler of a thread of it.
struct Serving {
    handler: Handler,
    _sidecar: Sidecar,
    _runtime: Runtime,
    _folder: tempfile::TempDir,
}

fn serving(yaml: &str) -> Serving {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let now = crate::sidecar::clock::Clock::default().now();
    let (archive, keyring) = fixture::archive_at(now, yaml, &[]);
    std::fs::write(path("bundle.tar.gz"), archive).unwrap();
    std::fs::write(path("keyring.yaml"), keyring.to_yaml()).unwrap();
    let source = SourceConfig {
        url: path("bundle.tar.gz").display().to_string(),
        ..SourceConfig::default()
    };
    let mut config = Config::new("bench", source, &path("keyring.yaml"), &path("cache"));
    for address in [
        &mut config.listeners.http.address,
        &mut config.listeners.grpc.address,
        &mut config.listeners.admin.address,
    ] {
        *address = Some("127.0.0.1:0".to_owned());
    }
    config.decision_log.file = Some(path("decisions.jsonl").display().to_string());
    config.decision_log.content = RecordContent::Full;
    // Two buffers, which are made while the thread gets warm.
    config.decision_log.buffer_bytes = 0;
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let sidecar = Sidecar::build(&Loaded::made(config), runtime.handle()).unwrap();
    runtime.block_on(async {
        sidecar.plane.activator.boot().await;
        let running = sidecar
            .plane
            .activator
            .spawn(&tokio::runtime::Handle::current());
        sidecar.shared.reader.clone().reached(1).await;
        running.stop().await;
    });
    let shared = Arc::clone(&sidecar.shared);
    let worker = shared.worker();
    Serving {
        handler: Handler::new(shared, worker),
        _sidecar: sidecar,
        _runtime: runtime,
        _folder: folder,
    }
}

/// A call of the handler that decides.
type Answer = fn(&Call<'_>) -> Result<Reply, Failure>;

/// Answers requests made from numbers: some to get warm, then others, where nothing may be allocated.
#[track_caller]
fn allocates_nothing(yaml: &str, route: Route, answer: Answer, input: impl Fn(u64) -> String) {
    let serving = serving(yaml);
    let handler = &serving.handler;
    let mut age = None;
    let numbers = (0..800_u64).map(|it| it.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for (index, number) in numbers.enumerate() {
        let input = input(number);
        let body = Bytes::copy_from_slice(input.as_bytes());
        let mut request = Request::new(());
        for name in ["host", "content-type", "content-length", "x-a"] {
            let value = HeaderValue::from_static("x");
            request.headers_mut().insert(name, value);
        }
        let (head, ()) = request.into_parts();
        let before = COUNT.get();
        let now = handler.shared.clock.now();
        let request_id = handler.request_id(None, now);
        let result = answer(&Call {
            handler,
            body,
            now,
            claims: None,
            principal: "",
            explain: false,
            headers: &head.headers,
            origin: Origin {
                door: route.door(),
                path: "/v1/decide",
                request_id: request_id.as_bytes(),
                ..Origin::UNKNOWN
            },
        });
        let decided = COUNT.get() - before;
        let path = head.uri.path();
        let response = handler.reply(route, path, head.headers, request_id, now, result);
        let status = response.status();
        // Its text is made once a second.
        let aged = response.headers().get("x-lictor-bundle-age").cloned();
        let is_as_old = age == aged;
        age = aged;
        // As a connection takes it.
        let mut body = std::pin::pin!(response.into_body());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let sent = http_body::Body::poll_frame(body.as_mut(), &mut context);
        assert!(matches!(&sent, std::task::Poll::Ready(Some(Ok(frame))) if frame.is_data()));
        drop(sent);
        let count = COUNT.get() - before;
        assert_eq!(status, OK, "{input}");
        assert!(
            index < 400 || count == 0 || decided == 0 && !is_as_old,
            "request {index}: {count}, {decided} of them for the decision: {input}"
        );
    }
}

#[test]
fn a_validation_allocates_nothing() {
    let policies = fixture::default_policies();
    allocates_nothing(&policies, Route::Validate, validate::validate, |number| {
        let scheme = ["http", "https"][(number % 2) as usize];
        format!(
            r#"{{"service_id":"svc-{number}","name":"caf\u00e9 {number}\n","provider_id":"p-{number}","endpoint":{{"url":"{scheme}://h{number}.example.com","authentication":"oauth2"}},"compliance":{{"level":"internal","certifications":["x-{number}","soc2"],"data_residency":["DE","US"]}},"sla":{{"availability":99.5,"support_level":"enterprise"}}}}"#
        )
    });
}

#[test]
fn a_consumption_allocates_nothing() {
    let policies = fixture::default_policies();
    allocates_nothing(
        &policies,
        Route::Consumption,
        validate::consumption,
        |number| {
            format!(
                r#"{{"consumer_id":"c-{number}","service_id":"svc-{number}","request_payload":{{"text":"{number}"}},"headers":{{"x-a":"{number}"}},"context":{{"roles":["user"]}}}}"#
            )
        },
    );
}

#[test]
fn an_access_decision_allocates_nothing() {
    let policies = fixture::access_rules(1_000);
    allocates_nothing(
        &policies,
        Route::Evaluation,
        authzen::evaluation,
        |number| {
            let (role, action, kind) = (number % 110, number % 21, number % 11);
            format!(
                r#"{{"subject":{{"type":"user","id":"user-{number}","properties":{{"roles":["role-{role}","other-{number}"]}}}},"action":{{"name":"action-{action}"}},"resource":{{"type":"type-{kind}","id":"r{number}","properties":{{"owner":"user-{number}"}}}}}}"#
            )
        },
    );
    let policies = fixture::default_policies();
    allocates_nothing(&policies, Route::AccessCheck, access::check, |number| {
        format!(
            r#"{{"user_id":"user-{number}","service_id":"svc-{number}","action":"read","context":{{"roles":["viewer"]}}}}"#
        )
    });
}

#[test]
fn a_variant_allocates_nothing() {
    allocates_nothing(
        fixture::EXPERIMENT,
        Route::Variant,
        variant::variant,
        |number| {
            format!(
                r#"{{"experiment":"checkout-rules","key":"client-{number}","context":{{"country":"DE"}}}}"#
            )
        },
    );
}

#[test]
fn the_heap_is_counted() {
    let before = COUNT.get();
    std::hint::black_box(Vec::<u8>::with_capacity(100));
    assert_eq!(COUNT.get() - before, 1);
}
