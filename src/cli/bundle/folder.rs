//! A folder as the author keeps it: policies, `data.json` or `data.yaml`, Rego modules.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::policy::{self, Body, Document, Format};

use super::read::read_file;

/// Folders inside folders beyond this are refused: a link may lead in a circle.
const MAX_DEPTH: usize = 32;

/// What a folder holds.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) documents: Vec<Document>,
    /// Data (as JSON) and Rego modules, by name.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// What is neither.
    pub(super) ignored: Vec<String>,
    /// Everything wrong with its files, one line each.
    pub(super) errors: Vec<String>,
}

/// Reads a folder; names that start with a dot are passed over.
pub(super) fn read(folder: &Path, tenant: &str) -> anyhow::Result<Folder> {
    let mut names = Vec::new();
    list(folder, "", 0, &mut names)?;
    names.sort_unstable();
    let mut found = Folder::default();
    for name in names {
        let bytes = read_file(&folder.join(&name))?;
        found.add(name, bytes, tenant)?;
    }
    found.check_names();
    Ok(found)
}

/// Names of all files below a folder, with `/` between their parts.
pub(super) fn list(
    folder: &Path,
    prefix: &str,
    depth: usize,
    names: &mut Vec<String>,
) -> anyhow::Result<()> {
    if depth > MAX_DEPTH {
        bail!("`{}` lies too deep", folder.display());
    }
    let entries = std::fs::read_dir(folder);
    for entry in entries.with_context(|| format!("cannot list `{}`", folder.display()))? {
        let entry = entry?;
        let file_name = entry.file_name();
        let Some(base) = file_name.to_str() else {
            bail!("`{}` is no UTF-8 name", entry.path().display());
        };
        if base.starts_with('.') && !matches!(base, ".manifest" | ".signatures.json") {
            continue;
        }
        let name = format!("{prefix}{base}");
        let path = entry.path();
        let metadata = std::fs::metadata(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        if metadata.is_dir() {
            list(&path, &format!("{name}/"), depth + 1, names)?;
        } else if metadata.is_file() {
            names.push(name);
        }
    }
    Ok(())
}

impl Folder {
    fn add(&mut self, name: String, bytes: Vec<u8>, tenant: &str) -> anyhow::Result<()> {
        let (parent, base) = name.rsplit_once('/').unwrap_or(("", &name));
        let format = match base.rsplit_once('.').map(|(_, extension)| extension) {
            Some("rego") => {
                self.files.insert(name, bytes);
                return Ok(());
            }
            Some("json") => Format::Json,
            Some("yaml" | "yml") => Format::Yaml,
            _ => {
                self.ignored.push(name);
                return Ok(());
            }
        };
        if !matches!(base, "data.json" | "data.yaml" | "data.yml") {
            match policy::parse(&name, &bytes, format, tenant) {
                Ok(documents) => self.documents.extend(documents),
                Err(errors) => self.errors.extend(errors.0.iter().map(ToString::to_string)),
            }
            return Ok(());
        }
        let data = if parent.is_empty() {
            "data.json".to_owned()
        } else {
            format!("{parent}/data.json")
        };
        let json = match format {
            // As it is: a large one need not fit the limits of policies.
            Format::Json => Ok(bytes),
            Format::Yaml => policy::to_json(&name, &bytes, format).map(String::into_bytes),
        };
        match json {
            Ok(json) => {
                if self.files.insert(data, json).is_some() {
                    bail!("`{name}` stands beside another data document of its folder");
                }
            }
            Err(errors) => self.errors.extend(errors.0.iter().map(ToString::to_string)),
        }
        Ok(())
    }

    /// One name is one policy, whose versions differ and of which one at most is active.
    fn check_names(&mut self) {
        let mut seen: BTreeMap<&str, Vec<&Document>> = BTreeMap::new();
        for document in &self.documents {
            let others = seen.entry(&document.metadata.name).or_default();
            let mut complain = |what: &str, other: &Document| {
                let text = format!(
                    "{}: `{}` {what} {}",
                    document.place, document.metadata.name, other.place
                );
                self.errors.push(text);
            };
            for other in others.iter() {
                if other.metadata.id != document.metadata.id {
                    complain("is the name of another policy at", other);
                } else if other.metadata.version == document.metadata.version {
                    complain("has the same version at", other);
                } else if is_active(other) && is_active(document) {
                    complain("is active here and at", other);
                }
            }
            others.push(document);
        }
    }

    /// Modules and data that active Rego policies carry, for their own paths.
    pub(super) fn rego_files(&self) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::new();
        for document in self.documents.iter().filter(|document| is_active(document)) {
            let Body::Rego(rego) = &document.body else {
                continue;
            };
            let modules = rego
                .modules
                .iter()
                .map(|(path, text)| (path.clone(), text.clone()));
            let data = rego
                .data
                .iter()
                .map(|data| ("data.json".to_owned(), data.to_string()));
            for (path, text) in modules.chain(data) {
                if files.insert(path.clone(), text.into_bytes()).is_some()
                    || self.files.contains_key(&path)
                {
                    bail!("{}: `{path}` is there twice", document.place);
                }
            }
        }
        Ok(files)
    }
}

fn is_active(document: &Document) -> bool {
    document.metadata.status == crate::model::VersionStatus::Active
}
