//! A bundle server as OPA knows it: entity tags, and nothing else.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// See the module. Stops answering when told to.
#[derive(Clone, Debug)]
pub struct BundleServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    bundles: Mutex<HashMap<String, (Vec<u8>, String)>>,
    requests: Mutex<HashMap<String, String>>,
    stopped: AtomicBool,
}

impl BundleServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::default(),
        };
        let shared = Arc::clone(&server.shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || drop(shared.answer(stream)));
            }
        });
        server
    }

    /// Where a bundle is to be had.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// Serves an archive under this name and tag from now on.
    pub fn put(&self, name: &str, archive: Vec<u8>, tag: &str) {
        let mut bundles = self.shared.bundles.lock().unwrap();
        bundles.insert(name.to_owned(), (archive, tag.to_owned()));
    }

    /// The head of the last request for this name, in lower case but for values.
    pub fn last_request(&self, name: &str) -> String {
        let requests = self.shared.requests.lock().unwrap();
        requests.get(name).cloned().unwrap_or_default()
    }

    /// Answers nobody any more.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        loop {
            let mut head = String::new();
            loop {
                let mut line = String::new();
                if reader.by_ref().take(64 * 1024).read_line(&mut line)? == 0 {
                    return Ok(());
                }
                if line == "\r\n" {
                    break;
                }
                head.push_str(&line);
            }
            if self.stopped.load(Ordering::SeqCst) {
                return Ok(());
            }
            let name = head
                .split(' ')
                .nth(1)
                .unwrap_or_default()
                .trim_start_matches('/')
                .to_owned();
            let mut requests = self.requests.lock().unwrap();
            requests.insert(name.clone(), head.clone());
            drop(requests);
            let found = self.bundles.lock().unwrap().get(&name).cloned();
            let Some((archive, tag)) = found else {
                stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")?;
                continue;
            };
            let named = head.lines().any(|line| {
                line.to_ascii_lowercase().starts_with("if-none-match:") && line.contains(&tag)
            });
            if named {
                write!(stream, "HTTP/1.1 304 Not Modified\r\netag: {tag}\r\n\r\n")?;
                continue;
            }
            write!(
                stream,
                "HTTP/1.1 200 OK\r\netag: {tag}\r\ncontent-type: application/gzip\r\ncontent-length: {}\r\n\r\n",
                archive.len()
            )?;
            stream.write_all(&archive)?;
        }
    }
}
