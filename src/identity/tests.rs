//! Tests of tokens: made, verified, and every way one can be wrong.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Map, Value, json};
use tokio::runtime::{Handle, Runtime};

use crate::jose::Algorithm;
use crate::model::Timestamp;

use super::{
    Grant, IdentityError, Issuer, KeySource, MintError, Settings, TOKEN_LIMIT, TokenType,
    TrustedIssuer, TrustedKey, Verifier,
};

mod agents;
mod algorithms;
mod forged;
mod sets;
mod signer;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn settings(seed: u8) -> Settings {
    Settings {
        issuers: vec![TrustedIssuer {
            name: "tests".into(),
            audience: vec!["lictor".into(), "other".into()],
            algorithm: Algorithm::EdDsa,
            types: vec![TokenType::Jwt],
            keys: given(STANDARD.encode(key(seed).verifying_key())),
        }],
        clock_skew: 60,
        constitutional_hash: Some("cdd01ef066bc6cf2".into()),
    }
}

fn given(public_key: String) -> KeySource {
    KeySource::Given(vec![TrustedKey {
        kid: Some("k1".into()),
        public_key,
    }])
}

/// Where the tasks of verifiers run.
fn handle() -> &'static Handle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap()).handle()
}

fn verifier(settings: &Settings) -> Verifier {
    Verifier::new(settings, handle()).unwrap()
}

fn issuer(seed: u8) -> Issuer {
    let pem = key(seed).to_pkcs8_pem(LineEnding::LF).unwrap();
    Issuer::from_pem("tests", Some("k1"), &pem).unwrap()
}

fn grant() -> Grant {
    Grant {
        subject: "alice".into(),
        tenant: "default".parse().unwrap(),
        roles: vec!["admin".into(), "viewer".into()],
        audience: vec!["lictor".into()],
        issued_at: NOW,
        lifetime_seconds: 600,
        extra: Map::new(),
    }
}

fn sign(header: &Value, payload: &str) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let input = format!(
        "{}.{}",
        encode(header.to_string().as_bytes()),
        encode(payload.as_bytes())
    );
    let signature = encode(&key(1).sign(input.as_bytes()).to_bytes());
    format!("{input}.{signature}")
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "JWT"})
}

fn payload() -> Value {
    json!({"iss": "tests", "sub": "a", "aud": "other", "exp": 1_800_000_600})
}

#[test]
fn a_minted_token_verifies_and_its_claims_are_read() {
    let token = issuer(1).mint(&grant()).unwrap();
    let verifier = verifier(&settings(1));
    for _ in 0..2 {
        let claims = verifier.verify(&token, NOW).unwrap();
        assert_eq!(claims.subject, "alice");
        assert_eq!(claims.tenant.as_ref().unwrap().as_str(), "default");
        assert!(claims.has_role("system_admin") && claims.has_role("viewer"));
        assert!(!claims.has_role("admin"));
        let json: Value = serde_json::from_str(&claims.json).unwrap();
        assert_eq!(json["sub"], "alice");
    }
}

#[test]
fn a_single_role_and_a_single_audience_are_understood() {
    let mut claims = payload();
    claims["role"] = json!("registry-admin");
    let token = sign(&header(), &claims.to_string());
    let claims = verifier(&settings(1)).verify(&token, NOW);
    assert_eq!(claims.unwrap().roles, ["system_admin"]);
}

#[test]
fn every_wrong_header_is_refused() {
    let verifier = verifier(&settings(1));
    for header in [
        json!({"alg": "none", "typ": "JWT"}),
        json!({"alg": "HS256", "typ": "JWT"}),
        json!({"alg": "EdDSA", "typ": "lictor-bundle+jws"}),
        json!({"alg": "EdDSA", "typ": "JWT", "crit": ["b64"], "b64": false}),
    ] {
        let token = sign(&header, &payload().to_string());
        assert_eq!(
            verifier.verify(&token, NOW),
            Err(IdentityError::WrongKind),
            "{header}"
        );
    }
    let unmarked = sign(&json!({"alg": "EdDSA"}), &payload().to_string());
    assert!(matches!(
        verifier.verify(&unmarked, NOW),
        Err(IdentityError::Malformed(_))
    ));
    let other_kid = json!({"alg": "EdDSA", "typ": "JWT", "kid": "k2"});
    assert_eq!(
        verifier.verify(&sign(&other_kid, &payload().to_string()), NOW),
        Err(IdentityError::UnknownKey { issuer: 0 })
    );
}

#[test]
fn a_token_is_of_a_type_that_its_issuers_settings_name() {
    let typed = |types: &[TokenType]| {
        let mut settings = settings(1);
        settings.issuers[0].types = types.to_vec();
        verifier(&settings)
    };
    let [jwt, access, both] = [
        &[TokenType::Jwt][..],
        &[TokenType::AccessToken],
        &[TokenType::Jwt, TokenType::AccessToken],
    ]
    .map(typed);
    for (typ, is_jwt, is_access) in [
        ("JWT", true, false),
        ("at+jwt", false, true),
        ("AT+JWT", false, true),
        ("application/at+jwt", false, true),
        ("Application/AT+jwt", false, true),
        ("jwt", false, false),
        ("application/jwt", false, false),
        ("id+jwt", false, false),
        ("lictor-bundle+jws", false, false),
        ("application/", false, false),
        ("\u{e9}pplication/at+jwt", false, false),
        ("", false, false),
    ] {
        let token = sign(&json!({"alg": "EdDSA", "typ": typ}), &payload().to_string());
        for (verifier, expected) in [
            (&jwt, is_jwt),
            (&access, is_access),
            (&both, is_jwt || is_access),
        ] {
            let result = verifier.verify(&token, NOW).map(drop);
            let wanted = if expected {
                Ok(())
            } else {
                Err(IdentityError::WrongKind)
            };
            assert_eq!(result, wanted, "{typ}");
        }
    }
    let mut none = settings(1);
    none.issuers[0].types.clear();
    assert!(Verifier::new(&none, handle()).is_err());
}

#[test]
fn what_comes_of_tokens_is_counted() {
    let verifier = verifier(&settings(1));
    let registry = prometheus::Registry::new();
    verifier.register(&registry).unwrap();
    let good = issuer(1).mint(&grant()).unwrap();
    let mut local = verifier.local();
    for _ in 0..3 {
        local.verify(good.as_bytes(), NOW).unwrap();
    }
    verifier.verify(&good, NOW).unwrap();
    let _ = local.verify(b"nonsense", NOW);
    let _ = local.verify(issuer(2).mint(&grant()).unwrap().as_bytes(), NOW);
    let page = crate::server::telemetry::render(&registry);
    let page = String::from_utf8(page).unwrap();
    for line in [
        "lictor_identity_tokens_total{outcome=\"verified\"} 4",
        "lictor_identity_tokens_total{outcome=\"malformed\"} 1",
        "lictor_identity_tokens_total{outcome=\"bad_signature\"} 1",
        "lictor_identity_tokens_total{outcome=\"expired\"} 0",
        "lictor_identity_cache_hits_total 3",
        "lictor_identity_cache_misses_total 3",
        "lictor_identity_keys{issuer=\"tests\"} 1",
    ] {
        assert!(
            page.lines().any(|found| found == line),
            "{line}\nin\n{page}"
        );
    }
    assert!(!page.contains(&good));
}

#[test]
fn every_wrong_claim_is_refused() {
    let verifier = verifier(&settings(1));
    let cases = [
        ("iss", json!("evil"), IdentityError::UnknownIssuer),
        ("aud", json!("elsewhere"), IdentityError::WrongAudience),
        ("aud", json!([]), IdentityError::WrongAudience),
        ("exp", json!(1_799_999_940), IdentityError::Expired),
        ("nbf", json!(1_800_000_061), IdentityError::NotYetValid),
        ("iat", json!(1_800_000_061), IdentityError::NotYetValid),
        (
            "constitutional_hash",
            json!("0000000000000000"),
            IdentityError::WrongConstitutionalHash,
        ),
        (
            "tenant_id",
            json!("a/b"),
            IdentityError::Malformed("`tenant_id` is no tenant"),
        ),
    ];
    for (name, value, expected) in cases {
        let mut claims = payload();
        claims[name] = value;
        let token = sign(&header(), &claims.to_string());
        assert_eq!(verifier.verify(&token, NOW), Err(expected), "{name}");
    }
    for name in ["iss", "sub", "aud", "exp"] {
        let mut claims = payload();
        claims.as_object_mut().unwrap().remove(name);
        let token = sign(&header(), &claims.to_string());
        assert!(
            matches!(
                verifier.verify(&token, NOW),
                Err(IdentityError::Malformed(_))
            ),
            "{name}"
        );
    }
}

#[test]
fn the_skew_is_allowed_and_no_more() {
    let verifier = verifier(&settings(1));
    for (name, seconds) in [
        ("exp", 1_799_999_941),
        ("nbf", 1_800_000_060),
        ("iat", 1_800_000_060),
    ] {
        let mut claims = payload();
        claims[name] = json!(seconds);
        let token = sign(&header(), &claims.to_string());
        assert!(verifier.verify(&token, NOW).is_ok(), "{name}");
    }
}

#[test]
fn garbage_is_refused() {
    let verifier = verifier(&settings(1));
    let good = sign(&header(), &payload().to_string());
    let twice = sign(
        &header(),
        r#"{"iss":"tests","sub":"a","aud":"other","exp":1800000600,"role":"viewer","x":1,"x":2}"#,
    );
    let huge_date = sign(
        &header(),
        r#"{"iss":"tests","sub":"a","aud":"other","exp":1e300}"#,
    );
    let padded = format!("{good}=");
    let long = "a".repeat(TOKEN_LIMIT + 1);
    for token in [
        "", ".", "..", "...", "a.b.c", "é.é.é", &twice, &huge_date, &padded, &long,
    ] {
        assert!(
            matches!(
                verifier.verify(token, NOW),
                Err(IdentityError::Malformed(_))
            ),
            "{token}"
        );
    }
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(verifier.verify(&changed, NOW).is_err(), "byte {at}");
    }
}

#[test]
fn a_remembered_token_still_ends() {
    let token = issuer(1).mint(&grant()).unwrap();
    let verifier = verifier(&settings(1));
    let mut local = verifier.local();
    assert!(local.verify(token.as_bytes(), NOW).is_ok());
    assert!(
        local
            .verify(token.as_bytes(), NOW.plus_seconds(659))
            .is_ok()
    );
    assert_eq!(
        local.verify(token.as_bytes(), NOW.plus_seconds(660)),
        Err(IdentityError::Expired)
    );
    assert_eq!(
        local.verify(token.as_bytes(), NOW.plus_seconds(-61)),
        Err(IdentityError::NotYetValid)
    );
}

#[test]
fn extra_claims_cannot_set_registered_ones() {
    for name in ["iss", "sub", "aud", "exp", "tenant_id", "role", "roles"] {
        let mut grant = grant();
        grant.extra.insert(name.into(), json!("x"));
        assert!(matches!(issuer(1).mint(&grant), Err(MintError::Reserved(found)) if found == name));
    }
}

#[test]
fn unusable_issuers_are_named() {
    let mut weak = settings(1);
    weak.issuers[0].keys = given(STANDARD.encode([0; 32]));
    let mut short = settings(1);
    short.issuers[0].keys = given(STANDARD.encode([1; 31]));
    let mut deaf = settings(1);
    deaf.issuers[0].audience.clear();
    for (settings, word) in [(weak, "weak"), (short, "another kind"), (deaf, "audience")] {
        let error = Verifier::new(&settings, handle()).unwrap_err().to_string();
        assert!(error.contains("tests") && error.contains(word), "{error}");
    }
}
