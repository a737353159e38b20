//! Sends requests and times the answers: closed loop (saturation) and open loop (a schedule).
//!
//! One thread, raw sockets and prepared request bytes, so that the generator costs less than what it
//! measures. It watches its own CPU time: a run that used more than nine tenths of its core was limited by
//! the generator and says so.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::{AddrParseError, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::machine::ProcessReading;
use crate::recording::Recording;
use crate::schedule::Schedule;

/// How the systems are reached; peers only ever over TCP.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    #[default]
    Tcp,
    Unix,
}

/// Where requests go.
#[derive(Clone, Debug)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// `host:port`, or a path.
impl FromStr for Address {
    type Err = AddrParseError;

    fn from_str(text: &str) -> std::result::Result<Self, AddrParseError> {
        if text.contains('/') {
            Ok(Self::Unix(text.into()))
        } else {
            text.parse().map(Self::Tcp)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => path.display().fmt(formatter),
        }
    }
}

impl Address {
    /// Where a system of a scenario shall listen.
    ///
    /// # Errors
    ///
    /// Where loopback has no free port.
    pub fn free(transport: Transport, socket: PathBuf) -> Result<Self> {
        Ok(match transport {
            Transport::Tcp => Self::Tcp(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?),
            Transport::Unix => Self::Unix(socket),
        })
    }
}

/// A prepared request.
#[derive(Clone, Debug)]
pub struct PreparedRequest {
    pub bytes: Vec<u8>,
    /// Statuses that count as an answer.
    pub expected: Vec<u16>,
}

/// How requests are paced.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As fast as answers come, for a while: throughput at saturation.
    Closed(Duration),
    /// By a schedule, whatever the server does.
    Open(Schedule),
}

/// One run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub address: Address,
    pub requests: Rc<[PreparedRequest]>,
    pub connections: usize,
    pub pace: Pace,
}

/// How long a single answer may take before it counts as an error.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// Runs a plan on this thread.
///
/// # Errors
///
/// Where no connection can be made at all.
pub fn run(plan: &Plan) -> Result<Recording> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, drive(plan))
}

async fn drive(plan: &Plan) -> Result<Recording> {
    let mut streams = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        streams.push(Connection::open(&plan.address).await?);
    }
    let shared = Rc::new(Shared {
        plan: plan.clone(),
        next: Cell::new(0),
        recording: RefCell::new(Recording::default()),
        start: Instant::now(),
    });
    let own_cpu = ProcessReading::of(std::process::id())?.cpu_micros;
    let tasks: Vec<_> = streams
        .into_iter()
        .map(|stream| tokio::task::spawn_local(work(Rc::clone(&shared), stream)))
        .collect();
    for task in tasks {
        task.await.context("a connection's task failed")?;
    }
    let elapsed = shared.start.elapsed().as_secs_f64();
    let own_cpu = ProcessReading::of(std::process::id())?.cpu_micros - own_cpu;
    let mut recording = shared.recording.take();
    recording.elapsed_seconds = elapsed;
    recording.generator_busy = own_cpu / 1e6 / elapsed;
    Ok(recording)
}

struct Shared {
    plan: Plan,
    next: Cell<u64>,
    recording: RefCell<Recording>,
    start: Instant,
}

impl Shared {
    /// The next request's number and intended moment; None when the run is over.
    fn take(&self) -> Option<(u64, Instant)> {
        let index = self.next.get();
        let intended = match self.plan.pace {
            Pace::Closed(duration) => {
                let now = Instant::now();
                (now.duration_since(self.start) < duration).then_some(now)?
            }
            Pace::Open(schedule) => {
                (index < schedule.count()).then(|| self.start + schedule.intended(index))?
            }
        };
        self.next.set(index + 1);
        Some((index, intended))
    }
}

async fn work(shared: Rc<Shared>, mut connection: Connection) {
    let requests = Rc::clone(&shared.plan.requests);
    while let Some((index, intended)) = shared.take() {
        wait_until(intended).await;
        if Instant::now().duration_since(intended) > Duration::from_millis(1) {
            shared.recording.borrow_mut().late += 1;
        }
        let request = &requests[index as usize % requests.len()];
        if let Ok(Ok(status)) =
            tokio::time::timeout(ANSWER_DEADLINE, connection.ask(&request.bytes)).await
        {
            let nanos = u64::try_from(intended.elapsed().as_nanos()).unwrap_or(u64::MAX);
            shared
                .recording
                .borrow_mut()
                .answer(nanos, request.expected.contains(&status));
            continue;
        }
        shared.recording.borrow_mut().errors += 1;
        if let Ok(fresh) = Connection::open(&shared.plan.address).await {
            connection = fresh;
        } else {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Waits by yielding: the timer's resolution of a millisecond would be the latency measured.
async fn wait_until(moment: Instant) {
    loop {
        let now = Instant::now();
        if now >= moment {
            return;
        }
        if moment - now > Duration::from_millis(3) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &Address) -> Result<Self> {
        let stream = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address)
                    .await
                    .with_context(|| format!("connecting to {address}"))?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Address::Unix(path) => Stream::Unix(
                UnixStream::connect(path)
                    .await
                    .with_context(|| format!("connecting to {}", path.display()))?,
            ),
        };
        Ok(Self {
            stream,
            buffer: vec![0; 64 * 1024],
        })
    }

    /// Sends a request and reads one whole answer; its status.
    async fn ask(&mut self, request: &[u8]) -> Result<u16> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(request).await?,
            Stream::Unix(stream) => stream.write_all(request).await?,
        }
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(filled * 2, 0);
            }
            let free = &mut self.buffer[filled..];
            let read = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(free).await?,
                Stream::Unix(stream) => stream.read(free).await?,
            };
            if read == 0 {
                bail!("the server closed the connection");
            }
            filled += read;
            if let Some(answer) = parse(&self.buffer[..filled])? {
                if answer.length > filled {
                    self.read_rest(answer.length - filled).await?;
                }
                return Ok(answer.status);
            }
        }
    }

    async fn read_rest(&mut self, mut left: usize) -> Result<()> {
        while left > 0 {
            let room = left.min(self.buffer.len());
            let read = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(&mut self.buffer[..room]).await?,
                Stream::Unix(stream) => stream.read(&mut self.buffer[..room]).await?,
            };
            if read == 0 {
                bail!("the server closed the connection");
            }
            left -= read;
        }
        Ok(())
    }
}

struct Answer {
    status: u16,
    /// Head and body.
    length: usize,
}

/// The answer's head, once it is there. Bodies have a content length or none.
fn parse(bytes: &[u8]) -> Result<Option<Answer>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes)? else {
        return Ok(None);
    };
    let mut body = 0;
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            body = std::str::from_utf8(header.value)?.trim().parse()?;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("a chunked answer: the harness measures answers with a content length");
        }
    }
    Ok(Some(Answer {
        status: response.code.context("an answer without a status")?,
        length: head + body,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_body() {
        assert!(parse(b"HTTP/1.1 200 OK\r\ncontent-le").unwrap().is_none());
        let answer = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel")
            .unwrap()
            .unwrap();
        assert_eq!((answer.status, answer.length), (200, 43));
    }

    #[test]
    fn a_stalled_server_shows_as_latency_of_every_request_that_was_due() {
        // A server that answers nothing for 200 ms and then everything.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            std::thread::sleep(Duration::from_millis(200));
            let mut buffer = [0; 4096];
            while let Ok(read) = stream.read(&mut buffer) {
                if read == 0
                    || stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                        .is_err()
                {
                    return;
                }
            }
        });
        let request = PreparedRequest {
            bytes: b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
            expected: vec![200],
        };
        let plan = Plan {
            address: Address::Tcp(address),
            requests: vec![request].into(),
            connections: 1,
            pace: Pace::Open(Schedule::constant(100.0, Duration::from_millis(300))),
        };
        let recording = run(&plan).unwrap();
        server.join().unwrap();
        assert_eq!(
            recording.answered, 30,
            "late requests are sent late, never skipped"
        );
        // Two thirds of the requests were due during the stall: the median of all waited for a good part of it.
        let waited = recording.latencies.value_at_quantile(0.5);
        assert!(waited > 20_000_000, "{waited} ns");
    }
}
