//! SPIFFE ids (SPIFFE-ID and X509-SVID standards) of certificates.

use rustls::pki_types::CertificateDer;

/// The one SPIFFE id of a certificate; None where its URI names are none or several, or no id of a workload.
pub(super) fn id(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let mut names = certificate.valid_uri_names();
    match (names.next(), names.next()) {
        (Some(name), None) => trust_domain(name).map(|_| name.to_owned()),
        _ => None,
    }
}

/// The trust domain of a workload's id; None where the text is none.
pub(super) fn trust_domain(id: &str) -> Option<&str> {
    let (domain, path) = id.strip_prefix("spiffe://")?.split_once('/')?;
    let in_domain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let well_formed = id.len() <= 2048
        && (1..=255).contains(&domain.len())
        && domain.bytes().all(in_domain)
        && path
            .split('/')
            .all(|segment| !matches!(segment, "" | "." | "..") && segment.bytes().all(in_path));
    well_formed.then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_workloads_are_told_from_everything_else() {
        assert_eq!(
            trust_domain("spiffe://acme.example/ns/a/sa/B-1"),
            Some("acme.example")
        );
        for text in [
            "",
            "spiffe://acme",
            "spiffe://acme/",
            "spiffe:///a",
            "https://acme/a",
            "SPIFFE://acme/a",
            "spiffe://Acme/a",
            "spiffe://acme:1/a",
            "spiffe://u@acme/a",
            "spiffe://acme/a/",
            "spiffe://acme//a",
            "spiffe://acme/./a",
            "spiffe://acme/../a",
            "spiffe://acme/a?b",
            "spiffe://acme/a#b",
            "spiffe://acme/a%20b",
        ] {
            assert_eq!(trust_domain(text), None, "{text}");
        }
    }
}
