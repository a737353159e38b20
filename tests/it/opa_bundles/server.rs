//! A server as OPA knows it: bundles with entity tags, and whatever is posted is kept.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// What was posted.
#[derive(Clone, Debug)]
pub struct Post {
    /// Without its first slash.
    pub path: String,
    /// In lower case but for values.
    pub head: String,
    pub body: Value,
}

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
    posts: Mutex<Vec<Post>>,
    /// What posts are answered with; 0 = 200.
    answer: AtomicU16,
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

    /// What was posted to this path.
    pub fn posts(&self, path: &str) -> Vec<Post> {
        let posts = self.shared.posts.lock().unwrap();
        posts
            .iter()
            .filter(|post| post.path == path)
            .cloned()
            .collect()
    }

    /// Answers posts with this status from now on.
    pub fn answer_posts(&self, status: u16) {
        self.shared.answer.store(status, Ordering::SeqCst);
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
            if head.starts_with("POST ") {
                let body = body(&head, &mut reader)?;
                self.posts.lock().unwrap().push(Post {
                    path: name,
                    head,
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                });
                let status = self.answer.load(Ordering::SeqCst).max(200);
                write!(
                    stream,
                    "HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n"
                )?;
                continue;
            }
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

/// A request's body, unpacked.
fn body(head: &str, reader: &mut impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let length = header("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    if header("content-encoding").as_deref() == Some("gzip") {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut unpacked)?;
        return Ok(unpacked);
    }
    Ok(body)
}
