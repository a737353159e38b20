//! `crypto.*`: digests and authentication codes.

use anyhow::Result;
use md5::{Digest as _, Md5};
use regorus::Value;
use ring::{digest, hmac};
use subtle::ConstantTimeEq as _;

use super::text;

/// Bytes of a block of MD5.
const BLOCK: usize = 64;

pub(super) fn md5(arguments: &[Value]) -> Result<Value> {
    Ok(hexadecimal(Md5::digest(text(arguments, 0)?).as_slice()))
}

pub(super) fn sha1(arguments: &[Value]) -> Result<Value> {
    let digest = digest::digest(
        &digest::SHA1_FOR_LEGACY_USE_ONLY,
        text(arguments, 0)?.as_bytes(),
    );
    Ok(hexadecimal(digest.as_ref()))
}

pub(super) fn sha256(arguments: &[Value]) -> Result<Value> {
    let digest = digest::digest(&digest::SHA256, text(arguments, 0)?.as_bytes());
    Ok(hexadecimal(digest.as_ref()))
}

/// RFC 2104 with MD5, which ring does not have.
pub(super) fn hmac_md5(arguments: &[Value]) -> Result<Value> {
    let (message, key) = (text(arguments, 0)?, text(arguments, 1)?.as_bytes());
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        let digest = Md5::digest(key);
        let digest = digest.as_slice();
        for (to, from) in block.iter_mut().zip(digest) {
            *to = *from;
        }
    } else {
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
    }
    let inner = Md5::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(message)
        .finalize();
    let outer = Md5::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize();
    Ok(hexadecimal(outer.as_slice()))
}

pub(super) fn hmac_sha1(arguments: &[Value]) -> Result<Value> {
    code(arguments, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY)
}

pub(super) fn hmac_sha256(arguments: &[Value]) -> Result<Value> {
    code(arguments, hmac::HMAC_SHA256)
}

pub(super) fn hmac_sha512(arguments: &[Value]) -> Result<Value> {
    code(arguments, hmac::HMAC_SHA512)
}

/// Takes the same time whichever byte differs.
pub(super) fn hmac_equal(arguments: &[Value]) -> Result<Value> {
    let (one, other) = (text(arguments, 0)?, text(arguments, 1)?);
    Ok(Value::from(bool::from(
        one.as_bytes().ct_eq(other.as_bytes()),
    )))
}

fn code(arguments: &[Value], algorithm: hmac::Algorithm) -> Result<Value> {
    let key = hmac::Key::new(algorithm, text(arguments, 1)?.as_bytes());
    let tag = hmac::sign(&key, text(arguments, 0)?.as_bytes());
    Ok(hexadecimal(tag.as_ref()))
}

fn hexadecimal(bytes: &[u8]) -> Value {
    Value::from(hex::encode(bytes))
}
