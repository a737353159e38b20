//! What decides now: one immutable [`Snapshot`] behind one pointer, a [`Publisher`] that alone may move
//! it, and [`Reader`]s. Retired snapshots are dropped on a thread of their own.

#[cfg(test)]
mod fixture;
pub mod load;
mod publish;

use crate::bundle::{Claims, Digest, Manifest, Signer};
use crate::engine::Program;

#[cfg(test)]
pub(crate) use fixture::test_snapshot;
pub use publish::{Current, Ended, NotNewer, Publisher, Reader, WorkerReader, channel};

/// A generation: everything a decision can need. With one bundle its name is that bundle's revision.
#[derive(Debug)]
pub struct Snapshot {
    pub program: Program,
    /// The generation's name, rendered once.
    pub name: String,
    /// At least one.
    pub bundles: Vec<ActiveBundle>,
}

/// A bundle inside a generation.
#[derive(Clone, Debug)]
pub struct ActiveBundle {
    pub claims: Claims,
    pub manifest: Manifest,
    pub payload: Digest,
    pub archive: Digest,
    /// The keys that signed it: what a later keyring is asked about.
    pub signers: Vec<Signer>,
    /// The source it came from.
    pub source: String,
}
