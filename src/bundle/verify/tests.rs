use super::*;
use crate::bundle::{Builder, Key, Previous, SigningKey, sign};

const NOW: i64 = 1_800_000_000;

fn key(kid: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(kid, &[seed; 32])
}

fn keyring(threshold: usize, keys: &[&SigningKey]) -> Keyring {
    Keyring {
        threshold,
        keys: keys
            .iter()
            .map(|key| Key {
                kid: key.kid.clone(),
                public_key: key.public_key(),
                tenants: None,
                not_before: None,
                not_after: None,
                revoked: false,
            })
            .collect(),
    }
}

fn expected() -> Expected {
    Expected {
        tenant: "acme".parse().unwrap(),
        constitutional_hash: None,
        mark: None,
        running: None,
        min_number: 0,
        now: Timestamp::from_unix_seconds(NOW),
        clock_skew: 60,
        announced: None,
    }
}

fn builder() -> Builder {
    let issued = Timestamp::from_unix_seconds(NOW - 100);
    let expires = issued.plus_seconds(7 * 86_400);
    let mut builder = Builder::new(
        "acme".parse().unwrap(),
        7,
        issued,
        expires,
        "cdd01ef066bc6cf2".to_owned(),
    );
    builder
        .file("b/data.json".to_owned(), br#"{"x": 1.0}"#.to_vec())
        .file("a/x.rego".to_owned(), b"package a\n".to_vec())
        .file("!first.txt".to_owned(), vec![b'x'; 2000]);
    builder
}

fn names(bundle: &VerifiedBundle<'_>, limits: &Limits) -> Result<Vec<String>, VerifyError> {
    let mut names = Vec::new();
    bundle.read(limits, true, &mut |_, entry| {
        names.push(format!("{} {}", entry.name, entry.size));
        Ok::<_, VerifyError>(())
    })?;
    Ok(names)
}

#[test]
fn what_is_built_verifies_and_reads_in_order() {
    let key = key("k", 1);
    let archive = builder().build(&[&key]).unwrap();
    assert_eq!(
        archive,
        builder().build(&[&key]).unwrap(),
        "the same input gives the same bytes"
    );
    let bundle = verify(
        &archive,
        &keyring(1, &[&key]),
        &expected(),
        &Limits::default(),
    )
    .unwrap();
    assert_eq!(bundle.kids(), ["k"]);
    assert_eq!(bundle.claims().number, 7);
    assert_eq!(bundle.archive_digest(), &sha256(&archive));
    assert_eq!(
        names(&bundle, &Limits::default()).unwrap(),
        ["!first.txt 2000", "a/x.rego 10", "b/data.json 10"]
    );
}

#[test]
fn limits_hold_while_reading() {
    let key = key("k", 1);
    let mut builder = builder();
    builder.file("zeros.txt".to_owned(), vec![0; 3_000_000]);
    let archive = builder.build(&[&key]).unwrap();
    let bundle = verify(
        &archive,
        &keyring(1, &[&key]),
        &expected(),
        &Limits::default(),
    )
    .unwrap();
    let refused = |limits: Limits| {
        let error = names(&bundle, &limits).unwrap_err();
        assert_eq!(
            (error.step, error.code),
            (Step::Decompression, Code::UnsafeArchive),
            "{error}"
        );
        error.detail
    };
    let roomy = Limits {
        ratio: 100_000,
        ..Limits::default()
    };
    assert!(names(&bundle, &roomy).is_ok());
    assert!(refused(Limits::default()).contains("ratio"));
    assert!(
        refused(Limits {
            total_bytes: 2_000_000,
            ..roomy
        })
        .contains("total")
    );
    assert!(
        refused(Limits {
            entry_bytes: 2_999_999,
            ..roomy
        })
        .contains("at most 2999999")
    );
    assert!(
        refused(Limits {
            entries: 4,
            ..roomy
        })
        .contains("too many files")
    );
    assert!(
        names(
            &bundle,
            &Limits {
                entries: 5,
                entry_bytes: 3_000_000,
                ..roomy
            }
        )
        .is_ok()
    );
}

#[test]
fn the_threshold_needs_distinct_keys() {
    let (one, two, twin) = (key("one", 1), key("two", 2), key("twin", 1));
    let archive = builder().build(&[&one]).unwrap();
    let ring = keyring(2, &[&one, &two, &twin]);
    let check = |archive: &[u8]| {
        verify(archive, &ring, &expected(), &Limits::default()).map(|found| found.kids())
    };
    assert_eq!(check(&archive).unwrap_err().code, Code::Untrusted);
    let same_key = sign(&archive, Previous::Keep, &[&twin]).unwrap();
    assert_eq!(check(&same_key).unwrap_err().code, Code::Untrusted);
    let enough = sign(&archive, Previous::Keep, &[&two]).unwrap();
    assert_eq!(check(&enough).unwrap(), ["one", "two"]);
    let replaced = sign(&enough, Previous::Replace, &[&two]).unwrap();
    assert_eq!(check(&replaced).unwrap_err().code, Code::Untrusted);
    assert!(sign(&archive, Previous::Keep, &[&one]).is_err());
    assert!(sign(&archive, Previous::Replace, &[]).is_err());
}

#[test]
fn an_unknown_key_is_told_from_a_bad_one() {
    let (known, unknown) = (key("known", 1), key("unknown", 2));
    let error = |archive: &[u8], ring: &Keyring| {
        verify(archive, ring, &expected(), &Limits::default()).unwrap_err()
    };
    let archive = builder().build(&[&unknown]).unwrap();
    assert!(error(&archive, &keyring(1, &[&known])).unknown_key);
    let mut revoked = keyring(1, &[&unknown]);
    revoked.keys[0].revoked = true;
    assert!(!error(&archive, &revoked).unknown_key);
    let impostor = key("known", 2);
    let archive = builder().build(&[&impostor]).unwrap();
    assert!(!error(&archive, &keyring(1, &[&known])).unknown_key);
}

#[test]
fn the_number_is_held_against_mark_minimum_and_what_runs() {
    let key = key("k", 1);
    let archive = builder().build(&[&key]).unwrap();
    let ring = keyring(1, &[&key]);
    let payload = *verify(&archive, &ring, &expected(), &Limits::default())
        .unwrap()
        .payload();
    let step = |change: &dyn Fn(&mut Expected)| {
        let mut expected = expected();
        change(&mut expected);
        verify(&archive, &ring, &expected, &Limits::default())
            .err()
            .map(|error| error.code)
    };
    let mark = |tenant: &str, number, payload| {
        let mark = Some(Mark {
            tenant: tenant.parse().unwrap(),
            number,
            payload,
        });
        move |expected: &mut Expected| expected.mark.clone_from(&mark)
    };
    assert_eq!(step(&mark("acme", 6, [0; 32])), None);
    assert_eq!(step(&mark("acme", 7, payload)), None);
    assert_eq!(step(&mark("acme", 7, [0; 32])), Some(Code::Stale));
    assert_eq!(step(&mark("acme", 8, payload)), Some(Code::Stale));
    assert_eq!(step(&mark("other", 8, payload)), None);
    assert_eq!(
        step(&|expected| expected.running = Some(7)),
        Some(Code::Stale)
    );
    assert_eq!(step(&|expected| expected.running = Some(6)), None);
    assert_eq!(step(&|expected| expected.min_number = 8), Some(Code::Stale));
}

#[test]
fn a_failure_in_each_is_handed_through_unless_the_archive_caused_it() {
    let key = key("k", 1);
    let archive = builder().build(&[&key]).unwrap();
    let bundle = verify(
        &archive,
        &keyring(1, &[&key]),
        &expected(),
        &Limits::default(),
    )
    .unwrap();
    let own = |limits: Limits| {
        bundle
            .read(&limits, false, &mut |_, entry| {
                let mut text = Vec::new();
                match entry.reader.read_to_end(&mut text) {
                    Ok(_) => Ok(()),
                    Err(_) => Err(VerifyError::new(Step::Parse, Code::InvalidPolicy, "mine")),
                }
            })
            .err()
            .map(|error| error.step)
    };
    assert_eq!(own(Limits::default()), None);
    assert_eq!(
        own(Limits {
            total_bytes: 3_000,
            ..Limits::default()
        }),
        Some(Step::Decompression)
    );
}

#[test]
fn peeking_needs_no_key() {
    let archive = builder().build(&[&key("k", 1)]).unwrap();
    let peek = peek(&archive, &Limits::default()).unwrap();
    assert_eq!((peek.claims.number, peek.kids), (7, vec!["k".to_owned()]));
    assert_eq!(peek.files.len(), 4);
}

#[test]
fn garbage_is_malformed() {
    let ring = keyring(1, &[&key("k", 1)]);
    for archive in [&b""[..], b"hello", &[0x1f, 0x8b, 8, 0, 1, 2, 3], &[0; 5000]] {
        let error = verify(archive, &ring, &expected(), &Limits::default()).unwrap_err();
        assert_eq!(error.code, Code::Malformed);
    }
    let tiny = Limits {
        archive_bytes: 4,
        ..Limits::default()
    };
    assert_eq!(
        verify(b"hello", &ring, &expected(), &tiny)
            .unwrap_err()
            .code,
        Code::TooLarge
    );
}

#[test]
fn strict_verification_decides_every_wycheproof_case() {
    let Some(folder) = outside_vectors() else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("ed25519/wycheproof.json")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut count = 0;
    for group in document["testGroups"].as_array().unwrap() {
        let mut public_key = [0; 32];
        hex::decode_to_slice(group["publicKey"]["pk"].as_str().unwrap(), &mut public_key).unwrap();
        for case in group["tests"].as_array().unwrap() {
            let message = hex::decode(case["msg"].as_str().unwrap()).unwrap();
            let signature = hex::decode(case["sig"].as_str().unwrap()).unwrap();
            let valid = <[u8; 64]>::try_from(signature)
                .is_ok_and(|signature| signatures::holds(&public_key, &message, &signature));
            assert_eq!(valid, case["result"] == "valid", "{case}");
            count += 1;
        }
    }
    assert_eq!(count, 151);
}

fn outside_vectors() -> Option<std::path::PathBuf> {
    if let Some(folder) = std::env::var_os("LICTOR_VECTORS") {
        return Some(folder.into());
    }
    let required = std::env::var("LICTOR_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|word| word == "vectors"),
        "LICTOR_VECTORS is not set"
    );
    println!("skipped: LICTOR_VECTORS is not set");
    None
}
