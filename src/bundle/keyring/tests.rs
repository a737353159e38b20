use super::*;
use crate::bundle::key::SigningKey;

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

fn public(seed: u8) -> [u8; 32] {
    SigningKey::from_seed("", &[seed; 32]).public_key()
}

fn key(kid: &str, seed: u8) -> Key {
    Key {
        kid: kid.to_owned(),
        public_key: public(seed),
        tenants: None,
        not_before: None,
        not_after: None,
        revoked: false,
    }
}

fn signer(kid: &str, seed: u8) -> Signer {
    Signer {
        kid: kid.to_owned(),
        public_key: public(seed),
    }
}

fn until(keyring: &Keyring, signers: &[Signer], now: i64) -> Option<Timestamp> {
    keyring.valid_until(signers, &"acme".parse().unwrap(), moment(now), 60)
}

#[test]
fn the_file_survives_the_round_trip() {
    let keyring = Keyring {
        threshold: 2,
        keys: vec![
            Key {
                tenants: Some(vec!["acme".parse().unwrap(), "b".parse().unwrap()]),
                not_before: Some(moment(1)),
                not_after: Some(moment(2_000_000_000)),
                ..key("a \"quoted\": kid", 1)
            },
            key("b", 2),
            Key {
                revoked: true,
                ..key("c", 3)
            },
        ],
    };
    assert_eq!(
        Keyring::parse(keyring.to_yaml().as_bytes()).unwrap(),
        keyring
    );
}

fn json(change: impl Fn(String) -> String) -> Result<Keyring, String> {
    let text = format!(
        r#"{{"version": 1, "threshold": 1, "keys": [{{"kid": "a", "use": "bundle", "algorithm": "Ed25519",
            "public_key": {:?}, "tenants": "*"}}]}}"#,
        crate::bundle::key::public_key_pem(&public(1)).unwrap(),
    );
    Keyring::parse(change(text).as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn json_and_pem_are_read() {
    assert_eq!(json(|text| text).unwrap().keys, [key("a", 1)]);
}

#[test]
fn what_is_wrong_is_said() {
    let refused = |from: &str, to: &str, expected: &str| {
        let error = json(|text| text.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    refused("threshold", "treshold", "did you mean `threshold`?");
    refused("tenants", "tenant", "did you mean `tenants`?");
    refused("\"version\": 1", "\"version\": 2", "this build knows 1");
    refused("\"threshold\": 1", "\"threshold\": 0", "`threshold` is 0");
    refused(
        "\"threshold\": 1",
        "\"threshold\": 2",
        "with 1 distinct keys",
    );
    refused("bundle", "token", "expected `bundle`");
    refused("Ed25519", "RS256", "expected `Ed25519`");
    refused("\"*\"", "\"acme\"", "expected a list or `*`");
    refused("\"*\"", "[\"a b\"]", "is no tenant");
    refused("\"*\"", "\"*\", \"revoked\": true", "with 0 distinct keys");
    refused(
        "\"*\"",
        "\"*\", \"not_after\": \"soon\"",
        "no RFC 3339 time",
    );
    refused("\"*\"", "\"*\", \"kid\": \"b\"", "twice");
    assert!(Keyring::parse(&vec![b' '; 1024 * 1024 + 1]).is_err());
    for garbage in [&b""[..], b"{", b"\xff\xfe", b"[]", b"keys: &a [*a]"] {
        assert!(Keyring::parse(garbage).is_err());
    }
}

#[test]
fn the_threshold_counts_distinct_public_keys() {
    let keyring = Keyring {
        threshold: 2,
        keys: vec![key("a", 1), key("again", 1), key("b", 2)],
    };
    assert_eq!(
        until(&keyring, &[signer("a", 1), signer("again", 1)], 0),
        None
    );
    assert_eq!(
        until(&keyring, &[signer("a", 1), signer("b", 2)], 0),
        Some(NEVER)
    );
}

#[test]
fn a_signer_counts_only_under_its_own_key() {
    let keyring = Keyring {
        threshold: 1,
        keys: vec![key("a", 2)],
    };
    assert_eq!(until(&keyring, &[signer("a", 1)], 0), None);
}

#[test]
fn a_key_revoked_under_one_kid_is_revoked_under_all() {
    let keyring = Keyring {
        threshold: 1,
        keys: vec![
            key("a", 1),
            Key {
                revoked: true,
                ..key("again", 1)
            },
        ],
    };
    assert_eq!(until(&keyring, &[signer("a", 1)], 0), None);
}

#[test]
fn trust_ends_when_too_few_keys_are_left() {
    let ending = |kid: &str, seed, end| Key {
        not_after: Some(moment(end)),
        ..key(kid, seed)
    };
    let mut keyring = Keyring {
        threshold: 2,
        keys: vec![
            ending("a", 1, 1_000),
            ending("b", 2, 2_000),
            ending("c", 3, 3_000),
        ],
    };
    let all = [signer("a", 1), signer("b", 2), signer("c", 3)];
    assert_eq!(until(&keyring, &all, 0), Some(moment(2_060)));
    assert_eq!(until(&keyring, &all[..2], 0), Some(moment(1_060)));
    assert_eq!(until(&keyring, &all[..2], 1_061), None);
    keyring.threshold = 1;
    assert_eq!(until(&keyring, &all, 3_060), Some(moment(3_060)));
    assert_eq!(until(&keyring, &all, 3_061), None);
}

#[test]
fn windows_and_tenants_bound_a_key() {
    let keyring = |change: fn(&mut Key)| {
        let mut keyring = Keyring {
            threshold: 1,
            keys: vec![key("a", 1)],
        };
        change(&mut keyring.keys[0]);
        keyring
    };
    let signers = [signer("a", 1)];
    let later = keyring(|key| key.not_before = Some(moment(1_000)));
    assert_eq!(until(&later, &signers, 939), None);
    assert_eq!(until(&later, &signers, 940), Some(NEVER));
    let other = keyring(|key| key.tenants = Some(vec!["other".parse().unwrap()]));
    assert_eq!(until(&other, &signers, 0), None);
}
