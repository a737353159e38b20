//! Signing by the algorithms of JOSE that ring has: what services are shown as an assertion.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, RsaKeyPair};
use ring::{hmac, rsa};

use super::{Algorithm, KeyError, unarmored};

/// A private key together with the one algorithm it signs by. `Debug` shows the algorithm alone.
pub struct Signer {
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    Rsa(Box<RsaKeyPair>, &'static dyn signature::RsaEncoding),
    Ec(Box<EcdsaKeyPair>),
    Secret(hmac::Key),
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Signer")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads a private key in PEM (`PRIVATE KEY`; `RSA PRIVATE KEY` too), or takes the text of a symmetric algorithm's.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; EdDSA is not signed by here.
    pub fn new(algorithm: Algorithm, text: &str) -> Result<Self, KeyError> {
        let secret = |kind| Ok(Material::Secret(hmac::Key::new(kind, text.as_bytes())));
        let rsa = |padding| rsa(text).map(|pair| Material::Rsa(Box::new(pair), padding));
        let material = match algorithm {
            Algorithm::Hs256 => secret(hmac::HMAC_SHA256),
            Algorithm::Hs384 => secret(hmac::HMAC_SHA384),
            Algorithm::Hs512 => secret(hmac::HMAC_SHA512),
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
            Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
            Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
            Algorithm::Ps256 => rsa(&signature::RSA_PSS_SHA256),
            Algorithm::Ps384 => rsa(&signature::RSA_PSS_SHA384),
            Algorithm::Ps512 => rsa(&signature::RSA_PSS_SHA512),
            Algorithm::Es256 => ec(text, &signature::ECDSA_P256_SHA256_FIXED_SIGNING, algorithm),
            Algorithm::Es384 => ec(text, &signature::ECDSA_P384_SHA384_FIXED_SIGNING, algorithm),
            Algorithm::EdDsa => Err(KeyError::OtherKind(algorithm)),
        };
        Ok(Self {
            algorithm,
            material: material?,
        })
    }

    /// A compact JWS of this header and payload; None where there is no randomness.
    #[must_use]
    pub fn compact(&self, header: &[u8], payload: &[u8]) -> Option<String> {
        let mut text = URL_SAFE_NO_PAD.encode(header);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut text);
        let signature = self.sign(text.as_bytes())?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Some(text)
    }

    /// What it signs by.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.material {
            Material::Secret(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Material::Ec(pair) => {
                let signature = pair.sign(&random, message).ok()?;
                Some(signature.as_ref().to_vec())
            }
            Material::Rsa(pair, padding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*padding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
        }
    }
}

fn rsa(text: &str) -> Result<rsa::KeyPair, KeyError> {
    let (label, der) = unarmored(text.trim()).ok_or(KeyError::PrivatePem)?;
    let pair = match label {
        "PRIVATE KEY" => rsa::KeyPair::from_pkcs8(&der),
        "RSA PRIVATE KEY" => rsa::KeyPair::from_der(&der),
        _ => return Err(KeyError::PrivatePem),
    };
    pair.map_err(|_| KeyError::PrivatePem)
}

fn ec(
    text: &str,
    curve: &'static signature::EcdsaSigningAlgorithm,
    algorithm: Algorithm,
) -> Result<Material, KeyError> {
    match unarmored(text.trim()) {
        Some(("PRIVATE KEY", der)) => EcdsaKeyPair::from_pkcs8(curve, &der, &SystemRandom::new())
            .map(|pair| Material::Ec(Box::new(pair)))
            .map_err(|_| KeyError::OtherKind(algorithm)),
        _ => Err(KeyError::PrivatePem),
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use ring::signature::KeyPair as _;

    use super::*;

    fn pem(der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    }

    #[test]
    fn what_is_signed_verifies_under_the_same_algorithm_alone() {
        let random = SystemRandom::new();
        let curve = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
        let signer = Signer::new(Algorithm::Es256, &pem(der.as_ref())).unwrap();
        let token = signer.compact(b"{\"alg\":\"ES256\"}", b"{}").unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(curve, der.as_ref(), &random).unwrap();
        let public = signature::UnparsedPublicKey::new(
            &signature::ECDSA_P256_SHA256_FIXED,
            pair.public_key().as_ref(),
        );
        assert!(public.verify(message.as_bytes(), &signature).is_ok());
        assert!(Signer::new(Algorithm::Es384, &pem(der.as_ref())).is_err());
        assert!(Signer::new(Algorithm::Rs256, &pem(der.as_ref())).is_err());
        let secret = Signer::new(Algorithm::Hs256, "secret").unwrap();
        let token = secret.compact(b"{}", b"{}").unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let key = super::super::Key::from_secret(Algorithm::Hs256, b"secret", 0).unwrap();
        assert!(key.verify(
            message.as_bytes(),
            &URL_SAFE_NO_PAD.decode(signature).unwrap()
        ));
    }

    #[test]
    fn garbage_is_no_key() {
        for text in [
            "",
            "-----BEGIN PRIVATE KEY-----",
            &pem(b"x"),
            "-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----",
        ] {
            for algorithm in [
                Algorithm::Rs256,
                Algorithm::Ps512,
                Algorithm::Es256,
                Algorithm::EdDsa,
            ] {
                assert!(
                    Signer::new(algorithm, text).is_err(),
                    "{algorithm:?} {text}"
                );
            }
        }
    }
}
