//! The parts of a line that are the same for one record after the other: made once, and again when one of them is not.

use std::io::Write as _;
use std::net::SocketAddr;

use crate::api::json;
use crate::decision_log::Record;
use crate::model::Timestamp;
use crate::sidecar::decision_log::event::{self, Shape, text};

use super::string;

/// Parts of a line as text, and what they were made of.
#[derive(Debug, Default)]
pub(super) struct Usual {
    made_of: Option<Sources>,
    at: Timestamp,
    /// Up to the decision's id.
    pub head: Vec<u8>,
    /// From there to the input.
    pub door: Vec<u8>,
    /// From the input to the nanoseconds.
    pub kind: Vec<u8>,
    /// From the nanoseconds to the request id.
    pub outcome: Vec<u8>,
    /// Who asked, up to the port; without meaning where nobody is known.
    pub address: Vec<u8>,
    pub revision: Vec<u8>,
    /// Subject and moment.
    pub end: Vec<u8>,
    /// What of it is the subject's.
    subject_end: usize,
}

/// What the parts say, beside the moment.
#[derive(Debug)]
struct Sources {
    bundles: Option<Vec<u8>>,
    kind: u8,
    outcome: u8,
    cut: bool,
    host: Option<SocketAddr>,
    door: Vec<u8>,
    error: Vec<u8>,
    path: Vec<u8>,
    revision: Vec<u8>,
    subject: Vec<u8>,
}

/// The peer without its port, which is another one for each connection.
fn host(record: &Record<'_>) -> Option<SocketAddr> {
    record.peer.map(|mut peer| {
        peer.set_port(0);
        peer
    })
}

impl Sources {
    fn new(record: &Record<'_>, bundles: Option<&[u8]>) -> Self {
        Self {
            bundles: bundles.map(<[u8]>::to_vec),
            kind: record.kind,
            outcome: record.outcome,
            cut: record.cut,
            host: host(record),
            door: record.door.to_vec(),
            error: record.error.to_vec(),
            path: record.path.to_vec(),
            revision: record.revision.to_vec(),
            subject: record.subject.to_vec(),
        }
    }

    fn are_of(&self, record: &Record<'_>, bundles: Option<&[u8]>) -> bool {
        self.kind == record.kind
            && self.outcome == record.outcome
            && self.cut == record.cut
            && self.host == host(record)
            && self.bundles.as_deref() == bundles
            && self.door == record.door
            && self.error == record.error
            && self.path == record.path
            && self.revision == record.revision
            && self.subject == record.subject
    }
}

impl Usual {
    /// The parts of this record's line. `shape` is the same every time.
    pub fn of(&mut self, record: &Record<'_>, shape: &Shape, bundles: Option<&[u8]>) -> &Self {
        let made_of = self.made_of.as_ref();
        if !made_of.is_some_and(|it| it.are_of(record, bundles)) {
            self.make(record, shape, bundles);
        } else if self.at != record.at {
            self.moment(record.at);
        }
        self
    }

    #[cold]
    fn make(&mut self, record: &Record<'_>, shape: &Shape, bundles: Option<&[u8]>) {
        self.made_of = Some(Sources::new(record, bundles));
        for part in [
            &mut self.head,
            &mut self.door,
            &mut self.kind,
            &mut self.outcome,
            &mut self.address,
            &mut self.revision,
            &mut self.end,
        ] {
            part.clear();
        }
        let head = &mut self.head;
        head.push(b'{');
        if let Some(bundles) = bundles {
            json::raw(head, "\"bundles\":");
            head.extend_from_slice(bundles);
            head.push(b',');
        }
        if record.cut {
            json::raw(head, "\"cut\":true,");
        }
        json::raw(head, "\"decision_id\":\"");
        self.door.push(b'"');
        string(&mut self.door, ",\"door\":", text(record.door));
        if !record.error.is_empty() {
            json::raw(&mut self.door, ",\"error\":{\"code\":");
            json::string(&mut self.door, text(record.error));
            self.door.push(b'}');
        }
        json::raw(&mut self.kind, ",\"kind\":\"");
        json::raw(&mut self.kind, event::kind(record));
        json::raw(&mut self.kind, "\",\"labels\":");
        self.kind.extend_from_slice(&shape.labels_text);
        json::raw(&mut self.kind, ",\"metrics\":{\"timer_server_handler_ns\":");
        json::raw(&mut self.outcome, "},\"outcome\":\"");
        json::raw(&mut self.outcome, event::outcome(record));
        self.outcome.push(b'"');
        string(&mut self.outcome, ",\"path\":", event::path(record));
        string(&mut self.outcome, ",\"query\":", event::query(record));
        json::raw(&mut self.address, ",\"requested_by\":\"");
        if let Some(host) = host(record) {
            // Writing to memory does not fail.
            let _ = write!(self.address, "{host}");
            // The port, which is 0 here, is the line's.
            self.address.pop();
        }
        string(&mut self.revision, ",\"revision\":", text(record.revision));
        string(&mut self.end, ",\"subject\":", text(record.subject));
        self.subject_end = self.end.len();
        self.moment(record.at);
    }

    /// Writes the moment anew: of all parts it changes most often.
    fn moment(&mut self, at: Timestamp) {
        self.at = at;
        self.end.truncate(self.subject_end);
        json::raw(&mut self.end, ",\"timestamp\":");
        json::timestamp(&mut self.end, at);
    }
}
