//! The breaker against its rules, against a model of them, and under contention.

use proptest::prelude::*;

use super::*;

fn breaker() -> (Arc<Breaker>, Instant) {
    let now = Instant::now();
    (Breaker::new(BreakerSettings::default(), now), now)
}

fn fail(breaker: &Arc<Breaker>, now: Instant) {
    breaker.admit(now).unwrap().failed(now);
}

#[test]
fn five_failures_in_a_row_open_it_and_a_success_forgets_them() {
    let (breaker, now) = breaker();
    for _ in 0..4 {
        fail(&breaker, now);
    }
    breaker.admit(now).unwrap().succeeded();
    for _ in 0..4 {
        fail(&breaker, now);
    }
    assert_eq!(breaker.status().state, State::Closed);
    fail(&breaker, now);
    assert_eq!(breaker.status().state, State::Open);
    let rejected = breaker.admit(now + Duration::from_secs(10)).unwrap_err();
    assert_eq!(rejected.retry_after, Duration::from_secs(20));
}

#[test]
fn half_open_lets_one_through_and_its_outcome_decides() {
    let (breaker, now) = breaker();
    let stale = breaker.admit(now).unwrap();
    for _ in 0..5 {
        fail(&breaker, now);
    }
    let later = now + Duration::from_secs(30);
    let trial = breaker.admit(later).unwrap();
    assert_eq!(breaker.status().state, State::HalfOpen);
    assert!(breaker.admit(later).is_err());
    stale.succeeded();
    assert_eq!(breaker.status().state, State::HalfOpen);
    trial.failed(later);
    assert_eq!(breaker.status().state, State::Open);
    assert!(breaker.admit(later + Duration::from_secs(29)).is_err());
    let trial = breaker.admit(later + Duration::from_secs(30)).unwrap();
    trial.succeeded();
    let status = breaker.status();
    assert_eq!(
        (status.state, status.consecutive_failures),
        (State::Closed, 0)
    );
    assert_eq!(status.transitions, [1, 2, 2]);
}

#[test]
fn an_abandoned_trial_leaves_room_for_the_next() {
    let (breaker, now) = breaker();
    for _ in 0..5 {
        fail(&breaker, now);
    }
    let later = now + Duration::from_secs(30);
    drop(breaker.admit(later).unwrap());
    assert_eq!(breaker.status().state, State::Open);
    breaker.admit(later).unwrap().succeeded();
    assert_eq!(breaker.status().state, State::Closed);
}

#[test]
fn one_of_many_threads_gets_the_trial() {
    for _ in 0..50 {
        let (breaker, now) = breaker();
        for _ in 0..5 {
            fail(&breaker, now);
        }
        let later = now + Duration::from_secs(30);
        let permits = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| breaker.admit(later).ok()))
                .collect();
            threads
                .into_iter()
                .filter_map(|thread| thread.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert_eq!(permits.len(), 1);
    }
}

/// What a caller may do next.
#[derive(Clone, Copy, Debug)]
enum Act {
    Succeed,
    Fail,
    Abandon,
    Wait(u16),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        2 => Just(Act::Succeed),
        6 => Just(Act::Fail),
        1 => Just(Act::Abandon),
        2 => (0..20_000_u16).prop_map(Act::Wait),
    ];
    proptest::collection::vec(act, 0..100)
}

proptest! {
    #[test]
    fn it_agrees_with_a_plain_model(acts in acts()) {
        let (breaker, start) = breaker();
        let mut now = start;
        let mut failures = 0;
        let mut open_until: Option<Instant> = None;
        for act in acts {
            if let Act::Wait(millis) = act {
                now += Duration::from_millis(millis.into());
                continue;
            }
            let may_pass = open_until.is_none_or(|end| now >= end);
            let permit = breaker.admit(now);
            prop_assert_eq!(permit.is_ok(), may_pass);
            let Ok(permit) = permit else { continue };
            match act {
                Act::Succeed => {
                    permit.succeeded();
                    failures = 0;
                    open_until = None;
                }
                Act::Fail => {
                    permit.failed(now);
                    failures += 1;
                    if failures >= 5 {
                        open_until = Some(now + Duration::from_secs(30));
                    }
                }
                Act::Abandon | Act::Wait(_) => drop(permit),
            }
            let expected = if open_until.is_some() { State::Open } else { State::Closed };
            prop_assert_eq!(breaker.status().state, expected);
        }
    }

    #[test]
    fn the_word_keeps_what_is_packed(state in 0..3_usize, failures: u16, opened in 0..1_u64 << 46) {
        let word = Word { state: State::ALL[state], failures, opened };
        prop_assert_eq!(Word::unpack(word.pack()), word);
    }
}
