//! What the decision log is told.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::super::config::opa::{OpaConfig, Service};
use super::super::config::{Config, ConfigError};
use super::super::credentials::Credentials;
use super::super::decision_log::{Settings, UploadSettings};
use super::bundles::{client, credentials, headers};
use crate::wire;

/// What the decision log is told.
pub(in crate::sidecar) fn decision_log(
    config: &Config,
    opa: Option<&OpaConfig>,
) -> Result<Settings, ConfigError> {
    let log = &config.decision_log;
    let upload = &log.upload;
    let service = opa.and_then(OpaConfig::log_service);
    let sent = match &upload.url {
        None => None,
        Some(url) => Some(UploadSettings {
            url: url.parse().map_err(|error| {
                ConfigError::Invalid(format!("`decision_log.upload.url` is `{url}`: {error}"))
            })?,
            credentials: match (service, &upload.token_file) {
                (Some(service), _) => credentials(service)?,
                (None, Some(path)) => Credentials::bearer(path),
                (None, None) => Credentials::None,
            },
            headers: service.map(headers).transpose()?.unwrap_or_default(),
            client: wire::Settings {
                ca_file: upload.ca_file.as_ref().map(PathBuf::from),
                ..service.map(client).unwrap_or_default()
            },
            deadline: service.and_then(Service::head_deadline),
            delay: (upload.min_delay, upload.max_delay.max(upload.min_delay)),
            upload_bytes: upload.upload_bytes.max(90),
        }),
    };
    let labels = opa.map(|opa| {
        let labels = opa.labels.iter();
        labels.map(|(name, value)| (name.clone(), Value::from(value.as_str())))
    });
    let mut labels: Map<String, Value> = labels.into_iter().flatten().collect();
    labels
        .entry("version")
        .or_insert_with(|| env!("CARGO_PKG_VERSION").into());
    let reporting = opa.and_then(|opa| opa.decision_logs.as_ref());
    let per_second = reporting.and_then(|logs| logs.reporting.max_decisions_per_second);
    let ours = (log.max_per_second > 0).then_some(log.max_per_second as f64);
    Ok(Settings {
        file: log.file.clone(),
        is_console: log.file.as_deref() == Some("-") && reporting.is_some_and(|logs| logs.console),
        upload: sent,
        memory_bytes: upload.memory_bytes,
        disk: upload
            .disk_dir
            .as_ref()
            .map(|dir| (PathBuf::from(dir), upload.disk_bytes as u64)),
        content: log.content,
        buffer_bytes: log.buffer_bytes,
        per_second: ours.or(per_second),
        tenant: config.tenant_id()?,
        labels,
        mask: log.mask_decision.clone(),
        drop: log.drop_decision.clone(),
    })
}
