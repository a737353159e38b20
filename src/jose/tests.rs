use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use super::*;

fn jwk(value: serde_json::Value) -> Jwk {
    serde_json::from_value(value).unwrap()
}

/// RFC 7515, appendix A.2: RS256.
#[test]
fn the_rsa_example_of_rfc_7515_verifies() {
    let key = jwk(json!({"kty": "RSA", "e": "AQAB", "n": concat!(
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-",
        "yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-",
        "KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_",
        "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ")}));
    let message = concat!(
        "eyJhbGciOiJSUzI1NiJ9.",
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    );
    let signature = URL_SAFE_NO_PAD.decode(concat!(
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZ",
        "cAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-e",
        "OkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    )).unwrap();
    let rs256 = Key::from_jwk(Algorithm::Rs256, &key).unwrap();
    assert!(rs256.verify(message.as_bytes(), &signature));
    assert!(!rs256.verify(&message.as_bytes()[1..], &signature));
    let ps256 = Key::from_jwk(Algorithm::Ps256, &key).unwrap();
    assert!(
        !ps256.verify(message.as_bytes(), &signature),
        "another padding"
    );
    for other in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs256] {
        assert_eq!(
            Key::from_jwk(other, &key).unwrap_err(),
            KeyError::OtherKind(other)
        );
    }
}

#[test]
fn a_point_serves_its_own_curve_alone() {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
        .unwrap();
    let point = pair.public_key().as_ref();
    let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    let ec = jwk(json!({"kty": "EC", "crv": "P-256", "x": part(1..33), "y": part(33..65)}));
    let key = Key::from_jwk(Algorithm::Es256, &ec).unwrap();
    let signature = pair.sign(&random, b"message").unwrap();
    assert!(key.verify(b"message", signature.as_ref()));
    assert!(!key.verify(b"massage", signature.as_ref()));
    assert!(Key::from_jwk(Algorithm::Es384, &ec).is_err());
    assert!(Key::from_jwk(Algorithm::Rs256, &ec).is_err());
}

#[test]
fn keys_in_pem_are_told_apart() {
    let pair = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let ed25519 = pair
        .verifying_key()
        .to_public_key_pem(LineEnding::LF)
        .unwrap();
    assert!(Key::from_pem(Algorithm::EdDsa, &ed25519).is_ok());
    let explained = format!("# what it is\n# kid: k1\n{ed25519}");
    assert!(Key::from_pem(Algorithm::EdDsa, &explained).is_ok());
    assert_eq!(
        Key::from_pem(Algorithm::Rs256, &ed25519).unwrap_err(),
        KeyError::OtherKind(Algorithm::Rs256)
    );
    for text in [
        "",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN X-----AAAA-----END X-----",
    ] {
        assert_eq!(
            Key::from_pem(Algorithm::Rs256, text).unwrap_err(),
            KeyError::Pem,
            "{text}"
        );
    }
    assert_eq!(
        Key::from_pem(Algorithm::EdDsa, &STANDARD.encode([0; 32])).unwrap_err(),
        KeyError::Weak
    );
}

#[test]
fn short_rsa_keys_and_secrets_are_refused() {
    let n = URL_SAFE_NO_PAD.encode([0xff; 128]);
    let short = jwk(json!({"kty": "RSA", "e": "AQAB", "n": n}));
    assert_eq!(
        Key::from_jwk(Algorithm::Rs256, &short).unwrap_err(),
        KeyError::RsaSize
    );
    assert_eq!(
        Key::from_secret(Algorithm::Hs256, b"secret", 32).unwrap_err(),
        KeyError::ShortSecret(32)
    );
    let key = Key::from_secret(Algorithm::Hs256, b"secret", 0).unwrap();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), b"message");
    assert!(key.verify(b"message", tag.as_ref()));
    assert!(!format!("{key:?}").contains("secret"));
}

#[test]
fn only_exact_names_are_algorithms() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::named(algorithm.as_str()), Some(algorithm));
    }
    for name in ["none", "rs256", "ES512", "EdDSA ", ""] {
        assert_eq!(Algorithm::named(name), None, "{name}");
    }
}

fn rsa(n: &[u8], e: &[u8]) -> Result<Key, KeyError> {
    let encode = |bytes| URL_SAFE_NO_PAD.encode(bytes);
    let key = jwk(json!({"kty": "RSA", "n": encode(n), "e": encode(e)}));
    Key::from_jwk(Algorithm::Rs256, &key)
}

#[test]
fn an_rsa_modulus_has_2048_bits_and_not_one_fewer() {
    let modulus = |bits: usize| {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        bytes[0] >>= bytes.len() * 8 - bits;
        bytes
    };
    for (bits, fits) in [
        (512, false),
        (1024, false),
        (2040, false),
        (2047, false),
        (2048, true),
        (4096, true),
        (8192, true),
        (8193, false),
    ] {
        let bytes = modulus(bits);
        assert_eq!(rsa(&bytes, &[1, 0, 1]).is_ok(), fits, "{bits}");
        let padded = [vec![0, 0], bytes].concat();
        assert_eq!(rsa(&padded, &[1, 0, 1]).is_ok(), fits, "{bits}");
    }
    let modulus = modulus(2048);
    assert!(rsa(&modulus, &[3]).is_ok());
    for exponent in [
        &[][..],
        &[0],
        &[1],
        &[2],
        &[1, 0, 0],
        &[2, 0, 0, 0, 1],
        &[1, 0, 0, 0, 0, 1],
    ] {
        assert!(rsa(&modulus, exponent).is_err(), "{exponent:?}");
    }
    let mut even = modulus;
    even[255] = 0xfe;
    assert_eq!(rsa(&even, &[3]).unwrap_err(), KeyError::Impossible);
    assert!(rsa(&[], &[3]).is_err());
}

#[test]
fn a_point_off_the_curve_is_found_when_it_is_read() {
    for (algorithm, curve, length) in [
        (Algorithm::Es256, "P-256", 32),
        (Algorithm::Es384, "P-384", 48),
    ] {
        let point = |byte: u8| {
            let half = URL_SAFE_NO_PAD.encode(vec![byte; length]);
            jwk(json!({"kty": "EC", "crv": curve, "x": half, "y": half}))
        };
        for byte in [0, 7, 0xff] {
            let error = Key::from_jwk(algorithm, &point(byte)).unwrap_err();
            assert_eq!(error, KeyError::Impossible, "{byte}");
        }
    }
}
