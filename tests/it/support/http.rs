//! A small HTTP/1.1 client that blocks, over TCP or a Unix socket.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::runtime::Runtime;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(70);

/// One connection.
#[derive(Debug)]
pub struct Http {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

impl Http {
    /// Connects over TCP.
    pub fn tcp(address: SocketAddr) -> Self {
        Self::try_tcp(address).unwrap()
    }

    /// Connects over TCP, if someone listens.
    pub fn try_tcp(address: SocketAddr) -> std::io::Result<Self> {
        let runtime = runtime();
        let stream = runtime.block_on(tokio::net::TcpStream::connect(address))?;
        stream.set_nodelay(true)?;
        Self::over(runtime, TokioIo::new(stream), address.to_string())
    }

    /// Connects to a Unix socket.
    pub fn unix(path: &Path) -> Self {
        let runtime = runtime();
        let stream = runtime
            .block_on(tokio::net::UnixStream::connect(path))
            .unwrap();
        Self::over(runtime, TokioIo::new(stream), "localhost".into()).unwrap()
    }

    fn over<S>(runtime: Runtime, stream: S, host: String) -> std::io::Result<Self>
    where
        S: Read + Write + Unpin + Send + 'static,
    {
        let (sender, connection) = runtime
            .block_on(handshake(stream))
            .map_err(std::io::Error::other)?;
        runtime.spawn(connection);
        Ok(Self {
            runtime,
            sender,
            host,
        })
    }

    /// Sends a request and reads the whole answer; an error when the connection breaks.
    pub fn try_send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, hyper::Error> {
        let mut request = hyper::Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", &self.host);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let sender = &mut self.sender;
        self.runtime.block_on(async {
            let whole = async {
                sender.ready().await?;
                let (head, body) = sender.send_request(request).await?.into_parts();
                Ok(Answer {
                    status: head.status.as_u16(),
                    headers: head.headers,
                    body: body.collect().await?.to_bytes(),
                })
            };
            tokio::time::timeout(PATIENCE, whole)
                .await
                .expect("no answer in time")
        })
    }

    /// Sends a request and reads the whole answer.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.try_send(method, path, headers, body).unwrap()
    }

    /// `GET` without a body.
    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], Bytes::new())
    }

    /// `POST` of a JSON body.
    pub fn post(&mut self, path: &str, body: &serde_json::Value) -> Answer {
        let json = [("content-type", "application/json")];
        self.send("POST", path, &json, body.to_string())
    }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {:?}", self.status, self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, empty where absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}
