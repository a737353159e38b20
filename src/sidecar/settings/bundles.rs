//! What activation is told: sources, and how what they give is verified.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::http::header::AUTHORIZATION;
use ::http::{HeaderMap, HeaderName, HeaderValue};

use crate::bundle::{OpaKey, OpaTrust};
use crate::jose::{Algorithm, Signer};
use crate::server::secret;
use crate::wire;

use super::super::activation::{self, OnPersistError, Profile};
use super::super::config::opa::{self, Bearer, DISCOVERY, OpaConfig, Service};
use super::super::config::{Config, ConfigError, OnError, SourceConfig, TrustProfile};
use super::super::credentials::{
    Assertion, Credentials, OAuth2, Proof, RegistryCredentials, Scheme, Secret, State,
    assertion_type,
};
use super::super::source::{self, Location};
use super::archive_limits;
use crate::sidecar::BuildError;

/// What activation is told.
pub(in crate::sidecar) fn activation(
    config: &Config,
    opa: Option<&OpaConfig>,
) -> Result<activation::Settings, BuildError> {
    let sources = config.sources.iter().map(|source| {
        let service = opa.and_then(|opa| opa.service_of(&source.name));
        self::source(source, service)
    });
    Ok(activation::Settings {
        tenant: config.tenant_id()?,
        constitutional_hash: config.constitutional_hash.clone(),
        clock_skew: config.clock_skew.as_secs() as i64,
        retry_rejected: config.retry_rejected,
        profile: profile(config, opa)?,
        cache_dir: config.cache_dir(),
        on_persist_error: match config.cache.on_error {
            OnError::Activate => OnPersistError::Activate,
            OnError::Keep => OnPersistError::Keep,
        },
        sources: sources.collect::<Result<_, ConfigError>>()?,
        archive_limits: archive_limits(config),
        decision_limits: config.limits.decision(),
    })
}

fn profile(config: &Config, opa: Option<&OpaConfig>) -> Result<Profile, BuildError> {
    let is_opa = |source: &SourceConfig| source.profile == TrustProfile::Opa;
    let discovers = opa.is_some_and(|opa| opa.discovery.is_some());
    if !discovers && !config.sources.iter().any(is_opa) {
        return Ok(Profile::Lictor {
            keyring: PathBuf::from(&config.keyring),
        });
    }
    let trust = config.sources.iter().map(|source| {
        let from_file = opa.is_some_and(|opa| opa.service_of(&source.name).is_some());
        Ok::<_, BuildError>(OpaTrust {
            keys: keys(config, opa)?,
            keyid: source.signing.kid.clone(),
            scope: source.signing.scope.clone(),
            exclude_files: source.signing.exclude_files.clone(),
            allow_unsigned: source.allow_unsigned || from_file && config.opa.allow_unsigned,
        })
    });
    Ok(Profile::Opa {
        trust: Arc::new(trust.collect::<Result<_, _>>()?),
    })
}

/// What fetches the discovery bundle is told; None where there is none.
pub(in crate::sidecar) fn discovery(
    config: &Config,
    opa: &OpaConfig,
) -> Result<Option<activation::Settings>, BuildError> {
    let Some((source, service)) = opa.discovery_source() else {
        return Ok(None);
    };
    let settings = activation(config, Some(opa))?;
    let trust = OpaTrust {
        keys: keys(config, Some(opa))?,
        keyid: source.signing.kid.clone(),
        scope: source.signing.scope.clone(),
        exclude_files: source.signing.exclude_files.clone(),
        allow_unsigned: config.opa.allow_unsigned,
    };
    Ok(Some(activation::Settings {
        profile: Profile::Opa {
            trust: Arc::new(vec![trust]),
        },
        sources: vec![self::source(&source, Some(service))?],
        // Of its own: two that clean the same folder would disturb each other.
        cache_dir: settings
            .cache_dir
            .filter(|_| source.persist)
            .map(|dir| dir.join(DISCOVERY)),
        ..settings
    }))
}

fn keys(config: &Config, opa: Option<&OpaConfig>) -> Result<BTreeMap<String, OpaKey>, BuildError> {
    let mut keys = BTreeMap::new();
    let unusable = |kid: &str, error: &dyn std::fmt::Display| {
        ConfigError::Invalid(format!(
            "key `{kid}` that bundles are verified with: {error}"
        ))
    };
    for key in opa.iter().flat_map(|opa| &opa.keys) {
        let (kid, key) = key;
        let path = Path::new(&key.key);
        let text = if path.is_file() {
            secret::read_token(path)?
        } else {
            key.key.clone()
        };
        let scope = (!key.scope.is_empty()).then(|| key.scope.clone());
        let key = OpaKey::new(&text, &key.algorithm, scope);
        keys.insert(kid.clone(), key.map_err(|error| unusable(kid, &error))?);
    }
    for key in &config.bundle_keys {
        let text = secret::read_token(Path::new(&key.key_file))?;
        let read = OpaKey::new(&text, &key.algorithm, key.scope.clone());
        let read = read.map_err(|error| unusable(&key.kid, &error))?;
        keys.insert(key.kid.clone(), read);
    }
    Ok(keys)
}

fn source(
    config: &SourceConfig,
    service: Option<&Service>,
) -> Result<source::Settings, ConfigError> {
    let invalid = |error: &dyn std::fmt::Display| {
        ConfigError::Invalid(format!(
            "the url of source `{}` is not valid: {error}",
            config.name
        ))
    };
    let url = &config.url;
    let location = if url.starts_with("http://") || url.starts_with("https://") {
        Location::Http {
            url: url.parse().map_err(|error| invalid(&error))?,
            credentials: match (service, &config.token_file) {
                (Some(service), _) => credentials(service)?,
                (None, Some(path)) => Credentials::bearer(path),
                (None, None) => Credentials::None,
            },
            client: Box::new(wire::Settings {
                ca_file: config.ca_file.as_ref().map(PathBuf::from),
                ..service.map(client).unwrap_or_default()
            }),
            wait: config.wait,
            takes_deltas: config.profile == TrustProfile::Opa,
            headers: service.map(headers).transpose()?.unwrap_or_default(),
            head_deadline: service.and_then(Service::head_deadline),
        }
    } else if url.starts_with("oci://") || url.starts_with("oci+http://") {
        Location::Oci {
            reference: url.parse().map_err(|error| invalid(&error))?,
            credentials: match (service, &config.token_file) {
                (Some(service), _) => registry(service)?,
                (None, Some(path)) => RegistryCredentials::File(PathBuf::from(path)),
                (None, None) => RegistryCredentials::None,
            },
            client: Box::new(wire::Settings {
                ca_file: config.ca_file.as_ref().map(PathBuf::from),
                ..service.map(client).unwrap_or_default()
            }),
        }
    } else {
        let path = url.strip_prefix("file://").unwrap_or(url);
        if path.contains("://") {
            return Err(ConfigError::Invalid(format!(
                "the url of source `{}` is `{url}`: http, https, oci, file or a path is expected",
                config.name
            )));
        }
        Location::File { path: path.into() }
    };
    Ok(source::Settings {
        name: config.name.clone(),
        location,
        poll: config.poll,
        min_number: config.min_number,
        persist: config.persist,
    })
}

/// How a service of an OPA configuration is talked to.
pub(super) fn client(service: &Service) -> wire::Settings {
    let tls = service.tls.as_ref();
    let ca_file = tls.filter(|tls| !tls.ca_cert.is_empty());
    let own = service.credentials.client_tls.as_ref();
    wire::Settings {
        ca_file: ca_file.map(|tls| PathBuf::from(&tls.ca_cert)),
        client: own.map(|own| wire::ClientFiles {
            certificates: PathBuf::from(&own.cert),
            key: PathBuf::from(&own.private_key),
        }),
        ..wire::Settings::default()
    }
}

/// Who we are to a service of an OPA configuration, where its headers do not say.
pub(super) fn credentials(service: &Service) -> Result<Credentials, ConfigError> {
    let given = &service.credentials;
    if let Some(own) = &given.oauth2 {
        return Ok(Credentials::OAuth2(Arc::new(oauth2(own, service)?)));
    }
    Ok(match &given.bearer {
        Some(bearer) if !bearer.token_path.is_empty() => Credentials::TokenFile {
            path: PathBuf::from(&bearer.token_path),
            scheme: scheme(bearer).to_owned(),
        },
        _ => Credentials::None,
    })
}

/// What opens a registry that an OPA configuration names.
fn registry(service: &Service) -> Result<RegistryCredentials, ConfigError> {
    let given = &service.credentials;
    if let Some(own) = &given.oauth2 {
        let oauth2 = oauth2(own, service)?;
        return Ok(RegistryCredentials::OAuth2(Arc::new(oauth2)));
    }
    let Some(bearer) = &given.bearer else {
        return Ok(RegistryCredentials::None);
    };
    let scheme = Scheme::named(&bearer.scheme).ok_or_else(|| {
        ConfigError::Invalid(format!(
            "`services.*.credentials.bearer.scheme` is `{}`: a registry is opened by Basic or Bearer",
            bearer.scheme
        ))
    })?;
    Ok(RegistryCredentials::Opa {
        secret: match bearer.token_path.as_str() {
            "" => Secret::Text(bearer.token.clone()),
            path => Secret::File(PathBuf::from(path)),
        },
        scheme,
    })
}

fn oauth2(own: &opa::OAuth2, service: &Service) -> Result<OAuth2, ConfigError> {
    let unusable = |key: &str, error: &dyn std::fmt::Display| {
        ConfigError::Invalid(format!("`services.*.credentials.oauth2.{key}`: {error}"))
    };
    let proof = if let Some(key) = &own.key {
        let algorithm = Algorithm::named(&key.algorithm)
            .ok_or_else(|| unusable("signing_key", &"an algorithm that is not served"))?;
        let path = Path::new(&key.private_key);
        let text = if path.is_file() {
            let read = secret::read_token(path);
            read.map_err(|error| unusable("signing_key", &error))?
        } else {
            key.private_key.clone()
        };
        let signer = Signer::new(algorithm, &text);
        let thumbprint = hex::decode(&own.thumbprint);
        Proof::Signed(Assertion {
            signer: signer.map_err(|error| unusable("signing_key", &error))?,
            claims: own.additional_claims.clone(),
            has_id: own.include_jti_claim,
            thumbprint: Some(thumbprint.map_err(|error| unusable("thumbprint", &error))?)
                .filter(|thumbprint| !thumbprint.is_empty()),
            is_grant: own.grant_type == "jwt_bearer",
        })
    } else if !own.client_secret.is_empty() {
        Proof::Secret(own.client_secret.clone())
    } else {
        let kind = assertion_type(&own.client_assertion_type);
        match own.client_assertion.as_str() {
            "" => Proof::AssertionFile {
                kind,
                path: PathBuf::from(&own.client_assertion_path),
            },
            text => Proof::Assertion {
                kind,
                text: text.to_owned(),
            },
        }
    };
    Ok(OAuth2 {
        token_url: own
            .token_url
            .parse()
            .map_err(|error| unusable("token_url", &error))?,
        client: wire::Settings {
            client: None,
            ..client(service)
        },
        client_id: own.client_id.clone(),
        proof,
        scopes: own.scopes.clone(),
        headers: named_values(&own.additional_headers)?,
        parameters: own.additional_parameters.clone(),
        state: State::default(),
    })
}

fn scheme(bearer: &Bearer) -> &str {
    match bearer.scheme.as_str() {
        "" => "Bearer",
        scheme => scheme,
    }
}

/// What an OPA configuration sends along to a service, its token included where it stands in the file.
pub(super) fn headers(service: &Service) -> Result<HeaderMap, ConfigError> {
    let mut headers = named_values(&service.headers)?;
    if let Some(bearer) = &service.credentials.bearer
        && !bearer.token.is_empty()
    {
        let value = HeaderValue::try_from(format!("{} {}", scheme(bearer), bearer.token));
        let mut value = value.map_err(|_| {
            ConfigError::Invalid("`services.*.credentials.bearer.token` cannot be sent".to_owned())
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// Headers as a file has them: any of them may be a secret.
fn named_values(all: &BTreeMap<String, String>) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        let pair = HeaderName::try_from(name)
            .ok()
            .zip(HeaderValue::try_from(value).ok());
        let (name, mut value) = pair.ok_or_else(|| {
            ConfigError::Invalid(format!("`services.*.headers.{name}` cannot be sent"))
        })?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::hold;

    /// Whatever a configuration says of services and keys becomes settings, or an error that gives no secret away.
    #[test]
    fn mutated_configurations_become_settings_or_errors() {
        let examples = [
            "services: {acme: {url: https://a.example/x, headers: {x-a: b}, credentials: {bearer: {scheme: Token, token: hunter2}}}}\nkeys: {k: {algorithm: HS256, key: hunter2}}\nbundles: {main: {service: acme, resource: b.tar.gz, signing: {keyid: k}}}\n",
            "services: {acme: {url: http://a.example, credentials: {oauth2: {token_url: https://t.example, client_id: me, client_secret: hunter2, scopes: [a], additional_headers: {x-b: c}}}}}\nbundles: {main: {service: acme}}\ndiscovery: {service: acme, resource: d}\n",
            "services: [{name: acme, url: https://a.example, tls: {ca_cert: /ca}, credentials: {oauth2: {grant_type: jwt_bearer, token_url: https://t.example, signing_key: k, thumbprint: 0aff}}}]\nkeys: {k: {algorithm: HS256, private_key: hunter2}}\nbundles: {main: {service: acme}}\n",
            "services: {reg: {url: https://r.example, type: oci}}\nbundles: {main: {service: reg, resource: r.example/a:1}}\n",
        ];
        let mut made = 0;
        let made = std::cell::Cell::from_mut(&mut made);
        hold(&examples, |text| {
            let Ok(text) = std::str::from_utf8(text) else {
                return;
            };
            let Ok(opa) = OpaConfig::parse(text, |_| None) else {
                return;
            };
            let mut config = Config::default();
            opa.apply(&mut config);
            "acme".clone_into(&mut config.tenant);
            let told = [
                activation(&config, Some(&opa)).map(|_| ()),
                discovery(&config, &opa).map(|_| ()),
            ];
            made.set(made.get() + usize::from(told[0].is_ok()));
            for error in told.into_iter().filter_map(Result::err) {
                let text = error.to_string();
                assert!(!text.is_empty() && !text.contains("hunter2"), "{text}");
            }
        });
        assert!(made.get() >= 3, "{} of them became settings", made.get());
    }
}
