//! The answer that most validations get, written once and then copied.

use crate::api::id;
use crate::model::Validation;

use super::{Envelope, Timing, validation};

/// The last answer that says nothing but that all is well. Until the clock ticks or the policies change, the next one
/// differs from it in its id alone.
#[derive(Debug, Default)]
pub struct Compliant {
    text: Vec<u8>,
    /// What it was written for.
    timing: Timing,
    evaluated: u32,
    revision: String,
    /// Where its id stands.
    id: usize,
}

impl Compliant {
    /// As [`validation`], and the same bytes.
    pub fn write(
        &mut self,
        out: &mut Vec<u8>,
        envelope: &Envelope<'_>,
        timing: Timing,
        decision: &Validation<'_>,
    ) {
        if !says_nothing_else(decision) {
            validation(out, envelope, timing, decision);
            return;
        }
        if self.timing != timing
            || self.evaluated != decision.evaluated
            || self.revision != envelope.revision
            || self.text.is_empty()
        {
            self.prepare(envelope, timing, decision);
        }
        let start = out.len();
        out.extend_from_slice(&self.text);
        let at = start + self.id;
        if let Some(place) = out.get_mut(at..at + id::LENGTH) {
            place.copy_from_slice(&id::hyphenated(envelope.decision_id));
        }
    }

    fn prepare(&mut self, envelope: &Envelope<'_>, timing: Timing, decision: &Validation<'_>) {
        const NAME: &[u8] = b"\"decision_id\":\"";
        self.text.clear();
        validation(&mut self.text, envelope, timing, decision);
        // From the end it is near. What stands behind it was chosen by others, and has no quote that is not escaped.
        let name = self.text.windows(NAME.len()).rposition(|text| text == NAME);
        match name {
            Some(name) => self.id = name + NAME.len(),
            None => self.text.clear(),
        }
        self.timing = timing;
        self.evaluated = decision.evaluated;
        self.revision.clear();
        self.revision.push_str(envelope.revision);
    }
}

fn says_nothing_else(decision: &Validation<'_>) -> bool {
    decision.failed == 0
        && decision.violations.is_empty()
        && decision.variants.is_empty()
        && decision.errors.is_empty()
        && decision.considered.is_empty()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::{Assignment, EvaluationIssue, Timestamp};

    const CLEAN: Validation<'_> = Validation {
        violations: &[],
        evaluated: 5,
        failed: 0,
        errors: &[],
        considered: &[],
        variants: &[],
    };

    #[test]
    fn the_bytes_are_those_that_are_written_anew() {
        let mut compliant = Compliant::default();
        let issue = EvaluationIssue {
            policy: "p",
            place: "x",
            message: "m",
        };
        let assignment = Assignment {
            experiment: "e",
            variant: "v",
        };
        let decisions = [
            CLEAN,
            Validation {
                evaluated: 6,
                ..CLEAN
            },
            Validation { failed: 1, ..CLEAN },
            Validation {
                errors: &[issue],
                ..CLEAN
            },
            Validation {
                variants: &[assignment],
                ..CLEAN
            },
        ];
        for (second, revision) in [(1, "7-a"), (1, "7-a"), (2, "7-a"), (2, "8-\"quoted\"")] {
            for (number, decision) in (0_u128..).zip(&decisions) {
                for duration_ms in [0, 12] {
                    let timing = Timing {
                        validated_at: Timestamp::from_unix_seconds(second),
                        duration_ms,
                    };
                    let envelope = Envelope {
                        decision_id: Uuid::from_u128(number << 64 | 0x1234_5678_9abc),
                        revision,
                    };
                    let (mut anew, mut copied) = (b"x".to_vec(), b"x".to_vec());
                    validation(&mut anew, &envelope, timing, decision);
                    compliant.write(&mut copied, &envelope, timing, decision);
                    assert_eq!(
                        String::from_utf8(copied).unwrap(),
                        String::from_utf8(anew).unwrap()
                    );
                }
            }
        }
    }
}
