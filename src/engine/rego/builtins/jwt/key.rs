//! The keys that a policy hands over: PEM of a public key or a certificate, a JSON Web Key, or a set of them.

use anyhow::{Context as _, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::jose::{Algorithm, Jwk, Key};

/// A key, for whichever algorithm it is good for.
pub(super) struct VerificationKey {
    pub algorithm: Option<String>,
    pub id: Option<String>,
    source: Source,
}

enum Source {
    Pem(String),
    Jwk(Box<Jwk>),
}

impl VerificationKey {
    /// False, too, where the key is not one of that algorithm.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let key = match &self.source {
            Source::Pem(text) => Key::from_pem(algorithm, text),
            Source::Jwk(jwk) => Key::from_jwk(algorithm, jwk),
        };
        key.is_ok_and(|key| key.verify(message, signature))
    }
}

/// The keys of a text.
pub(super) fn keys(text: &str) -> Result<Vec<VerificationKey>> {
    let Some((_, rest)) = text.split_once("-----BEGIN ") else {
        return of_jwks(text);
    };
    let (label, rest) = rest.split_once("-----").context("not a PEM block")?;
    let (_, after) = rest
        .split_once(&format!("-----END {label}-----"))
        .context("not a PEM block")?;
    if !after.trim_start_matches(['\r', '\n']).is_empty() {
        return Err(anyhow!("extra data after a PEM certificate block"));
    }
    let pem = match label {
        "CERTIFICATE" => key_of_certificate(text)?,
        "PUBLIC KEY" => text.to_owned(),
        _ => return Err(anyhow!("failed to extract a key from the PEM certificate")),
    };
    Ok(vec![VerificationKey {
        algorithm: None,
        id: None,
        source: Source::Pem(pem),
    }])
}

fn of_jwks(text: &str) -> Result<Vec<VerificationKey>> {
    #[derive(serde::Deserialize)]
    struct Keys {
        keys: Vec<Jwk>,
    }
    let jwks = match serde_json::from_str::<Keys>(text) {
        Ok(set) => set.keys,
        Err(_) => vec![serde_json::from_str::<Jwk>(text)?],
    };
    // A key for an algorithm that nobody knows is passed over.
    let known = jwks.into_iter().filter(|jwk| {
        let algorithm = jwk.alg.as_deref();
        algorithm.is_none_or(|name| name == "ES512" || Algorithm::named(name).is_some())
    });
    let keys = known.map(|jwk| VerificationKey {
        algorithm: jwk.alg.clone(),
        id: jwk.kid.clone(),
        source: Source::Jwk(Box::new(jwk)),
    });
    Ok(keys.collect())
}

/// The public key of the first certificate, in PEM. As in OPA, nothing else of the certificate is looked at.
fn key_of_certificate(text: &str) -> Result<String> {
    let (_, rest) = text
        .split_once("-----BEGIN CERTIFICATE-----")
        .context("no certificate")?;
    let (body, _) = rest
        .split_once("-----END")
        .context("no end of certificate")?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let der = STANDARD.decode(body)?;
    // Certificate { TBSCertificate { [0] version?, serial, algorithm, issuer, validity, subject, key, ... } ... }
    let broken = || anyhow!("not a certificate");
    let certificate = Element::first(&der).ok_or_else(broken)?;
    let body = Element::first(certificate.content).ok_or_else(broken)?;
    let mut rest = body.content;
    let mut position = 0;
    while let Some(element) = Element::first(rest) {
        rest = rest.get(element.whole.len()..).unwrap_or_default();
        if element.tag == 0xa0 {
            continue;
        }
        if position == 5 {
            let key = STANDARD.encode(element.whole);
            return Ok(format!(
                "-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----"
            ));
        }
        position += 1;
    }
    Err(broken())
}

/// One element of DER.
struct Element<'d> {
    tag: u8,
    content: &'d [u8],
    whole: &'d [u8],
}

impl<'d> Element<'d> {
    fn first(der: &'d [u8]) -> Option<Self> {
        let (&tag, rest) = der.split_first()?;
        let (&length, rest) = rest.split_first()?;
        let (length, rest) = if length < 0x80 {
            (usize::from(length), rest)
        } else {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            if bytes.len() > 4 {
                return None;
            }
            let length = bytes
                .iter()
                .fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
            (length, rest)
        };
        let content = rest.get(..length)?;
        let whole = der.get(..der.len() - rest.len() + length)?;
        Some(Self {
            tag,
            content,
            whole,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::hold;

    /// Whatever a policy hands over as a key: it is one, or an error, and nothing signed by nobody passes.
    #[test]
    fn mutated_keys_verify_nothing() {
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let set = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#;
        let jwk = r#"{"kty":"EC","crv":"P-256","kid":"b","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
        let examples = [
            pair.cert.pem(),
            pair.signing_key.public_key_pem(),
            set.to_owned(),
            jwk.to_owned(),
        ];
        for example in &examples {
            assert!(!keys(example).unwrap().is_empty(), "{example}");
        }
        hold(&examples, |text| {
            let Ok(text) = std::str::from_utf8(text) else {
                return;
            };
            for key in keys(text).unwrap_or_default() {
                for name in Algorithm::ASYMMETRIC {
                    let algorithm = Algorithm::named(name).unwrap();
                    assert!(!key.verifies(algorithm, b"message", &[0; 64]), "{text}");
                }
            }
        });
    }
}
