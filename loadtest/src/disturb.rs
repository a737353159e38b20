//! What happens to the sidecar while it is measured: revisions swap, the source goes away, slow clients hang on.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::lictor::{BundleBuilder, active_number};

/// How many slow connections there are.
const SLOW_CLIENTS: usize = 200;
/// How long the last revision of a storm may take until it decides.
const SWAP_DEADLINE: Duration = Duration::from_secs(30);

/// Disturbs between [`Disturber::start`] and [`Disturber::stop`].
#[derive(Debug)]
pub struct Disturber {
    kind: Kind,
    running: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug)]
enum Kind {
    Swaps(Swaps),
    Outage(Arc<AtomicBool>),
    SlowClients(SocketAddr),
}

/// New revisions, one a second.
#[derive(Debug)]
struct Swaps {
    builder: BundleBuilder,
    /// Bundles made beforehand, in order of their numbers.
    prepared: VecDeque<PathBuf>,
    folder: PathBuf,
    /// Where the sidecar watches for them.
    watched: PathBuf,
    /// Where it says what it decides from.
    admin: SocketAddr,
}

impl Disturber {
    /// Moves a new bundle to `watched` every second; made in `folder` beforehand.
    #[must_use]
    pub fn swaps(
        builder: BundleBuilder,
        folder: PathBuf,
        watched: PathBuf,
        admin: SocketAddr,
    ) -> Self {
        Self::of(Kind::Swaps(Swaps {
            builder,
            prepared: VecDeque::new(),
            folder,
            watched,
            admin,
        }))
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

    /// Makes what a disturbance of this length needs.
    ///
    /// # Errors
    ///
    /// Where a bundle cannot be made.
    pub fn prepare(&mut self, duration: Duration) -> Result<()> {
        let Kind::Swaps(swaps) = &mut self.kind else {
            return Ok(());
        };
        std::fs::create_dir_all(&swaps.folder)?;
        while (swaps.prepared.len() as f64) < duration.as_secs_f64().ceil() {
            let file = swaps
                .folder
                .join(format!("{:08}.tar.gz", swaps.builder.number + 1));
            swaps.builder.build(&file)?;
            swaps.prepared.push_back(file);
        }
        Ok(())
    }

    /// Begins.
    ///
    /// # Errors
    ///
    /// Where no thread can be had.
    pub fn start(&mut self) -> Result<()> {
        self.running.store(true, Ordering::SeqCst);
        let running = Arc::clone(&self.running);
        let work: Box<dyn FnOnce() -> Result<()> + Send> = match &mut self.kind {
            Kind::Swaps(swaps) => {
                let (files, watched) = (std::mem::take(&mut swaps.prepared), swaps.watched.clone());
                Box::new(move || swap(&files, &watched, &running))
            }
            Kind::Outage(silent) => {
                silent.store(true, Ordering::SeqCst);
                return Ok(());
            }
            Kind::SlowClients(address) => {
                let address = *address;
                Box::new(move || trickle(address, &running))
            }
        };
        let thread = std::thread::Builder::new()
            .name("disturb".into())
            .spawn(work);
        self.thread = Some(thread.context("starting the disturbance")?);
        Ok(())
    }

    /// Ends, and waits until its last effect has come.
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
            None | Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => return Err(error.context("the disturbance failed")),
            Some(Err(_)) => bail!("the disturbance's thread panicked"),
        }
        match &self.kind {
            Kind::Swaps(swaps) => swaps.arrived(),
            _ => Ok(()),
        }
    }
}

impl Swaps {
    /// Waits until the last bundle decides.
    fn arrived(&self) -> Result<()> {
        let wanted = self.builder.number;
        let deadline = Instant::now() + SWAP_DEADLINE;
        loop {
            let active = active_number(self.admin)?;
            if active >= wanted {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("bundle {wanted} does not decide, {active} still does");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Puts one file a second in place, all of them: the last wait is the caller's.
fn swap(files: &VecDeque<PathBuf>, watched: &Path, running: &AtomicBool) -> Result<()> {
    let start = Instant::now();
    for (file, second) in files.iter().zip(0..) {
        let moment = start + Duration::from_secs(second);
        while Instant::now() < moment && running.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::fs::rename(file, watched)
            .with_context(|| format!("moving {} to {}", file.display(), watched.display()))?;
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
