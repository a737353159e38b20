//! `kill -9` during activations: a restart without a source decides by the old or the new revision, wholly.

use std::ops::RangeInclusive;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::Http;
use crate::support::bundle::bundle;
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

/// Kills at random moments of back-to-back activations.
const RANDOM_KILLS: u64 = 100;

fn word(number: u64) -> String {
    format!("revision {number}")
}

/// Starts without a source and answers by one of these numbers, with that number's word; gives it.
fn survives_with(pod: &Pod, numbers: RangeInclusive<u64>) -> u64 {
    decides_by(&pod.start(), numbers)
}

fn decides_by(sidecar: &Sidecar, numbers: RangeInclusive<u64>) -> u64 {
    sidecar.wait_for("a bundle", |status| !status["bundle"].is_null());
    let (number, said) = sidecar.decide();
    assert!(numbers.contains(&number), "{number} is not in {numbers:?}");
    assert_eq!(said, word(number));
    number
}

#[cfg(feature = "failpoints")]
#[test]
fn a_process_killed_at_any_step_of_an_activation_restarts_by_the_old_or_the_new_revision() {
    use crate::support::Lictor;
    use lictor::resilience::failpoint::ACTIVATION;
    use std::os::unix::process::ExitStatusExt as _;

    let mut numbers = std::collections::HashSet::new();
    for place in ACTIVATION {
        let pod = Pod::new();
        pod.put(&bundle(1, &word(1)));
        pod.start().wait_for_number(1);
        // The cached bundle passes some of the steps at start-up: there the second passing is the new bundle's.
        for passing in 1..=2 {
            pod.put(&bundle(2, &word(2)));
            let mut command = pod.command();
            command.env("FAILPOINT", format!("{place}:{passing}"));
            let mut process = Lictor::spawn(&mut command);
            let status = process.exit();
            assert_eq!(
                status.signal(),
                Some(9),
                "`{place}` was never passed: {status}"
            );
            pod.remove_source();
            let number = survives_with(&pod, 1..=2);
            numbers.insert(number);
            if number == 2 || !passes_at_start_up(place) {
                break;
            }
        }
    }
    assert_eq!(
        numbers.len(),
        2,
        "some kills come before the new bundle is stored, some after"
    );
}

/// Whether a cached bundle that is stored already comes by here.
#[cfg(feature = "failpoints")]
fn passes_at_start_up(place: &str) -> bool {
    [
        "fetched",
        "verified",
        "loaded",
        "persisted",
        "swapped",
        "reported",
    ]
    .contains(&place)
}

#[test]
fn a_process_killed_at_any_time_restarts_by_a_revision_that_was_published() {
    let pod = Pod::new();
    pod.put(&bundle(1, &word(1)));
    pod.start().wait_for_number(1);
    let (mut stored, mut newest) = (1, 1);
    for _ in 0..RANDOM_KILLS {
        pod.remove_source();
        let mut sidecar = pod.start();
        let number = decides_by(&sidecar, stored..=newest);
        (stored, newest) = (number, number);
        // One connection throughout: another sidecar may be given the port of a dead one.
        let mut admin = Http::tcp(sidecar.admin);
        let kill_at = Instant::now() + Duration::from_micros(rand::random_range(0..150_000));
        let id = sidecar.process.id();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(kill_at.saturating_duration_since(Instant::now()));
                signal_kill(id);
            });
            loop {
                newest += 1;
                pod.put(&bundle(newest, &word(newest)));
                if admin.try_send("POST", "/v1/sync", &[], "").is_err() {
                    break;
                }
            }
        });
        sidecar.process.exit();
    }
    pod.remove_source();
    survives_with(&pod, stored..=newest);
    assert!(newest > RANDOM_KILLS, "activations hardly ran: {newest}");
}

fn signal_kill(id: u32) {
    let status = Command::new("kill")
        .args(["-s", "KILL", &id.to_string()])
        .status();
    assert!(status.unwrap().success());
}
