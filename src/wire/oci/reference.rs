//! `oci://registry/repository:tag` and `oci://registry/repository@sha256:...`.

use http::Uri;

/// Where an archive lies in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `https`, or `http` for `oci+http://`.
    scheme: &'static str,
    /// Host and port.
    pub(super) authority: String,
    pub(super) repository: String,
    /// A tag or a digest.
    pub(super) version: String,
}

/// Text that is no reference.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no reference: expected oci://registry/repository:tag (oci+http:// without TLS)")]
pub struct ReferenceError(String);

impl std::str::FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).ok_or_else(|| ReferenceError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Reference> {
    let (scheme, rest) = match text.strip_prefix("oci+http://") {
        Some(rest) => ("http", rest),
        None => ("https", text.strip_prefix("oci://")?),
    };
    let (authority, path) = rest.split_once('/')?;
    let (repository, version) = match path.split_once('@') {
        Some((repository, digest)) => {
            digest_of(digest)?;
            (repository, digest)
        }
        None => path.rsplit_once(':').unwrap_or((path, "latest")),
    };
    let plain = |text: &str, more: &str| {
        !text.is_empty()
            && text.len() <= 255
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let parts_are_plain = repository
        .split('/')
        .all(|part| plain(part, "._-") && !part.starts_with('.'));
    let fits = plain(authority, ".-:[]") && parts_are_plain && plain(version, "._-:");
    fits.then(|| Reference {
        scheme,
        authority: authority.to_owned(),
        repository: repository.to_owned(),
        version: version.to_owned(),
    })
}

impl std::fmt::Display for Reference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.scheme == "http" {
            "oci+http"
        } else {
            "oci"
        };
        let separator = if self.version.contains(':') { '@' } else { ':' };
        write!(
            formatter,
            "{scheme}://{}/{}{separator}{}",
            self.authority, self.repository, self.version
        )
    }
}

impl Reference {
    /// The digest, where it is one and no tag.
    pub(super) fn digest(&self) -> Option<[u8; 32]> {
        digest_of(&self.version)
    }

    /// The absolute URI of a path of this repository.
    pub(super) fn uri(&self, path: &str) -> Option<Uri> {
        let Self {
            scheme,
            authority,
            repository,
            ..
        } = self;
        format!("{scheme}://{authority}/v2/{repository}/{path}")
            .parse()
            .ok()
    }

    /// What a registry's `location` means, which must be of this registry.
    pub(super) fn resolve(&self, location: &str) -> Option<Uri> {
        let resolved = resolve(&self.uri("")?, location)?;
        (resolved.authority()?.as_str() == self.authority).then_some(resolved)
    }
}

/// The bytes of `sha256:<hex>`.
pub(super) fn digest_of(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text.strip_prefix("sha256:")?, &mut digest).ok()?;
    Some(digest)
}

/// Where a redirect leads; never from `https` to `http`.
pub(super) fn resolve(from: &Uri, location: &str) -> Option<Uri> {
    let to: Uri = location.parse().ok()?;
    if to.scheme().is_some() {
        let leaves_tls = from.scheme_str() == Some("https") && to.scheme_str() != Some("https");
        return (!leaves_tls).then_some(to);
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = to.into_parts().path_and_query;
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_written() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let by_digest = format!("oci://ghcr.example/a/b@{digest}");
        for (text, version) in [
            ("oci://ghcr.example/org/repo:1.0", "1.0"),
            ("oci+http://127.0.0.1:5000/policies:latest", "latest"),
            (&by_digest, &*digest),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.version, version);
            assert_eq!(reference.to_string(), text);
        }
        let untagged: Reference = "oci://r/a".parse().unwrap();
        assert_eq!(untagged.version, "latest");
        for text in [
            "",
            "https://r/a",
            "oci://r",
            "oci://r/",
            "oci://r/a b",
            "oci://r/../b",
            "oci://u@r/a",
            "oci://r/a@sha256:1",
            "oci://r/a?x",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn uploads_stay_on_their_registry_and_redirects_in_tls() {
        let reference: Reference = "oci://r:5000/a".parse().unwrap();
        assert!(reference.resolve("/v2/a/blobs/uploads/x?y=1").is_some());
        assert!(reference.resolve("https://r:5000/x").is_some());
        assert!(reference.resolve("https://other/x").is_none());
        let from: Uri = "https://r/x".parse().unwrap();
        assert!(resolve(&from, "http://r/x").is_none());
    }
}
