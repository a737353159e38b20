//! A connection that never blocks: bytes in and out, and what is under way on it.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use super::http2::Http2;
use super::{Address, MOST_STREAMS, Sent, Wire, http1};

/// A request whose answer is whole; None where it was reset.
#[derive(Debug)]
pub struct Ended {
    pub sent: Sent,
    pub status: Option<u16>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What is under way, by protocol.
enum State {
    Http1(Option<Sent>),
    Http2 { calls: Http2, streams: usize },
}

pub struct Connection {
    stream: Stream,
    state: State,
    input: Vec<u8>,
    filled: usize,
    output: Vec<u8>,
    written: usize,
    /// To be replaced.
    pub broken: bool,
}

impl Connection {
    /// Connects; `wire` says which protocol is spoken.
    pub fn open(address: &Address, wire: &Wire, registry: &Registry, token: Token) -> Result<Self> {
        let mut stream = Stream::connect(address)?;
        stream.register(registry, token)?;
        let mut output = Vec::new();
        let state = match wire {
            Wire::Http1(_) => State::Http1(None),
            Wire::Grpc { streams, .. } => State::Http2 {
                calls: Http2::open(&mut output),
                streams: (*streams).clamp(1, MOST_STREAMS),
            },
        };
        Ok(Self {
            stream,
            state,
            input: vec![0; 64 * 1024],
            filled: 0,
            output,
            written: 0,
            broken: false,
        })
    }

    /// How many requests may be under way at once.
    pub const fn places(&self) -> usize {
        match self.state {
            State::Http1(_) => 1,
            State::Http2 { streams, .. } => streams,
        }
    }

    pub fn underway(&self) -> usize {
        match &self.state {
            State::Http1(sent) => usize::from(sent.is_some()),
            State::Http2 { calls, .. } => calls.underway().count(),
        }
    }

    /// How long the oldest request has waited.
    pub fn waits_since(&self, now: Instant) -> Duration {
        let oldest = match &self.state {
            State::Http1(sent) => sent.as_ref().map(|sent| sent.at),
            State::Http2 { calls, .. } => calls.underway().map(|sent| sent.at).min(),
        };
        oldest.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Forgets what was under way.
    pub fn forget(&mut self) {
        match &mut self.state {
            State::Http1(sent) => *sent = None,
            State::Http2 { calls, .. } => *calls = Http2::open(&mut Vec::new()),
        }
    }

    /// Takes a request; it goes out with [`Self::flush`]. False where the server has no room for it now.
    pub fn send(&mut self, wire: &Wire, sent: Sent) -> bool {
        match (&mut self.state, wire) {
            (State::Http1(underway), Wire::Http1(bytes)) => {
                self.output.extend_from_slice(bytes);
                *underway = Some(sent);
                true
            }
            (State::Http2 { calls, .. }, Wire::Grpc { call, .. }) => {
                let room = calls.has_room(call);
                if room {
                    calls.send(call, sent, &mut self.output);
                }
                room
            }
            _ => false,
        }
    }

    /// Writes what was taken, as far as the socket has room.
    pub fn flush(&mut self) -> io::Result<()> {
        while let Some(rest) = self
            .output
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            match self.stream.write(rest) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads what is there; requests whose answers are whole are added to `ended`.
    pub fn read(&mut self, ended: &mut Vec<Ended>) -> Result<()> {
        loop {
            if self.filled == self.input.len() {
                self.input.resize(self.filled * 2, 0);
            }
            let free = &mut self.input[self.filled..];
            let room = free.len();
            let count = match self.stream.read(free) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            self.filled += count;
            self.answers(ended)?;
            // Less than there was room for: nothing is left, and more will be announced.
            if count < room {
                return Ok(());
            }
        }
    }

    fn answers(&mut self, ended: &mut Vec<Ended>) -> Result<()> {
        let input = &self.input[..self.filled];
        let taken = match &mut self.state {
            State::Http1(underway) => {
                let Some(answer) = http1::parse(input)?.filter(|it| it.length <= input.len())
                else {
                    return Ok(());
                };
                let sent = underway.take().context("an answer to no request")?;
                let status = Some(answer.status);
                ended.push(Ended { sent, status });
                answer.length
            }
            State::Http2 { calls, .. } => {
                let each = |sent, status| ended.push(Ended { sent, status });
                calls.read(input, &mut self.output, each)?
            }
        };
        self.input.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        Ok(())
    }
}

impl Stream {
    fn connect(address: &Address) -> Result<Self> {
        Ok(match address {
            Address::Tcp(address) => {
                let stream = std::net::TcpStream::connect(address)
                    .with_context(|| format!("connecting to {address}"))?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                Self::Tcp(TcpStream::from_std(stream))
            }
            Address::Unix(path) => {
                let stream = std::os::unix::net::UnixStream::connect(path)
                    .with_context(|| format!("connecting to {}", path.display()))?;
                stream.set_nonblocking(true)?;
                Self::Unix(UnixStream::from_std(stream))
            }
        })
    }

    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interests = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => registry.register(stream, token, interests),
            Self::Unix(stream) => registry.register(stream, token, interests),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }
}
