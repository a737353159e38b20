//! From the configuration to what the parts of the sidecar are told.

mod bundles;
mod decision_log;
mod status;

use std::path::PathBuf;

use crate::bundle::Limits as ArchiveLimits;
use crate::identity::{self, IssuerConfig, IssuerError};
use crate::resilience::BreakerSettings;
use crate::server::{ClientFiles, H2Limits, Limits, TlsFiles};
use crate::spans::{self, Spans};
use crate::wire;

use super::config::{Config, ConfigError};
use super::forward;

pub(super) use bundles::{activation, discovery};
pub(super) use decision_log::decision_log;
pub(super) use status::status;

fn archive_limits(config: &Config) -> ArchiveLimits {
    ArchiveLimits {
        archive_bytes: config.limits.bundle_bytes as u64,
        entries: config.limits.bundle_files,
        entry_bytes: config.limits.bundle_file_bytes as u64,
        total_bytes: config.limits.bundle_total_bytes as u64,
        ..ArchiveLimits::default()
    }
}

/// What the forwarder of requests is told; None where there is no upstream.
pub(super) fn forward(
    config: &Config,
    spans: Option<&Spans>,
) -> Result<Option<forward::Settings>, ConfigError> {
    let url = config.upstream.url.as_deref();
    url.map(|url| upstream(config, ("upstream.url", url), "control_plane", spans))
        .transpose()
}

/// What the forwarder of gRPC calls is told; None where there is no upstream.
pub(super) fn forward_grpc(
    config: &Config,
    spans: Option<&Spans>,
) -> Result<Option<forward::Settings>, ConfigError> {
    let Some(url) = &config.upstream.grpc_url else {
        return Ok(None);
    };
    let key = ("upstream.grpc_url", url.as_str());
    let mut settings = upstream(config, key, "control_plane_grpc", spans)?;
    settings.client.http2_only = true;
    Ok(Some(settings))
}

fn upstream(
    config: &Config,
    (key, url): (&str, &str),
    name: &'static str,
    spans: Option<&Spans>,
) -> Result<forward::Settings, ConfigError> {
    let upstream = &config.upstream;
    let base = url
        .parse()
        .map_err(|error| ConfigError::Invalid(format!("`{key}` is `{url}`: {error}")))?;
    Ok(forward::Settings {
        name,
        base,
        deadline: upstream.timeout,
        in_flight: upstream.max_in_flight,
        breaker: BreakerSettings {
            failures: u16::try_from(upstream.breaker_failures).unwrap_or(u16::MAX),
            open_for: upstream.breaker_open,
        },
        client: wire::Settings {
            ca_file: upstream.ca_file.as_ref().map(PathBuf::from),
            ..wire::Settings::default()
        },
        spans: spans.cloned(),
    })
}

/// What the exporter of spans is told; None where there are to be none.
pub(super) fn tracing(config: &Config) -> Result<Option<spans::Settings>, spans::ConfigError> {
    config.tracing.settings("lictor-sidecar")
}

/// What tokens are verified against; None where no issuer is configured.
pub(super) fn identity(config: &Config) -> Result<Option<identity::Settings>, IssuerError> {
    if config.identity.issuers.is_empty() {
        return Ok(None);
    }
    let issuers = config.identity.issuers.iter();
    let issuers = issuers
        .map(IssuerConfig::trusted)
        .collect::<Result<_, _>>()?;
    Ok(Some(identity::Settings {
        issuers,
        clock_skew: config.clock_skew.as_secs() as u32,
        constitutional_hash: config.constitutional_hash.clone(),
    }))
}

/// The files of a listener's TLS; None where it has none.
pub(super) fn tls(
    certificates: Option<&String>,
    key: Option<&String>,
    client_ca: Option<&String>,
    trust_domain: Option<&String>,
) -> Option<TlsFiles> {
    Some(TlsFiles {
        certificates: certificates?.into(),
        key: key?.into(),
        clients: client_ca
            .zip(trust_domain)
            .map(|(file, domain)| ClientFiles {
                authorities: file.into(),
                trust_domain: domain.clone(),
            }),
    })
}

/// What listeners are told.
pub(super) const fn limits(config: &Config) -> Limits {
    Limits {
        header_bytes: config.limits.header_bytes,
        header_timeout: config.limits.header_timeout,
        drain: config.limits.drain,
    }
}

/// What the gRPC listener is told.
pub(super) fn h2_limits(config: &Config) -> H2Limits {
    let grpc = &config.listeners.grpc;
    H2Limits {
        handshake_timeout: config.limits.header_timeout,
        drain: config.limits.drain,
        keep_alive_interval: grpc.keep_alive_interval,
        keep_alive_timeout: grpc.keep_alive_timeout,
        concurrent_streams: grpc.max_concurrent_streams,
        header_bytes: u32::try_from(config.limits.header_bytes).unwrap_or(u32::MAX),
        send_buffer_bytes: grpc.max_send_buffer_bytes,
        stream_window_bytes: grpc.stream_window_bytes,
        connection_window_bytes: grpc.connection_window_bytes,
        pending_resets: grpc.max_pending_resets,
        error_resets: grpc.max_error_resets,
    }
}

/// How many serving threads there are.
pub(super) fn threads(config: &Config) -> usize {
    match config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}
