//! What the operator says about external authorization, checked.

use crate::engine::canonical_request::Ambiguity;
use crate::sidecar::config::{Append, ExtAuthzConfig, Undefined};

/// How requests are decided.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The Rego document that decides; None = the native rules.
    pub path: Option<Vec<String>>,
    /// Every decision is answered with a yes; what it was is in the metadata.
    pub dry_run: bool,
    pub skip_request_body_parse: bool,
    pub undefined: Undefined,
    pub append: Append,
    pub(super) key: Key,
    pub(super) allowed_ambiguities: Vec<Ambiguity>,
}

/// What experiments assign variants by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Principal,
    Address,
    /// Lower case.
    Header(String),
    Query(String),
    /// A claim of the end user's token that is a text.
    Claim(String),
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
            key: key(&config.key)?,
            allowed_ambiguities,
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
    let named = |rest: &str| (!rest.is_empty()).then(|| rest.to_owned());
    let key = match text {
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
    };
    key.ok_or_else(|| SettingsError {
        setting: "key",
        value: text.to_owned(),
        expected: "source.principal, source.address, http.headers.NAME, http.query.NAME or jwt.CLAIM is expected"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_fields_of_a_request() {
        for (text, expected) in [
            ("source.principal", Some(Key::Principal)),
            ("source.address", Some(Key::Address)),
            ("http.headers.X-User", Some(Key::Header("x-user".into()))),
            ("http.query.user", Some(Key::Query("user".into()))),
            ("jwt.sub", Some(Key::Claim("sub".into()))),
            ("jwt.", None),
            ("http.path", None),
            ("source", None),
            ("", None),
        ] {
            assert_eq!(key(text).ok(), expected, "{text}");
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
