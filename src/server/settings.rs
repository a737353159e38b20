//! Settings from layers: defaults, then a YAML file, then the environment, then flags. Every value remembers
//! where it came from; a name that nobody knows is an error with a suggestion.
//!
//! Knows nothing of what the settings mean: a program brings its table of [`Key`]s.

mod key;
mod suggest;
pub mod units;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

pub use key::{Key, Kind, schema};
pub use suggest::closest;
pub use yaml::{Document, YamlError, parse as parse_yaml};

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// File name and line, from 1.
    File(String, usize),
    /// A file in another form, and the key in it.
    Key(String, String),
    /// The variable.
    Environment(String),
    /// The flag, with its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(file, line) => write!(formatter, "{file}:{line}"),
            Self::Key(file, key) => write!(formatter, "{file}: {key}"),
            Self::Environment(name) => write!(formatter, "environment {name}"),
            Self::Flag(name) => write!(formatter, "flag {name}"),
        }
    }
}

/// One thing wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {message}")]
pub struct SettingsError {
    pub origin: Origin,
    pub message: String,
}

/// Everything wrong with the settings. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SettingsErrors(pub Vec<SettingsError>);

impl fmt::Display for SettingsErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            error.fmt(formatter)?;
        }
        Ok(())
    }
}

/// A flag that sets a value.
#[derive(Clone, Debug)]
pub struct Flag {
    /// With its dashes.
    pub name: &'static str,
    /// Which key, for example `listeners.http.address`.
    pub path: &'static str,
    pub value: String,
}

/// The layers merged.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    pub value: Value,
    /// By path, for example `sources[0].url`; what is not here is a default.
    pub origins: BTreeMap<String, Origin>,
}

impl Merged {
    /// Where the value at `path` came from: itself, or the nearest that holds it.
    #[must_use]
    pub fn origin(&self, path: &str) -> Origin {
        let mut path = path;
        loop {
            if let Some(origin) = self.origins.get(path) {
                return origin.clone();
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = path.get(..end).unwrap_or_default(),
                None => return Origin::Default,
            }
        }
    }
}

/// Merges the layers over `defaults`. `environment` is every variable of the process; those that start with
/// `LICTOR_` are ours.
///
/// # Errors
///
/// Everything wrong, in the order of the layers.
pub fn merge(
    keys: &[Key],
    defaults: Value,
    file: Option<(&str, &str)>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<Merged, SettingsErrors> {
    let mut merged = Merged {
        value: defaults,
        origins: BTreeMap::new(),
    };
    let mut errors = Vec::new();
    if let Some((name, text)) = file {
        match yaml::parse(text) {
            Ok(document) => {
                let mut overlay = FileLayer {
                    keys,
                    name,
                    lines: &document.lines,
                    merged: &mut merged,
                    errors: &mut errors,
                };
                overlay.apply(&document.value);
            }
            Err(error) => errors.push(SettingsError {
                origin: Origin::File(name.to_owned(), error.line),
                message: error.message,
            }),
        }
    }
    let mut variables: Vec<_> = environment.collect();
    variables.sort();
    for (name, text) in variables {
        if let Some(path) = variable_path(keys, &name, &mut errors) {
            set_text(
                keys,
                &mut merged,
                &path,
                &text,
                &Origin::Environment(name),
                &mut errors,
            );
        }
    }
    for flag in flags {
        let origin = Origin::Flag(flag.name.to_owned());
        set_text(
            keys,
            &mut merged,
            flag.path,
            &flag.value,
            &origin,
            &mut errors,
        );
    }
    if errors.is_empty() {
        Ok(merged)
    } else {
        Err(SettingsErrors(errors))
    }
}

struct FileLayer<'a> {
    keys: &'a [Key],
    name: &'a str,
    lines: &'a BTreeMap<String, usize>,
    merged: &'a mut Merged,
    errors: &'a mut Vec<SettingsError>,
}

impl FileLayer<'_> {
    fn apply(&mut self, document: &Value) {
        match document {
            Value::Null => {}
            Value::Object(members) => self.object("", members),
            _ => self.error("", "the file must hold a mapping of sections".to_owned()),
        }
    }

    fn object(&mut self, path: &str, members: &Map<String, Value>) {
        for (name, value) in members {
            let child = key::join(path, name);
            self.value(&child, value);
        }
    }

    fn value(&mut self, path: &str, value: &Value) {
        if let Some(key) = key::find(self.keys, path) {
            match key.kind.check(value) {
                Ok(value) => self.set(path, value),
                Err(message) => self.error(path, format!("`{path}`: {message}")),
            }
        } else if key::is_section(self.keys, path) {
            match value {
                Value::Object(members) => self.object(path, members),
                Value::Null => {}
                _ => self.error(path, format!("`{path}` is a section: expected a mapping")),
            }
        } else if key::is_list(self.keys, path) {
            match value {
                Value::Array(items) => self.list(path, items),
                _ => self.error(path, format!("`{path}`: expected a list")),
            }
        } else {
            let message = key::unknown(self.keys, path);
            self.error(path, message);
        }
    }

    fn list(&mut self, path: &str, items: &[Value]) {
        self.set(path, Value::Array(Vec::new()));
        for (index, item) in items.iter().enumerate() {
            let child = format!("{path}[{index}]");
            match item {
                Value::Object(members) => {
                    self.set(&child, Value::Object(Map::new()));
                    self.object(&child, members);
                }
                _ => self.error(&child, format!("`{child}`: expected a mapping")),
            }
        }
    }

    fn set(&mut self, path: &str, value: Value) {
        let origin = Origin::File(self.name.to_owned(), self.line(path));
        put(self.merged, path, value, origin);
    }

    fn error(&mut self, path: &str, message: String) {
        self.errors.push(SettingsError {
            origin: Origin::File(self.name.to_owned(), self.line(path)),
            message,
        });
    }

    fn line(&self, path: &str) -> usize {
        self.lines.get(path).copied().unwrap_or(1)
    }
}

/// Names that start like ours and are not settings: of this program's other parts, of its tests, and what a
/// cluster injects for a service called `lictor`.
fn is_foreign(name: &str) -> bool {
    const OTHERS: [&str; 7] = [
        "CONFIG",
        "OPA_CONFIG",
        "VECTORS",
        "OPA",
        "REQUIRE",
        "ENVOY",
        "LOG",
    ];
    OTHERS.contains(&name)
        || name.starts_with("TEST_")
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name == "SERVICE_HOST"
        || name.starts_with("SERVICE_PORT")
        || name == "PORT"
        || name.ends_with("_PORT")
        || (name.contains("PORT_") && (name.contains("_TCP") || name.contains("_UDP")))
}

/// The path that a variable sets; None where it is not ours or (an error was pushed) unknown.
fn variable_path(keys: &[Key], name: &str, errors: &mut Vec<SettingsError>) -> Option<String> {
    let rest = name.strip_prefix("LICTOR_")?;
    if is_foreign(rest) {
        return None;
    }
    let mut path = String::new();
    for segment in rest.split("__") {
        if !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit()) {
            path = format!("{path}[{segment}]");
        } else {
            path = key::join(&path, &segment.to_ascii_lowercase());
        }
    }
    if key::find(keys, &path).is_some() {
        return Some(path);
    }
    let known: Vec<String> = keys.iter().map(|key| variable_name(key.path)).collect();
    let hint = closest(name, known.iter().map(String::as_str))
        .map(|near| format!(": did you mean `{near}`?"))
        .unwrap_or_default();
    errors.push(SettingsError {
        origin: Origin::Environment(name.to_owned()),
        message: format!("`{name}` sets nothing that is known{hint}"),
    });
    None
}

/// The variable of a key: `listeners.http.address` is `LICTOR_LISTENERS__HTTP__ADDRESS`.
#[must_use]
pub fn variable_name(path: &str) -> String {
    format!(
        "LICTOR_{}",
        path.replace("[]", ".0")
            .replace('.', "__")
            .to_ascii_uppercase()
    )
}

fn set_text(
    keys: &[Key],
    merged: &mut Merged,
    path: &str,
    text: &str,
    origin: &Origin,
    errors: &mut Vec<SettingsError>,
) {
    let checked = key::find(keys, path)
        .ok_or_else(|| key::unknown(keys, path))
        .and_then(|key| {
            key.kind
                .read(text)
                .map_err(|message| format!("`{path}`: {message}"))
        });
    match checked {
        Ok(value) => {
            if !put(merged, path, value, origin.clone()) {
                errors.push(SettingsError {
                    origin: origin.clone(),
                    message: format!("`{path}`: items must be numbered from 0 without gaps"),
                });
            }
        }
        Err(message) => errors.push(SettingsError {
            origin: origin.clone(),
            message,
        }),
    }
}

/// Sets `path`, making what holds it. False where an index would leave a gap.
fn put(merged: &mut Merged, path: &str, value: Value, origin: Origin) -> bool {
    let mut place = &mut merged.value;
    for step in path.split(['.', '[']) {
        if let Some(index) = step.strip_suffix(']') {
            let Ok(index) = index.parse::<usize>() else {
                return false;
            };
            if !place.is_array() {
                *place = Value::Array(Vec::new());
            }
            let Value::Array(items) = place else {
                return false;
            };
            if index == items.len() {
                items.push(Value::Object(Map::new()));
            }
            match items.get_mut(index) {
                Some(item) => place = item,
                None => return false,
            }
        } else {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            let Value::Object(members) = place else {
                return false;
            };
            place = members.entry(step.to_owned()).or_insert(Value::Null);
        }
    }
    *place = value;
    merged.origins.insert(path.to_owned(), origin);
    true
}

#[cfg(test)]
mod tests;
