//! OPA's management: discovery, and what is told of the status, with a server in the test and beside a real OPA.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::opa_bundles::archive;
use crate::opa_bundles::server::BundleServer;
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;
use crate::support::{Http, lictor, outside};

/// A bundle whose document `config` is the configuration.
fn discovery(revision: &str, config: &Value) -> Vec<u8> {
    archive(&[
        (".manifest", &json!({"revision": revision}).to_string()),
        ("data.json", &json!({ "config": config }).to_string()),
    ])
}

/// A bundle that owns `name` and says this word there.
fn word(name: &str, word: &str) -> Vec<u8> {
    archive(&[
        (
            ".manifest",
            &json!({"revision": word, "roots": [name]}).to_string(),
        ),
        (
            &format!("{name}/p.rego"),
            &format!("package {name}\n\nword := \"{word}\"\n"),
        ),
    ])
}

fn boot(server: &BundleServer, more: &Value) -> Value {
    let mut boot = json!({
        "services": {"acme": {"url": server.url("")}},
        "labels": {"app": "boot"},
        "discovery": {
            "resource": "discovery", "decision": "config",
            "polling": {"min_delay_seconds": 1, "max_delay_seconds": 1},
        },
    });
    for (name, value) in more.as_object().unwrap() {
        boot[name] = value.clone();
    }
    boot
}

/// What is discovered: this bundle, polled every second.
fn bundles(names: &[&str]) -> Value {
    let all = names.iter().map(|name| {
        let polling = json!({"min_delay_seconds": 1, "max_delay_seconds": 1});
        let bundle = json!({"service": "acme", "resource": name, "polling": polling});
        ((*name).to_owned(), bundle)
    });
    Value::Object(all.collect())
}

fn start(pod: &Pod, boot: &Value) -> Sidecar {
    pod.put_at("opa.json", boot.to_string().as_bytes());
    let mut command = lictor();
    command
        .arg("sidecar")
        .arg("--opa-config")
        .arg(pod.path("opa.json"))
        .current_dir(pod.path("."))
        .env("REGION", "eu")
        .env("LICTOR_OPA__ALLOW_UNSIGNED", "true")
        .env("LICTOR_LISTENERS__HTTP__ADDRESS", "127.0.0.1:0")
        .env("LICTOR_LISTENERS__GRPC__ADDRESS", "127.0.0.1:0")
        .env("LICTOR_LISTENERS__ADMIN__ADDRESS", "127.0.0.1:0");
    pod.spawn(&mut command)
}

fn said(sidecar: &Sidecar, name: &str) -> Value {
    let answer = sidecar.post(&format!("/v1/data/{name}/word"), "{}");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["result"].clone()
}

fn until<T>(what: &str, mut state: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = state() {
            return found;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
#[test]
fn what_is_discovered_holds_at_run_time_and_what_is_wrong_with_it_changes_nothing() {
    let server = BundleServer::start();
    server.put("one", word("one", "first"), "\"1\"");
    server.put("two", word("two", "second"), "\"2\"");
    let config = json!({
        "bundles": bundles(&["one"]),
        "labels": {"app": "other", "region": "${REGION}"},
        "default_decision": "/one/word",
        "decision_logs": {
            "service": "acme",
            "reporting": {"min_delay_seconds": 1, "max_delay_seconds": 1},
        },
        "status": {"service": "acme", "partition_name": "p"},
    });
    server.put("discovery", discovery("d1", &config), "\"d1\"");
    let pod = Pod::new();
    let mut sidecar = start(&pod, &boot(&server, &json!({})));
    sidecar.wait_ready();
    assert_eq!(said(&sidecar, "one"), "first");
    let shown = sidecar.http().get("/v1/config").json();
    let labels = &shown["result"]["labels"];
    assert_eq!(
        (&labels["app"], &labels["region"]),
        (&json!("boot"), &json!("eu"))
    );
    let id = labels["id"].clone();
    // Decisions are logged, and answers carry their id.
    let answer = sidecar.post("/", "{}");
    assert_eq!(answer.text(), "\"first\"\n");
    let answer = sidecar.post("/v1/data/one/word", "{}").json();
    let decision = answer["decision_id"].clone();
    assert!(decision.is_string(), "{answer}");
    until("the decision's event", || {
        let posts = server.posts("logs");
        let mut events = posts.iter().flat_map(|post| post.body.as_array().unwrap());
        events
            .any(|event| event["decision_id"] == decision)
            .then_some(())
    });
    let told = until("a status of what is in force", || {
        let posts = server.posts("status/p");
        let last = posts.last()?.body.clone();
        (last["bundles"]["one"]["active_revision"] == "first"
            && last["discovery"]["active_revision"] == "d1"
            && last["decision_logs"] == json!({}))
        .then_some(last)
    });
    let overridden =
        "Keys in the discovered configuration overridden by boot configuration: labels.app";
    assert_eq!(told["discovery"]["message"], overridden);
    // While requests are served another bundle takes its place: none is dropped.
    let address = sidecar.http;
    let asking = std::thread::spawn(move || {
        let mut http = Http::tcp(address);
        let end = Instant::now() + Duration::from_secs(4);
        let mut answers = 0;
        while Instant::now() < end {
            let answer = http.send("POST", "/v1/data/one/word", &[], "{}");
            assert_eq!(answer.status, 200, "{}", answer.text());
            answers += 1;
        }
        answers
    });
    let mut next = config.clone();
    next["bundles"] = bundles(&["one", "two"]);
    server.put("discovery", discovery("d2", &next), "\"d2\"");
    sidecar.wait_for("both bundles", |status| {
        status["bundle"]["bundles"]
            .as_array()
            .is_some_and(|all| all.len() == 2)
    });
    assert_eq!(said(&sidecar, "two"), "second");
    assert_eq!(said(&sidecar, "one"), "first");
    assert!(asking.join().unwrap() > 0);
    let shown = sidecar.http().get("/v1/config").json();
    assert_eq!(shown["result"]["labels"]["id"], id);
    // What cannot hold changes nothing and is told.
    for (index, (bad, message)) in [
        (json!({"bundels": {}}), "unknown key `bundels`"),
        (
            json!({"services": {"acme": {"url": "http://127.0.0.1:1"}}}),
            "updates to the discovery service are not allowed",
        ),
        (
            json!({"bundles": {"x": {"service": "nobody"}}}),
            "no service `nobody`",
        ),
        (json!([1]), "no mapping of sections"),
        (json!({"plugins": {"mine": {}}}), "plugins cannot be loaded"),
    ]
    .into_iter()
    .enumerate()
    {
        server.put(
            "discovery",
            discovery("bad", &bad),
            &format!("\"bad{index}\""),
        );
        let status = sidecar.wait_for(message, |status| {
            let detail = status["discovery"]["last_error"]["detail"].as_str();
            detail.is_some_and(|detail| detail.contains(message))
        });
        assert_eq!(status["discovery"]["active"]["revision"], "d2");
        assert_eq!(said(&sidecar, "two"), "second");
    }
    server.put("discovery", b"no archive".to_vec(), "\"garbage\"");
    sidecar.wait_for("garbage", |status| {
        status["discovery"]["last_error"]["step"] == 11
    });
    server.put(
        "discovery",
        archive(&[("data.json", r#"{"other": 1}"#)]),
        "\"none\"",
    );
    let told = until("a status of the error", || {
        let last = server.posts("status/p").last()?.body["discovery"].clone();
        (last["message"] == "undefined configuration").then_some(last)
    });
    assert_eq!(
        (&told["code"], &told["active_revision"]),
        (&json!("bundle_error"), &json!("d2"))
    );
    // A bundle that is gone decides no more; what stays does.
    let mut last = config;
    last["bundles"] = bundles(&["two"]);
    last["decision_logs"] = Value::Null;
    server.put("discovery", discovery("d3", &last), "\"d3\"");
    sidecar.wait_for("the bundle that stays", |status| {
        status["bundle"]["bundles"]
            .as_array()
            .is_some_and(|all| all.len() == 1)
    });
    assert_eq!(said(&sidecar, "two"), "second");
    assert_eq!(said(&sidecar, "one"), Value::Null);
    until("no more ids", || {
        let answer = sidecar.post("/v1/data/two/word", "{}").json();
        answer["decision_id"].is_null().then_some(())
    });
    last["bundles"] = json!({});
    server.put("discovery", discovery("d4", &last), "\"d4\"");
    until("nothing decides", || {
        (sidecar.post("/v1/data/two/word", "{}").status == 503).then_some(())
    });
}

/// `opa build` of a discovery bundle, signed with the secret in this file.
fn signed_discovery(opa: &Path, folder: &Path, revision: &str, config: &Value) -> Vec<u8> {
    let into = folder.join(revision);
    std::fs::create_dir_all(&into).unwrap();
    let manifest = json!({"revision": revision, "roots": [""]});
    std::fs::write(into.join(".manifest"), manifest.to_string()).unwrap();
    let data = json!({ "config": config });
    std::fs::write(into.join("data.json"), data.to_string()).unwrap();
    let output = Command::new(opa)
        .current_dir(folder)
        .args(["build", "--bundle", revision, "--output", "out.tar.gz"])
        .args(["--signing-alg", "HS256", "--signing-key", "secret"])
        .args(["--verification-key-id", "boot"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::read(folder.join("out.tar.gz")).unwrap()
}

#[test]
fn a_discovery_bundle_that_must_be_signed_is_nothing_without_its_signature() {
    let Some(opa) = outside("opa") else { return };
    let server = BundleServer::start();
    server.put("one", word("one", "first"), "\"1\"");
    server.put("two", word("two", "second"), "\"2\"");
    let pod = Pod::new();
    let folder = pod.path("sign");
    std::fs::create_dir_all(&folder).unwrap();
    let secret = "a-secret-of-more-than-thirty-two-bytes";
    std::fs::write(folder.join("secret"), secret).unwrap();
    let signed = |revision: &str, name: &str| {
        let config = json!({"bundles": bundles(&[name])});
        signed_discovery(&opa, &folder, revision, &config)
    };
    server.put("discovery", signed("d1", "one"), "\"d1\"");
    let mut boot = boot(
        &server,
        &json!({"keys": {"boot": {"key": secret, "algorithm": "HS256"}}}),
    );
    boot["discovery"]["signing"] = json!({"keyid": "boot"});
    let mut sidecar = start(&pod, &boot);
    sidecar.wait_ready();
    assert_eq!(said(&sidecar, "one"), "first");
    // Another document under the old signature, and one without any.
    let forged = json!({"bundles": bundles(&["two"])});
    for (tag, bad, code) in [
        ("unsigned", discovery("d2", &forged), "untrusted"),
        (
            "tampered",
            crate::opa_bundles::changed(&signed("d2", "one"), "one", "two"),
            "tampered",
        ),
    ] {
        server.put("discovery", bad, &format!("\"{tag}\""));
        let status = sidecar.wait_for(tag, |status| {
            status["discovery"]["last_error"]["code"] == code
        });
        assert_eq!(status["discovery"]["active"]["revision"], "d1");
        assert_eq!(said(&sidecar, "one"), "first");
    }
    server.put("discovery", signed("d3", "two"), "\"d3\"");
    sidecar.wait_for("what is signed", |status| {
        status["discovery"]["active"]["revision"] == "d3"
    });
    until("the other bundle", || {
        (said(&sidecar, "two") == "second").then_some(())
    });
}

#[test]
fn discovery_by_long_polling_hears_of_a_change_at_once() {
    let server = BundleServer::start();
    server.hold();
    server.put("one", word("one", "first"), "\"1\"");
    server.put("two", word("two", "second"), "\"2\"");
    let config = |name: &str| json!({"bundles": bundles(&[name])});
    server.put("discovery", discovery("d1", &config("one")), "\"d1\"");
    let pod = Pod::new();
    let mut boot = boot(&server, &json!({}));
    // Polling alone would not hear of anything within this test.
    boot["discovery"]["polling"] = json!({
        "min_delay_seconds": 3600, "max_delay_seconds": 3600, "long_polling_timeout_seconds": 60,
    });
    let mut sidecar = start(&pod, &boot);
    sidecar.wait_ready();
    assert_eq!(said(&sidecar, "one"), "first");
    let held = until("a held request", || {
        let head = server.last_request("discovery");
        head.contains("wait=60").then_some(head)
    });
    assert!(held.contains("if-none-match: \"d1\""), "{held}");
    server.put("discovery", discovery("d2", &config("two")), "\"d2\"");
    sidecar.wait_for("the change", |status| {
        status["discovery"]["active"]["revision"] == "d2"
    });
    until("the other bundle", || {
        (said(&sidecar, "two") == "second").then_some(())
    });
}

#[test]
fn uploads_that_are_too_large_for_the_service_are_halved_and_none_is_lost() {
    let server = BundleServer::start();
    server.put("one", word("one", "first"), "\"1\"");
    server.answer_posts_with(503, "retry-after: 1\r\n");
    let pod = Pod::new();
    let config = json!({
        "services": {"acme": {"url": server.url("")}},
        "bundles": bundles(&["one"]),
        "decision_logs": {
            "service": "acme",
            "reporting": {"min_delay_seconds": 0, "max_delay_seconds": 1},
        },
    });
    let mut sidecar = start(&pod, &config);
    sidecar.wait_ready();
    let mut ids = BTreeSet::new();
    for number in 0..60 {
        // What hardly compresses.
        let noise: Vec<u64> = (0..20).map(|_| rand::random()).collect();
        let body = json!({"input": {"number": number, "noise": noise}});
        let answer = sidecar.post("/v1/data/one/word", &body.to_string());
        ids.insert(answer.json()["decision_id"].as_str().unwrap().to_owned());
    }
    let huge: Vec<u64> = (0..1000).map(|_| rand::random()).collect();
    let body = json!({"input": huge});
    sidecar.post("/v1/data/one/word", &body.to_string());
    until("a refused upload", || {
        (!server.posts("logs").is_empty()).then_some(())
    });
    server.take_posts_of(4000);
    server.answer_posts_with(200, "");
    let arrived = || {
        let posts = server.posts("logs");
        let taken = posts.iter().flat_map(|post| post.body.as_array().unwrap());
        let events: Vec<Value> = taken.cloned().collect();
        let found: BTreeSet<String> = events
            .iter()
            .map(|event| event["decision_id"].as_str().unwrap().to_owned())
            .collect();
        ids.is_subset(&found).then_some(events)
    };
    let events = until("every event", arrived);
    let event = &events[0];
    assert_eq!(event["path"], "one/word");
    assert_eq!(event["result"], "first");
    assert!(event["input"]["noise"].is_array(), "{event}");
    assert_eq!(event["bundles"]["one"]["revision"], "first");
    let lost = "lictor_decision_log_not_delivered_total{reason=\"too_large\"}";
    until("the one that can never be taken", || {
        (sidecar.metric(lost) == Some(1.0)).then_some(())
    });
}

#[test]
fn a_query_is_logged_as_one() {
    let server = BundleServer::start();
    server.put("one", word("one", "first"), "\"1\"");
    let pod = Pod::new();
    let config = json!({
        "services": {"acme": {"url": server.url("")}},
        "bundles": bundles(&["one"]),
        "decision_logs": {
            "service": "acme",
            "reporting": {"min_delay_seconds": 0, "max_delay_seconds": 1},
        },
    });
    let mut sidecar = start(&pod, &config);
    sidecar.wait_ready();
    let query = "x = data.one.word";
    sidecar.post("/v1/query", &json!({ "query": query }).to_string());
    let event = until("the event", || {
        let posts = server.posts("logs");
        let events: Vec<Value> = posts
            .iter()
            .flat_map(|post| post.body.as_array().unwrap().clone())
            .collect();
        events.into_iter().find(|event| event["query"] == query)
    });
    assert_eq!(event["result"], json!([{"x": "first"}]));
    assert!(event["path"].is_null(), "{event}");
}

#[test]
fn what_was_discovered_survives_a_restart_without_its_server() {
    let server = BundleServer::start();
    server.put("one", word("one", "kept"), "\"1\"");
    let mut config = json!({"bundles": bundles(&["one"])});
    config["bundles"]["one"]["persist"] = json!(true);
    server.put("discovery", discovery("d1", &config), "\"d1\"");
    let pod = Pod::new();
    let mut boot = boot(&server, &json!({"persistence_directory": pod.path("kept")}));
    boot["discovery"]["persist"] = json!(true);
    let mut sidecar = start(&pod, &boot);
    sidecar.wait_ready();
    drop(sidecar);
    server.stop();
    let mut sidecar = start(&pod, &boot);
    sidecar.wait_ready();
    assert_eq!(said(&sidecar, "one"), "kept");
    assert_eq!(sidecar.status()["discovery"]["active"]["revision"], "d1");
}

#[test]
fn a_status_that_was_not_taken_is_sent_again() {
    let server = BundleServer::start();
    server.put("one", word("one", "first"), "\"1\"");
    server.answer_posts(503);
    let pod = Pod::new();
    let config = json!({
        "services": {"acme": {"url": server.url(""), "headers": {"x-team": "a"}}},
        "bundles": bundles(&["one", "none"]),
        "status": {"service": "acme", "console": true, "prometheus": true},
    });
    let sidecar = start(&pod, &config);
    until("a refused status", || {
        (!server.posts("status/").is_empty()).then_some(())
    });
    server.answer_posts(200);
    let told = until("the status", || {
        let posts = server.posts("status/");
        let post = posts.last()?.clone();
        (post.body["bundles"]["none"]["http_code"] == 404).then_some(post)
    });
    assert!(told.head.contains("x-team: a"), "{}", told.head);
    let none = &told.body["bundles"]["none"];
    assert_eq!(none["message"], "server replied with Not Found");
    assert_eq!(none["last_successful_request"], "0001-01-01T00:00:00Z");
    assert_eq!(told.body["plugins"]["bundle"]["state"], "NOT_READY");
    // Readiness says so, too.
    assert_eq!(sidecar.http().get("/health?bundles").status, 500);
    assert_eq!(sidecar.http().get("/health?plugins").status, 500);
    let excluded = sidecar.http().get("/health?plugins&exclude-plugin=bundle");
    assert_eq!(excluded.status, 200);
    // On the console and in metrics under OPA's names.
    let lines = sidecar.process.stdout();
    let line = lines
        .iter()
        .find(|line| line.contains("openpolicyagent.org/status"));
    let line: Value = serde_json::from_str(line.unwrap()).unwrap();
    assert_eq!(line["msg"], "Status Log");
    let page = sidecar.http().get("/metrics").text();
    for line in [
        "opa_info{",
        "plugin_status_gauge{name=\"bundle\",status=\"NOT_READY\"} 1",
        "bundle_failed_load_counter{code=\"bundle_error\",message=\"http_status\",name=\"none\"}",
        "last_bundle_request{name=\"none\"}",
        "bundle_loading_duration_ns_count{name=\"none\",stage=\"timer_bundle_request_ns\"}",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
}

/// A real OPA by this configuration. Killed when dropped.
struct Opa(Child, SocketAddr);

impl Opa {
    fn start(opa: &Path, config: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = Command::new(opa)
            .args(["run", "--server", "--log-level", "error"])
            .args(["--addr", &address.to_string(), "--config-file"])
            .arg(config)
            .env("REGION", "eu")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child, address)
    }
}

impl Drop for Opa {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The paths of all members, and the kinds of their values, but for what `known` lists.
fn shape(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                shape(value, &format!("{path}/{name}"), out);
            }
        }
        Value::Array(_) => drop(out.insert(format!("{path}: array"))),
        Value::Bool(_) => drop(out.insert(format!("{path}: bool"))),
        Value::Number(_) => drop(out.insert(format!("{path}: number"))),
        Value::String(_) => drop(out.insert(format!("{path}: text"))),
        Value::Null => drop(out.insert(format!("{path}: null"))),
    }
}

/// Something that runs until it is dropped, and where it answers.
type Running = (Box<dyn std::any::Any>, SocketAddr);

#[test]
fn a_real_opa_tells_the_same_of_the_same_discovery() {
    let Some(opa) = outside("opa") else { return };
    let told = |start: &dyn Fn(&BundleServer) -> Running| {
        let server = BundleServer::start();
        server.put("one", word("one", "first"), "\"1\"");
        server.answer_posts(503);
        let config = json!({
            "bundles": bundles(&["one", "none"]),
            "labels": {"region": "${REGION}", "app": "other"},
            "decision_logs": {
                "service": "acme",
                "reporting": {"min_delay_seconds": 1, "max_delay_seconds": 1},
            },
            "status": {"service": "acme", "partition_name": "p"},
            "default_decision": "one/word",
        });
        server.put("discovery", discovery("d1", &config), "\"d1\"");
        let (running, address) = start(&server);
        let mut last = Value::Null;
        let until_told = until("the status", || {
            if let Ok(mut http) = Http::try_tcp(address) {
                drop(http.try_send("POST", "/v1/data/one/word", &[], "{}"));
            }
            last = server.posts("status/p").last()?.body.clone();
            let is_whole = last["bundles"]["none"]["http_code"] == 404
                && last["discovery"]["active_revision"] == "d1"
                && last["decision_logs"]["http_code"] == 503
                && last["bundles"]["one"]["last_request"].is_string();
            is_whole.then(|| last.clone())
        });
        let shown = Http::tcp(address).get("/v1/status").json();
        drop(running);
        let mut whole = until_told;
        let mut names = BTreeSet::new();
        let metrics = whole["metrics"]["prometheus"].as_object().unwrap();
        let duration = metrics["http_request_duration_seconds"].clone();
        whole["metrics"] = json!({"prometheus": {"http_request_duration_seconds": duration}});
        shape(&whole, "", &mut names);
        (
            whole,
            names,
            shown["result"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>(),
        )
    };
    let pod = Pod::new();
    let (theirs, their_names, their_status) = told(&|server| {
        pod.put_at("opa.json", boot(server, &json!({})).to_string().as_bytes());
        let opa = Opa::start(&opa, &pod.path("opa.json"));
        let address = opa.1;
        (Box::new(opa), address)
    });
    let (ours, our_names, our_status) = told(&|server| {
        let sidecar = start(&pod, &boot(server, &json!({})));
        let address = sidecar.http;
        (Box::new(sidecar), address)
    });
    // Ours decides nothing until every bundle is there; and of the stages of loading it tells two.
    let is_known = |name: &String| {
        name.starts_with("/bundles/one/active_revision")
            || name.starts_with("/bundles/one/type")
            || name.starts_with("/bundles/one/size")
            || name.contains("/metrics/timer_")
            // Once it holds, and where it does so before the first status.
            || name.starts_with("/discovery/message")
    };
    let differ: Vec<&String> = their_names
        .symmetric_difference(&our_names)
        .filter(|name| !is_known(name))
        .collect();
    assert!(
        differ.is_empty(),
        "{differ:#?}\nOPA:\n{theirs:#}\nours:\n{ours:#}"
    );
    assert_eq!(their_status, our_status);
    for path in [
        "/decision_logs",
        "/bundles/none/message",
        "/bundles/none/code",
        "/plugins/discovery",
        "/labels/app",
        "/labels/region",
    ] {
        assert_eq!(theirs.pointer(path), ours.pointer(path), "{path}");
    }
}
