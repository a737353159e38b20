//! An OPA configuration file, read as OPA reads it and typed.
//!
//! JSON or YAML, `${VAR}` replaced by the variable where there is one. A key that OPA does not know is an error with a
//! suggestion; one that it knows and this program does not serve is an error where leaving it out would change
//! decisions or lose data, else a warning: `support` holds the one table. None is ignored in silence.

mod bundles;
mod discovered;
mod envoy;
mod logs;
mod management;
mod redact;
mod server;
mod services;
mod support;
mod tracing;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::server::settings::{self, MAX_FILE_BYTES};

use super::{Config, ConfigError};

pub use discovered::{DISCOVERY, Discovered};
pub use envoy::EnvoyPlugin;
pub use management::{
    Bundle, DecisionLogs, Discovery, Headers, Polling, Reporting, RequestContext, Signing,
    StatusReports, Trigger,
};
pub use server::{Buckets, Decoding, Encoding, Gzip, GzipEncoding, Server};
pub use services::{Bearer, ClientTls, Credentials, OAuth2, Service, ServiceTls, VerificationKey};
pub use support::{KEYS, OptionRow, Support};
pub use tracing::DistributedTracing;

/// The decision of `POST /` where none is configured.
pub const DEFAULT_DECISION: &str = "/system/main";
/// The decision about requests of the API where none is configured.
pub const DEFAULT_AUTHORIZATION_DECISION: &str = "/system/authz/allow";

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpaConfig {
    /// By name, whether the file has them as a list or as a mapping.
    pub services: BTreeMap<String, Service>,
    pub keys: BTreeMap<String, VerificationKey>,
    /// With `id` (random where it is not given) and `version`.
    pub labels: BTreeMap<String, String>,
    /// By name.
    pub bundles: BTreeMap<String, Bundle>,
    pub discovery: Option<Discovery>,
    pub decision_logs: Option<DecisionLogs>,
    pub status: Option<StatusReports>,
    pub default_decision: String,
    pub default_authorization_decision: String,
    pub persistence_directory: Option<String>,
    pub server: Server,
    pub envoy: Option<EnvoyPlugin>,
    pub tracing: Option<DistributedTracing>,
    /// The whole with its defaults and without secrets: what `/v1/config` shows.
    pub active: Value,
    /// What is not served here and does no harm, one sentence each.
    pub warnings: Vec<String>,
    /// As it was read.
    raw: Raw,
}

/// A configuration with its secrets: never to be shown.
#[derive(Clone, Default, PartialEq)]
struct Raw(Value);

impl std::fmt::Debug for Raw {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("..")
    }
}

/// The sections as they stand in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sections {
    services: services::Services,
    keys: BTreeMap<String, VerificationKey>,
    labels: BTreeMap<String, String>,
    bundle: Option<management::SingleBundle>,
    bundles: BTreeMap<String, Bundle>,
    discovery: Option<Discovery>,
    decision_logs: Option<DecisionLogs>,
    status: Option<StatusReports>,
    default_decision: Option<String>,
    default_authorization_decision: Option<String>,
    persistence_directory: Option<String>,
    server: Option<Server>,
    distributed_tracing: Option<DistributedTracing>,
    plugins: Plugins,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Plugins {
    envoy_ext_authz_grpc: Option<EnvoyPlugin>,
}

impl OpaConfig {
    /// Reads a file; `variable` looks up the process's variables.
    ///
    /// # Errors
    ///
    /// Everything wrong with it, each by the path of its key.
    pub fn read(
        path: &Path,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let failed = |reason: String| ConfigError::File {
            path: path.to_owned(),
            reason,
        };
        let size = std::fs::metadata(path)
            .map_err(|error| failed(error.to_string()))?
            .len();
        if size > MAX_FILE_BYTES {
            return Err(failed(format!("larger than {MAX_FILE_BYTES} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        Self::parse(&text, variable).map_err(failed)
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// Everything wrong with it, one line each.
    pub fn parse(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let text = substitute(text, variable);
        let config = Self::from_raw(match document(&text)? {
            Value::Null => Value::Object(serde_json::Map::new()),
            value => value,
        })?;
        // Services that are discovered make it no less clear.
        match &config.discovery {
            Some(discovery) if config.service(&discovery.service).is_none() => {
                Err("`discovery.service` is missing: which of the services has it?".to_owned())
            }
            _ => Ok(config),
        }
    }

    fn from_raw(raw: Value) -> Result<Self, String> {
        if !raw.is_object() {
            return Err("an OPA configuration is a mapping of sections".to_owned());
        }
        let found = support::check(&raw);
        if !found.errors.is_empty() {
            return Err(found.errors.join("\n"));
        }
        let sections: Sections =
            serde_json::from_value(raw.clone()).map_err(|error| error.to_string())?;
        let mut config = Self::from_sections(sections)?;
        config.active = redact::active(raw.clone(), &config);
        config.raw = Raw(raw);
        config.warnings = found.warnings;
        let unsent = config.unsent_headers();
        config.warnings.extend(unsent);
        let untraced = config.untraced();
        config.warnings.extend(untraced);
        config.check()?;
        Ok(config)
    }

    fn from_sections(sections: Sections) -> Result<Self, String> {
        let mut bundles = sections.bundles;
        if let Some(single) = sections.bundle {
            let (name, bundle) = single.into_bundle();
            bundles.insert(name, bundle);
        }
        let mut labels = sections.labels;
        labels
            .entry("id".to_owned())
            .or_insert_with(|| Uuid::new_v4().to_string());
        labels.insert("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let mut services = sections.services.by_name()?;
        for (name, service) in &mut services {
            if let Some(oauth2) = &mut service.credentials.oauth2 {
                oauth2.resolve(name, &sections.keys)?;
            }
        }
        Ok(Self {
            services,
            keys: sections.keys,
            labels,
            bundles,
            discovery: sections.discovery,
            decision_logs: sections.decision_logs,
            status: sections.status,
            default_decision: sections
                .default_decision
                .unwrap_or_else(|| DEFAULT_DECISION.to_owned()),
            default_authorization_decision: sections
                .default_authorization_decision
                .unwrap_or_else(|| DEFAULT_AUTHORIZATION_DECISION.to_owned()),
            persistence_directory: sections.persistence_directory,
            server: sections.server.unwrap_or_default(),
            envoy: sections.plugins.envoy_ext_authz_grpc,
            tracing: sections.distributed_tracing,
            active: Value::Null,
            warnings: Vec::new(),
            raw: Raw::default(),
        })
    }

    /// Headers that have nowhere to go, one sentence each.
    fn unsent_headers(&self) -> Vec<String> {
        let unsent = self
            .services
            .iter()
            .filter(|(_, service)| service.kind == "oci" && !service.headers.is_empty());
        let unsent = unsent.map(|(name, _)| {
            format!("`services.{name}.headers`: not sent to a registry, as in OPA")
        });
        unsent.collect()
    }

    /// Whether decisions are logged, which is when answers carry `decision_id`.
    #[must_use]
    pub const fn logs_decisions(&self) -> bool {
        self.decision_logs.is_some()
    }

    /// The service that a section names, or the only one there is.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<(&String, &Service)> {
        if name.is_empty() {
            let mut all = self.services.iter();
            return all.next().filter(|_| all.next().is_none());
        }
        self.services.get_key_value(name)
    }

    /// What the parts mean together.
    fn check(&self) -> Result<(), String> {
        let mut errors = String::new();
        let mut named = |place: String, service: &str| {
            if !service.is_empty() && !self.services.contains_key(service) {
                let _ = writeln!(errors, "`{place}`: there is no service `{service}`");
            }
        };
        for (name, bundle) in &self.bundles {
            named(format!("bundles.{name}.service"), &bundle.service);
        }
        if let Some(discovery) = &self.discovery {
            named("discovery.service".to_owned(), &discovery.service);
        }
        if let Some(logs) = &self.decision_logs {
            named("decision_logs.service".to_owned(), &logs.service);
        }
        if let Some(status) = &self.status {
            named("status.service".to_owned(), &status.service);
        }
        if let Some(discovery) = &self.discovery {
            if discovery.resource.is_none() && discovery.name.is_none() {
                let _ = writeln!(errors, "`discovery.resource` is missing");
            }
            discovery.polling.check("discovery.polling", &mut errors);
        }
        for (name, bundle) in &self.bundles {
            bundle
                .polling
                .check(&format!("bundles.{name}.polling"), &mut errors);
            if let Some(keyid) = bundle.signing.as_ref().map(|signing| &signing.keyid)
                && !keyid.is_empty()
                && !self.keys.contains_key(keyid)
            {
                let _ = writeln!(
                    errors,
                    "`bundles.{name}.signing.keyid`: there is no key `{keyid}`"
                );
            }
        }
        if let Some(logs) = &self.decision_logs {
            logs.reporting.check(&mut errors);
        }
        self.server.check(&mut errors);
        if let Some(envoy) = &self.envoy {
            envoy.check(&mut errors);
        }
        if let Some(tracing) = &self.tracing {
            tracing.check(&mut errors);
        }
        for (place, path) in [
            ("default_decision", &self.default_decision),
            (
                "default_authorization_decision",
                &self.default_authorization_decision,
            ),
        ] {
            if path.contains('"') {
                let _ = writeln!(errors, "`{place}`: `{path}` is no path of a document");
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors.trim_end().to_owned())
        }
    }

    /// Sets what our own configuration says of the same, and returns the paths of what was set: ours and the file's.
    pub fn apply(&self, config: &mut Config) -> Vec<(&'static str, &'static str)> {
        let mut set = self.apply_bundles(config);
        set.extend(self.apply_logs(config));
        set.extend(self.apply_tracing(config));
        if let Some(envoy) = &self.envoy {
            set.extend(envoy.apply(config));
        }
        let opa = &mut config.opa;
        let mut put = |ours: &'static str, theirs: &'static str, given: bool| {
            if given {
                set.push((ours, theirs));
            }
        };
        let given = |path: &str| self.active.pointer(path).is_some();
        opa.default_decision.clone_from(&self.default_decision);
        put("opa.default_decision", "default_decision", true);
        opa.default_authorization_decision
            .clone_from(&self.default_authorization_decision);
        put(
            "opa.default_authorization_decision",
            "default_authorization_decision",
            true,
        );
        let decoding = &self.server.decoding;
        if given("/server/decoding/max_length") {
            opa.body_bytes = decoding.max_length;
            put("opa.body_bytes", "server.decoding.max_length", true);
        }
        if given("/server/decoding/gzip/max_length") {
            opa.gzip_body_bytes = decoding.gzip.max_length;
            put(
                "opa.gzip_body_bytes",
                "server.decoding.gzip.max_length",
                true,
            );
        }
        let encoding = self.server.encoding.gzip;
        opa.gzip_min_length = encoding.min_length;
        put(
            "opa.gzip_min_length",
            "server.encoding.gzip.min_length",
            given("/server/encoding/gzip/min_length"),
        );
        opa.gzip_level = encoding.compression_level;
        put(
            "opa.gzip_level",
            "server.encoding.gzip.compression_level",
            given("/server/encoding/gzip/compression_level"),
        );
        set
    }
}

/// JSON, or one YAML document.
fn document(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    settings::parse_yaml(text)
        .map(|document| document.value)
        .map_err(|error| format!("line {}: {}", error.line, error.message))
}

/// Replaces `${VAR}` where the variable is there; what names no variable stays, as in OPA.
fn substitute(text: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        let inner = after.get(2..).unwrap_or_default();
        let line_end = inner.find('\n').unwrap_or(inner.len());
        let Some(end) = inner.get(..line_end).and_then(|line| line.find('}')) else {
            out.push_str("${");
            rest = inner;
            continue;
        };
        let name = inner.get(..end).unwrap_or_default();
        match variable(name) {
            Some(value) => out.push_str(&value),
            None if name.is_empty() => {}
            None => {
                let _ = write!(out, "${{{name}}}");
            }
        }
        rest = inner.get(end + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
