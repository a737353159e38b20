//! `lictor policy check`: everything that is wrong with policies, at once.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use super::folder::Folder;
use super::report;
use super::{Output, Sources};
use crate::engine::{CompileError, Compiler, Data, Program};
use crate::model::VersionStatus;
use crate::policy::{Document, Place, PolicyError, canonical};

/// Arguments of `lictor policy check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    sources: Sources,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What was found.
struct Findings {
    errors: Vec<PolicyError>,
    warnings: Vec<PolicyError>,
}

/// Checks, prints, and says by the exit code whether all is in order.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = match args.sources.read() {
        Ok(folder) => folder,
        Err(code) => return Ok(code),
    };
    let findings = find(&folder);
    match args.output {
        Output::Text => print_text(&folder, &findings)?,
        Output::Json => print_json(&folder, &findings)?,
    }
    Ok(if findings.errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn find(folder: &Folder) -> Findings {
    let mut errors = folder.errors.clone();
    errors.extend(conflicts(&folder.documents));
    errors.extend(folder.modules.iter().map(|module| PolicyError {
        place: Place {
            file: module.as_str().into(),
            line: 1,
            column: 1,
            path: "".into(),
        },
        message: "this build has no Rego engine: the module could not decide".to_owned(),
    }));
    let (data, data_errors) = folder.data();
    errors.extend(data_errors);
    let mut warnings = Vec::new();
    match compile(&folder.documents, data) {
        Ok(program) => warnings.extend(program.warnings().iter().map(finding)),
        Err(found) => errors.extend(found),
    }
    errors.sort_by(|left, right| left.place.cmp(&right.place));
    errors.dedup();
    Findings { errors, warnings }
}

/// Compiles documents in the order given.
pub(super) fn compile(documents: &[Document], data: Data) -> Result<Program, Vec<PolicyError>> {
    let mut compiler = Compiler::default();
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
    compiled.map_err(|found| found.errors.iter().map(finding).collect())
}

fn finding(error: &CompileError) -> PolicyError {
    PolicyError {
        place: error.place.clone(),
        message: error.message.clone(),
    }
}

/// Documents that cannot be in force together.
fn conflicts(documents: &[Document]) -> Vec<PolicyError> {
    let mut errors = Vec::new();
    let mut versions = HashMap::new();
    let mut names = HashMap::new();
    let mut active = HashMap::new();
    for document in documents {
        let metadata = &document.metadata;
        let mut report = |other: &Document, message: String| {
            errors.push(PolicyError {
                place: document.place.clone(),
                message: format!("{message} (see {})", other.place),
            });
        };
        let name = &metadata.name;
        if let Some(other) = versions.insert((metadata.id, &metadata.version), document) {
            report(
                other,
                format!(
                    "version {} of policy `{name}` is there twice",
                    metadata.version
                ),
            );
            continue;
        }
        if let Some(other) = names.insert(name, document)
            && other.metadata.id != metadata.id
        {
            report(
                other,
                format!("another policy is called `{name}`, too: names are unique"),
            );
        }
        if metadata.status == VersionStatus::Active
            && let Some(other) = active.insert(metadata.id, document)
        {
            report(other, format!("policy `{name}` has two active versions"));
        }
    }
    errors
}

fn print_text(folder: &Folder, findings: &Findings) -> anyhow::Result<()> {
    let mut text = String::new();
    for error in &findings.errors {
        text.push_str(&report::finding_line("error", error));
    }
    for warning in &findings.warnings {
        text.push_str(&report::finding_line("warning", warning));
    }
    for document in &folder.documents {
        let metadata = &document.metadata;
        writeln!(
            text,
            "{}: {} `{}` {} decides: {}",
            document.place.file,
            document.body.kind(),
            metadata.name,
            metadata.version,
            report::decides(document),
        )?;
    }
    writeln!(
        text,
        "{}, {}, {}",
        report::count(folder.documents.len(), "document"),
        report::count(findings.errors.len(), "error"),
        report::count(findings.warnings.len(), "warning"),
    )?;
    report::print(&text)
}

fn print_json(folder: &Folder, findings: &Findings) -> anyhow::Result<()> {
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
                "decides": report::decides(document),
            })
        })
        .collect();
    report::print_json(&json!({
        "documents": documents,
        "errors": findings.errors.iter().map(report::finding).collect::<Vec<_>>(),
        "warnings": findings.warnings.iter().map(report::finding).collect::<Vec<_>>(),
    }))
}
