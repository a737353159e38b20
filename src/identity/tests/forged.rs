//! Tokens that were tampered with, in every way a machine comes up with.

use proptest::prelude::*;
use serde_json::json;

use crate::jose::Algorithm;

use super::super::{
    IdentityError, KeySource, Settings, TokenType, TrustedIssuer, TrustedKey, Verifier,
};
use super::signer::{ALL, Signer, encode};
use super::{NOW, handle, payload};

/// One verifier that trusts an issuer for each algorithm, and a good token of each.
fn world() -> (Verifier, Vec<String>) {
    let mut issuers = Vec::new();
    let mut tokens = Vec::new();
    for algorithm in ALL {
        let signer = Signer::new(algorithm);
        let mut claims = payload();
        claims["iss"] = json!(algorithm.as_str());
        let header = json!({"alg": algorithm.as_str(), "typ": "JWT", "kid": "k1"});
        tokens.push(signer.token(&header, &claims.to_string()));
        issuers.push(TrustedIssuer {
            name: algorithm.as_str().into(),
            audience: vec!["other".into()],
            algorithm,
            types: vec![TokenType::Jwt],
            keys: super::given(signer.pem()),
        });
    }
    let settings = Settings {
        issuers,
        clock_skew: 60,
        constitutional_hash: None,
    };
    (Verifier::new(&settings, handle()).unwrap(), tokens)
}

#[derive(Clone, Debug)]
enum Change {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, char),
    Swap,
    Header(String),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), 1..=255_u8).prop_map(|(at, bits)| Change::Flip(at, bits)),
        any::<usize>().prop_map(Change::Cut),
        (any::<usize>(), any::<char>()).prop_map(|(at, new)| Change::Insert(at, new)),
        Just(Change::Swap),
        prop_oneof![
            Just(r#"{"alg":"none","typ":"JWT"}"#.to_owned()),
            Just(r#"{"alg":"HS256","typ":"JWT"}"#.to_owned()),
            Just(r#"{"alg":"RS256","typ":"JWT","kid":"../../etc/passwd"}"#.to_owned()),
            Just(r#"{"alg":"ES256","typ":"JWT","jku":"https://evil.example"}"#.to_owned()),
            Just(r#"{"alg":"EdDSA","typ":"JWT","alg":"none"}"#.to_owned()),
            any::<String>(),
        ]
        .prop_map(Change::Header),
    ]
}

fn apply(token: &str, other: &str, change: &Change) -> String {
    let mut text: Vec<char> = token.chars().collect();
    match change {
        Change::Flip(at, bits) => {
            let at = at % text.len();
            text[at] = char::from(text[at] as u8 ^ bits);
        }
        Change::Cut(at) => text.truncate(at % text.len()),
        Change::Insert(at, new) => text.insert(at % (text.len() + 1), *new),
        Change::Swap => {
            let (signed, _) = token.rsplit_once('.').unwrap();
            let (_, signature) = other.rsplit_once('.').unwrap();
            return format!("{signed}.{signature}");
        }
        Change::Header(header) => {
            let (_, rest) = token.split_once('.').unwrap();
            return format!("{}.{rest}", encode(header.as_bytes()));
        }
    }
    text.into_iter().collect()
}

#[test]
fn a_token_that_was_changed_in_any_way_is_refused() {
    let (verifier, tokens) = world();
    for token in &tokens {
        assert!(verifier.verify(token, NOW).is_ok());
    }
    let cases = (0..tokens.len(), 0..tokens.len(), change());
    proptest!(ProptestConfig::with_cases(3000), |((first, second, change) in cases)| {
        let forged = apply(&tokens[first], &tokens[second], &change);
        // Some changes change nothing.
        prop_assume!(forged != tokens[first]);
        prop_assert!(verifier.verify(&forged, NOW).is_err(), "{change:?}: {forged}");
    });
}

#[test]
fn anything_at_all_is_refused_without_a_panic() {
    let (verifier, _) = world();
    proptest!(ProptestConfig::with_cases(2000), |(header in any::<String>(), claims in any::<String>(), signature in any::<Vec<u8>>())| {
        prop_assert!(verifier.verify(&header, NOW).is_err());
        let token = format!("{}.{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()), encode(&signature));
        prop_assert!(verifier.verify(&token, NOW).is_err());
    });
}

#[test]
fn a_signature_of_the_wrong_curve_or_form_is_refused() {
    let (verifier, _) = world();
    let p384 = Signer::new(Algorithm::Es384);
    let mut claims = payload();
    claims["iss"] = json!("ES256");
    let header = json!({"alg": "ES256", "typ": "JWT"});
    let token = p384.token(&header, &claims.to_string());
    assert!(verifier.verify(&token, NOW).is_err());
    let (signed, _) = token.rsplit_once('.').unwrap();
    for signature in [vec![], vec![0; 64], vec![0xff; 64], vec![0; 16 * 1024]] {
        let token = format!("{signed}.{}", encode(&signature));
        assert!(verifier.verify(&token, NOW).is_err());
    }
}

#[test]
fn an_issuers_key_says_nothing_in_anothers_name() {
    let [first, second] = [(); 2].map(|()| Signer::new(Algorithm::Es256));
    let trusting = |name: &str, kid: &str, signer: &Signer| TrustedIssuer {
        name: name.into(),
        audience: vec!["other".into()],
        algorithm: Algorithm::Es256,
        types: vec![TokenType::Jwt],
        keys: KeySource::Given(vec![TrustedKey {
            kid: Some(kid.into()),
            public_key: signer.pem(),
        }]),
    };
    let settings = Settings {
        issuers: vec![
            trusting("one", "k1", &first),
            trusting("two", "k2", &second),
        ],
        clock_skew: 60,
        constitutional_hash: None,
    };
    let verifier = Verifier::new(&settings, handle()).unwrap();
    let token = |signer: &Signer, iss: &str, kid: Option<&str>| {
        let mut claims = payload();
        claims["iss"] = json!(iss);
        let mut header = json!({"alg": "ES256", "typ": "JWT"});
        if let Some(kid) = kid {
            header["kid"] = json!(kid);
        }
        signer.token(&header, &claims.to_string())
    };
    let ask = |token: String| verifier.verify(&token, NOW).map(drop);
    assert_eq!(ask(token(&first, "one", Some("k1"))), Ok(()));
    assert_eq!(ask(token(&second, "two", None)), Ok(()));
    let unknown = Err(IdentityError::UnknownKey { issuer: 0 });
    assert_eq!(ask(token(&second, "one", Some("k2"))), unknown);
    let bad = Err(IdentityError::BadSignature);
    assert_eq!(ask(token(&second, "one", Some("k1"))), bad);
    assert_eq!(ask(token(&second, "one", None)), bad);
}
