//! `lictor policy check`: everything that is wrong with policies, at once.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Sources;
use crate::cli::folder::{Folder, Kept, start_of};
use crate::cli::output::{Output, count, finding, finding_line};
use crate::engine::{
    CompileError, Compiler, DataBuilder, Program, RegoEngine, RegoModule, RegoVersion,
};
use crate::policy::{Decides, Document, PolicyError, canonical};

/// Arguments of `lictor policy check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    sources: Sources,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// What was found.
struct Findings {
    errors: Vec<PolicyError>,
    warnings: Vec<PolicyError>,
    /// Rego rules that do not run on the register machine, with the reason.
    interpreted: Vec<(String, String)>,
}

/// Checks, prints, and says by the exit code whether all is in order.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = match args.sources.read() {
        Ok(folder) => folder,
        Err(code) => return Ok(code),
    };
    let findings = find(&folder);
    args.output
        .print(&report(&folder, &findings), || text(&folder, &findings))?;
    Ok(if findings.errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn find(folder: &Folder) -> Findings {
    let mut errors = folder.errors.clone();
    let (data, data_errors) = folder.data();
    errors.extend(data_errors);
    let mut warnings = Vec::new();
    let mut interpreted = Vec::new();
    match compile(&folder.documents, &folder.modules, data) {
        Ok(program) => {
            warnings.extend(program.warnings().iter().map(located));
            let rules = program.rego().rules();
            interpreted.extend(rules.filter_map(|(rule, engine)| match engine {
                RegoEngine::Machine => None,
                RegoEngine::Interpreter(reason) => Some((rule.to_owned(), reason.clone())),
            }));
        }
        Err(found) => errors.extend(found),
    }
    errors.sort_by(|left, right| left.place.cmp(&right.place));
    errors.dedup();
    Findings {
        errors,
        warnings,
        interpreted,
    }
}

/// Compiles documents in the order given, and modules; what these print is kept.
pub(super) fn compile(
    documents: &[Document],
    modules: &[Kept],
    data: DataBuilder,
) -> Result<Program, Vec<PolicyError>> {
    let mut compiler = Compiler::default();
    compiler.keep_prints();
    for module in modules {
        let text = std::str::from_utf8(&module.bytes).map_err(|_| {
            vec![PolicyError {
                place: start_of(&module.file),
                message: "the file is not UTF-8 text".to_owned(),
            }]
        })?;
        compiler.add_module(RegoModule {
            path: module.file.as_str().into(),
            text: text.into(),
            version: RegoVersion::V1,
        });
    }
    for document in documents {
        let hash = canonical::content_hash(document.json.as_bytes()).map_err(|error| {
            vec![PolicyError {
                place: document.place.clone(),
                message: error.to_string(),
            }]
        })?;
        compiler.add(document.clone(), Arc::from(hash));
    }
    let compiled = compiler.compile(data);
    compiled.map_err(|found| found.errors.iter().map(located).collect())
}

fn located(error: &CompileError) -> PolicyError {
    PolicyError {
        place: error.place.clone(),
        message: error.message.clone(),
    }
}

/// Writing to a `String` cannot fail.
fn text(folder: &Folder, findings: &Findings) -> String {
    let mut text = String::new();
    for error in &findings.errors {
        text.push_str(&finding_line("error", error));
    }
    for warning in &findings.warnings {
        text.push_str(&finding_line("warning", warning));
    }
    for (rule, reason) in &findings.interpreted {
        let _ = writeln!(text, "note: `{rule}` runs on the interpreter: {reason}");
    }
    for document in &folder.documents {
        let metadata = &document.metadata;
        let _ = writeln!(
            text,
            "{}: {} `{}` {} decides: {}",
            document.place.file,
            document.body.kind(),
            metadata.name,
            metadata.version,
            decides(document),
        );
    }
    let _ = writeln!(
        text,
        "{}, {}, {}",
        count(folder.documents.len(), "document", "documents"),
        count(findings.errors.len(), "error", "errors"),
        count(findings.warnings.len(), "warning", "warnings"),
    );
    text
}

fn report(folder: &Folder, findings: &Findings) -> Value {
    let documents: Vec<_> = folder
        .documents
        .iter()
        .map(|document| {
            let metadata = &document.metadata;
            json!({
                "file": &*document.place.file,
                "line": document.place.line,
                "kind": document.body.kind(),
                "name": &*metadata.name,
                "id": metadata.id.to_string(),
                "version": metadata.version.to_string(),
                "decides": decides(document),
            })
        })
        .collect();
    let interpreted: Vec<_> = findings
        .interpreted
        .iter()
        .map(|(rule, reason)| json!({"rule": rule, "reason": reason}))
        .collect();
    json!({
        "documents": documents,
        "modules": folder.modules.iter().map(|module| &module.file).collect::<Vec<_>>(),
        "interpreted": interpreted,
        "errors": findings.errors.iter().map(finding).collect::<Vec<_>>(),
        "warnings": findings.warnings.iter().map(finding).collect::<Vec<_>>(),
    })
}

/// What a document decides.
const fn decides(document: &Document) -> &'static str {
    match document.body.decides() {
        Decides::Validation => "validation",
        Decides::Access => "access",
        Decides::Experiment => "experiment",
        Decides::Rego => "rego",
        Decides::Nothing => "nothing",
    }
}
