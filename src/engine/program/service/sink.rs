//! Where checks put what they find: all of it, or no more than that there is something.

use crate::engine::program::validation::Finding;

use super::Findings;
use super::slots::WrongType;

/// Takes findings.
pub(in crate::engine::program) trait Sink<'a> {
    /// Takes the next one; Err where no further one is wanted.
    fn add(&mut self, finding: impl FnOnce() -> Finding<'a>) -> Result<(), Stop>;
}

/// Why a check ended early.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine::program) enum Stop {
    WrongType(WrongType),
    /// There is a finding, and one is enough.
    Found,
}

impl From<WrongType> for Stop {
    fn from(wrong: WrongType) -> Self {
        Self::WrongType(wrong)
    }
}

/// Gathers all.
impl<'a> Sink<'a> for Findings<'a> {
    fn add(&mut self, finding: impl FnOnce() -> Finding<'a>) -> Result<(), Stop> {
        self.push(finding());
        Ok(())
    }
}

/// Asks whether there is any.
#[derive(Debug)]
pub(super) struct Probe;

impl<'a> Sink<'a> for Probe {
    #[inline]
    fn add(&mut self, _: impl FnOnce() -> Finding<'a>) -> Result<(), Stop> {
        Err(Stop::Found)
    }
}
