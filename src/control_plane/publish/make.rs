//! From a job to an archive that has proved itself: build, sign, verify under the public keyring, load.

use crate::bundle::{self, Builder, Expected, Keyring, PolicyEntry, SigningKey, VerifyError};
use crate::control_plane::store::{JobRow, Selected};
use crate::engine;
use crate::model::{PolicyId, Timestamp};
use crate::snapshot::load::{self, LoadError};

/// What archives are made and held against.
#[derive(Debug)]
pub struct Maker {
    pub key: SigningKey,
    /// The public keys that sidecars trust.
    pub keyring: Keyring,
    pub constitutional_hash: String,
}

/// An archive that every sidecar of the tenant would activate.
#[derive(Debug)]
pub struct Proved {
    pub archive: Vec<u8>,
    pub sha256: String,
    pub revision: String,
    pub kid: String,
    pub policies: u32,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

/// Why a job did not become a bundle.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    #[error("the job is for the signing key `{wanted}`, this process holds `{held}`")]
    OtherKey { wanted: String, held: String },
    #[error("the bundle cannot be built")]
    Build(#[from] bundle::BuildError),
    #[error("the bundle does not verify under the public keyring")]
    Verify(#[from] VerifyError),
    #[error("the bundle does not load")]
    Load(#[from] LoadError),
    /// What came out is not what was ordered.
    #[error("the bundle carries number {found}, not {ordered}")]
    OtherNumber { found: u64, ordered: u64 },
}

impl Maker {
    /// Builds and signs the job's archive: the same job gives the same bytes.
    ///
    /// # Errors
    ///
    /// [`MakeError::OtherKey`], [`MakeError::Build`].
    pub fn build(&self, job: &JobRow, selected: Vec<Selected>) -> Result<Vec<u8>, MakeError> {
        if job.kid != self.key.kid {
            return Err(MakeError::OtherKey {
                wanted: job.kid.clone(),
                held: self.key.kid.clone(),
            });
        }
        let mut builder = Builder::new(
            job.tenant.clone(),
            job.number,
            job.issued_at,
            job.expires_at,
            self.constitutional_hash.clone(),
        );
        for one in selected {
            let version = one.version;
            let entry = PolicyEntry {
                path: path(version.policy, &version.version),
                id: version.policy,
                name: one.name,
                kind: version.kind,
                version: version.version,
                status: version.status,
                group: version.group,
                created_at: version.created_at,
                changed_at: version.changed_at,
                content_hash: version.content_hash,
            };
            builder.policy(entry, version.content.into_bytes());
        }
        Ok(builder.build(&[&self.key])?)
    }

    /// Verifies and loads an archive as a sidecar would, checking every file's hash besides.
    ///
    /// # Errors
    ///
    /// The step that fails.
    pub fn prove(
        &self,
        job: &JobRow,
        archive: Vec<u8>,
        now: Timestamp,
    ) -> Result<Proved, MakeError> {
        let expected = Expected {
            tenant: job.tenant.clone(),
            constitutional_hash: Some(self.constitutional_hash.clone()),
            mark: None,
            running: None,
            min_number: job.number,
            now,
            clock_skew: 0,
            announced: None,
        };
        let limits = bundle::Limits::default();
        let verified = bundle::verify(&archive, &self.keyring, &expected, &limits)?;
        let claims = verified.claims().clone();
        if claims.number != job.number {
            return Err(MakeError::OtherNumber {
                found: claims.number,
                ordered: job.number,
            });
        }
        let snapshot = load::load(
            &verified,
            &load::Options {
                archive: limits,
                decision: engine::Limits::default(),
                hash_files: true,
                now,
                source: "publication".into(),
            },
        )?;
        Ok(Proved {
            sha256: hex::encode(verified.archive_digest()),
            revision: claims.revision.to_string(),
            kid: verified.kids().join(","),
            policies: u32::try_from(snapshot.policies()).unwrap_or(u32::MAX),
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            archive,
        })
    }
}

/// Where a version lies in the archive.
fn path(policy: PolicyId, version: &str) -> String {
    format!("lictor/policies/{policy}/{version}.json")
}
