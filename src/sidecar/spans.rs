//! Decisions as spans.

use std::time::{Duration, SystemTime};

use crate::decide::{Outcome, Traced, Tracer};
use crate::spans::{Side, Span, Spans};

/// Makes spans of decisions whose trace is recorded.
#[derive(Debug)]
pub struct DecisionSpans(pub Spans);

impl Tracer for DecisionSpans {
    fn decided(&self, decision: &Traced<'_>) {
        let Some(begun) = self.0.begin(decision.traceparent) else {
            return;
        };
        let ended = SystemTime::now();
        let mut attributes = vec![
            ("lictor.door", decision.door.into()),
            ("lictor.kind", decision.kind.as_str().into()),
            ("lictor.outcome", decision.outcome.as_str().into()),
            (
                "lictor.decision_id",
                decision.decision_id.to_string().into(),
            ),
            ("lictor.revision", decision.revision.to_owned().into()),
        ];
        if !decision.error.is_empty() {
            attributes.push(("error.type", decision.error.into()));
        }
        self.0.end(Span {
            begun,
            side: Side::Server,
            name: "decide",
            started: ended - Duration::from_nanos(decision.nanos),
            ended,
            attributes,
            failed: decision.outcome == Outcome::Error,
        });
    }
}
