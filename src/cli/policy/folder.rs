//! Files and folders of policies as authors keep them: documents, data at the paths of their folders,
//! Rego modules.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::engine::{Data, DataBuilder};
use crate::policy::{self, Document, Format, MAX_FILE_BYTES, Place, PolicyError};

/// Folders that may stand inside each other.
const MAX_DEPTH: usize = 32;

/// Everything that was found. What is wrong with the content is collected, not returned as an error.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub documents: Vec<Document>,
    pub data: Vec<DataFile>,
    /// Files of Rego modules.
    pub modules: Vec<String>,
    pub errors: Vec<PolicyError>,
}

/// A `data.json` or `data.yaml`.
#[derive(Debug)]
pub(super) struct DataFile {
    /// For messages.
    pub file: String,
    /// The folders it lies in, below the folder that was named.
    pub path: Vec<String>,
    pub json: Vec<u8>,
}

/// Reads files, and folders with everything below them. Names that begin with a dot are left out.
/// Documents come by name, then version: the order in which a folder's policies are evaluated.
///
/// # Errors
///
/// A path that does not exist, cannot be read, or names a file of another kind.
pub(super) fn read(paths: &[PathBuf], tenant: &str) -> anyhow::Result<Folder> {
    let mut folder = Folder::default();
    for path in paths {
        let kind =
            fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        if kind.is_dir() {
            folder.add_folder(path, &mut Vec::new(), tenant)?;
        } else if !folder.add_file(path, &[], tenant)? {
            bail!(
                "`{}` is no policy file: expected .yaml, .yml, .json or .rego",
                path.display()
            );
        }
    }
    folder.documents.sort_by(|left, right| {
        let (left, right) = (&left.metadata, &right.metadata);
        left.name
            .cmp(&right.name)
            .then_with(|| left.version.cmp(&right.version))
    });
    folder
        .errors
        .sort_by(|left, right| left.place.cmp(&right.place));
    Ok(folder)
}

impl Folder {
    fn add_folder(
        &mut self,
        folder: &Path,
        below: &mut Vec<String>,
        tenant: &str,
    ) -> anyhow::Result<()> {
        let cannot_read = || format!("cannot read `{}`", folder.display());
        if below.len() > MAX_DEPTH {
            bail!(
                "`{}` is nested deeper than {MAX_DEPTH} folders",
                folder.display()
            );
        }
        let mut entries = fs::read_dir(folder)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(cannot_read)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            if entry.file_type().with_context(cannot_read)?.is_dir() {
                below.push(name);
                self.add_folder(&entry.path(), below, tenant)?;
                below.pop();
            } else {
                self.add_file(&entry.path(), below, tenant)?;
            }
        }
        Ok(())
    }

    /// Adds a file; false where it is of no kind that is known here.
    fn add_file(&mut self, path: &Path, below: &[String], tenant: &str) -> anyhow::Result<bool> {
        let file = path.display().to_string();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_data = path.file_stem().is_some_and(|stem| stem == "data");
        match extension {
            Some("yaml" | "yml") if is_data => {
                match policy::to_json(&file, &read_bounded(path)?, Format::Yaml) {
                    Ok(json) => self.add_data(file, below, json.into_bytes()),
                    Err(errors) => self.errors.extend(errors.0),
                }
            }
            Some("json") if is_data => {
                let json = fs::read(path).with_context(|| format!("cannot read `{file}`"))?;
                self.add_data(file, below, json);
            }
            Some("yaml" | "yml") => {
                self.add_policies(&file, &read_bounded(path)?, Format::Yaml, tenant);
            }
            Some("json") => self.add_policies(&file, &read_bounded(path)?, Format::Json, tenant),
            Some("rego") => self.modules.push(file),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn add_data(&mut self, file: String, below: &[String], json: Vec<u8>) {
        self.data.push(DataFile {
            file,
            path: below.to_vec(),
            json,
        });
    }

    fn add_policies(&mut self, file: &str, text: &[u8], format: Format, tenant: &str) {
        match policy::parse(file, text, format, tenant) {
            Ok(documents) => self.documents.extend(documents),
            Err(errors) => self.errors.extend(errors.0),
        }
    }

    /// The data document, and what keeps files from becoming part of it.
    pub fn data(&self) -> (Data, Vec<PolicyError>) {
        let mut builder = DataBuilder::default();
        let mut errors = Vec::new();
        for data in &self.data {
            let path: Vec<&str> = data.path.iter().map(String::as_str).collect();
            if let Err(error) = builder.add(&path, &mut data.json.as_slice()) {
                errors.push(PolicyError {
                    place: place_of_byte(&data.file, &data.json, error.offset),
                    message: error.message,
                });
            }
        }
        (builder.finish(), errors)
    }
}

/// The file, or one byte more than a file of policies may have.
fn read_bounded(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot_read = || format!("cannot read `{}`", path.display());
    let mut text = Vec::new();
    fs::File::open(path)
        .with_context(cannot_read)?
        .take(MAX_FILE_BYTES as u64 + 1)
        .read_to_end(&mut text)
        .with_context(cannot_read)?;
    Ok(text)
}

fn place_of_byte(file: &str, text: &[u8], offset: u64) -> Place {
    let offset = usize::try_from(offset)
        .unwrap_or(usize::MAX)
        .min(text.len());
    let before = text.get(..offset).unwrap_or_default();
    let line = before.split(|byte| *byte == b'\n').count();
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(before.get(start..).unwrap_or_default())
        .chars()
        .count()
        + 1;
    Place {
        file: file.into(),
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
        path: "".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_with_everything_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("b.json", "{\"b\": 1}");
        write("deep/er/a.yaml", "a: 1\n");
        write("deep/data.yaml", "x: 1\n");
        write("data.json", "{\"y\": 2}");
        write("authz/rules.rego", "package authz\n");
        write(".hidden/c.json", "[");
        write("notes.txt", "no policy");
        write("broken.yaml", "kind: Polcy\n");
        let read = read(&[folder.path().to_owned()], "t").unwrap();
        let names: Vec<&str> = read.documents.iter().map(|d| &*d.metadata.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(read.data[1].path, ["deep"]);
        assert_eq!(read.data[1].json, b"{\"x\":1}");
        assert!(read.modules[0].ends_with("rules.rego"));
        assert_eq!(read.errors.len(), 1);
        assert!(read.errors[0].place.file.ends_with("broken.yaml"));
        assert!(read.data().1.is_empty());
    }

    #[test]
    fn data_that_is_wrong_has_a_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data.json");
        fs::write(&file, "{\"a\": 1,\n \"é\": }").unwrap();
        let (_, errors) = read(&[file], "t").unwrap().data();
        assert_eq!(
            (errors[0].place.line, errors[0].place.column),
            (2, 7),
            "{errors:?}"
        );
    }

    #[test]
    fn a_path_that_is_no_policy_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("notes.txt");
        fs::write(&text, "").unwrap();
        assert!(read(&[text], "t").is_err());
        assert!(read(&[folder.path().join("absent.yaml")], "t").is_err());
    }
}
