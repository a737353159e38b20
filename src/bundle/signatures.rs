//! `.signatures.json`: compact JWS tokens over one payload, read without believing them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::key::SigningKey;

/// The only file of the first member.
pub(super) const NAME: &str = ".signatures.json";

/// Marks a token as a bundle's signature; no bearer token carries it.
const TYPE: &str = "lictor-bundle+jws";
const ALGORITHM: &str = "EdDSA";

/// More tokens than this are refused.
const MAX_TOKENS: usize = 64;

/// A token, split but not verified.
#[derive(Debug)]
pub(super) struct Token<'a> {
    pub(super) kid: String,
    /// Whether the header says that this is an Ed25519 signature of a bundle.
    marked: bool,
    /// Header and payload as they were signed.
    message: &'a str,
    signature: [u8; 64],
    /// The whole token.
    text: &'a str,
}

/// The parsed file: at least one token, all over the same payload.
#[derive(Debug)]
pub(super) struct Signatures<'a> {
    pub(super) tokens: Vec<Token<'a>>,
    pub(super) payload: Vec<u8>,
}

/// The file's texts, owned.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignatureFile {
    /// Exactly one, or OPA refuses the bundle.
    signatures: [String; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    lictor: Option<MoreJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MoreJson {
    more: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderJson {
    alg: String,
    typ: Option<String>,
    kid: String,
}

impl SignatureFile {
    /// Reads `.signatures.json`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("`.signatures.json`: {error}"))
    }

    /// Splits all tokens.
    pub(super) fn split(&self) -> Result<Signatures<'_>, String> {
        let more = self.lictor.iter().flat_map(|lictor| &lictor.more);
        let texts: Vec<&String> = self.signatures.iter().chain(more).collect();
        if texts.len() > MAX_TOKENS {
            return Err(format!("more than {MAX_TOKENS} signatures"));
        }
        let mut tokens = Vec::with_capacity(texts.len());
        let mut shared = None;
        for text in texts {
            let (token, payload) = Token::split(text)?;
            if *shared.get_or_insert(payload) != payload {
                return Err("the signatures are over different payloads".to_owned());
            }
            tokens.push(token);
        }
        let payload = BASE64
            .decode(shared.unwrap_or_default())
            .map_err(|error| format!("the payload is not base64url: {error}"))?;
        Ok(Signatures { tokens, payload })
    }
}

impl<'a> Token<'a> {
    /// The token and the text of its payload. Base64url has one spelling only, so equal texts are
    /// equal payloads.
    fn split(text: &'a str) -> Result<(Self, &'a str), String> {
        let malformed = || "a signature is no compact JWS".to_owned();
        let (message, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = message.split_once('.').ok_or_else(malformed)?;
        if payload.contains('.') {
            return Err(malformed());
        }
        let header = BASE64.decode(header).map_err(|_| malformed())?;
        let header: HeaderJson = serde_json::from_slice(&header)
            .map_err(|error| format!("the header of a signature: {error}"))?;
        let signature = BASE64.decode(signature).map_err(|_| malformed())?;
        let token = Self {
            marked: header.alg == ALGORITHM && header.typ.as_deref() == Some(TYPE),
            kid: header.kid,
            message,
            signature: signature.try_into().map_err(|_| malformed())?,
            text,
        };
        Ok((token, payload))
    }

    /// Whether this is a bundle's signature, made with this key.
    pub(super) fn is_by(&self, public_key: &[u8; 32]) -> bool {
        self.marked && holds(public_key, self.message.as_bytes(), &self.signature)
    }

    /// Whether the header marks this as a bundle's signature.
    pub(super) const fn marked(&self) -> bool {
        self.marked
    }

    pub(super) const fn text(&self) -> &'a str {
        self.text
    }
}

/// Whether the signature holds, strictly: no malleable encodings, no points of small order.
pub(super) fn holds(public_key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(public_key)
        .is_ok_and(|key| !key.is_weak() && key.verify_strict(message, &signature).is_ok())
}

/// Signs a payload: one token.
pub(super) fn sign(payload: &[u8], key: &SigningKey) -> Result<String, serde_json::Error> {
    let header = serde_json::to_vec(&HeaderJson {
        alg: ALGORITHM.to_owned(),
        typ: Some(TYPE.to_owned()),
        kid: key.kid.clone(),
    })?;
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let signature = key.key().sign(message.as_bytes());
    Ok(format!("{message}.{}", BASE64.encode(signature.to_bytes())))
}

/// Writes `.signatures.json`; the first token is the one that OPA reads.
pub(super) fn render(first: String, more: Vec<String>) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&SignatureFile {
        signatures: [first],
        lictor: (!more.is_empty()).then_some(MoreJson { more }),
    })
}
