//! `bundles` as sources of ours. What is secret of them (headers, tokens, keys) stays where it is and is found again by
//! the source's name.

use std::time::Duration;

use super::super::{Config, SigningConfig, SourceConfig, TrustProfile};
use super::{Bundle, DISCOVERY, OpaConfig, Service};

/// The tenant where an OPA configuration is all there is.
const TENANT: &str = "default";
/// Seconds between two polls where the file does not say.
const POLLING: (u64, u64) = (60, 120);

impl OpaConfig {
    /// Sets sources, tenant and cache folder, and returns the paths of what was set: ours and the file's.
    pub(super) fn apply_bundles(&self, config: &mut Config) -> Vec<(&'static str, &'static str)> {
        if self.bundles.is_empty() && self.discovery.is_none() {
            return Vec::new();
        }
        let sources = self.bundles.iter().filter_map(|(name, bundle)| {
            let (_, service) = self.service(&bundle.service)?;
            Some(source(name, bundle, service))
        });
        config.sources = sources.collect();
        TENANT.clone_into(&mut config.tenant);
        let persists = self.bundles.values().any(|bundle| bundle.persist)
            || self.discovery.as_ref().is_some_and(|found| found.persist);
        config.cache.dir = match &self.persistence_directory {
            _ if !persists => "none".to_owned(),
            Some(dir) => dir.clone(),
            None => ".opa".to_owned(),
        };
        let limits = self.bundles.values().map(|bundle| bundle.size_limit_bytes);
        if let Some(limit) = limits.filter(|limit| *limit > 0).max() {
            config.limits.bundle_file_bytes = usize::try_from(limit).unwrap_or(usize::MAX);
        }
        vec![
            ("sources", "bundles"),
            ("tenant", "bundles"),
            ("cache.dir", "persistence_directory"),
        ]
    }

    /// The discovery bundle as a source, and the service that it asks.
    #[must_use]
    pub fn discovery_source(&self) -> Option<(SourceConfig, &Service)> {
        let bundle = self.discovery.as_ref()?.bundle();
        let (_, service) = self.service(&bundle.service)?;
        Some((source(DISCOVERY, &bundle, service), service))
    }

    /// The service that a source of this file asks.
    #[must_use]
    pub fn service_of(&self, source: &str) -> Option<&Service> {
        let bundle = self.bundles.get(source)?;
        self.service(&bundle.service).map(|(_, service)| service)
    }
}

fn source(name: &str, bundle: &Bundle, service: &Service) -> SourceConfig {
    let (min, max) = (
        bundle.polling.min_delay_seconds.unwrap_or(POLLING.0),
        bundle.polling.max_delay_seconds.unwrap_or(POLLING.1),
    );
    let wait = bundle.polling.long_polling_timeout_seconds.unwrap_or(0);
    let signing = bundle.signing.clone().unwrap_or_default();
    let given = |text: String| (!text.is_empty()).then_some(text);
    SourceConfig {
        name: name.to_owned(),
        url: url(name, bundle, service),
        token_file: service
            .credentials
            .bearer
            .as_ref()
            .and_then(|bearer| given(bearer.token_path.clone())),
        ca_file: service
            .tls
            .as_ref()
            .and_then(|tls| given(tls.ca_cert.clone())),
        poll: Duration::from_secs(min.midpoint(max)),
        wait: Duration::from_secs(wait),
        profile: TrustProfile::Opa,
        min_number: 0,
        // `opa.allow_unsigned` says, which comes from elsewhere.
        allow_unsigned: false,
        persist: bundle.persist,
        signing: SigningConfig {
            kid: given(signing.keyid),
            scope: given(signing.scope),
            exclude_files: signing.exclude_files,
        },
    }
}

fn url(name: &str, bundle: &Bundle, service: &Service) -> String {
    let resource = match bundle.resource.as_str() {
        "" => format!("bundles/{name}"),
        resource => resource.to_owned(),
    };
    if resource.starts_with("file://") {
        return resource;
    }
    if service.kind == "oci" {
        let scheme = if service.url.starts_with("http://") {
            "oci+http"
        } else {
            "oci"
        };
        return format!("{scheme}://{resource}");
    }
    format!(
        "{}/{}",
        service.url.trim_end_matches('/'),
        resource.trim_start_matches('/')
    )
}
