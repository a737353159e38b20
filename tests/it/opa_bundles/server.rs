//! A server as OPA knows it: bundles with entity tags, and whatever is posted is kept.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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
    /// And with these headers, each with its line end.
    answer_headers: Mutex<String>,
    /// Posts with a body of more bytes as sent are too large; 0 = none is.
    largest_post: AtomicUsize,
    /// Requests that may be held are, until there is something new.
    holds: AtomicBool,
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

    /// And with these headers, each with its line end.
    pub fn answer_posts_with(&self, status: u16, headers: &str) {
        headers.clone_into(&mut self.shared.answer_headers.lock().unwrap());
        self.answer_posts(status);
    }

    /// Answers 413 to posts with more bytes than this, as they are sent.
    pub fn take_posts_of(&self, bytes: usize) {
        self.shared.largest_post.store(bytes, Ordering::SeqCst);
    }

    /// Long polling from now on.
    pub fn hold(&self) {
        self.shared.holds.store(true, Ordering::SeqCst);
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
                let (sent, body) = body(&head, &mut reader)?;
                let largest = self.largest_post.load(Ordering::SeqCst);
                if largest > 0 && sent > largest {
                    stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")?;
                    continue;
                }
                self.posts.lock().unwrap().push(Post {
                    path: name,
                    head,
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                });
                let status = self.answer.load(Ordering::SeqCst).max(200);
                write!(
                    stream,
                    "HTTP/1.1 {status} Whatever\r\n{}content-length: 0\r\n\r\n",
                    self.answer_headers.lock().unwrap()
                )?;
                continue;
            }
            let mut requests = self.requests.lock().unwrap();
            requests.insert(name.clone(), head.clone());
            drop(requests);
            let named = |tag: &str| {
                head.lines().any(|line| {
                    line.to_ascii_lowercase().starts_with("if-none-match:") && line.contains(tag)
                })
            };
            let end = Instant::now() + self.patience(&head);
            let found = loop {
                let found = self.bundles.lock().unwrap().get(&name).cloned();
                let is_new = found.as_ref().is_some_and(|(_, tag)| !named(tag));
                if is_new || Instant::now() >= end || self.stopped.load(Ordering::SeqCst) {
                    break found;
                }
                std::thread::sleep(Duration::from_millis(5));
            };
            let Some((archive, tag)) = found else {
                stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")?;
                continue;
            };
            let kind = if self.holds.load(Ordering::SeqCst) {
                "application/vnd.openpolicyagent.bundles"
            } else {
                "application/gzip"
            };
            if named(&tag) {
                write!(
                    stream,
                    "HTTP/1.1 304 Not Modified\r\netag: {tag}\r\ncontent-type: {kind}\r\n\r\n"
                )?;
                continue;
            }
            write!(
                stream,
                "HTTP/1.1 200 OK\r\netag: {tag}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                archive.len()
            )?;
            stream.write_all(&archive)?;
        }
    }
}

impl Shared {
    /// How long a request may be held: what it says, where requests are held at all.
    fn patience(&self, head: &str) -> Duration {
        let holds = self.holds.load(Ordering::SeqCst);
        let asked = head.split_once(";wait=").filter(|_| holds);
        let seconds = asked.and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok());
        Duration::from_secs(seconds.unwrap_or(0))
    }
}

/// How many bytes of body were sent, and the body, unpacked.
fn body(head: &str, reader: &mut impl std::io::Read) -> std::io::Result<(usize, Vec<u8>)> {
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
        return Ok((body.len(), unpacked));
    }
    Ok((body.len(), body))
}
