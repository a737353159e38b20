//! What is configured about spans, read and checked.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde::{Deserialize, Serialize};

use crate::server::settings::units::duration;

use super::export;

/// Bytes of a file of headers.
const LARGEST_HEADERS: u64 = 64 * 1024;

/// The section `tracing` of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracingConfig {
    /// The collector's OTLP endpoint for gRPC, `http://host:4317`; None = no spans.
    pub endpoint: Option<String>,
    /// A file of headers for the collector, `name: value` a line.
    pub headers_file: Option<String>,
    /// PEM of the authorities to trust for it.
    pub ca_file: Option<String>,
    /// Which part of the traces that begin here is recorded, 0 to 1.
    pub sample_ratio: String,
    /// `service.name`; None = the program's.
    pub service_name: Option<String>,
    /// For one batch, and for what is left at the end.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

impl Default for TracingConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers_file: None,
            ca_file: None,
            sample_ratio: "1".to_owned(),
            service_name: None,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Where spans go and how.
#[derive(Clone, Debug)]
pub struct Settings {
    pub endpoint: Uri,
    pub headers: HeaderMap,
    pub ca_file: Option<PathBuf>,
    pub ratio: f64,
    pub service_name: String,
    pub timeout: Duration,
}

/// What is wrong with the section.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "`tracing.endpoint` is `{0}`: expected `http://` or `https://`, a host and a port, such as http://127.0.0.1:4317"
    )]
    Endpoint(String),
    #[error("`tracing.sample_ratio` is `{0}`: expected a number from 0 to 1")]
    Ratio(String),
    #[error(
        "`tracing.endpoint` is set, and this build sends no spans: build with `--features otlp`, or leave it out"
    )]
    NotBuilt,
    #[error("`tracing.timeout` is 0: at least 1ms")]
    Timeout,
    #[error("`tracing.headers_file`: cannot read `{path}`: {reason}")]
    HeadersFile { path: String, reason: String },
    /// Says nothing of the line but its number: it may be a secret.
    #[error("`tracing.headers_file`: line {line} of `{path}` is no `name: value`")]
    Header { path: String, line: usize },
}

impl TracingConfig {
    /// What the exporter is told; None where there is to be none. `program` is what it calls itself by default.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], also where there is to be none.
    pub fn settings(&self, program: &str) -> Result<Option<Settings>, ConfigError> {
        let ratio = self.sample_ratio.trim().parse::<f64>();
        let ratio = ratio
            .ok()
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .ok_or_else(|| ConfigError::Ratio(self.sample_ratio.clone()))?;
        if self.timeout.is_zero() {
            return Err(ConfigError::Timeout);
        }
        let Some(text) = &self.endpoint else {
            return Ok(None);
        };
        if !export::BUILT {
            return Err(ConfigError::NotBuilt);
        }
        let endpoint = text
            .parse::<Uri>()
            .ok()
            .filter(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https"))
                    && uri
                        .authority()
                        .is_some_and(|host| !host.as_str().contains('@'))
                    && matches!(uri.path(), "" | "/")
                    && uri.query().is_none()
            })
            .ok_or_else(|| ConfigError::Endpoint(text.clone()))?;
        Ok(Some(Settings {
            endpoint,
            headers: match &self.headers_file {
                Some(path) => headers(path)?,
                None => HeaderMap::new(),
            },
            ca_file: self.ca_file.as_ref().map(PathBuf::from),
            ratio,
            service_name: self
                .service_name
                .clone()
                .unwrap_or_else(|| program.to_owned()),
            timeout: self.timeout,
        }))
    }
}

fn headers(path: &str) -> Result<HeaderMap, ConfigError> {
    let failed = |reason: String| ConfigError::HeadersFile {
        path: path.to_owned(),
        reason,
    };
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST_HEADERS + 1).read_to_string(&mut text))
        .map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > LARGEST_HEADERS {
        return Err(failed(format!("larger than {LARGEST_HEADERS} bytes")));
    }
    let mut headers = HeaderMap::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let (name, value) = line
            .split_once(':')
            .and_then(|(name, value)| {
                let name: HeaderName = name.trim().parse().ok()?;
                let mut value = HeaderValue::from_str(value.trim()).ok()?;
                value.set_sensitive(true);
                Some((name, value))
            })
            .ok_or_else(|| ConfigError::Header {
                path: path.to_owned(),
                line: index + 1,
            })?;
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(all(test, feature = "otlp"))]
mod tests {
    use super::*;

    fn settings(change: impl FnOnce(&mut TracingConfig)) -> Result<Option<Settings>, String> {
        let mut config = TracingConfig {
            endpoint: Some("http://127.0.0.1:4317".to_owned()),
            ..TracingConfig::default()
        };
        change(&mut config);
        config
            .settings("lictor-test")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn without_an_endpoint_there_are_no_spans() {
        assert!(settings(|config| config.endpoint = None).unwrap().is_none());
        let whole = settings(|_| {}).unwrap().unwrap();
        assert_eq!(whole.service_name, "lictor-test");
        assert!((whole.ratio - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        for text in [
            "127.0.0.1:4317",
            "grpc://a:1",
            "http://",
            "http://a/v1/traces",
            "http://u:p@a:1",
            "http://a?x",
        ] {
            let error = settings(|config| config.endpoint = Some(text.to_owned())).unwrap_err();
            assert!(error.contains("http://127.0.0.1:4317"), "{error}");
        }
        for text in ["", "all", "-0.1", "1.1", "NaN"] {
            let error = settings(|config| config.sample_ratio = text.to_owned()).unwrap_err();
            assert!(error.contains("from 0 to 1"), "{error}");
        }
        assert!(settings(|config| config.timeout = Duration::ZERO).is_err());
    }

    #[test]
    fn headers_come_from_a_file_and_errors_do_not_show_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headers");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            settings(|config| config.headers_file = Some(path.display().to_string()))
        };
        let good = read("x-api-key: s3cret\n\nx-tenant: a:b\n")
            .unwrap()
            .unwrap();
        assert_eq!(good.headers["x-api-key"], "s3cret");
        assert_eq!(good.headers["x-tenant"], "a:b");
        assert!(!format!("{good:?}").contains("s3cret"));
        for text in ["s3cret", "a b: s3cret", "x: s3\u{1}cret"] {
            let error = read(&format!("ok: 1\n{text}\n")).unwrap_err();
            assert!(
                error.contains("line 2") && !error.contains("cret"),
                "{error}"
            );
        }
        assert!(read(&"x".repeat(70_000)).unwrap_err().contains("larger"));
        assert!(settings(|config| config.headers_file = Some("/nowhere".into())).is_err());
    }
}
