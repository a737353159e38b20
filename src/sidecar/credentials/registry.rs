//! How a registry is opened.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::wire::oci;

use super::{CredentialsError, OAuth2, read};

/// What opens a registry. Files are read for every turn.
#[derive(Clone, Debug, Default)]
pub enum RegistryCredentials {
    #[default]
    None,
    /// A file with `username:password`, or with a token.
    File(PathBuf),
    /// As an OPA configuration has it.
    Opa { secret: Secret, scheme: Scheme },
    /// A bearer token of a token endpoint.
    OAuth2(Arc<OAuth2>),
}

/// A text that nobody is shown.
#[derive(Clone)]
pub enum Secret {
    Text(String),
    File(PathBuf),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => formatter.write_str("Text(..)"),
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
        }
    }
}

/// What an OPA configuration calls the scheme of a bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The text is `username:password`.
    Basic,
    /// The text is sent in base64, as OPA does.
    Bearer,
}

impl Scheme {
    /// The scheme of this name, Bearer where there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "" | "bearer" => Some(Self::Bearer),
            "basic" => Some(Self::Basic),
            _ => None,
        }
    }
}

impl RegistryCredentials {
    /// What is to be shown to the registry as of now.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`].
    pub async fn resolve(&self) -> Result<Option<oci::Credentials>, CredentialsError> {
        Ok(Some(match self {
            Self::None => return Ok(None),
            Self::File(path) => {
                let text = read(path).await?;
                pair(&text).unwrap_or(oci::Credentials::Bearer(text))
            }
            Self::Opa { secret, scheme } => {
                let text = match secret {
                    Secret::Text(text) => text.clone(),
                    Secret::File(path) => read(path).await?,
                };
                match scheme {
                    Scheme::Bearer => oci::Credentials::Bearer(STANDARD.encode(text)),
                    Scheme::Basic => pair(&text).ok_or(CredentialsError::NoPair)?,
                }
            }
            Self::OAuth2(oauth2) => oci::Credentials::Bearer(oauth2.token().await?),
        }))
    }
}

/// `username:password`.
fn pair(text: &str) -> Option<oci::Credentials> {
    let (username, password) = text.split_once(':')?;
    Some(oci::Credentials::Basic {
        username: username.to_owned(),
        password: password.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_kind_becomes_what_the_registry_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let text = |text: &str, scheme| RegistryCredentials::Opa {
            secret: Secret::Text(text.to_owned()),
            scheme,
        };
        let bearer = |shown: Option<oci::Credentials>| match shown {
            Some(oci::Credentials::Bearer(token)) => token,
            _ => String::new(),
        };
        let basic = |shown: Option<oci::Credentials>| match shown {
            Some(oci::Credentials::Basic { username, password }) => {
                format!("{username}/{password}")
            }
            _ => String::new(),
        };
        assert!(RegistryCredentials::None.resolve().await.unwrap().is_none());
        for (content, expected) in [("ada:a:b\n", "ada/a:b"), ("token\n", "")] {
            std::fs::write(&path, content).unwrap();
            let file = RegistryCredentials::File(path.clone());
            assert_eq!(basic(file.resolve().await.unwrap()), expected);
        }
        let file = RegistryCredentials::File(path.clone());
        assert_eq!(bearer(file.resolve().await.unwrap()), "token");
        let encoded = text("token", Scheme::Bearer).resolve().await.unwrap();
        assert_eq!(bearer(encoded), "dG9rZW4=");
        let pair = text("ada:b", Scheme::Basic).resolve().await.unwrap();
        assert_eq!(basic(pair), "ada/b");
        let read = RegistryCredentials::Opa {
            secret: Secret::File(path.clone()),
            scheme: Scheme::Bearer,
        };
        assert_eq!(bearer(read.resolve().await.unwrap()), "dG9rZW4=");
        let error = text("s3cret", Scheme::Basic).resolve().await.unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(!format!("{:?}", text("s3cret", Scheme::Basic)).contains("s3cret"));
        let missing = RegistryCredentials::File(folder.path().join("none"));
        assert!(missing.resolve().await.is_err());
    }
}
