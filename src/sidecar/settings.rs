//! From the configuration to what the parts of the sidecar are told.

use std::path::PathBuf;

use crate::bundle::Limits as ArchiveLimits;
use crate::identity::{self, IssuerConfig, IssuerError};
use crate::resilience::BreakerSettings;
use crate::server::{H2Limits, Limits};
use crate::wire;

use super::activation::{self, OnPersistError};
use super::config::{Config, ConfigError, OnError, SourceConfig};
use super::forward;
use super::source::{self, Location};

/// What activation is told.
pub(super) fn activation(config: &Config) -> Result<activation::Settings, ConfigError> {
    Ok(activation::Settings {
        tenant: config.tenant_id()?,
        constitutional_hash: config.constitutional_hash.clone(),
        clock_skew: config.clock_skew.as_secs() as i64,
        retry_rejected: config.retry_rejected,
        keyring: PathBuf::from(&config.keyring),
        cache_dir: config.cache_dir(),
        on_persist_error: match config.cache.on_error {
            OnError::Activate => OnPersistError::Activate,
            OnError::Keep => OnPersistError::Keep,
        },
        sources: config
            .sources
            .iter()
            .map(source)
            .collect::<Result<_, _>>()?,
        archive_limits: archive_limits(config),
        decision_limits: config.limits.decision(),
    })
}

fn archive_limits(config: &Config) -> ArchiveLimits {
    ArchiveLimits {
        archive_bytes: config.limits.bundle_bytes as u64,
        entries: config.limits.bundle_files,
        entry_bytes: config.limits.bundle_file_bytes as u64,
        total_bytes: config.limits.bundle_total_bytes as u64,
        ..ArchiveLimits::default()
    }
}

fn source(config: &SourceConfig) -> Result<source::Settings, ConfigError> {
    let is_http = config.url.starts_with("http://") || config.url.starts_with("https://");
    let location = if is_http {
        let url = config.url.parse().map_err(|error| {
            ConfigError::Invalid(format!(
                "the url of source `{}` is not valid: {error}",
                config.name
            ))
        })?;
        Location::Http {
            url,
            token_file: config.token_file.as_ref().map(PathBuf::from),
            ca_file: config.ca_file.as_ref().map(PathBuf::from),
            wait: config.wait,
        }
    } else {
        let path = config.url.strip_prefix("file://").unwrap_or(&config.url);
        if path.contains("://") {
            return Err(ConfigError::Invalid(format!(
                "the url of source `{}` is `{}`: http, https, file or a path is expected",
                config.name, config.url
            )));
        }
        Location::File { path: path.into() }
    };
    Ok(source::Settings {
        name: config.name.clone(),
        location,
        poll: config.poll,
        min_number: config.min_number,
    })
}

/// What the forwarder is told; None where there is no upstream.
pub(super) fn forward(config: &Config) -> Result<Option<forward::Settings>, ConfigError> {
    let upstream = &config.upstream;
    let Some(url) = &upstream.url else {
        return Ok(None);
    };
    let base = url
        .parse()
        .map_err(|error| ConfigError::Invalid(format!("`upstream.url` is `{url}`: {error}")))?;
    Ok(Some(forward::Settings {
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
    }))
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
