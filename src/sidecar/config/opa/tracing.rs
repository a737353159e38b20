//! `distributed_tracing` as our section `tracing`.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::spans::BUILT;

use super::super::Config;
use super::OpaConfig;

/// Where spans go, in OPA's words.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DistributedTracing {
    /// `grpc`, `http`, or empty for none.
    #[serde(rename = "type")]
    pub kind: String,
    /// Host and port; empty = `localhost:4317`.
    pub address: String,
    pub service_name: String,
    /// Of the traces that begin here; absent = all.
    pub sample_percentage: Option<f64>,
    /// `off`, `tls` or `mtls`; empty = `off`.
    pub encryption: String,
    pub tls_ca_cert_file: String,
}

impl DistributedTracing {
    pub(super) fn check(&self, errors: &mut String) {
        let path = "distributed_tracing";
        match self.kind.as_str() {
            "" | "grpc" => {}
            "http" => {
                let _ = writeln!(
                    errors,
                    "`{path}.type` is `http`: spans are sent by OTLP over gRPC alone: write `grpc`, and its address (port 4317 at most collectors)"
                );
            }
            other => {
                let _ = writeln!(errors, "`{path}.type` is `{other}`: grpc is expected");
            }
        }
        match self.encryption.as_str() {
            "" | "off" | "tls" => {}
            "mtls" => {
                let _ = writeln!(
                    errors,
                    "`{path}.encryption` is `mtls`: no certificate is shown to a collector: use `tls`"
                );
            }
            other => {
                let _ = writeln!(
                    errors,
                    "`{path}.encryption` is `{other}`: off or tls is expected"
                );
            }
        }
        if let Some(percentage) = self.sample_percentage
            && !(0.0..=100.0).contains(&percentage)
        {
            let _ = writeln!(
                errors,
                "`{path}.sample_percentage` must be a number from 0 to 100"
            );
        }
    }
}

impl OpaConfig {
    /// Where spans go, where they are to go anywhere.
    fn traces(&self) -> Option<&DistributedTracing> {
        self.tracing.as_ref().filter(|found| !found.kind.is_empty())
    }

    /// What is to be said where spans go nowhere.
    pub(super) fn untraced(&self) -> Option<String> {
        self.traces().filter(|_| !BUILT).map(|_| {
            "`distributed_tracing`: this build sends no spans: build with `--features otlp`"
                .to_owned()
        })
    }

    /// Sets where spans go, and returns the paths of what was set: ours and the file's.
    pub(super) fn apply_tracing(&self, config: &mut Config) -> Vec<(&'static str, &'static str)> {
        let Some(tracing) = self.traces().filter(|_| BUILT) else {
            return Vec::new();
        };
        let scheme = if tracing.encryption == "tls" {
            "https"
        } else {
            "http"
        };
        let address = match tracing.address.as_str() {
            "" => "localhost:4317",
            address => address,
        };
        let ours = &mut config.tracing;
        ours.endpoint = Some(format!("{scheme}://{address}"));
        let mut set = vec![("tracing.endpoint", "distributed_tracing.address")];
        if !tracing.service_name.is_empty() {
            ours.service_name = Some(tracing.service_name.clone());
            set.push(("tracing.service_name", "distributed_tracing.service_name"));
        }
        if let Some(percentage) = tracing.sample_percentage {
            ours.sample_ratio = (percentage / 100.0).to_string();
            set.push((
                "tracing.sample_ratio",
                "distributed_tracing.sample_percentage",
            ));
        }
        if !tracing.tls_ca_cert_file.is_empty() {
            ours.ca_file = Some(tracing.tls_ca_cert_file.clone());
            set.push(("tracing.ca_file", "distributed_tracing.tls_ca_cert_file"));
        }
        set
    }
}
