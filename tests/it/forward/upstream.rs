//! An upstream that follows a script: one step for each connection, in order.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What happens to a request once it was read whole.
#[derive(Clone, Debug)]
pub enum Step {
    /// These bytes, then the end.
    Answer(&'static str),
    /// The request's body, in chunks.
    Echo,
    /// Nothing, and the connection stays.
    Hang,
    /// The connection is reset.
    Reset,
    /// The connection is closed in order, without an answer.
    Close,
}

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub line: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

pub struct Upstream {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Upstream {
    /// Listens on a free port of an address of its own.
    pub fn start(script: Vec<Step>) -> Self {
        Self::at(own_address(), script)
    }

    /// Listens at a given address. Connections beyond the script are closed at once.
    pub fn at(address: SocketAddr, script: Vec<Step>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&received);
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for step in script {
                let Ok((stream, _)) = listener.accept() else {
                    return;
                };
                let seen = Arc::clone(&seen);
                open.push(std::thread::spawn(move || play(stream, &step, &seen)));
            }
            for connection in open {
                drop(connection.join());
            }
        });
        Self { address, received }
    }

    /// The requests that arrived so far, in the order of their arrival.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until that many requests have arrived.
    pub fn wait_for(&self, count: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.received().len() < count {
            assert!(Instant::now() < end, "no {count} requests arrived");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A loopback address that no other test uses, port 0. A port of 127.0.0.1 may have been another's a moment ago, whose
/// clients still dial it: one of them would be given the first step of the script, and the request that it is for none.
pub fn own_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    let next = NEXT.fetch_add(1, Ordering::Relaxed) % 254;
    SocketAddr::from(([127, next + 1, high, low], 0))
}

fn play(mut stream: TcpStream, step: &Step, seen: &Mutex<Vec<Received>>) {
    let Some(request) = read(&stream) else {
        return;
    };
    let body = request.body.clone();
    seen.lock().unwrap().push(request);
    match step {
        Step::Answer(bytes) => {
            drop(stream.write_all(bytes.as_bytes()));
            drop(stream.shutdown(Shutdown::Write));
            drop(stream.read(&mut [0; 64]));
        }
        Step::Echo => {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            for piece in body.chunks(30_000) {
                write!(stream, "{:x}\r\n", piece.len()).unwrap();
                stream.write_all(piece).unwrap();
                stream.write_all(b"\r\n").unwrap();
            }
            stream.write_all(b"0\r\n\r\n").unwrap();
        }
        Step::Hang => drop(stream.read(&mut [0; 64])),
        Step::Reset => {
            socket2::SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
        Step::Close => drop(stream.shutdown(Shutdown::Both)),
    }
}

/// Reads one request; None when the connection ends before it does.
fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut request = Received {
        line: line(&mut reader)?,
        ..Received::default()
    };
    loop {
        let text = line(&mut reader)?;
        let Some((name, value)) = text.split_once(": ") else {
            break;
        };
        request
            .headers
            .push((name.to_ascii_lowercase(), value.to_owned()));
    }
    if let Some(length) = request.header("content-length") {
        request.body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut request.body).ok()?;
    } else if request.header("transfer-encoding").is_some() {
        loop {
            let size = usize::from_str_radix(&line(&mut reader)?, 16).ok()?;
            let start = request.body.len();
            request.body.resize(start + size, 0);
            reader.read_exact(&mut request.body[start..]).ok()?;
            line(&mut reader)?;
            if size == 0 {
                break;
            }
        }
    }
    Some(request)
}

fn line(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut text = String::new();
    (reader.read_line(&mut text).ok()? > 0).then(|| text.trim_end().to_owned())
}
