//! The control plane's configuration file, its variables and its flags, read into a [`Config`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::identity::{IssuerConfig, IssuerError, TokenType};
use crate::jose::Algorithm;
use crate::server::settings::units::duration;
use crate::server::settings::{self, Flag, Key, Kind, MAX_FILE_BYTES, SettingsErrors};
use crate::spans::{self, TracingConfig};

use super::{Authentication, BundleKey, Config, Limits, Tls};

const fn key(path: &'static str, kind: Kind, help: &'static str) -> Key {
    Key { path, kind, help }
}

/// Every setting.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("listener.address", Kind::Text, "Address and port of the registry and of the bundles."),
    key("listener.grpc_address", Kind::OptionalText, "Address and port of the policy engine's gRPC service; null = none."),
    key("listener.tls_cert_file", Kind::OptionalText, "PEM of the certificate chain."),
    key("listener.tls_key_file", Kind::OptionalText, "PEM of the certificate's private key."),
    key("listener.insecure_plaintext", Kind::Boolean, "Serve plain text beyond loopback."),
    key("data_dir", Kind::Text, "The folder of the database."),
    key("bundle_key.kid", Kind::Text, "The key id that sidecars know the signing key by."),
    key("bundle_key.file", Kind::Text, "PKCS#8 PEM of the Ed25519 key that signs bundles."),
    key("keyring", Kind::Text, "The public keyring that sidecars trust."),
    key("content_key_file", Kind::Text, "PKCS#8 PEM of the Ed25519 key that signs content."),
    key("identity.issuers[].name", Kind::Text, "The `iss` of tokens that are believed."),
    key("identity.issuers[].audience", Kind::Texts, "One of them must be in the token's `aud`."),
    key("identity.issuers[].use", Kind::Word(&["token"]), "What the issuer's keys are for."),
    key("identity.issuers[].algorithm", Kind::Word(Algorithm::ASYMMETRIC), "What its tokens are signed with."),
    key("identity.issuers[].typ", Kind::Words(TokenType::WORDS), "What its tokens call themselves: JWT, at+jwt (RFC 9068) or both."),
    key("identity.issuers[].public_key_file", Kind::OptionalText, "PEM of the issuer's public key."),
    key("identity.issuers[].jwks", Kind::Url, "The issuer's key set: an https URL or a path."),
    key("identity.issuers[].jwks_ca_file", Kind::OptionalText, "PEM of the certificate authorities to trust for it."),
    key("identity.issuers[].jwks_refresh", Kind::Duration, "How often a key set behind a URL is fetched."),
    key("insecure_no_auth", Kind::Boolean, "Believe everybody; on loopback only."),
    key("anonymous_reads", Kind::OptionalText, "The tenant that a read without a token reads."),
    key("constitutional_hash", Kind::Text, "The label every bundle carries."),
    key("bundle_life", Kind::Duration, "How long a bundle lives; it is issued anew at half of that."),
    key("limits.body_bytes", Kind::Size, "The largest body of a request."),
    key("limits.header_bytes", Kind::Size, "The largest head of a request."),
    key("limits.connections", Kind::Integer, "Connections at a time."),
    key("limits.read_timeout", Kind::Duration, "For a request's head to arrive, and again for its body."),
    key("limits.drain", Kind::Duration, "How long requests may finish after a shutdown began."),
    key("list.default_page_size", Kind::Integer, "Policies on a page of ListPolicies where the request names no size; 0 = all."),
    key("log.level", Kind::Word(&["error", "warn", "info", "debug", "trace"]), "The least that is logged."),
    key("log.format", Kind::Word(&["json", "pretty"]), "How lines are written."),
    key("tracing.endpoint", Kind::OptionalText, "OTLP endpoint (gRPC) of the collector that gets spans; null = no spans."),
    key("tracing.headers_file", Kind::OptionalText, "A file of headers for the collector, `name: value` a line."),
    key("tracing.ca_file", Kind::OptionalText, "PEM of the certificate authorities to trust for it."),
    key("tracing.sample_ratio", Kind::Text, "Which part of the traces that begin here is recorded, 0 to 1."),
    key("tracing.service_name", Kind::OptionalText, "`service.name` of the spans; null = the program's name."),
    key("tracing.timeout", Kind::Duration, "For one batch of spans, and for the last ones at the end."),
];

/// The configuration as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    listener: WrittenListener,
    data_dir: String,
    bundle_key: WrittenKey,
    keyring: String,
    content_key_file: String,
    identity: WrittenIdentity,
    insecure_no_auth: bool,
    anonymous_reads: Option<String>,
    constitutional_hash: String,
    #[serde(with = "duration")]
    bundle_life: Duration,
    limits: WrittenLimits,
    list: WrittenList,
    log: Log,
    tracing: TracingConfig,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenListener {
    address: String,
    grpc_address: Option<String>,
    tls_cert_file: Option<String>,
    tls_key_file: Option<String>,
    insecure_plaintext: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenKey {
    kid: String,
    file: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenIdentity {
    issuers: Vec<IssuerConfig>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenLimits {
    body_bytes: usize,
    header_bytes: usize,
    connections: usize,
    #[serde(with = "duration")]
    read_timeout: Duration,
    #[serde(with = "duration")]
    drain: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenList {
    default_page_size: u32,
}

/// The log on standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub level: String,
    /// `json` or `pretty`.
    pub format: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: "json".into(),
        }
    }
}

impl Default for WrittenListener {
    fn default() -> Self {
        Self {
            address: Config::LISTEN.to_string(),
            grpc_address: Some(Config::GRPC.to_string()),
            tls_cert_file: None,
            tls_key_file: None,
            insecure_plaintext: false,
        }
    }
}

impl Default for WrittenList {
    fn default() -> Self {
        Self {
            default_page_size: Config::DEFAULT_PAGE_SIZE,
        }
    }
}

impl Default for WrittenLimits {
    fn default() -> Self {
        let Limits {
            body_bytes,
            header_bytes,
            connections,
            read_timeout,
            drain,
        } = Limits::default();
        Self {
            body_bytes,
            header_bytes,
            connections,
            read_timeout,
            drain,
        }
    }
}

impl Default for Written {
    fn default() -> Self {
        Self {
            listener: WrittenListener::default(),
            data_dir: String::new(),
            bundle_key: WrittenKey::default(),
            keyring: String::new(),
            content_key_file: String::new(),
            identity: WrittenIdentity::default(),
            insecure_no_auth: false,
            anonymous_reads: None,
            constitutional_hash: crate::model::CONSTITUTIONAL_HASH.into(),
            bundle_life: Config::BUNDLE_LIFE,
            limits: WrittenLimits::default(),
            list: WrittenList::default(),
            log: Log::default(),
            tracing: TracingConfig::default(),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read `{}`: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error(transparent)]
    Settings(#[from] SettingsErrors),
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Tracing(#[from] spans::ConfigError),
    #[error(transparent)]
    Issuer(#[from] IssuerError),
}

/// Reads `file` (where there is one), takes the process's variables and `flags`.
///
/// # Errors
///
/// Everything wrong with the names and values; what only `build` can find out comes from there.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<(Config, Log), FileError> {
    let text = file.map(read).transpose()?;
    let name = file.map(|path| path.display().to_string());
    let invalid = |error: serde_json::Error| FileError::Invalid(error.to_string());
    let defaults = serde_json::to_value(Written::default()).map_err(invalid)?;
    let layer = name.as_deref().zip(text.as_deref());
    let merged = settings::merge(KEYS, defaults, layer, environment, flags)?;
    let written: Written = serde_json::from_value(merged.value).map_err(invalid)?;
    written.checked()
}

fn read(path: &Path) -> Result<String, FileError> {
    let failed = |reason: String| FileError::File {
        path: path.to_owned(),
        reason,
    };
    let size = std::fs::metadata(path)
        .map_err(|error| failed(error.to_string()))?
        .len();
    if size > MAX_FILE_BYTES {
        return Err(failed(format!("larger than {MAX_FILE_BYTES} bytes")));
    }
    std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}

impl Written {
    fn checked(self) -> Result<(Config, Log), FileError> {
        let invalid = |text: String| FileError::Invalid(text);
        let required = [
            ("data_dir", &self.data_dir),
            ("bundle_key.kid", &self.bundle_key.kid),
            ("bundle_key.file", &self.bundle_key.file),
            ("keyring", &self.keyring),
            ("content_key_file", &self.content_key_file),
        ];
        if let Some((name, _)) = required.iter().find(|(_, value)| value.is_empty()) {
            return Err(invalid(format!("`{name}` is required")));
        }
        if self.insecure_no_auth && !self.identity.issuers.is_empty() {
            return Err(invalid(
                "`insecure_no_auth` and `identity.issuers` contradict each other: drop one".into(),
            ));
        }
        let address = |name: &str, text: &str, example: SocketAddr| {
            text.parse::<SocketAddr>().map_err(|_| {
                invalid(format!(
                    "`{name}` is `{text}`: an address and a port such as {example} is expected"
                ))
            })
        };
        let listen = address("listener.address", &self.listener.address, Config::LISTEN)?;
        let grpc = self.listener.grpc_address.as_deref();
        let grpc = grpc
            .map(|text| address("listener.grpc_address", text, Config::GRPC))
            .transpose()?;
        let tls = match (self.listener.tls_cert_file, self.listener.tls_key_file) {
            (Some(certificate), Some(key)) => Some(Tls {
                certificate_file: certificate.into(),
                key_file: key.into(),
            }),
            (None, None) => None,
            _ => {
                return Err(invalid(
                    "`listener.tls_cert_file` and `listener.tls_key_file` go together".into(),
                ));
            }
        };
        let anonymous_reads = self
            .anonymous_reads
            .map(|tenant| tenant.parse())
            .transpose()
            .map_err(|error| invalid(format!("`anonymous_reads`: {error}")))?;
        let authentication = if self.insecure_no_auth {
            Authentication::InsecureNone
        } else {
            let issuers = self.identity.issuers.iter().map(IssuerConfig::trusted);
            Authentication::Tokens(issuers.collect::<Result<_, _>>()?)
        };
        let config = Config {
            listen,
            grpc,
            default_page_size: self.list.default_page_size,
            tls,
            insecure_plaintext: self.listener.insecure_plaintext,
            data_dir: self.data_dir.into(),
            bundle_key: BundleKey {
                kid: self.bundle_key.kid,
                file: self.bundle_key.file.into(),
            },
            keyring_file: self.keyring.into(),
            content_key_file: self.content_key_file.into(),
            authentication,
            anonymous_reads,
            constitutional_hash: self.constitutional_hash,
            bundle_life: self.bundle_life,
            limits: self.limits.into(),
            tracing: self.tracing.settings("lictor-control-plane")?,
        };
        Ok((config, self.log))
    }
}

impl From<WrittenLimits> for Limits {
    fn from(written: WrittenLimits) -> Self {
        let WrittenLimits {
            body_bytes,
            header_bytes,
            connections,
            read_timeout,
            drain,
        } = written;
        Self {
            body_bytes,
            header_bytes,
            connections,
            read_timeout,
            drain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "\
data_dir: /data
bundle_key: {kid: k1, file: /keys/bundle.pem}
keyring: /keys/keyring.yaml
content_key_file: /keys/content.pem
anonymous_reads: public
bundle_life: 1h
limits: {body_bytes: 1MiB}
insecure_no_auth: true
";

    fn loaded(text: &str, flags: &[Flag]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control-plane.yaml");
        std::fs::write(&path, text).unwrap();
        load(Some(&path), std::iter::empty(), flags)
            .map(|(config, _)| config)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_is_read_and_flags_win() {
        let flag = Flag {
            name: "--listen",
            path: "listener.address",
            value: "127.0.0.1:0".into(),
        };
        let config = loaded(WHOLE, &[flag]).unwrap();
        assert_eq!(config.listen.port(), 0);
        assert_eq!(config.bundle_life, Duration::from_hours(1));
        assert_eq!(config.limits.body_bytes, 1024 * 1024);
        assert_eq!(config.anonymous_reads.unwrap().as_str(), "public");
        assert!(matches!(
            config.authentication,
            Authentication::InsecureNone
        ));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("", "`data_dir` is required"),
            (
                &WHOLE.replace("keyring:", "keyrings:"),
                "did you mean `keyring`",
            ),
            (&WHOLE.replace("1h", "soon"), "bundle_life"),
            (
                &format!("{WHOLE}listener: {{address: here}}"),
                "127.0.0.1:8000",
            ),
            (
                &format!("{WHOLE}listener: {{tls_cert_file: a}}"),
                "go together",
            ),
            (
                &format!("{WHOLE}identity: {{issuers: [{{name: i}}]}}"),
                "contradict",
            ),
            (&WHOLE.replace("public", "no tenant"), "anonymous_reads"),
            ("[1", "control-plane.yaml"),
        ] {
            let error = loaded(text, &[]).unwrap_err();
            assert!(error.contains(said), "{said} is not in {error}");
        }
    }

    #[test]
    fn the_table_is_the_type() {
        let mut written = Written::default();
        written.identity.issuers.push(IssuerConfig::default());
        let value = serde_json::to_value(written).unwrap();
        let mut typed = Vec::new();
        leaves("", &value, &mut typed);
        let mut table: Vec<_> = KEYS.iter().map(|key| key.path.to_owned()).collect();
        typed.sort();
        table.sort();
        assert_eq!(typed, table);
    }

    fn leaves(path: &str, value: &serde_json::Value, out: &mut Vec<String>) {
        let join = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            }
        };
        match value {
            serde_json::Value::Object(members) => {
                for (name, value) in members {
                    leaves(&join(name), value, out);
                }
            }
            serde_json::Value::Array(items) if items.iter().any(serde_json::Value::is_object) => {
                for item in items {
                    leaves(&format!("{path}[]"), item, out);
                }
            }
            _ => out.push(path.to_owned()),
        }
    }
}
