//! Layers into a [`Config`], and back into text that says where every value came from.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::server::settings::{self, Flag, MAX_FILE_BYTES, Merged, Origin};

use super::opa::OpaConfig;
use super::{Config, ConfigError, KEYS, engine};

/// A configuration and where its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    pub merged: Merged,
    /// The OPA configuration file, where one was given.
    pub opa: Option<Arc<OpaConfig>>,
    /// What the policy engine's own configuration says that has no meaning here, one sentence each.
    pub warnings: Vec<String>,
    layers: Arc<Layers>,
}

/// What a configuration is made from, but for the OPA configuration file.
#[derive(Default)]
struct Layers {
    /// The own file's name and text.
    own: Option<(String, String)>,
    /// The OPA configuration file's name.
    opa: String,
    environment: Vec<(String, String)>,
    flags: Vec<Flag>,
}

impl std::fmt::Debug for Layers {
    /// The environment holds secrets.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Layers").finish_non_exhaustive()
    }
}

/// The files of a configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files<'a> {
    pub own: Option<&'a Path>,
    /// An OPA configuration file: what it says counts more than a default and less than our own file.
    pub opa: Option<&'a Path>,
}

/// Reads the files that there are, takes the process's variables and `flags`, and checks the result.
///
/// # Errors
///
/// Everything wrong, each with its origin.
pub fn load(
    files: Files<'_>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<Loaded, ConfigError> {
    let layers = Layers {
        own: files
            .own
            .map(|path| Ok::<_, ConfigError>((path.display().to_string(), read(path)?)))
            .transpose()?,
        opa: files
            .opa
            .map(|path| path.display().to_string())
            .unwrap_or_default(),
        environment: environment.collect(),
        flags: flags.to_vec(),
    };
    let opa = files
        .opa
        .map(|path| OpaConfig::read(path, |name| layers.variable(name)))
        .transpose()?;
    made(Arc::new(layers), opa)
}

impl Layers {
    fn variable(&self, name: &str) -> Option<String> {
        let mut all = self.environment.iter();
        all.find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    }
}

fn made(layers: Arc<Layers>, opa: Option<OpaConfig>) -> Result<Loaded, ConfigError> {
    let mut base = Config::default();
    let engine = engine::apply(&mut base, |name| layers.variable(name))?;
    let set = opa.as_ref().map(|opa| opa.apply(&mut base));
    let defaults =
        serde_json::to_value(base).map_err(|error| ConfigError::Invalid(error.to_string()))?;
    let own = layers.own.as_ref();
    let own = own.map(|(name, text)| (name.as_str(), text.as_str()));
    let environment = layers.environment.iter().cloned();
    let mut merged = settings::merge(KEYS, defaults, own, environment, &layers.flags)?;
    for (ours, theirs) in set.unwrap_or_default() {
        let origin = Origin::Key(layers.opa.clone(), theirs.to_owned());
        merged.origins.entry(ours.to_owned()).or_insert(origin);
    }
    for (ours, origin) in engine.origins {
        merged.origins.entry(ours.to_owned()).or_insert(origin);
    }
    let config: Config = serde_json::from_value(merged.value.clone())
        .map_err(|error| ConfigError::Invalid(error.to_string()))?;
    let loaded = Loaded {
        config,
        merged,
        opa: opa.map(Arc::new),
        warnings: engine.warnings,
        layers,
    };
    loaded.check()?;
    Ok(loaded)
}

pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
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
    std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}

impl Loaded {
    /// A configuration that a program made itself: every value's origin is `default`.
    #[must_use]
    pub fn made(config: Config) -> Self {
        Self {
            merged: Merged {
                value: serde_json::to_value(&config).unwrap_or_default(),
                ..Merged::default()
            },
            config,
            opa: None,
            warnings: Vec::new(),
            layers: Arc::default(),
        }
    }

    /// The same with another OPA configuration.
    ///
    /// # Errors
    ///
    /// Everything wrong with what they say together.
    pub fn with_opa(&self, opa: OpaConfig) -> Result<Self, ConfigError> {
        made(Arc::clone(&self.layers), Some(opa))
    }

    /// Looks up the process's variables as they were at the start.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        self.layers.variable(name)
    }

    /// Checks what the values mean.
    ///
    /// # Errors
    ///
    /// The first that cannot be used, with what to do.
    pub fn check(&self) -> Result<(), ConfigError> {
        match &self.opa {
            Some(opa) if opa.discovery.is_some() => self.config.check_discovering(),
            _ => self.config.check(),
        }
    }

    /// Every setting in effect as `{path: {value, origin}}`. There are no secrets in it: they are in files.
    #[must_use]
    pub fn effective(&self) -> Value {
        let mut out = serde_json::Map::new();
        let value = serde_json::to_value(&self.config).unwrap_or_default();
        self.collect("", &value, &mut out);
        Value::Object(out)
    }

    /// The same as YAML lines with the origin as a comment.
    #[must_use]
    pub fn print(&self) -> String {
        let value = serde_json::to_value(&self.config).unwrap_or_default();
        let mut out = String::new();
        self.lines("", &value, 0, &mut out);
        out
    }

    fn collect(&self, path: &str, value: &Value, out: &mut serde_json::Map<String, Value>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    self.collect(&child(path, name), value, out);
                }
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for (index, value) in items.iter().enumerate() {
                    self.collect(&format!("{path}[{index}]"), value, out);
                }
            }
            leaf => {
                let origin = self.merged.origin(path).to_string();
                out.insert(
                    path.to_owned(),
                    serde_json::json!({"value": leaf, "origin": origin}),
                );
            }
        }
    }

    fn lines(&self, path: &str, value: &Value, depth: usize, out: &mut String) {
        let Value::Object(members) = value else {
            return;
        };
        for (index, (name, value)) in members.iter().enumerate() {
            let path = child(path, name);
            let first_of_item = index == 0
                && path
                    .rsplit_once('.')
                    .is_some_and(|(parent, _)| parent.ends_with(']'));
            let indent = if first_of_item {
                format!("{}- ", "  ".repeat(depth.saturating_sub(1)))
            } else {
                "  ".repeat(depth)
            };
            match value {
                Value::Object(_) => {
                    let _ = writeln!(out, "{indent}{name}:");
                    self.lines(&path, value, depth + 1, out);
                }
                Value::Array(items) if items.iter().any(Value::is_object) => {
                    let _ = writeln!(out, "{indent}{name}:");
                    for (index, item) in items.iter().enumerate() {
                        self.lines(&format!("{path}[{index}]"), item, depth + 2, out);
                    }
                }
                leaf => {
                    let origin = match self.merged.origin(&path) {
                        Origin::Default => String::new(),
                        other => format!("  # {other}"),
                    };
                    let _ = writeln!(out, "{indent}{name}: {leaf}{origin}");
                }
            }
        }
    }
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "tenant: acme\nkeyring: /k\ncache: {dir: none}\nsources:\n  - url: /bundles\n    poll: 5s\nlimits: {drain: 1s}\n";

    fn own(path: &Path) -> Files<'_> {
        Files {
            own: Some(path),
            opa: None,
        }
    }

    fn loaded() -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sidecar.yaml");
        std::fs::write(&path, FILE).unwrap();
        load(own(&path), std::iter::empty(), &[]).unwrap()
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        let first = loaded();
        assert_eq!(first.config.sources[0].name, "main");
        let text = first.print();
        assert!(text.contains("tenant: \"acme\"  # "), "{text}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("again.yaml");
        std::fs::write(&path, &text).unwrap();
        let again = load(own(&path), std::iter::empty(), &[])
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(again.config, first.config);
    }

    #[test]
    fn the_effective_configuration_names_origins() {
        let effective = loaded().effective();
        assert_eq!(effective["sources[0].poll"]["value"], "5s");
        assert!(
            effective["sources[0].poll"]["origin"]
                .as_str()
                .unwrap()
                .ends_with(":6")
        );
        assert_eq!(effective["limits.steps"]["origin"], "default");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load(own(Path::new("/nowhere.yaml")), std::iter::empty(), &[]).unwrap_err();
        assert!(error.to_string().contains("/nowhere.yaml"), "{error}");
    }
}
