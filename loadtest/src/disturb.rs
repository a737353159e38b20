//! What happens to the sidecar while it is measured: revisions swap, the source goes away, slow clients hang on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How many slow connections there are.
const SLOW_CLIENTS: usize = 200;

/// Disturbs between [`Disturber::start`] and [`Disturber::stop`].
#[derive(Debug)]
pub struct Disturber {
    kind: Kind,
    running: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Bundles made beforehand, in order of their numbers, and where the sidecar watches for them.
    Swaps {
        prepared: PathBuf,
        watched: PathBuf,
    },
    Outage(Arc<AtomicBool>),
    SlowClients(SocketAddr),
}

impl Disturber {
    /// Moves the next file of `prepared` (by name) to `watched` every second.
    #[must_use]
    pub fn swaps(prepared: PathBuf, watched: PathBuf) -> Self {
        Self::of(Kind::Swaps { prepared, watched })
    }

    /// Makes `source` stop answering.
    #[must_use]
    pub fn outage(source: &BundleSource) -> Self {
        Self::of(Kind::Outage(Arc::clone(&source.silent)))
    }

    /// Holds slow connections to the sidecar.
    #[must_use]
    pub fn slow_clients(address: SocketAddr) -> Self {
        Self::of(Kind::SlowClients(address))
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            running: Arc::new(AtomicBool::new(false)),
            thread: None,
        }
    }

    /// Begins.
    ///
    /// # Errors
    ///
    /// Where no thread can be had.
    pub fn start(&mut self) -> Result<()> {
        self.running.store(true, Ordering::SeqCst);
        let (kind, running) = (self.kind.clone(), Arc::clone(&self.running));
        let thread = std::thread::Builder::new()
            .name("disturb".into())
            .spawn(move || match kind {
                Kind::Swaps { prepared, watched } => swap(&prepared, &watched, &running),
                Kind::Outage(silent) => {
                    silent.store(true, Ordering::SeqCst);
                    Ok(())
                }
                Kind::SlowClients(address) => trickle(address, &running),
            });
        self.thread = Some(thread.context("starting the disturbance")?);
        Ok(())
    }

    /// Ends.
    ///
    /// # Errors
    ///
    /// What went wrong meanwhile: a disturbance that did not happen is no measurement.
    pub fn stop(&mut self) -> Result<()> {
        self.running.store(false, Ordering::SeqCst);
        if let Kind::Outage(silent) = &self.kind {
            silent.store(false, Ordering::SeqCst);
        }
        match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(error.context("the disturbance failed")),
            Some(Err(_)) => anyhow::bail!("the disturbance's thread panicked"),
        }
    }
}

fn swap(prepared: &Path, watched: &Path, running: &AtomicBool) -> Result<()> {
    let mut next = Instant::now();
    while running.load(Ordering::SeqCst) {
        let mut files: Vec<PathBuf> = std::fs::read_dir(prepared)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        files.sort();
        let file = files
            .first()
            .context("no prepared bundle is left: prepare more")?;
        std::fs::rename(file, watched)
            .with_context(|| format!("moving {} to {}", file.display(), watched.display()))?;
        next += Duration::from_secs(1);
        while Instant::now() < next && running.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

fn trickle(address: SocketAddr, running: &AtomicBool) -> Result<()> {
    let mut streams = Vec::new();
    for _ in 0..SLOW_CLIENTS {
        streams.push(TcpStream::connect(address).context("connecting a slow client")?);
    }
    for byte in b"POST /v1/validate HTTP/1.1\r\nx-slow: "
        .iter()
        .chain(std::iter::repeat(&b'x'))
    {
        if !running.load(Ordering::SeqCst) {
            break;
        }
        for stream in &mut streams {
            // The server may hang up on a slow client: that is its right, and one more connection takes its place.
            if stream.write_all(&[*byte]).is_err() {
                *stream = TcpStream::connect(address).context("connecting a slow client")?;
            }
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

/// A source of one bundle over HTTP that can fall silent.
#[derive(Debug)]
pub struct BundleSource {
    pub address: SocketAddr,
    silent: Arc<AtomicBool>,
}

impl BundleSource {
    /// Serves `bundle` on loopback until the process ends.
    ///
    /// # Errors
    ///
    /// Where loopback has no port.
    pub fn serve(bundle: Vec<u8>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, silent) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let shared = (Arc::new(bundle), Arc::clone(&silent));
        std::thread::Builder::new()
            .name("bundle-source".into())
            .spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let (bundle, silent) = (Arc::clone(&shared.0), Arc::clone(&shared.1));
                    std::thread::spawn(move || answer(stream, &bundle, &silent));
                }
            })?;
        Ok(Self { address, silent })
    }
}

/// Answers each request on a connection with the bundle, or hangs up where the source is silent.
fn answer(mut stream: TcpStream, bundle: &[u8], silent: &AtomicBool) {
    let mut buffer = [0; 8192];
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 || silent.load(Ordering::SeqCst) {
            return;
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.openpolicyagent.bundles\r\ncontent-length: {}\r\n\r\n",
            bundle.len()
        );
        if stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(bundle))
            .is_err()
        {
            return;
        }
    }
}
