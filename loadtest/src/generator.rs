//! Sends requests and times the answers: closed loop (saturation) and open loop (a schedule).
//!
//! One thread, sockets that never block and prepared bytes, so that the generator costs less than what it
//! measures. It watches how long it has nothing to do: see [`Recording::generator_busy`].

mod address;
mod connection;
mod hpack;
mod http1;
mod http2;

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use mio::{Events, Poll, Token};

use crate::recording::Recording;
use crate::schedule::Schedule;

use connection::{Connection, Ended};

pub use address::{Address, Transport};
pub use http2::Call;

/// Calls that may be under way at once on one HTTP/2 connection.
pub const MOST_STREAMS: usize = 64;

/// A prepared request.
#[derive(Clone, Debug)]
pub struct PreparedRequest {
    pub wire: Wire,
    /// HTTP statuses, or gRPC ones of a call, that count as an answer.
    pub expected: Vec<u16>,
}

/// A request's bytes.
#[derive(Clone, Debug)]
pub enum Wire {
    Http1(Vec<u8>),
    /// With how many calls are under way at once on a connection, at most [`MOST_STREAMS`].
    Grpc {
        call: Call,
        streams: usize,
    },
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
    /// Asked in turn, all over the same protocol.
    pub requests: Rc<[PreparedRequest]>,
    pub connections: usize,
    pub pace: Pace,
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Its place in the plan.
    pub request: usize,
    pub intended: Instant,
    pub at: Instant,
}

/// How long a single answer may take before it counts as an error.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// How often connections are looked through for answers that do not come.
const SWEEP: Duration = Duration::from_millis(200);
/// A request sent later than this after its intended moment was late.
const LATE: Duration = Duration::from_millis(1);

/// Runs a plan on this thread.
///
/// # Errors
///
/// Where no connection can be made at all.
pub fn run(plan: &Plan) -> Result<Recording> {
    let mut run = Run::open(plan)?;
    run.start = Instant::now();
    run.drive()?;
    let elapsed = run.start.elapsed().as_secs_f64();
    let mut recording = run.recording;
    recording.elapsed_seconds = elapsed;
    // Waiting for answers or for the next moment is no work, asleep or not.
    recording.generator_busy = (1.0 - run.idle.as_secs_f64() / elapsed).max(0.0);
    Ok(recording)
}

struct Run<'p> {
    plan: &'p Plan,
    poll: Poll,
    connections: Vec<Connection>,
    /// Connections that can take a request, the one that waits longest first; as often as they can.
    free: VecDeque<usize>,
    next: u64,
    recording: Recording,
    start: Instant,
    /// Time spent asleep, and looking at sockets in vain.
    idle: Duration,
    /// When answers came last.
    stirred: Instant,
    /// Connections that may have bytes to write.
    dirty: Vec<usize>,
    /// Whether any connection is broken.
    broken: bool,
}

impl<'p> Run<'p> {
    fn open(plan: &'p Plan) -> Result<Self> {
        let poll = Poll::new()?;
        let mut run = Self {
            plan,
            poll,
            connections: Vec::with_capacity(plan.connections),
            free: VecDeque::new(),
            next: 0,
            recording: Recording::default(),
            start: Instant::now(),
            idle: Duration::ZERO,
            stirred: Instant::now(),
            dirty: Vec::new(),
            broken: false,
        };
        for index in 0..plan.connections {
            let connection = run.connect(index)?;
            run.connections.push(connection);
            run.dirty.push(index);
            run.release(index);
        }
        Ok(run)
    }

    fn connect(&self, index: usize) -> Result<Connection> {
        let request = &self.plan.requests[0];
        Connection::open(
            &self.plan.address,
            &request.wire,
            self.poll.registry(),
            Token(index),
        )
    }

    fn release(&mut self, index: usize) {
        let places = self.connections[index].places();
        self.free.extend(std::iter::repeat_n(index, places));
    }

    fn drive(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut ended = Vec::new();
        let mut swept = self.start;
        loop {
            let now = Instant::now();
            let due = self.send_due(now);
            if due.is_none() && self.underway() == 0 {
                return Ok(());
            }
            self.flush();
            let (patience, looked) = (self.patience(due), Instant::now());
            match self.poll.poll(&mut events, Some(patience)) {
                // A signal, which says nothing about the sockets.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            if events.is_empty() {
                self.idle += now.elapsed();
            } else {
                if !patience.is_zero() {
                    self.idle += looked.elapsed();
                }
                self.stirred = Instant::now();
            }
            for event in &events {
                let index = event.token().0;
                let connection = &mut self.connections[index];
                if connection.read(&mut ended).is_err() {
                    connection.broken = true;
                    self.broken = true;
                }
                self.dirty.push(index);
                self.free.extend(std::iter::repeat_n(index, ended.len()));
                for ended in ended.drain(..) {
                    record(&mut self.recording, self.plan, &ended);
                }
            }
            if now.duration_since(swept) > SWEEP {
                swept = now;
                for connection in &mut self.connections {
                    connection.broken |= connection.waits_since(now) > ANSWER_DEADLINE;
                    self.broken |= connection.broken;
                }
            }
            if self.broken {
                self.mend();
            }
        }
    }

    fn flush(&mut self) {
        for index in self.dirty.drain(..) {
            let connection = &mut self.connections[index];
            if connection.flush().is_err() {
                connection.broken = true;
                self.broken = true;
            }
        }
    }

    /// Sends all that is due while there are connections for it. The moment that the next is due; None
    /// when the plan is done.
    fn send_due(&mut self, now: Instant) -> Option<Instant> {
        loop {
            let intended = match self.plan.pace {
                Pace::Closed(duration) => {
                    (now.duration_since(self.start) < duration).then_some(now)?
                }
                Pace::Open(schedule) => (self.next < schedule.count())
                    .then(|| self.start + schedule.intended(self.next))?,
            };
            if intended > now {
                return Some(intended);
            }
            let request = self.next as usize % self.plan.requests.len();
            let wire = &self.plan.requests[request].wire;
            let Some(index) = self.free.pop_front() else {
                return Some(intended);
            };
            let sent = Sent {
                request,
                intended,
                at: now,
            };
            if !self.connections[index].send(wire, sent) {
                // The server has no room on this connection: answers bring it back.
                self.free.push_back(index);
                return Some(intended);
            }
            self.dirty.push(index);
            if now.duration_since(intended) > LATE {
                self.recording.late += 1;
            }
            self.next += 1;
        }
    }

    fn underway(&self) -> usize {
        self.connections.iter().map(Connection::underway).sum()
    }

    /// How long to wait for answers. Looks again at once while something is due soon: a timer's
    /// resolution would become the latency that is measured. And while answers keep coming: whoever sleeps is woken by
    /// the server's own send, which costs the server up to a seventh of its time, and the more the slower it is.
    fn patience(&self, due: Option<Instant>) -> Duration {
        const SOON: Duration = Duration::from_millis(2);
        if self.stirred.elapsed() < SOON {
            return Duration::ZERO;
        }
        match due {
            Some(due) if !self.free.is_empty() => due
                .saturating_duration_since(Instant::now())
                .saturating_sub(SOON)
                .min(SWEEP),
            _ => SWEEP,
        }
    }

    /// Replaces connections that broke; what was under way on them are errors.
    fn mend(&mut self) {
        self.broken = false;
        for index in 0..self.connections.len() {
            if !self.connections[index].broken {
                continue;
            }
            let lost = self.connections[index].underway() as u64;
            self.recording.errors += lost;
            self.free.retain(|free| *free != index);
            if let Ok(fresh) = self.connect(index) {
                self.connections[index] = fresh;
                self.dirty.push(index);
                self.release(index);
            } else {
                // Tried again at the next look; meanwhile nobody answers, and nothing is hurried.
                self.connections[index].forget();
                self.broken = true;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

fn record(recording: &mut Recording, plan: &Plan, ended: &Ended) {
    let Some(status) = ended.status else {
        recording.errors += 1;
        return;
    };
    let now = Instant::now();
    let nanos =
        |since: Instant| u64::try_from(now.duration_since(since).as_nanos()).unwrap_or(u64::MAX);
    let expected = plan.requests[ended.sent.request].expected.contains(&status);
    recording.answer(nanos(ended.sent.intended), nanos(ended.sent.at), expected);
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

    fn plan(listener: &TcpListener, connections: usize, pace: Pace) -> Plan {
        let request = PreparedRequest {
            wire: Wire::Http1(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
            expected: vec![200],
        };
        Plan {
            address: Address::Tcp(listener.local_addr().unwrap()),
            requests: vec![request].into(),
            connections,
            pace,
        }
    }

    #[test]
    fn a_stalled_server_shows_as_latency_of_every_request_that_was_due() {
        // A server that answers nothing for 200 ms and then everything.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pace = Pace::Open(Schedule::constant(100.0, Duration::from_millis(300)));
        let plan = plan(&listener, 1, pace);
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            std::thread::sleep(Duration::from_millis(200));
            let mut buffer = [0; 4096];
            while let Ok(read) = stream.read(&mut buffer) {
                if read == 0 || stream.write_all(ANSWER).is_err() {
                    return;
                }
            }
        });
        let recording = run(&plan).unwrap();
        server.join().unwrap();
        assert_eq!(
            recording.answered, 30,
            "late requests are sent late, never skipped"
        );
        // Two thirds of the requests were due during the stall: the median of all waited for a good part of it.
        let waited = recording.latencies.value_at_quantile(0.5);
        assert!(waited > 20_000_000, "{waited} ns");
        assert!(recording.late > 10, "{}", recording.late);
        let served = recording.service.value_at_quantile(0.5);
        assert!(served < waited, "once sent, an answer comes at once");
    }

    #[test]
    fn waiting_for_a_slow_server_is_no_work() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let plan = plan(&listener, 1, Pace::Closed(Duration::from_millis(300)));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            while let Ok(read) = stream.read(&mut buffer) {
                std::thread::sleep(Duration::from_millis(20));
                if read == 0 || stream.write_all(ANSWER).is_err() {
                    return;
                }
            }
        });
        let recording = run(&plan).unwrap();
        server.join().unwrap();
        assert!(recording.answered > 0);
        assert!(
            recording.generator_busy < 0.5,
            "{}",
            recording.generator_busy
        );
    }

    #[test]
    fn a_connection_that_breaks_is_an_error_and_is_replaced() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pace = Pace::Open(Schedule::constant(1000.0, Duration::from_millis(10)));
        let plan = plan(&listener, 1, pace);
        let server = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            let (mut first, _) = listener.accept().unwrap();
            let _ = first.read(&mut buffer);
            drop(first);
            let (mut second, _) = listener.accept().unwrap();
            while let Ok(read) = second.read(&mut buffer) {
                if read == 0 || second.write_all(ANSWER).is_err() {
                    return;
                }
            }
        });
        let recording = run(&plan).unwrap();
        server.join().unwrap();
        assert_eq!((recording.errors, recording.answered), (1, 9));
    }
}
