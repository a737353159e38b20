//! The three key pairs of an installation, its keyring, and the tokens of a run.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use serde_json::Map;
use sha2::{Digest as _, Sha256};

use crate::bundle::{self, Key, Keyring};
use crate::identity::{Grant, Issuer, KeySource, TokenType, TrustedIssuer, TrustedKey};
use crate::jose::Algorithm;
use crate::model::{TenantId, Timestamp};
use crate::server::secret;

use super::home::Home;

/// What tokens of `up` name as their issuer.
const ISSUER: &str = "lictor-up";
/// What they are good for.
const AUDIENCE: &str = "lictor";
/// The development token, in seconds.
const DEVELOPMENT: u32 = 12 * 3600;
/// The sidecar's token, in seconds; it is made anew long before.
const SIDECAR: u32 = 24 * 3600;

/// Private key files, and what is made of them.
pub(super) struct Keys {
    pub(super) bundle_kid: String,
    pub(super) bundle_file: PathBuf,
    pub(super) content_file: PathBuf,
    pub(super) keyring_file: PathBuf,
    pub(super) sidecar_token_file: PathBuf,
    pub(super) token_public_file: PathBuf,
    tokens: Issuer,
    tenant: TenantId,
}

impl Keys {
    /// Makes what is missing in the folder and takes what is there.
    pub(super) fn open(home: &Home, tenant: &TenantId) -> anyhow::Result<Self> {
        let bundle_file = home.path("bundle.key.pem");
        let content_file = home.path("content.key.pem");
        let pem = key(&bundle_file)?;
        key(&content_file)?;
        let tokens = Issuer::from_pem(ISSUER, None, &key(&home.path("token.key.pem"))?)?;
        let public = bundle::SigningKey::from_pem("", &pem)?.public_key();
        let keys = Self {
            bundle_kid: hex::encode(Sha256::digest(public))
                .chars()
                .take(16)
                .collect(),
            bundle_file,
            content_file,
            keyring_file: home.path("keyring.yaml"),
            sidecar_token_file: home.path("sidecar.token"),
            token_public_file: home.path("token.pub"),
            tokens,
            tenant: tenant.clone(),
        };
        keys.write_keyring(public)?;
        let public = STANDARD.encode(keys.tokens.public_key());
        std::fs::write(&keys.token_public_file, public)
            .with_context(|| format!("cannot write `{}`", keys.token_public_file.display()))?;
        keys.renew_sidecar_token()?;
        Ok(keys)
    }

    /// Whose tokens both halves believe.
    pub(super) fn issuer(&self) -> TrustedIssuer {
        TrustedIssuer {
            name: ISSUER.into(),
            audience: vec![AUDIENCE.into()],
            algorithm: Algorithm::EdDsa,
            types: vec![TokenType::Jwt],
            keys: KeySource::Given(vec![TrustedKey {
                kid: None,
                public_key: STANDARD.encode(self.tokens.public_key()),
            }]),
        }
    }

    /// A token for the one who types the commands.
    pub(super) fn development_token(&self) -> anyhow::Result<String> {
        self.token("developer", "tenant_admin", DEVELOPMENT)
    }

    /// Replaces the file that the sidecar reads its token from.
    pub(super) fn renew_sidecar_token(&self) -> anyhow::Result<()> {
        let token = self.token("sidecar", "sidecar", SIDECAR)?;
        let new = self.sidecar_token_file.with_extension("new");
        // Left over where a run was killed in between.
        if new.exists() {
            std::fs::remove_file(&new)?;
        }
        secret::write_new(&new, token.as_bytes())?;
        std::fs::rename(&new, &self.sidecar_token_file)
            .with_context(|| format!("cannot write `{}`", self.sidecar_token_file.display()))
    }

    fn token(&self, subject: &str, role: &str, lifetime_seconds: u32) -> anyhow::Result<String> {
        Ok(self.tokens.mint(&Grant {
            subject: subject.into(),
            tenant: self.tenant.clone(),
            roles: vec![role.into()],
            audience: vec![AUDIENCE.into()],
            issued_at: now()?,
            lifetime_seconds,
            extra: Map::new(),
        })?)
    }

    /// A keyring that is there stays: its owner may have added keys.
    fn write_keyring(&self, public_key: [u8; 32]) -> anyhow::Result<()> {
        if self.keyring_file.exists() {
            return Ok(());
        }
        let keyring = Keyring {
            threshold: 1,
            keys: vec![Key {
                kid: self.bundle_kid.clone(),
                public_key,
                tenants: None,
                not_before: None,
                not_after: None,
                revoked: false,
            }],
        };
        std::fs::write(&self.keyring_file, keyring.to_yaml())
            .with_context(|| format!("cannot write `{}`", self.keyring_file.display()))
    }
}

/// The PEM in a private key file, which is made where it is missing.
fn key(path: &Path) -> anyhow::Result<String> {
    if !path.exists() {
        let pem = SigningKey::from_bytes(&rand::random())
            .to_pkcs8_pem(LineEnding::LF)
            .context("cannot encode a new key")?;
        secret::write_new(path, pem.as_bytes())?;
    }
    Ok(secret::read_private(path)?)
}

fn now() -> anyhow::Result<Timestamp> {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .context("the clock is before 1970")?;
    Ok(Timestamp::from_unix_nanos(since.as_nanos() as i128))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Settings, Verifier};

    #[test]
    fn a_second_opening_keeps_the_keys_and_makes_new_tokens() {
        let home = Home::open(None).unwrap();
        let tenant: TenantId = "default".parse().unwrap();
        let first = Keys::open(&home, &tenant).unwrap();
        let read = |keys: &Keys| {
            let file = |path: &Path| std::fs::read_to_string(path).unwrap();
            [
                file(&keys.bundle_file),
                file(&keys.content_file),
                file(&keys.keyring_file),
                file(&keys.sidecar_token_file),
            ]
        };
        let before = read(&first);
        let second = Keys::open(&home, &tenant).unwrap();
        let after = read(&second);
        assert_eq!(before[..3], after[..3]);
        assert_ne!(before[3], after[3]);
        assert_ne!(before[0], before[1]);
        let keyring = Keyring::parse(before[2].as_bytes()).unwrap();
        assert_eq!(keyring.keys[0].kid, second.bundle_kid);

        let settings = Settings {
            issuers: vec![first.issuer()],
            ..Settings::default()
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let verifier = Verifier::new(&settings, runtime.handle()).unwrap();
        let claims = |token: &str| verifier.verify(token, now().unwrap()).unwrap();
        assert!(claims(&after[3]).has_role("sidecar"));
        let token = second.development_token().unwrap();
        assert!(claims(&token).has_role("tenant_admin"));
        assert_eq!(claims(&token).tenant, Some(tenant));
    }
}
