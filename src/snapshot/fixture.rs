//! A snapshot for unit tests.

use super::{ActiveBundle, Signed, Snapshot};
use crate::bundle::{Claims, Manifest};
use crate::engine::{Compiler, DataBuilder};
use crate::model::{Revision, Timestamp};

/// An empty program under this number.
pub(crate) fn test_snapshot(number: u64) -> Snapshot {
    let program = Compiler::default().compile(DataBuilder::default());
    let revision = Revision {
        number,
        digest: [0; 6],
    };
    let claims = Claims {
        format: 1,
        tenant: "acme".parse().unwrap(),
        number,
        revision,
        issued_at: Timestamp::from_unix_seconds(0),
        expires_at: Timestamp::from_unix_seconds(1_000_000),
        constitutional_hash: String::new(),
        rest_size: 0,
        rest_sha256: [0; 32],
    };
    let manifest = Manifest {
        revision,
        roots: Vec::new(),
        rego_version: 1,
        policies: Vec::new(),
    };
    Snapshot {
        program: program.unwrap(),
        name: revision.to_string(),
        number,
        bundles: vec![ActiveBundle {
            source: "test".into(),
            revision: revision.to_string(),
            archive: [0; 32],
            roots: Vec::new(),
            signed: Some(Box::new(Signed {
                claims,
                manifest,
                payload: [0; 32],
                signers: Vec::new(),
            })),
        }],
    }
}
