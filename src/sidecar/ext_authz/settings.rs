//! What the operator says about external authorization, checked.

use crate::engine::HttpKey;
use crate::engine::canonical_request::Ambiguity;
use crate::sidecar::config::{Append, DynamicMetadata, ExtAuthzConfig, Undefined};

use super::grpc_body::Descriptors;

/// How requests are decided.
#[derive(Debug)]
pub struct Settings {
    /// The Rego document that decides; None = the native rules.
    pub path: Option<Vec<String>>,
    /// Every decision is answered with a yes; what it was is in the metadata.
    pub dry_run: bool,
    pub skip_request_body_parse: bool,
    pub undefined: Undefined,
    pub append: Append,
    pub metadata: DynamicMetadata,
    pub(super) key: Key,
    pub(super) allowed_ambiguities: Vec<Ambiguity>,
    /// None where bodies of gRPC calls are not read.
    pub(super) descriptors: Option<Descriptors>,
}

/// What experiments assign variants by.
#[derive(Debug)]
pub(super) enum Key {
    Principal,
    Address,
    /// Lower case.
    Header(String),
    Query(String),
    /// A claim of the end user's token that is a text.
    Claim(String),
    /// Anything else that CEL can say.
    Expression(Box<HttpKey>),
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`ext_authz.{setting}` is `{value}`: {expected}")]
pub struct SettingsError {
    setting: &'static str,
    value: String,
    expected: String,
}

impl Settings {
    /// Checks what the configuration says.
    ///
    /// # Errors
    ///
    /// [`SettingsError`].
    pub fn new(config: &ExtAuthzConfig) -> Result<Self, SettingsError> {
        let path = config.path.as_deref().map(path).transpose()?;
        let allowed_ambiguities = config
            .allow_ambiguous
            .iter()
            .map(|name| ambiguity(name))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            path,
            dry_run: config.dry_run,
            skip_request_body_parse: config.skip_request_body_parse,
            undefined: config.undefined,
            append: config.append,
            metadata: config.metadata,
            key: key(&config.key)?,
            allowed_ambiguities,
            descriptors: config
                .proto_descriptor
                .as_deref()
                .map(descriptors)
                .transpose()?,
        })
    }
}

fn path(text: &str) -> Result<Vec<String>, SettingsError> {
    let trimmed = text.trim_matches('/');
    let segments: Vec<String> = trimmed.split('/').map(str::to_owned).collect();
    if segments.iter().any(String::is_empty) {
        return Err(SettingsError {
            setting: "path",
            value: text.to_owned(),
            expected: "a path below `data` such as `envoy/authz/allow` is expected".to_owned(),
        });
    }
    Ok(segments)
}

fn descriptors(file: &str) -> Result<Descriptors, SettingsError> {
    Descriptors::read(file.as_ref()).map_err(|error| SettingsError {
        setting: "proto_descriptor",
        value: file.to_owned(),
        expected: format!("a file with a FileDescriptorSet is expected: {error}"),
    })
}

fn ambiguity(name: &str) -> Result<Ambiguity, SettingsError> {
    let known = Ambiguity::ALL.iter().find(|known| known.as_str() == name);
    known.copied().ok_or_else(|| {
        let names = Ambiguity::ALL.map(Ambiguity::as_str).join(", ");
        SettingsError {
            setting: "allow_ambiguous",
            value: name.to_owned(),
            expected: format!("one of {names} is expected"),
        }
    })
}

fn key(text: &str) -> Result<Key, SettingsError> {
    match field(text) {
        Some(key) => Ok(key),
        None => match HttpKey::compile("ext_authz.key", text) {
            Ok(key) => Ok(Key::Expression(Box::new(key))),
            Err(errors) => Err(SettingsError {
                setting: "key",
                value: text.to_owned(),
                expected: format!(
                    "source.principal, source.address, http.headers.NAME, http.query.NAME, jwt.CLAIM or another CEL \
                     expression over http, source, destination, tls, extensions, metadata and jwt is expected: {errors}"
                ),
            }),
        },
    }
}

/// A field that needs no expression. Names of headers hold dashes, which an expression would subtract at.
fn field(text: &str) -> Option<Key> {
    let named = |rest: &str| is_token(rest).then(|| rest.to_owned());
    match text {
        "source.principal" => Some(Key::Principal),
        "source.address" => Some(Key::Address),
        _ => text
            .split_once('.')
            .and_then(|(root, rest)| match (root, rest.split_once('.')) {
                ("jwt", None) => named(rest).map(Key::Claim),
                ("http", Some(("headers", name))) => {
                    named(name).map(|name| Key::Header(name.to_ascii_lowercase()))
                }
                ("http", Some(("query", name))) => named(name).map(Key::Query),
                _ => None,
            }),
    }
}

/// Whether it is one name: letters, digits, `_` and `-`.
fn is_token(text: &str) -> bool {
    let mut bytes = text.bytes();
    !text.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fields_of_a_request_or_expressions_over_it() {
        for (text, expected) in [
            ("source.principal", "Principal"),
            ("source.address", "Address"),
            ("http.headers.X-User", "Header(\"x-user\")"),
            ("http.query.user", "Query(\"user\")"),
            ("jwt.sub", "Claim(\"sub\")"),
            ("http.path", "Expression("),
            ("has(jwt.sub) ? jwt.sub : source.address", "Expression("),
            ("http.headers.cookie.split('=')[1]", "Expression("),
        ] {
            let key = format!("{:?}", key(text).unwrap());
            assert!(key.starts_with(expected), "{text}: {key}");
        }
        for (text, said) in [
            ("jwt.", "1:"),
            ("", "configuration:1:1"),
            ("subject.id", "subject"),
            ("data.users[0]", "data"),
            ("http.path.nope()", "nope"),
        ] {
            let error = key(text).unwrap_err().to_string();
            assert!(
                error.starts_with("`ext_authz.key`") && error.contains(said),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let with = |change: fn(&mut ExtAuthzConfig)| {
            let mut config = ExtAuthzConfig::default();
            change(&mut config);
            Settings::new(&config).map(|settings| settings.path)
        };
        assert_eq!(with(|_| {}), Ok(None));
        let path = with(|config| config.path = Some("/envoy/authz/allow".into()));
        let segments = ["envoy", "authz", "allow"].map(str::to_owned).to_vec();
        assert_eq!(path, Ok(Some(segments)));
        let error = with(|config| config.path = Some("a//b".into())).unwrap_err();
        assert!(error.to_string().contains("`ext_authz.path` is `a//b`"));
        let error = with(|config| config.allow_ambiguous = vec!["dots".into()]).unwrap_err();
        assert!(error.to_string().contains("double_slash"), "{error}");
    }
}
