//! Signatures over the canonical content of versions: raw Ed25519, standard base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::RegistryError;

/// A private key for content. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ContentKey(SigningKey);

impl std::fmt::Debug for ContentKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ContentKey").finish_non_exhaustive()
    }
}

impl ContentKey {
    /// Reads PKCS#8 PEM; None where it is no Ed25519 key.
    pub fn from_pem(pem: &str) -> Option<Self> {
        SigningKey::from_pkcs8_pem(pem).ok().map(Self)
    }

    /// Reads the key a request brought: base64 of the 32-byte seed, and of the public key to go with it.
    pub fn from_request(private: &str, public: Option<&str>) -> Result<Self, RegistryError> {
        let refuse = |message: &str| RegistryError::Key(message.into());
        let seed: [u8; 32] =
            bytes(private).ok_or_else(|| refuse("`private_key_b64` is no base64 of 32 bytes"))?;
        let key = Self(SigningKey::from_bytes(&seed));
        match public {
            Some(public) if bytes(public) != Some(key.0.verifying_key().to_bytes()) => Err(refuse(
                "`public_key_b64` does not belong to `private_key_b64`",
            )),
            _ => Ok(key),
        }
    }

    /// The public half, base64.
    pub fn public(&self) -> String {
        STANDARD.encode(self.0.verifying_key().to_bytes())
    }

    /// The signature, base64.
    pub fn sign(&self, canonical: &str) -> String {
        STANDARD.encode(self.0.sign(canonical.as_bytes()).to_bytes())
    }
}

/// Whether the signature holds; malformed keys and signatures do not.
pub fn holds(public: &str, signature: &str, canonical: &str) -> bool {
    let Some(key) = bytes(public).and_then(|raw| VerifyingKey::from_bytes(&raw).ok()) else {
        return false;
    };
    bytes::<64>(signature)
        .map(|raw| Signature::from_bytes(&raw))
        .is_some_and(|signature| key.verify_strict(canonical.as_bytes(), &signature).is_ok())
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const PUBLIC: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
    const CANONICAL: &str =
        r#"{"rules":[{"action":"allow","resource":"documents"}],"version":"1.0.0"}"#;
    const SIGNATURE: &str =
        "c7g/qsMVdZBQAALkdHGTGT6m1dMY5OnSDeZC3N9cn0ro+Fc2U0XxEjKEYgHcxSu1OvM4HUt3kqJKVpmroAIgCg==";

    #[test]
    fn signatures_are_the_originals() {
        let key = ContentKey::from_request(PRIVATE, Some(PUBLIC)).unwrap();
        assert_eq!(key.public(), PUBLIC);
        assert_eq!(key.sign(CANONICAL), SIGNATURE);
        assert!(holds(PUBLIC, SIGNATURE, CANONICAL));
        assert!(!holds(PUBLIC, SIGNATURE, "{}"));
    }

    #[test]
    fn a_pair_that_does_not_fit_and_garbage_are_refused() {
        let other = STANDARD.encode([7; 32]);
        assert!(ContentKey::from_request(PRIVATE, Some(&other)).is_err());
        for garbage in ["", "x", "AAAA", "\u{0}", &"A".repeat(1000)] {
            assert!(ContentKey::from_request(garbage, None).is_err());
            assert!(!holds(garbage, SIGNATURE, CANONICAL));
            assert!(!holds(PUBLIC, garbage, CANONICAL));
        }
    }
}
