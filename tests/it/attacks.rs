//! Every way a bundle can be wrong: each folder of `tests/attacks` against the library, with its twin, which
//! differs in the attack alone and is accepted.

pub mod forge;
pub mod recipe;

use std::collections::BTreeSet;

use lictor::bundle::verify;
use lictor::snapshot::load::{LoadError, Options, load};

use forge::{Forged, forge};
use recipe::{Recipe, cases};

/// Steps 1 to 15, as an activation takes them.
fn accept(forged: &Forged, recipe: &Recipe) -> Result<(), LoadError> {
    let Forged {
        archive,
        keyring,
        expected,
        limits,
    } = forged;
    let bundle = verify(archive, keyring, expected, limits)?;
    let options = Options {
        archive: *limits,
        decision: lictor::engine::Limits::default(),
        hash_files: recipe.check_hashes,
        now: expected.now,
        source: "attack".to_owned(),
    };
    load(&bundle, &options).map(drop)
}

#[test]
fn every_attack_fails_at_its_step_and_its_twin_is_accepted() {
    let mut wrong = Vec::new();
    for case in cases() {
        if case.differences.len() != 1 {
            wrong.push(format!("{}: differs in {:?}", case.name, case.differences));
        }
        if let Err(error) = accept(&forge(&case.twin), &case.twin) {
            wrong.push(format!("{}: the twin is refused: {error}", case.name));
        }
        let attack = &case.attack;
        match accept(&forge(&attack.recipe), &attack.recipe) {
            Ok(()) => wrong.push(format!("{}: accepted, although {}", case.name, attack.what)),
            Err(error)
                if error.step.number() == attack.step && error.code.as_str() == attack.code => {}
            Err(error) => wrong.push(format!("{}: {error}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_step_and_every_code_has_an_attack() {
    let found: BTreeSet<u8> = cases().iter().map(|case| case.attack.step).collect();
    assert_eq!(found, (1..=15).collect());
    let found: BTreeSet<String> = cases().into_iter().map(|case| case.attack.code).collect();
    for code in [
        "too_large",
        "digest_mismatch",
        "malformed",
        "unknown_format",
        "untrusted",
        "wrong_tenant",
        "wrong_constitutional_hash",
        "stale",
        "expired",
        "not_yet_valid",
        "tampered",
        "unsafe_archive",
        "manifest_mismatch",
        "invalid_policy",
        "does_not_compile",
        "rego_unsupported",
        "self_test_failed",
    ] {
        assert!(found.contains(code), "{code}");
    }
}

/// Bytes 4 to 9 of a gzip header are time, compression effort and system: no content.
#[test]
fn every_flipped_byte_is_refused_but_those_without_content() {
    let recipe = Recipe::default();
    let mut forged = forge(&recipe);
    accept(&forged, &recipe).unwrap();
    for mask in [0xff, 0x01] {
        for at in 0..forged.archive.len() {
            forged.archive[at] ^= mask;
            let accepted = accept(&forged, &recipe).is_ok();
            assert_eq!(accepted, (4..10).contains(&at), "byte {at}, mask {mask:#x}");
            forged.archive[at] ^= mask;
        }
    }
}

#[test]
fn every_shortened_archive_is_refused() {
    let recipe = Recipe::default();
    let mut forged = forge(&recipe);
    while forged.archive.pop().is_some() {
        assert!(
            accept(&forged, &recipe).is_err(),
            "{} bytes",
            forged.archive.len()
        );
    }
}
