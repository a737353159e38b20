//! `io.jwt.*`: tokens, decoded, verified and made.

mod key;
mod verify;

pub(super) use verify::*;

use anyhow::{Context as _, Result, anyhow};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, URL_SAFE_NO_PAD};
use base64::{Engine as _, alphabet};
use regorus::Value;
use regorus::value::Array;
use ring::hmac;

use super::super::json;
use super::text;

/// Nesting of a header or of claims.
const DEEPEST: usize = 64;

/// A token in its parts, each still encoded.
struct Token<'t> {
    header: &'t str,
    payload: &'t str,
    signature: &'t str,
    /// What is signed.
    signed: &'t str,
}

impl<'t> Token<'t> {
    fn read(text: &'t str) -> Result<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(anyhow!(
                "encoded JWT must have 3 sections, found {}",
                parts.len()
            ));
        };
        Ok(Self {
            header,
            payload,
            signature,
            signed: text
                .get(..header.len() + 1 + payload.len())
                .unwrap_or_default(),
        })
    }

    fn header(&self) -> Result<Value> {
        object(&decoded(self.header)?).context("JWT header")
    }

    fn payload(&self) -> Result<Value> {
        object(&decoded(self.payload)?).context("JWT payload")
    }

    fn signature(&self) -> Result<Vec<u8>> {
        decoded(self.signature)
    }
}

/// As Go decodes it: bits that are left over at the end may be anything.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    NO_PAD.with_decode_allow_trailing_bits(true),
);

fn decoded(part: &str) -> Result<Vec<u8>> {
    Ok(LENIENT.decode(part.trim_end_matches('='))?)
}

fn object(text: &[u8]) -> Result<Value> {
    let value = json::parse(text, DEEPEST)?;
    if matches!(value, Value::Object(_)) {
        Ok(value)
    } else {
        Err(anyhow!("it is no object"))
    }
}

/// Whether what a token carries is a token itself.
fn is_nested(header: &Value) -> bool {
    matches!(member(header, "cty"), Some(Value::String(kind)) if kind.eq_ignore_ascii_case("JWT"))
}

/// The token that a token carries.
fn inner(token: &Token<'_>) -> Result<String> {
    Ok(String::from_utf8(decoded(token.payload)?)?)
}

/// Of tokens in tokens the innermost.
pub(super) fn decode(arguments: &[Value]) -> Result<Value> {
    let mut encoded = text(arguments, 0)?.to_owned();
    loop {
        let token = Token::read(&encoded)?;
        let header = token.header()?;
        if is_nested(&header) {
            encoded = inner(&token)?;
            continue;
        }
        let signature = hex::encode(token.signature()?);
        return Ok(list([header, token.payload()?, Value::from(signature)]));
    }
}

pub(super) fn encode_sign(arguments: &[Value]) -> Result<Value> {
    let [header, payload, key] = arguments else {
        return Err(anyhow!("expected three operands"));
    };
    let header_text = written(header);
    sign(header, &header_text, &written(payload), &written(key))
}

pub(super) fn encode_sign_raw(arguments: &[Value]) -> Result<Value> {
    let (header, payload) = (text(arguments, 0)?, text(arguments, 1)?);
    let parsed = json::parse(header.as_bytes(), DEEPEST)?;
    sign(
        &parsed,
        header.as_bytes(),
        payload.as_bytes(),
        text(arguments, 2)?.as_bytes(),
    )
}

/// Signs with a secret: private keys have no place in a policy.
fn sign(header: &Value, header_text: &[u8], payload: &[u8], key: &[u8]) -> Result<Value> {
    #[derive(serde::Deserialize)]
    struct Secret {
        kty: String,
        k: String,
    }
    let algorithm = match member(header, "alg") {
        Some(Value::String(name)) if &**name == "HS256" => hmac::HMAC_SHA256,
        Some(Value::String(name)) if &**name == "HS384" => hmac::HMAC_SHA384,
        Some(Value::String(name)) if &**name == "HS512" => hmac::HMAC_SHA512,
        _ => return Err(anyhow!("only HS256, HS384 and HS512 sign here")),
    };
    let secret: Secret = serde_json::from_slice(key)?;
    if secret.kty != "oct" {
        return Err(anyhow!("the key is no secret (`oct`)"));
    }
    let secret = URL_SAFE_NO_PAD.decode(secret.k.trim_end_matches('='))?;
    let mut token = URL_SAFE_NO_PAD.encode(header_text);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let tag = hmac::sign(&hmac::Key::new(algorithm, &secret), token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(tag.as_ref(), &mut token);
    Ok(Value::from(token))
}

fn written(value: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    // There is no limit that it could fail at.
    let _ = json::write(value, usize::MAX, &mut text);
    text
}

fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(object) => object.get(&Value::from(name)),
        _ => None,
    }
}

fn list<const N: usize>(items: [Value; N]) -> Value {
    Value::from(Array::from(Vec::from(items)))
}
