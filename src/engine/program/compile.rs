//! From documents and data to a [`Program`]: every error collected, each with its place.

use std::fmt;
use std::sync::Arc;

use crate::engine::{CompileError, Data};
use crate::policy::Document;

use super::Program;

/// Everything that keeps the policies from compiling. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CompileErrors {
    /// In the order of documents and places.
    pub errors: Vec<CompileError>,
    /// Whether all of it is that this build has no Rego engine.
    pub rego_unsupported: bool,
}

impl fmt::Display for CompileErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            error.fmt(formatter)?;
        }
        Ok(())
    }
}

/// Turns documents and data into a [`Program`].
#[derive(Debug, Default)]
pub struct Compiler {
    documents: Vec<(Document, Arc<str>)>,
}

impl Compiler {
    /// Adds a document with its content hash. Order of calls = evaluation order (newest first). Of
    /// several versions of one policy the active one decides, except where an experiment says otherwise.
    pub fn add(&mut self, document: Document, content_hash: Arc<str>) {
        self.documents.push((document, content_hash));
    }

    /// Compiles everything.
    ///
    /// # Errors
    ///
    /// [`CompileErrors`].
    pub fn compile(self, _data: Data) -> Result<Program, CompileErrors> {
        todo!()
    }
}
