//! A real Envoy with one of the configurations of `deploy/envoy`, and an application behind it.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use super::{Answer, Http, Lictor, scratch};

/// A running Envoy. Killed when dropped.
#[derive(Debug)]
pub struct Envoy {
    process: Lictor,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Envoy {
    /// Starts `program` with `deploy/envoy/<file>`, in which ports and whatever else is named are replaced.
    pub fn start(program: &Path, file: &str, replace: &[(&str, &str)]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut text = std::fs::read_to_string(root.join("deploy/envoy").join(file)).unwrap();
        let (a, b) = (application("a"), application("b"));
        let (address, admin) = (free_port(), free_port());
        let ports = [
            (
                "port_value: 10000",
                format!("port_value: {}", address.port()),
            ),
            ("port_value: 9901", format!("port_value: {}", admin.port())),
            ("port_value: 8080", format!("port_value: {}", a.port())),
            ("port_value: 8081", format!("port_value: {}", b.port())),
        ];
        for (from, to) in ports
            .iter()
            .map(|(from, to)| (*from, to.as_str()))
            .chain(replace.iter().copied())
        {
            assert!(text.contains(from), "{file} holds no `{from}`");
            text = text.replace(from, to);
        }
        let dir = scratch();
        let config = dir.path().join("envoy.yaml");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(program);
        command
            .arg("-c")
            .arg(&config)
            .args(["--concurrency", "1", "--disable-hot-restart"])
            .args(["--log-level", "warning"])
            .stdin(Stdio::null());
        let mut process = Lictor::spawn(&mut command);
        process.wait_for("Envoy's readiness", |_| {
            let ready = Http::try_tcp(admin).ok()?.get("/ready");
            (ready.status == 200).then_some(())
        });
        Self {
            process,
            address,
            _dir: dir,
        }
    }

    /// A connection of a client.
    pub fn client(&self) -> Http {
        Http::tcp(self.address)
    }

    /// A line of the access log, parsed, once `state` holds for one.
    pub fn logged(&mut self, what: &str, state: impl Fn(&Value) -> bool) -> Value {
        self.process.wait_for(what, |process| {
            let lines = process.stdout();
            let mut lines = lines
                .iter()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| state(line))
        })
    }
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// An application that answers what it was asked, until the tests end.
fn application(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(move |request| echo(name, request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { drop(connection.await) });
            }
        });
    });
    address
}

async fn echo(
    name: &'static str,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let headers: serde_json::Map<String, Value> = head
        .headers
        .keys()
        .map(|name| {
            let values: Vec<_> = head
                .headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect();
            (name.to_string(), json!(values.join("|")))
        })
        .collect();
    let answer = json!({
        "app": name,
        "target": head.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body.unwrap_or_default()),
    });
    Ok(Response::new(Full::new(answer.to_string().into())))
}

/// What the application behind Envoy was asked; panics where it was not.
pub fn asked(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}
