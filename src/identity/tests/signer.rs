//! Keys of every algorithm, tokens signed by them, and how their public halves are written.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair};
use serde_json::{Value, json};

use crate::jose::Algorithm;

/// Of 2048 bits, for tests alone.
const RSA: &str = include_str!("rsa.pem");

pub(super) const ALL: [Algorithm; 5] = [
    Algorithm::EdDsa,
    Algorithm::Rs256,
    Algorithm::Ps256,
    Algorithm::Es256,
    Algorithm::Es384,
];

pub(super) enum Signer {
    Ed25519(Box<SigningKey>),
    Rsa(Box<RsaKeyPair>, bool),
    Ec(Box<EcdsaKeyPair>, bool),
}

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    /// A signer; a new one each time where the algorithm is `EdDSA` or ECDSA.
    pub(super) fn new(algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let ec = |signing, is_p384| {
            let document = EcdsaKeyPair::generate_pkcs8(signing, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(signing, document.as_ref(), &random).unwrap();
            Self::Ec(Box::new(pair), is_p384)
        };
        match algorithm {
            Algorithm::EdDsa => Self::Ed25519(Box::new(SigningKey::from_bytes(&rand::random()))),
            Algorithm::Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, false),
            Algorithm::Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, true),
            _ => {
                let base64: String = RSA.lines().filter(|line| !line.starts_with('-')).collect();
                let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(base64).unwrap()).unwrap();
                Self::Rsa(Box::new(pair), algorithm == Algorithm::Ps256)
            }
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Self::Ec(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rsa(pair, pss) => {
                let mut out = vec![0; pair.public().modulus_len()];
                let padding: &dyn signature::RsaEncoding = if *pss {
                    &signature::RSA_PSS_SHA256
                } else {
                    &signature::RSA_PKCS1_SHA256
                };
                pair.sign(padding, &random, message, &mut out).unwrap();
                out
            }
        }
    }

    /// A token of these parts.
    pub(super) fn token(&self, header: &Value, payload: &str) -> String {
        let input = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(payload.as_bytes())
        );
        format!("{input}.{}", encode(&self.sign(input.as_bytes())))
    }

    /// The public half as a member of a key set.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": encode(key.verifying_key().as_bytes())})
            }
            Self::Rsa(pair, _) => {
                let PublicKeyComponents { n, e } =
                    PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "n": encode(&n), "e": encode(&e)})
            }
            Self::Ec(pair, is_p384) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if *is_p384 { "P-384" } else { "P-256" };
                json!({"kty": "EC", "crv": curve, "kid": kid, "x": encode(x), "y": encode(y)})
            }
        }
    }

    /// The public half in PEM.
    pub(super) fn pem(&self) -> String {
        let (prefix, key) = match self {
            Self::Ed25519(key) => (
                hex::decode("302a300506032b6570032100").unwrap(),
                key.verifying_key().to_bytes().to_vec(),
            ),
            Self::Ec(pair, false) => (
                hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap(),
                pair.public_key().as_ref().to_vec(),
            ),
            Self::Ec(pair, true) => (
                hex::decode("3076301006072a8648ce3d020106052b81040022036200").unwrap(),
                pair.public_key().as_ref().to_vec(),
            ),
            Self::Rsa(pair, _) => (
                hex::decode("30820122300d06092a864886f70d01010105000382010f00").unwrap(),
                pair.public_key().as_ref().to_vec(),
            ),
        };
        let base64 = STANDARD.encode([prefix, key].concat());
        let lines: Vec<_> = base64
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines.join("\n")
        )
    }
}
