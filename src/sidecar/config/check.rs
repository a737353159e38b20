//! What a configuration must fulfil beyond the shape of its values.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::model::TenantId;
use crate::server::settings::SettingsErrors;

use super::{Config, SourceConfig, TrustProfile};

/// What a flow-control window of HTTP/2 can hold.
const MAX_WINDOW: u32 = i32::MAX as u32;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read `{}`: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error(transparent)]
    Settings(#[from] SettingsErrors),
    #[error("{0}")]
    Invalid(String),
}

/// Where a listener is to be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

fn invalid(message: impl Into<String>) -> ConfigError {
    ConfigError::Invalid(message.into())
}

impl Config {
    /// Checks what the values mean.
    ///
    /// # Errors
    ///
    /// The first that cannot be used, with what to do.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_with(false)
    }

    /// As [`Config::check`], where a discovery bundle may say where the others come from.
    ///
    /// # Errors
    ///
    /// The first that cannot be used, with what to do.
    pub fn check_discovering(&self) -> Result<(), ConfigError> {
        self.check_with(true)
    }

    fn check_with(&self, discovers: bool) -> Result<(), ConfigError> {
        self.tenant_id()?;
        self.tracing
            .settings("")
            .map_err(|error| invalid(error.to_string()))?;
        let is_opa = |source: &SourceConfig| source.profile == TrustProfile::Opa;
        let opa_sources = self.sources.iter().filter(|source| is_opa(source)).count();
        if opa_sources > 0 && opa_sources < self.sources.len() {
            return Err(invalid(
                "`sources`: all must have the same `profile`, lictor or opa",
            ));
        }
        if self.keyring.is_empty() && opa_sources == 0 && !discovers {
            return Err(invalid(
                "`keyring` is missing: name the file of the public keys to trust",
            ));
        }
        if self.cache.dir.is_empty() {
            return Err(invalid(
                "`cache.dir` is missing: name a folder for the last known good, or say `none`",
            ));
        }
        self.check_sources(discovers)?;
        let http = self.http_addresses()?;
        let admin = self.admin_addresses()?;
        if http.is_empty() {
            return Err(invalid("`listeners.http` has neither `address` nor `unix`"));
        }
        let listener = &self.listeners.http;
        check_plaintext(
            "http",
            &http,
            (&listener.tls_cert_file, &listener.tls_key_file),
            listener.insecure_plaintext,
        )?;
        let listener = &self.listeners.grpc;
        check_plaintext(
            "grpc",
            &self.grpc_addresses()?,
            (&listener.tls_cert_file, &listener.tls_key_file),
            listener.insecure_plaintext,
        )?;
        self.check_clients()?;
        let open = self.listeners.admin.insecure_plaintext;
        check_plaintext("admin", &admin, (&None, &None), open)?;
        self.check_grpc()?;
        self.check_decision_point()
    }

    /// Client certificates need TLS, and someone who issues them to a known domain.
    fn check_clients(&self) -> Result<(), ConfigError> {
        let (http, grpc) = (&self.listeners.http, &self.listeners.grpc);
        for (name, certificates, authorities, domain) in [
            (
                "http",
                &http.tls_cert_file,
                &http.client_ca_file,
                &http.trust_domain,
            ),
            (
                "grpc",
                &grpc.tls_cert_file,
                &grpc.client_ca_file,
                &grpc.trust_domain,
            ),
        ] {
            if authorities.is_some() != domain.is_some() {
                return Err(invalid(format!(
                    "`listeners.{name}` needs both `client_ca_file` and `trust_domain`, or neither"
                )));
            }
            if authorities.is_some() && certificates.is_none() {
                return Err(invalid(format!(
                    "`listeners.{name}.client_ca_file` needs `tls_cert_file` and `tls_key_file`"
                )));
            }
        }
        Ok(())
    }

    /// The tenant.
    ///
    /// # Errors
    ///
    /// When it is missing or has another syntax.
    pub fn tenant_id(&self) -> Result<TenantId, ConfigError> {
        if self.tenant.is_empty() {
            return Err(invalid(
                "`tenant` is missing: say which tenant this sidecar serves",
            ));
        }
        self.tenant
            .parse()
            .map_err(|error| invalid(format!("`tenant`: {error}")))
    }

    /// Where the main listener is to be bound.
    ///
    /// # Errors
    ///
    /// When the address is none.
    pub fn http_addresses(&self) -> Result<Vec<Address>, ConfigError> {
        let listener = &self.listeners.http;
        addresses(
            "http",
            listener.address.as_deref(),
            listener.unix.as_deref(),
        )
    }

    /// Where the gRPC listener is to be bound; nowhere is allowed.
    ///
    /// # Errors
    ///
    /// When the address is none.
    pub fn grpc_addresses(&self) -> Result<Vec<Address>, ConfigError> {
        let listener = &self.listeners.grpc;
        addresses(
            "grpc",
            listener.address.as_deref(),
            listener.unix.as_deref(),
        )
    }

    /// Where the admin listener is to be bound.
    ///
    /// # Errors
    ///
    /// When the address is none.
    pub fn admin_addresses(&self) -> Result<Vec<Address>, ConfigError> {
        let listener = &self.listeners.admin;
        addresses(
            "admin",
            listener.address.as_deref(),
            listener.unix.as_deref(),
        )
    }

    /// The cache folder; None where the configuration says `none`.
    #[must_use]
    pub fn cache_dir(&self) -> Option<PathBuf> {
        (self.cache.dir != "none").then(|| PathBuf::from(&self.cache.dir))
    }

    fn check_sources(&self, discovers: bool) -> Result<(), ConfigError> {
        if discovers
            && self
                .sources
                .iter()
                .any(|source| source.profile != TrustProfile::Opa)
        {
            return Err(invalid(
                "`sources` of profile lictor and an OPA configuration with `discovery` cannot be combined",
            ));
        }
        if self.sources.is_empty() && !discovers {
            return Err(invalid("`sources` is empty: say where bundles come from"));
        }
        let mut names = std::collections::BTreeSet::new();
        for (index, source) in self.sources.iter().enumerate() {
            if source.url.is_empty() {
                return Err(invalid(format!("`sources[{index}].url` is missing")));
            }
            if source.name.is_empty() || !names.insert(&source.name) {
                return Err(invalid(format!(
                    "`sources[{index}].name` is `{}`: every source needs a name of its own",
                    source.name
                )));
            }
        }
        Ok(())
    }

    /// HTTP/2 has bounds of its own.
    fn check_grpc(&self) -> Result<(), ConfigError> {
        let grpc = &self.listeners.grpc;
        for (name, value, most) in [
            (
                "max_concurrent_streams",
                grpc.max_concurrent_streams,
                u32::MAX,
            ),
            ("stream_window_bytes", grpc.stream_window_bytes, MAX_WINDOW),
            (
                "connection_window_bytes",
                grpc.connection_window_bytes,
                MAX_WINDOW,
            ),
        ] {
            if value == 0 || value > most {
                return Err(invalid(format!(
                    "`listeners.grpc.{name}` is {value}: 1 to {most} is expected"
                )));
            }
        }
        if u32::try_from(grpc.max_send_buffer_bytes).is_err() {
            return Err(invalid(
                "`listeners.grpc.max_send_buffer_bytes` is larger than HTTP/2 allows",
            ));
        }
        Ok(())
    }

    fn check_decision_point(&self) -> Result<(), ConfigError> {
        match &self.authzen.policy_decision_point {
            Some(url) if !url.starts_with("https://") || url.contains(['?', '#']) => {
                Err(invalid(format!(
                    "`authzen.policy_decision_point` is `{url}`: an https URL without query is expected"
                )))
            }
            _ => Ok(()),
        }
    }
}

fn addresses(
    name: &str,
    tcp: Option<&str>,
    unix: Option<&str>,
) -> Result<Vec<Address>, ConfigError> {
    let mut out = Vec::new();
    if let Some(text) = tcp {
        let text = text.replacen("localhost:", "127.0.0.1:", 1);
        let address = text.parse().map_err(|_| {
            invalid(format!(
                "`listeners.{name}.address` is `{text}`: expected an address and a port such as 127.0.0.1:8181"
            ))
        })?;
        out.push(Address::Tcp(address));
    }
    if let Some(path) = unix {
        out.push(Address::Unix(path.into()));
    }
    Ok(out)
}

fn check_plaintext(
    name: &str,
    addresses: &[Address],
    (certificates, key): (&Option<String>, &Option<String>),
    insecure: bool,
) -> Result<(), ConfigError> {
    if certificates.is_some() != key.is_some() {
        return Err(invalid(format!(
            "`listeners.{name}` needs both `tls_cert_file` and `tls_key_file`, or neither"
        )));
    }
    for address in addresses {
        if let Address::Tcp(address) = address
            && !address.ip().is_loopback()
            && certificates.is_none()
            && !insecure
        {
            return Err(invalid(format!(
                "`listeners.{name}.address` is `{address}`, beyond loopback and without TLS: \
                 give certificates, or say `insecure_plaintext: true` (--insecure-plaintext)"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::SourceConfig;
    use super::*;

    fn valid() -> Config {
        let source = SourceConfig {
            url: "/bundles".into(),
            ..SourceConfig::default()
        };
        Config::new("acme", source, Path::new("/keyring"), Path::new("/cache"))
    }

    #[test]
    fn what_is_missing_or_open_is_said() {
        type Change = fn(&mut Config);
        valid().check().unwrap();
        let cases: [(&str, Change); 12] = [
            ("`tenant` is missing", |config| config.tenant.clear()),
            ("`tenant`: `a b` is no tenant", |config| {
                config.tenant = "a b".into();
            }),
            ("`keyring` is missing", |config| config.keyring.clear()),
            ("`cache.dir` is missing", |config| config.cache.dir.clear()),
            ("`sources` is empty", |config| config.sources.clear()),
            ("a name of its own", |config| {
                config.sources.push(config.sources[0].clone());
            }),
            ("beyond loopback", |config| {
                config.listeners.http.address = Some("0.0.0.0:8181".into());
            }),
            ("beyond loopback", |config| {
                config.listeners.admin.address = Some("[::]:8282".into());
            }),
            ("beyond loopback", |config| {
                config.listeners.grpc.address = Some("0.0.0.0:9191".into());
            }),
            ("`listeners.grpc.stream_window_bytes` is 0", |config| {
                config.listeners.grpc.stream_window_bytes = 0;
            }),
            ("needs both `tls_cert_file`", |config| {
                config.listeners.grpc.tls_cert_file = Some("/c".into());
            }),
            ("expected an address", |config| {
                config.listeners.http.address = Some("8181".into());
            }),
        ];
        for (expected, change) in cases {
            let mut config = valid();
            change(&mut config);
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn beyond_loopback_is_allowed_in_so_many_words() {
        let mut config = valid();
        config.listeners.http.address = Some("0.0.0.0:8181".into());
        config.listeners.http.insecure_plaintext = true;
        config.check().unwrap();
        config.listeners.http.insecure_plaintext = false;
        config.listeners.http.tls_cert_file = Some("/c".into());
        config.listeners.http.tls_key_file = Some("/k".into());
        config.check().unwrap();
    }
}
