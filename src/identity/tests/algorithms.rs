//! Every algorithm, and that an issuer's own counts and no other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::jose::{self, Algorithm};

use super::super::{IdentityError, KeySource, Settings, TokenType, TrustedIssuer, TrustedKey};
use super::signer::{ALL, Signer};
use super::{NOW, payload, verifier};

fn trusting(algorithm: Algorithm, public_key: String) -> Settings {
    Settings {
        issuers: vec![TrustedIssuer {
            name: "tests".into(),
            audience: vec!["other".into()],
            algorithm,
            types: vec![TokenType::Jwt],
            keys: KeySource::Given(vec![TrustedKey {
                kid: None,
                public_key,
            }]),
        }],
        clock_skew: 60,
        constitutional_hash: None,
    }
}

#[test]
fn every_algorithm_verifies_its_own_tokens_and_no_altered_ones() {
    for algorithm in ALL {
        let signer = Signer::new(algorithm);
        let verifier = verifier(&trusting(algorithm, signer.pem()));
        let header = json!({"alg": algorithm.as_str(), "typ": "JWT", "kid": "any"});
        let token = signer.token(&header, &payload().to_string());
        assert_eq!(
            verifier.verify(&token, NOW).unwrap().subject,
            "a",
            "{algorithm:?}"
        );
        let other = payload().to_string().replace("\"a\"", "\"b\"");
        let forged = signer.token(&header, &other);
        let (signed, _) = forged.rsplit_once('.').unwrap();
        let (_, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(
            verifier.verify(&format!("{signed}.{signature}"), NOW),
            Err(IdentityError::BadSignature),
            "{algorithm:?}"
        );
    }
}

#[test]
fn the_issuers_algorithm_counts_and_not_the_headers() {
    for algorithm in ALL {
        let signer = Signer::new(algorithm);
        let verifier = verifier(&trusting(algorithm, signer.pem()));
        for claimed in ALL.map(Algorithm::as_str).into_iter().chain([
            "none", "None", "NONE", "", "HS256", "HS384", "RS512", "RS1", "es256", "ES512",
        ]) {
            let token = signer.token(
                &json!({"alg": claimed, "typ": "JWT"}),
                &payload().to_string(),
            );
            let result = verifier.verify(&token, NOW);
            if claimed == algorithm.as_str() {
                assert!(result.is_ok(), "{algorithm:?}");
            } else {
                assert_eq!(
                    result,
                    Err(IdentityError::WrongKind),
                    "{algorithm:?} {claimed}"
                );
            }
        }
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    for algorithm in ALL {
        let signer = Signer::new(algorithm);
        let verifier = verifier(&trusting(algorithm, signer.pem()));
        for claimed in ["HS256", algorithm.as_str()] {
            let whole = signer.token(
                &json!({"alg": claimed, "typ": "JWT"}),
                &payload().to_string(),
            );
            let (input, _) = whole.rsplit_once('.').unwrap();
            let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, signer.pem().as_bytes());
            let tag = ring::hmac::sign(&secret, input.as_bytes());
            let forged = format!("{input}.{}", super::signer::encode(tag.as_ref()));
            assert!(verifier.verify(&forged, NOW).is_err(), "{algorithm:?}");
            assert!(verifier.verify(&format!("{input}."), NOW).is_err());
        }
    }
}

#[test]
fn a_key_must_be_of_its_issuers_algorithm() {
    for algorithm in ALL {
        for other in ALL {
            let same_key = |algorithm| matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256);
            let fits = algorithm == other || same_key(algorithm) && same_key(other);
            let read = jose::Key::from_pem(algorithm, &Signer::new(other).pem());
            assert_eq!(read.is_ok(), fits, "{algorithm:?} {other:?}");
        }
        let garbage = [
            "",
            "key",
            "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            include_str!("rsa.pem"),
        ];
        for text in garbage {
            assert!(jose::Key::from_pem(algorithm, text).is_err(), "{text}");
        }
    }
    let raw = STANDARD.encode([2; 32]);
    assert!(jose::Key::from_pem(Algorithm::Es256, &raw).is_err());
}
