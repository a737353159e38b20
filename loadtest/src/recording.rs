//! What a run measured: latencies from the intended send time, answers, errors.

use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::{Deserialize, Serialize};

/// Latencies in nanoseconds, up to a minute, three significant digits.
#[derive(Clone, Debug)]
pub struct Recording {
    /// From the intended moment to an expected answer.
    pub latencies: Histogram<u64>,
    /// From the moment of sending to it.
    pub service: Histogram<u64>,
    /// Answers with a status the scenario expects.
    pub answered: u64,
    /// Answers with another status.
    pub refused: u64,
    /// No answer: connection errors, time-outs, garbage.
    pub errors: u64,
    /// Requests sent more than a millisecond after their intended time.
    pub late: u64,
    pub elapsed_seconds: f64,
    /// The share of the run in which the generator worked: near 1, it was the limit.
    pub generator_busy: f64,
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            latencies: empty(),
            service: empty(),
            answered: 0,
            refused: 0,
            errors: 0,
            late: 0,
            elapsed_seconds: 0.0,
            generator_busy: 0.0,
        }
    }
}

fn empty() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, 60_000_000_000, 3) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("constant bounds are valid: {error}"),
    }
}

impl Recording {
    /// Adds an answer: nanoseconds since it was meant to be sent, and since it was.
    pub fn answer(&mut self, since_intended: u64, since_sent: u64, expected: bool) {
        if expected {
            self.latencies.saturating_record(since_intended.max(1));
            self.service.saturating_record(since_sent.max(1));
            self.answered += 1;
        } else {
            self.refused += 1;
        }
    }

    /// Answers of the expected kind per second.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        if self.elapsed_seconds > 0.0 {
            self.answered as f64 / self.elapsed_seconds
        } else {
            0.0
        }
    }
}

/// The stored form of a histogram: HdrHistogram V2, base64.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredHistogram(String);

impl StoredHistogram {
    /// Encodes a histogram.
    #[must_use]
    pub fn encode(histogram: &Histogram<u64>) -> Self {
        let mut bytes = Vec::new();
        // Writing to a vector cannot fail; an empty text stands for it all the same.
        match V2Serializer::new().serialize(histogram, &mut bytes) {
            Ok(_) => Self(base64::engine::general_purpose::STANDARD.encode(bytes)),
            Err(_) => Self(String::new()),
        }
    }

    /// Decodes; an empty histogram where the text is none.
    #[must_use]
    pub fn decode(&self) -> Histogram<u64> {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(&self.0)
            .unwrap_or_default();
        Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .unwrap_or_else(|_| empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_histogram_comes_back_whole() {
        let mut recording = Recording::default();
        for nanos in [1_000, 2_000, 3_000_000] {
            recording.answer(nanos, nanos, true);
        }
        assert_eq!(
            StoredHistogram::encode(&recording.latencies).decode(),
            recording.latencies
        );
    }
}
