//! The record of a decision, where decisions are recorded.

use uuid::Uuid;

use crate::decision_log::{Log, Record, Recorder};

use super::input::Input;
use super::{Kind, Origin, Outcome, Question};

/// What a worker records with; nothing without a log.
#[derive(Debug, Default)]
pub(super) struct Recording {
    recorder: Option<Recorder>,
    /// Room for an input that the record needs as a whole.
    composed: Vec<u8>,
}

/// A decision that was made, or was not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made<'a> {
    pub decision_id: Uuid,
    pub kind: Kind,
    pub outcome: Outcome,
    /// The revision that decided; empty where none could.
    pub revision: &'a str,
    /// The word of the error, or empty.
    pub error: &'a str,
    pub nanos: u64,
}

impl Recording {
    pub(super) fn to(log: &Log) -> Self {
        Self {
            recorder: Some(log.recorder()),
            composed: Vec::new(),
        }
    }

    pub(super) fn keeps_results(&self) -> bool {
        self.recorder.as_ref().is_some_and(Recorder::keeps_results)
    }

    pub(super) fn result(&mut self, result: &[u8]) {
        if let Some(recorder) = &mut self.recorder {
            recorder.result(result);
        }
    }

    pub(super) fn flush(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.flush();
        }
    }

    pub(super) fn record(&mut self, made: &Made<'_>, input: Input<'_>, question: &Question<'_>) {
        let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.is_on()) else {
            return;
        };
        let Origin {
            door,
            path,
            request_id,
            traceparent,
            subject,
            peer,
            input: shown,
        } = question.origin;
        recorder.record(&Record {
            decision_id: made.decision_id,
            at: question.now,
            nanos: made.nanos,
            peer,
            kind: made.kind as u8,
            outcome: made.outcome as u8,
            cut: false,
            sound: made.error.is_empty() && shown.is_empty() && input.is_read_whole(),
            revision: made.revision.as_bytes(),
            door: door.as_bytes(),
            path: path.as_bytes(),
            request_id,
            traceparent,
            subject: subject.as_bytes(),
            error: made.error.as_bytes(),
            input: if shown.is_empty() {
                input.text(&mut self.composed)
            } else {
                shown
            },
            result: b"",
        });
    }
}
