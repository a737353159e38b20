//! Whether tokens hold: their signatures, and what is claimed in them.

use anyhow::{Result, anyhow};
use regorus::Value;
use regorus::value::Object;

use crate::jose::{Algorithm, Key};

use super::key::{VerificationKey, keys};
use super::{Token, inner, is_nested, list, member, text};

macro_rules! verifiers {
    ($($function:ident $algorithm:ident;)*) => {
        $(pub(in super::super) fn $function(arguments: &[Value]) -> Result<Value> {
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
    let token = Token::read(text(arguments, 0)?)?;
    let key = text(arguments, 1)?;
    if algorithm.is_symmetric() {
        return Ok(Value::from(by_secret(&token, algorithm, key)?));
    }
    let keys = keys(key)?;
    token.signature()?;
    let header = Header::read(&token.header()?)?;
    Ok(Value::from(by_keys(&token, &header, algorithm, &keys)?))
}

fn by_secret(token: &Token<'_>, algorithm: Algorithm, secret: &str) -> Result<bool> {
    let signature = token.signature()?;
    let key = Key::from_secret(algorithm, secret.as_bytes(), 0)?;
    Ok(key.verify(token.signed.as_bytes(), &signature))
}

/// By the key that the header names; if there is none of that name, by any that is not for another algorithm.
fn by_keys(
    token: &Token<'_>,
    header: &Header,
    algorithm: Algorithm,
    keys: &[VerificationKey],
) -> Result<bool> {
    let signature = token.signature()?;
    let verifies =
        |key: &VerificationKey| key.verifies(algorithm, token.signed.as_bytes(), &signature);
    if !header.key.is_empty()
        && let Some(named) = keys
            .iter()
            .find(|key| key.id.as_deref() == Some(&header.key))
    {
        return Ok(verifies(named));
    }
    let fits = |key: &&VerificationKey| {
        let wanted = key.algorithm.as_deref();
        wanted.is_none_or(|wanted| wanted.is_empty() || wanted == header.algorithm)
    };
    Ok(keys.iter().filter(fits).any(verifies))
}

/// What a token's header says.
#[derive(Default)]
struct Header {
    algorithm: String,
    key: String,
    /// It names a parameter that nobody here knows as one that has to be understood.
    is_beyond_us: bool,
}

impl Header {
    fn read(header: &Value) -> Result<Self> {
        let text = |name| match member(header, name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.to_string()),
            Some(_) => Err(anyhow!("{name}: must be a string")),
        };
        text("typ")?;
        text("cty")?;
        let is_beyond_us = match member(header, "crit") {
            None => false,
            Some(Value::Array(names)) => {
                let names = names.iter().filter(|name| matches!(name, Value::String(_)));
                let names: Vec<&Value> = names.collect();
                if names.is_empty() {
                    return Err(anyhow!("crit: must be a nonempty list"));
                }
                const KNOWN: [&str; 5] = ["alg", "kid", "typ", "cty", "crit"];
                names.into_iter().any(|name| {
                    let known = KNOWN.iter().any(|known| *name == Value::from(*known));
                    let there = matches!(header, Value::Object(all) if all.contains_key(name));
                    there && !known
                })
            }
            Some(_) => return Err(anyhow!("crit: must be a list")),
        };
        Ok(Self {
            algorithm: text("alg")?,
            key: text("kid")?,
            is_beyond_us,
        })
    }
}

/// `[true, header, payload]` where the token holds, else `[false, {}, {}]`.
pub(in super::super) fn decode_verify(arguments: &[Value]) -> Result<Value> {
    let Some(Value::Object(constraints)) = arguments.get(1) else {
        return Err(anyhow!("operand 2 must be object"));
    };
    let constraints = Constraints::read(constraints)?;
    let no = || {
        let empty = Value::new_object();
        Ok(list([Value::from(false), empty.clone(), empty]))
    };
    let mut encoded = text(arguments, 0)?.to_owned();
    loop {
        let token = Token::read(&encoded)?;
        let decoded = token.header()?;
        let header = Header::read(&decoded)?;
        if header.algorithm.is_empty() || header.is_beyond_us {
            return no();
        }
        let wanted = constraints.algorithm.filter(|wanted| !wanted.is_empty());
        if wanted.is_some_and(|wanted| wanted != header.algorithm) {
            return no();
        }
        if !constraints.verify(&token, &header)? {
            return no();
        }
        if is_nested(&decoded) {
            encoded = inner(&token)?;
            continue;
        }
        let payload = token.payload()?;
        if !constraints.claims_hold(&payload)? {
            return no();
        }
        return Ok(list([Value::from(true), decoded, payload]));
    }
}

/// What a token must fulfil.
#[derive(Default)]
struct Constraints<'c> {
    keys: Option<Vec<VerificationKey>>,
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
                let time = number(value)
                    .ok_or_else(|| anyhow!("token time constraint: must be a number"))?;
                if time < 0.0 {
                    return Err(anyhow!("token time constraint: must not be negative"));
                }
                read.time = Some(time);
                continue;
            }
            let Value::String(text) = value else {
                return Err(anyhow!("{name} constraint: must be a string"));
            };
            let text = &**text;
            match &**name {
                "cert" => read.keys = Some(keys(text)?),
                "secret" => read.secret = Some(text).filter(|text| !text.is_empty()),
                "alg" => read.algorithm = Some(text),
                "iss" => read.issuer = Some(text).filter(|text| !text.is_empty()),
                "aud" => read.audience = Some(text),
                _ => return Err(anyhow!("unknown token validation constraint: {name}")),
            }
        }
        if read.keys.is_some() == read.secret.is_some() {
            return Err(anyhow!("exactly one of `cert` and `secret` is needed"));
        }
        Ok(read)
    }

    fn verify(&self, token: &Token<'_>, header: &Header) -> Result<bool> {
        token.signature()?;
        let Some(algorithm) = Algorithm::named(&header.algorithm) else {
            return Ok(false);
        };
        match (&self.keys, self.secret) {
            (Some(keys), _) if !algorithm.is_symmetric() => by_keys(token, header, algorithm, keys),
            (_, Some(secret)) if algorithm.is_symmetric() => by_secret(token, algorithm, secret),
            _ => Ok(false),
        }
    }

    fn claims_hold(&self, payload: &Value) -> Result<bool> {
        let issuer = self.issuer.is_none_or(|wanted| {
            matches!(member(payload, "iss"), Some(Value::String(issuer)) if **issuer == *wanted)
        });
        let audience = match member(payload, "aud") {
            None => self.audience.is_none_or(str::is_empty),
            Some(claimed) => {
                let wanted = Value::from(self.audience.unwrap_or_default());
                match claimed {
                    Value::Array(several) => several.iter().any(|one| *one == wanted),
                    one => *one == wanted,
                }
            }
        };
        if !issuer || !audience {
            return Ok(false);
        }
        let now = self.time.unwrap_or_else(|| super::super::NOW.get() as f64) / 1e9;
        let seconds = |name| match member(payload, name) {
            None => Ok(None),
            Some(claim) => match number(claim) {
                Some(claim) => Ok(Some(claim)),
                None => Err(anyhow!("{name} value must be a number")),
            },
        };
        if seconds("exp")?.is_some_and(|end| now >= end) {
            return Ok(false);
        }
        Ok(seconds("nbf")?.is_none_or(|begin| now >= begin))
    }
}

/// A number, the nearest that a double holds.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(_) => value.to_string().parse().ok(),
        _ => None,
    }
}
