//! What decides now: one immutable [`Snapshot`] behind one pointer, a [`Publisher`] that alone may move
//! it, and [`Reader`]s. Retired snapshots are dropped on a thread of their own.

#[cfg(test)]
mod fixture;
pub mod load;
mod priority;
mod publish;

use crate::bundle::{Claims, Digest, Manifest, Signer};
use crate::engine::Program;

#[cfg(test)]
pub(crate) use fixture::test_snapshot;
pub use priority::lower_priority;
pub use publish::{Current, Ended, NotNewer, Publisher, Reader, WorkerReader, channel};

/// A generation: everything a decision can need. With one bundle its name is that bundle's revision.
#[derive(Debug)]
pub struct Snapshot {
    pub program: Program,
    /// The generation's name, rendered once.
    pub name: String,
    /// Grows with every activation: the bundle's number, or a count of this process where bundles have none.
    pub number: u64,
    /// At least one.
    pub bundles: Vec<ActiveBundle>,
}

/// A bundle inside a generation.
#[derive(Clone, Debug)]
pub struct ActiveBundle {
    /// The source it came from.
    pub source: String,
    /// Profile `lictor`: `<number>-<digest>`; profile `opa`: what its manifest says, which may be nothing.
    pub revision: String,
    /// SHA-256 of the archive.
    pub archive: Digest,
    /// The parts of `data` that it owns.
    pub roots: Vec<String>,
    /// What only a bundle of profile `lictor` has.
    pub signed: Option<Box<Signed>>,
}

/// What the signature of a bundle of profile `lictor` vouches for.
#[derive(Clone, Debug)]
pub struct Signed {
    pub claims: Claims,
    pub manifest: Manifest,
    pub payload: Digest,
    /// The keys that signed it: what a later keyring is asked about.
    pub signers: Vec<Signer>,
}

impl Snapshot {
    /// Policies in the manifests of its bundles.
    #[must_use]
    pub fn policies(&self) -> usize {
        let signed = self.bundles.iter().filter_map(|b| b.signed.as_ref());
        signed.map(|signed| signed.manifest.policies.len()).sum()
    }
}
