//! `www-authenticate` of a registry.

use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::reference::Reference;

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    /// A token of this service.
    Bearer(TokenService),
}

/// Who gives tokens for a registry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TokenService {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut service = TokenService {
            realm: String::new(),
            service: None,
            scope: None,
        };
        let mut rest = rest;
        while let Some((name, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"')?;
            match name.trim_matches([' ', ',']) {
                "realm" => value.clone_into(&mut service.realm),
                "service" => service.service = Some(value.to_owned()),
                "scope" => service.scope = Some(value.to_owned()),
                _ => {}
            }
            rest = after;
        }
        (!service.realm.is_empty()).then_some(Self::Bearer(service))
    }
}

impl TokenService {
    /// Where to ask for a token; only over TLS, unless the registry itself is without.
    pub(super) fn uri(&self, reference: &Reference) -> Option<Uri> {
        let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let scope = self.scope.clone();
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", reference.repository));
        let mut text = format!("{}?scope={}", self.realm, escape(&scope));
        if let Some(service) = &self.service {
            text.push_str("&service=");
            text.push_str(&escape(service));
        }
        let uri: Uri = text.parse().ok()?;
        let secret = uri.scheme_str() == Some("https");
        let plain = reference.uri("")?.scheme_str() == Some("http");
        (secret || plain && uri.scheme_str() == Some("http")).then_some(uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        assert_eq!(
            Challenge::parse("Basic realm=\"x\""),
            Some(Challenge::Basic)
        );
        let value = r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull""#;
        let Some(Challenge::Bearer(service)) = Challenge::parse(value) else {
            panic!("no bearer");
        };
        let reference: Reference = "oci://r.example/a/b:1".parse().unwrap();
        assert_eq!(
            service.uri(&reference).unwrap().to_string(),
            "https://auth.example/token?scope=repository%3Aa%2Fb%3Apull&service=r%2Eexample"
        );
        let plain = Challenge::parse(r#"Bearer realm="http://auth.example/token""#);
        let Some(Challenge::Bearer(plain)) = plain else {
            panic!("no bearer");
        };
        assert_eq!(plain.uri(&reference), None, "a password without TLS");
        for value in [
            "",
            "Digest x",
            "Bearer",
            "Bearer realm=\"x",
            "Bearer scope=\"a\"",
        ] {
            assert_eq!(Challenge::parse(value), None, "{value}");
        }
    }
}
