//! `server`: limits and compression of the API.

use std::fmt::Write as _;

use serde::Deserialize;

/// The section.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Server {
    pub decoding: Decoding,
    pub encoding: Encoding,
    pub metrics: Metrics,
}

impl Server {
    pub(super) fn check(&self, errors: &mut String) {
        let level = self.encoding.gzip.compression_level;
        if level > 9 {
            let _ = writeln!(
                errors,
                "`server.encoding.gzip.compression_level` is {level}: 0 to 9 is expected"
            );
        }
        if self.decoding.max_length == 0 || self.decoding.gzip.max_length == 0 {
            let _ = writeln!(errors, "`server.decoding`: a limit must be above 0");
        }
        let buckets = self.buckets();
        if !buckets.windows(2).all(|pair| pair[0] < pair[1]) {
            let _ = writeln!(
                errors,
                "`server.metrics.prom.http_request_duration_seconds.buckets` must grow"
            );
        }
    }

    /// Bounds of the buckets of `http_request_duration_seconds`; empty = OPA's.
    #[must_use]
    pub fn buckets(&self) -> &[f64] {
        &self.metrics.prom.http_request_duration_seconds.buckets
    }
}

/// Bounds on request bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Decoding {
    /// Bytes as they arrive.
    pub max_length: usize,
    pub gzip: Gzip,
}

impl Default for Decoding {
    fn default() -> Self {
        Self {
            max_length: 268_435_456,
            gzip: Gzip::default(),
        }
    }
}

/// Bounds on compressed bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Gzip {
    /// Bytes unpacked.
    pub max_length: usize,
}

impl Default for Gzip {
    fn default() -> Self {
        Self {
            max_length: 536_870_912,
        }
    }
}

/// Compression of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Encoding {
    pub gzip: GzipEncoding,
}

/// Compression by gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GzipEncoding {
    /// Shorter answers are not compressed.
    pub min_length: usize,
    /// 0 to 9.
    pub compression_level: u32,
}

impl Default for GzipEncoding {
    fn default() -> Self {
        Self {
            min_length: 1024,
            compression_level: 9,
        }
    }
}

/// What is measured.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Metrics {
    pub prom: Prom,
}

/// Of the metrics page.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Prom {
    pub http_request_duration_seconds: Buckets,
}

/// A histogram.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Buckets {
    pub buckets: Vec<f64>,
}
