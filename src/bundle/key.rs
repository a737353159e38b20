//! Ed25519 keys: private ones that sign bundles, and the texts of public ones.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
    KeypairBytes,
};

use super::BuildError;

/// An Ed25519 private key with its key id. Its `Debug` shows the kid alone.
pub struct SigningKey {
    pub kid: String,
    key: ed25519_dalek::SigningKey,
}

/// Text that is no usable public key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("not an Ed25519 public key: expected PEM or base64 of 32 bytes")]
    Public,
    #[error("a weak public key, under which anything can be made to verify")]
    Weak,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Reads PKCS#8 PEM.
    ///
    /// # Errors
    ///
    /// When it is no Ed25519 private key.
    pub fn from_pem(kid: &str, pem: &str) -> Result<Self, BuildError> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem)
            .map_err(|_| BuildError::Key("not an Ed25519 private key in PKCS#8 PEM".to_owned()))?;
        Ok(Self {
            kid: kid.to_owned(),
            key,
        })
    }

    /// The key of these 32 secret bytes, which the caller drew at random.
    #[must_use]
    pub fn from_seed(kid: &str, seed: &[u8; 32]) -> Self {
        Self {
            kid: kid.to_owned(),
            key: ed25519_dalek::SigningKey::from_bytes(seed),
        }
    }

    /// PKCS#8 PEM of the private key, in the first version of that format, which everything reads.
    ///
    /// # Errors
    ///
    /// Never in practice.
    pub fn to_pem(&self) -> Result<String, BuildError> {
        let bytes = KeypairBytes {
            secret_key: self.key.to_bytes(),
            public_key: None,
        };
        let pem = bytes
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| BuildError::Key(error.to_string()))?;
        Ok(pem.to_string())
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    pub(super) const fn key(&self) -> &ed25519_dalek::SigningKey {
        &self.key
    }
}

/// RFC 7638 thumbprint of an Ed25519 public key, base64url.
#[must_use]
pub fn thumbprint(public_key: &[u8; 32]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public_key);
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(super::hash::sha256(jwk.as_bytes()))
}

/// Reads a public key: PEM (`PUBLIC KEY`) or base64 of its 32 bytes.
///
/// # Errors
///
/// When it is neither, or a key of small order.
pub fn parse_public_key(text: &str) -> Result<[u8; 32], KeyError> {
    let text = text.trim();
    let key = if text.starts_with("-----BEGIN") {
        VerifyingKey::from_public_key_pem(text).map_err(|_| KeyError::Public)?
    } else {
        let bytes = STANDARD.decode(text).map_err(|_| KeyError::Public)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Public)?;
        VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Public)?
    };
    if key.is_weak() {
        Err(KeyError::Weak)
    } else {
        Ok(key.to_bytes())
    }
}

/// PEM (`PUBLIC KEY`) of a public key, as OPA wants it.
///
/// # Errors
///
/// When the bytes are no point of the curve.
pub fn public_key_pem(public_key: &[u8; 32]) -> Result<String, KeyError> {
    VerifyingKey::from_bytes(public_key)
        .map_err(|_| KeyError::Public)?
        .to_public_key_pem(LineEnding::LF)
        .map_err(|_| KeyError::Public)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037, appendix A.
    const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

    fn key() -> SigningKey {
        SigningKey::from_seed(
            "k",
            &URL_SAFE_NO_PAD.decode(SEED).unwrap().try_into().unwrap(),
        )
    }

    #[test]
    fn thumbprints_are_those_of_rfc_7638() {
        assert_eq!(
            thumbprint(&key().public_key()),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn keys_survive_their_texts() {
        let pem = key().to_pem().unwrap();
        assert!(
            pem.starts_with("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI"),
            "{pem}"
        );
        let read = SigningKey::from_pem("k", &pem).unwrap();
        assert_eq!(
            (read.kid.as_str(), read.public_key()),
            ("k", key().public_key())
        );
        let public = key().public_key();
        assert_eq!(
            parse_public_key(&public_key_pem(&public).unwrap()).unwrap(),
            public
        );
        assert_eq!(parse_public_key(&STANDARD.encode(public)).unwrap(), public);
    }

    #[test]
    fn garbage_and_weak_keys_are_refused() {
        assert!(
            SigningKey::from_pem(
                "k",
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"
            )
            .is_err()
        );
        assert!(SigningKey::from_pem("k", &public_key_pem(&key().public_key()).unwrap()).is_err());
        for text in ["", "AAAA", "-----BEGIN PUBLIC KEY-----", "\u{1f600}"] {
            assert!(
                matches!(parse_public_key(text), Err(KeyError::Public)),
                "{text}"
            );
        }
        assert!(matches!(
            parse_public_key(&STANDARD.encode([0; 32])),
            Err(KeyError::Weak)
        ));
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", key());
        assert!(!shown.contains("key:") && shown.contains("kid"), "{shown}");
    }
}
