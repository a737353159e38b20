//! Swaps under load: every answer is wholly of the revision that it names, and none fails.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::Http;
use crate::support::bundle::{bundle, decided};
use crate::support::pod::Pod;
use crate::support::sidecar::validate;

const CONNECTIONS: usize = 16;
const DECISIONS: u64 = 100_000;
const SWAPS: u64 = 200;

/// Odd and even numbers differ in both of their rules.
fn word(number: u64) -> &'static str {
    if number.is_multiple_of(2) {
        "even"
    } else {
        "odd"
    }
}

#[test]
fn no_decision_fails_or_mixes_two_revisions_while_bundles_are_swapped() {
    let pod = Pod::new();
    pod.put(&bundle(1, word(1)));
    let sidecar = pod.start();
    sidecar.wait_for_number(1);
    let decisions = AtomicU64::new(0);
    let newest = AtomicU64::new(1);
    let address = sidecar.http;
    std::thread::scope(|scope| {
        let load = || {
            let mut http = Http::tcp(address);
            let mut seen = HashSet::new();
            let mut last = 0;
            let enough = || decisions.load(Ordering::Relaxed) >= DECISIONS;
            while !enough() || newest.load(Ordering::Relaxed) <= SWAPS {
                let (number, said) = decided(&validate(&mut http));
                assert_eq!(said, word(number), "of revision {number}");
                assert!(number >= last, "went back from {last} to {number}");
                last = number;
                seen.insert(said);
                decisions.fetch_add(1, Ordering::Relaxed);
            }
            seen.len()
        };
        let connections: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(load)).collect();
        for number in 2..=SWAPS + 1 {
            pod.put(&bundle(number, word(number)));
            let answer = sidecar.sync();
            assert_eq!(answer.status, 200, "{}", answer.text());
            sidecar.wait_for_number(number);
            newest.store(number, Ordering::Relaxed);
        }
        for connection in connections {
            assert_eq!(
                connection.join().unwrap(),
                2,
                "a connection saw one revision only"
            );
        }
    });
    assert!(decisions.load(Ordering::Relaxed) >= DECISIONS);
}
