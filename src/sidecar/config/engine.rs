//! The policy engine's own configuration: its file (`CONFIG_PATH`), its variables and its names for settings.
//!
//! In its precedence: defaults, the file, the variables, the flags. All of it counts less than what is said in our own
//! names. Its default that binds every address is not taken over: without a host it is loopback. What it says about a
//! database or a cache has no meaning here, and is named in a warning.

use std::path::Path;

use serde_json::{Map, Value};

use crate::server::settings::units::parse_duration;
use crate::server::settings::{self, Key, Kind, Origin};

use super::load::read;
use super::{Config, ConfigError};

const FILE: &str = "CONFIG_PATH";
const HOST: &str = "127.0.0.1";
const PORT: u64 = 50051;

const fn key(path: &'static str, kind: Kind) -> Key {
    Key {
        path,
        kind,
        help: "",
    }
}

const KEYS: &[Key] = &[
    key("server.port", Kind::Integer),
    key("server.host", Kind::Text),
    key("server.read_timeout", Kind::Duration),
    key("server.write_timeout", Kind::Duration),
    key("server.max_connections", Kind::Integer),
    key("server.enable_reflection", Kind::Boolean),
    key("server.enable_health_check", Kind::Boolean),
    key("database.host", Kind::Text),
    key("database.port", Kind::Integer),
    key("database.user", Kind::Text),
    key("database.password", Kind::Text),
    key("database.database", Kind::Text),
    key("database.ssl_mode", Kind::Text),
    key("database.max_connections", Kind::Integer),
    key("database.max_idle_conns", Kind::Integer),
    key("database.conn_max_lifetime", Kind::Duration),
    key("cache.enabled", Kind::Boolean),
    key("cache.ttl", Kind::Duration),
    key("cache.max_size", Kind::Integer),
    key("cache.cleanup_interval", Kind::Duration),
    key("observability.metrics.enabled", Kind::Boolean),
    key("observability.metrics.port", Kind::Integer),
    key("observability.metrics.path", Kind::Text),
    key("observability.tracing.enabled", Kind::Boolean),
    key("observability.tracing.jaeger_url", Kind::Text),
    key("observability.tracing.service_name", Kind::Text),
    key("observability.tracing.sampling_rate", Kind::Text),
    key("observability.logging.level", Kind::Text),
    key("observability.logging.format", Kind::Text),
    key("observability.logging.output", Kind::Text),
    key("observability.logging.time_format", Kind::Text),
    key("policies.default_version", Kind::Text),
    key("policies.reload_interval", Kind::Duration),
    key("policies.enable_auto_reload", Kind::Boolean),
    key("policies.validation_timeout", Kind::Duration),
];

/// Its variables, and the settings they stand for.
const VARIABLES: [(&str, &str); 10] = [
    ("POLICY_ENGINE_PORT", "server.port"),
    ("POLICY_ENGINE_HOST", "server.host"),
    ("DB_HOST", "database.host"),
    ("DB_PORT", "database.port"),
    ("DB_USER", "database.user"),
    ("DB_PASSWORD", "database.password"),
    ("DB_NAME", "database.database"),
    ("DB_SSL_MODE", "database.ssl_mode"),
    ("JAEGER_URL", "observability.tracing.jaeger_url"),
    ("LOG_LEVEL", "observability.logging.level"),
];

/// What was taken over, by the path of ours, and where from; and what has no meaning here.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    pub origins: Vec<(&'static str, Origin)>,
    pub warnings: Vec<String>,
}

/// Takes what the policy engine was told into `base`.
///
/// # Errors
///
/// A file that cannot be read, or names and values that it cannot hold.
pub fn apply(
    base: &mut Config,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Taken, ConfigError> {
    let file = variable(FILE).filter(|path| !path.is_empty());
    let text = file
        .as_deref()
        .map(|path| read(Path::new(path)))
        .transpose()?;
    let mut defaults = Value::Object(Map::new());
    for key in KEYS {
        insert(&mut defaults, key.path);
    }
    let layer = file.as_deref().zip(text.as_deref());
    let merged = settings::merge(KEYS, defaults, layer, std::iter::empty(), &[])?;
    let mut told = Told {
        base,
        taken: Taken::default(),
        host: None,
        port: None,
    };
    for (path, origin) in &merged.origins {
        let value = merged
            .value
            .pointer(&format!("/{}", path.replace('.', "/")));
        told.take(path, value.unwrap_or(&Value::Null), origin)?;
    }
    for (name, path) in VARIABLES {
        if let Some(text) = variable(name).filter(|text| !text.is_empty()) {
            told.take(path, &text.into(), &Origin::Environment(name.to_owned()))?;
        }
    }
    Ok(told.finish(file.map(|file| Origin::Key(file, "server.port".to_owned()))))
}

fn insert(value: &mut Value, path: &str) {
    let mut place = value;
    for name in path.split('.') {
        let Value::Object(members) = place else {
            return;
        };
        place = members
            .entry(name)
            .or_insert_with(|| Value::Object(Map::new()));
    }
    *place = Value::Null;
}

/// Settings on their way.
struct Told<'b> {
    base: &'b mut Config,
    taken: Taken,
    host: Option<(String, Origin)>,
    port: Option<(u64, Origin)>,
}

impl Told<'_> {
    fn take(&mut self, path: &str, value: &Value, origin: &Origin) -> Result<(), ConfigError> {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let wrong = |expected: &str| {
            ConfigError::Invalid(format!(
                "{origin}: `{path}` is `{text}`: expected {expected}"
            ))
        };
        let port = || match text.parse() {
            Ok(port @ 1..=65535) => Ok(port),
            _ => Err(wrong("a port from 1 to 65535")),
        };
        let ours = match path {
            "server.port" => {
                self.port = Some((port()?, origin.clone()));
                return Ok(());
            }
            "server.host" => {
                self.host = Some((text, origin.clone()));
                return Ok(());
            }
            "server.max_connections" => {
                self.base.limits.connections = text.parse().map_err(|_| wrong("a number"))?;
                "limits.connections"
            }
            "server.read_timeout" => {
                self.base.limits.body_timeout =
                    parse_duration(&text).map_err(|_| wrong("a duration such as 30s"))?;
                "limits.body_timeout"
            }
            "observability.metrics.port" => {
                self.base.listeners.admin.address = Some(format!("{HOST}:{}", port()?));
                "listeners.admin.address"
            }
            "observability.logging.level" => {
                level(&text).clone_into(&mut self.base.log.level);
                "log.level"
            }
            "observability.logging.format" => {
                let words = if text == "json" { "json" } else { "pretty" };
                words.clone_into(&mut self.base.log.format);
                "log.format"
            }
            "server.enable_reflection" => {
                self.base.listeners.grpc.reflection =
                    text.parse().map_err(|_| wrong("true or false"))?;
                "listeners.grpc.reflection"
            }
            // As it is here anyway.
            "server.enable_health_check"
            | "observability.metrics.enabled"
            | "cache.enabled"
            | "policies.enable_auto_reload"
                if text == "true" =>
            {
                return Ok(());
            }
            "observability.metrics.path" if text == "/metrics" => return Ok(()),
            _ => {
                self.taken.warnings.push(format!(
                    "{origin}: `{path}` has no meaning here: policies come from signed bundles, and settings that there are have names of our own"
                ));
                return Ok(());
            }
        };
        self.taken.origins.retain(|(known, _)| *known != ours);
        self.taken.origins.push((ours, origin.clone()));
        Ok(())
    }

    /// Where it listens: at its own port as soon as it was told anything about that, or has a file.
    fn finish(mut self, file: Option<Origin>) -> Taken {
        let origin = match (&self.port, &self.host, file) {
            (Some((_, origin)), ..) | (None, Some((_, origin)), _) => origin.clone(),
            (None, None, Some(file)) => file,
            (None, None, None) => return self.taken,
        };
        let port = self.port.map_or(PORT, |(port, _)| port);
        let host = self.host.map_or_else(|| HOST.to_owned(), |(host, _)| host);
        let host = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]")
        } else {
            host
        };
        self.base.listeners.grpc.address = Some(format!("{host}:{port}"));
        self.taken.origins.push(("listeners.grpc.address", origin));
        self.taken
    }
}

/// A level of ours; one that is unknown is `info`, as it is there.
fn level(text: &str) -> &'static str {
    match text.to_ascii_lowercase().as_str() {
        "error" | "fatal" | "panic" => "error",
        "warn" | "warning" => "warn",
        "debug" => "debug",
        "trace" => "trace",
        _ => "info",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(text: Option<&str>, variables: &[(&str, &str)]) -> Result<(Config, Taken), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let mut base = Config::default();
        let taken = apply(&mut base, |name| {
            if name == FILE {
                return text.map(|_| path.display().to_string());
            }
            let mut all = variables.iter();
            all.find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
        .map_err(|error| error.to_string())?;
        Ok((base, taken))
    }

    #[test]
    fn without_any_of_it_nothing_changes() {
        let (base, taken) = applied(None, &[]).unwrap();
        assert_eq!(base, Config::default());
        assert!(taken.origins.is_empty() && taken.warnings.is_empty());
    }

    #[test]
    fn the_file_is_understood_and_variables_win_over_it() {
        let text = "
server: {port: 6000, max_connections: 7, read_timeout: 3s, enable_reflection: false}
observability:
  metrics: {port: 9090, path: /metrics}
  logging: {level: debug, format: text}
";
        let (base, taken) = applied(Some(text), &[("LOG_LEVEL", "warning")]).unwrap();
        assert_eq!(
            base.listeners.grpc.address.as_deref(),
            Some("127.0.0.1:6000")
        );
        assert_eq!(
            base.listeners.admin.address.as_deref(),
            Some("127.0.0.1:9090")
        );
        assert_eq!(base.limits.connections, 7);
        assert!(!base.listeners.grpc.reflection);
        assert_eq!(base.limits.body_timeout.as_secs(), 3);
        assert_eq!((&*base.log.level, &*base.log.format), ("warn", "pretty"));
        assert!(taken.warnings.is_empty(), "{:?}", taken.warnings);
        let (base, _) = applied(Some(text), &[("POLICY_ENGINE_PORT", "6001")]).unwrap();
        assert_eq!(
            base.listeners.grpc.address.as_deref(),
            Some("127.0.0.1:6001")
        );
    }

    #[test]
    fn its_port_is_taken_over_and_its_host_only_where_it_is_said() {
        let (base, _) = applied(Some("{}"), &[]).unwrap();
        assert_eq!(
            base.listeners.grpc.address.as_deref(),
            Some("127.0.0.1:50051")
        );
        let (base, _) = applied(None, &[("POLICY_ENGINE_HOST", "0.0.0.0")]).unwrap();
        assert_eq!(
            base.listeners.grpc.address.as_deref(),
            Some("0.0.0.0:50051")
        );
    }

    #[test]
    fn what_has_no_meaning_here_is_named_and_what_is_wrong_is_refused() {
        let (_, taken) = applied(Some("database: {host: db}"), &[("JAEGER_URL", "x")]).unwrap();
        assert_eq!(taken.warnings.len(), 2);
        for (text, variables, said) in [
            (Some("servers: {}"), &[][..], "did you mean `server`"),
            (Some("server: {port: soon}"), &[], "server.port"),
            (Some("server: {port: 70000}"), &[], "from 1 to 65535"),
            (None, &[("POLICY_ENGINE_PORT", "x")], "POLICY_ENGINE_PORT"),
        ] {
            let error = applied(text, variables).unwrap_err();
            assert!(error.contains(said), "{said} is not in {error}");
        }
    }
}
