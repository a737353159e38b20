//! `decision_logs` as settings of ours, and the services that events and the status go to.

use std::time::Duration;

use super::super::{Config, RecordContent};
use super::{OpaConfig, Service};

/// Seconds between two uploads where the file does not say.
const DELAYS: (u64, u64) = (300, 600);

impl OpaConfig {
    /// Sets the decision log, and returns the paths of what was set: ours and the file's.
    pub(super) fn apply_logs(&self, config: &mut Config) -> Vec<(&'static str, &'static str)> {
        let Some(logs) = &self.decision_logs else {
            return Vec::new();
        };
        let log = &mut config.decision_log;
        log.content = RecordContent::Full;
        log.mask_decision.clone_from(&logs.mask_decision);
        log.drop_decision.clone_from(&logs.drop_decision);
        let mut set = vec![
            ("decision_log.content", "decision_logs"),
            ("decision_log.mask_decision", "decision_logs.mask_decision"),
            ("decision_log.drop_decision", "decision_logs.drop_decision"),
        ];
        if logs.console {
            log.file = Some("-".to_owned());
            set.push(("decision_log.file", "decision_logs.console"));
        }
        let Some(service) = self.log_service() else {
            return set;
        };
        let resource = logs.resource.clone().unwrap_or_else(|| {
            format!("/logs/{}", logs.partition_name)
                .trim_end_matches('/')
                .to_owned()
        });
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        let upload = &mut log.upload;
        upload.url = Some(format!(
            "{}/{}",
            service.url.trim_end_matches('/'),
            resource.trim_start_matches('/')
        ));
        let bearer = service.credentials.bearer.as_ref();
        upload.token_file = bearer.and_then(|bearer| given(&bearer.token_path));
        upload.ca_file = service.tls.as_ref().and_then(|tls| given(&tls.ca_cert));
        let reporting = &logs.reporting;
        let seconds = |given: Option<u64>, else_| Duration::from_secs(given.unwrap_or(else_));
        upload.min_delay = seconds(reporting.min_delay_seconds, DELAYS.0);
        upload.max_delay = seconds(reporting.max_delay_seconds, DELAYS.1);
        upload.upload_bytes =
            usize::try_from(reporting.upload_size_limit_bytes).unwrap_or(usize::MAX);
        if let Some(limit) = reporting.buffer_size_limit_bytes {
            upload.memory_bytes = usize::try_from(limit).unwrap_or(usize::MAX);
        }
        set.push(("decision_log.upload.url", "decision_logs.service"));
        set.push((
            "decision_log.upload.min_delay",
            "decision_logs.reporting.min_delay_seconds",
        ));
        set.push((
            "decision_log.upload.max_delay",
            "decision_logs.reporting.max_delay_seconds",
        ));
        set
    }

    /// The service that events go to: the named one, or without a console the first.
    #[must_use]
    pub fn log_service(&self) -> Option<&Service> {
        let logs = self.decision_logs.as_ref()?;
        if logs.service.is_empty() {
            return self.services.values().next().filter(|_| !logs.console);
        }
        self.services.get(&logs.service)
    }

    /// The service that the status goes to: the named one, or without another place the first.
    #[must_use]
    pub fn status_service(&self) -> Option<&Service> {
        let status = self.status.as_ref()?;
        if status.service.is_empty() {
            let is_elsewhere = status.console || status.prometheus;
            return self.services.values().next().filter(|_| !is_elsewhere);
        }
        self.services.get(&status.service)
    }
}
