//! Steps 11 to 15: one pass over a verified archive, then compile, then the bundle's own tests.
//!
//! The sidecar's activation, the control plane's publication and `lictor bundle verify` all come through here.

mod gather;
mod generation;

use crate::bundle::{Code, Limits as ArchiveLimits, Step, VerifiedBundle, VerifyError};
use crate::engine::{Compiler, DataBuilder, Limits as DecisionLimits, Program};
use crate::model::Timestamp;

use super::{ActiveBundle, Signed, Snapshot};
use gather::Gathered;
pub use generation::{Part, load_generation};

/// What loading is bounded by and held against.
#[derive(Clone, Debug)]
pub struct Options {
    pub archive: ArchiveLimits,
    pub decision: DecisionLimits,
    /// Also check every file's own hash (`bundle verify` and the control plane).
    pub hash_files: bool,
    pub now: Timestamp,
    /// The source's name.
    pub source: String,
}

/// The step from 11 to 15 that failed.
#[derive(Debug, thiserror::Error)]
#[error("step {} ({}): {detail}", step.number(), code.as_str())]
pub struct LoadError {
    pub step: Step,
    pub code: Code,
    pub detail: String,
}

impl LoadError {
    /// With the detail cut where a status or a log line would drown in it.
    fn new(step: Step, code: Code, detail: impl std::fmt::Display) -> Self {
        const MOST: usize = 4000;
        let mut detail = detail.to_string();
        if let Some((at, _)) = detail.char_indices().nth(MOST) {
            detail.truncate(at);
            detail.push_str(" ...");
        }
        Self { step, code, detail }
    }
}

impl From<VerifyError> for LoadError {
    fn from(error: VerifyError) -> Self {
        Self {
            step: error.step,
            code: error.code,
            detail: error.detail,
        }
    }
}

/// Makes a snapshot of a verified archive.
///
/// # Errors
///
/// The first step that fails.
pub fn load(bundle: &VerifiedBundle<'_>, options: &Options) -> Result<Snapshot, LoadError> {
    // 11 to 13: one pass; nothing of it is used before it ended well
    let mut gathered = Gathered::new(bundle.claims().tenant.as_str(), options.hash_files);
    let manifest = bundle.read(
        &options.archive,
        options.hash_files,
        &mut |manifest, entry| gathered.add(manifest, entry),
    )?;
    // 14: compile
    let (mut compiler, data) = gathered.finish();
    if options.decision.rego_prints {
        compiler.keep_prints();
    }
    let program = compile(compiler, data)?;
    // 15: the bundle's own tests
    self_test(&program, options)?;
    Ok(Snapshot {
        program,
        name: bundle.claims().revision.to_string(),
        number: bundle.claims().number,
        bundles: vec![ActiveBundle {
            source: options.source.clone(),
            revision: bundle.claims().revision.to_string(),
            archive: *bundle.archive_digest(),
            roots: manifest.roots.clone(),
            signed: Some(Box::new(Signed {
                claims: bundle.claims().clone(),
                manifest,
                payload: *bundle.payload(),
                signers: bundle.signers().to_vec(),
            })),
        }],
    })
}

fn compile(compiler: Compiler, data: DataBuilder) -> Result<Program, LoadError> {
    compiler.compile(data).map_err(|errors| {
        let code = if errors.rego_unsupported {
            Code::RegoUnsupported
        } else {
            Code::DoesNotCompile
        };
        LoadError::new(Step::Compile, code, errors)
    })
}

fn self_test(program: &Program, options: &Options) -> Result<(), LoadError> {
    let tested = program.self_test(options.now, options.decision);
    tested.map(drop).map_err(|failures| {
        let texts: Vec<String> = failures.iter().map(ToString::to_string).collect();
        LoadError::new(Step::SelfTest, Code::SelfTestFailed, texts.join("\n"))
    })
}
