//! Signature algorithms of JOSE (RFC 7518 section 3, RFC 8037) and the keys that verify them and sign by them.
//!
//! The algorithm belongs to the key, as the configuration says; what a token's header claims is only held against it.

mod signer;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::spki::SubjectPublicKeyInfoRef;
use ed25519_dalek::pkcs8::spki::der::asn1::UintRef;
use ed25519_dalek::pkcs8::spki::der::{Decode as _, Encode as _};
use ed25519_dalek::{Signature, VerifyingKey};
use ring::rand::SystemRandom;
use ring::{agreement, hmac, signature};
use serde::{Deserialize, Serialize};

pub use signer::Signer;

/// An algorithm by its JOSE name. `none`, and what ring does not verify (ES512, ES256K), is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    #[serde(rename = "EdDSA")]
    EdDsa,
    Es256,
    Es384,
    Ps256,
    Ps384,
    Ps512,
    Rs256,
    Rs384,
    Rs512,
    Hs256,
    Hs384,
    Hs512,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 12] = [
        Self::EdDsa,
        Self::Es256,
        Self::Es384,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
    ];

    /// Names of the algorithms whose signatures are verified with a public key.
    pub const ASYMMETRIC: &'static [&'static str] = &[
        "EdDSA", "ES256", "ES384", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512",
    ];

    /// The name in a header's `alg`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// The algorithm of this name, spelled exactly so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// Whether both sides hold the same secret.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    /// How ring verifies it; None for those that it does not do with a public key.
    fn parameters(self) -> Option<&'static dyn signature::VerificationAlgorithm> {
        Some(match self {
            Self::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::EdDsa | Self::Hs256 | Self::Hs384 | Self::Hs512 => return None,
        })
    }
}

/// A key that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    #[error("no public key in PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`)")]
    Pem,
    #[error("no private key in PEM (`PRIVATE KEY`, which is PKCS #8, or `RSA PRIVATE KEY`)")]
    PrivatePem,
    #[error("a key of another kind than {} takes", .0.as_str())]
    OtherKind(Algorithm),
    #[error("an RSA key of less than 2048 or more than 8192 bits")]
    RsaSize,
    #[error("a weak key, under which anything can be made to verify")]
    Weak,
    #[error("a key whose numbers are no public key")]
    Impossible,
    #[error("a secret of less than {} bytes", .0)]
    ShortSecret(usize),
    #[error("the member `{0}` is missing or not base64url")]
    Member(&'static str),
}

/// A key together with the one algorithm it is for. `Debug` shows the algorithm alone.
pub struct Key {
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    Ed25519(VerifyingKey),
    /// As ring wants it: a point, or the DER of an RSA key.
    Public(Vec<u8>),
    Secret(hmac::Key),
}

/// A JSON Web Key (RFC 7517), as far as signatures need it.
#[derive(Clone, Debug, Deserialize)]
pub struct Jwk {
    pub kty: String,
    pub kid: Option<String>,
    #[serde(rename = "use")]
    pub usage: Option<String>,
    pub alg: Option<String>,
    pub crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    key_ops: Option<Vec<String>>,
    /// The private half; its value is passed over.
    d: Option<serde::de::IgnoredAny>,
}

impl Jwk {
    /// Whether the private half stands there too.
    #[must_use]
    pub const fn is_private(&self) -> bool {
        self.d.is_some()
    }

    /// Whether the key's own words let it verify signatures of this algorithm.
    #[must_use]
    pub fn is_meant_for(&self, algorithm: Algorithm) -> bool {
        let kind = match algorithm {
            Algorithm::EdDsa => ("OKP", Some("Ed25519")),
            Algorithm::Es256 => ("EC", Some("P-256")),
            Algorithm::Es384 => ("EC", Some("P-384")),
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => ("oct", None),
            _ => ("RSA", None),
        };
        let says =
            |word: &Option<String>, wanted: &str| word.as_ref().is_none_or(|word| word == wanted);
        self.kty == kind.0
            && (kind.1.is_none() || self.crv.as_deref() == kind.1)
            && says(&self.usage, "sig")
            && says(&self.alg, algorithm.as_str())
            && self
                .key_ops
                .as_ref()
                .is_none_or(|ops| ops.iter().any(|op| op == "verify"))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Key");
        shown.field("algorithm", &self.algorithm);
        shown.finish_non_exhaustive()
    }
}

impl Key {
    /// Reads a public key in PEM; for EdDSA also base64 of its 32 bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn from_pem(algorithm: Algorithm, text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        // Text may stand before the armour (RFC 7468, section 2), such as what `lictor key generate` says of a key.
        if algorithm == Algorithm::EdDsa && !text.contains("-----BEGIN") {
            let bytes = STANDARD.decode(text).map_err(|_| KeyError::Pem)?;
            return Self::ed25519(&bytes);
        }
        let (label, der) = unarmored(text).ok_or(KeyError::Pem)?;
        if label == "RSA PUBLIC KEY" {
            return Self::public(algorithm, "RSA", der);
        }
        if label != "PUBLIC KEY" {
            return Err(KeyError::Pem);
        }
        let info = SubjectPublicKeyInfoRef::try_from(der.as_slice()).map_err(|_| KeyError::Pem)?;
        let bytes = info.subject_public_key.raw_bytes();
        match info.algorithm.oid.to_string().as_str() {
            "1.3.101.112" if algorithm == Algorithm::EdDsa => Self::ed25519(bytes),
            "1.2.840.113549.1.1.1" => Self::public(algorithm, "RSA", bytes.to_vec()),
            "1.2.840.10045.2.1" => {
                let curve = info.algorithm.parameters_oid().map_err(|_| KeyError::Pem)?;
                let curve = match curve.to_string().as_str() {
                    "1.2.840.10045.3.1.7" => "P-256",
                    "1.3.132.0.34" => "P-384",
                    _ => return Err(KeyError::OtherKind(algorithm)),
                };
                Self::public(algorithm, curve, bytes.to_vec())
            }
            _ => Err(KeyError::OtherKind(algorithm)),
        }
    }

    /// The key of a JSON Web Key, for this algorithm.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn from_jwk(algorithm: Algorithm, jwk: &Jwk) -> Result<Self, KeyError> {
        let member = |name, value: &Option<String>| {
            let decoded = value.as_ref().map(|text| URL_SAFE_NO_PAD.decode(text));
            match decoded {
                Some(Ok(bytes)) => Ok(bytes),
                _ => Err(KeyError::Member(name)),
            }
        };
        match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("OKP", Some("Ed25519")) if algorithm == Algorithm::EdDsa => {
                Self::ed25519(&member("x", &jwk.x)?)
            }
            ("EC", Some(curve @ ("P-256" | "P-384"))) => {
                let size = if curve == "P-256" { 32 } else { 48 };
                let (x, y) = (member("x", &jwk.x)?, member("y", &jwk.y)?);
                if x.len() != size || y.len() != size {
                    return Err(KeyError::OtherKind(algorithm));
                }
                let mut point = vec![4];
                point.extend_from_slice(&x);
                point.extend_from_slice(&y);
                Self::public(algorithm, curve, point)
            }
            ("RSA", _) => {
                let (n, e) = (member("n", &jwk.n)?, member("e", &jwk.e)?);
                let der = rsa_der(&n, &e).ok_or(KeyError::OtherKind(algorithm))?;
                Self::public(algorithm, "RSA", der)
            }
            _ => Err(KeyError::OtherKind(algorithm)),
        }
    }

    /// A secret that both sides hold, at least as long as the hash (RFC 7518 3.2), unless `least` asks for less.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn from_secret(
        algorithm: Algorithm,
        secret: &[u8],
        least: usize,
    ) -> Result<Self, KeyError> {
        let kind = match algorithm {
            Algorithm::Hs256 => hmac::HMAC_SHA256,
            Algorithm::Hs384 => hmac::HMAC_SHA384,
            Algorithm::Hs512 => hmac::HMAC_SHA512,
            _ => return Err(KeyError::OtherKind(algorithm)),
        };
        if secret.len() < least {
            return Err(KeyError::ShortSecret(least));
        }
        Ok(Self {
            algorithm,
            material: Material::Secret(hmac::Key::new(kind, secret)),
        })
    }

    /// What the key is for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether the signature holds; Ed25519 by the strict rules.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Ed25519(key) => Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Material::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Material::Public(bytes) => self.algorithm.parameters().is_some_and(|parameters| {
                signature::UnparsedPublicKey::new(parameters, bytes)
                    .verify(message, signature)
                    .is_ok()
            }),
        }
    }

    fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        let other = KeyError::OtherKind(Algorithm::EdDsa);
        let Ok(bytes) = <[u8; 32]>::try_from(bytes) else {
            return Err(other);
        };
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| other)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        Ok(Self {
            algorithm: Algorithm::EdDsa,
            material: Material::Ed25519(key),
        })
    }

    fn public(algorithm: Algorithm, kind: &str, bytes: Vec<u8>) -> Result<Self, KeyError> {
        let fits = match algorithm {
            Algorithm::Es256 => kind == "P-256" && bytes.len() == 65,
            Algorithm::Es384 => kind == "P-384" && bytes.len() == 97,
            Algorithm::EdDsa | Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => false,
            _ => kind == "RSA",
        };
        if !fits {
            return Err(KeyError::OtherKind(algorithm));
        }
        match kind {
            "RSA" => check_rsa(&bytes)?,
            "P-256" => check_point(&agreement::ECDH_P256, &bytes)?,
            _ => check_point(&agreement::ECDH_P384, &bytes)?,
        }
        Ok(Self {
            algorithm,
            material: Material::Public(bytes),
        })
    }
}

/// Label and content of the first PEM block.
fn unarmored(text: &str) -> Option<(&str, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    Some((label, STANDARD.decode(body).ok()?))
}

/// `RSAPublicKey` of RFC 8017.
fn rsa_der(n: &[u8], e: &[u8]) -> Option<Vec<u8>> {
    let (n, e) = (UintRef::new(n).ok()?, UintRef::new(e).ok()?);
    vec![n, e].to_der().ok()
}

/// Size and oddness of the numbers; ring checks them again at every use, the size rounded up to whole bytes.
fn check_rsa(der: &[u8]) -> Result<(), KeyError> {
    let numbers = Vec::<UintRef<'_>>::from_der(der).map_err(|_| KeyError::Impossible)?;
    let [n, e] = numbers.as_slice() else {
        return Err(KeyError::Impossible);
    };
    let (n, e) = (n.as_bytes(), e.as_bytes());
    let bits = n
        .first()
        .map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err(KeyError::RsaSize);
    }
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    // ring takes exponents from 3 to 2^33 - 1.
    let too_large = e.len() > 5 || (e.len() == 5 && e[0] > 1);
    if !odd(n) || !odd(e) || e == [1] || too_large {
        return Err(KeyError::Impossible);
    }
    Ok(())
}

/// Key agreement is where ring checks a point by itself: a bad one is found when it is read, not when it is used.
fn check_point(curve: &'static agreement::Algorithm, point: &[u8]) -> Result<(), KeyError> {
    let own = agreement::EphemeralPrivateKey::generate(curve, &SystemRandom::new());
    let point = agreement::UnparsedPublicKey::new(curve, point);
    own.and_then(|own| agreement::agree_ephemeral(own, &point, |_| ()))
        .map_err(|_| KeyError::Impossible)
}

#[cfg(test)]
mod tests;
