//! What tells of the status is told.

use super::super::config::ConfigError;
use super::super::config::opa::OpaConfig;
use super::super::management::{ReporterSettings, StatusService};
use super::bundles::{client, credentials, headers};

/// Whom to tell of the status; nobody where no OPA configuration says so.
pub(in crate::sidecar) fn status(opa: Option<&OpaConfig>) -> Result<ReporterSettings, ConfigError> {
    let Some((opa, status)) = opa.and_then(|opa| Some((opa, opa.status.as_ref()?))) else {
        return Ok(ReporterSettings::default());
    };
    let service = opa.status_service().map(|service| {
        let base = service.url.trim_end_matches('/');
        let url = format!("{base}/status/{}", status.partition_name);
        Ok::<_, ConfigError>(StatusService {
            url: url.parse().map_err(|error| {
                ConfigError::Invalid(format!("`status` is sent to `{url}`: {error}"))
            })?,
            headers: headers(service)?,
            credentials: credentials(service)?,
            client: client(service),
            deadline: service.head_deadline(),
        })
    });
    Ok(ReporterSettings {
        service: service.transpose()?,
        console: status.console,
        prometheus: status.prometheus,
        trigger: status.trigger.unwrap_or_default(),
    })
}
