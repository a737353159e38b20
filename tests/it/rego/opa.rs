//! A running OPA, asked over its REST API.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Answer;

pub struct Opa {
    process: Child,
    port: u16,
}

impl Drop for Opa {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Opa {
    pub fn start(binary: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new(binary)
            .args([
                "run",
                "--server",
                "--log-level",
                "error",
                "--disable-telemetry",
            ])
            .args(["--addr", &format!("127.0.0.1:{port}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let opa = Self { process, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "OPA does not listen");
            std::thread::yield_now();
        }
        opa
    }

    /// Status and body.
    fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: opa\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    pub fn put_data(&self, path: &str, value: &Value) {
        let (status, body) = self.send("PUT", &format!("/v1/data/{path}"), &value.to_string());
        assert_eq!(status, 204, "{body}");
    }

    pub fn put_module(&self, name: &str, text: &str) -> Result<(), String> {
        match self.send("PUT", &format!("/v1/policies/{name}"), text) {
            (200, _) => Ok(()),
            (_, body) => Err(body),
        }
    }

    pub fn delete_module(&self, name: &str) {
        let (status, body) = self.send("DELETE", &format!("/v1/policies/{name}"), "");
        assert_eq!(status, 200, "{body}");
    }

    pub fn ask(&mut self, package: &str, rule: &str, input: &Value) -> Answer {
        let body = json!({ "input": input }).to_string();
        let (status, text) = self.send("POST", &format!("/v1/data/{package}/{rule}"), &body);
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        if status != 200 {
            let code = answer["errors"][0]["code"].as_str().unwrap_or_default();
            return Answer::Error(code.to_owned(), text);
        }
        match answer.as_object_mut().unwrap().remove("result") {
            Some(value) => Answer::Value(value),
            None => Answer::Undefined,
        }
    }
}
