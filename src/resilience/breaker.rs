//! The circuit breaker: after enough failures in a row callers are turned away at once, until one
//! trial shows that the other side is back.
//!
//! All that changes together is one atomic word, so there is no lock, and no moment at which state
//! and counters disagree.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls pass.
    Closed,
    /// Calls are turned away.
    Open,
    /// One call is on trial; all others are turned away.
    HalfOpen,
}

impl State {
    /// All states, in the order of [`BreakerStatus::transitions`].
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The word in metrics and status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// This many failures in a row open it; at least 1.
    pub failures: u16,
    /// How long it stays open before a trial.
    pub open_for: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            open_for: Duration::from_secs(30),
        }
    }
}

/// A breaker as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerStatus {
    pub state: State,
    pub consecutive_failures: u16,
    /// How often each state was entered, in the order of [`State::ALL`].
    pub transitions: [u64; 3],
}

/// The breaker turned a call away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open for another {} ms", retry_after.as_millis())]
pub struct Rejected {
    /// When a call may pass again, at the earliest.
    pub retry_after: Duration,
}

/// Guards calls to one upstream. Time is an argument of every call.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    /// What the moments in `word` count from.
    origin: Instant,
    word: AtomicU64,
    transitions: [AtomicU64; 3],
}

/// Leave to make one call. Its outcome is to be told; dropped without one it changes nothing but
/// that another call may be the trial.
#[derive(Debug)]
#[must_use = "the outcome of the call is to be told"]
pub struct Permit {
    breaker: Arc<Breaker>,
    trial: bool,
    told: bool,
}

/// The unpacked word: 2 bits of state, 16 of failures, 46 of milliseconds since `origin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    state: State,
    failures: u16,
    /// When the breaker opened last.
    opened: u64,
}

impl Word {
    const fn pack(self) -> u64 {
        self.state as u64 | (self.failures as u64) << 2 | self.opened << 18
    }

    const fn unpack(word: u64) -> Self {
        Self {
            state: match word & 3 {
                0 => State::Closed,
                1 => State::Open,
                _ => State::HalfOpen,
            },
            failures: (word >> 2) as u16,
            opened: word >> 18,
        }
    }
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: BreakerSettings, now: Instant) -> Arc<Self> {
        let closed = Word {
            state: State::Closed,
            failures: 0,
            opened: 0,
        };
        Arc::new(Self {
            settings,
            origin: now,
            word: AtomicU64::new(closed.pack()),
            transitions: Default::default(),
        })
    }

    /// Leave to call, or how long to wait.
    ///
    /// # Errors
    ///
    /// [`Rejected`] while open, and while another call is on trial.
    pub fn admit(self: &Arc<Self>, now: Instant) -> Result<Permit, Rejected> {
        let open_for = self.settings.open_for.as_millis() as u64;
        let mut rejected = Duration::ZERO;
        let passed = self.change(|word| {
            let ends = word.opened.saturating_add(open_for);
            rejected = Duration::from_millis(ends.saturating_sub(self.millis(now)));
            match word.state {
                State::Closed => Some(word),
                State::Open if rejected.is_zero() => Some(Word {
                    state: State::HalfOpen,
                    ..word
                }),
                State::Open | State::HalfOpen => None,
            }
        });
        match passed {
            Some(word) => Ok(Permit {
                breaker: Arc::clone(self),
                trial: word.state == State::HalfOpen,
                told: false,
            }),
            // While a call is on trial nobody knows how long it takes: a second is a fair guess.
            None => Err(Rejected {
                retry_after: rejected.max(Duration::from_secs(1)),
            }),
        }
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> BreakerStatus {
        let word = Word::unpack(self.word.load(Ordering::Relaxed));
        BreakerStatus {
            state: word.state,
            consecutive_failures: word.failures,
            transitions: [0, 1, 2].map(|state: usize| {
                self.transitions
                    .get(state)
                    .map_or(0, |count| count.load(Ordering::Relaxed))
            }),
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_millis() as u64
    }

    /// Replaces the word by what `next` makes of it, and counts the transition; None leaves it.
    fn change(&self, mut next: impl FnMut(Word) -> Option<Word>) -> Option<Word> {
        let mut current = self.word.load(Ordering::Acquire);
        loop {
            let before = Word::unpack(current);
            let after = next(before)?;
            match self.word.compare_exchange_weak(
                current,
                after.pack(),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    if before.state != after.state
                        && let Some(count) = self.transitions.get(after.state as usize)
                    {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    return Some(after);
                }
                Err(found) => current = found,
            }
        }
    }
}

impl Permit {
    /// The call succeeded: failures are forgotten, and a trial closes the breaker.
    pub fn succeeded(mut self) {
        self.told = true;
        let trial = self.trial;
        self.breaker.change(|word| match word.state {
            State::Closed if word.failures == 0 => None,
            // A call from before the breaker opened says nothing about now.
            State::Open | State::HalfOpen if !trial => None,
            _ => Some(Word {
                state: State::Closed,
                failures: 0,
                ..word
            }),
        });
    }

    /// The call failed: one more in a row, and a trial opens the breaker again.
    pub fn failed(mut self, now: Instant) {
        self.told = true;
        let trial = self.trial;
        let threshold = self.breaker.settings.failures.max(1);
        let opened = self.breaker.millis(now);
        self.breaker.change(|word| match word.state {
            State::Closed if word.failures.saturating_add(1) < threshold => Some(Word {
                failures: word.failures + 1,
                ..word
            }),
            State::Open | State::HalfOpen if !trial => None,
            _ => Some(Word {
                state: State::Open,
                failures: word.failures.saturating_add(1),
                opened,
            }),
        });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.trial && !self.told {
            // The moment of opening stays, so the next call is the trial.
            self.breaker.change(|word| {
                (word.state == State::HalfOpen).then_some(Word {
                    state: State::Open,
                    ..word
                })
            });
        }
    }
}

#[cfg(test)]
mod tests;
