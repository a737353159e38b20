//! `io.jwt.*`: tokens, decoded, verified and made.

use anyhow::{Context as _, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use regorus::Value;
use regorus::value::{Array, Object};
use ring::hmac;

use crate::jose::{Algorithm, Jwk, Key};

use super::super::json;
use super::text;

/// Nesting of a header or of claims.
const DEEPEST: usize = 64;

/// A token in its parts.
struct Token<'t> {
    header: Value,
    payload: Value,
    signature: Vec<u8>,
    /// What is signed.
    signed: &'t str,
}

fn parse(token: &str) -> Result<Token<'_>> {
    let (signed, signature) = token
        .rsplit_once('.')
        .ok_or_else(|| anyhow!("encoded JWT must have 3 sections, found 1"))?;
    let (header, payload) = signed
        .split_once('.')
        .filter(|(_, payload)| !payload.contains('.'))
        .ok_or_else(|| anyhow!("encoded JWT must have 3 sections"))?;
    let document = |part: &str| -> Result<Value> {
        let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('='))?;
        Ok(json::parse(&bytes, DEEPEST)?)
    };
    let header = document(header).context("JWT header")?;
    if !matches!(header, Value::Object(_)) {
        return Err(anyhow!("JWT header is no object"));
    }
    Ok(Token {
        header,
        payload: document(payload).context("JWT payload")?,
        signature: URL_SAFE_NO_PAD.decode(signature.trim_end_matches('='))?,
        signed,
    })
}

pub(super) fn decode(arguments: &[Value]) -> Result<Value> {
    let mut token = parse(text(arguments, 0)?)?;
    let nested = member(&token.header, "cty").is_some_and(
        |kind| matches!(kind, Value::String(kind) if kind.eq_ignore_ascii_case("JWT")),
    );
    if nested {
        return Err(anyhow!("a token inside a token is not supported"));
    }
    let signature = hex::encode(&token.signature);
    let payload = std::mem::replace(&mut token.payload, Value::Null);
    Ok(list([token.header, payload, Value::from(signature)]))
}

macro_rules! verifiers {
    ($($function:ident $algorithm:ident;)*) => {
        $(pub(super) fn $function(arguments: &[Value]) -> Result<Value> {
            verify(Algorithm::$algorithm, arguments)
        })*
    };
}

verifiers! {
    verify_eddsa EdDsa;
    verify_es256 Es256;
    verify_es384 Es384;
    verify_hs256 Hs256;
    verify_hs384 Hs384;
    verify_hs512 Hs512;
    verify_ps256 Ps256;
    verify_ps384 Ps384;
    verify_ps512 Ps512;
    verify_rs256 Rs256;
    verify_rs384 Rs384;
    verify_rs512 Rs512;
}

fn verify(algorithm: Algorithm, arguments: &[Value]) -> Result<Value> {
    let token = parse(text(arguments, 0)?)?;
    let key = text(arguments, 1)?;
    let keys = if algorithm.is_symmetric() {
        vec![Key::from_secret(algorithm, key.as_bytes(), 0)?]
    } else {
        public_keys(algorithm, key)?
    };
    Ok(Value::from(token.is_signed_by(&keys)))
}

impl Token<'_> {
    fn is_signed_by(&self, keys: &[Key]) -> bool {
        let message = self.signed.as_bytes();
        keys.iter().any(|key| key.verify(message, &self.signature))
    }
}

/// The keys of a text: PEM of a public key or a certificate, a JSON Web Key, or a set of them.
fn public_keys(algorithm: Algorithm, text: &str) -> Result<Vec<Key>> {
    if text.trim_start().starts_with('{') {
        #[derive(serde::Deserialize)]
        struct Keys {
            keys: Vec<Jwk>,
        }
        let jwks = match serde_json::from_str::<Keys>(text) {
            Ok(set) => set.keys,
            Err(_) => vec![serde_json::from_str::<Jwk>(text)?],
        };
        let keys = jwks.iter().map(|jwk| Key::from_jwk(algorithm, jwk));
        let usable: Vec<Key> = keys.flatten().collect();
        if usable.is_empty() {
            return Err(anyhow!("no key for {}", algorithm.as_str()));
        }
        return Ok(usable);
    }
    if text.contains("-----BEGIN CERTIFICATE-----") {
        return Ok(vec![Key::from_pem(algorithm, &key_of_certificate(text)?)?]);
    }
    Ok(vec![Key::from_pem(algorithm, text)?])
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

/// `[true, header, payload]` where the token holds, else `[false, {}, {}]`.
pub(super) fn decode_verify(arguments: &[Value]) -> Result<Value> {
    let token = parse(text(arguments, 0)?)?;
    let Some(Value::Object(constraints)) = arguments.get(1) else {
        return Err(anyhow!("operand 2 must be object"));
    };
    let constraints = Constraints::read(constraints)?;
    if constraints.hold(&token)? {
        return Ok(list([Value::from(true), token.header, token.payload]));
    }
    Ok(list([
        Value::from(false),
        Value::new_object(),
        Value::new_object(),
    ]))
}

/// What a token must fulfil.
#[derive(Default)]
struct Constraints<'c> {
    certificate: Option<&'c str>,
    secret: Option<&'c str>,
    algorithm: Option<&'c str>,
    issuer: Option<&'c str>,
    audience: Option<&'c str>,
    /// Nanoseconds since 1970.
    time: Option<f64>,
}

impl<'c> Constraints<'c> {
    fn read(object: &'c Object) -> Result<Self> {
        let mut read = Self::default();
        for (name, value) in object.iter() {
            let Value::String(name) = name else {
                return Err(anyhow!("a constraint's name must be string"));
            };
            if &**name == "time" {
                read.time = Some(value.as_f64()?);
                continue;
            }
            let Value::String(text) = value else {
                return Err(anyhow!("constraint {name} must be string"));
            };
            let slot = match &**name {
                "cert" => &mut read.certificate,
                "secret" => &mut read.secret,
                "alg" => &mut read.algorithm,
                "iss" => &mut read.issuer,
                "aud" => &mut read.audience,
                _ => return Err(anyhow!("unknown constraint: {name}")),
            };
            *slot = Some(text);
        }
        if read.certificate.is_some() == read.secret.is_some() {
            return Err(anyhow!("exactly one of `cert` and `secret` is needed"));
        }
        Ok(read)
    }

    fn hold(&self, token: &Token<'_>) -> Result<bool> {
        let Some(Value::String(name)) = member(&token.header, "alg") else {
            return Ok(false);
        };
        if self.algorithm.is_some_and(|wanted| *wanted != **name) {
            return Ok(false);
        }
        let Some(algorithm) = Algorithm::named(name) else {
            return Ok(false);
        };
        let keys = match (self.certificate, self.secret) {
            (Some(text), _) if !algorithm.is_symmetric() => public_keys(algorithm, text)?,
            (_, Some(secret)) if algorithm.is_symmetric() => {
                vec![Key::from_secret(algorithm, secret.as_bytes(), 0)?]
            }
            _ => return Ok(false),
        };
        Ok(token.is_signed_by(&keys) && self.claims_hold(&token.payload))
    }

    fn claims_hold(&self, payload: &Value) -> bool {
        let issuer = self.issuer.is_none_or(|wanted| {
            matches!(member(payload, "iss"), Some(Value::String(issuer)) if **issuer == *wanted)
        });
        let audience = match (member(payload, "aud"), self.audience) {
            (None, None) => true,
            (Some(Value::String(one)), Some(wanted)) => **one == *wanted,
            (Some(Value::Array(several)), Some(wanted)) => {
                several.iter().any(|one| *one == Value::from(wanted))
            }
            _ => false,
        };
        let now = self.time.unwrap_or_else(|| super::NOW.get() as f64);
        let seconds = |name| member(payload, name).map(|claim| claim.as_f64().ok());
        let not_ended = match seconds("exp") {
            None => true,
            Some(end) => end.is_some_and(|end| now < end * 1e9),
        };
        let has_begun = match seconds("nbf") {
            None => true,
            Some(begin) => begin.is_some_and(|begin| now >= begin * 1e9),
        };
        issuer && audience && not_ended && has_begun
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
