//! The decision log through the binary: events at a log service, masked, kept while it is away.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::opa_bundles::archive;
use crate::support::bundle::bundle;
use crate::support::pod::Pod;

/// A log service: keeps what it takes, and takes nothing while it is told to fail.
#[derive(Clone, Debug)]
pub(crate) struct LogService {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    fails: bool,
    refused: usize,
    pub(crate) events: Vec<Value>,
    largest: usize,
    authorization: String,
}

impl LogService {
    pub(crate) fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&serving);
                std::thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Self { address, state }
    }

    fn url(&self) -> String {
        format!("http://{}/logs", self.address)
    }

    fn fail(&self, fails: bool) {
        self.state.lock().unwrap().fails = fails;
    }

    pub(crate) fn wait(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let end = Instant::now() + Duration::from_mins(1);
        while !holds(&self.state.lock().unwrap()) {
            assert!(
                Instant::now() < end,
                "{what}: {:?}",
                self.state.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn serve(stream: std::net::TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    use std::io::{BufRead as _, Write as _};
    let mut reader = std::io::BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let (mut length, mut authorization) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if lower.starts_with("authorization:") {
                line.trim().clone_into(&mut authorization);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut state = state.lock().unwrap();
        let answer = if state.fails {
            state.refused += 1;
            "503 Service Unavailable"
        } else {
            let mut text = String::new();
            flate2::read::GzDecoder::new(body.as_slice()).read_to_string(&mut text)?;
            // Numbers that no machine has are JSON, too.
            let events: Vec<Box<RawValue>> = serde_json::from_str(&text).unwrap();
            let events = events.iter().map(|event| serde_json::from_str(event.get()));
            state.events.extend(events.map(Result::unwrap_or_default));
            state.largest = state.largest.max(length);
            state.authorization = authorization;
            "204 No Content"
        };
        drop(state);
        write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n")?;
    }
}

pub(crate) fn log(service: &LogService, pod: &Pod) -> Value {
    pod.put_at("token", b"s3cret-token");
    json!({
        "content": "full",
        "upload": {
            "url": service.url(),
            "token_file": pod.path("token"),
            "min_delay": "100ms",
            "max_delay": "200ms",
            "upload_bytes": 2000,
            "memory_bytes": "1KiB",
            "disk_dir": pod.path("events"),
        },
    })
}

#[test]
fn every_decision_arrives_once_the_service_is_back_even_over_a_restart() {
    let service = LogService::start();
    service.fail(true);
    let pod = Pod::new();
    pod.put(&bundle(1, "one"));
    pod.configure(&json!({"decision_log": log(&service, &pod)}));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    let ask = |sidecar: &crate::support::sidecar::Sidecar, count: usize| {
        let mut http = sidecar.http();
        let ids: Vec<String> = (0..count)
            .map(|n| {
                let input = json!({"service": n, "headers": {"Authorization": "Bearer x"}});
                let answer = http.post("/v1/validate", &input);
                answer.json()["decision_id"].as_str().unwrap().to_owned()
            })
            .collect();
        ids
    };
    let mut ids = ask(&sidecar, 100);
    service.wait("a refused upload", |state| state.refused > 0);
    // An orderly end keeps what was not taken.
    sidecar.process.signal("TERM");
    assert!(sidecar.process.exit().success());
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    ids.extend(ask(&sidecar, 50));
    service.fail(false);
    service.wait("all events", |state| state.events.len() >= 150);
    let state = service.state.lock().unwrap();
    let mut arrived: Vec<&str> = state
        .events
        .iter()
        .map(|event| event["decision_id"].as_str().unwrap())
        .collect();
    arrived.sort_unstable();
    ids.sort_unstable();
    assert_eq!(arrived, ids);
    assert!(state.largest <= 2000, "{}", state.largest);
    assert_eq!(state.authorization, "authorization: Bearer s3cret-token");
    let event = &state.events[0];
    assert_eq!(event["path"], "v1/validate");
    assert_eq!(event["labels"]["tenant"], "acme");
    assert_eq!(event["result"]["compliant"], false);
    assert!(event["bundles"]["main"]["revision"].is_string(), "{event}");
    assert!(event["input"]["service"].is_number());
    assert_eq!(
        event["input"]["headers"],
        json!({}),
        "credentials are not shown"
    );
    assert_eq!(event["erased"], json!(["/input/headers/Authorization"]));
    drop(state);
    let page = sidecar.metrics();
    let lost = page
        .lines()
        .filter(|line| line.starts_with("lictor_decision_log_not_delivered_total{"))
        .all(|line| line.ends_with(" 0"));
    assert!(lost, "{page}");
}

#[test]
fn the_bundle_says_what_is_masked_and_what_is_not_logged() {
    let service = LogService::start();
    let pod = Pod::new();
    pod.put(&archive(&[(
        "p.rego",
        r#"package system.log

mask contains "/input/ssn"
mask contains {"op": "upsert", "path": "/input/name", "value": "***"}
drop if input.input.path == "health"
"#,
    )]));
    pod.configure(&json!({
        "keyring": "",
        "cache": {"dir": "none"},
        "decision_log": log(&service, &pod),
        "sources": [{
            "name": "main", "profile": "opa", "allow_unsigned": true,
            "url": pod.path("source.tar.gz"),
        }],
    }));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    sidecar.post("/v1/validate", r#"{"path": "health"}"#);
    sidecar.post("/v1/validate", r#"{"ssn": "1", "name": "ada", "n": 2}"#);
    service.wait("an event", |state| !state.events.is_empty());
    let state = service.state.lock().unwrap();
    assert_eq!(state.events.len(), 1, "{:?}", state.events);
    let event = &state.events[0];
    assert_eq!(event["input"], json!({"name": "***", "n": 2}));
    assert_eq!(event["erased"], json!(["/input/ssn"]));
    assert_eq!(event["masked"], json!(["/input/name"]));
}

#[test]
fn a_mask_that_fails_shows_nothing() {
    let service = LogService::start();
    let pod = Pod::new();
    pod.put(&archive(&[(
        "p.rego",
        "package system.log\n\nmask := [\"no pointer\"]\n",
    )]));
    pod.configure(&json!({
        "keyring": "",
        "cache": {"dir": "none"},
        "decision_log": log(&service, &pod),
        "sources": [{
            "name": "main", "profile": "opa", "allow_unsigned": true,
            "url": pod.path("source.tar.gz"),
        }],
    }));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    let answer = sidecar.post("/v1/validate", r#"{"ssn": "1"}"#);
    assert_eq!(answer.status, 200, "the request is answered all the same");
    let lost = "lictor_decision_log_not_delivered_total{reason=\"mask\"}";
    let end = Instant::now() + Duration::from_secs(30);
    while sidecar.metric(lost) != Some(1.0) {
        assert!(Instant::now() < end, "{}", sidecar.metrics());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(service.state.lock().unwrap().events.is_empty());
}
